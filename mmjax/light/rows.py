"""What is weighed: each way in which a run answers, in each precision and runtime that there is."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.interpreters import partial_eval

from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.export import exported, folder, onnx_file, parts, speech_loop
from mmjax.light import counting, measuring
from mmjax.light.precisions import PRECISIONS
from mmjax.task import Batch, Variables, bind

Answer = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
      run: the name of its workdir or exported folder.
      part: of a run that is asked in several ways, the fields that go in; "" where there is one way.
      precision: of the weights; what is computed is float32.
      runtime: "XLA", "ONNX Runtime", or "StableHLO", which is XLA's again.
      size: of the weights that the answers read, in bytes; of an export its file's.
      parameters: how many of these are trained, or frozen networks'; None where that is not known.
      count: multiply-adds of one example; None likewise.
      answers: {size of a batch: (batch of so many) -> {"kind/name": array [b ...]}}, compiled.
      compiling: {size of a batch: seconds until it could be asked}.
      memory: {size of a batch: bytes}: XLA's plan, weights, what goes in and out, and what is held in between; of ONNX
        see `measuring.onnx_memory`.
      examples: held-out ones, {field: array [n ...]}, as it takes them.
      one_by_one: whether the file takes one size, and larger batches go through it in pieces.
    """

    run: str
    part: str
    precision: str
    runtime: str
    size: int
    parameters: int | None
    count: counting.Count | None
    answers: Mapping[int, Answer]
    compiling: Mapping[int, float]
    memory: Mapping[int, int]
    examples: Mapping[str, np.ndarray]
    one_by_one: bool = False


def of_run(
    run: restore.Restored, name: str, columns: Batch, sizes: Sequence[int], say: Callable[[str], None] = print
) -> Iterator[Row]:
    """The rows of a run: of each part in each precision.

    Args:
      run: restored.
      name: in the table.
      columns: held-out examples.
      sizes: of batches.
      say: gets lines for the user, of precisions that are left out.
    """
    columns = exported.begun(run, parts.of(run), columns, folder.EXAMPLES)
    for precision, narrowed in PRECISIONS.items():
        try:
            of_precision = narrowed(run)
        except UserError as error:
            say(f"left out: {error}")
            continue
        for part in parts.of(of_precision):
            parameters, size, count = weighed(part, of_precision.variables)
            examples = parts.examples(part, columns)
            made = {n: _compiled(part, of_precision.variables, rows(examples, n)) for n in sizes}
            yield Row(
                name,
                part.name,
                precision,
                "XLA",
                size,
                parameters,
                count,
                answers={n: one[0] for n, one in made.items()},
                compiling={n: one[1] for n, one in made.items()},
                memory={n: one[2] for n, one in made.items()},
                examples=examples,
            )


def weighed(part: parts.Part, variables: Variables) -> tuple[int, int, counting.Count]:
    """(parameters, bytes, multiply-adds of one example) of what the answers read: controls and baselines they do not.

    Parameters are the numbers that are trained and those of frozen networks, without running statistics; bytes are of
    all. Multiply-adds are of the program for any platform, so that they are the same everywhere.
    """
    assert part.program is not None
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), dict(variables))
    traced = jax.make_jaxpr(bind(part.program, True))(abstract, parts.abstract(part, 1), jax.random.key(0))
    live, used = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    leaves = jax.tree_util.tree_leaves_with_path(abstract)
    read = [(at, x) for (at, x), own in zip(leaves, used[: len(leaves)], strict=True) if own]
    numbers = [x.size for at, x in read if at[0].key in ("params", "frozen") and _is_number(at, x)]
    return sum(numbers), sum(x.size * x.dtype.itemsize for _, x in read), counting.of(live)


def _is_number(at: Sequence[Any], x: Any) -> bool:
    """Whether an array holds parameters, and not the scales of some that are kept as integers."""
    within = getattr(at[-1], "name", "")  # of qwix's pairs; other trees are dicts, whose keys are no attributes
    return within == "qvalue" or (not within and jnp.issubdtype(x.dtype, jnp.floating))


