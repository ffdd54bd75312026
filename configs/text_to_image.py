"""Text to image: GAN-CLS/INT (Reed et al. 2016) and its successors' stabilisers.

configs/text_to_image.py             scenes of one object, told what and where while it learns: nine minutes
configs/text_to_image.py:tiny        seconds, for a look and for the tests
configs/text_to_image.py:layered     the same without the boxes of the objects
configs/text_to_image.py:two         scenes of two objects, without boxes
configs/text_to_image.py:dfgan       the default's data by DF-GAN's hinge, one-way output and matching-aware penalty
configs/text_to_image.py:emoji       emoji and their names, drawn by their font
configs/text_to_image.py:stamps      Tux Paint's stamps
configs/text_to_image.py:folder      a folder of your own captioned pictures: --config.data.path=DIR
configs/text_to_image.py:paper       the official networks and rules on captioned pictures: --config.data.path=DIR
configs/text_to_image.py:flowers     the same on oxford_flowers102 of the catalogue: --config.data.captions=text_c10
configs/text_to_image.py:birds       the same on caltech_birds2011
"""

from ml_collections import ConfigDict

from mmjax.data.scenes import names
from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("text_to_image", variant)
    # Of the validation pictures, the recognition network sees the class that the caption names in 0.56, 0.67, 0.70,
    # 0.74 and 0.77 after 1500, 3000, 4500, 6000 and 7000 steps, of real ones in 0.86. More steps help.
    c.steps = 7000
    c.batch_size = 16  # more, smaller steps: 0.32 of the colours right after 105 s, 0.24 after 163 s with 32
    c.eval.every, c.save_every = 1500, 500
    c.eval.examples, c.eval.fit_examples = 256, 4000
    # Or ("recogniser", "inception:FILE") with pt_inception-2015-12-05-6726825d.pth: the FID that papers report, beside
    # our own network's.
    c.eval.judges = ("recogniser",)
    c.inception = ""  # the former way to say that: FILE; for one release

    c.size = 64  # of the pictures, which the data must have
    c.data.image_size = 64
    c.data.objects = (1, 1)  # one object: what a caption names is then what a picture must show; see `:two`
    c.data.tokens = ConfigDict({"kind": "words", "rules": "unicode", "min_count": 1, "max_words": 10_000, "length": 16})

    c.names = ConfigDict()  # whose words in a caption are looked for in the pictures; () where nobody knows
    c.names.object = names.OBJECTS
    c.names.colour = names.COLOURS

    c.model = ConfigDict()  # both sides of the joint embedding that is trained along
    # Or, in place of its text encoder, a workdir of configs/joint_embedding.py or configs/clip.py, or "minilm".
    c.model.text = ""
    c.model.kind = "words"  # or "char_cnn_rnn", with data.tokens.kind "characters"
    c.model.features = 64
    c.model.widths = (32, 64, 96)
    c.model.depths = (1, 1, 1)
    c.model.preset = "icml2016"  # of char_cnn_rnn
    c.model.dtype = "float32"

    c.embedding = ConfigDict()  # its loss
    c.embedding.name = "contrastive"  # or "triplet", the paper's
    c.embedding.scale = 10.0
    c.embedding.margin = 1.0  # of the triplets, on inner products

    # Wrong captions made of right ones, beside those of other pictures: a random other caption differs in scene and
    # colour, and the class is learned late. After 2400 steps 0.67 of the classes right with two, 0.5 without.
    c.foils = 2
    c.exchange = ConfigDict()  # groups of words; exchanging one for another makes a caption wrong
    c.exchange.object = (names.OBJECTS, names.VERBS)  # lists that change together
    c.exchange.colour = (names.COLOURS,)

    c.code = 36
    c.critic_steps = 1  # updates of the discriminator in each step

    c.generator = ConfigDict()
    c.generator.kind = "placed"  # or "layered", which needs no boxes, or "reed"
    c.generator.ground = 16
    c.generator.sheet = 32
    c.generator.text = 128
    c.generator.dtype = "float32"

    c.discriminator = ConfigDict()
    c.discriminator.kind = "placed"
    c.discriminator.features = 16
    c.discriminator.inside = 32
    c.discriminator.embed = 64  # 0: none; else as wide as what is told, whatever the number
    c.discriminator.spectral = True
    c.discriminator.one_way = True
    c.discriminator.dtype = "float32"

    c.loss = ConfigDict()  # the rules of the game: systems.drawing.game.Rules
    c.loss.kind = "hinge"
    c.loss.match = True
    c.loss.wrong_share = 0.5
    c.loss.interpolate = 0.0
    c.loss.r1 = 0.0
    c.loss.matching_aware = 0.0
    c.loss.contrast = 1.0
    c.loss.scale = 10.0
    c.loss.paired = 20.0
    c.loss.average = 0.997

    c.optim.text = base.adam(1e-3)
    # After 1200 steps, 0.54 of the colours right and 0.16 of the classes; 0.51 and 0.15 with b1 = 0 and rates of 5e-4.
    c.optim.disc = base.adam(1e-3, b1=0.5, b2=0.99)
    c.optim.gen = base.adam(1e-3, b1=0.5, b2=0.99)
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 8, 8
    # Half the layers of 64 pixels to compile, which is what these seconds are spent on; scenes have 32 at least.
    c.size, c.data.image_size, c.loader.pixels = 16, 32, 16
    c.data.tokens.examples = 200
    c.model.widths, c.model.features = (8, 8, 8), 8
    c.foils = 1  # each is drawn by a program of its own
    c.code, c.generator.ground, c.generator.sheet, c.generator.text = 12, 4, 4, 8
    c.discriminator.features, c.discriminator.inside, c.discriminator.embed = 4, 4, 8
    c.log_every, c.save_every, c.eval.every = 4, 4, 4
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 8, 12, 20, 8
    c.eval.fit_examples = 40


