"""The contract: what a system is to the engine. Read this first.

A system (SoundNet, CLIP, a GAN, ...) reaches the engine as one `Task`: a frozen bundle of pure functions
over two kinds of values.

* `batch`: a dict of arrays with a leading batch axis, whose names and meanings are in `mmjax/data/spec.py`.
  Every batch carries `valid`, bool [b]: False marks the padding of a short last batch, so that figures
  over a split are exact. Text columns are host-only: metrics and losses never see them.
* `variables`: {"params": {group: tree}, "state": tree, "frozen": tree}. `params` are trained, one optimiser
  per group; `state` is whatever changes without a gradient (BatchNorm statistics, running baselines);
  `frozen` (a teacher network) is read but never written, and is an argument of every function so that it is
  never baked into the compiled program as a constant. An evaluation may add two parts, and whoever wants one asks
  `"judges" in variables`, which is known when the function is traced: "fitted", what a `Fit` solved, and "judges",
  the weights of networks that only measure.

The functions are bound with `bind`, which makes them equal by value: two builds of one config are the same task, and
share a compiled program.

The engine (`step.py`, `loop.py`, `evaluate.py`) knows this file and no system. A system knows this file and
neither the mesh, nor the data, nor the checkpoint. Each lives in `systems/<system>.py`, which offers
`build(config) -> Task`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Batch = Mapping[str, Any]
Variables = Mapping[str, Any]
Constants = Mapping[str, np.ndarray]  # of a data set as a whole: vocabularies, names of classes; no batch axis
Figures = dict[str, Any]
# {place in variables, slashes between: (axes along which the channels stand, how many times they stand there)}.
Channels = Mapping[str, tuple[tuple[int, ...], int]]


@dataclasses.dataclass(frozen=True)
class Bound:
    """A function whose first arguments are given; equal to another by value. Made by `bind`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]
    types: tuple[Any, ...]  # 1, 1.0 and True are equal, and what is compiled with them is not

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.function(*self.arguments, *arguments, **dict(self.options), **options)

    @property
    def __name__(self) -> str:
        return self.function.__name__


def bind(function: Callable[..., Any], *arguments: Any, **options: Any) -> Bound:
    """`functools.partial`, but equal by value: what is bound must be hashable (scalars, tuples, frozen dataclasses).

    Raises TypeError, naming it, for an argument that is not.
    """
    named = tuple(sorted(options.items()))
    for name, value in (*enumerate(arguments), *named):
        try:
            hash(value)
        except TypeError:
            raise TypeError(f"{function.__name__}: argument {name} is not hashable: {value!r:.80}") from None
    return _interned(function, arguments, named, _types((arguments, named)))


# jax forgets what it compiled for a function as soon as nobody holds that function any more.
@functools.lru_cache(maxsize=512)
def _interned(*parts: Any) -> Bound:
    return Bound(*parts)


