"""Digests of what a prepared copy stores: each file of it is read once, and what was found is kept beside it."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm
from array_record.python import array_record_data_source

from mmjax.data import caches, fingerprints


def of_file(directory: pathlib.Path, file: Any, features: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """{column: a digest of its value in each example, uint64 [n]} of a whole array_record file.

    Args:
      directory: of the prepared copy; where it cannot be written to, the file is read again the next time.
      file: TFDS's instruction that names it.
      features: of the columns, as they are to be read.
    """
    stem = pathlib.Path(file.filename).name
    paths = {column: directory / "digests" / f"{stem}.{column.replace('/', '.')}.npy" for column in features}
    found = {column: _load(path, file.examples_in_shard) for column, path in paths.items()}
    lacking = {column: features[column] for column, digests in found.items() if digests is None}
    for column, digests in (_read(file.filename, lacking) if lacking else {}).items():
        found[column] = digests
        raw = io.BytesIO()
        np.save(raw, digests)
        caches.write(paths[column], raw.getvalue())
    return {column: digests for column, digests in found.items() if digests is not None}


def _read(filename: str, features: Mapping[str, Any]) -> dict[str, np.ndarray]:
    parsed = tfds.features.FeaturesDict(dict(features))
    with array_record_data_source.ArrayRecordDataSource([filename]) as reader:
        table = np.zeros((len(features), len(reader)), np.uint64)
        for index in tqdm.trange(len(reader), desc="fingerprints", unit="example", disable=None, leave=False):
            record = parsed.deserialize_example_np(reader[index])
            table[:, index] = [fingerprints.digest(record[column]) for column in features]
    return dict(zip(features, table, strict=True))


def _load(path: pathlib.Path, rows: int) -> np.ndarray | None:
    """The array that is kept there; None where there is none, or none of so many rows."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (rows,) and found.dtype == np.uint64 else None
