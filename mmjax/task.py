"""The contract: what a system is to the engine. Read this first.

A system (SoundNet, CLIP, a GAN, ...) reaches the engine as one `Task`: a frozen bundle of pure functions
over two kinds of values.

* `batch`: a dict of arrays with a leading batch axis, whose names and meanings are in `mmjax/data/spec.py`.
  Every batch carries `valid`, bool [b]: False marks the padding of a short last batch, so that figures
  over a split are exact. Text columns are host-only: metrics and losses never see them.
* `variables`: {"params": {group: tree}, "state": tree, "frozen": tree}. `params` are trained, one optimiser
  per group; `state` is whatever changes without a gradient (BatchNorm statistics, running baselines);
  `frozen` (a teacher network) is read but never written, and is an argument of every function so that it is
  never baked into the compiled program as a constant.

The engine (`step.py`, `loop.py`, `evaluate.py`) knows this file and no system. A system knows this file and
neither the mesh, nor the data, nor the checkpoint. Each lives in `tasks/<system>.py`, which offers
`build(config) -> Task`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

Batch = Mapping[str, Any]
Variables = Mapping[str, Any]
Figures = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Rows:
    """Turns an `Update` into one on rows of tables: no array of a table's size is made but the tables themselves.

    The engine cuts the batch into micro-batches and scans over them inside one compiled step. For each it gathers the
    rows of `pick`, differentiates the loss with respect to them (the loss finds the gathered rows, in the shape of
    their indices, where it would find the tables) and adds the change to the tables; a row that is picked several
    times changes by the sum. The loss is a sum over its terms and not a mean: each term moves its own rows.

    Attributes:
      cut: (variables, batch, key) -> the same fields as micro-batches, stacked along a leading axis: [m b ...].
      pick: (variables, micro-batch, key) -> ({table: int32 [b ...]}, micro-batch): the rows that the loss needs, and
        the micro-batch with whatever was drawn to choose them. Under several devices every index array and the loss's
        terms have the batch axis first.
      replicas: copies of the tables that train apart, each on its share of the batch, and are reconciled after the
        step (`collective.apart`): more than one keeps as many cores or devices busy, at the price of the copies.
    """

    cut: Callable[[Variables, Batch, Any], Batch]
    pick: Callable[[Variables, Batch, Any], tuple[dict[str, Any], Batch]]
    replicas: int = 1


@dataclasses.dataclass(frozen=True)
class Update:
    """One gradient step on one group of parameters.

    `train_step` runs a task's updates in order, each seeing the parameters that the former left behind. A GAN
    is (Update("disc", ...), Update("gen", ...)); several critic steps are the same entry repeated.

    Attributes:
      group: the key of `params` that this update differentiates and its optimiser changes.
      loss: (variables, batch, key) -> (scalar, (state, logs)). `state` replaces variables["state"]; `logs` is a
        flat dict of scalars for the curves, or of (total, count) to be summed and divided. Everything random is drawn
        from `key`.
      rows: where `params[group]` is a dict of tables [v ...] of which a step uses few rows: see `Rows`.
    """

    group: str
    loss: Callable[[Variables, Batch, Any], tuple[Any, tuple[Any, Figures]]]
    rows: Rows | None = None


@dataclasses.dataclass(frozen=True)
class Fit:
    """What is solved on features and not trained: a linear SVM, a threshold, a codebook.

    After the last step the engine makes one pass over the training split, of `eval.fit_examples` at most, and hands
    what `observe` gave of it to `solve`. The result is variables["fitted"] of `metrics` and `predict` in the final
    evaluation and in a restored run. At the looks in between it is absent, and whoever needs it asks
    `"fitted" in variables`, which is known when the function is traced.

    Attributes:
      observe: (variables, batch) -> {name: array [b ...]}; jitted.
      solve: (variables, {name: array [n ...]}) -> a nested dict of arrays: on the host, of the valid examples in order;
        what it computes may be jitted.
    """

    observe: Callable[[Variables, Batch], dict[str, Any]]
    solve: Callable[[Variables, Mapping[str, Any]], dict[str, Any]]


def _no_score(predictions: Mapping[str, Any], references: Mapping[str, Any]) -> Figures:
    return {}


def _no_warning(logs: Mapping[str, float]) -> tuple[str, ...]:
    return ()


@dataclasses.dataclass(frozen=True)
class Task:
    """A system as the engine sees it.

    Every figure of `metrics` and `score` stands beside a trivial baseline whose name is the figure's with a
    suffix after a slash: "object_agreement" beside "object_agreement/majority". The contract test refuses a
    figure without one.

    Attributes:
      fields: names from data/spec.py that every batch must have.
      init: (key, batch) -> variables. The batch also has the `constants` of the data set, where it has any: arrays
        that belong to it as a whole (a vocabulary), without a batch axis; spelled words, uint8 [v letters], come as
        host arrays and may be looked up in a file. What is needed later goes into `frozen`.
      updates: what one training step does, in order.
      metrics: (variables, batch) -> {name: (total, count)}; jitted; counts only `valid` examples. Totals are
        summed over a split and divided once, at the end.
      predict: (variables, batch, key) -> {"kind/name": array [b ...]}; jitted. The kind (image, heatmap, audio,
        text, embedding, scores, label; attention: maps [t i j] of the words text/<name> [t]; number: for `score` alone)
        tells the report how to show it. Names that differ by the suffix
        "_target" only are the prediction and its reference. A heatmap [b h w] lies over the picture; mel, mfcc,
        spectrogram or deltas [b bands frames], lowest band first, are drawn over time. text/<head> [b k] beside
        scores/<head> [b k] names the columns of each example: an n-best list.
      score: (predictions, references) -> {name: value}: on the host with NumPy, over the whole split, for what
        no sum can give (R@K, CIDEr-D, an SVM on features).
      references: the batch fields that `score` wants as its second argument.
      fit: what is solved after the last step and before the final evaluation: see `Fit`.
      names: for "scores/<head>" and "label/<head>", the names of the classes: {head: (name, ...)}. A field's name in
        their place stands for the data set's own: its constant "<field>_names", see `data.spec.spelt`.
      sample_rate: of every "audio/..." prediction, in Hz.
      notes: lines for the user, printed at the start and shown in the report ("no scene teacher: ...").
      warn: (the logs' means over the last interval) -> lines that the user should hear at once, such as that training
        collapses; on the host. A line is said when it is first returned, and again after an interval without it.
      predicts_from: the fields that predict cannot do without; the others may be missing from its batch in a notebook,
        where a picture has no reference. () = all of `fields`.
    """

    fields: tuple[str, ...]
    init: Callable[[Any, Batch], Variables]
    updates: tuple[Update, ...]
    metrics: Callable[[Variables, Batch], dict[str, tuple[Any, Any]]]
    predict: Callable[[Variables, Batch, Any], dict[str, Any]]
    score: Callable[[Mapping[str, Any], Mapping[str, Any]], Figures] = _no_score
    references: tuple[str, ...] = ()
    fit: Fit | None = None
    names: Mapping[str, tuple[str, ...] | str] = dataclasses.field(default_factory=dict)
    sample_rate: int = 22_050
    notes: tuple[str, ...] = ()
    warn: Callable[[Mapping[str, float]], tuple[str, ...]] = _no_warning
    predicts_from: tuple[str, ...] = ()
