"""What a container's own lengths say of its end."""

import struct

import pytest
from video_writer import box

from mmjax.data.files import container


def large(kind, content):
    """A box with a length of 64 bits."""
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


def matroska(content, length):
    return b"\x1a\x45\xdf\xa3\x84head" + b"\x18\x53\x80\x67" + length + content


WHOLE = {
    "iso": box(b"ftyp", b"isom") + box(b"mdat", b"m" * 50),
    "iso, 64 bits": box(b"ftyp", b"isom") + large(b"mdat", b"m" * 50),
    "matroska": matroska(b"m" * 50, b"\xb2"),
    "matroska, 8 bytes": matroska(b"m" * 50, b"\x01" + (50).to_bytes(7, "big")),
    "riff": struct.pack("<4sI", b"RIFF", 50) + b"AVI " + b"m" * 46,
    "riff, two": (struct.pack("<4sI", b"RIFF", 50) + b"AVI " + b"m" * 46) * 2,
    "asf": container.ASF + struct.pack("<Q", 40) + b"h" * 16 + b"D" * 16 + struct.pack("<Q", 60) + b"m" * 36,
}
OPEN = {
    "iso, to the end": box(b"ftyp", b"isom") + struct.pack(">I", 0) + b"mdat" + b"m" * 50,
    "matroska, live": matroska(b"m" * 50, b"\x01" + b"\xff" * 7),
    "riff, live": struct.pack("<4sI", b"RIFF", 0) + b"AVI " + b"m" * 46,
    "anything": b"\x47" + b"m" * 187,
    "nothing": b"",
}


@pytest.mark.parametrize("name", WHOLE | OPEN)
def test_a_file_that_ends_before_its_parts(tmp_path, name):
    path = tmp_path / "file"
    path.write_bytes((WHOLE | OPEN)[name])
    assert not container.is_cut_off(path)
    path.write_bytes((WHOLE | OPEN)[name][:-7])
    assert container.is_cut_off(path) == (name in WHOLE)
