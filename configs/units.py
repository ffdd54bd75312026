"""Units of speech without text, by ResDAVEnet-VQ (Harwath, Hsu and Glass 2020).

configs/units.py          the drawn world's spoken captions and their pictures, a light network, 1,500 steps
configs/units.py:tiny     seconds, for a look and for the tests
configs/units.py:folder   spoken captions of your own pictures: --config.data.path=DIR
configs/units.py:kmeans   the trivial rival: k-means of log-mel, or with --config.start=WORKDIR
                          --config.codes.position=2 of what another run's network hears; nothing else is learned
configs/units.py:paper    the official code's sizes: --config.picture.weights=FILE of ResNet-50, an accelerator;
                          first with --config.model.quantised=(), then with --config.start=WORKDIR of that run
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("units", variant)
    c.steps = 1500  # seven minutes with the test
    c.batch_size = 16
    c.eval.every, c.save_every = 500, 250
    c.eval.examples, c.eval.test_examples = 128, 200  # each of the test split speaks four times
    c.eval.fit_examples = 300  # utterances that k-means sees
    c.data.voices = "held_out"  # half of the test split has voices of a kind that training never hears

    c.seconds = 4.4  # nine of ten utterances are shorter; the others are cut
    c.cold = 150  # steps before vectors pass the quantiser: a cold start was the official code's worst
    c.start = ""  # workdir of another run of this config to begin with
    c.trained = True
    c.truth = "units"  # what the data knows: "units" and their times, "voices" that say the same, or "" nothing

    c.frames = ConfigDict()  # arguments of ops.sound.davenet_mel.DavenetMel; the defaults are the official code's
    c.frames.centred = True  # voices differ widely here, and so would codes

    c.model = ConfigDict()  # arguments of models.sound.resdavenet_vq.ResDavenetVQ
    c.model.widths = (64, 64, 96, 128, 128)
    c.model.depths = (1, 1, 1, 1)
    c.model.kernel = 3  # the second position hears 70 ms about each code: nearer to a unit than to a word
    c.model.quantised = (2,)
    c.model.codes = 128
    c.model.revive = 0.05  # none of so few is to be lost
    c.model.decay = 0.99
    c.model.jitter = 0.12
    c.model.dtype = "float32"

    c.codes = ConfigDict()  # arguments of models.sound.unit_encoder.UnitEncoder
    c.codes.kind = "quantiser"
    c.codes.position = 2
    c.codes.clusters = 128

    c.picture = ConfigDict()  # arguments of known.encoders.make
    c.picture.name = "scene"
    c.picture.layer = "features"
    c.picture.weights = ""
    c.picture.widths = (16, 32, 64)
    c.picture.dtype = "float32"

    c.loss = ConfigDict()
    c.loss.margin = 1.0
    c.loss.commitment = 1.0

    c.optim.units = base.adam(2e-3, warmup=50, decay="cosine", clip=5.0)
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 4, 8
    c.log_every, c.save_every, c.eval.every = 2, 2, 2
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 16, 8, 12, 4
    c.eval.fit_examples = 8
    c.data.image_size = 32
    c.seconds, c.cold = 2.0, 2
    c.model.widths, c.model.depths = (8, 8, 8, 8, 8), (1, 1, 1, 1)
    c.model.codes = 8
    c.picture.widths = (4, 4, 4)


def _folder(c: ConfigDict) -> None:
    c.data = ConfigDict({"name": "spoken_captions", "path": "", "size": 112})
    c.truth = "voices"


def _kmeans(c: ConfigDict) -> None:
    c.trained = False
    c.steps, c.eval.every, c.save_every = 1, 1, 1
    c.codes.kind, c.codes.position = "kmeans", 0


def _paper(c: ConfigDict) -> None:
    c.seconds = 20.48  # 2,048 frames; the drawn world's are shorter
    c.frames.centred = False
    c.model = ConfigDict({"quantised": (3,), "codes": 1024, "dtype": "float32"})
    c.model.widths, c.model.depths = (128, 256, 256, 512, 1024), (2, 2, 2, 2)
    c.codes.position, c.cold = 3, 0
    c.picture.name, c.picture.layer = "resnet50", "pooled"
    c.batch_size, c.steps = 64, 100_000
    c.log_every, c.save_every, c.eval.every = 100, 2000, 5000
    c.eval.examples, c.eval.test_examples = 1000, 1000
    c.loader.workers = 8
    # Times 0.95 every three epochs of 400,000 pairs: by steps there, evenly here.
    c.optim.units = base.adam(2e-4, decay="exponential", decay_rate=0.95 ** (1 / 18_750), weight_decay=5e-7)


VARIANTS = {"": base.unchanged, "tiny": _tiny, "folder": _folder, "kmeans": _kmeans, "paper": _paper}
