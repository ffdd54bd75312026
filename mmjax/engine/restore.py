"""A trained system from its workdir, for a notebook or a service."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from mmjax import predictions
from mmjax import workdir as files
from mmjax.data import given, spec
from mmjax.engine import built, checkpoint, data_record, evaluate
from mmjax.engine import config as configs
from mmjax.engine import step as steps
from mmjax.errors import UserError
from mmjax.task import Batch, Constants, Task, Variables, bind


@dataclasses.dataclass(frozen=True)
class Restored:
    """A trained system.

    Attributes:
      config: of the run.
      task: its functions.
      variables: the trained values, on the default device.
      step: the training step that they are from.
      constants: of the data that it was trained on: vocabularies, names of classes.
      shapes: {field: (dtype, batch, size, ...)} of the batches that it was trained on.
      data: what its run knows of its data, {split: fingerprints}; {} of a run from before there were any.
    """

    config: ConfigDict
    task: Task
    variables: Variables
    step: int
    constants: Constants = dataclasses.field(default_factory=dict)
    shapes: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    data: data_record.Record = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def _predict(self) -> Any:
        return jax.jit(self.task.predict)

    @functools.cached_property
    def _answer(self) -> Any:
        return jax.jit(bind(_answers, self.task.predict, self.task.answers))

    def predict(self, batch: Mapping[str, Any], seed: int = 0, sample_rate: int | None = None) -> dict[str, np.ndarray]:
        """The task's predictions for a batch of any size.

        Args:
          batch: {field: array [b ...]} with the fields of `task.predicts_from`, or of `task.fields` where that names
            none, or of a set of `task.also_from`; `valid` may be left out, and so may `<field>_length` where every
            example is full. Types and shapes are those of the glossary, or others that mean one thing, see
            `mmjax.data.given`: int16, int32 and floats in -1..1 are the same sound, uint8 and floats in 0..1 the same
            picture.
          seed: of whatever the system draws.
          sample_rate: of the sounds, in Hz, where it is not the 22,050 of the networks.

        Returns:
          {"kind/name": array [b ...]}; text as byte strings, a caption's tokens for `vocabulary.join`.

        Raises:
          UserError: a field is missing, or given in a form that could be none or several things.
        """
        found = self._predict(self.variables, self._full(batch, sample_rate), jax.random.key(seed))
        return {name: evaluate.readable(name, np.asarray(value)) for name, value in found.items()}

    def answers(self, batch: Mapping[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
        """Of `predict`, what answers whoever asks (`Task.answers`), in the order in which it is read.

        Nothing else is computed: no control, no baseline, no picture for the report. Arguments as of `predict`.
        """
        found = self._answer(self.variables, self._full(batch), jax.random.key(seed))
        found = {name: evaluate.readable(name, np.asarray(value)) for name, value in found.items()}
        return {name: found[name] for name in predictions.answers(list(found), self.task.answers)}  # jit sorts keys

    def _full(self, batch: Mapping[str, Any], sample_rate: int | None = None) -> dict[str, np.ndarray]:
        """The batch in the glossary's form, with `valid` and all lengths. Raises UserError, see `predict`."""
        needed = self.task.predicts_from or self.task.fields
        missing = [field for field in needed if field not in batch and not field.endswith("_length")]
        enough = any(set(fields) <= {*batch, *(f"{field}_length" for field in batch)} for fields in self.task.also_from)
        if missing and not enough:
            raise UserError(f"predict needs {', '.join(needed)}: {', '.join(missing)} is missing")
        full = given.batch(batch, self.shapes, sample_rate)
        rows = len(next(iter(full.values())))
        full.setdefault("valid", np.ones(rows, bool))
        for field in self.task.fields:
            whole = full.get(field.removesuffix("_length"))
            if field.endswith("_length") and field not in full and whole is not None:
                shape = spec.FIELDS[field.removesuffix("_length")].shape.split()
                before = 1 + next((i for i, axis in enumerate(shape) if axis.endswith("*")), 0)
                full[field] = np.full(np.shape(whole)[:before], np.shape(whole)[before], np.int32)
        return full

    def compare(self, source: Any, split: str = "") -> list[str]:
        """Compares data that is to be predicted with what the system was trained on.

        `predict` cannot: a batch does not say what its numbers mean.

        Args:
          source: what `mmjax.data.open` gives, or your own with constants "<field>_names".
          split: of the run, to compare the examples with, too; "" compares what the numbers mean.

        Returns:
          How the examples differ, in a line; [] where they are the same or no split is named, and for a run from
          before fingerprints were kept, of which only the names are known.

        Raises:
          UserError: its numbers mean something else: classes or words are others, or have other numbers. It says which.
        """
        fields = (*self.task.fields, *self.task.references)
        return data_record.compare(self.data, self.constants, source, fields, split)


def _answers(predict: Any, declared: tuple[str, ...], variables: Variables, batch: Batch, key: Any) -> dict[str, Any]:
    found = predict(variables, batch, key)
    return {name: found[name] for name in predictions.answers(list(found), declared)}


def described(folder: Path) -> Restored:
    """What a workdir, or a copy of its descriptions, says of a system, without any weights.

    Raises:
      UserError: not a workdir, or nothing was begun there.
    """
    config = configs.load(folder)
    shapes = files.read_json(folder / files.BATCH)
    if shapes is None:
        raise UserError(f"{folder} has no batch.json: the run never started")
    task, _ = built.of(config)
    named = {head: tuple(names) for head, names in (files.read_json(folder / files.NAMES) or {}).items()}
    return Restored(
        config,
        dataclasses.replace(task, names={**task.names, **named}),
        {},
        0,
        files.read_arrays(folder / files.CONSTANTS),  # {} of runs from before they were kept
        {name: tuple(shape) for name, shape in shapes.items()},
        data_record.read(folder) or {},
    )


def restore(path: str | Path, step: int | str | None = None) -> Restored:
    """Loads a trained system; its data need not be there, but the weight files that its config names must.

    Its names, vocabularies and shapes are those that the run holds, whatever has become of its data since; data that
    you open is held against them by `Restored.compare`.

    Args:
      path: the workdir of a run.
      step: a saved step, "best", or None for the newest.

    Returns:
      The system, ready to predict.

    Raises:
      UserError: not a workdir, or nothing was saved.
    """
    folder = Path(path).expanduser()
    known = described(folder)
    task, optimisers = built.of(known.config)
    batch = {name: np.zeros(shape, dtype) for name, (dtype, *shape) in known.shapes.items()}
    abstract = jax.eval_shape(bind(steps.create, task, optimisers), jax.random.key(0), {**batch, **known.constants})
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=one), abstract)
    saver = checkpoint.Checkpoints(folder, known.config.best, known.config.best_mode, read_only=True)
    state = saver.restore_frozen(saver.restore(state, step))
    fitted = saver.restore_fitted(int(state.step))
    saver.close()
    return dataclasses.replace(known, variables={**state.variables, **fitted}, step=int(state.step))
