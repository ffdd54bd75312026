"""StableHLO by jax.export: for any of JAX's platforms, weights inside; whoever runs it needs JAX alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from mmjax.errors import UserError
from mmjax.export.parts import Part, abstract, first_line, live

SUFFIX = ".stablehlo"
PLATFORMS = ("cpu", "cuda", "tpu")


EXTRA = "pip install 'mmjax[export]'"


def check() -> None:
    """Raises UserError where what jax.export writes files with is missing."""
    try:
        import flatbuffers  # noqa: F401
    except ImportError:
        raise UserError(f"StableHLO needs the package flatbuffers: {EXTRA}") from None


def write(part: Part, path: Path, size: int) -> None:
    """Writes the file: ({field: array [b ...]}, seed: uint32) -> {"kind/name": array [b ...]}.

    Args:
      part: what is exported.
      path: of the file.
      size: of the batch; 0 = any.

    Raises:
      UserError: the part cannot be exported so.
    """
    batch = size or jax_export.symbolic_shape("b")[0]
    function = jax.jit(live(lambda inputs, seed: part.anywhere(inputs, jax.random.key(seed))))
    try:
        made = jax_export.export(function, platforms=PLATFORMS)(
            abstract(part, batch), jax.ShapeDtypeStruct((), np.uint32)
        )
    except Exception as error:  # of whatever kind: a library without a platform, a shape that must be a number
        raise UserError(f"{path.name}: jax.export cannot write it: {first_line(error)}") from None
    path.write_bytes(bytes(made.serialize()))


class Runner:
    """The file, ready to run: ({field: array [b ...]}, seed) -> {"kind/name": array [b ...]}. UserError: damaged."""

    def __init__(self, path: Path):
        check()
        try:
            made = jax_export.deserialize(bytearray(path.read_bytes()))
        except OSError:
            raise
        except Exception as error:  # flatbuffers' and MLIR's own
            raise UserError(f"{path} is not of jax.export: {first_line(error)}") from None
        self._call = jax.jit(made.call)

    def __call__(self, batch: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
        found: dict[str, Any] = self._call(dict(batch), np.uint32(seed))
        return {name: np.asarray(value) for name, value in found.items()}
