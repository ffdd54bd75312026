"""Weights as TensorFlow.js keeps them: a manifest of JSON, and the raw bytes of all arrays beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.errors import UserError

SUFFIX = "-weights_manifest.json"
DTYPES = ("float32", "int32", "uint8", "bool")
QUANTISED = ("uint8", "uint16", "float16")


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a manifest, {name: array}; quantised ones as float32, number * scale + min.

    Args:
      path: of the manifest, a list of groups {"weights": [{"name", "shape", "dtype", "quantization"}], "paths": [...]}.

    Raises:
      UserError: no such file, no manifest, a file of bytes that is missing or of another length, or an unknown dtype.
    """
    path = Path(path).expanduser()
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
        listed = [([dict(one) for one in group["weights"]], list(map(str, group["paths"]))) for group in groups]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path}: no manifest of TensorFlow.js ({type(error).__name__}: {error})") from None
    found: dict[str, np.ndarray] = {}
    for weights, names in listed:
        found |= _arrays(weights, b"".join(_bytes(path, name) for name in names), path)
    return found


def _bytes(manifest: Path, name: str) -> bytes:
    if Path(name).name != name:
        raise UserError(f"{manifest}: names a file outside its folder, {name!r}")
    try:
        return (manifest.parent / name).read_bytes()
    except OSError as error:
        raise UserError(f"{manifest.parent / name}: {error.strerror or error}; {manifest.name} names it") from None


def _arrays(weights: list[dict[str, Any]], raw: bytes, path: Path) -> dict[str, np.ndarray]:
    found, at = {}, 0
    for one in weights:
        try:
            name, shape, stored = str(one["name"]), tuple(map(int, one["shape"])), _stored(one)
        except (LookupError, ValueError, TypeError) as error:
            raise UserError(f"{path}: no manifest of TensorFlow.js ({type(error).__name__}: {error})") from None
        count = math.prod(shape)
        end = at + count * stored.itemsize
        if min((0, *shape)) < 0 or end > len(raw):
            raise UserError(f"{path}: its files end before {name} does")
        array = np.frombuffer(raw, stored, count, at).reshape(shape)
        found[name] = _wide(array, one.get("quantization"))
        at = end
    if at != len(raw):
        raise UserError(f"{path}: its files have {len(raw) - at:,} bytes more than it names")
    return found


def _stored(one: Mapping[str, Any]) -> np.dtype:
    quantised = one.get("quantization")
    name, known = (quantised["dtype"], QUANTISED) if quantised else (one["dtype"], DTYPES)
    if name not in known:
        raise ValueError(f"{one['name']} is {name!r}, which is none of {', '.join(known)}")
    return np.dtype(name).newbyteorder("<")


def _wide(array: np.ndarray, quantised: Mapping[str, Any] | None) -> np.ndarray:
    if not quantised:
        return array.astype(array.dtype.newbyteorder("="))
    wide = array.astype(np.float32)
    return wide * np.float32(quantised.get("scale", 1)) + np.float32(quantised.get("min", 0))
