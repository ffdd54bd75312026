"""Files piece by piece: pictures as training saw them, long sounds and videos with their times."""

import numpy as np
import pytest
import soundfile
from PIL import Image
from video_writer import number_of, write_video

from mmjax.data.files import pictures, pieces
from mmjax.data.files.faults import Fault

HOW = pieces.How(size=32, fit="crop", samples=2 * 22_050, every=1.0)


def spans(found):
    return [(piece.start, round(piece.end, 2)) for piece in found.pieces]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.5, [(0.0, 0.5)]),  # a short file is a piece
        (4.5, [(0.0, 2.0), (2.0, 4.0)]),  # a short rest is none
        (5.25, [(0.0, 2.0), (2.0, 4.0), (4.0, 5.25)]),
    ],
)
def test_a_long_sound_is_cut_into_pieces(tmp_path, seconds, expected):
    wave = np.int16(20_000 * np.sin(np.arange(round(seconds * 22_050)) / 20))
    soundfile.write(tmp_path / "a.wav", wave, 22_050)
    found = pieces.read(HOW, (0, "sound", str(tmp_path / "a.wav")))
    assert spans(found) == expected
    heard = np.concatenate([piece.array for piece in found.pieces])
    np.testing.assert_allclose(heard, wave[: len(heard)], atol=1)
    assert len(pieces.read(pieces.How(32, "crop", 0, 1.0), (0, "sound", str(tmp_path / "a.wav"))).pieces) == 1


@pytest.mark.parametrize("sound", [True, False])
def test_a_video_shows_the_middle_of_each_piece(tmp_path, sound):
    path = write_video(tmp_path / "a.mp4", seconds=2.6, sound=sound)  # ten numbered pictures a second
    found = pieces.read(pieces.How(64, "crop", 0, 1.0), (0, "video", str(path)))
    assert spans(found) == [(0.0, 1.0), (1.0, 2.0), (2.0, 2.6)]
    assert [number_of(piece.array) for piece in found.pieces] == [5, 15, 25]


@pytest.mark.parametrize("seconds", [0.2, 1.4, 1.6, 1.9, 2.0, 2.1, 3.5])
def test_the_pieces_of_a_video_are_all_of_it_and_no_more(tmp_path, seconds):
    path = write_video(tmp_path / "a.mp4", seconds=seconds, sound=False)
    found = spans(pieces.read(pieces.How(64, "crop", 0, 1.0), (0, "video", str(path))))
    assert found[0][0] == 0
    assert found[-1][1] == seconds
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]
    assert all(0.09 < end - start <= 1 for start, end in found)


def test_a_picture_is_read_as_training_read_it(tmp_path, rng):
    path = tmp_path / "a.png"
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(path)
    for fit in pictures.FITS:
        found = pictures.as_trained(path, 32, fit)
        np.testing.assert_array_equal(found, pictures.decode(pictures.square(str(tmp_path), 32, fit, "a.png")))
    bilinear = Image.open(path).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pictures.as_trained(path, 32, "stretch"), np.asarray(bilinear))
    np.testing.assert_array_equal(pictures.as_trained(path, 32, "whole"), np.asarray(pictures.on_white(path, 32)))
    np.testing.assert_array_equal(pictures.as_trained(path, 32, "native"), np.asarray(Image.open(path)))


@pytest.mark.parametrize("kind", ["picture", "sound", "video"])
def test_what_cannot_be_read_is_a_fault(tmp_path, kind):
    (tmp_path / "a").write_bytes(b"no medium at all")
    assert isinstance(pieces.read(HOW, (0, kind, str(tmp_path / "a"))), Fault)
    assert pieces.read(HOW, (0, kind, str(tmp_path / "b"))).kind == "missing"


def test_a_sound_too_short_to_be_heard_is_a_fault(tmp_path):
    path = tmp_path / "click.wav"
    for samples, usable in ((1, False), (1000, False), (1200, True)):
        soundfile.write(path, np.full(samples, 900, np.int16), 22_050)
        found = pieces.read(HOW, (0, "sound", str(path)))
        assert isinstance(found, Fault) != usable
        assert usable or found.kind == "too short to be heard"
