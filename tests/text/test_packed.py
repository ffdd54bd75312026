"""bzip2 and xz of several streams: what Python reads, and what it is silent of."""

import bz2
import io
import lzma

import pytest

from mmjax.text import packed

KINDS = {"bz2": (bz2.compress, packed.open_bz2, OSError), "xz": (lzma.compress, packed.open_xz, lzma.LZMAError)}
PARTS = [bytes(f"part {i} " * 3000, "ascii") for i in range(3)]
WHOLE = b"".join(PARTS)


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.mark.parametrize("padding", [b"", bytes(4), bytes(1 << 17)])
def test_streams_follow_each_other(tmp_path, kind, padding):
    pack, opened, _ = kind
    raw = b"".join(pack(part) + padding for part in PARTS)
    (tmp_path / "a").write_bytes(raw)
    with opened(tmp_path / "a") as file:
        assert file.read() == WHOLE
        assert file.read(1) == b""
        for at in (5, 40_000, 0, len(WHOLE) - 1):
            assert file.seek(at) == at
            assert file.read(9) == WHOLE[at : at + 9]
            assert file.tell() == min(at + 9, len(WHOLE))
        assert file.seek(0, io.SEEK_END) == len(WHOLE)
    inside = io.BytesIO(b"head" + raw)
    inside.seek(4)
    assert [len(line) for line in opened(inside)] == [len(WHOLE)]
    assert not inside.closed


def test_a_damaged_stream_is_no_end(kind):
    """Each changed bit of a stream that is not the first; Python's own modules tell of none in xz."""
    pack, opened, damaged = kind
    first, second, third = map(pack, PARTS)
    for at in range(len(second)):
        spoilt = bytearray(second)
        spoilt[at] ^= 1
        try:
            read = opened(io.BytesIO(first + spoilt + third)).read()
        except (damaged, EOFError):
            continue
        assert read == WHOLE  # a bit that says nothing
    with pytest.raises((damaged, EOFError)):
        opened(io.BytesIO(first + b"not packed at all")).read()


def test_what_is_cut_short_is_told_wherever(kind):
    pack, opened, _ = kind
    first, second, _ = map(pack, PARTS)
    for size in range(len(second)):
        if size:
            with pytest.raises(EOFError):
                opened(io.BytesIO(first + second[:size])).read()
        with pytest.raises(EOFError):
            opened(io.BytesIO(second[:size])).read()
