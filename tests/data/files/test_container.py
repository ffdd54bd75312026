"""What a file says of its own end."""

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
    "flv": b"FLV\x01\x05\0\0\0\x09" + bytes(4) + b"\x09\0\0\x32" + b"t" * 7 + b"m" * 54,
}
OPEN = {
    "iso, to the end": box(b"ftyp", b"isom") + struct.pack(">I", 0) + b"mdat" + b"m" * 50,
    "matroska, live": matroska(b"m" * 50, b"\x01" + b"\xff" * 7),
    "riff, live": struct.pack("<4sI", b"RIFF", 0) + b"AVI " + b"m" * 46,
    "anything": b"\x47" + b"m" * 187,
    "nothing": b"",
}


@pytest.mark.parametrize("name", WHOLE | OPEN)
def test_bytes_that_are_promised_and_not_there(tmp_path, name):
    path, data = tmp_path / "file", (WHOLE | OPEN)[name]
    path.write_bytes(data)
    assert container.missing(path) == (len(data), 0)
    path.write_bytes(data[:-7])
    assert container.missing(path) == (max(0, len(data) - 7), 7 if name in WHOLE else 0)
    path.write_bytes(data[: -len(data) // 3] + bytes(-(-len(data) // 3)))  # space set aside, a third not yet filled
    assert container.missing(path) == (len(data) - -(-len(data) // 3), -(-len(data) // 3))


def test_a_flash_video_cut_amid_the_head_of_a_tag(tmp_path):
    (tmp_path / "file").write_bytes(WHOLE["flv"] + b"\x09\0\0")
    assert container.missing(tmp_path / "file") == (len(WHOLE["flv"]) + 1, 10)


def test_long_tails_of_zeros(tmp_path):
    (tmp_path / "file").write_bytes(b"\0" * 9 + b"G" + b"\0" * 200_000)
    assert container.missing(tmp_path / "file") == (10, 200_000)


class Stream:
    def __init__(self, index):
        self.index = index


class Packet:
    def __init__(self, stream, dts, duration):
        self.stream, self.dts, self.pts, self.duration, self.time_base = stream, dts, dts + 40, duration, 0.001


class Joined:
    """Two recordings end to end, whose stamps begin at 1400 ms: pictures every 40 ms, sound every 100 ms.

    The last sound of the first comes after the first pictures of the second, as sound is sent in larger packets.
    """

    format = type("Format", (), {"flags": 0x200})
    picture, sound = Stream(0), Stream(1)

    def demux(self, *streams):
        part = [(self.picture, 1400 + 40 * i, 40) for i in range(50)] + [
            (self.sound, 1430 + 100 * i, 100) for i in range(20)
        ]
        part.sort(key=lambda packet: packet[1])
        late = part.pop(max(i for i, packet in enumerate(part) if packet[0] is self.sound))
        later = [(stream, dts + 20 * stream.index, duration) for stream, dts, duration in part]
        for packet in (*part, *later[:1], late, *later[1:]):
            yield Packet(*packet)


def test_the_streams_of_joined_recordings_stay_together():
    joined = Joined()
    found = {0: [], 1: []}
    for packet in container.packets(joined, joined.picture, joined.sound):
        assert packet.pts == packet.dts + 40
        found[packet.stream.index].append(packet.dts)
    assert found[0] == [1400 + 40 * i for i in range(100)]
    # Sound and pictures of the second keep the 50 ms by which they differ there.
    assert found[1] == [1430 + 100 * i for i in range(20)] + [3450 + 100 * i for i in range(19)]