def _types(value: Any) -> Any:
    return tuple(map(_types, value)) if isinstance(value, tuple) else type(value)


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

    After the last step the engine makes one pass over a split, of `eval.fit_examples` at most, and hands what `observe`
    gave of it to `solve`. The result is variables["fitted"] of `metrics` and `predict` in the final
    evaluation and in a restored run. At the looks in between it is absent, and whoever needs it asks
    `"fitted" in variables`, which is known when the function is traced.

    Attributes:
      observe: (variables, batch) -> {name: array [b ...]}; jitted.
      solve: (variables, {name: array [n ...]}) -> a nested dict of arrays: on the host, of the valid examples in order;
        what it computes may be jitted.
      split: "train", or "validation" for what training has made too easy on its own examples, such as a threshold.
      fields: that `observe` reads, where the data need not make or read the others for it; () all of the task's.
    """

    observe: Callable[[Variables, Batch], dict[str, Any]]
    solve: Callable[[Variables, Mapping[str, Any]], dict[str, Any]]
    split: str = "train"
    fields: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Features:
    """What a frozen network makes of a field: the same at every visit, so the engine may compute it once.

    Where it does, training batches have `<field>_<name>` in the place of the field, for each name that `compute` gives,
    and whoever wants one asks `"image_features" in batch`, which is known when the function is traced. The losses must
    need nothing else of the field, or say that they do; all other functions get the field itself.

    Attributes:
      field: what goes in; the loader must give the same at every visit, as it does of pictures.
      weights: (variables) -> the arrays that `compute` reads, all of `frozen`.
      compute: (weights, field [b ...]) -> {name: array [b ...]}; jitted; of each example alone.
      beside: whether the losses need the field, too: then it stays.
    """

    field: str
    weights: Callable[[Variables], Any]
    compute: Callable[[Any, Any], dict[str, Any]]
    beside: bool = False


@dataclasses.dataclass(frozen=True)
class Judge:
    """A network that only measures: no part of the system, in no checkpoint and no training step.

    Attributes:
      name: the key of its weights in variables["judges"].
      load: () -> its weights, a tree of NumPy arrays. Called once, before the first step, by a run that will evaluate;
        a restored run does without.
    """

    name: str
    load: Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Writing:
    """An answer that is written token by token, taken apart for whoever runs the loop himself, as an export does.

    Memory is what stays while an answer is written and state what changes: {name: float32 [b ...]} each.

    Attributes:
      answer: the key of `predict` that is written so: text/<name>, the rows of a spelled vocabulary.
      vocabulary: the constant that spells it.
      start: (variables, batch) -> (memory, state).
      step: (variables, memory, state, token int32 [b]) -> (state, logits float32 [b v] of the next token).
      search: the arguments of `decode.beam` by which `predict` writes, but the step and the state.
    """

    answer: str
    vocabulary: str
    start: Callable[[Variables, Batch], tuple[dict[str, Any], dict[str, Any]]]
    step: Callable[[Variables, dict[str, Any], dict[str, Any], Any], tuple[dict[str, Any], Any]]
    search: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Speaking:
    """An answer that is spoken step by step, taken apart for whoever runs the loop himself, as an export does.

    Memory and state are as in `Writing`; state["frame"] [b n] is what the step before wrote, state["looked"] [b u]
    where it looked. A sentence ends behind the first step whose gate is above the threshold.

    Attributes:
      start: (variables, batch) -> (memory, state).
      step: (variables, memory, state, {name: float32 [b units]}) -> (state, gate: float32 [b], a probability): what
        else goes in says which units are kept, 1, and which are dropped, 0.
      end: (variables, written float32 [b t bands], frames int32 [b]) -> {"kind/name": array [b ...]}: the frames that
        were written, zeros behind each end, as what is heard and shown of them.
      spoken: (variables, batch, key) -> {"frames": int32 [b], "fired": bool [b], whether the gate ended it and not the
        limit, "attention": float32 [b s u], and what `end` gives}: the loop over these three in one program.
      draws: (key) -> {name: float32 [steps units]}: what `spoken` draws of its key, for all rows alike.
      shares: {name: (units, the share that is kept)} of these.
      steps: at most.
      threshold: of the gate.
      bands: of a frame.
      ended: the key of `predict` that says whether the gate was above it, 1, or the steps ran out, 0.
      judged: (variables, batch, what `spoken` gives) -> the predictions that `score` wants of it, whoever spoke.
      otherwise: fields that go in and may be left out: {field: the number that stands for all of it}.
    """

    start: Callable[[Variables, Batch], tuple[dict[str, Any], dict[str, Any]]]
    step: Callable[[Variables, dict[str, Any], dict[str, Any], dict[str, Any]], tuple[dict[str, Any], Any]]
    end: Callable[[Variables, Any, Any], dict[str, Any]]
    spoken: Callable[[Variables, Batch, Any], dict[str, Any]]
    draws: Callable[[Any], dict[str, Any]]
    shares: Mapping[str, tuple[int, float]]
    steps: int
    threshold: float
    bands: int
    ended: str
    judged: Callable[[Variables, Batch, dict[str, Any]], dict[str, Any]]
    otherwise: Mapping[str, float] = dataclasses.field(default_factory=dict)


def _as_it_is(variables: Variables, constants: Constants) -> Variables:
    del constants
    return variables


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
      init: (key, batch) -> variables: shapes and fresh values, nothing that is read from a file or looked up in words.
        It is always traced. The batch also has the `constants` of the data set, where it has any: arrays that belong to
        it as a whole (a vocabulary, spelled as uint8 [v letters]), without a batch axis. What is needed later goes into
        `frozen`.
      fill: (variables, constants) -> variables: what `init` cannot make. Called once, on concrete arrays where they
        will live, when a run begins; never when one is restored, whose checkpoint has it all. It returns the same tree
        with other values in some places: NumPy arrays, which the engine lays out, or what jnp makes of the given ones.
        Files are read here and words are looked up.
      needs: each asks for one thing that a fresh run cannot do without (an extra, a file, Java), and raises UserError
        where it is missing: called before the data is opened, which may take hours; never when a run is restored.
      updates: what one training step does, in order.
      metrics: (variables, batch) -> {name: (total, count)}; jitted; counts only `valid` examples. Totals are
        summed over a split and divided once, at the end.
      predict: (variables, batch, key) -> {"kind/name": array [b ...]}; jitted. `predictions.KINDS` is the glossary of
        kinds; a key that it does not cover ends the run before its first step. text/<head> [b k] beside scores/<head>
        [b k] names the columns of each example: an n-best list.
      score: (predictions, references) -> {name: value}: on the host with NumPy, over the whole split, for what
        no sum can give (R@K, CIDEr-D, an SVM on features).
      on_host: ({"kind/name": array [b ...]} that was predicted of a batch) -> {"kind/name": array [b ...]}: on the host
        with NumPy, in the final evaluation alone: what no program can say of each picture or sound, most of which are
        not kept. What it gives is predicted, too, and `score` finds it there.
      references: the batch fields that `score` wants as its second argument.
      modalities: {modality: its fields}, of those among `fields` (references among them) that go in and not of what is
        asked for: {"picture": ("image",), "words": ("question_tokens",)}; a name of `data.spec.MODALITIES`. What a
        modality is worth is measured without it: `engine.probes`.
      features: what the losses need of a field that only a frozen network looks at, see `Features`.
      judges: networks that only measure, chosen by config.eval.judges.
      ask: (text, variables, constants) -> (batch of one example, lines for the user): what a user typed as the system
        reads it, for the command line's tools; None for a system that reads no text, or only tokens beside something
        else, which the tools make as the data sets do. Raises UserError for a text that the system has no word of.
      fit: what is solved after the last step and before the final evaluation: see `Fit`.
      names: for "scores/<head>" and "label/<head>", the names of the classes: {head: (name, ...)}. A field's name in
        their place stands for the data set's own: its constant "<field>_names", see `data.spec.spelt`.
      sample_rate: of every "audio/..." prediction, in Hz.
      notes: lines for the user, printed at the start and shown in the report ("no scene teacher: ...").
      warn: (the logs' means over the last interval) -> lines that the user should hear at once, such as that training
        collapses; on the host. A line is said when it is first returned, and again after an interval without it.
      predicts_from: the fields that predict cannot do without; the others may be missing from its batch in a notebook,
        where a picture has no reference. () = all of `fields`.
      also_from: other such sets of fields, each enough by itself: a joint space has points of pictures alone and of
        sentences alone.
      whole: whether a sound that a user gives goes in whole, of whatever length; else it is cut into pieces as long as
        training's clips.
      heard: seconds of a sound that predict hears, where it hears less than training's clips hold: a user's sound is
        cut into pieces as long, so that none of it is lost. 0 = all of a clip.
      faces: how many faces a user's video of people talking has to show, for a system that takes `faces_frames`.
      voices: how many recordings of voices a user gives beside a sound, for a system that takes `voices`; they are cut
        to as long as training's `speech_other`.
      answers: the keys of predict that answer whoever asks with files of his own (`mmjax predict`), in the order in
        which he reads them; nothing else is computed for him. () = what `predictions.answers` takes for answers. A
        key that a run does not predict is passed over. Several "embedding/..." are points of one space.
      headline: the figures that a reader looks at first, in that order, wherever figures are listed; of names or
        patterns such as "*_r@1". One that a variant does not have is passed over; the others follow by name.
      distribution: (variables, batch) -> (class int32 [b], {who: logits float32 [b c]}): of a system whose answer is
        one of c classes, the right one (-1 where there is none) and what is said of all: by the system, "", and by each
        control that was trained on one modality alone, under the modality's name. None where the predictions say it:
        "scores/<head>" beside its reference.
      unimodal: (variables, batch, modality) -> (class int32 [b], logits float32 [b c]): what the system says of one
        modality by itself; differentiable. Asked by remedies for a training that leans on one (`config.balance`). None:
        its distribution where the others are blank.
      channels: what a network can be made narrower by, `config.prune`: channels that stand or fall together, for each
        such group the places of all arrays that have them; gains of BatchNorm, which say how much each matters, are
        at places that end in /scale.
      writing: how an answer is written token by token, where one is: see `Writing`.
      speaking: how an answer is spoken step by step, where one is: see `Speaking`.
      contrastive: whether a loss asks which modalities of a batch belong together: where all but one are blank, it
        asks what nothing can tell, and how low it gets says nothing of that one.
    """

    fields: tuple[str, ...]
    init: Callable[[Any, Batch], Variables]
    updates: tuple[Update, ...]
    metrics: Callable[[Variables, Batch], dict[str, tuple[Any, Any]]]
    predict: Callable[[Variables, Batch, Any], dict[str, Any]]
    score: Callable[[Mapping[str, Any], Mapping[str, Any]], Figures] = _no_score
    on_host: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    modalities: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    fill: Callable[[Variables, Constants], Variables] = _as_it_is
    needs: tuple[Callable[[], Any], ...] = ()
    references: tuple[str, ...] = ()
    fit: Fit | None = None
    features: Features | None = None
    judges: tuple[Judge, ...] = ()
    ask: Callable[[str, Variables, Constants], tuple[Batch, tuple[str, ...]]] | None = None
    names: Mapping[str, tuple[str, ...] | str] = dataclasses.field(default_factory=dict)
    sample_rate: int = 22_050
    notes: tuple[str, ...] = ()
    warn: Callable[[Mapping[str, float]], tuple[str, ...]] = _no_warning
    predicts_from: tuple[str, ...] = ()
    also_from: tuple[tuple[str, ...], ...] = ()
    whole: bool = False
    heard: float = 0.0
    faces: int = 0
    voices: int = 0
    answers: tuple[str, ...] = ()
    headline: tuple[str, ...] = ()
    distribution: Callable[[Variables, Batch], tuple[Any, dict[str, Any]]] | None = None
    unimodal: Callable[[Variables, Batch, str], tuple[Any, Any]] | None = None
    channels: tuple[Channels, ...] = ()
    writing: Writing | None = None
    speaking: Speaking | None = None
    contrastive: bool = False

    def __hash__(self) -> int:
        # Mappings have no hash; what is left tells tasks apart well enough, and equality looks at everything.
        return hash((self.fields, self.init, self.updates, self.metrics, self.predict))
