"""An answer that is spoken step by step: how far the loop over exported files is from the run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax.engine import evaluate, mesh, restore
from mmjax.errors import UserError
from mmjax.export import exported, figures, parts
from mmjax.export.exported import FORMATS, in_batches
from mmjax.task import Speaking

Found = dict[str, np.ndarray]


def tried(
    run: restore.Restored,
    every: Sequence[parts.Part],
    paths: Mapping[str, Sequence[Path]],
    held: Mapping[str, np.ndarray],
    about: dict[str, Any],
    size: int,
    say: Callable[[str], None],
) -> dict[str, dict[str, dict[str, float]]]:
    """Speaks held-out sentences with the loop over the files, and says how far they are from the run's.

    Args:
      run: what is exported.
      every: its parts.
      paths: {precision: start, step and end}.
      held: held-out examples.
      about: export.json, which will have it, too.
      size: sentences at once.
      say: gets lines for the user.

    Returns:
      {precision: {figure: {"run", "export"}}}: of both what the system and its judges think.
    """
    listening = _with_judges(run)  # a judge that is not installed is said now, and not after all was spoken
    want, found = of_run(run, held, size), {}
    of_itself = judged(listening, held, want, size)
    for precision, own in paths.items():
        got = of_files(run, every, own, held, about, size)
        about["files"][own[-1].name]["by_loop"] = compared(want, got)
        names = " and ".join((", ".join(one.name for one in own[:-1]), own[-1].name))
        say(f"{names}, by loop.py: {line(compared(want, got), len(want['frames']))}")
        of_them = judged(listening, held, got, size)
        both = {name: {"run": of_itself[name], "export": of_them[name]} for name in of_itself}
        found[precision] = evaluate.in_order(both, run.task.headline)
    return found


def told(speaking: Speaking) -> dict[str, Any]:
    """What export.json says of it."""
    names = ("ended", "steps", "threshold", "bands", "shares", "otherwise")
    return {name: dict(value) if isinstance(value := getattr(speaking, name), Mapping) else value for name in names}


def of_run(run: restore.Restored, columns: Mapping[str, Any], size: int) -> Found:
    """What the run itself says of held-out examples, by the names of `Task.speaking.spoken`; `size` at once."""
    assert run.task.speaking is not None
    return _each(run, jax.jit(run.task.speaking.spoken), columns, size)


def of_files(
    run: restore.Restored, every: Sequence[parts.Part], paths: Sequence[Path], columns: Mapping[str, Any],
    about: Mapping[str, Any], size: int,
) -> Found:  # fmt: skip
    """The same by the loop over three files, given what the run draws."""
    sizes = [about["files"][own.name]["batch"] for own in paths]
    files = [
        functools.partial(in_batches, FORMATS[own.suffix].Runner(own), size=0 if fixed == "any" else fixed)
        for own, fixed in zip(paths, sizes, strict=True)
    ]
    examples = parts.examples(parts.apart(every)[0], columns)
    return in_batches(
        lambda batch, seed: exported.spoken(files, batch, about, exported.drawn(run, seed)), examples, size
    )


def judged(run: restore.Restored, columns: Mapping[str, Any], found: Found, size: int) -> dict[str, float]:
    """The figures of the system that can be made of what was said, those of the judges that the run has among them."""
    speaking = run.task.speaking
    assert speaking is not None

    def judge(variables: Any, batch: Any, key: Any) -> Any:
        del key
        return speaking.judged(variables, batch, {name.removeprefix("said "): batch[name] for name in said})

    said = {f"said {name}": value for name, value in found.items()}  # beside fields of the same name
    predicted = evaluate.with_host(run.task, _each(run, jax.jit(judge), {**columns, **said}, size))
    readable = {name: evaluate.readable(name, value) for name, value in predicted.items()}
    return figures.figures(run.task, readable, {name: np.asarray(columns[name]) for name in run.task.references})


def compared(want: Found, got: Found) -> dict[str, dict[str, float]]:
    """How far the answers are from the run's: shares of sentences with as many frames, and the largest differences.

    Raises:
      UserError: what is no number.
    """
    alike = want["frames"] == got["frames"]
    found = {"frames": {"same": float(np.mean(alike))}}
    for name, value in want.items():
        if "/" in name:
            if not np.isfinite(got[name]).all():
                raise UserError(f"{name} of the export is infinite or no number")
            apart = np.abs(value.astype(np.float64) - got[name])
            found[name] = {"largest": float(apart.max(initial=0.0)), "mean": float(apart.mean())}
    return found


def line(found: Mapping[str, Mapping[str, float]], count: int) -> str:
    """The comparison for the user."""
    apart = [f"{name} off by {of['largest']:.2g} at most, {of['mean']:.2g} on average" for name, of in found.items()
             if "largest" in of]  # fmt: skip
    return f"as many frames in {found['frames']['same']:.1%} of {count}; {'; '.join(apart)}"


def _with_judges(run: restore.Restored) -> restore.Restored:
    """The run with the networks that measure it, which no checkpoint has."""
    judges = {judge.name: judge.load() for judge in run.task.judges}
    return dataclasses.replace(run, variables={**run.variables, "judges": judges})


def _each(run: restore.Restored, program: Any, columns: Mapping[str, Any], size: int) -> Found:
    def runner(batch: Mapping[str, np.ndarray], seed: int) -> Found:
        full = {**batch, "valid": np.ones(len(next(iter(batch.values()))), bool)}
        found = program(run.variables, full, jax.random.key(seed))
        return {name: np.asarray(value) for name, value in found.items()}

    return in_batches(runner, mesh.numeric(columns), size)
