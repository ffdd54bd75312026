"""Pictures of a class: a conditional GAN (Mirza and Osindero 2014) with convolutions.

configs/conditional_gan.py           scenes of one object, told its class and, while it learns, its box: five minutes
configs/conditional_gan.py:tiny      seconds, for a look and for the tests
configs/conditional_gan.py:paper     DCGAN's rules on the networks of GAN-CLS, told the class of your data
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("conditional_gan", variant)
    c.steps, c.batch_size = 3500, 16
    c.eval.every, c.save_every = 1500, 500
    c.eval.examples, c.eval.fit_examples = 256, 4000
    # Or ("recogniser", "inception:FILE") with pt_inception-2015-12-05-6726825d.pth: the FID that papers report, beside
    # our own network's.
    c.eval.judges = ("recogniser",)
    c.inception = ""  # the former way to say that: FILE; for one release

    c.size = 64  # of the pictures, which the data must have
    c.data.image_size = 64
    c.data.objects = (1, 1)  # `label` is the class of the loudest object: of the only one
    c.classes = 12
    c.seen = True  # whether the classes are those that our recognition network tells apart

    c.code = 36
    c.critic_steps = 1  # updates of the discriminator in each step

    c.generator = ConfigDict()
    c.generator.kind = "placed"  # or "layered", which needs no boxes, or "reed"
    c.generator.ground = 16
    c.generator.sheet = 32
    c.generator.text = 128  # the class goes through a layer of this width
    c.generator.dtype = "float32"

    c.discriminator = ConfigDict()
    c.discriminator.kind = "placed"
    c.discriminator.features = 16
    c.discriminator.inside = 32
    c.discriminator.embed = 0  # 0: none; else as wide as what is told, whatever the number
    c.discriminator.spectral = True
    c.discriminator.one_way = True
    c.discriminator.dtype = "float32"

    c.loss = ConfigDict()  # the rules of the game: systems.drawing.game.Rules
    c.loss.kind = "hinge"
    c.loss.match = True  # real pictures with wrong classes are refused as well
    c.loss.wrong_share = 0.5
    c.loss.interpolate = 0.0
    c.loss.r1 = 0.0
    c.loss.matching_aware = 0.0
    c.loss.contrast = 0.0
    c.loss.scale = 10.0
    c.loss.paired = 20.0
    c.loss.average = 0.997

    c.optim.disc = base.adam(1e-3, b1=0.5, b2=0.99)
    c.optim.gen = base.adam(1e-3, b1=0.5, b2=0.99)
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 8, 8
    # Half the layers of 64 pixels to compile, which is what these seconds are spent on; scenes have 32 at least.
    c.size, c.data.image_size, c.loader.pixels = 16, 32, 16
    c.code, c.generator.ground, c.generator.sheet, c.generator.text = 12, 4, 4, 8
    c.discriminator.features, c.discriminator.inside = 4, 4
    c.log_every, c.save_every, c.eval.every = 4, 4, 4
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 8, 12, 20, 8
    c.eval.fit_examples = 40


def _paper(c: ConfigDict) -> None:
    c.generator = ConfigDict({"kind": "reed", "features": 128, "text": 128, "dtype": "float32"})
    c.discriminator = ConfigDict({"kind": "reed", "features": 64, "text": 128, "dtype": "float32"})
    c.code = 100
    c.loss.kind, c.loss.match, c.loss.average = "bce", False, 0.0
    c.loss.paired = 0.0
    c.batch_size = c.eval.batch_size = 64
    c.optim.disc = base.adam(2e-4, b1=0.5)  # DCGAN's
    c.optim.gen = base.adam(2e-4, b1=0.5)
    c.steps, c.eval.every, c.save_every, c.log_every = 100_000, 5000, 5000, 100


VARIANTS = {"": base.unchanged, "tiny": _tiny, "paper": _paper}
