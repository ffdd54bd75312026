"""What was found once and is kept on disk for the next time, where several runs and processes may write it at once."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile


def write(path: pathlib.Path, content: bytes) -> None:
    """Writes a file whole or not at all; where it cannot be written, what it would hold is made anew the next time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        number, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
