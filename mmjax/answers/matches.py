"""Who of those that were asked finds whom in a joint space: each among those of another kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmjax.answers import rows as tables
from mmjax.answers.rows import Answer, Row

BLOCK = 1024  # points whose cosines are held at once


def add(answers: Sequence[Answer], top: int) -> None:
    """Adds to each row the `top` answers whose points lie nearest, by cosine, as `match`, `match_score`, `match_2`, ...

    Pictures find sentences, say, and never other pictures, but where all are of one side: then each finds the others.

    Args:
      answers: with the columns that name them, and one embedding/<side> each, [d] or [n d], of which the first counts.
      top: matches of each.
    """
    rows = [row for row, _ in answers]
    points = [next((key, x) for key, x in media.items() if key.startswith("embedding/")) for _, media in answers]
    sides = [side for side, _ in points]
    space = np.stack([point if point.ndim == 1 else point[0] for _, point in points]).astype(np.float32)
    space /= np.maximum(np.linalg.norm(space, axis=1, keepdims=True), 1e-12)
    names = [name_of(row) for row in rows]
    for side in dict.fromkeys(sides):
        mine = np.flatnonzero([one == side for one in sides])
        others = np.flatnonzero([one != side for one in sides])
        theirs = others if len(others) else mine
        for start in range(0, len(mine), BLOCK):
            some = mine[start : start + BLOCK]
            cosines = space[some] @ space[theirs].T
            cosines[some[:, None] == theirs[None]] = -np.inf  # nobody finds itself
            for i, scores in zip(some, cosines, strict=True):
                there = np.isfinite(scores)
                found = [names[j] for j in theirs[there]]
                rows[i].update(tables.best("match", scores[there], found, top))


def name_of(row: Row) -> str:
    """What a row is called: its text, or its file with the time."""
    if "file" not in row:
        return str(row.get("text", ""))
    return str(row["file"]) + (f"@{row['start']:g}" if row.get("start") is not None else "")
