"""Captioning: Show and Tell (Vinyals et al. 2015); Show, Attend and Tell (Xu et al. 2015).

configs/captioning.py                 sounding scenes, soft attention, encoder and all from scratch: nine minutes
configs/captioning.py:tiny            seconds, for a look and for the tests
configs/captioning.py:hard            the default with hard attention, learned by REINFORCE: as long
configs/captioning.py:show_and_tell   the default with the picture seen once, im2txt's network: as long
configs/captioning.py:stamps          Tux Paint's stamps on ImageNet features, the extra `pretrained`: nine minutes
configs/captioning.py:folder          a folder of your own pictures: --config.data.path=DIR
configs/captioning.py:coco            COCO captions through TFDS on ImageNet features: an accelerator
configs/captioning.py:paper           Show, Attend and Tell's sizes on COCO, VGG-19: --config.encoder.weights=FILE
configs/captioning.py:im2txt          Show and Tell's sizes on COCO, EfficientNet-Lite0 in place of Inception v3
configs/captioning.py:sgrvinod        the sizes of the popular PyTorch port, ResNet-101: --config.encoder.weights=FILE
"""

from ml_collections import ConfigDict

from mmjax.data.scenes import names
from mmjax.engine import config as base
from mmjax.models.text.show_attend_tell import PRESETS


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("captioning", variant)
    c.steps = 3000
    c.batch_size = 32
    c.eval.every, c.save_every = 1000, 500
    c.eval.fit_examples = 4000  # training captions that the baselines choose from
    c.best, c.best_mode = "nll", "min"

    c.data.tokens = ConfigDict({"kind": "words", "rules": "unicode", "min_count": 1, "max_words": 10_000, "length": 24})
    c.objects = names.OBJECTS  # the words whose boxes the data set knows; () for a data set without boxes

    c.metrics = ()  # beside BLEU, ROUGE-L and CIDEr-D: "meteor", "spice", which need Java and the extra `coco`

    c.encoder = ConfigDict()  # arguments of known.encoders.make
    c.encoder.name = "scene"
    c.encoder.layer = ""  # the map of 14 x 14 places
    c.encoder.weights = ""
    c.encoder.widths = (32, 64, 96)
    c.encoder.dtype = "float32"
    c.train_encoder = True
    c.encoder_statistics = "batch"  # of BatchNorm in training; "running" leaves those of published weights alone

    c.network = "show_attend_tell"
    c.model = ConfigDict()
    c.model.update(PRESETS["official"])
    # With the official N(0, 0.01), alpha_c = 1 and a rate of 1e-3 attention is too even at first to be learned from:
    # 1.21 nats a word of the validation split after 500 steps, and it still looked nowhere (0.132 of it in the boxes,
    # which are 0.131 of the pictures). With what stands here 1.00 after 300, and 0.153 in the boxes.
    c.model.initialiser = "torch"
    c.model.kind = "soft"
    c.model.embed, c.model.hidden = 128, 256  # a vocabulary of 60 words needs no more
    c.model.expected = 0.5
    c.model.dropout = 0.2
    c.model.words = ""  # a skip-gram workdir, or a file of word vectors, whose size is then `embed`
    c.model.dtype = "float32"

    c.loss = ConfigDict()
    c.loss.per = "caption"  # the sum over words, as in the official code; "word" is their mean
    c.loss.attention = 0.1  # the official code's alpha_c is 1: with captions of 12 words that rewards looking nowhere
    c.loss.reduction = "sum"
    c.loss.reinforce = 0.0
    c.loss.entropy = 0.0
    c.loss.reward = "caption"

    c.decode = ConfigDict()  # arguments of decode.beam
    c.decode.size = 3  # im2txt's; 5 gains nothing here
    c.decode.semantics = "shrinking"  # the official code's
    c.decode.penalty = "none"

    c.optim.captioner = base.adam(2e-3, warmup=100, decay="cosine", clip=5.0)
    base.choose(c, VARIANTS)
    c.optim.captioner.parts = ConfigDict({"encoder": 1.0})  # its learning rate, as a share, where it is trained
    return c


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 12, 8
    c.data.image_size = 32
    c.data.tokens.examples = 200
    c.encoder.widths = (8, 8, 8)
    c.model.embed, c.model.hidden = 8, 16
    c.log_every, c.save_every, c.eval.every = 4, 6, 6
    # As many are shown as there are: so the search is compiled once, and not again for those that are only counted.
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 8, 12, 20, 20
    c.eval.fit_examples = 24


