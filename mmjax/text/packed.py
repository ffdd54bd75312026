"""bzip2 and xz without a word lost: Python's own take a stream that is damaged for the end of the file.

Files of several streams are what pbzip2 and pixz write, and Wikipedia's multistream dumps. `bz2.open` and `lzma.open`
are silent of anything behind the first stream that does not begin as another: see findings/bz2_damaged_stream.sh.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
from collections.abc import Callable
from typing import IO, Any

_AT_ONCE = 1 << 16  # bytes that are read


def open_bz2(file: str | os.PathLike[str] | IO[bytes]) -> IO[bytes]:
    """A file that is packed by bzip2, by its path or from where it is open, as if it were not.

    Reading raises OSError where it is damaged, and EOFError where it ends too early; zeros behind it are padding.
    """
    return _opened(file, bz2.BZ2Decompressor)


def open_xz(file: str | os.PathLike[str] | IO[bytes]) -> IO[bytes]:
    """The same of xz and of lzma; raises lzma.LZMAError where it is damaged."""
    return _opened(file, lzma.LZMADecompressor)


def _opened(file: Any, fresh: Callable[[], Any]) -> IO[bytes]:
    own = isinstance(file, str | os.PathLike)
    return io.BufferedReader(_Streams(open(file, "rb") if own else file, fresh, own))  # type: ignore[return-value]


class _Streams(io.RawIOBase):
    """What streams hold that follow each other in a file; going back begins anew.

    Args:
      file: whose first stream begins where it stands.
      fresh: makes a decompressor of one stream.
      own: whether the file is closed with this.
    """

    def __init__(self, file: IO[bytes], fresh: Callable[[], Any], own: bool):
        self._file, self._fresh, self._own = file, fresh, own
        self._first = file.tell()
        self._begin()

    def _begin(self) -> None:
        self._one, self._at = self._fresh(), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if self._own:
            self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._some(len(view)) if len(view) else b""
        view[: len(data)] = data
        return len(data)

    def _some(self, most: int) -> bytes:
        """Up to so many bytes, none only at the end."""
        while True:
            raw = b""
            if self._one.eof:
                raw = self._one.unused_data.lstrip(b"\0")
                while not raw and (more := self._file.read(_AT_ONCE)):
                    raw = more.lstrip(b"\0")
                if not raw:
                    return b""
                self._one = self._fresh()
            elif self._one.needs_input:
                raw = self._file.read(_AT_ONCE)
                if not raw:
                    raise EOFError("it ends before its last stream does")
            data: bytes = self._one.decompress(raw, most)
            if data:
                self._at += len(data)
                return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            while self._some(_AT_ONCE):
                pass
        target = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._at}[whence]
        if target < self._at:
            self._file.seek(self._first)
            self._begin()
        while self._at < target and self._some(min(_AT_ONCE, target - self._at)):
            pass
        return self._at
