"""What a listener understood: errors of words, or of units, beside what was said, as speech recognition counts them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mmjax.text import tokenise

Sequences = Sequence[Sequence[Any]]


def distance(said: Sequence[Any], wanted: Sequence[Any]) -> int:
    """The fewest insertions, deletions and substitutions that make one sequence the other (Levenshtein 1966)."""
    at = np.arange(len(wanted) + 1)
    row = at
    for number, one in enumerate(said, 1):
        other = np.array([one != two for two in wanted], np.int64)
        best = np.concatenate([[number], np.minimum(row[:-1] + other, row[1:] + 1)])
        row = np.minimum.accumulate(best - at) + at  # insertions
    return int(row[-1])


def error_rate(said: Sequences, wanted: Sequences) -> float:
    """Errors over what was wanted, of a whole split: the word error rate of words. Above 1 where too much is said.

    Args:
      said, wanted: a sequence of words or units of each example.

    Returns:
      0 for a perfect match, 1 for silence; not a number where nothing was wanted.
    """
    total = sum(map(len, wanted))
    errors = sum(distance(one, other) for one, other in zip(said, wanted, strict=True))
    return errors / total if total else float("nan")


def figures(name: str, said: Sequences, wanted: Sequences) -> dict[str, float]:
    """The error rate under a name, beside that of silence and that of another sentence: the last one before, in a
    circle, that is not the same, for a split may have each sentence by several voices; none where all are the same."""
    found = {name: error_rate(said, wanted), f"{name}/silence": error_rate([()] * len(wanted), wanted)}
    another = [wanted[n] for n in others(wanted)]
    return found | ({f"{name}/another_sentence": error_rate(another, wanted)} if another else {})


def others(rows: Sequences) -> list[int]:
    """For each row the place of the last one before it, in a circle, that differs; [] where all are the same."""
    found, other = [-1] * len(rows), -1
    for n in [*range(len(rows))] * 2:  # twice around: the first ones find theirs at the end
        if list(rows[n - 1]) != list(rows[n]):
            other = (n - 1) % len(rows)
        found[n] = other
    return found if other >= 0 else []


def words(texts: Iterable[str]) -> list[list[str]]:
    """The words of texts as captions are scored: in lower case, without punctuation, which nobody says aloud."""
    return [tokenise.caption(str(text)) for text in texts]
