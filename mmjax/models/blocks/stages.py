"""Stages of a trunk: how wide each is and how many blocks it has."""

from __future__ import annotations

from collections.abc import Sequence

from mmjax.errors import OptionError


def paired(widths: Sequence[int], depths: Sequence[int]) -> list[tuple[int, int]]:
    """(channels, blocks) of each stage.

    Raises:
      OptionError: there are not as many of the one as of the other.
    """
    if len(widths) != len(depths):
        raise OptionError("depths", f"has {len(depths)} stages, and widths {len(widths)}: {tuple(depths)}")
    return list(zip(widths, depths))
