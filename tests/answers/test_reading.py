"""A picture beside the sound of another file: both are read, whichever of them is asked several times or is missing."""

import re

import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict
from PIL import Image

from mmjax.answers import inputs, reading
from mmjax.data.files import pieces
from mmjax.data.files.faults import Fault
from mmjax.errors import UserError


def test_each_picture_goes_with_each_piece_of_its_sound(tmp_path):
    for name, colour in (("a", 10), ("b", 200)):
        Image.new("RGB", (40, 30), (colour, 0, 0)).save(tmp_path / f"{name}.png")
    tone = (np.sin(np.arange(5 * 22_050) / 10) / 2).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", tone, 22_050)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    (way,) = inputs.ways([("image", "waveform", "waveform_length")], False)
    given = [str(tmp_path / name) for name in ("song.wav", "broken.wav", "a.png", "b.png")]
    items, _ = inputs.items([way], given)
    found = list(reading._read(pieces.How(16, "crop", 2 * 22_050, 6.0), items))
    assert [item.file[-5:] for item, _ in found] == ["a.png", "b.png", "a.png", "b.png"]
    for (item, read), red in zip(found[:2], (10, 200)):
        assert [(piece.start, piece.end) for piece in read.pieces] == [(0, 2), (2, 4), (4, 5)]
        picture, sound = read.pieces[1].array
        assert picture.shape == (16, 16, 3)
        assert (picture == [red, 0, 0]).all()
        np.testing.assert_allclose(sound / 32768, tone[2 * 22_050 : 4 * 22_050], atol=1e-4)
        assert item.sound == given[0]
    assert all(isinstance(read, Fault) and read.path == given[1] for _, read in found[2:])


def test_a_piece_is_no_longer_than_what_is_heard_of_it(tmp_path):
    tone = (np.sin(np.arange(5 * 22_050) / 10) / 2).astype(np.float32)
    soundfile.write(tmp_path / "voice.wav", tone, 22_050)
    (way,) = inputs.ways([("speech", "speech_length")], False)
    items, _ = inputs.items([way], [str(tmp_path / "voice.wav")])
    config = ConfigDict({"data": {"name": "sounding_scenes"}})
    shapes = {"speech": ("int16", 8, 4 * 22_050)}
    for heard, lengths in ((0.0, (4, 1)), (2.0, (2, 2, 1)), (6.0, (4, 1))):
        reader = reading.Reader(config, {}, shapes, None, 1.0, print, heard=heard)
        ((_, found),) = reader.examples(items)
        assert [int(example["speech_length"]) for _, example in found] == [n * 22_050 for n in lengths]
        assert [len(example["speech"]) for _, example in found] == [4 * 22_050] * len(lengths)
        at = sum(lengths[:1]) * 22_050
        np.testing.assert_allclose(found[1][1]["speech"][:22_050] / 32768, tone[at : at + 22_050], atol=1e-4)


def test_recordings_of_voices_go_in_beside_each_sound(tmp_path):
    tones = [(np.sin(np.arange(n) / 10) / 2).astype(np.float32) for n in (33_000, 9_000, 20_000)]
    files = [str(tmp_path / f"{name}.wav") for name in ("mixture", "ann", "bob")]
    for file, tone in zip(files, tones, strict=True):
        soundfile.write(file, tone, 22_050)
    ways = inputs.ways([("voices", "speech", "speech_length"), ("speech", "speech_other")], False)
    assert [(way.media, way.reads) for way in ways] == [({"voices": "voices", "sound": "speech"}, {"sound"})]
    items, faults = inputs.items(ways, files[:1])
    assert not faults
    voices = reading.recordings(files[1:], 2, 15_000, print)
    for row, tone in zip(voices, tones[1:], strict=True):
        wanted = np.pad(tone[:15_000], (0, max(0, 15_000 - len(tone))))
        np.testing.assert_allclose(row / 32768, wanted, atol=1e-4)
    given = (ConfigDict({"data": {"name": "speakers"}}), {}, {"speech": ("int16", 8, 22_050)}, None, 6.0, print)
    ((_, ((_, example),)),) = reading.Reader(*given, whole=True, voices=voices).examples(items)
    np.testing.assert_array_equal(example["voices"], voices)
    assert (len(example["speech"]), example["speech_length"]) == (33_000, 33_000)
    with pytest.raises(UserError, match="this run tells 2 voices apart: give a recording of each; here are 1"):
        reading.recordings(files[1:2], 2, 15_000, print)
    with pytest.raises(UserError, match=re.escape(f"--voice {tmp_path / 'nobody.wav'}: missing")):
        reading.recordings([files[1], str(tmp_path / "nobody.wav")], 2, 15_000, print)