def rows(examples: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """A batch of so many examples: the first ones, again and again where there are fewer."""
    return {name: value[np.arange(size) % len(value)] for name, value in examples.items()}


def _compiled(part: parts.Part, variables: Variables, batch: Mapping[str, np.ndarray]) -> tuple[Answer, float, int]:
    """(the program for batches of this size, the seconds that its compilation took, the bytes that it plans)."""
    assert part.program is not None
    key, began = jax.random.key(0), time.perf_counter()
    program = jax.jit(bind(part.program, False)).lower(variables, batch, key).compile()
    seconds = time.perf_counter() - began
    plan = program.memory_analysis()
    planned = sum(getattr(plan, f"{what}_size_in_bytes", 0) for what in ("argument", "output", "temp"))

    def answer(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = jax.device_get(program(variables, batch, key))  # waits until it is there
        return found

    return answer, seconds, planned


def of_export(
    path: Path, name: str, columns: Batch, sizes: Sequence[int], threads: int, say: Callable[[str], None]
) -> Iterator[Row]:
    """The rows of an exported folder: of each of its files whose runtime is installed.

    Args:
      path: of the folder.
      name: in the table.
      columns: held-out examples.
      sizes: of batches.
      threads: of ONNX Runtime; JAX's are those of the process.
      say: gets lines for the user, of files that are left out.
    """
    about = exported.described(path)
    for file, of in about["files"].items():
        onnx = Path(file).suffix == onnx_file.SUFFIX
        began = time.perf_counter()
        try:
            runner = exported.FORMATS[Path(file).suffix].Runner(path / file, **({"threads": threads} if onnx else {}))
        except UserError as error:
            say(f"left out: {file}: {error}")
            continue
        opening, fixed = time.perf_counter() - began, 0 if of["batch"] == "any" else of["batch"]
        if not set(of["inputs"]) <= set(columns):
            say(f"left out: {file}: nothing there makes {', '.join(sorted(set(of['inputs']) - set(columns)))}")
            continue
        examples = parts.examples(_as_part(of), columns)
        stem = Path(file).stem
        int8 = stem.endswith(exported.INT8)

        def answer(batch: Mapping[str, np.ndarray], runner: Any = runner, fixed: int = fixed) -> dict[str, np.ndarray]:
            return exported.in_batches(runner, batch, fixed)

        if of.get("part") == parts.START and not int8:
            columns = {**columns, **_begun(path, about, Path(file).suffix, examples, answer)}
        largest = max(sizes)
        memory = measuring.onnx_memory(path / file, rows(examples, fixed or largest), threads) if onnx else None
        yield Row(
            name,
            stem.removesuffix(exported.INT8).removeprefix(path.resolve().name).removeprefix("_"),
            "int8" if int8 else "float32",
            "ONNX Runtime" if onnx else "StableHLO",
            (path / file).stat().st_size,
            None,
            None,
            dict.fromkeys(sizes, answer),
            dict.fromkeys(sizes, opening),
            {} if memory is None else {largest: memory},
            examples,
            one_by_one=bool(fixed),
        )


def _begun(path: Path, about: Mapping[str, Any], suffix: str, examples: Batch, start: Answer) -> dict[str, np.ndarray]:
    """What the other files of an answer that is taken apart take, after the start of a format."""
    if "speaking" not in about:
        return parts.at_first({}, start(examples), about["writing"]["search"]["start"])
    steps = [name for name, of in about["files"].items() if of["part"] == parts.STEP and name.endswith(suffix)]
    plain = [name for name in steps if not Path(name).stem.endswith(exported.INT8)]
    if not plain:
        return {}
    runner, size = exported.FORMATS[suffix].Runner(path / plain[0]), about["files"][plain[0]]["batch"]
    speaking = about["speaking"]
    kept = speech_loop.draw(speaking["shares"], speaking["steps"])

    def step(given: Batch) -> dict[str, np.ndarray]:
        return exported.in_batches(runner, given, 0 if size == "any" else size)

    limits = {name: speaking[name] for name in ("steps", "threshold", "bands")}
    return exported.in_the_end(start, step, examples, kept, limits)


def _as_part(described: Mapping[str, Any]) -> parts.Part:
    """A file by what export.json says of it: what goes in."""
    inputs = {field: (dtype, tuple(shape)) for field, (dtype, *shape) in described["inputs"].items()}
    return parts.Part(described.get("part", ""), inputs, None, None)  # type: ignore[arg-type]


def fingerprint(run: restore.Restored) -> str:
    """What an export of this run would have for its own."""
    return folder.fingerprint(folder.weights_of(run))
