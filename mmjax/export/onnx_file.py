"""ONNX by jax2onnx, weights inside; whoever runs it needs ONNX Runtime and no JAX."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.interpreters import partial_eval

from mmjax.errors import UserError
from mmjax.export import onnx_products
from mmjax.export.parts import Part, abstract, first_line, live

SUFFIX = ".onnx"
EXTRA = "pip install 'mmjax[onnx]'"
OPSET = 21  # of ONNX Runtime since 1.18


@dataclasses.dataclass(frozen=True)
class _Input:
    shape: tuple[Any, ...]
    dtype: np.dtype


def check() -> None:
    """Raises UserError where the extra is missing."""
    try:
        import jax2onnx  # noqa: F401
    except ImportError as error:
        raise UserError(f"ONNX needs the package {error.name}: {EXTRA}") from None
    check_runtime()


def check_runtime() -> None:
    """Raises UserError where what runs a file is missing."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(f"ONNX needs the package {error.name}: {EXTRA}") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Both libraries warn of what is theirs to do, and jax2onnx 0.13 prints each layer; what matters they raise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # Where warnings are errors, jax2onnx would leave out each operator whose file warns while it is imported.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def write(part: Part, path: Path, size: int) -> None:
    """Writes the file: its inputs are the part's fields, its outputs the answers, by their names.

    Args:
      part: what is exported.
      path: of the file.
      size: of the batch; 0 = any.

    Raises:
      UserError: the extra is missing, or ONNX has no operators for the part.
    """
    check()
    import jax2onnx

    names = list(part.inputs)
    outputs, drawn = _outputs(part)
    if drawn:
        raise UserError(f"{path.name}: the answers are drawn from a seed, which ONNX does not know: .stablehlo does")

    function = live(lambda *fields: _in_order(part, outputs, fields))

    inputs = [_Input((size or "b", *shape), np.dtype(dtype)) for dtype, shape in part.inputs.values()]
    try:
        with _quiet():
            model = jax2onnx.to_onnx(
                function, inputs, input_names=names, output_names=outputs, opset=OPSET, model_name=path.stem
            )
    except Exception as error:  # of whatever kind an operator that it lacks raises
        raise UserError(f"{path.name}: jax2onnx cannot write it: {first_line(error)}") from None
    onnx_products.drop_unread(model.graph)
    path.write_bytes(model.SerializeToString())


def _program(part: Part) -> Any:
    return part.real or part.anywhere  # ONNX has no complex numbers


def _in_order(part: Part, outputs: Sequence[str], fields: Sequence[Any]) -> tuple[Any, ...]:
    found = _program(part)(dict(zip(part.inputs, fields, strict=True)), jax.random.key(0))
    return tuple(found[name] for name in outputs)


def _outputs(part: Part) -> tuple[list[str], bool]:
    """The names of the answers, and whether they depend on the seed."""
    found = jax.eval_shape(_program(part), abstract(part, 1), jax.random.key(0))
    traced = jax.make_jaxpr(lambda key, batch: _program(part)(batch, key))(jax.random.key(0), abstract(part, 1))
    _, used = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    return list(found), used[0]


def quantise(path: Path, target: Path) -> None:
    """Writes the file again with 8 bits a weight; activations are rounded on the way (ONNX Runtime's dynamic form).

    Raises:
      UserError: the extra is missing, or ONNX Runtime's quantiser cannot do it.
    """
    check()
    import onnx
    from onnxruntime import quantization

    model = onnx.load(path)
    onnx_products.rewrite(model.graph)
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.name
        onnx.save(model, plain)
        try:
            quantization.quantize_dynamic(
                plain,
                target,
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                extra_options={"EnableSubgraph": True},
            )
        except Exception as error:  # of whatever kind a graph that it does not know raises
            raise UserError(f"{target.name}: ONNX Runtime cannot quantise it: {first_line(error)}") from None
    found = onnx.load(target)
    onnx_products.forget_shapes(found.graph)  # whoever runs it finds them anew
    onnx.save(found, target)


class Runner:
    """The file, ready to run: ({field: array [b ...]}, seed) -> {"kind/name": array [b ...]}. UserError: damaged.

    Running it raises UserError where ONNX Runtime cannot.

    Args:
      path: of the file.
      threads: that it runs on; 0 = as many as ONNX Runtime likes.
    """

    def __init__(self, path: Path, threads: int = 0):
        check_runtime()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # errors it raises as well
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own
            raise UserError(f"{path} is not of ONNX: {first_line(error)}") from None
        self._name = path.name
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._outputs = [one.name for one in self._session.get_outputs()]

    def __call__(self, batch: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
        del seed  # nothing that is drawn is exported
        try:
            found = self._session.run(self._outputs, {name: batch[name] for name in self._inputs})
        except Exception as error:  # its own
            raise UserError(f"{self._name}: ONNX Runtime cannot run it: {first_line(error)}") from None
        return dict(zip(self._outputs, found, strict=True))
