"""An exported folder: what a run answers, as files of other runtimes, with all that is needed to read the answers.

<name>.onnx, <name>.stablehlo   the function, or <name>_<side> for each side of a joint space
<name>_start.*, <name>_step.*   the two functions of an answer that is written token by token, and loop.py, which writes
<name>_end.*                    the third of one that is spoken step by step; loop.py speaks
<name>.safetensors              the weights alone
export.json                     inputs, outputs, what each is; names of classes; words of vocabularies
README.md                       the lines that run it
config.json, batch.json, ...    of the workdir, so that `mmjax predict` reads pictures and sounds as training did
"""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax import data
from mmjax import workdir as files
from mmjax.data import pipeline
from mmjax.engine import evaluate, prepare, restore
from mmjax.errors import UserError
from mmjax.export import figures, loop, onnx_file, parts, readme, speech_loop, spoken
from mmjax.export.exported import ABOUT, APART, FORMATS, INT8, begun, described, in_batches, written
from mmjax.export.parts import Part
from mmjax.text import vocabulary
from mmjax.weights import safetensors_file

WEIGHTS = ".safetensors"
COPIED = (files.CONFIG, files.BATCH, files.CONSTANTS, files.NAMES)
EXAMPLES = 64  # on which an export is held against its run, and which go in at once

Say = Callable[[str], None]
Answered = dict[str, dict[str, np.ndarray]]  # {"" or INT8: {"kind/name": array [n ...]}}


