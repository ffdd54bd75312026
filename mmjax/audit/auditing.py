"""The audit of a finished run: which modality carries its figures, how sure that is, and what if one fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from mmjax import data, systems
from mmjax import workdir as files
from mmjax.audit import bits, looking, replacing, shares, words
from mmjax.data import pipeline
from mmjax.engine import config as configs
from mmjax.engine import prepare, restore
from mmjax.errors import UserError
from mmjax.metrics.information import games
from mmjax.task import Task
from mmjax.text import vocabulary

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
      examples: of the test split at most; 0 = as many as the run's own evaluation saw.
      modalities: that are taken away; () = all.
      figure: that the sentences are about; "" = config.best or the first.
      group: the field that tells the class of an example; "" = the first that there is.
      accident: options of the data set that differ where the run should not fail, (("shift", "reverse"),).
      bits: whether a system that gives no distribution is a mistake.
      permutations, seed: of p-values and of all that is drawn.
      step: a saved step, "best", or None for the newest.
    """

    examples: int = 0
    modalities: tuple[str, ...] = ()
    figure: str = ""
    group: str = ""
    accident: tuple[tuple[str, Any], ...] = ()
    bits: bool = False
    permutations: int = 200
    seed: int = 0
    step: int | str | None = None


def audit(folder: Path, options: Options, say: Say = print) -> dict[str, Any]:
    """Everything that the audit finds, as it is written to WORKDIR/audit.json.

    Raises:
      UserError: no finished run, or something asked for that it does not have.
    """
    config, results = finished(folder)
    task = systems.build(config)
    if not task.modalities:
        raise UserError(f"{config.system} does not say which modalities go in: Task.modalities")
    about = {"system": config.system, "step": results["step"], "split": config.test_split, "seed": options.seed}
    players = _players(config.system, task, options.modalities)
    if len(task.modalities) < 2:
        return words.told({**about, "modalities": list(players), "controls": controls(results)})
    run = restore.restore(folder, options.step)
    return words.told({**about, "step": run.step, **_Audit(run, players, options, say).found()})


def finished(folder: Path) -> tuple[ConfigDict, Mapping[str, Any]]:
    """The config and the results of a run that ended. Raises UserError where there is none."""
    config = configs.load(folder)
    if config.eval.folds:
        raise UserError(f"{folder} is a cross-validation: audit one of its folds, such as {files.fold(folder, 1)}")
    results = files.read_json(folder / files.RESULTS)
    if not isinstance(results, dict) or results.get("step", -1) < config.steps:
        raise UserError(f"{folder} is not finished: it has no results of step {config.steps:,}; train it to its end")
    return config, results


