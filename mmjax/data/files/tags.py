"""Tags: several of an example, as numbers of the names in the source's constant "tags_names"."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mmjax.errors import UserError


def names(counts: Mapping[str, int], least: int) -> tuple[str, ...]:
    """The tags of at least `least` training examples, in alphabetical order: a rarer one could not be learnt.

    Raises:
      UserError: no tag is that frequent.
    """
    kept = tuple(sorted(tag for tag, count in counts.items() if count >= least))
    if not kept:
        most = max(counts.values(), default=0)
        raise UserError(
            f"no tag is on {least} training examples (the most frequent is on {most}): lower config.data.min_tag"
        )
    return kept


def count(examples: Iterable[Iterable[str]]) -> dict[str, int]:
    """How many examples each tag is on."""
    return dict(collections.Counter(tag for tags in examples for tag in set(tags)))


def numbers(tags: Sequence[str], index: Mapping[str, int], width: int) -> np.ndarray:
    """int32 [width]: the known ones of `tags` in their order, each once; -1 where there is none."""
    known = [index[tag] for tag in dict.fromkeys(tags) if tag in index]
    return np.array(known + [-1] * (width - len(known)), np.int32)
