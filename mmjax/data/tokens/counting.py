"""Vocabulary and encoding in one pass over the text: words are numbered as they come, ranked and cut at the end.

The result is a folder: `tokens.npy`, int32 on disk and never read whole (number * 2, + 1 where a sentence begins);
`words.txt`, one a line in order of frequency; `counts.npy`. Nothing of the text's size is held in memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mmjax.data import caches
from mmjax.errors import UserError

SENTENCE = 1000  # words at most, as word2vec.c cuts them
PASS = 2**22  # tokens held in memory at a time


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A corpus as numbers.

    Attributes:
      words: in order of frequency.
      counts: int64, how often each occurs.
      tokens: int32 memory map, number * 2, + 1 where a sentence begins.
    """

    words: list[str]
    counts: np.ndarray
    tokens: np.ndarray

    def numbers(self, words: Iterable[str]) -> list[int]:
        """The number of each word, -1 for those that are unknown."""
        return [self._index.get(word, -1) for word in words]

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}


class _Numbering(dict):
    """word -> number, given when a word is first met; the ends of sentences, line ends and NUL, are 0."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


def encode(
    folder: pathlib.Path,
    texts: Iterable[str],
    split: Callable[[str], list[str]],
    min_count: int,
    max_words: int = 0,
    what: str = "the text",
) -> None:
    """Writes a corpus as numbers to `folder`.

    Args:
      folder: is made, whole or not at all.
      texts: the text in pieces that end between words.
      split: a piece -> its words, with a line end or NUL where a sentence ends.
      min_count: rarer words are left out.
      max_words: only so many of the most frequent words; 0 = all.
      what: the text's name, for errors.

    Raises:
      UserError: there is no word, none that occurs often enough, or none beside another.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = pathlib.Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        numbering, counts = _number(part / "raw", texts, split)
        words, kept, rank = _rank(numbering, counts, min_count, max_words, what)
        begun = _renumber(part / "raw", part / "tokens.npy", rank, int(kept.sum()))
        if begun == kept.sum():
            raise UserError(f"{what}: no line has two words of the vocabulary, so that no word has a context")
        (part / "raw").unlink()
        (part / "words.txt").write_text("\n".join(words), encoding="utf-8")
        np.save(part / "counts.npy", kept)
        if folder.exists():  # another process was faster
            shutil.rmtree(part)
        else:
            part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _number(path: pathlib.Path, texts: Iterable[str], split: Callable) -> tuple[_Numbering, np.ndarray]:
    numbering = _Numbering({"\n": 0, "\0": 0})
    counts = np.zeros(2, np.int64)
    with path.open("wb") as file:
        for text in texts:
            found = split(text)
            numbers = np.fromiter(map(numbering.__getitem__, found), np.int32, len(found))
            numbers.tofile(file)
            here = np.bincount(numbers, minlength=len(numbering))
            here[: len(counts)] += counts
            counts = here
    return numbering, counts


def _rank(numbering, counts, min_count, max_words, what):
    """(words in order of frequency, their counts, new number of each old one: -1 out, -2 the end of a sentence)."""
    if len(numbering) == 2:
        raise UserError(f"{what} has no words: it is empty, or holds nothing but signs")
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")  # equal counts: the word met first, first
    order = order[counts[order] >= max(min_count, 1)][: max_words or None]
    if not len(order):
        raise UserError(
            f"{what}: no word occurs {min_count} times (the most frequent occurs {counts.max()} times): "
            "lower config.data.min_count, or give more text"
        )
    rank = np.full(len(counts), -1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    rank[0] = -2
    spelt = list(numbering)
    return [spelt[number] for number in order], counts[order], rank


def _renumber(raw: pathlib.Path, target: pathlib.Path, rank: np.ndarray, total: int) -> int:
    """Old numbers -> ranks with a mark where a sentence begins; sentences of more than SENTENCE words are cut.

    Returns the number of sentences.
    """
    tokens = np.lib.format.open_memmap(target, "w+", np.int32, (total,))
    done, length, begun = 0, 0, 0  # words written, words of the sentence that is open, and sentences
    for old in _pieces(raw):
        new = rank[old]
        new = new[new != -1]
        end = new == -2
        # The place of each word in its sentence: its place among all, less that of the sentence's first word.
        place = np.cumsum(~end) - 1
        first = np.maximum.accumulate(np.where(end, place + 1, -length))
        word = ~end
        within = (place - first)[word]
        ids = new[word]
        begins = within % SENTENCE == 0
        tokens[done : done + len(ids)] = ids * 2 + begins
        begun += int(begins.sum())
        done += len(ids)
        length = int(place[-1] + 1 - first[-1]) if len(place) else length
    tokens.flush()
    return begun


def _pieces(path: pathlib.Path) -> Iterator[np.ndarray]:
    with path.open("rb") as file:
        while len(piece := np.fromfile(file, np.int32, PASS)):
            yield piece


def load(folder: pathlib.Path) -> Encoded:
    """What `encode` wrote."""
    words = (folder / "words.txt").read_text(encoding="utf-8").split("\n")
    return Encoded(words, np.load(folder / "counts.npy"), np.load(folder / "tokens.npy", mmap_mode="r"))


def digest(encoded: Encoded) -> str:
    """Hexadecimal digits of a corpus that `load` gave: of all its numbers. Read once, then kept beside them."""
    place = pathlib.Path(str(encoded.tokens.filename)).with_name("digest.txt")  # type: ignore[attr-defined]
    with contextlib.suppress(OSError):
        return place.read_text(encoding="ascii")
    state = hashlib.blake2b(digest_size=8)
    for start in range(0, len(encoded.tokens), PASS):
        state.update(np.ascontiguousarray(encoded.tokens[start : start + PASS]).data)
    caches.write(place, state.hexdigest().encode())
    return state.hexdigest()


def cache(key: object) -> pathlib.Path:
    """The folder in which a corpus of this description is kept: under $MMJAX_CACHE, or ~/.cache/mmjax."""
    home = pathlib.Path(os.environ.get("MMJAX_CACHE", "~/.cache/mmjax")).expanduser()
    return home / "text" / hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:16]
