"""The game that shares are of: every set of modalities looked at, the others replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmjax.audit import looking, replacing, shares
from mmjax.metrics.information import games
from mmjax.task import Task


def play(
    look: looking.Looker,
    columns: replacing.Columns,
    known: replacing.Columns,
    players: Sequence[str],
    kinds: Sequence[str] = ("other",),
    group: str = "",
    seed: int = 0,
) -> tuple[looking.Look, shares.Looks, dict[str, looking.Look]]:
    """Every figure with every set of modalities there, and the others replaced in every way that is asked for.

    Args:
      look: of the system.
      columns: the examples.
      known: those of another split, which means are taken from.
      players: the modalities that are taken away.
      kinds: of `replacing.KINDS`.
      group: the field that tells an example's class, for "class".
      seed: of what is drawn.

    Returns:
      the look with everything in its place; {replacement: {those that are there: {figure: (unit, units)}}}; and for
      each modality the look in which the others are the mean, where that is asked for.
    """
    everyone, intact = frozenset(players), look(columns)
    look.expect(intact)
    whole = looking.units(look.task, intact, columns, intact)
    found: dict[str, Any] = {kind: {everyone: whole} for kind in kinds}
    alone: dict[str, looking.Look] = {}
    for kind in kinds:
        for there in games.coalitions(players):
            if there == everyone:
                continue
            changed = absent(look.task, columns, [m for m in players if m not in there], kind, known, group, seed)
            seen = look(changed).with_equals_of(intact) if kind in replacing.ONE else look(changed)
            found[kind][there] = looking.units(look.task, seen, changed, intact)
            if kind == "mean" and len(there) == 1:
                alone |= dict.fromkeys(there, seen)
    return intact, found, alone


def absent(
    task: Task, columns: replacing.Columns, gone: Sequence[str], kind: str, known: Any, group: str, seed: int
) -> replacing.Columns:
    """The examples with some modalities replaced, each by draws of its own; arguments as of `play`."""
    for modality in gone:
        own = seed + 1 + list(task.modalities).index(modality)
        columns = replacing.replaced(columns, task.modalities[modality], kind, known, group, own)
    return columns
