"""Running text as numbered words: a file, a folder, packed or not, a catalogue set, or the text that comes with Python.

An example is a chunk of `tokens` words of running text, subsampled anew at each visit (Mikolov et al. 2013, section
2.3, with word2vec.c's formula). The text is encoded once, to a cache on disk, and read from there through a memory map:
it may be larger than memory. Of every fifty chunks one is the validation split's and one the test split's; these come
in short parts, an example each. A text of fewer than three chunks is all three splits: then nothing is held out.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mmjax.data import fingerprints
from mmjax.data.files import text_corpus, text_files, text_judgements, wiki_text
from mmjax.data.fingerprints import Print
from mmjax.data.sets import catalogue as sets
from mmjax.data.sets import sounding_scenes
from mmjax.data.tokens import counting
from mmjax.data.tokens.counting import Encoded
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("tokens", "sentence", "index")
SPLITS: tuple[str, ...] = ("train", "validation", "test")
EVERY = 50  # one chunk of so many goes to validation, one to test
PART = 32  # words of an example of these two: as many examples as a report shows words
LETTERS = 100  # bytes of a word's spelling at most, as in word2vec.c; exported vectors are known by them


@dataclasses.dataclass(frozen=True)
class Text:
    """A random-access source; made by `source`."""

    encoded: Encoded
    chunks: np.ndarray  # [n + 1] where each chunk begins and ends in the corpus
    mine: np.ndarray  # the chunks of this split
    parts: int  # examples that each of them is cut into
    tokens: int  # of a chunk, after subsampling
    keep: np.ndarray  # probability of each word, float32
    shown: tuple[str, ...]
    pairs: tuple[str, ...]
    questions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.mine) * self.parts

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of a split with {len(self)} examples")
        chunk, part = divmod(int(index), self.parts)
        whole = self.draw(chunk, np.random.default_rng(chunk))
        size = self.tokens // self.parts
        cut = {name: whole[name][part * size : (part + 1) * size] for name in ("tokens", "sentence")}
        return {**cut, "index": np.int32(index)}

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Chunk `index` of the split with the frequent words thinned out by `rng`."""
        start, stop = self.chunks[self.mine[index]], self.chunks[self.mine[index] + 1]
        raw = np.asarray(self.encoded.tokens[start:stop])
        words, begins = raw >> 1, raw & 1
        kept = np.flatnonzero(rng.random(len(raw), np.float32) < self.keep[words])[: self.tokens]
        tokens = np.zeros(self.tokens, np.int32)
        sentence = np.full(self.tokens, -1, np.int32)
        tokens[: len(kept)] = words[kept]
        sentence[: len(kept)] = np.cumsum(begins, dtype=np.int32)[kept]
        return {"tokens": tokens, "sentence": sentence, "index": np.int32(index)}

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints: of the whole encoded text, of which every split is a share, and its vocabulary."""
        whole = fingerprints.whole(counting.digest(self.encoded), self.tokens, meanings=self.encoded.words)
        return {"tokens": whole, "sentence": Print(whole.content)}

    @functools.cached_property
    def constants(self) -> dict[str, np.ndarray]:
        """The vocabulary, the words to show and the judgements: what belongs to the text as a whole."""
        words = self.encoded.words
        cut = [word.encode()[:LETTERS].decode("utf-8", "ignore") for word in words]  # between letters
        spelling = np.array([word.encode() for word in cut])  # as wide as the longest needs
        return {
            "word_counts": np.minimum(self.encoded.counts, 2**31 - 1).astype(np.int32),
            "word_spelling": spelling.view(np.uint8).reshape(len(words), -1),
            "shown": text_judgements.shown(self.encoded, self.shown),
            **text_judgements.pairs(self.encoded, self.pairs),
            **text_judgements.questions(self.encoded, self.questions),
        }


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    path: str = "",
    catalogue: str = "",
    column: str = "",
    data_dir: str | None = None,
    splitter: str = "unicode",
    markup: str = "plain",
    min_count: int = 5,
    max_words: int = 0,
    sample: float = 1e-3,
    tokens: int = 2048,
    held_out: bool = True,
    shown: Sequence[str] = (),
    pairs: Sequence[str] = (),
    questions: Sequence[str] = (),
) -> Text:
    """The text as a random-access source of chunks.

    Args:
      split: "train", "validation" or "test".
      fields: any of FIELDS.
      path: a text file or a folder of them, UTF-8, a sentence a line: .txt, .text, .md, .tokens, .en and other
        languages, or no suffix; packed as .gz, .bz2, .xz or .zst, or in a .tar (packed or not) or .zip. READMEs and
        licences are read only where there is nothing else. "" = what `catalogue` names, or else the text that is on
        every installation of this package.
      catalogue: a TensorFlow Datasets set, and `column` its text feature where it has another name.
      data_dir: of the catalogue.
      splitter: "unicode" (runs of letters with their marks, in lower case), "words" (of runs from before: letters
        are torn from their marks) or "whitespace" (the text is tokenised already). Text in ASCII is the same by the
        first two. Of scripts without white space (Thai, Chinese) a word is what stands between two spaces.
      markup: of a wiki's dump (MediaWiki's XML, or what WikiExtractor makes of it) "plain" reads the articles without
        their markup; "words" (of runs from before) takes all that stands there for words.
      min_count: rarer words are left out.
      max_words: of the vocabulary, the most frequent ones; 0 = all.
      sample: threshold of the subsampling; 0 = none.
      tokens: words of an example, after subsampling.
      held_out: False trains on all chunks; validation and test then are chunks of the training text.
      shown: words whose neighbours the report shows, before the most frequent ones.
      pairs: files of word pairs judged by people (WordSim-353, SimLex-999, SimVerb-3500, MEN, Rare Words, as they are
        published: word, word, perhaps a part of speech, value); "" = the small set of the package. Words that the
        vocabulary lacks as they are spelled are looked up in lower case, here and in `shown` and `questions`.
      questions: files of analogies (questions-words.txt).

    Raises:
      UserError: the text is missing, empty, not UTF-8 or without a frequent word; an unknown word or split; a damaged
        file of judgements.
    """
    del fields
    if split not in SPLITS:
        raise UserError(f"text has no split {split!r}; it has {', '.join(SPLITS)}")
    for name, value, low in (
        ("min_count", min_count, 1),
        ("max_words", max_words, 0),
        ("tokens", tokens, 16),
        ("sample", sample, 0),
    ):
        if value < low:
            raise UserError(f"config.data.{name} is {value}: it must be at least {low}")
    if markup not in wiki_text.FORMS:
        raise UserError(f"config.data.markup {markup!r} is unknown: choose {' or '.join(wiki_text.FORMS)}")
    encoded = corpus(path, catalogue, column, data_dir, splitter, min_count, max_words, markup)
    keep = keep_probability(encoded.counts, sample)
    chunks = cut(encoded.tokens, keep, tokens)
    mine = _of_split(split, len(chunks) - 1, held_out)
    parts = 1 if split == "train" else max(tokens // PART, 1)
    return Text(encoded, chunks, mine, parts, tokens, keep, tuple(shown), tuple(pairs), tuple(questions))


def _of_split(split: str, many: int, held_out: bool) -> np.ndarray:
    place = np.arange(many) % EVERY
    first = {"validation": 0, "test": 1}
    if many < 3:
        return np.arange(many)  # too short to hold anything out
    if split == "train":
        return np.flatnonzero(place > 1) if held_out else np.arange(many)
    return np.flatnonzero(place == first[split])


@functools.lru_cache(maxsize=4)
def corpus(
    path: str = "",
    catalogue: str = "",
    column: str = "",
    data_dir: str | None = None,
    splitter: str = "unicode",
    min_count: int = 5,
    max_words: int = 0,
    markup: str = "plain",
) -> Encoded:
    """The encoded text, from the cache or made now; arguments as in `source`."""
    split = text_corpus.splitter(splitter)
    how = [splitter, min_count, max_words, 3]  # the last: of this module's format and of the embedded text
    how += [markup] if path and markup != "words" else []  # caches from before hold the words of markup
    if path:
        found = text_files.find(path)
        if found.left_out:
            print(found.left_out, file=sys.stderr)
        about: list[Any] = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in found.files]
        texts, what = text_corpus.read(found.files, markup=markup), path
    elif catalogue:
        about, what = ["catalogue", catalogue, column, data_dir], catalogue
        texts = _of_catalogue(catalogue, column, data_dir)
    else:
        about, what = ["embedded", sys.version], "the embedded text"
        texts = _embedded()
    folder = counting.cache([about, how])
    if not folder.exists():
        counting.encode(folder, texts, split, min_count, max_words, what)
    return counting.load(folder)


def _of_catalogue(name: str, column: str, data_dir: str | None) -> Iterator[str]:
    """The text of a TensorFlow Datasets set, an example a paragraph."""
    mapping = (("text", column),) if column else ()
    source = sets.source("train", ("text",), name=name, mapping=mapping, data_dir=data_dir)
    for index in range(len(source)):
        text = source[index]["text"]
        yield (text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)) + "\n"


def _embedded(captions: int = 1500) -> Iterator[str]:
    """Text that is on every installation: the five captions of so many sounding scenes, and Python's own manual."""
    scenes = sounding_scenes.source("train", ("captions",), examples=captions)
    yield "".join(f"{caption}\n" for index in range(captions) for caption in scenes[index]["captions"])
    yield from text_corpus.manual()


