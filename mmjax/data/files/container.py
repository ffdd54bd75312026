"""Files that hold tracks of pictures and sound (mp4, mkv, ts, ...): opening them, which track is meant, one clock.

FFmpeg's demuxers do the reading; this is what a player adds to them, and what tells a file without its end.
"""

from __future__ import annotations

import dataclasses
import pathlib
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from mmjax.data.files import media

JUMP = 10.0  # seconds: FFmpeg's own threshold beyond which two stamps are not of one clock
STEP_BACK = 0.1  # seconds, its threshold for decoding times that go back
BLOCK = 1 << 16  # bytes read at once in search of zeros
MATROSKA, SEGMENT = bytes.fromhex("1A45DFA3"), bytes.fromhex("18538067")
ASF = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp")


def open_file(path: pathlib.Path) -> Any:
    """A container, as a context manager. Tags in any encoding do no harm: none is read.

    Raises:
      Unusable: of kind "unreadable".
    """
    av = media.require_av()
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise media.Unusable("unreadable", getattr(error, "strerror", None) or str(error)) from error
    # PyAV has FFmpeg invent missing time stamps: for AVI in the order of decoding, which is not that of showing.
    container.flags &= ~av.container.Flags.gen_pts.value
    return container


def picture_track(container: Any) -> Any | None:
    """The video stream that a player would show; a cover picture is none."""
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    best = container.streams.best("video")
    return best if best in streams else next(iter(streams), None)


def sound_tracks(container: Any, picture: Any | None = None) -> list[Any]:
    """The audio streams that can be decoded: the one that a player would play, then the others.

    FFmpeg's choice is the one marked as default, in the programme of `picture` where there are several.
    """
    best = container.streams.best("audio", related=picture)
    others = [stream for stream in container.streams.audio if stream is not best]
    return [s for s in [best, *others] if s is not None and s.codec_context is not None]


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & type(stream.disposition).attached_pic)


@dataclasses.dataclass
class _Clock:
    """Of one stream: what is taken off its stamps, its last decoding time and the one expected next, in seconds."""

    offset: float = 0.0
    last: float | None = None
    expected: float = 0.0


def packets(container: Any, *streams: Any) -> Iterator[Any]:
    """The packets of streams in the file's order, and one without content for each that flushes its decoder.

    Recordings of MPEG transport and programme streams that were joined start their time stamps anew: as in FFmpeg's
    own tools, the later part follows the earlier one.
    """
    if not container.format.flags & media.require_av().format.Flags.ts_discont.value:  # whose stamps may start anew
        yield from container.demux(*streams)
        return
    clocks, latest = {stream.index: _Clock() for stream in streams}, 0.0
    for packet in container.demux(*streams):
        clock = clocks[packet.stream.index]
        if packet.dts is not None:
            stamp, unit = packet.dts, float(packet.time_base)
            if clock.last is not None and _jumps(clock, stamp * unit - clock.offset):
                # All streams of a part share its offset, which the first one of them found.
                shared = abs(stamp * unit - latest - clock.expected) < 1 and latest != clock.offset
                latest = clock.offset = latest if shared else stamp * unit - clock.expected
            clock.last = stamp * unit - clock.offset
            clock.expected = clock.last + (packet.duration or 0) * unit
        if clock.offset:
            shift = round(clock.offset / float(packet.time_base))
            packet.dts = packet.dts - shift if packet.dts is not None else None
            packet.pts = packet.pts - shift if packet.pts is not None else None
        yield packet


def _jumps(clock: _Clock, time: float) -> bool:
    return abs(time - clock.expected) > JUMP or time + STEP_BACK < (clock.last or 0.0)


def missing(path: pathlib.Path) -> tuple[int, int]:
    """(bytes that are there, bytes that are not), by what the file itself says: a header may be wrong about seconds.

    Missing is what ISO media, Matroska, RIFF, ASF and FLV files promise beyond their end, and a tail of zeros: a
    download into space that was set aside for it. (Other containers promise nothing.)
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        there = _without_zeros(file, size)
        file.seek(0)
        head = file.read(16)
        file.seek(0)
        if head[4:8] in ISO_BOXES:
            ends = _iso_ends(file)
        elif head[:4] == MATROSKA:
            ends = _matroska_ends(file)
        elif head[:4] == b"RIFF":
            ends = _riff_ends(file)
        elif head == ASF:
            ends = _asf_ends(file)
        elif head[:3] == b"FLV":
            ends = _flv_ends(file)
        else:
            ends = iter(())
        for end in ends:
            if end > size:
                return there, end - there
            file.seek(end)
    return there, size - there


def _without_zeros(file: BinaryIO, size: int) -> int:
    while size:
        start = max(0, size - BLOCK)
        file.seek(start)
        if kept := len(file.read(size - start).rstrip(b"\0")):
            return start + kept
        size = start
    return 0


# Each yields the ends of the parts at the top level; whoever asks moves the file there before the next.


def _iso_ends(file: BinaryIO) -> Iterator[int]:
    while len(header := file.read(16)) >= 8:
        at, (length,) = file.tell() - len(header), struct.unpack(">I", header[:4])
        if length == 1 and len(header) == 16:
            (length,) = struct.unpack(">Q", header[8:])
        if length < 8:  # 0: up to the end of the file
            return
        yield at + length


def _matroska_ends(file: BinaryIO) -> Iterator[int]:
    while name := file.read(4):
        length = _matroska_length(file)
        if length is None or name not in (MATROSKA, SEGMENT):
            return
        yield file.tell() + length


def _matroska_length(file: BinaryIO) -> int | None:
    """A number of 1 to 8 bytes, whose first set bit tells how many; None where it is unknown, as in a live stream."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(width - 1), "big") & (1 << 7 * width) - 1
    return None if value == (1 << 7 * width) - 1 else value


def _riff_ends(file: BinaryIO) -> Iterator[int]:
    while (header := file.read(8))[:4] == b"RIFF" and len(header) == 8:
        (length,) = struct.unpack("<I", header[4:])
        if length in (0, 0xFFFFFFFF):  # a writer that did not know it
            return
        yield file.tell() + length


def _asf_ends(file: BinaryIO) -> Iterator[int]:
    while len(header := file.read(24)) == 24:
        at, (length,) = file.tell() - 24, struct.unpack("<Q", header[16:])
        if length < 24:
            return
        yield at + length


def _flv_ends(file: BinaryIO) -> Iterator[int]:
    yield 13  # the header, and the length of no tag before the first one
    while len(tag := file.read(11)) == 11 and tag[0] & 31 in (8, 9, 18):  # sound, pictures, data
        yield file.tell() + int.from_bytes(tag[1:4], "big") + 4
    if 0 < len(tag) < 11:
        yield file.tell() + 11 - len(tag)