def _layered(c: ConfigDict) -> None:
    """Networks that find for themselves where an object is: for pictures without boxes. They learn more slowly."""
    c.steps, c.foils = 4000, 0  # eight minutes; the class right in 0.31 of the test pictures
    c.generator = ConfigDict(
        {"kind": "layered", "objects": 1, "ground": 16, "sheet": 32, "text": 128, "dtype": "float32"}
    )
    c.discriminator = ConfigDict({"kind": "layered", "features": 32, "embed": 64, "places": True, "spectral": True})
    c.discriminator.one_way, c.discriminator.dtype = True, "float32"
    c.code, c.loss.paired = 48, 0.0


def _two(c: ConfigDict) -> None:
    _layered(c)
    c.data.objects = (2, 2)
    c.generator.objects, c.code = 2, 80
    c.data.tokens.length = 24


def _dfgan(c: ConfigDict) -> None:
    c.loss.contrast, c.discriminator.embed = 0.0, 0
    c.discriminator.spectral = False
    c.loss.matching_aware = 2.0
    c.optim.disc = base.adam(4e-4, b1=0.0, b2=0.9)  # the official code's rates
    c.optim.gen = base.adam(1e-4, b1=0.0, b2=0.9)


def _unnamed(c: ConfigDict) -> None:
    """Pictures of which nobody knows classes and colours."""
    c.names.object = c.names.colour = ()
    c.foils, c.exchange = 0, ConfigDict()


def _emoji(c: ConfigDict) -> None:
    _layered(c)
    _unnamed(c)
    c.data = ConfigDict({"name": "emoji", "size": 64, "tokens": c.data.tokens})


def _stamps(c: ConfigDict) -> None:
    _layered(c)
    _unnamed(c)
    c.data = ConfigDict({"name": "tux_stamps", "size": 64, "tokens": c.data.tokens})


def _folder(c: ConfigDict) -> None:
    _layered(c)
    _unnamed(c)
    c.data = ConfigDict({"name": "captioned_images", "path": "", "size": 64, "tokens": c.data.tokens})
    c.data.tokens.length = 24


def _flowers(c: ConfigDict) -> None:
    _paper(c)
    tokens = c.data.tokens
    c.data = ConfigDict({"name": "captioned_catalogue", "of": "oxford_flowers102", "captions": "", "size": 64})
    c.data.tokens = tokens


def _birds(c: ConfigDict) -> None:
    _flowers(c)
    c.data.of = "caltech_birds2011"
    c.train_split, c.validation_split = "train[:90%]", "train[90%:]"  # it has no validation split


def _paper(c: ConfigDict) -> None:
    _folder(c)
    c.data.tokens = ConfigDict(
        {"kind": "characters", "rules": "unicode", "min_count": 1, "max_words": 0, "length": 201}
    )
    c.model.kind, c.model.features = "char_cnn_rnn", 1024
    c.embedding.name = "triplet"
    c.code = 100
    c.generator = ConfigDict({"kind": "reed", "features": 128, "text": 128, "dtype": "float32"})
    c.discriminator = ConfigDict({"kind": "reed", "features": 64, "text": 128, "dtype": "float32"})
    c.loss.kind, c.loss.contrast, c.loss.average = "bce", 0.0, 0.0
    c.loss.interpolate = 1.0  # cls_weight 0.5, interp_weight 1 in the official scripts
    c.batch_size = c.eval.batch_size = 64
    # 600 epochs of CUB's 8,855 pictures for training and validation; halved every 100 of them, here evenly.
    epoch = 8855 // 64
    c.steps = 600 * epoch
    for player in ("disc", "gen"):
        c.optim[player] = base.adam(2e-4, b1=0.5, decay="exponential", decay_rate=0.5 ** (1 / (100 * epoch)))
    c.optim.text = base.adam(7e-4, name="rmsprop", decay="exponential", decay_rate=0.98 ** (1 / epoch))
    c.optim.text.b2 = 0.99
    c.eval.every, c.save_every, c.log_every = 5000, 5000, 100
    c.loader.workers = 8


VARIANTS = {
    "": base.unchanged,
    "tiny": _tiny,
    "layered": _layered,
    "two": _two,
    "dfgan": _dfgan,
    "emoji": _emoji,
    "stamps": _stamps,
    "folder": _folder,
    "paper": _paper,
    "flowers": _flowers,
    "birds": _birds,
}
