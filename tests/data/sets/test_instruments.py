"""instruments: whose picture stands beside whose notes, on stand-ins of fonts and of resvg; the real pictures."""

import importlib.util
import io
import pathlib
import pickle
import sys
import types

import numpy as np
import pytest
from bundle_writer import bundle
from PIL import Image

from mmjax import data
from mmjax.data import fingerprints
from mmjax.data.files import general_midi, sound_font_file
from mmjax.data.sets import instruments, sound_fonts
from mmjax.errors import UserError

NAMES = tuple(instruments.PICTURES)
INSTALLED = (
    importlib.util.find_spec("resvg_py") is not None
    and pathlib.Path(instruments.STAMPS).is_dir()
    and pathlib.Path(instruments.GCOMPRIS, "instruments.rcc").is_file()
)


def png(shade):
    out = io.BytesIO()
    Image.new("RGB", (20, 10), (shade, 0, 0)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def options(tmp_path, monkeypatch):
    """Fonts that play the number of their program; picture j of class i is a bar whose red is 10 i + j."""

    class Font:
        def __init__(self, path):
            self.number = int(path.stem)

        def play(self, program, pitches, velocity, seconds):
            samples = np.zeros(round(22_050 * seconds), np.int16)
            samples[:3] = self.number, program, pitches[0]
            return samples

    monkeypatch.setattr(sound_font_file, "SoundFont", Font)
    monkeypatch.setattr(sound_font_file, "require_tinysoundfont", lambda: None)
    drawn = lambda svg_string, width, skip_system_fonts: png(int(svg_string))  # noqa: E731
    monkeypatch.setitem(sys.modules, "resvg_py", types.SimpleNamespace(svg_to_bytes=drawn))
    inside = {}
    for number, names in enumerate(instruments.PICTURES.values()):
        for place, name in enumerate(names):
            shade = 10 * number + place
            content = str(shade).encode() if name.endswith(".svg") else png(shade)
            if "/" in name:
                path = tmp_path / "stamps/hobbies/music" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            else:
                inside[name] = content
    (tmp_path / "rcc").mkdir()
    bundle(tmp_path / "rcc/instruments.rcc", inside)
    for number in range(3):
        (tmp_path / f"{number}.sf2").write_bytes(b"font")
    fonts = [str(tmp_path / f"{number}.sf2") for number in range(3)]
    found = {"fonts": fonts, "test": fonts[2], "takes": (3, 1, 8), "seconds": 0.4, "notes": 1, "size": 16}
    return (
        found
        | {name: str(tmp_path / name) for name in ("stamps",)}
        | {
            "gcompris": str(tmp_path / "rcc"),
            "data_dir": str(tmp_path / "cache"),
        }
    )


def test_a_picture_of_what_plays(options):
    train = data.open("train", instruments.FIELDS, "instruments", **options)
    test = data.open("test", instruments.FIELDS, "instruments", **options)
    assert (len(train), len(test)) == (3 * 2 * len(NAMES), 8 * len(NAMES))
    seen = {name: set() for name in NAMES}
    for split, fonts in ((train, {0, 1}), (test, {2})):
        for number, example in enumerate(split[i] for i in range(len(split))):
            font, program = example["waveform"][:2].tolist()
            name = NAMES[example["label"]]
            assert general_midi.PROGRAMS[program] == name
            assert font in fonts
            assert (example["group"], example["index"]) == (str(font), number)
            assert example["image"].shape == (16, 16, 3)
            assert (example["image"][0] == 255).all()  # whole, on white
            red = int(example["image"][8, 8, 0])
            assert red // 10 == example["label"]
            seen[name].add(red % 10)
    assert seen == {name: set(range(len(names))) for name, names in instruments.PICTURES.items()}
    assert fingerprints.names(test, "label") == NAMES
    again = pickle.loads(pickle.dumps(test))
    np.testing.assert_array_equal(again[5]["image"], test[5]["image"])
    for field in ("image", "label", "waveform", "group"):
        assert train.prints[field].content != test.prints[field].content
    assert train.prints["label"].meanings == NAMES
    other = data.open("train", instruments.FIELDS, "instruments", **{**options, "size": 8})
    assert other.prints["image"].content != train.prints["image"].content
    assert other.prints["waveform"].content == train.prints["waveform"].content
    alone = data.open("test", ("waveform", "index"), "instruments", **{**options, "stamps": "/nowhere"})
    assert set(alone[0]) == {"waveform", "index"}
    assert set(alone.prints) == {"waveform"}


def test_mistakes_name_what_to_install(options, monkeypatch):
    def refused(match, **more):
        with pytest.raises(UserError, match=match) as error:
            instruments.source("train", **{**options, **more})
        assert "\n" not in str(error.value)

    refused("no picture /nowhere/hobbies/music/string/.*: apt-get install tuxpaint", stamps="/nowhere")
    refused("no picture /nowhere/instruments.rcc: apt-get install tuxpaint", gcompris="/nowhere")
    refused(r"config\.data\.size=0", size=0)
    with pytest.raises(UserError, match=r"config\.data\.only: there is no program 'lute'"):
        sound_fonts.source("train", only=("lute",))
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    refused("extra `instruments`: pip install --no-deps resvg-py")


@pytest.mark.skipif(not INSTALLED, reason="needs resvg-py, tuxpaint-stamps-default and gcompris-qt-data")
def test_the_real_pictures_are_all_there():
    shown = instruments.read(instruments.STAMPS, instruments.GCOMPRIS, 64)
    assert (len(shown), sum(map(len, shown))) == (22, 29)
    every = np.stack([picture for own in shown for picture in own])
    assert len(np.unique(every.reshape(29, -1), axis=0)) == 29
    share = np.mean(every.min(-1) < 250, (1, 2))  # of the square that is not white
    assert share.min() > 0.02
    assert share.max() < 0.8
