"""A file of weights read at once: what is no such file, or a damaged one, is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mmjax import errors
from mmjax.errors import UserError

T = TypeVar("T")


def read(path: str | Path, kind: str, parse: Callable[[bytes], T]) -> T:
    """What `parse` makes of a file's bytes.

    Args:
      path: of the file; "~" is the user's home.
      kind: what it should be, for the line: "binary .t7".
      parse: raises anything where the bytes are not of that kind: a damaged file can say anything of sizes and types.

    Raises:
      UserError: no such file, a pointer of Git LFS, or one that `parse` cannot read.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a {kind}")
    raw = path.read_bytes()
    errors.refuse_pointer(path, raw[: len(errors.POINTER)])
    try:
        return parse(raw)
    except Exception as error:
        said = errors.printable(" ".join(str(error).split()), 200)
        raise UserError(f"{path}: not a {kind} that can be read ({type(error).__name__}: {said})") from None
