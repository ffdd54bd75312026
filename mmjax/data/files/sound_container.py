"""What containers of sound say of their own length, where decoders do not ask: chunks, Ogg pages, MP3's first frame.

Only lengths are read here, in order to tell a file that was cut off, or that goes on behind what its header says.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from typing import BinaryIO


@dataclasses.dataclass(frozen=True)
class _Chunks:
    """A container of chunks: where the first begins, how name and length are written, and which one has the sound.

    `skip` are bytes of that one in front of the sound; `whole` is whether the length is that of header and body.
    """

    start: int
    header: str
    data: bytes
    align: int
    skip: int = 0
    whole: bool = False


_RIFF = _Chunks(12, "<4sI", b"data", 2)
_AIFF = _Chunks(12, ">4sI", b"SSND", 2, skip=8)
_CONTAINERS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"RIFX": dataclasses.replace(_RIFF, header=">4sI"),
    b"FORM": _AIFF,
    b"riff": _Chunks(40, "<16sQ", b"data", 8, whole=True),  # Sony's Wave64
    b"caff": _Chunks(8, ">4sq", b"data", 1),
}


def cut_off(file: BinaryIO, size: int) -> tuple[int, int]:
    """(bytes of sound that are there, bytes that the header promises beyond the end of the file).

    Of Ogg, whose header promises nothing, (0, the rest of the last page). (0, 0) for other containers.
    """
    magic = file.read(4)
    if magic == b".snd":
        start, length = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
        return _beyond(start, length, size) if length != 0xFFFFFFFF else (0, 0)
    if magic == b"OggS":
        file.seek(0)
        return 0, _pages(file.read())[1]
    chunks = _CONTAINERS.get(magic)
    if chunks is None:
        return 0, 0
    return _data_chunk(file, size, chunks)


def _data_chunk(file: BinaryIO, size: int, chunks: _Chunks) -> tuple[int, int]:
    long = 0  # RF64's length of 64 bits
    bytes_ = struct.calcsize(chunks.header)
    file.seek(chunks.start)
    while len(header := file.read(bytes_)) == bytes_:
        name, length = struct.unpack(chunks.header, header)
        here, length = file.tell(), length - bytes_ * chunks.whole
        if name.startswith(chunks.data):
            # 0 and all ones are of a writer that did not know the length, a stream; RF64 keeps it elsewhere.
            length = long if long and length == 0xFFFFFFFF else length
            known = 0 < length < 2**62 and not (bytes_ == 8 and 0x7FFFF000 <= length <= 0xFFFFFFFF and length != long)
            return _beyond(here + chunks.skip, length - chunks.skip, size) if known else (0, 0)
        if length < 0:
            break
        if name == b"ds64":
            long = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
        file.seek(here + length + -(here + length) % chunks.align)
    return 0, 0


def _beyond(start: int, length: int, size: int) -> tuple[int, int]:
    there = max(0, min(length, size - start))
    return there, length - there


def _pages(data: bytes) -> tuple[list[int], int]:
    """Where the streams of an Ogg file begin that follow each other, and how many bytes its last page lacks."""
    starts, place, end, first = [], 0, 0, False
    while (place := data.find(b"OggS", end)) >= 0:
        header = data[place : place + 27].ljust(27, b"\0")
        segments = data[place + 27 : place + 27 + header[26]]
        begins = bool(header[5] & 2)
        if begins and not first:  # the first pages of streams that are mixed stand side by side
            starts.append(place)
        first, end = begins, place + 27 + header[26] + sum(segments)
    return starts, max(0, end - len(data))


def links(data: bytes) -> list[bytes]:
    """The streams of an Ogg or FLAC file that follow each other, each a whole file."""
    if data[:4] == b"fLaC":
        starts = [found.start() for found in re.finditer(rb"fLaC[\x00\x80]\x00\x00\x22", data)]
    else:
        starts = _pages(data)[0]
    return [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


_ID3 = 1024  # bytes of tags at the end that are no sound: ID3v1, Lyrics3


def mpeg_frames(data: bytes) -> bytes:
    """An MP3 without ID3v2 in front, without APE tags, and without the zeros that fill up a block of a disk."""
    while data[:3] == b"ID3":  # four times seven bits
        data = data[10 + sum((byte & 127) << 7 * (3 - i) for i, byte in enumerate(data[6:10])) :]
    while (place := data.find(b"APETAGEX")) >= 0:
        length, _, flags = struct.unpack("<III", data[place + 12 : place + 24].ljust(12, b"\0"))
        if flags >> 29 & 1:  # the header of a tag, whose length counts what follows
            data = data[:place] + data[place + 32 + length :]
        else:  # the footer, which is counted itself
            data = data[: max(0, place + 32 - length)] + data[place + 32 :]
    bare = data.rstrip(b"\0")
    return data if len(data) - len(bare) < _ID3 else bare + bytes(_ID3 // 2)  # zeros that belong to the last frame


def without_length(data: bytes) -> bytes:
    """`mpeg_frames` whose first one no longer says how long they are, where they go on behind what it says; else b"".

    That frame itself is one of silence.
    """
    tag = re.compile(b"Xing|Info").search(data, 0, 4096)
    if tag is None:
        return b""
    flags, *numbers = struct.unpack(">III", data[tag.end() : tag.end() + 12].ljust(12, b"\0"))
    if flags & 2:
        stated = numbers[flags & 1]  # the bytes, behind the frames where these are given
        if len(data) - tag.start() <= stated + _ID3:
            return b""
    return data[: tag.start()] + bytes(4) + data[tag.end() :]
