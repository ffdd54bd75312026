"""Before the first step: the task, its data, the devices, and the state on them, fresh or of the newest checkpoint."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from mmjax import data, predictions
from mmjax import workdir as files
from mmjax.data import pipeline, spec
from mmjax.data.mixtures import Mixtures
from mmjax.engine import agree, built, checkpoint, data_record, evaluate, features, mesh, probes
from mmjax.engine import step as steps
from mmjax.errors import UserError
from mmjax.task import Batch, Task, bind

PROCESS = tuple[int, int]
# XLA's options for a program of random draws that runs once: on CPUs it has the same values in a third of the time.
ONCE = {"xla_backend_optimization_level": 1}


@dataclasses.dataclass(frozen=True)
class Ready:
    """Everything that a run holds while it trains."""

    config: ConfigDict
    workdir: Path
    command: str
    task: Task
    placement: mesh.Jitted | mesh.Replicated
    evaluator: evaluate.Evaluator
    saver: checkpoint.Checkpoints
    optimisers: steps.Optimisers
    state: steps.TrainState  # fresh or restored, laid out for jit; training consumes it
    sources: dict[str, data.Source]  # by the name of the split
    training: data.Source  # the training split as the steps see it, see `engine.features`
    ahead: Iterator[Batch] | None = None  # its batches from the first one on, where reading them has begun

    @property
    def process(self) -> PROCESS:
        """(index, count) of this process."""
        return jax.process_index(), jax.process_count()

    def batches(self, start: int) -> Iterator[Batch]:
        """The endless training stream from a step on."""
        if self.ahead is not None and not start:
            return self.ahead
        return train_batches(self.training, self.config, start)

    def held_out(self, split: str, examples: int, fields: tuple[str, ...] = ()) -> Iterator[Batch]:
        """One pass over a held-out split, in order, padded and masked; of these fields alone where some are named."""
        source, config = self.sources[split], self.config
        if fields:
            source = data.open(split, fields, train_split=config.train_split, **config.data)
        return pipeline.eval_batches(source, config.eval.batch_size, examples, self.process, **config.loader)


def prepare(config: ConfigDict, workdir: Path, command: str = "") -> Ready:
    """Opens and checks everything that a run needs, before the first step."""
    with contextlib.ExitStack() as failed:
        ready = _prepared(config, workdir, command, failed)
        failed.pop_all()
        return ready


def _prepared(config: ConfigDict, workdir: Path, command: str, failed: contextlib.ExitStack) -> Ready:
    """The same; what must be let go of where it fails is called back by `failed`."""
    with agree.together():  # the first exchange of the processes is after it
        task, optimisers = built.of(config, taught=True)
        for note in task.notes:
            say(note)
        if not checkpoint.has_any(workdir):
            for need in task.needs:
                need()
        _check_judges(task, config)
        judges = {judge.name: judge.load() for judge in task.judges}  # a missing file is said now, not after hours
        sources = open_splits(task, config)
        seen_data, changed = known_data(task, config, workdir, sources)
    _check_alike(seen_data)
    split = config.train_split
    ahead = None
    if task.features is None and not checkpoint.has_any(workdir):  # or it is not known yet what is read, and from where
        ahead = train_batches(sources[split], config, 0)
        failed.callback(ahead.close)
        ahead.start_prefetch()  # the first batch is read while programs are traced and compiled
    batch = example_batch(sources[split], config)
    constants = dict(getattr(sources[split], "constants", {}))
    task = evaluate.named(task, constants)
    placement = mesh.make(config.parallel, config.model_axis, config.fsdp)
    jitted = placement if isinstance(placement, mesh.Jitted) else mesh.Jitted()
    key, seen = jax.random.key(config.seed), {**batch, **constants}
    state = shapes(task, optimisers, key, seen, jitted)
    evaluator = evaluate.Evaluator(task, jitted, judges)
    _check_answers(task, config, *evaluator.shapes(state.variables, batch, config.eval.batch_size))
    saver = checkpoint.Checkpoints(workdir, config.best, config.best_mode)
    fresh = saver.latest() is None
    if fresh:
        state = fill(task, create(task, optimisers, key, seen, state), constants, jitted)
    else:
        state = saver.restore_frozen(saver.restore(state))
        say(f"going on from step {int(state.step)} of {config.steps}")
    record(config, workdir, seen, constants, task, fresh)
    record_mixtures(workdir, sources)
    if first():
        data_record.write(workdir, seen_data, 0 if fresh else int(state.step), changed)
    if fresh:
        saver.save_frozen(state.frozen)
    size = sum(x.size for x in jax.tree.leaves(state.params))
    say(f"{size:,} parameters on {len(mesh.devices())} x {mesh.devices()[0].device_kind}")
    known = seen_data[split].fields
    training = features.training(task, config, workdir, sources[split], known, batch, state, jitted, say)
    return Ready(
        config, workdir, command, task, placement, evaluator, saver, optimisers, state, sources, training, ahead
    )


def train_batches(source: data.Source, config: ConfigDict, start: int) -> Any:
    """The endless training stream of this process from a step on: grain's iterator."""
    process = jax.process_index(), jax.process_count()
    return pipeline.train_batches(source, config.batch_size, config.seed, start, process, **config.loader)