def write(
    run: restore.Restored,
    workdir: Path,
    target: Path,
    size: int,
    int8: bool,
    say: Say = print,
    examples: int = EXAMPLES,
) -> Path:
    """Writes an export, runs it once on held-out examples, and says how far it is from the run.

    Args:
      run: what is exported.
      workdir: of it.
      target: FOLDER.SUFFIX; the suffix says the format. Several formats may share a folder.
      size: of the batch, where the format or the system cannot do with any.
      int8: whether ONNX is written a second time with 8 bits a weight.
      say: gets lines for the user.
      examples: held-out ones, at most, on which the answers and the run's figures are compared.

    Returns:
      the folder.

    Raises:
      UserError: an unknown format, a folder of something else, or what cannot be exported.
    """
    if target.suffix not in (*FORMATS, WEIGHTS):
        raise UserError(f"-o {target}: its end says the format: {', '.join((*FORMATS, WEIGHTS))}")
    if int8 and target.suffix != onnx_file.SUFFIX:
        raise UserError(f"--int8: only {onnx_file.SUFFIX} has 8 bits a weight")
    if target.suffix in FORMATS:
        FORMATS[target.suffix].check()  # before anything is made
    folder = target.with_suffix("")
    weights = weights_of(run)
    about = _begun(folder, run, workdir, weights)
    making = folder.with_name(f".{folder.name}.part")  # a kill or a failure leaves nothing that looks like an export
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        for name in COPIED:
            if (workdir / name).exists():
                shutil.copyfile(workdir / name, making / name)
        if target.suffix == WEIGHTS:
            metadata = {"system": run.config.system, "step": str(run.step), "config": run.config.to_json()}
            about["weights"] = f"{folder.name}{WEIGHTS}"
            safetensors_file.save(making / about["weights"], weights, metadata)
        else:
            _forget(about, target.suffix)
            _filled(run, making / target.name, size, int8, examples, about, say)
        (making / "README.md").write_text(readme.of(folder.name, about))
        files.write_json(making / ABOUT, about)
        before = described(folder)["files"] if (folder / ABOUT).is_file() else {}
        _moved(making, folder)
        for name in before.keys() - about["files"].keys():  # what was exported before and is not any more; no others
            (folder / Path(name).name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def _forget(about: dict[str, Any], suffix: str) -> None:
    """Takes a format out of a description: all of it is written anew, or is not there any more."""
    for of in ("files", "figures"):
        for name in [name for name in about.get(of, {}) if name.endswith(suffix)]:
            del about[of][name]


def _moved(making: Path, folder: Path) -> None:
    """Everything is there at once in a new folder; in one that is there, the description is the last to change."""
    if not folder.exists():
        making.rename(folder)
        return
    for path in sorted(making.iterdir(), key=lambda path: path.name == ABOUT):
        path.replace(folder / path.name)


def weights_of(run: restore.Restored) -> dict[str, np.ndarray]:
    """All that a run has learned, by its place."""
    leaves = jax.tree_util.tree_leaves_with_path(run.variables)
    return {jax.tree_util.keystr(at, simple=True, separator="/"): np.asarray(leaf) for at, leaf in leaves}


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """What tells these weights from all others, as export.json has it."""
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(name.encode() + value.tobytes())
    return digest.hexdigest()


def _filled(
    run: restore.Restored, path: Path, size: int, int8: bool, examples: int, about: dict[str, Any], say: Say
) -> None:
    """Writes the files of one format, and says in `about` what they are. Raises UserError where no part can be."""
    every, failed = parts.of(run), list[UserError]()
    held = held_out(run, say, examples)
    columns = begun(run, every, held, EXAMPLES)
    answered: Answered = {"": {}, INT8: {}}
    if writing := run.task.writing:
        about["writing"] = {"answer": writing.answer, "vocabulary": writing.vocabulary, "search": dict(writing.search)}
    if speaking := run.task.speaking:
        about["speaking"] = spoken.told(speaking)
    for part in every:
        own = _named(path, part)
        try:
            _written(part, own, size, int8, columns, answered, about, say)
        except UserError as error:
            failed.append(error)
            for made in (own, _int8(own)):
                made.unlink(missing_ok=True)
    if len(failed) == len(every):
        raise failed[0]
    for error in failed:
        say(f"left out: {error}")
    judged: dict[str, dict[str, dict[str, float]]] = {}
    whole = all(_named(path, part).exists() for part in parts.apart(every))
    if writing and whole:
        shutil.copyfile(loop.__file__, path.with_name("loop.py"))
        _looped(every, path, int8, columns, answered, about, say)
    if speaking and whole:
        shutil.copyfile(speech_loop.__file__, path.with_name("loop.py"))
        files_ = [_named(path, part) for part in parts.apart(every)]
        by_precision = {"": files_, **({INT8: [_int8(one) for one in files_]} if int8 else {})}
        judged = spoken.tried(run, every, by_precision, held, about, EXAMPLES, say)
    for precision, answers in answered.items():
        found = judged.get(precision) or (figures.beside(run, held, answers, EXAMPLES) if answers else {})
        if found:
            about.setdefault("figures", {})[f"{precision}{path.suffix}"] = {
                "examples": len(next(iter(held.values()))),
                **found,
            }
            say(f"*{precision}{path.suffix}: {figures.told(found)}")


def _named(path: Path, part: Part) -> Path:
    return path.with_name(f"{'_'.join(filter(None, (path.stem, part.name)))}{path.suffix}")


def _looped(
    every: Sequence[Part],
    path: Path,
    int8: bool,
    columns: Mapping[str, np.ndarray],
    answered: Answered,
    about: dict[str, Any],
    say: Say,
) -> None:
    """Writes held-out answers with the loop over the files, and says how many are the run's."""
    whole, *apart = every[0], *parts.apart(every)
    answer = about["writing"]["answer"]
    want = evaluate.readable(answer, _truth(whole, parts.examples(whole, columns), EXAMPLES)[answer])
    for marked in (False, True)[: 1 + int8]:
        pair = [_int8(own) if marked else own for own in (_named(path, part) for part in apart)]
        sizes = [about["files"][own.name]["batch"] for own in pair]
        runs = [
            functools.partial(in_batches, FORMATS[path.suffix].Runner(own), size=most if size == "any" else size)
            # The start sees all examples, of which memory may hold no more than some; a step sees those of one beam.
            for own, size, most in zip(pair, sizes, (EXAMPLES, 0), strict=True)
        ]
        found = written(runs[0], runs[1], parts.examples(apart[0], columns), about)
        got = evaluate.readable(answer, found[answer])
        same = float(np.mean((want == got).all(1)))
        answered[INT8 * marked][answer] = got
        about["files"][pair[1].name]["against_the_run"][answer] = {"same": same}
        say(f"{' and '.join(own.name for own in pair)}, by loop.py: {answer} {same:.1%} the same on {len(want)}")


def _begun(folder: Path, run: restore.Restored, workdir: Path, weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The description of the folder, new or found."""
    same = {"system": run.config.system, "step": run.step, "workdir": workdir.resolve().name}
    same["fingerprint"] = fingerprint(weights)  # another run may have the same name and step
    known = described(folder) if (folder / ABOUT).is_file() else None
    if known is not None and {name: known.get(name) for name in same} != same:
        raise UserError(
            f"{folder} is an export of other weights, of {known.get('workdir')}, step {known.get('step')}: name "
            "another folder"
        )
    if known is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there and is no export: name another folder")
    return known or {
        **same,
        "names": {head: list(names) for head, names in run.task.names.items() if not isinstance(names, str)},
        "vocabularies": {
            name: list(vocabulary.words_of(np.asarray(letters)))
            # The system's own, where it makes its words of something else, such as the names of units.
            for name, letters in {**run.variables.get("frozen", {}), **run.constants}.items()
            if name.endswith("_vocabulary")
        },
        "sample_rate": {"in": pipeline.RATE, "out": run.task.sample_rate},
        "files": {},
    }


def _written(
    part: Part,
    path: Path,
    size: int,
    int8: bool,
    columns: Mapping[str, np.ndarray],
    answered: Answered,
    about: dict[str, Any],
    say: Say,
) -> None:
    """Writes the file of a part for any batch size, or for one where any cannot be; and tries it."""
    format_, batch, examples = FORMATS[path.suffix], 0, parts.examples(part, columns)
    try:
        format_.write(part, path, 0)
        # What can be written can now and then not be run.
        in_batches(format_.Runner(path), {name: value[:EXAMPLES] for name, value in examples.items()}, 0)
    except UserError as error:
        batch = size
        format_.write(part, path, size)
        say(f"not for any batch size ({error}): for {size}")
    at_once = batch or EXAMPLES
    want = _truth(part, examples, at_once)
    given: dict[str, Any] = {"part": part.name, "batch": batch or "any"}
    given["inputs"] = {name: [dtype, *shape] for name, (dtype, shape) in part.inputs.items()}
    outputs = {name: [str(value.dtype), *value.shape[1:]] for name, value in want.items()}
    paths = [path]
    if int8:
        paths.append(_int8(path))
        onnx_file.quantise(*paths)
    for one in paths:
        got = in_batches(format_.Runner(one), examples, at_once)
        compared = differences(want, got)
        about["files"][one.name] = {**given, "outputs": outputs, "against_the_run": compared}
        say(f"{one.name}: {one.stat().st_size:,} bytes; {_told(compared, len(next(iter(want.values()))))}")
        if part.name not in APART:
            answered[INT8 * (one != path)] |= {name: evaluate.readable(name, value) for name, value in got.items()}


def _int8(path: Path) -> Path:
    return path.with_name(f"{path.stem}{INT8}{path.suffix}")


def difference(want: np.ndarray, got: np.ndarray, scores: bool = False) -> dict[str, float]:
    """How far an answer is from the run's: the largest difference, and the share of examples with the same answer.

    The same answer is the same class for scores, and the same value for whatever is counted or spelt; sounds and points
    have none.
    """
    if want.shape != got.shape or want.dtype != got.dtype:
        raise UserError(f"the export answers {got.dtype} {got.shape}, and the run {want.dtype} {want.shape}")
    finite, rows = np.isfinite(want), (len(want), -1)
    if (np.isfinite(got) != finite).any():
        raise UserError("the export's answers are infinite or no numbers where the run's are not, or the other way")
    apart = np.abs(want[finite].astype(np.float64) - got[finite].astype(np.float64))
    found = {"largest": float(np.max(apart, initial=0.0))}
    if want.dtype != np.float32:
        found["same"] = float(np.mean((want == got).reshape(rows).all(1)))
    elif scores:
        found["same"] = float(np.mean(want.argmax(1) == got.argmax(1)))
    return found


def differences(want: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """{answer: its `difference`}. Of an n-best list the same answer is the same first one; its scores, which stand in
    their order, have none."""
    found = {}
    for name, value in want.items():
        kind, _, head = name.partition("/")
        listed = {f"scores/{head}", f"text/{head}"} <= set(want)
        found[name] = difference(value, got[name], kind == "scores" and not listed)
        if kind == "text" and listed:
            found[name]["same"] = difference(value[:, 0], got[name][:, 0])["same"]
    return found


def _told(compared: Mapping[str, Mapping[str, float]], count: int) -> str:
    lines = []
    for name, of in compared.items():
        apart = [] if name.startswith("text/") else [f"off by {of['largest']:.2g} at most"]  # letters are no amounts
        same = [f"{of['same']:.1%} the same answer"] if "same" in of else []
        lines.append(f"{name} {', '.join([*apart, *same])}")
    return f"on {count} held-out examples {'; '.join(lines)}"


def held_out(run: restore.Restored, say: Say = print, most: int = EXAMPLES) -> dict[str, np.ndarray]:
    """Examples of the test split, valid ones alone. Raises UserError where its numbers mean something else."""
    config, fields = run.config, prepare.asked(run.task)
    source = data.open(config.test_split, fields, train_split=config.train_split, **config.data)
    run.compare(source)
    say(f"trying it on {min(most, len(source)):,} examples of {config.test_split}")
    rows: dict[str, list[np.ndarray]] = {}
    for batch in pipeline.eval_batches(source, EXAMPLES, most, **config.loader):
        for name in fields:
            rows.setdefault(name, []).append(np.asarray(batch[name])[np.asarray(batch["valid"])])
    return {name: np.concatenate(several) for name, several in rows.items()}


def _truth(part: Part, batch: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """What the run says, in batches of the same size: what is drawn is drawn of the same seeds."""
    answered = jax.jit(part.function)

    def runner(batch: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in answered(batch, jax.random.key(seed)).items()}

    return in_batches(runner, batch, size)
