"""Joint embeddings: pictures, captions and sounds as points of one space.

configs/joint_embedding.py              sounding scenes, pictures and captions, VSE++: five minutes
configs/joint_embedding.py:light        a quarter of its multiply-adds: --config.distil.of=embeddings and its workdir
configs/joint_embedding.py:tiny         seconds, for a look and for the tests
configs/joint_embedding.py:vsepp        the default by its name: hinges with the hardest negatives
configs/joint_embedding.py:vse          hinges with all negatives
configs/joint_embedding.py:contrastive  pairs pulled together and pushed apart by their distance
configs/joint_embedding.py:devise       pictures into frozen word vectors: --config.caption.words=runs/skipgram
configs/joint_embedding.py:recipe       im2recipe: the cosine loss and semantic regularisation
configs/joint_embedding.py:gaussian     PCME++: probabilistic embeddings, uncertainty reported
configs/joint_embedding.py:sound        pictures and sounds
configs/joint_embedding.py:three        pictures, captions and sounds in one space
configs/joint_embedding.py:stamps       Tux Paint's stamps on ImageNet features, the extra `pretrained`: five minutes
configs/joint_embedding.py:stamps_scratch  the same from scratch
configs/joint_embedding.py:emoji        Noto's emoji, tested on emoji never seen, on ImageNet features: five minutes
configs/joint_embedding.py:openmoji     the same, tested on OpenMoji's drawings of them
configs/joint_embedding.py:emoji_scratch   Noto's emoji from scratch
configs/joint_embedding.py:folder       a folder of your own pictures with captions: --config.data.path=DIR
configs/joint_embedding.py:coco         COCO captions through TFDS on ImageNet features: an accelerator
configs/joint_embedding.py:paper        VSE++'s sizes on COCO, VGG-19: --config.image.weights=FILE
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("joint_embedding", variant)
    c.steps = 1600
    c.batch_size = 64
    c.eval.every, c.save_every = 400, 400
    c.eval.batch_size, c.eval.examples, c.eval.gallery = 64, 1024, 96
    c.eval.probes = ("blank:image", "shuffle:image", "shuffle:captions_tokens")
    c.best = "image_to_caption_batch_r@1"

    c.data.tokens = ConfigDict(
        {
            "kind": "words",
            "rules": "unicode",
            "min_count": 1,
            "max_words": 10_000,
            "length": 24,
            "captions": 5,
            "examples": 5000,
        }
    )
    c.sides = ("image", "caption")  # two or three of image, caption, waveform
    c.label = "scene"  # the field whose classes are named by prompts; "" for none
    c.tags = "objects"  # the field of tags; "" for none
    c.prompts = ("a {}",)
    c.weights = ""  # of CLIP's towers, see configs/clip.py

    c.image = ConfigDict()  # arguments of known.towers.image
    c.image.name = "scene"  # and of known.encoders.make
    c.image.layer = "features"
    c.image.weights = ""
    c.image.widths = (32, 64, 96)
    c.image.trained = True
    c.image.normalise = False  # VSE++ divides VGG's features by their length
    c.image.statistics = "batch"  # of BatchNorm in training; "running" leaves those of published weights alone
    c.image.dtype = "float32"

    c.caption = ConfigDict()  # arguments of known.towers.text
    c.caption.network = "gru"
    c.caption.embed, c.caption.hidden = 128, 256  # a vocabulary of 60 words needs no more
    c.caption.words = ""  # a skip-gram workdir, or a file of word vectors, whose size is then `embed`
    c.caption.trained = True
    c.caption.project = True  # a linear layer behind the GRU; in VSE++ its state is the point
    c.caption.dtype = "float32"

    c.waveform = ConfigDict()  # arguments of known.towers.sound
    c.waveform.soundnet = ""  # the workdir of a run of configs/soundnet.py, or published weights; "" = from scratch
    c.waveform.layer = "pool5"
    c.waveform.trained = True
    c.waveform.depth, c.waveform.width = 8, 0.25
    c.waveform.dtype = "float32"

    c.model = ConfigDict()  # arguments of models.joint.joint_embedding.Head
    c.model.dimension = 256
    c.model.squash = "none"
    c.model.unit = True

    c.method = "triplet"
    # From scratch the hardest negatives alone hold the points together: with 200 steps of all negatives first the loss
    # stayed at two margins for as long as we looked, with 800 it goes on to 0.86 of the batch found first.
    c.loss = ConfigDict({"margin": 0.2, "negatives": "hardest", "warmup": 800, "block": 0})

    c.optim.embedding = base.adam(1e-3, warmup=100, decay="cosine", clip=2.0)
    base.choose(c, VARIANTS)
    # The learning rate of each side, as a share.
    c.optim.embedding.parts = ConfigDict({"image": 1.0, "caption": 1.0, "waveform": 1.0, "shared": 1.0})
    return c


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 12, 8
    c.data.image_size = 32
    c.data.tokens.examples = 200
    c.image.widths = (8, 8, 8)
    c.caption.embed, c.caption.hidden, c.model.dimension = 8, 16, 16
    c.log_every, c.save_every, c.eval.every = 4, 6, 6
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 8, 16, 24, 12
    c.eval.probes = ("shuffle:image",)


def _vse(c: ConfigDict) -> None:
    c.loss.negatives, c.loss.warmup = "sum", 0


def _contrastive(c: ConfigDict) -> None:
    c.method = "contrastive"
    # Points of length 1 are at most 2 apart, strangers sqrt(2).
    c.loss = ConfigDict({"margin": 1.0, "share": 0.8})


def _devise(c: ConfigDict) -> None:
    c.method = "devise"
    c.label = "objects"  # of several the one in front
    c.caption.network, c.caption.embed, c.caption.trained = "mean", 100, False  # as wide as skipgram.py's
    del c.caption.hidden
    c.caption.words = "runs/skipgram"  # of train.py --config=configs/skipgram.py
    c.model.dimension = 100
    c.prompts = ("{}",)  # a label's vector is its own words' alone
    c.loss = ConfigDict({"margin": 0.1, "drawn": False})
    c.best = "zero_shot_image"


def _recipe(c: ConfigDict) -> None:
    c.method = "recipe"
    c.model.squash = "tanh"
    c.loss = ConfigDict({"margin": 0.1, "share": 0.8, "cosine_weight": 0.98, "class_weight": 0.01})


def _gaussian(c: ConfigDict) -> None:
    c.method = "gaussian"
    c.loss = ConfigDict({"pseudo": 0.1, "information": 1e-4, "block": 0})


def _sound(c: ConfigDict) -> None:
    c.sides = ("image", "waveform")
    c.tags = ""
    c.steps, c.batch_size, c.eval.batch_size = 900, 32, 32
    c.best = "image_to_waveform_batch_r@1"
    c.eval.probes = ("blank:image", "shuffle:image", "shuffle:waveform")


def _three(c: ConfigDict) -> None:
    _sound(c)
    c.sides = ("image", "waveform", "caption")
    c.tags = "objects"
    c.best = "image_to_caption_batch_r@1"
    c.eval.probes = ("shuffle:image", "shuffle:waveform", "shuffle:captions_tokens")


def _features(c: ConfigDict) -> None:
    """Published weights, as they are."""
    c.image.name, c.image.layer = "efficientnet_lite0", "pooled"
    c.image.trained, c.image.statistics = False, "running"


def _stamps(c: ConfigDict) -> None:
    _stamps_scratch(c)
    _features(c)
    c.loader.pixels = 0  # 224, as the network has learned
    c.steps, c.eval.every, c.save_every = 300, 100, 100


def _stamps_scratch(c: ConfigDict) -> None:
    c.data = ConfigDict({"name": "tux_stamps", "tokens": c.data.tokens})  # split by caption
    c.data.tokens.captions = 1
    c.loader.pixels = 112
    c.label, c.tags = "label", ""
    c.steps, c.eval.every, c.save_every = 600, 200, 200
    c.best = ""  # 70 stamps choose nothing
    _vse(c)  # so few pictures have hardly any hard negatives


def _emoji(c: ConfigDict) -> None:
    _emoji_scratch(c)
    _features(c)
    c.steps, c.eval.every, c.save_every = 300, 100, 100


def _openmoji(c: ConfigDict) -> None:
    _emoji(c)
    c.test_split = "openmoji"


def _emoji_scratch(c: ConfigDict) -> None:
    # Nobody tells a flag's country by the flags of others.
    c.data = ConfigDict({"name": "emoji", "without": ("Flags",), "tokens": c.data.tokens})
    c.loader.pixels = 112
    c.label, c.tags = "label", "tags"
    c.steps, c.eval.every, c.save_every = 800, 200, 200
    c.best = ""
    _vse(c)


def _folder(c: ConfigDict) -> None:
    _features(c)
    c.data = ConfigDict({"name": "captioned_images", "path": "", "tokens": c.data.tokens})
    c.data.tokens.examples, c.data.tokens.max_words = 0, 0
    c.label = c.tags = ""
    c.caption.embed, c.caption.hidden, c.model.dimension = 300, 512, 512


def _coco(c: ConfigDict) -> None:
    _folder(c)
    c.data = ConfigDict({"name": "coco_captions/2014", "tokens": c.data.tokens})
    c.data.tokens.min_count = 4  # VSE++'s
    c.validation_split = "val"  # Karpathy's splits, without "restval" in the training
    c.loader.pixels = 224
    c.batch_size = c.eval.batch_size = 128
    c.steps, c.eval.every, c.save_every, c.log_every = 30_000, 5000, 2500, 100
    c.loader.workers = 8
    c.eval.examples, c.eval.test_examples = 5000, 5000
    c.caption.hidden, c.model.dimension = 1024, 1024
    c.caption.project, c.image.normalise = False, True
    c.optim.embedding = base.adam(2e-4, clip=2 / 128)  # VSE++ clips the gradient of the batch's sum at 2


def _paper(c: ConfigDict) -> None:
    _coco(c)
    c.image.name, c.image.layer = "vgg19", "fc7"
    c.loss.warmup = 0
    c.steps = 97_050  # 30 epochs of 414,113 captions
    # The rate falls to a tenth for the second half: here evenly, to the same end. Pictures are squashed, not cropped.
    c.optim.embedding = base.adam(2e-4, decay="exponential", decay_rate=0.1 ** (1 / 97_050), clip=2 / 128)


def _light(c: ConfigDict) -> None:
    # 0.24 and 0.25 of the multiply-adds of pictures and captions; what they cost is in docs/results.md.
    c.image.widths = (16, 28, 44)
    c.caption.embed, c.caption.hidden = 64, 128


VARIANTS = {
    "": base.unchanged,
    "light": _light,
    "tiny": _tiny,
    "vsepp": base.unchanged,
    "vse": _vse,
    "contrastive": _contrastive,
    "devise": _devise,
    "recipe": _recipe,
    "gaussian": _gaussian,
    "sound": _sound,
    "three": _three,
    "stamps": _stamps,
    "stamps_scratch": _stamps_scratch,
    "emoji": _emoji,
    "openmoji": _openmoji,
    "emoji_scratch": _emoji_scratch,
    "folder": _folder,
    "coco": _coco,
    "paper": _paper,
}