def shapes(
    task: Task, optimisers: steps.Optimisers, key: jax.Array, batch: Batch, placement: mesh.Jitted
) -> steps.TrainState:
    """What a state will be: each array's shape, dtype and sharding. A restored one is never made afresh."""
    made = jax.eval_shape(bind(steps.create, task, optimisers), key, batch)
    laid = placement.shardings(made)
    return jax.tree.map(lambda x, own: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=own), made, laid)


def create(
    task: Task, optimisers: steps.Optimisers, key: jax.Array, batch: Batch, wanted: steps.TrainState
) -> steps.TrainState:
    """A fresh state, made where it will live, see `shapes`: what is split over the devices need not fit on one."""
    made = bind(steps.create, task, optimisers)
    options = ONCE if jax.default_backend() == "cpu" else {}
    shardings = jax.tree.map(lambda x: x.sharding, wanted)
    return jax.jit(made, out_shardings=shardings, compiler_options=options)(key, batch)


def fill(
    task: Task, state: steps.TrainState, constants: Mapping[str, np.ndarray], placement: mesh.Jitted
) -> steps.TrainState:
    """A fresh state with what the task fills in. Fresh optimisers do not depend on the parameters' values."""
    old = state.variables
    new = placement.fill(old, dict(task.fill(old, constants)))
    return dataclasses.replace(state, **new)


def open_splits(task: Task, config: ConfigDict) -> dict[str, data.Source]:
    """Opens every split before the first step: a typo must not wait for the first look at it."""
    text = [field for field in task.references if spec.FIELDS[field].dtype == "str"]
    if text and jax.process_count() > 1:
        raise UserError(f"{config.system} scores {', '.join(text)}, which is text: train it on one process")
    opened = functools.partial(data.open, train_split=config.train_split, **config.data)  # its text: the vocabulary
    sources = {config.train_split: opened(config.train_split, task.fields)}
    for split in (config.validation_split, config.test_split):
        named = ("index",) if split == config.test_split else ()  # its predictions say whose they are
        sources[split] = opened(split, tuple(dict.fromkeys((*asked(task), *named))))
    return sources


def identities(config: ConfigDict, split: str, index: np.ndarray) -> dict[str, list[Any]]:
    """{column: what the data set calls the examples at these positions}: files, times or numbers; {} for none."""
    columns = {column: field for column, field in data.identity(config.data.name).items() if field != "index"}
    if not columns:
        return {}
    source = data.open(split, tuple(columns.values()), train_split=config.train_split, **config.data)
    rows = [source[int(at)] for at in index]  # nothing else of an example is read
    found = {column: [np.asarray(row[field]).item() for row in rows] for column, field in columns.items()}
    return {k: [int(x) for x in v] if k.endswith("_id") else v for k, v in found.items()}


def asked(task: Task) -> tuple[str, ...]:
    """The fields of a held-out split: what training has, and what the figures compare with."""
    return (*task.fields, *(field for field in task.references if field not in task.fields))


def known_data(
    task: Task, config: ConfigDict, workdir: Path, sources: Mapping[str, data.Source]
) -> tuple[data_record.Record, list[str]]:
    """The data's fingerprints, and how they differ from those that a run that goes on began with, which is said.

    Raises:
      UserError: the data changed, see `data_record.check`.
    """
    if config.data_changed not in data_record.CHOICES:
        known = ", ".join(data_record.CHOICES)
        raise UserError(f"config.data_changed is {config.data_changed!r}: choose one of {known}")
    fields = {split: asked(task) for split in sources} | {config.train_split: task.fields}
    now = {split: data_record.of(source, fields[split]) for split, source in sources.items()}
    if not first():
        return now, []
    accept = config.data_changed == "accept"
    if checkpoint.has_any(workdir):
        changed, lines = data_record.check(workdir, now, accept)
    else:
        changed, lines = [], data_record.check_folds(workdir, now, accept)
    for line in lines:
        say(line)
    return now, changed


