"""The other sides of `skipgram.py`: gensim, fastText and word2vec.c, each with two threads, as a user installs them.

fastText and word2vec.c cannot be stopped between epochs: each run is a process, and the time of one that trains on
nothing (its vocabulary, its tables) is taken off. Both read and split the text anew in each epoch, for they have no
other form.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import tarfile
import time

WORD2VEC = "word2vec==0.11.1"  # whose source distribution holds word2vec.c as Google published it
# Where XLA is kept from AVX-512, so is what is compiled here.
ONLY_AVX2 = "--xla_cpu_max_isa=AVX2" in os.environ.get("XLA_FLAGS", "")
COMPILER = ["gcc", "-Ofast", "-march=native", "-funroll-loops", *(["-mno-avx512f"] if ONLY_AVX2 else [])]

# thread=2 fills two tenths of fastText's table with first values, and leaves the rest as memory was, now and then NaN
# (0.9.3, https://github.com/facebookresearch/fastText/issues/1061): all rows are given, uniform as its own.
FASTTEXT = """
import random, sys, time
import fasttext
text, out, epochs, rate = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
first = out + ".vec"
options = dict(model="skipgram", dim=100, ws=5, neg=5, t=1e-4, minCount=5, maxn=0, minn=0, thread=2, lr=rate, verbose=0)
began = time.perf_counter()
model = fasttext.train_unsupervised(text, epoch=epochs, pretrainedVectors=first, **options)
print(time.perf_counter() - began)
if epochs:
    words = model.get_words()
    with open(out, "w") as file:
        print(len(words), 100, file=file)
        for word in words:
            print(word, *model.get_word_vector(word), file=file)
"""


class Gensim:
    """gensim with two workers, one epoch at a time, on sentences held in memory, so that no reader holds it up."""

    def __init__(self, corpus: pathlib.Path, epochs: int, rate: float):
        from gensim.models import Word2Vec

        self.epochs, self.rate = epochs, rate
        self.model = Word2Vec(vector_size=100, window=5, negative=5, sample=1e-4, min_count=5, sg=1, workers=2, seed=1)
        began = time.perf_counter()
        self.model.build_vocab(corpus_file=str(corpus))
        self.scan = time.perf_counter() - began
        self.seconds: list[float] = []
        self.lines = [line.split() for line in corpus.open()]

    def epoch(self, number: int) -> None:
        """One epoch, the rate falling as over the whole run."""
        ends = [self.rate * max(1 - n / self.epochs, 1e-4) for n in (number, number + 1)]
        began = time.perf_counter()
        self.model.train(
            corpus_iterable=self.lines,
            total_examples=self.model.corpus_count,
            epochs=1,
            start_alpha=ends[0],
            end_alpha=ends[1],
        )
        self.seconds.append(time.perf_counter() - began)


class FastText:
    """fastText's skipgram without parts of words (maxn 0)."""

    missing = None if importlib.util.find_spec("fasttext") else "pip install fasttext"

    def __init__(self, corpus: pathlib.Path, words: list[str]):
        import numpy as np

        self.corpus, self.out = corpus, corpus.with_name("fasttext")
        first = np.random.default_rng(0).uniform(-0.01, 0.01, (len(words), 100))
        with self.out.with_name("fasttext.vec").open("w") as file:
            print(len(words), 100, file=file)
            for word, row in zip(words, first):
                print(word, *(f"{x:.5f}" for x in row), file=file)
        self.fixed = self._run(0, 0.025)

    def train(self, epochs: int, rate: float):
        """(vectors, seconds of an epoch)."""
        from gensim.models import KeyedVectors

        seconds = (self._run(epochs, rate) - self.fixed) / epochs
        return KeyedVectors.load_word2vec_format(str(self.out)), seconds

    def _run(self, epochs: int, rate: float) -> float:
        command = [sys.executable, "-c", FASTTEXT, str(self.corpus), str(self.out), str(epochs), str(rate)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(done.stdout.split()[-1])


class Word2VecC:
    """Google's word2vec.c, compiled here."""

    missing = None

    def __init__(self, corpus: pathlib.Path, words: list[str]):
        del words
        self.corpus, self.out = corpus, corpus.with_name("word2vec.bin")
        self.vocabulary, self.program = corpus.with_name("vocabulary"), corpus.with_name("word2vec")
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", WORD2VEC]
        subprocess.run([*download, "-d", str(corpus.parent)], check=True, capture_output=True)
        (packed,) = corpus.parent.glob("word2vec-*.tar.gz")
        with tarfile.open(packed) as file:
            (source,) = (name for name in file.getnames() if name.endswith("includes/word2vec.c"))
            code = file.extractfile(source)
            assert code is not None
            (corpus.parent / "word2vec.c").write_bytes(code.read())
        command = [*COMPILER, str(corpus.parent / "word2vec.c"), "-o", str(self.program), "-lm", "-pthread"]
        subprocess.run(command, check=True, capture_output=True)
        nothing = corpus.with_name("nothing.txt")
        nothing.write_text("the\n" * 8)
        self._run(corpus, ["-save-vocab", str(self.vocabulary), "-size", "1", "-iter", "1", "-sample", "1e-9"])
        self.fixed = self._run(nothing, ["-iter", "1", "-read-vocab", str(self.vocabulary)])

    def train(self, epochs: int, rate: float):
        """(vectors, seconds of an epoch)."""
        from gensim.models import KeyedVectors

        more = ["-iter", str(epochs), "-alpha", str(rate), "-read-vocab", str(self.vocabulary)]
        seconds = (self._run(self.corpus, more) - self.fixed) / epochs
        return KeyedVectors.load_word2vec_format(str(self.out), binary=True, unicode_errors="replace"), seconds

    def _run(self, text: pathlib.Path, more: list[str]) -> float:
        given = {"-cbow": 0, "-size": 100, "-window": 5, "-negative": 5, "-sample": 1e-4, "-min-count": 5}
        given |= {"-threads": 2, "-binary": 1, "-train": text, "-output": self.out}
        given |= dict(zip(more[::2], more[1::2]))
        command = [str(self.program), *(str(part) for pair in given.items() for part in pair)]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began


WHOLE = {"fastText": FastText, "word2vec.c": Word2VecC}


def whole(name: str, corpus: pathlib.Path, words: list[str]):
    """A side that trains in one go, or None, with a line, where it cannot be had."""
    made = WHOLE[name]
    if made.missing:
        print(f"{name}: skipped: {made.missing}")
        return None
    try:
        return made(corpus, words)
    except (subprocess.CalledProcessError, OSError) as error:
        said = getattr(error, "stderr", b"") or b""
        said = said if isinstance(said, str) else said.decode("utf-8", "replace")
        print(f"{name}: skipped: {error}: {said.strip().splitlines()[-1:]}")
        return None
