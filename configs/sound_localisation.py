"""Sound source localisation: where in a picture the sound of a clip comes from.

configs/sound_localisation.py             sounding scenes without boxes, nine minutes on two cores with the
                                          extra onednn
configs/sound_localisation.py:tiny        seconds, for a look and for the tests
configs/sound_localisation.py:supervised  every training clip has boxes
configs/sound_localisation.py:semi        a tenth of them has (--config.boxes=0.1)
configs/sound_localisation.py:stamps      Tux Paint's pictures on a background and the sounds of one or two of them
configs/sound_localisation.py:ezvsl       Mo and Morgado 2022 at its sizes on scenes of 224 pixels, an accelerator
configs/sound_localisation.py:lvs         Chen et al. 2021 likewise
configs/sound_localisation.py:slavc       Mo and Morgado 2022 (momentum encoder) likewise
configs/sound_localisation.py:videos      EZ-VSL on a folder of your videos, without boxes: --config.data.path=FOLDER
configs/sound_localisation.py:flickr      EZ-VSL on Flickr-SoundNet: also --config.data.annotation=FOLDER of its XML
configs/sound_localisation.py:vggss       EZ-VSL on VGG-SS: also --config.data.annotation=vggss.json
configs/sound_localisation.py:paper       Senocak et al. 2018 at its sizes on a folder of your videos, an accelerator:
                                          --config.model.weights=vgg16-397923af.pth --config.model.soundnet=FILE
                                          and for figures of the test --config.truth.boxes=True and its annotation

In the variants at published sizes --config.model.imagenet=resnet18-f37072fd.pth begins where the authors began, and
--config.model.released=FILE with what they released; --config.data.negatives=LIST adds SLAVC's negatives.
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("sound_localisation", variant)
    c.steps = 3000  # 96,000 clips
    c.batch_size = 32
    c.log_every, c.save_every = 50, 1000
    c.eval.every, c.eval.examples = 1000, 512
    c.eval.fit_examples = 1000  # of validation: the threshold from which a place is marked
    c.best = ""  # the last: without boxes there is nothing to choose a checkpoint by

    c.data.sounding = "one"  # of two or three objects: a random one is right in 5 of 12
    c.data.objects = (2, 3)
    c.data.seconds = 3.0  # EZ-VSL's

    c.boxes = 0.0  # share of the training clips whose boxes teach

    c.model = ConfigDict()  # arguments of models.joint.localiser.Localiser, and two paths:
    c.model.imagenet = ""  # of torchvision's resnet18, from which the picture's tower begins
    c.model.released = ""  # of the authors' weights of LVS, EZ-VSL or SLAVC
    c.model.trunk = "light"  # or "resnet18"
    c.model.dimension = 128  # of twelve kinds of objects
    c.model.projections = 1
    c.model.last_stride = 2  # of resnet18
    c.model.dropout_picture = c.model.dropout_sound = 0.0
    c.model.widths, c.model.depths = (32, 64, 128), (1, 1, 1)  # 14 x 14 places of 112 pixels, each of which sees 38
    c.model.sound_widths = (32, 64, 128)  # at an eighth to a sixteenth of 130 frames x 64 bands
    c.model.mels = 64
    # In dB. Objects are above it in some bands, a scene's ambience in few: where it is heard, it is the background that
    # is learnt, for it tells more.
    c.model.floor = 0.0
    c.model.standardised = True  # fresh networks see and hear all alike; so they begin apart
    c.model.dtype = "float32"  # "bfloat16" on accelerators

    c.loss = ConfigDict()  # arguments of systems.localising.networks.Loss
    c.loss.method = "ez_vsl"  # or "lvs", "slavc", "senocak"
    c.loss.unsupervised, c.loss.supervised = 1.0, 0.0
    c.loss.temperature = 0.07  # CLIP's first; EZ-VSL has 0.03
    c.loss.pooling = "sum"  # every place learns from the first step on; "max" is EZ-VSL's
    c.loss.silence = True  # a negative of every picture, so that scores compare between pictures
    c.loss.momentum = 0.999  # SLAVC's
    c.loss.normalised = True  # small boxes weigh as much as large ones

    # Of objects, beside the figures and never in them: arguments of known.localisers.object_prior.
    c.prior = ConfigDict()
    c.prior.name = "recogniser"
    c.prior.weights = ""  # path of torchvision's weights, for "resnet18"

    c.truth = ConfigDict()  # arguments of systems.localising.localisation_figures.Truth
    c.truth.boxes = True  # whether the data have any
    c.truth.several = "union"  # or "votes" of annotators
    c.truth.how = "corners"  # how maps are resized: EZ-VSL's
    c.truth.kinds = True  # whether the data say of which kind each box is
    c.truth.found = "pointing"  # objects of the scenes are too small for a cIoU of a half at the median

    c.optim.net = base.adam(2e-3, warmup=100, decay="cosine")
    return base.choose(c, VARIANTS)


def _supervised(c: ConfigDict) -> None:
    c.steps = 2000
    c.boxes = 1.0
    c.loss.unsupervised, c.loss.supervised = 0.0, 1.0
    c.best = "pointing"
    c.optim.net.clip = 5.0  # gradients of boxes are about 1, and once in some hundred steps a hundred times that


def _semi(c: ConfigDict) -> None:
    c.steps = 2000
    c.boxes = 0.1
    c.loss.supervised = 1.0
    c.optim.net.clip = 5.0


def _stamps(c: ConfigDict) -> None:
    c.steps = 5000
    c.data = ConfigDict({"name": "stamp_scenes", "seconds": 3.0})
    c.prior.name = "efficientnet_lite0"  # the recogniser knows drawn scenes only


def _published(c: ConfigDict) -> None:
    """What the authors of LVS, EZ-VSL and SLAVC have in common."""
    c.steps, c.batch_size = 22_500, 128  # 20 epochs of 144,000 clips: EZ-VSL's
    c.eval.every, c.save_every = 1125, 1125
    c.data.image_size = 224
    c.model.trunk, c.model.dimension, c.model.standardised = "resnet18", 512, False
    c.loss.pooling, c.loss.silence, c.loss.temperature = "max", False, 0.03
    c.prior.name = "efficientnet_lite0"  # or "resnet18" with its weights, as EZ-VSL has it
    c.optim.net = base.adam(1e-4)


def _ezvsl(c: ConfigDict) -> None:
    _published(c)


def _lvs(c: ConfigDict) -> None:
    _published(c)
    c.data.seconds = 10.0
    c.model.projections, c.model.last_stride = 0, 1
    c.loss.method, c.loss.temperature = "lvs", 0.07


def _slavc(c: ConfigDict) -> None:
    _published(c)
    c.model.projections, c.model.dropout_picture = 2, 0.9
    c.loss.method = "slavc"


def _of_videos(c: ConfigDict) -> None:
    c.data = ConfigDict({"name": "video_folder", "path": "", "seconds": 3.0, "size": 224, "fit": "squash"})
    c.truth.kinds = False
    c.loader.clip_seconds = 3.0


def _videos(c: ConfigDict) -> None:
    _published(c)
    _of_videos(c)
    c.steps, c.batch_size = 2000, 32  # of a laptop
    c.truth.boxes = False


def _annotated(c: ConfigDict) -> None:
    _published(c)
    _of_videos(c)
    # Boxes are the test's alone, so that none can choose a threshold, and none are the mean training map's.
    c.data.annotation, c.data.negatives = "", ""
    c.eval.test_examples = 10_316  # VGG-SS and as many negatives
    c.truth.found = "ciou"


def _flickr(c: ConfigDict) -> None:
    _annotated(c)
    c.truth.several = "votes"


def _vggss(c: ConfigDict) -> None:
    _annotated(c)


def _paper(c: ConfigDict) -> None:
    _of_videos(c)
    c.steps, c.batch_size = 100_000, 30
    c.data.seconds = c.loader.clip_seconds = 20.0
    c.data.size = 320
    c.data.annotation, c.truth.several = "", "votes"
    c.truth.boxes = False  # it learns without any; with an annotation of the test, True
    # VGG-16 without its last ReLU under an attention that listens to SoundNet's objects.
    c.model = ConfigDict({"picture": "vgg16", "weights": "", "size": 320, "soundnet": "", "hidden": 1000})
    c.loss.method, c.loss.temperature, c.loss.pooling = "senocak", 1.0, "max"
    c.loss.silence, c.loss.normalised = False, False
    c.prior.name = "efficientnet_lite0"
    c.optim.net = base.adam(1e-4)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 4, 8
    c.data.image_size, c.data.seconds = 48, 1.0
    c.model.dimension, c.model.widths, c.model.depths, c.model.sound_widths = 16, (8, 8, 8), (1, 1, 1), (8, 8)
    c.boxes, c.loss.supervised = 0.5, 1.0
    c.log_every, c.save_every, c.eval.every = 2, 2, 2
    c.eval.batch_size, c.eval.examples, c.eval.test_examples = 8, 8, 8
    c.eval.gallery, c.eval.fit_examples = 4, 8


VARIANTS = {
    "": base.unchanged,
    "tiny": _tiny,
    "supervised": _supervised,
    "semi": _semi,
    "stamps": _stamps,
    "ezvsl": _ezvsl,
    "lvs": _lvs,
    "slavc": _slavc,
    "videos": _videos,
    "flickr": _flickr,
    "vggss": _vggss,
    "paper": _paper,
}
