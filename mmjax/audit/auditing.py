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
from mmjax.audit import bits, looking, playing, replacing, retraining, several, shares, words
from mmjax.data import pipeline
from mmjax.engine import config as configs
from mmjax.engine import evaluate, prepare, restore
from mmjax.errors import UserError
from mmjax.metrics.information import trust
from mmjax.task import Task
from mmjax.text import vocabulary

Say = Callable[[str], None]
SECTIONS = ("train_split", "tokens", "mixtures")  # of `data.open`: what no single value can be


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
      examples: of the test split at most; 0 = as many as the run's own evaluation saw.
      modalities: that are taken away; () = all.
      figure: that the sentences are about; "" = config.best or the headline.
      group: the field that tells the class of an example; "" = the first that there is.
      accident: options of the data set that differ where the run should not fail, (("shift", "reverse"),).
      bits: whether a system that gives no distribution is a mistake.
      permutations, seed: of p-values and of all that is drawn.
      step: a saved step, "best", or None for the newest.
      retrain: whether the system's network is trained anew with each modality alone.
      rates: factors of the learning rates that it is tried with.
      seeds: runs of the system, itself among them, that the last interval is over.
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
    retrain: bool = False
    rates: tuple[float, ...] = (1.0,)
    seeds: int = 1


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
        for name in ("retrain", "bits"):
            if getattr(options, name):
                raise UserError(f"--{name}: {config.system} takes one modality, and nothing is left without it")
        run = restore.restore(folder, options.step)
        found = {**about, "step": run.step, "modalities": list(players), "controls": controls(results)}
        return words.told({**found, **_Audit(run, folder, players, options, say).one_to_many()})
    if options.retrain and task.contrastive:  # said before anything is computed
        raise UserError("--retrain: the loss is contrastive; it asks what belongs together, and one side cannot tell")
    run = restore.restore(folder, options.step)
    found = {**about, "step": run.step, **_Audit(run, folder, players, options, say).found()}
    if options.seeds > 1:
        found["seeds"] = over_seeds(config, folder, found, options, say)
    return words.told(found)


def over_seeds(
    config: ConfigDict, folder: Path, found: Mapping[str, Any], options: Options, say: Say
) -> dict[str, Any]:
    """The main figure, its shares and the bits over runs from several seeds: {name: mean with Student's interval}."""
    again = dataclasses.replace(options, figure=found["figure"], retrain=False, seeds=1, accident=())
    every = [of_run(found)]
    for place in retraining.seeds(config, folder, options.seeds):
        run = restore.restore(place, options.step)
        every.append(of_run(_Audit(run, place, tuple(found["modalities"]), again, say).found()))
    names = [name for name in every[0] if all(name in one for one in every)]
    spans = {name: trust.over_runs(np.array([one[name] for one in every])) for name in names}
    return {
        "runs": len(every),
        "spans": {n: dict(zip(("value", "low", "high"), map(float, s))) for n, s in spans.items()},
    }


def of_run(found: Mapping[str, Any]) -> dict[str, float]:
    """The few numbers of one run that are compared over seeds."""
    name = found["figure"]
    of = found["figures"][name]
    numbers = {name: of["value"]}
    shares_of = of["replaced"]["other"]["share"]
    if len(shares_of) > 1:
        numbers |= {f"share of {m}": share["value"] for m, share in shares_of.items() if share is not None}
    tells = found["bits"].get("tells", {})
    return numbers | {f"bits of {who or 'the system'}": span["value"] for who, span in tells.items()}


def finished(folder: Path) -> tuple[ConfigDict, Mapping[str, Any]]:
    """The config and the results of a run that ended. Raises UserError where there is none."""
    config = configs.load(folder)
    if config.eval.folds:
        raise UserError(f"{folder} is a cross-validation: audit one of its folds, such as {files.fold(folder, 1)}")
    results = files.read_json(folder / files.RESULTS)
    step = results.get("step") if isinstance(results, dict) else None
    if not isinstance(step, int) or step < config.steps:
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


