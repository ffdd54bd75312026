"""Recognition of objects and scenes in pictures: the visual teacher of the systems on the default data.

configs/recognition.py          sounding scenes: about two minutes on two cores
configs/recognition.py:light    a quarter of its multiply-adds; with a teacher: --config.distil.workdir=runs/recognition
configs/recognition.py:tiny     seconds, for a look and for the tests

The weights that ship with mmjax are its result: `mmjax export-recogniser WORKDIR` exports them.
"""

from ml_collections import ConfigDict

from mmjax.data.scenes import names
from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("recognition", variant)
    c.steps = 2500  # validation object_kl every 500 steps: 1.01, 0.49, 0.30, 0.26, 0.24
    c.batch_size = 32
    c.eval.every, c.eval.examples, c.save_every = 500, 512, 500
    c.best, c.best_mode = "object_kl", "min"  # a teacher is as good as its distribution

    c.names = ConfigDict()  # the classes, in the order of the data set's numbers; they size the heads
    c.names.object = names.OBJECTS
    c.names.scene = names.SCENES

    c.model = ConfigDict()  # arguments of models.vision.recogniser.Recogniser
    c.model.widths = (32, 64, 96)  # 10 ms for 32 pictures on two cores: it runs in every SoundNet step
    c.model.depths = (1, 2, 2)  # what an object is shows at stride 8, so most blocks are there
    c.model.dtype = "float32"  # "bfloat16" on accelerators

    c.loss = ConfigDict()
    c.loss.flip = True  # nothing in a picture tells left from right, and flips double the data

    # Cosine to zero: the last steps at a small rate sharpen the distribution. Warm-up and clip: the heads read a
    # maximum, whose scale is large at first, and the first gradients are several times the later ones.
    c.optim.net = base.adam(3e-3, name="adamw", weight_decay=0.01, warmup=100, decay="cosine", clip=1.0)
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 12, 8
    c.model.widths, c.model.depths = (8, 8, 8), (1, 1, 1)
    c.log_every, c.save_every, c.eval.every = 4, 6, 6
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 8, 12, 20, 8


def _light(c: ConfigDict) -> None:
    # 0.24 of the multiply-adds, 0.22 of the parameters. c.model.separable = True at full width is as cheap (0.22, 0.16)
    # and learns less in as many steps: a visible object in 0.894 of the test, against 0.957 here.
    c.model.widths = (16, 28, 44)


VARIANTS = {"": base.unchanged, "light": _light, "tiny": _tiny}