def controls(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the run's own evaluation says: each figure beside its baselines and the probes, {figure: {name: value}}."""
    values, probed = results.get("values") or {}, results.get("probes") or {}
    found = {}
    for name in (name for name in values if "/" not in name):
        beside = {k.partition("/")[2]: v for k, v in values.items() if k.startswith(f"{name}/")}
        found[name] = {"": values[name], **beside, **{k: v[name] for k, v in probed.items() if name in v}}
    return found


def _players(system: str, task: Task, asked: tuple[str, ...]) -> tuple[str, ...]:
    for modality in asked:
        if modality not in task.modalities:
            raise UserError(f"{system} has no modality {modality!r}: it has {', '.join(task.modalities)}")
    return tuple(m for m in task.modalities if m in asked or not asked)


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


class _Audit:
    """The parts of one audit of several modalities."""

    def __init__(self, run: restore.Restored, players: tuple[str, ...], options: Options, say: Say):
        self.run, self.task, self.config = run, run.task, run.config
        self.players, self.options, self.say = players, options, say
        self.groups = replacing.groups(self.task.fields, self.task.modalities)
        if options.group and options.group not in self.groups:
            there = f"choose one of {', '.join(self.groups)}" if self.groups else "there is none"
            raise UserError(f"--group {options.group}: no field that tells a class; {there}")
        self.group = options.group or next(iter(self.groups), "")
        self.look = looking.Looker(self.task, run.variables, run.config.eval.batch_size)

    def columns(self, split: str, **changes: Any) -> dict[str, Any]:
        """All examples of a split that are looked at."""
        fields = prepare.asked(self.task)
        given = {**self.config.data, **changes}
        source = data.open(split, fields, train_split=self.config.train_split, **given)
        self.run.compare(source)  # its numbers must mean what they meant
        most = self.options.examples or self.config.eval.test_examples
        batches = pipeline.eval_batches(source, self.config.eval.batch_size, most, **self.config.loader)
        return looking.gathered(batches, fields)

    def found(self) -> dict[str, Any]:
        """All that is known of a system of several modalities."""
        options, config = self.options, self.config
        known, columns = self.columns(config.validation_split), self.columns(config.test_split)
        kinds = tuple(kind for kind in replacing.KINDS if kind != "class" or self.group)
        passes = len(kinds) * (2 ** len(self.players) - 1) + 1
        n = looking.length(columns)
        self.say(f"auditing {config.system} on {config.test_split}: {passes} passes over {n:,} examples")
        drawn: dict[str, Any] = {"group": self.group, "seed": options.seed}
        intact, looks, alone = play(self.look, columns, known, self.players, kinds, **drawn)
        figures = shares.of_figures(looks, self.players, options.permutations, options.seed)
        main = self.main(figures)
        out: dict[str, Any] = {"examples": n, "modalities": list(self.players), "figure": main, "group": self.group}
        out |= {
            "permutations": options.permutations,
            "figures": figures,
            "bits": self.bits(known, columns, intact, alone),
        }
        if options.accident:
            named = ", ".join(f"{k}={v}" for k, v in options.accident)
            self.say(f"the same where {named}")
            changed = self.columns(config.test_split, **dict(options.accident))
            _, there, _ = play(self.look, changed, known, self.players, **drawn)
            moved = shares.of_figures(there, self.players, options.permutations, options.seed)
            out["accident"] = {"options": named, "figures": moved}
        return out

    def main(self, figures: Mapping[str, Any]) -> str:
        """The figure that the sentences are about."""
        asked = self.options.figure
        if not figures:
            raise UserError(f"no figure of {self.config.system} is a number on {self.config.test_split}")
        if asked and asked not in figures:
            raise UserError(f"--figure {asked}: no figure of this run; there are {', '.join(figures)}")
        return asked or (self.config.best if self.config.best in figures else next(iter(figures)))

    def bits(self, known: Any, columns: Any, intact: looking.Look, alone: Mapping[str, looking.Look]) -> Any:
        """What each modality tells of the answer, or the line why that is not said."""
        if not intact.logits:
            if self.options.bits:
                raise UserError(f"--bits: {self.config.system} gives no distribution over classes: Task.distribution")
            return {"refused": f"{self.config.system} gives no distribution over classes"}
        held, before = dict(intact.logits), self.look(known)
        told = dict(before.logits)
        for modality in self.players:
            if modality not in held:  # no control was trained on it: the system itself, with the mean of the others
                held[modality] = alone[modality].logits[""]
                gone = [m for m in self.players if m != modality]
                told[modality] = self.look(absent(self.task, known, gone, "mean", known, "", 0)).logits[""]
        if not ((before.label >= 0).any() and (intact.label >= 0).any()):
            return {"refused": "no example has a known class"}
        both = (before.label, told), (intact.label, held)
        return bits.measure(*both, self.players, self.options.permutations, self.options.seed, self.kinds(columns))

    def kinds(self, columns: Any) -> dict[str, Any]:
        """{name: which examples are of this kind}, by the last of the fields that tell a class, where several do."""
        if len(self.groups) < 2:
            return {}
        field, value = self.groups[-1], np.asarray(columns[self.groups[-1]])
        spelled = self.run.constants.get(f"{field.removesuffix('_label')}_vocabulary")
        names = self.run.constants.get(f"{field}_names") if spelled is None else spelled
        known = [str(n) for n in range(value.max() + 1)] if names is None else vocabulary.words_of(names)
        return {name: value == number for number, name in enumerate(known) if (value == number).any()}