def _hard(c: ConfigDict) -> None:
    c.model.kind = "hard"
    # lambda_r and lambda_e. In the official code both terms are sums over the batch beside a mean of the captions'
    # losses: its 1/10 and alpha_entropy_c are times the batch size here.
    c.loss.reinforce = 0.1
    c.loss.entropy = 0.002


def _show_and_tell(c: ConfigDict) -> None:
    c.network = "show_and_tell"
    c.objects = ()  # nothing attends to them
    c.model = ConfigDict({"embed": 128, "hidden": 256, "dropout": 0.3, "scale": 0.08, "words": "", "dtype": "float32"})
    c.loss.per = "word"


def _features(c: ConfigDict) -> None:
    """Published weights, as they are."""
    c.objects = ()
    c.train_encoder, c.encoder_statistics = False, "running"
    c.encoder.name, c.encoder.layer = "efficientnet_lite0", "stage5"  # 14 x 14 places of 112 channels


def _stamps(c: ConfigDict) -> None:
    _features(c)
    c.data = ConfigDict({"name": "tux_stamps", "tokens": c.data.tokens})  # split by caption
    # Some 640 stamps: nats a word of the test captions are 3.6 after 300 steps and 4.0 after 900, but CIDEr-D rises
    # from 0.32 to 1.14, for the captions of a series differ in little. So the last step is kept, not the least nats.
    c.steps, c.eval.every, c.save_every = 900, 150, 150
    c.best = ""
    c.model.embed, c.model.hidden, c.model.dropout = 256, 512, 0.5
    c.eval.fit_examples = 0


def _folder(c: ConfigDict) -> None:
    _features(c)
    c.data = ConfigDict({"name": "captioned_images", "path": "", "tokens": c.data.tokens})
    c.model.embed, c.model.hidden, c.model.dropout = 512, 512, 0.5


def _coco(c: ConfigDict) -> None:
    _folder(c)
    c.data = ConfigDict({"name": "coco_captions/2014", "tokens": c.data.tokens})
    c.data.tokens.min_count = 5
    c.validation_split = "val"  # Karpathy's splits
    c.loader.pixels = 224
    c.batch_size = c.eval.batch_size = 64
    c.steps, c.eval.every, c.save_every, c.log_every = 50_000, 5000, 2500, 100
    c.loader.workers = 8
    c.eval.examples, c.eval.test_examples, c.eval.fit_examples = 2000, 5000, 50_000


def _paper(c: ConfigDict) -> None:
    _coco(c)
    c.encoder.name, c.encoder.layer = "vgg19", "conv5"  # 14 x 14 places of 512 channels
    c.model.update(PRESETS["official"])
    c.loss.attention = 1.0  # alpha_c
    c.optim.captioner = base.adam(2e-4)
    c.decode.size = 5


def _im2txt(c: ConfigDict) -> None:
    _coco(c)
    _show_and_tell(c)
    c.model.embed, c.model.hidden = 512, 512
    c.encoder.layer = "pooled"
    c.data.tokens.min_count, c.data.tokens.max_words, c.data.tokens.length = 4, 12_000, 20
    c.batch_size, c.steps = 32, 1_000_000
    # Halved every 8 epochs of 586,363 captions: by steps there, evenly here.
    c.optim.captioner = base.adam(2.0, name="sgd", decay="exponential", decay_rate=0.5 ** (1 / 146_590), clip=5.0)
    c.decode.size, c.decode.semantics = 3, "im2txt"


def _sgrvinod(c: ConfigDict) -> None:
    _coco(c)
    c.batch_size = c.eval.batch_size = 32
    c.encoder.name, c.encoder.layer = "resnet101", "stage3"  # 14 x 14; the port spreads stage4's 7 x 7 over as many
    c.model.update(PRESETS["sgrvinod"])
    c.loss.per, c.loss.attention, c.loss.reduction = "word", 1.0, "mean"
    c.optim.captioner = base.adam(4e-4)
    c.optim.captioner.clamp = 5.0
    c.decode.size = 5


VARIANTS = {
    "": base.unchanged,
    "tiny": _tiny,
    "hard": _hard,
    "show_and_tell": _show_and_tell,
    "stamps": _stamps,
    "folder": _folder,
    "coco": _coco,
    "paper": _paper,
    "im2txt": _im2txt,
    "sgrvinod": _sgrvinod,
}
