"""CLIP (Radford et al. 2021): a picture tower and a text tower, a learned temperature, cross-entropy over the batch.

configs/clip.py              sounding scenes, a small vision transformer: nine minutes
configs/clip.py:tiny         seconds, for a look and for the tests
configs/clip.py:siglip       the default with the sigmoid loss (Zhai et al. 2023)
configs/clip.py:resnet       the default with CLIP's ResNet for pictures
configs/clip.py:emoji        Noto's emoji from scratch, tested on OpenMoji's drawings of emoji never seen
configs/clip.py:folder       a folder of your own pictures with captions: --config.data.path=DIR
configs/clip.py:finetune     ViT-B/32 from published weights on such a folder: --config.weights=FILE
configs/clip.py:zero_shot    the same as they are, without training: retrieval, and classes by prompts
configs/clip.py:paper        ViT-B/32 at the paper's sizes and batch, from scratch: accelerators

The task is that of configs/joint_embedding.py: retrieval, tags, zero-shot classes, and how the two clouds lie.
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("joint_embedding", variant)
    c.steps = 2000
    c.batch_size = 64
    c.eval.every, c.save_every = 500, 500
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
    c.sides = ("image", "caption")
    c.label = "scene"  # the field whose classes are named by prompts; "" for none
    c.tags = "objects"  # the field of tags; "" for none
    c.prompts = ("a {}",)
    c.weights = ""  # published weights of both towers, OpenAI's or open_clip's

    c.image = ConfigDict()  # of a kind of models.joint.clip
    c.image.name = "vit"
    c.image.width, c.image.layers, c.image.heads = 128, 6, 4
    c.image.patch, c.image.image_size = 14, 112
    c.image.embed = 128
    c.image.activation = "gelu"  # OpenAI's weights are for quick_gelu
    c.image.dtype = "float32"
    c.image.remat = False
    c.image.inside = 0  # of each block's network; 0 = four times the width
    c.image.trained = True

    c.caption = ConfigDict()  # of models.text.text_transformer
    c.caption.network = "transformer"
    c.caption.width, c.caption.layers, c.caption.heads = 128, 3, 4
    c.caption.context = 25  # the length of the captions and <start>
    c.caption.embed = 128
    c.caption.activation = "gelu"
    c.caption.words = ""
    c.caption.trained = True
    c.caption.dtype = "float32"
    c.caption.remat = False

    c.model = ConfigDict({"dimension": 0, "squash": "none", "unit": True})  # the towers have their own last layer

    c.method = "clip"
    c.loss = ConfigDict({"block": 0})  # columns at a time; 0 = all at once

    c.optim.embedding = base.adam(
        1e-3, name="adamw", warmup=200, decay="cosine", weight_decay=0.2, b2=0.98, eps=1e-6, clip=1.0
    )
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 12, 8
    c.data.image_size = 32
    c.data.tokens.examples = 200
    # A second block would be compiled in five programs, and predictions of a second batch are a program of their own.
    c.image.width, c.image.layers, c.image.heads, c.image.embed = 16, 1, 2, 16
    c.image.patch, c.image.image_size = 8, 32
    c.caption.width, c.caption.layers, c.caption.heads, c.caption.embed = 16, 1, 2, 16
    c.log_every, c.save_every, c.eval.every = 4, 6, 6
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 24, 24, 24, 12
    c.eval.probes = ("shuffle:image",)


def _siglip(c: ConfigDict) -> None:
    c.method = "siglip"


def _resnet(c: ConfigDict) -> None:
    c.image = ConfigDict(
        {"name": "resnet", "layers": (1, 1, 1, 1), "width": 16, "heads": 8, "embed": 128, "image_size": 96}
    )
    c.image.dtype, c.image.remat, c.image.trained = "float32", False, True
    c.data.image_size = 96  # a multiple of 32
    c.steps = 1000


def _emoji(c: ConfigDict) -> None:
    # Nobody tells a flag's country by the flags of others.
    c.data = ConfigDict({"name": "emoji", "without": ("Flags",), "tokens": c.data.tokens})
    c.loader.pixels = 112
    c.label, c.tags = "label", "tags"
    c.test_split = "openmoji"
    c.best = ""
    c.steps, c.eval.every, c.save_every = 1000, 250, 250


def _folder(c: ConfigDict) -> None:
    c.data = ConfigDict({"name": "captioned_images", "path": "", "tokens": c.data.tokens})
    c.data.tokens.examples, c.data.tokens.max_words = 0, 0
    c.loader.pixels = 112
    c.label = c.tags = ""


def _published(c: ConfigDict) -> None:
    """ViT-B/32."""
    c.image.width, c.image.layers, c.image.heads, c.image.embed = 768, 12, 12, 512
    c.image.patch, c.image.image_size = 32, 224
    c.caption.width, c.caption.layers, c.caption.heads, c.caption.embed = 512, 12, 8, 512
    c.caption.context = 77
    c.image.activation = c.caption.activation = "quick_gelu"
    c.data.tokens.kind, c.data.tokens.length = "bpe", 76
    c.data.tokens.max_words = 0
    c.prompts = ("a photo of a {}.",)
    c.loader.pixels = 224


def _finetune(c: ConfigDict) -> None:
    _folder(c)
    _published(c)
    c.steps = 1000
    c.optim.embedding.learning_rate = 1e-5


def _zero_shot(c: ConfigDict) -> None:
    _finetune(c)
    c.image.trained = c.caption.trained = False
    c.steps = 1  # of the temperature alone


def _paper(c: ConfigDict) -> None:
    _folder(c)
    _published(c)
    c.image.dtype = c.caption.dtype = "bfloat16"
    c.image.remat = c.caption.remat = True
    c.batch_size, c.eval.batch_size = 32_768, 1024
    c.loss.block = 4096  # never the whole matrix
    c.steps = 390_000  # 32 epochs of 400 million pairs
    c.eval.every, c.save_every, c.log_every = 5000, 1000, 50
    c.loader.workers = 16
    c.optim.embedding = base.adam(5e-4, name="adamw", warmup=2000, decay="cosine", weight_decay=0.2, b2=0.98, eps=1e-6)


VARIANTS = {
    "": base.unchanged,
    "tiny": _tiny,
    "siglip": _siglip,
    "resnet": _resnet,
    "emoji": _emoji,
    "folder": _folder,
    "finetune": _finetune,
    "zero_shot": _zero_shot,
    "paper": _paper,
}
