"""Parquet files, by pyarrow (which takes a while to import): a few rows at a time, and cells that are pictures."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

SUFFIX = ".parquet"
ROWS = 64  # in memory at once: pictures of a hundred kilobytes each


def damage() -> tuple[type[Exception], ...]:
    """The errors of a file that is damaged, or none of Parquet."""
    import pyarrow

    return (OSError, pyarrow.ArrowException)


def columns(path: pathlib.Path) -> dict[str, bool]:
    """{column: whether its cells are bytes, or Hugging Face's pictures: {bytes, path}}, in the order of the file."""
    import pyarrow.parquet

    kind = pyarrow.types

    def is_bytes(of: Any) -> bool:
        if kind.is_struct(of):
            return any(field.name == "bytes" and is_bytes(field.type) for field in of)
        return kind.is_binary(of) or kind.is_large_binary(of) or kind.is_fixed_size_binary(of)

    return {field.name: is_bytes(field.type) for field in pyarrow.parquet.read_schema(str(path))}


def rows(path: str, wanted: Iterable[str], at_once: int = ROWS) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, {column: value}) of all rows."""
    import pyarrow.parquet

    at = 0
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=at_once, columns=list(wanted)):
            for row in batch.to_pylist():
                yield at, row
                at += 1


def picture(cell: Any) -> tuple[bytes, str]:
    """(bytes, path) of a cell, each empty where it is missing."""
    if isinstance(cell, dict):
        return cell.get("bytes") or b"", str(cell.get("path") or "")
    return cell or b"", ""
