"""A picture in units of speech, without text (Hsu et al. 2021).

configs/image_to_units.py           the drawn world's own units: the true ones, on the map of our recogniser
configs/image_to_units.py:tiny      seconds, for a look and for the tests
configs/image_to_units.py:learned   units that a run of configs/units.py hears: --config.units=WORKDIR
configs/image_to_units.py:folder    the same on spoken captions of your own pictures: also --config.data.path=DIR
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base
from mmjax.models.text.show_attend_tell import PRESETS


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("image_to_units", variant)
    c.steps = 6000  # ten minutes
    c.batch_size = 16
    c.eval.every, c.save_every = 500, 250
    c.eval.examples, c.eval.test_examples = 128, 300
    c.eval.fit_examples = 1000  # training captions that the baselines choose from
    c.best, c.best_mode = "nll", "min"

    c.units = ""  # workdir of configs/units.py; "" for the units that the data knows
    c.seconds = 4.4  # of an utterance that are heard: nine of ten are shorter
    c.length = 64  # units; nine of ten captions of the drawn world have at most 54

    c.encoder = ConfigDict()  # arguments of known.encoders.make
    # Our small network that knows the things of these pictures, as the paper's knows ImageNet's, at a tenth of the
    # writer's rate. With dropout of 0.1: 0.222 nats a unit after 3,000 steps, 0.266 with it as it is (it knows no
    # colours), 0.298 with one from scratch, whose units told scene and colours, and neither what a thing is nor where.
    c.encoder.name = "recogniser"
    c.encoder.layer = ""  # its map of 14 x 14 places
    c.encoder.weights = ""
    c.encoder.widths = (32, 64, 96)  # of "scene", which is trained from scratch
    c.encoder.dtype = "float32"
    c.train_encoder = True
    c.encoder_statistics = "running"

    c.network = "show_attend_tell"
    c.model = ConfigDict()  # arguments of models.text.show_attend_tell.ShowAttendTell
    c.model.update(PRESETS["official"])
    c.model.initialiser = "torch"  # as configs/captioning.py, and for its reasons
    c.model.kind = "soft"
    c.model.embed, c.model.hidden = 64, 256
    c.model.expected = 0.5
    c.model.dropout = 0.0  # no picture comes twice
    c.model.dtype = "float32"

    c.loss = ConfigDict()  # arguments of losses.captions.caption_loss
    c.loss.per = "caption"  # beside the mean over words the term for attention would weigh forty times as much
    c.loss.attention = 0.1
    c.loss.reduction = "sum"
    c.loss.reinforce = 0.0
    c.loss.entropy = 0.0
    c.loss.reward = "caption"

    c.decode = ConfigDict()  # arguments of decode.beam
    c.decode.size = 5  # the paper's
    c.decode.semantics = "shrinking"
    c.decode.penalty = "mean"  # by length: without it beam search ends half of the sentences before their first unit

    c.sample = ConfigDict({"temperature": 0.4, "top_k": 3})  # arguments of decode.sample: the paper's

    c.optim.captioner = base.adam(2e-3, warmup=100, decay="cosine", clip=5.0)
    c.optim.captioner.parts = ConfigDict({"encoder": 0.1})  # its learning rate, as a share, where it is trained
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 4, 8
    c.data.image_size = 32
    c.length = 24
    c.encoder.name, c.train_encoder, c.encoder_statistics = "scene", True, "batch"
    c.encoder.widths = (4, 4, 8)
    c.model.embed, c.model.hidden = 8, 16
    c.log_every, c.save_every, c.eval.every = 2, 2, 2
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 16, 8, 12, 4
    c.eval.fit_examples = 16


def _learned(c: ConfigDict) -> None:
    c.data.voices = "held_out"  # as the units' run
    c.length = 176  # 37 a second: 167 at most in as much as is heard; 96 cut three captions of four


def _folder(c: ConfigDict) -> None:
    _learned(c)
    c.data = ConfigDict({"name": "spoken_captions", "path": ""})
    # Published weights, as they are: 14 x 14 places of 112 channels. Few people have spoken captions by the thousand.
    c.train_encoder = False
    c.encoder.name, c.encoder.layer = "efficientnet_lite0", "stage5"
    c.model.embed, c.model.hidden, c.model.dropout = 128, 512, 0.5
    c.optim.captioner.parts = ConfigDict({"encoder": 1.0})


VARIANTS = {"": base.unchanged, "tiny": _tiny, "learned": _learned, "folder": _folder}
