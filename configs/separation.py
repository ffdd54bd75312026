"""Sound of Pixels (Zhao et al. 2018): the picture of a thing picks its sound out of a mixture.

configs/separation.py               sounding scenes of one object each, two mixed: six minutes
configs/separation.py:tiny          seconds, for a look and for the tests
configs/separation.py:audio_only    the default without pictures: its masks are compared in the best order
configs/separation.py:stamps        Tux Paint's stamps with their sounds, the extra `pretrained`
configs/separation.py:videos        a folder of your videos, each of one thing that sounds: --config.data.path=DIR
configs/separation.py:paper_pixels  the paper's sizes on a folder of videos, on an accelerator
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("separation", variant)
    c.steps, c.batch_size = 1000, 16  # 320 CPU seconds; the curve still rises
    c.eval.every, c.save_every = 200, 200
    c.feature_cache = ""  # of 100,000 pictures a run sees a part, and each costs less than it takes to draw
    c.eval.examples, c.eval.test_examples = 64, 400

    c.network = "sound_of_pixels"  # or "audio_only"
    c.vision = "image"  # or "frames"
    c.classes = "label"  # the field of classes; "" = the data has none
    c.released = ""  # a folder with sound_best.pth, frame_best.pth and synthesizer_best.pth

    # 65,023 samples are 128 frames, as many as there are rows: each level of the network halves both.
    c.sound = ConfigDict({"rate": 22_050, "n_fft": 1024, "hop": 512, "rows": 128})
    c.mixing = ConfigDict({"sources": 2, "spread_db": 3.0, "unlike": True, "level": 0.1, "silence_db": -60.0})
    c.data.objects = (1, 1)  # one thing is seen, and it alone is heard
    c.data.seconds = 2.9489
    _list(c, "label")

    c.encoder = ConfigDict()  # arguments of known.encoders.make
    # Our small network that knows the things of these pictures, as the paper's comes with ImageNet's weights: with one
    # from scratch the masks of two pictures were still one and the same after 300 steps.
    c.encoder.name = "recogniser"
    c.encoder.layer = ""  # its last map
    c.encoder.weights = ""
    c.encoder.widths = (32, 64, 96)  # of "scene", which is trained from scratch
    c.encoder.dtype = "float32"
    c.train_encoder = False
    c.encoder_statistics = "running"  # of BatchNorm, where it is trained
    c.model = ConfigDict({"maps": 16, "levels": 5, "width": 16, "dtype": "float32"})
    c.loss = ConfigDict({"mask": "ratio", "penalty": "bce", "weight": "log", "threshold": 0.0})
    c.chunk = ConfigDict({"seconds": 2.9489, "overlap": 0.25})  # in which a user's sound is separated
    c.optim.separator = base.adam(3e-3, warmup=50, decay="cosine")
    return base.choose(c, VARIANTS)


def _list(c: ConfigDict, unlike: str) -> None:
    """The held-out splits as lists of mixtures like training's."""
    c.classes = unlike
    c.mixing.unlike = bool(unlike)
    c.data.mixtures = ConfigDict({"unlike": unlike, "examples": 1000, "seed": 0})
    c.data.mixtures.sources = c.mixing.get_oneway_ref("sources")
    c.data.mixtures.silence_db = c.mixing.get_oneway_ref("silence_db")


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 4, 8
    c.data.image_size, c.data.seconds = 32, 1.0
    c.encoder.name, c.train_encoder, c.encoder_statistics = "scene", True, "batch"
    c.sound.n_fft, c.sound.hop, c.sound.rows = 510, 340, 64
    c.model.maps, c.model.levels, c.model.width = 4, 3, 4
    c.encoder.widths = (8, 8, 8)
    c.chunk.seconds = 1.0
    c.log_every, c.save_every, c.eval.every = 2, 2, 2
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 8, 8, 16, 16
    c.data.mixtures.examples = 16


def _audio_only(c: ConfigDict) -> None:
    c.network = "audio_only"


def _features(c: ConfigDict) -> None:
    """ImageNet's weights, as they are; what they make of a picture is kept."""
    c.encoder.name, c.encoder.layer = "efficientnet_lite0", "stage5"  # 14 x 14 places of 112 channels
    c.feature_cache = "workdir"
    c.loader.clip_seconds = 2.9489
    c.model.maps = 32


def _stamps(c: ConfigDict) -> None:
    _features(c)
    # Split by caption: no sound of the test was ever heard, and no thing of it seen.
    c.data = ConfigDict({"name": "tux_stamps", "sound": "effects"})
    _list(c, "")  # its classes are folders: two animals may be mixed


def _videos(c: ConfigDict) -> None:
    _features(c)
    c.data = ConfigDict({"name": "video_folder", "path": "", "seconds": 2.9489, "frames": 1, "size": 224})
    _list(c, "")


def _paper_pixels(c: ConfigDict) -> None:
    _videos(c)
    c.data.seconds = c.loader.clip_seconds = 65_535 / 11_025
    c.data.frames, c.vision, c.feature_cache = 3, "frames", ""
    c.sound.rate, c.sound.n_fft, c.sound.hop, c.sound.rows = 11_025, 1022, 256, 256
    c.mixing.spread_db = 3.5  # volumes of .5 to 1.5 there
    c.encoder.name, c.encoder.layer = "resnet18_dilated", ""  # weights: torchvision's of ImageNet
    c.train_encoder, c.encoder_statistics = True, "batch"
    c.model.maps, c.model.levels, c.model.width = 32, 7, 64
    c.loss.mask, c.loss.weight, c.loss.threshold = "binary", "log", 0.5
    c.chunk.seconds = c.data.seconds
    c.batch_size, c.eval.batch_size = 80, 32  # 4 x 20
    c.steps, c.eval.every, c.save_every, c.log_every = 30_000, 1000, 1000, 100
    c.loader.workers = 8
    # Divided by 10 after 40 and 80 of 100 epochs there; the picture network learns at a tenth throughout.
    c.optim.separator = base.adam(1e-3, name="sgd", momentum=0.9, weight_decay=1e-4, decay="cosine")
    c.optim.separator.parts = ConfigDict({"encoder": 0.1, "head": 0.1})


VARIANTS = {
    "": base.unchanged,
    "tiny": _tiny,
    "audio_only": _audio_only,
    "stamps": _stamps,
    "videos": _videos,
    "paper_pixels": _paper_pixels,
}