def _check_alike(now: data_record.Record) -> None:
    """Raises UserError where another process has other data than the first: a batch would be of both."""
    every = agree.told(data_record.digits(now))
    for process, own in enumerate(every):
        if own != every[0]:
            raise UserError(
                f"process {process} has other data than process 0, of which each reads its part of a batch: give all "
                f"the same (here {', '.join(f'{split.examples:,} examples of {name}' for name, split in now.items())})"
            )


def record(
    config: ConfigDict, workdir: Path, batch: Batch, constants: Mapping[str, np.ndarray], task: Task, fresh: bool
) -> None:
    """Writes config.json, names, the shapes of a batch and the data's constants: from here on the workdir belongs to
    this config."""
    if not first():
        return
    before = files.read_json(workdir / files.CONFIG) or {}
    decays = [group for group, section in config.optim.items() if section.get("decay", "none") != "none"]
    if before.get("steps", config.steps) < config.steps and decays:
        say(f"note: the learning rate of {', '.join(decays)} had fallen for {before['steps']} steps and rises again")
    # A change of the data is accepted once, and not whatever comes later.
    files.write_json(workdir / files.CONFIG, {**config.to_dict(), "data_changed": data_record.CHOICES[0]})
    files.write_json(workdir / files.NAMES, dict(task.names))
    # What a checkpoint was made for stays; what a run left that saved nothing goes, for its data may have changed.
    if fresh or not (workdir / files.BATCH).exists():
        files.write_json(workdir / files.BATCH, {k: [v.dtype.name, *v.shape] for k, v in batch.items()})
    if constants and (fresh or not (workdir / files.CONSTANTS).exists()):
        files.write_arrays(workdir / files.CONSTANTS, constants)


def record_mixtures(workdir: Path, sources: Mapping[str, data.Source]) -> None:
    """Writes which clips the held-out splits mix with each other, where they do, and says what they leave out."""
    for split, source in sources.items():
        if not isinstance(source, Mixtures):
            continue
        groups, clips = source.places.shape
        silent = f"; {len(source.silent):,} silent clips are left out" if len(source.silent) else ""
        say(f"{split}: {groups:,} mixtures of {clips} clips{silent}")
        if first():
            (workdir / files.MIXTURES).mkdir(exist_ok=True)
            files.write_table(workdir / files.MIXTURES / f"{split}.csv", source.table())


def example_batch(source: data.Source, config: ConfigDict) -> dict[str, np.ndarray]:
    """The first examples, for the shapes that `init` needs."""
    options = {**config.loader, "workers": 0, "prefetch": 1, "threads": 1}
    rows = len(mesh.devices())  # the fewest that any placement can split
    return mesh.numeric(next(pipeline.eval_batches(source, rows, rows, **options)))


def _check_judges(task: Task, config: ConfigDict) -> None:
    """Refuses judges that a system has no use for: nobody would miss their figures before the end."""
    have = {judge.name for judge in task.judges}
    for name in config.eval.get("judges", ()):  # absent in runs from before there were any
        if name.partition(":")[0] not in have:
            raise UserError(
                f"config.eval.judges: {name!r} measures nothing here: {config.system} has no judges; set ()"
            )


def _check_answers(task: Task, config: ConfigDict, figures: Mapping[str, Any], predicted: Mapping[str, Any]) -> None:
    """Refuses, before hours of training, a `best` that is no figure, a probe of a field or modality that is not there,
    and predictions that the glossary does not cover."""
    if config.best and config.best not in figures:
        raise UserError(f"config.best {config.best!r} is no figure: choose one of {', '.join(figures)}")
    known = (*task.fields, *task.modalities)
    for name in config.eval.probes:
        try:
            probes.make(name)
        except UserError as error:
            raise UserError(f"config.eval.probes: {error}") from None
        if name.partition(":")[2] not in known:
            raise UserError(f"config.eval.probes: {name!r} names no field or modality; there are {', '.join(known)}")
    predictions.check(predicted)


def first() -> bool:
    """Whether this is the first process, the only one that writes and speaks."""
    return jax.process_index() == 0


def say(line: str) -> None:
    """Prints a line, once for all processes."""
    if first():
        print(line, flush=True)
