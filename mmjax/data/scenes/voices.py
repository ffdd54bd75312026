"""Who speaks in which split: regions of the speakers' factors that training never hears."""

from __future__ import annotations

import numpy as np

from mmjax.data.scenes.face import FACTORS
from mmjax.data.scenes.layout import HELD_OUT_SHARE

# Factors are held out two by two, as objects are with colours: each of four quarters of a factor loses one cell to one
# of the splits, so that training hears every pitch and every tract equally often, and not every pair of them.
PLANES: tuple[tuple[int, int], ...] = ((0, 1), (2, 3))  # build and length; age and warmth
QUARTERS = 4
HELD_OUT: dict[str, frozenset[tuple[int, int]]] = {
    "validation": frozenset({(0, 1), (2, 3)}),
    "test": frozenset({(1, 2), (3, 0)}),
}
APART = 0.25  # by which another speaker differs in one factor at least


def region(speaker: np.ndarray) -> tuple[str, ...]:
    """For each of `PLANES` the split to which the speaker belongs alone, or "" where every split may have it."""
    cells = np.minimum((np.asarray(speaker) * QUARTERS).astype(int), QUARTERS - 1).tolist()
    found = []
    for one, two in PLANES:
        found.append(next((split for split, held in HELD_OUT.items() if (cells[one], cells[two]) in held), ""))
    return tuple(found)


def draw(rng: np.random.Generator, split: str) -> np.ndarray:
    """A speaker, float32 [4]: in half of a held-out split one whose region is that split's, in one plane."""
    return _draw(rng, split, split in HELD_OUT and bool(rng.random() < HELD_OUT_SHARE))


def another(rng: np.random.Generator, speaker: np.ndarray, split: str, held_out: bool) -> np.ndarray:
    """A speaker who is clearly another; with `held_out`, one who is new to training just where `speaker` is."""
    while True:
        found = _draw(rng, split, any(region(speaker))) if held_out else rng.random(len(FACTORS), np.float32)
        if np.abs(found - speaker).max() >= APART:
            return found


def _draw(rng: np.random.Generator, split: str, new: bool) -> np.ndarray:
    wanted = [""] * len(PLANES)
    if new:
        wanted[rng.integers(len(PLANES))] = split
    while True:
        speaker = rng.random(len(FACTORS), np.float32)
        if list(region(speaker)) == wanted:
            return speaker
