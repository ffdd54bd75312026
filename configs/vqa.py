"""Visual question answering (Antol et al. 2015, "VQA: Visual Question Answering").

configs/vqa.py          sounding scenes: nine minutes on two cores; of the sound, a picture only hints
configs/vqa.py:light    a fifth of its multiply-adds: --config.distil.workdir=runs/vqa
configs/vqa.py:tiny     seconds, for a look and for the tests
configs/vqa.py:easy     easy-VQA, one shape a picture, from the extra `vqa`: two minutes on two cores
configs/vqa.py:concat   as the default, question and picture side by side instead of multiplied
configs/vqa.py:sum      as the default, question and picture added
configs/vqa.py:vqa1     VQA v1 after its official code: --config.data.path=FOLDER, an accelerator
configs/vqa.py:vqa2     the same network on VQA v2
configs/vqa.py:paper    VQA v1 after the paper's text: 300-d words, an MLP of two hidden layers as classifier
configs/vqa.py:clevr    CLEVR of the TensorFlow Datasets catalogue (18 GB), an accelerator
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("vqa", variant)
    c.steps = 3000  # eight and a half minutes; 0.749 of the test's answers right, 0.370 from the question alone
    c.batch_size = 64
    c.eval.every, c.save_every, c.log_every = 1000, 500, 50
    c.eval.batch_size = 64
    c.eval.probes = ("blank:image", "blank:question_tokens", "shuffle:image", "shuffle:question_tokens")
    c.best = "accuracy"

    c.data.tokens = ConfigDict()  # how questions and answers become numbers
    c.data.tokens.rules = "unicode"  # letters keep their marks; "letters" as in runs from before
    c.data.tokens.length = 12  # words and signs of a question
    c.data.tokens.align = "right"  # train.lua
    c.data.tokens.min_count = 1  # prepro.py keeps every word
    c.data.tokens.max_words = 0
    c.data.tokens.answers = 1000  # of the most frequent ones; the others can only be missed
    c.data.tokens.examples = 20_000  # sounding scenes repeat themselves; 0 reads the questions of all

    c.encoder = ConfigDict()  # of the pictures: arguments of known.encoders.make
    c.encoder.name = "recogniser"
    # Mean and maximum of its last map. After 1,000 steps 0.67 of the test's answers were right, against 0.50 after 600
    # with the map itself: from a row of 49 places every colour has to be learned at each.
    c.encoder.layer = "features"
    c.encoder.weights = ""
    c.encoder.widths = (32, 64, 96)  # of "scene"
    c.encoder.dtype = "float32"
    c.train_encoder = True  # the recogniser was never told colours

    c.model = ConfigDict()  # arguments of models.joint.vqa.VQA, and:
    c.model.words = ""  # path of a skip-gram's vectors to begin with; "" draws them
    c.model.embedding = 64
    c.model.hidden = 128  # a grammar of some fifty words
    c.model.layers = 1
    c.model.common = 512
    c.model.fusion = "product"  # or "concatenation", "sum"
    c.model.classifier = ()  # or (1000, 1000), the paper's
    c.model.dropout = 0.0
    c.model.normalise = True  # "norm I"
    c.model.bound = 0.3  # train.lua: .08, with which products, and their gradients, are near zero for long
    c.model.dtype = "float32"

    c.evaluation = ConfigDict()  # arguments of metrics.vqa.score
    c.evaluation.annotators = "one"  # or "ten": the challenge's accuracy, of `answers`
    c.evaluation.rules = "official"  # its spelling; or "official_2015", "none"
    c.evaluation.types = True  # the data set says what a question asks for

    for group in ("net", "question_only", "image_only"):
        c.optim[group] = base.adam(2e-3, decay="cosine")
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 6, 8
    c.data.tokens.examples = 500
    c.model.embedding, c.model.hidden, c.model.common = 8, 8, 16
    c.encoder.name, c.encoder.widths = "scene", (4, 8, 8)
    c.log_every, c.save_every, c.eval.every = 2, 3, 3
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 8, 12, 20, 8
    c.eval.probes = ("shuffle:image",)


def _concat(c: ConfigDict) -> None:
    c.model.fusion = "concatenation"


def _sum(c: ConfigDict) -> None:
    c.model.fusion = "sum"


def _easy(c: ConfigDict) -> None:
    c.data.name = "easy_vqa"
    c.data.tokens.examples = 0
    c.encoder.name, c.encoder.widths = "scene", (16, 32, 32)
    c.model.common = 256
    c.steps = 2500  # two minutes; 0.9995 of the test's answers right, 0.670 from the question alone
    c.eval.every = 500
    c.eval.test_examples = 0  # all 9,673
    for group in c.optim:
        c.optim[group].learning_rate = 3e-3


def _code(c: ConfigDict) -> None:
    """GT-Vision-Lab/VQA_LSTM_CNN: train.lua, but for the pictures' network."""
    c.data.tokens.length, c.data.tokens.examples = 26, 0
    c.batch_size, c.steps = 500, 150_000
    c.log_every, c.save_every, c.eval.every = 100, 5000, 10_000
    c.eval.batch_size, c.eval.test_examples = 500, 0
    c.loader.workers = 8  # decoding 500 photographs a step must not hold an accelerator up
    # fc7 of VGG-19 (4,096 features) is what the paper reads: --config.encoder.name=vgg19 with its weights. EfficientNet
    # has weights that a package carries.
    c.encoder.name, c.encoder.layer, c.train_encoder = "efficientnet_lite0", "", False
    c.model.embedding, c.model.hidden, c.model.layers, c.model.common = 200, 512, 2, 1024
    c.model.dropout, c.model.bound = 0.5, 0.08
    for group in c.optim:
        # train.lua: 3e-4, times 0.99997592083 after each step, gradients clamped at 10; Torch's RMSProp decays by .99
        # and adds 1e-8 to the root.
        c.optim[group] = base.adam(3e-4, name="rmsprop", b2=0.99, decay="exponential")
        c.optim[group].update({"decay_rate": 0.99997592083, "clamp": 10.0})


def _vqa1(c: ConfigDict) -> None:
    _code(c)
    c.data.update({"name": "vqa_json", "path": "", "version": "v1"})
    c.evaluation.annotators = "ten"


def _vqa2(c: ConfigDict) -> None:
    _vqa1(c)
    c.data.version = "v2"


def _paper(c: ConfigDict) -> None:
    _vqa1(c)
    c.model.embedding, c.model.classifier = 300, (1000, 1000)


def _clevr(c: ConfigDict) -> None:
    _code(c)
    c.data.name = "clevr"
    c.data.mapping = (("question", "question_answer/question"), ("answer", "question_answer/answer"))
    c.test_split, c.validation_split, c.train_split = "validation", "train[95%:]", "train[:95%]"  # no answers in test
    c.loader.pixels = 224
    c.data.tokens.length = 45
    c.data.tokens.examples = 20_000
    c.evaluation.types = False  # the catalogue has no types: kinds of answers are told apart instead


def _light(c: ConfigDict) -> None:
    # 0.21 of the multiply-adds, 0.19 of the parameters; what they cost is in docs/results.md.
    c.encoder.name, c.encoder.widths = "scene", (12, 20, 28)  # the recogniser's weights are of one width
    c.model.embedding, c.model.hidden, c.model.common = 32, 64, 256


VARIANTS = {
    "": base.unchanged,
    "light": _light,
    "tiny": _tiny,
    "easy": _easy,
    "concat": _concat,
    "sum": _sum,
    "vqa1": _vqa1,
    "vqa2": _vqa2,
    "paper": _paper,
    "clevr": _clevr,
}