def keep_probability(counts: np.ndarray, sample: float) -> np.ndarray:
    """word2vec.c's subsampling, float32 [v]: min(1, (sqrt(c / (t N)) + 1) t N / c) with N words of text in all."""
    if not sample:
        return np.ones(len(counts), np.float32)
    threshold = sample * counts.sum(dtype=np.float64)
    return np.minimum((np.sqrt(counts / threshold) + 1) * threshold / counts, 1).astype(np.float32)


def cut(tokens: np.ndarray, keep: np.ndarray, size: int) -> np.ndarray:
    """Where to cut the text so that each chunk keeps about `size` words after subsampling, int64 [n + 1].

    A margin of three standard deviations leaves a chunk seldom too long; what is too long is cut off at the visit.
    """
    margin = 3 * np.sqrt(size * 0.25 * 2) if (keep < 1).any() else 0
    goal = max(size - margin, size / 2)
    ends: list[np.ndarray] = []
    total = 0.0
    for start, piece in _pieces(tokens):
        so_far = total + np.cumsum(keep[piece >> 1], dtype=np.float64)
        full = np.floor(so_far / goal + 1e-9)
        before = np.concatenate([[np.floor(total / goal + 1e-9)], full[:-1]])
        ends.append(start + 1 + np.flatnonzero(full > before))
        total = so_far[-1]
    inner = np.concatenate(ends)
    inner = inner[inner < len(tokens) - size // 2]  # a short rest goes with the last chunk but one
    return np.concatenate([[0], inner, [len(tokens)]]).astype(np.int64)


def _pieces(tokens: np.ndarray, size: int = 2**22) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(tokens), size):
        yield start, np.asarray(tokens[start : start + size])


def vocabulary(path: str | pathlib.Path = "", **options: object) -> list[str]:
    """The words of a text in order of frequency; options of `corpus`."""
    return corpus(str(path), **options).words
