"""An exported folder in the place of a trained run: what `folder` wrote, read back and asked."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax import predictions
from mmjax import workdir as files
from mmjax.engine import evaluate, restore
from mmjax.errors import UserError
from mmjax.export import loop, onnx_file, parts, speech_loop, stablehlo
from mmjax.text import vocabulary

ABOUT = "export.json"
FORMATS: Mapping[str, Any] = {module.SUFFIX: module for module in (stablehlo, onnx_file)}
APART = (parts.START, parts.STEP, parts.END)
INT8 = "_int8"  # behind the name of a file with 8 bits a weight


def in_batches(runner: Any, batch: Mapping[str, np.ndarray], size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Runs a batch, in pieces of `size`, the last one filled up, where the file is for one size; 0 = any."""
    count = len(next(iter(batch.values())))
    if not size:
        found: dict[str, np.ndarray] = runner(batch, seed)
        return found
    pieces = []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        pieces.append(runner({name: value[rows] for name, value in batch.items()}, seed + start))
    return {name: np.concatenate([piece[name] for piece in pieces])[:count] for name in pieces[0]}


def begun(
    run: restore.Restored, every: Sequence[parts.Part], columns: Mapping[str, np.ndarray], size: int
) -> dict[str, Any]:
    """Columns of a data set, and what STEP takes of each example before the first token, where there is a STEP, or
    before the last step of a sentence that is spoken, and END behind it; `size` examples at once."""
    if run.task.speaking:
        return _begun_speaking(run, every, columns, size)
    if run.task.writing is None:
        return dict(columns)
    start, _ = parts.apart(every)

    def runner(batch: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in start.function(batch, jax.random.key(seed)).items()}

    found = in_batches(runner, parts.examples(start, columns), size)
    return parts.at_first(columns, found, run.task.writing.search["start"])


