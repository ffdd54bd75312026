"""What is packed (gzip, bzip2, xz, zstd): known by its first bytes, read as if it were not; and members of archives."""

from __future__ import annotations

import contextlib
import gzip
import importlib
import lzma
import os
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import IO, Any

from mmjax.errors import UserError
from mmjax.text import packed

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
TARS = (".tar", ".tgz", ".tbz2", ".txz", ".tzst")  # the first may have one of SUFFIXES behind it
_ZSTD = ("compression.zstd", "backports.zstd")
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)


def damage() -> tuple[type[Exception], ...]:
    """The errors of packed files and archives that are damaged."""
    return (*_DAMAGE, *(module.ZstdError for name in _ZSTD if (module := sys.modules.get(name))))


def opener(path: str | os.PathLike[str]) -> Callable[[Any], IO[bytes]] | None:
    """What opens a file, by its path or from where it is open, as if it were not packed; None where it is not.

    Raises:
      UserError: it is packed by zstd, of which no package is installed.
    """
    with open(path, "rb") as file:
        head = file.read(6)
    known: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": packed.open_bz2, b"\xfd7zXZ\0": packed.open_xz}
    skippable = head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5  # a frame that pzstd puts first
    if head[:4] == b"\x28\xb5\x2f\xfd" or skippable:
        return _zstd(path).open  # type: ignore[no-any-return]
    return next((way for mark, way in known.items() if head.startswith(mark)), None)


def _zstd(path: str | os.PathLike[str]) -> ModuleType:
    """Python's own module, from 3.14 on; before, the package that is its twin."""
    for name in _ZSTD:
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    raise UserError(f"{path}: what is packed as .zst needs the extra `text`: pip install 'mmjax[text]'")


def is_hidden(member: str) -> bool:
    """Whether a member of an archive is hidden, or in a hidden folder, or what macOS keeps beside each file."""
    parts = member.split("/")
    return "__MACOSX" in parts or any(part.startswith(".") and part not in (".", "..") for part in parts)


def wrong_end(stream: IO[bytes], at: int) -> str:
    """What is wrong with a tar from the byte on that tarfile took for its end, "" for nothing.

    It does so with a header that it cannot read, with nothing at all, and with the first end of tars that were joined.
    """
    stream.seek(at)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        return f"it is cut short at byte {at + len(block):,}"
    if block.strip(b"\0"):
        return f"from byte {at:,} on"
    while block := stream.read(1 << 20):
        if block.strip(b"\0"):
            return f"it goes on behind its end at byte {at:,}"
    return ""
