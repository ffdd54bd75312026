"""A picture beside the sound of another file: both are read, whichever of them is asked several times or is missing."""

import numpy as np
import soundfile
from ml_collections import ConfigDict
from PIL import Image

from mmjax.answers import inputs, reading
from mmjax.data.files import pieces
from mmjax.data.files.faults import Fault


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