class _Audit:
    """The parts of one audit of several modalities."""

    def __init__(self, run: restore.Restored, folder: Path, players: tuple[str, ...], options: Options, say: Say):
        self.run, self.task, self.config, self.folder = run, run.task, run.config, folder
        self.players, self.options, self.say = players, options, say
        self.groups = replacing.groups(self.task.fields, self.task.modalities)
        if options.group and options.group not in self.groups:
            there = f"choose one of {', '.join(self.groups)}" if self.groups else "there is none"
            raise UserError(f"--group {options.group}: no field that tells a class; {there}")
        self.group = options.group or next(iter(self.groups), "")
        self.look = looking.Looker(self.task, run.variables, run.config.eval.batch_size)

    def fields(self, more: Sequence[str] = ()) -> tuple[str, ...]:
        """What the system asks for, and `more`."""
        return tuple(dict.fromkeys((*prepare.asked(self.task), *more)))

    def source(self, split: str, fields: tuple[str, ...], **changes: Any) -> Any:
        """A split of the run's data set, some of whose options may be others."""
        for option in changes:
            if option in SECTIONS:
                raise UserError(f"--accident {option}: that is no option of the data set")
        given = {**self.config.data, **changes}
        source = data.open(split, fields, train_split=self.config.train_split, **given)
        self.run.compare(source)  # its numbers must mean what they meant
        return source

    def columns(self, split: str, more: Sequence[str] = ()) -> dict[str, Any]:
        """All examples of a split that are looked at, with `more` fields than the system asks for."""
        fields = self.fields(more)
        return self.read(self.source(split, fields), fields)

    def read(self, source: Any, fields: tuple[str, ...]) -> dict[str, Any]:
        """As many examples of a split as are looked at."""
        most = self.options.examples or self.config.eval.test_examples
        batches = pipeline.eval_batches(source, self.config.eval.batch_size, most, **self.config.loader)
        return looking.gathered(batches, fields)

    def found(self) -> dict[str, Any]:
        """All that is known of a system of several modalities."""
        options, config = self.options, self.config
        failing = None
        if options.accident:  # what cannot be opened is said before hours of passes
            failing = self.source(config.test_split, self.fields(), **dict(options.accident))
        known, columns = self.columns(config.validation_split), self.columns(config.test_split, self.lists())
        kinds = tuple(kind for kind in replacing.KINDS if kind != "class" or self.group)
        passes = len(kinds) * (2 ** len(self.players) - 1) + 1
        n = looking.length(columns)
        self.say(f"auditing {config.system} on {config.test_split}: {passes} passes over {n:,} examples")
        drawn: dict[str, Any] = {"group": self.group, "seed": options.seed}
        intact, looks, alone = playing.play(self.look, columns, known, self.players, kinds, **drawn)
        figures = shares.of_figures(looks, self.players, options.permutations, options.seed)
        figures = evaluate.in_order(figures, self.task.headline)
        main = self.main(figures)
        out: dict[str, Any] = {"examples": n, "modalities": list(self.players), "figure": main, "group": self.group}
        out["stays"] = [m for m in self.task.modalities if m not in self.players]
        out |= {
            "permutations": options.permutations,
            "figures": figures,
            **self.several(columns, intact, figures, main),
        }
        retrained = self.retrained() if options.retrain else {}
        if retrained:
            out["retrained"] = self.of_retrained(retrained, known, columns, main)
        out["bits"] = self.bits(known, columns, intact, alone, retrained)
        if failing is not None:
            named = ", ".join(f"{k}={v}" for k, v in options.accident)
            self.say(f"the same where {named}")
            changed = self.read(failing, self.fields())
            _, there, _ = playing.play(self.look, changed, known, self.players, **drawn)
            moved = shares.of_figures(there, self.players, options.permutations, options.seed)
            out["accident"] = {"options": named, "figures": moved}
        return out

    def one_to_many(self) -> dict[str, Any]:
        """What `several` finds of a system of one modality; nothing is looked at where no number has several rows."""
        config = self.config
        columns = self.columns(config.test_split, self.lists())
        numbers = several.numbers(columns, self.task.modalities).values()
        if not any(len(several.rows(number)) > 1 for number in numbers):
            return {}
        self.say(f"auditing {config.system} on {config.test_split}: one pass over {looking.length(columns):,} examples")
        intact = self.look(columns)
        kinds = {name: {"units": kind} for name, (kind, _) in looking.units(self.task, intact, columns, intact).items()}
        kinds = evaluate.in_order(kinds, self.task.headline)
        return self.several(columns, intact, kinds, self.main(kinds)) if kinds else {}

    def lists(self) -> list[str]:
        """The fields of which an example may have several, where the data set offers them."""
        offered = (
            () if self.config.data.get("mixtures") else data.offers(self.config.data.name, _options(self.config.data))
        )
        return [field for field in several.LISTS if field in offered]

    def main(self, figures: Mapping[str, Any]) -> str:
        """The figure that the sentences are about: what was asked for, what chose the best step, or the headline."""
        asked = self.options.figure
        if not figures:
            raise UserError(f"no figure of {self.config.system} is a number on {self.config.test_split}")
        if asked and asked not in figures:
            raise UserError(f"--figure {asked}: no figure of this run; there are {', '.join(figures)}")
        return asked or (self.config.best if self.config.best in figures else next(iter(figures)))

    def several(self, columns: Any, intact: looking.Look, figures: Mapping[str, Any], main: str) -> dict[str, Any]:
        """A figure by how many of something an example has.

        It is the main one; where that is of whole batches, the first that is of examples at all.

        Returns:
          several_of: the figure; several: {what: {number: examples, and the figure}}; several_alike: whether all
          numbers of something are of as many examples, because among fewer the figure may be better.
        """
        of = [main, *(name for name, one in figures.items() if one["units"] == "block")]
        figure = of[1] if figures[main]["units"] == "batch" and len(of) > 1 else main
        alike = figures[figure]["units"] == "block"
        found: dict[str, Any] = {}
        for what, number in several.numbers(columns, self.task.modalities).items():
            rows, every = {}, several.rows(number)
            for name, at in (several.alike(every, self.options.seed) if alike else every).items():
                some = {field: np.asarray(value)[at] for field, value in columns.items()}
                units = looking.units(self.task, intact.only(at), some, intact)
                if figure in units:  # not where it is of whole batches, or means nothing of so few
                    rows[name] = {"examples": int(at.sum()), **shares.span(units[figure][1], self.options.seed)}
            if len(rows) > 1:
                found[what] = rows
        return {"several_of": figure, "several_alike": alike, "several": found}

    def retrained(self) -> dict[str, tuple[looking.Looker, float]]:
        """{modality: the system's network that was trained with it alone, and its factor of the learning rates}."""
        found = {}
        for modality in self.players:
            self.say(f"training {self.config.system} with {modality} alone")
            run, rate = retraining.alone(self.config, self.folder, modality, self.options.rates)
            found[modality] = looking.Looker(run.task, run.variables, self.config.eval.batch_size), rate
        return found

    def of_retrained(self, retrained: Mapping[str, Any], known: Any, columns: Any, figure: str) -> dict[str, Any]:
        """{modality: the main figure of the network that was trained with it alone}."""
        found = {}
        for modality, (look, rate) in retrained.items():
            seen = look(columns)
            _, units = looking.units(self.task, seen, columns, seen)[figure]
            found[modality] = {**shares.span(units, self.options.seed), "rate": rate}
        return found

    def bits(
        self,
        known: Any,
        columns: Any,
        intact: looking.Look,
        alone: Mapping[str, looking.Look],
        retrained: Mapping[str, Any],
    ) -> Any:
        """What each modality tells of the answer, or the line why that is not said."""
        if not intact.logits:
            if self.options.bits:
                raise UserError(f"--bits: {self.config.system} gives no distribution over classes: Task.distribution")
            return {"refused": f"{self.config.system} gives no distribution over classes"}
        held, before = dict(intact.logits), self.look(known)
        told = dict(before.logits)
        for modality, (look, _) in retrained.items():
            held[modality], told[modality] = look(columns).logits[""], look(known).logits[""]
        every = tuple(self.task.modalities)  # those that `--modality` leaves in their place tell of the answer, too
        for modality in every:
            if modality not in held:  # no control was trained on it: the system itself, with the mean of the others
                gone = [m for m in every if m != modality]
                seen, before_it = (
                    alone[modality]
                    if split is columns and every == self.players
                    else self.look(playing.absent(self.task, split, gone, "mean", known, "", 0))
                    for split in (columns, known)
                )
                held[modality], told[modality] = seen.logits[""], before_it.logits[""]
        if not ((before.label >= 0).any() and (intact.label >= 0).any()):
            return {"refused": "no example has a known class"}
        both = (before.label, told), (intact.label, held)
        found = bits.measure(*both, every, self.options.permutations, self.options.seed, self.kinds(columns))
        return {"of": intact.head, **found}

    def kinds(self, columns: Any) -> dict[str, Any]:
        """{name: which examples are of this kind}, by the last of the fields that tell a class, where several do."""
        if len(self.groups) < 2:
            return {}
        field, value = self.groups[-1], np.asarray(columns[self.groups[-1]])
        spelled = self.run.constants.get(f"{field.removesuffix('_label')}_vocabulary")
        names = self.run.constants.get(f"{field}_names") if spelled is None else spelled
        known = [str(n) for n in range(value.max() + 1)] if names is None else vocabulary.words_of(names)
        return {name: value == number for number, name in enumerate(known) if (value == number).any()}


def _options(section: Any) -> dict[str, Any]:
    """Of a data set: the section without its name and what `data.open` takes."""
    return {k: v for k, v in section.items() if k not in ("name", "train_split")}
