"""Skip-gram with negative sampling: word2vec (Mikolov et al. 2013).

configs/skipgram.py          text that comes with Python and this package: minutes on two cores
configs/skipgram.py:tiny     seconds, for a look and for the tests
configs/skipgram.py:text     your text, a file, a folder or .gz: --config.data.path=PATH
configs/skipgram.py:large    the same for millions of words, on both cores: what benchmarks/skipgram.py times
configs/skipgram.py:tfds     a text set of the TensorFlow Datasets catalogue
configs/skipgram.py:paper    300-d vectors of a large corpus, 1 million words: --config.data.path=PATH
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("skipgram", variant)
    c.batch_size = 32  # texts read at once; one micro-step takes a block of words from each
    c.steps = 120
    c.save_every, c.eval.every, c.log_every = 60, 20, 10
    c.eval.batch_size, c.eval.examples, c.eval.test_examples = 32, 32, 96  # the test also shows so many words

    c.data = ConfigDict()
    c.data.name = "text"
    c.data.path = ""  # "" = captions of sounding scenes, Python's manual and its modules' docstrings
    c.data.splitter = "unicode"  # or "words", which tears letters from their marks, or "whitespace"
    c.data.markup = "plain"  # of wiki dumps the articles alone; "words" takes their markup for words
    c.data.min_count = 5  # word2vec.c: -min-count
    c.data.sample = 1e-3  # word2vec.c: -sample
    c.data.tokens = 512  # words of an example; the embedded text is short
    c.data.shown = ("red", "left", "string", "file", "error", "class")
    c.data.pairs = ("",)  # of one kind or not; for people's judgements: files of WordSim-353, SimLex-999, ...
    c.data.questions = ()  # e.g. ("questions-words.txt",)

    c.model = ConfigDict()
    c.model.dim = 100  # word2vec.c: -size

    c.sampling = ConfigDict()
    c.sampling.objective = "negative_sampling"  # or "full_softmax", for small vocabularies
    c.sampling.window = 5  # word2vec.c: -window
    c.sampling.negatives = 5  # word2vec.c: -negative
    c.sampling.power = 0.75  # of the counts in the noise distribution
    c.sampling.block = 32  # words scored in one matrix product: fewer waste less, more fill the core
    c.sampling.shared = 32  # noise words of a block: as many as centres, so that no noise row moves too far at once
    c.sampling.overlap = True  # a block reads its neighbours' words: every pair once; False: see systems/skipgram.py
    c.sampling.replicas = 1  # copies of the tables that train apart during a step; 2 fill two cores

    c.evaluation = ConfigDict()
    c.evaluation.restrict_vocab = 30_000  # analogies are answered among so many of the most frequent words

    c.optim.tables = ConfigDict()
    c.optim.tables.name = "sgd"  # or "adagrad", row-wise
    c.optim.tables.learning_rate = 0.025  # word2vec.c: -alpha; 0.05 is better on millions of words
    c.optim.tables.decay = "linear"
    return base.choose(c, VARIANTS)


def _default(c: ConfigDict) -> None:
    # A text of 3,000 words meets the same ones all the time: small micro-steps, so that a row's sum stays small. A loss
    # that is not finite asks for still smaller ones, a smaller rate or adagrad.
    c.batch_size, c.sampling.block, c.sampling.shared = 8, 16, 16
    c.data.sample = 1e-4
    c.steps = 400
    c.eval.every, c.save_every, c.log_every = 50, 100, 50


def _tiny(c: ConfigDict) -> None:
    c.batch_size, c.steps = 8, 6
    c.data.tokens = 256
    c.model.dim = 16
    c.log_every, c.save_every, c.eval.every = 2, 3, 3
    c.eval.batch_size, c.eval.examples, c.eval.test_examples = 8, 8, 16


def _text(c: ConfigDict) -> None:
    c.data.path = "TEXT"  # to be given
    c.data.shown, c.data.pairs = (), ()
    # In a small text the same rows meet in one sum all the time: small micro-steps keep the sum small.
    c.batch_size, c.data.tokens = 8, 2048
    c.steps = 2000  # of 8 x 2048 words after subsampling each
    c.save_every, c.eval.every, c.log_every = 500, 500, 100


def _large(c: ConfigDict) -> None:
    _text(c)
    c.data.tokens = 16_384
    c.steps = 250  # of 64 x 16,384 words after subsampling each
    # Two copies of the tables on two cores, reconciled after each step. Blocks that do not overlap need fewer rows.
    c.cpu_devices = c.sampling.replicas = 2
    c.sampling.overlap = False
    c.batch_size = 64  # texts; a micro-step takes a block from each of a copy's 32
    c.save_every, c.eval.every, c.log_every = 50, 50, 10


def _tfds(c: ConfigDict) -> None:
    _large(c)
    c.data.path = ""
    c.data.catalogue = "ag_news_subset"
    c.data.column = "description"


def _paper(c: ConfigDict) -> None:
    _large(c)
    c.model.dim = 300
    c.data.max_words = 1_000_000
    c.data.sample = 1e-5  # section 3
    c.sampling.negatives = 15  # NEG-15, the table's best
    c.cpu_devices = c.sampling.replicas = 1  # tables of 2.4 GB have no copies
    c.sampling.overlap = True
    c.batch_size = 32
    c.steps = 20_000


VARIANTS = {"": _default, "tiny": _tiny, "text": _text, "large": _large, "tfds": _tfds, "paper": _paper}
