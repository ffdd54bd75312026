"""Words as the mean of their parts: fastText's n-grams of characters (Bojanowski et al. 2017), many words at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

_CHUNK = 20_000  # words; of about one length, for each step looks at one byte of all of them
_START, _PRIME = np.uint32(2166136261), np.uint32(16777619)  # FNV-1a of 32 bits


def means(
    words: Sequence[str], own: Float[np.ndarray, "n d"], table: Float[np.ndarray, "b d"], shortest: int, longest: int
) -> Float[np.ndarray, "n d"]:
    """The mean of a word's own vector and those of its n-grams, which share b rows by their hash.

    Args:
      words: n of them.
      own: a vector for each.
      table: of the n-grams.
      shortest, longest: characters of an n-gram; the word has a "<" before it and a ">" behind. longest = 0: none.

    Returns:
      float32 [n d]; what fastText's get_word_vector gives of words that it knows, but for "</s>", which has no n-grams.
    """
    sums = np.array(own, np.float32)
    if not longest or not len(table):
        return sums
    marked = [b"<" + word.encode("utf-8", "surrogateescape") + b">" for word in words]
    lengths = np.array([len(word) for word in marked], np.int64)
    order = np.argsort(lengths, kind="stable")
    for first in range(0, len(order), _CHUNK):
        rows = order[first : first + _CHUNK]
        chunk, counts = sums[rows], np.ones((len(rows), 1), np.float32)
        for which, hashes in _hashes([marked[row] for row in rows], lengths[rows], shortest, longest):
            chunk[which] += table[hashes % np.uint32(len(table))]  # no word twice in one of them
            counts[which] += 1
        sums[rows] = chunk / counts
    return sums


def _hashes(words: Sequence[bytes], lengths: Int[np.ndarray, " n"], shortest: int, longest: int):
    """Yields (which words, hashes of an n-gram of each), one for each first and last byte that an n-gram may have."""
    width = int(lengths.max())
    letters = np.array(words, f"S{width}").view(np.uint8).reshape(len(words), width)
    begins = np.pad((letters & 0xC0) != 0x80, ((0, 0), (0, 1)), constant_values=True)  # where a character of UTF-8 does
    signed = letters.astype(np.int8).astype(np.uint32)  # fastText's bytes have a sign
    for first in range(width):
        live = np.flatnonzero((first < lengths) & begins[:, first])
        hashes, characters = np.full(len(live), _START), np.zeros(len(live), np.int64)
        for last in range(first, width):
            if not len(live):
                break
            hashes = (hashes ^ signed[live, last]) * _PRIME
            characters = characters + begins[live, last]
            ends = last + 1 == lengths[live]
            whole = ends | begins[live, last + 1]
            bracket = (characters == 1) & (ends | (first == 0))  # "<" or ">" alone is no n-gram
            found = whole & (characters >= shortest) & ~bracket
            if found.any():
                yield live[found], hashes[found]
            on = ~(ends | (whole & (characters == longest)))
            live, hashes, characters = live[on], hashes[on], characters[on]
