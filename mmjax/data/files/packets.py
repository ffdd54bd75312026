"""Packets and frames of an open video, up to its end or to the damage that ends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmjax.data.files import container, media


class Reader:
    """Packets of some streams up to the end, or to an error that ends the reading; then one that flushes each decoder.

    Attributes:
      broken: whether it was an error, or the end cut a packet.
    """

    def __init__(self, file: Any, *streams: Any):
        self._file, self._streams, self.broken = file, streams, False

    def packets(self) -> Iterator[Any]:
        """The packets, in the file's order."""
        av = media.require_av()
        try:
            for packet in container.packets(self._file, *self._streams):
                if packet.size:
                    self.broken = packet.is_corrupt
                yield packet
        except (av.FFmpegError, OSError, IndexError):  # IndexError: PyAV, where a track begins amid a damaged file
            self.broken = True
            for stream in self._streams:
                flush = av.Packet()
                flush.stream, flush.time_base = stream, stream.time_base
                yield flush


def frames(file: Any, track: Any) -> Iterator[Any]:
    """All frames of an open file's track in the order of showing, as far as they can be decoded."""
    for packet in Reader(file, track).packets():
        yield from decoded(packet)


def decoded(packet: Any) -> list[Any]:
    """Its frames; a damaged packet gives none."""
    try:
        return list(packet.decode())
    except media.require_av().FFmpegError:
        return []


def stamp(frame: Any, otherwise: int) -> int:
    """When a frame is shown; AVI has decoding times only, which FFmpeg puts in the order of showing."""
    return int(frame.pts if frame.pts is not None else frame.dts if frame.dts is not None else otherwise)