def _begun_speaking(
    run: restore.Restored, every: Sequence[parts.Part], columns: Mapping[str, np.ndarray], size: int
) -> dict[str, Any]:
    start, step, _ = parts.apart(every)
    speaking = run.task.speaking
    assert speaking is not None
    limits = {"steps": speaking.steps, "threshold": speaking.threshold, "bands": speaking.bands}

    def runner(batch: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
        def of(part: parts.Part, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: np.asarray(value) for name, value in part.function(given, jax.random.key(seed)).items()}

        pair = functools.partial(of, start), functools.partial(of, step)
        return in_the_end(*pair, batch, drawn(run, seed), limits)

    return {**columns, **in_batches(runner, parts.examples(start, columns), size)}


def in_the_end(
    start: Any, step: Any, batch: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray], limits: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """What goes into the last step of a sentence, and into the end behind it; arguments as of `spoken`."""
    seen: dict[str, np.ndarray] = {}

    def noted(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.update(given)
        found: dict[str, np.ndarray] = step(given)
        return found

    def ended(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.update(given)
        return {}

    speech_loop.speak(start, noted, ended, batch, kept, **limits)
    return seen


def drawn(run: restore.Restored, seed: int) -> dict[str, np.ndarray]:
    """What a run draws while it speaks: {name: float32 [steps units]}."""
    assert run.task.speaking is not None
    return {name: np.asarray(value) for name, value in run.task.speaking.draws(jax.random.key(seed)).items()}


def spoken(
    files: Sequence[Any], batch: Mapping[str, np.ndarray], about: Mapping[str, Any], kept: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What `Task.speaking.spoken` gives, by three files: start, step and end; arguments as of `written`.

    Args:
      kept: what is drawn.
    """
    limits = {name: about["speaking"][name] for name in ("steps", "threshold", "bands")}
    start, step, end = files
    found: dict[str, np.ndarray] = speech_loop.speak(start, step, end, batch, kept, **limits)
    return found


def written(start: Any, step: Any, batch: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """An answer that is written token by token: {its key: uint8 [b t letters]}, behind its end all ends, as the run's.

    Args:
      start, step: the two files, {name: array [b ...]} -> {name: array [b ...]}.
      batch: what start takes.
      about: export.json.
    """
    writing, begun = about["writing"], start(batch)
    search = writing["search"]
    tokens = np.full((len(next(iter(begun.values()))), search["max_length"]), search["end"], np.int32)
    for row, room in enumerate(tokens):
        said = loop.beam(step, {name: value[row : row + 1] for name, value in begun.items()}, **search)
        room[: len(said)] = said
    return {writing["answer"]: vocabulary.spell(about["vocabularies"][writing["vocabulary"]])[tokens]}


def described(folder: Path) -> dict[str, Any]:
    """What export.json says. Raises UserError where it is none."""
    about = files.read_json(folder / ABOUT)
    if not isinstance(about, dict) or not isinstance(about.get("files"), dict):
        raise UserError(f"{folder / ABOUT} is damaged")
    return about


def is_export(path: str | Path) -> bool:
    """Whether this is an exported folder, or a file in one."""
    path = Path(path).expanduser()
    return (path / ABOUT).is_file() or (path.is_file() and (path.parent / ABOUT).is_file())


@dataclasses.dataclass(frozen=True)
class Exported(restore.Restored):
    """An exported folder in the place of a trained system: it answers, and knows nothing else.

    Attributes:
      folder: of the export.
      files: {name: its description}, of one format.
      about: all of export.json.
    """

    folder: Path = Path()
    files: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def _runners(self) -> dict[str, Any]:
        return {}

    def answers(self, batch: Mapping[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
        """As `Restored.answers`, by the file whose inputs are there."""
        full = self._full(batch)
        rows = len(next(iter(full.values())))
        for field, value in self.about.get("speaking", {}).get("otherwise", {}).items():
            dtype, _, *shape = self.shapes[field]
            full.setdefault(field, np.full((rows, *shape), value, dtype))
        apart = {of["part"]: name for name, of in self.files.items() if of.get("part") in APART}
        whole = {name: of for name, of in self.files.items() if name not in apart.values()}
        name = next((name for name, of in whole.items() if set(of["inputs"]) <= set(full)), None)
        if name is not None:
            found = self._run(name, full, seed)
        elif len(apart) == 3:
            files = [functools.partial(self._run, apart[part]) for part in APART]
            found = spoken(files, full, self.about, drawn(self, seed))
            shown = {key: value for key, value in found.items() if "/" in key}
            found = {**shown, self.about["speaking"]["ended"]: found["fired"].astype(np.int32)}
        elif len(apart) == 2 and self.task.writing:
            start, step = (functools.partial(self._run, apart[part]) for part in APART[:2])
            found = written(start, step, full, self.about)
        else:
            takes = "; or ".join(", ".join(of["inputs"]) for of in self.files.values())
            raise UserError(f"{self.folder}: nothing there takes this; {', '.join(self.files)}: {takes}")
        found = {key: evaluate.readable(key, value) for key, value in found.items()}
        return {key: found[key] for key in predictions.answers(list(found), self.task.answers)}

    def _run(self, name: str, batch: Mapping[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
        """What a file says. Raises UserError for an input of another shape than its own."""
        about = self.files[name]
        if name not in self._runners:
            self._runners[name] = FORMATS[Path(name).suffix].Runner(self.folder / name)
        inputs = {field: np.asarray(batch[field], dtype) for field, (dtype, *_) in about["inputs"].items()}
        for field, (_, *shape) in about["inputs"].items():
            if f"{field}_length" in inputs:
                inputs[field] = _filled(inputs[field], shape)
            if list(inputs[field].shape[1:]) != shape:
                raise UserError(f"{name} takes {field} of shape {shape}, and this is {list(inputs[field].shape[1:])}")
        return in_batches(self._runners[name], inputs, 0 if about["batch"] == "any" else about["batch"], seed)


def _filled(value: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Rows whose own length is known, with zeros behind up to the file's."""
    missing = shape[0] - value.shape[1] if value.ndim > 1 else 0
    return np.pad(value, [(0, 0), (0, missing), *[(0, 0)] * (value.ndim - 2)]) if missing > 0 else value


def read(path: str | Path) -> Exported:
    """An exported folder, or one file of it. Raises UserError where nothing in it runs."""
    path = Path(path).expanduser()
    folder = path if path.is_dir() else path.parent
    about = described(folder)
    found = about["files"]
    if path != folder:
        found = {name: of for name, of in found.items() if name in _together(path, found)}
    else:  # one format, in full precision where both are there
        first = next((Path(name).suffix for name in found), "")
        plain = {name: of for name, of in found.items() if Path(name).suffix == first}
        found = {name: of for name, of in plain.items() if not Path(name).stem.endswith(INT8)} or plain
    if not found:
        raise UserError(f"{path}: nothing there runs; export to {' or '.join(FORMATS)}")
    known = restore.described(folder)
    # Whoever reads what is typed looks words up in the weights, which are inside the files. Sounds are of one length
    # there: long ones go in in pieces.
    ask = known.task.ask if known.task.speaking else None  # symbols have their numbers, which constants name
    known = dataclasses.replace(known, task=dataclasses.replace(known.task, ask=ask, whole=False), step=about["step"])
    own = {field.name: getattr(known, field.name) for field in dataclasses.fields(known)}
    return Exported(**own, folder=folder, files=found, about=about)


def _together(path: Path, described: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The names of a file and of what it cannot do without: an answer that is written token by token needs two, and
    one that is spoken three."""
    if described.get(path.name, {}).get("part") not in APART:
        return (path.name,)
    alike = (path.suffix, path.stem.endswith(INT8))
    pairs = {name: (Path(name).suffix, Path(name).stem.endswith(INT8)) for name in described}
    return tuple(name for name, of in described.items() if of.get("part") in APART and pairs[name] == alike)
