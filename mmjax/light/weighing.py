"""`mmjax light`: all rows of all runs, measured together, with the runs' own figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax import workdir as files
from mmjax.engine import evaluate, restore
from mmjax.errors import UserError
from mmjax.export import exported, folder
from mmjax.export import figures as exported_figures
from mmjax.light import measuring, training
from mmjax.light import rows as made
from mmjax.light.rows import Row

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
      sizes: of batches.
      rounds: turns of each row at each size.
      seconds: at most, for the rounds of one size.
      examples: held-out ones, at most, on which precisions are compared, by their answers and their figures.
    """

    sizes: tuple[int, ...] = (1, 32)
    rounds: int = 20
    seconds: float = 60.0
    examples: int = folder.EXAMPLES


def weigh(places: Sequence[Path], options: Options, say: Say = print) -> dict[str, Any]:
    """Everything that there is to say of these runs, as `--json` writes it.

    Args:
      places: workdirs and exported folders; the first is what the others are compared with.
      options: see there.
      say: gets lines for the user.

    Raises:
      UserError: nothing was trained there, or what it answers has no program.
    """
    named = _names(places)
    lines: list[Row] = []
    figures: dict[str, Any] = {}
    trained: dict[str, training.Record] = {}
    opened: dict[str, tuple[restore.Restored, Any]] = {}
    by_fingerprint: dict[str, tuple[str, list[Row]]] = {}
    load = measuring.load()
    for place, name in zip(places, named, strict=True):
        say(f"preparing {name}")
        run, own = _rows_of(place, name, options, by_fingerprint, say)
        columns = folder.held_out(run, lambda line: None, options.examples)
        lines += own(columns)
        if exported.is_export(place):
            figures |= of_export(place, name)
            continue
        figures[name] = of_run(place)
        opened[name] = run, columns
        trained[name] = training.read(place, run.config.best, run.config.best_mode)
    if not lines:
        raise UserError("nothing there can be run here")
    measured, answers = _measured(lines, options, say)
    for name, (run, columns) in opened.items():
        figures |= of_precisions(run, name, columns, [(row, a) for row, a in zip(lines, answers) if row.run == name])
    return {
        "device": jax.devices()[0].device_kind,
        "threads": measuring.threads(),
        "load": load,
        "batches": list(options.sizes),
        "figures": figures,
        "training": training.compared(trained),
        "rows": [{**_told(row), **more} for row, more in zip(lines, measured, strict=True)],
    }


def _names(places: Sequence[Path]) -> list[str]:
    short = [place.resolve().name for place in places]
    return [name if short.count(name) == 1 else str(place) for name, place in zip(short, places, strict=True)]


def _rows_of(place: Path, name: str, options: Options, known: dict[str, Any], say: Say) -> tuple[Any, Any]:
    """(what opens the data, columns -> rows) of a workdir or of an exported folder."""
    if not exported.is_export(place):
        run = restore.restore(place)

        def of_run(columns: Any) -> list[Row]:
            rows = list(made.of_run(run, name, columns, options.sizes, say))
            known[made.fingerprint(run)] = (name, rows)
            return rows

        return run, of_run
    path = place if place.is_dir() else place.parent
    about = exported.described(path)

    def of_export(columns: Any) -> list[Row]:
        rows = made.of_export(path, name, columns, options.sizes, measuring.threads(), say)
        whose = known.get(about.get("fingerprint", ""))
        return [_as_its_run(row, whose[1]) if whose else row for row in rows]

    return restore.described(path), of_export


def _as_its_run(row: Row, run: Sequence[Row]) -> Row:
    """An export's row with what is known of the run that it was made of."""
    same = next((one for one in run if one.part == row.part), None)
    return dataclasses.replace(row, parameters=same.parameters, count=same.count) if same else row


def of_run(place: Path) -> dict[str, Any]:
    """The run's own figures on its test split, in their order, baselines left out: {name: {"value", "low", "high"}}.

    Intervals are those of `mmjax audit`, where there was one of the same step.
    """
    results, audit = (files.read_json(place / name) or {} for name in (files.RESULTS, files.AUDIT))
    sure = audit.get("figures", {}) if audit.get("step") == results.get("step") else {}
    found = {}
    for name, value in (results.get("values") or {}).items():
        if "/" not in name:
            span = {end: sure[name][end] for end in ("low", "high") if end in sure.get(name, {})}
            found[name] = {"value": value, **span}
    return found


def of_export(place: Path, name: str) -> dict[str, Any]:
    """The figures that `mmjax export` found over the files' own answers: {files: {figure: {"value"}}}."""
    about = files.read_json((place if place.is_dir() else place.parent) / exported.ABOUT) or {}
    found = {}
    for kind, own in about.get("figures", {}).items():
        values = {figure: {"value": of["export"]} for figure, of in own.items() if figure != "examples"}
        found[f"{name}{kind}, {own['examples']:,} examples"] = values
    return found


def of_precisions(
    run: restore.Restored, name: str, columns: Any, answered: Sequence[tuple[Row, Any]]
) -> dict[str, Any]:
    """The figures that the run's narrower weights reach on the held-out examples, beside those of float32 on the same:
    {run and precision: {figure: {"value"}}}."""
    found: dict[str, Any] = {}
    for precision in dict.fromkeys(row.precision for row, _ in answered if row.precision != "float32"):
        answers: dict[str, np.ndarray] = {}
        for row, said in answered:
            if row.precision == precision and row.part not in exported.APART:
                answers |= {key: evaluate.readable(key, value) for key, value in said.items()}
        beside = exported_figures.beside(run, columns, answers, folder.EXAMPLES)
        told = f"{len(next(iter(columns.values()))):,} examples"
        for kind, of in (("float32", "run"), (precision, "export")):
            if beside:
                found[f"{name} {kind}, {told}"] = {figure: {"value": both[of]} for figure, both in beside.items()}
    return found


def _measured(lines: Sequence[Row], options: Options, say: Say) -> tuple[list[dict[str, Any]], list[Any]]:
    """Latency of each row at each size, and how far its answers are from the first row's of the same run and part; and
    these answers."""
    found: list[dict[str, Any]] = [{"latency": {}} for _ in lines]
    for size in options.sizes:
        say(f"measuring {len(lines)} rows at batch {size}, in turns")
        calls = {}
        for number, row in enumerate(lines):
            batch = made.rows(row.examples, size)
            calls[number] = lambda row=row, batch=batch: row.answers[size](batch)  # noqa: B023
        for number, seconds in measuring.in_turns(calls, options.rounds, options.seconds).items():
            found[number]["latency"][size] = measuring.summary(seconds)
    first: dict[tuple[str, str], Mapping[str, np.ndarray]] = {}
    answers = []
    largest = max(options.sizes)
    for row, one in zip(lines, found, strict=True):
        got = exported.in_batches(lambda batch, seed, row=row: row.answers[largest](batch), row.examples, largest)
        answers.append(got)
        want = first.setdefault((row.run, row.part), got)
        if want is not got:
            one["against_float32"] = folder.differences(want, got)
    return found, answers


def _told(row: Row) -> dict[str, Any]:
    kept = {name: getattr(row, name) for name in ("run", "part", "precision", "runtime", "parameters", "one_by_one")}
    count = {} if row.count is None else {"multiply_adds": row.count.total, "open_loops": row.count.open_loops}
    return {**kept, **count, "bytes": row.size, "compiling": dict(row.compiling), "memory": dict(row.memory)}
