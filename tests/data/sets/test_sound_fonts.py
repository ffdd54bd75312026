"""sound_fonts: the plan of the splits; playing, on fonts made here; Debian's fonts where they are installed."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from mmjax import data
from mmjax.data.files import media, sound_font_file
from mmjax.data.sets import sound_fonts
from mmjax.errors import UserError

PLAYER = importlib.util.find_spec("tinysoundfont") is not None
needs_player = pytest.mark.skipif(not PLAYER, reason="tinysoundfont is not installed")
INSTALLED = PLAYER and all(pathlib.Path(path).is_file() for path, _ in sound_fonts.FONTS.values())
FONTS = ("a", "b", "c")


@pytest.fixture(scope="module")
def writer():
    path = pathlib.Path(__file__).parent / "sound_font_writer.py"
    spec = importlib.util.spec_from_file_location("sound_font_writer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fonts(tmp_path_factory, writer):
    """Two fonts of sines; the second lacks program 3, its program 5 is silent."""
    folder = tmp_path_factory.mktemp("fonts")
    sine = np.sin(2 * np.pi * np.arange(writer.PERIOD) / writer.PERIOD)
    octave = np.sin(4 * np.pi * np.arange(writer.PERIOD) / writer.PERIOD)
    first = writer.write(folder / "first.sf2", {p: 0.5 * (octave if p % 2 else sine) for p in range(8)})
    second = {p: 0.1 * sine * (p != 5) for p in range(8) if p != 3}
    return str(first), str(writer.write(folder / "second.sf2", second))


def test_names_of_the_classes():
    programs, families = sound_fonts.labels(effects=True), sound_fonts.labels("family", effects=True)
    assert (len(programs), len(set(programs)), len(families)) == (128, 128, 16)
    assert (programs[0], programs[40], programs[73], programs[127]) == (
        *("acoustic grand piano", "violin", "flute", "gunshot"),
    )
    assert sound_fonts.labels() == programs[:120]
    assert sound_fonts.labels("family") == families[:15]
    assert families[73 // 8] == "pipe"
    with pytest.raises(UserError, match=r'classes=\'kind\': it must be "program" or "family"'):
        sound_fonts.labels("kind")


def test_the_plan_holds_out_a_font_and_every_fourth_pitch():
    plans = {s: sound_fonts.plan(s, FONTS, "b", 5, (30, 7, 26)) for s in sound_fonts.SPLITS}
    assert [len(plan) for plan in plans.values()] == [30 * 2 * 5, 7 * 2 * 5, 26 * 5]
    assert [{p.font for p in plan} for plan in plans.values()] == [{"a", "c"}, {"a", "c"}, {"b"}]
    found = [{p.pitches[0] for p in plan} for plan in plans.values()]
    assert found[1] == {50, 54, 58, 62, 66, 70}
    assert found[0] == set(range(48, 73)) - found[1]
    assert found[2] == set(range(48, 73))
    # Programs alternate fastest, then the fonts; each goes through all its pitches before one comes again.
    assert [p.program for p in plans["train"][:10]] == [*range(5), *range(5)]
    assert [p.font for p in plans["train"][:10]] == ["a"] * 5 + ["c"] * 5
    mine = [p.pitches[0] for p in plans["test"] if p.program == 2]
    assert sorted(mine[:25]) == list(range(48, 73))
    assert mine[25] == mine[0]
    velocities = {p.velocity for plan in plans.values() for p in plan}
    assert (min(velocities), max(velocities)) == (40, 127)


def test_the_plan_depends_on_nothing_but_its_options():
    def of_a(fonts, test, takes, seed=0):
        return [p for p in sound_fonts.plan("train", fonts, test, 4, takes, 3, seed=seed) if p.font == "a"]

    plan = of_a(FONTS, "b", (5, 1, 1))
    assert of_a(("c", "a"), "c", (5, 2, 2)) == plan
    assert of_a(FONTS, "b", (9, 1, 1))[: len(plan)] == plan
    assert of_a(FONTS, "b", (5, 1, 1), seed=1) != plan
    assert all(len(set(p.pitches)) == 3 for p in plan)


class Player:
    """Stands for a SoundFont where TinySoundFont is not installed: plays its arguments."""

    def __init__(self, path):
        self.number = int(path.stem)

    def play(self, program, pitches, velocity, seconds):
        if program == 7 and self.number == 1:
            raise media.Unusable("silent", "nothing")
        samples = np.zeros(round(22_050 * seconds), np.int16)
        samples[:4] = (self.number, program, pitches[0], velocity)
        return samples


def test_examples_are_the_plan_without_what_is_silent(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sound_font_file, "SoundFont", Player)
    monkeypatch.setattr(sound_font_file, "require_tinysoundfont", lambda: None)
    names = []
    for number in range(3):
        (tmp_path / f"{number}.sf2").write_bytes(b"font")
        names.append(str(tmp_path / f"{number}.sf2"))
    options = {"fonts": names, "test": names[2], "takes": (3, 1, 2), "seconds": 0.1, "data_dir": str(tmp_path)}
    train = data.open("train", sound_fonts.FIELDS, "sound_fonts", **options)
    assert "sound_fonts: 717 train, 239 validation, 240 test" in capsys.readouterr().err
    plan = [
        p for p in sound_fonts.plan("train", ("0", "1", "2"), "2", 120, (3, 1, 2)) if p.program != 7 or p.font == "0"
    ]
    assert len(train) == len(plan) == 3 * 239
    for index in (0, 6, 126, 127, 500, 716):
        example, phrase = train[index], plan[index]
        sounding = (int(phrase.font), phrase.program, phrase.pitches[0], phrase.velocity)
        assert tuple(example["waveform"][:4].tolist()) == sounding
        assert (example["group"], example["label"], example["index"]) == (phrase.font, phrase.program, index)
    family = data.open("train", ("label",), "sound_fonts", classes="family", **options)
    assert [int(family[i]["label"]) for i in range(0, 119, 8)] == [plan[i].program // 8 for i in range(0, 119, 8)]
    assert len(data.open("test", ("index",), "sound_fonts", **options)) == 240
    assert capsys.readouterr().err == ""  # the prepared copy was used
    (file,) = tmp_path.rglob("skipped.json")
    report = json.loads(file.read_text())
    assert report["skipped"] == 4
    assert report["programs"] == [{"font": "1", "program": 7, "name": "clavinet", "kind": "silent"}]
    assert not list(tmp_path.rglob("spool*"))


@needs_player
def test_pitch_loudness_and_silence(fonts):
    font = sound_font_file.SoundFont(pathlib.Path(fonts[0]))
    low = font.play(0, (57,), 127, 1.0)  # an octave below the root: 220.5 Hz
    assert (low.dtype, low.shape) == (np.int16, (22_050,))
    assert np.argmax(np.abs(np.fft.rfft(low[:10_000] * np.hanning(10_000)))) == 100  # 220.5 Hz in bins of 2.205 Hz
    assert np.abs(low.astype(int)).max() == 32_767
    both = font.play(1, (69, 57), 64, 1.0)
    power = [np.argmax(np.abs(np.fft.rfft(part[:8000] * np.hanning(8000)))) for part in (both, both[11_025:])]
    np.testing.assert_allclose(np.array(power) * 22_050 / 8000, (882, 441), atol=3)
    assert np.abs(both.astype(int)).max() == round(64 / 127 * 32_767)
    assert np.abs(both[10_500:11_000].astype(int)).max() < 200  # the first key is up
    second = sound_font_file.SoundFont(pathlib.Path(fonts[1]))
    with pytest.raises(media.Unusable, match="missing"):
        second.play(3, (60,), 100, 0.5)
    with pytest.raises(media.Unusable, match="silent"):
        second.play(5, (60,), 100, 0.5)


@needs_player
def test_a_long_decay_does_not_reach_into_the_next_example(tmp_path, writer):
    square = np.where(np.arange(writer.PERIOD) < writer.PERIOD / 2, 0.5, -0.5)
    file = writer.write(tmp_path / "long.sf2", {0: square, 1: -square}, release=3600)  # eight seconds
    font = sound_font_file.SoundFont(file)
    first = font.play(0, (60, 64), 90, 0.2)
    assert np.abs(first[-200:].astype(int)).max() > 5000
    font.play(1, (71,), 127, 0.2)
    np.testing.assert_array_equal(font.play(0, (60, 64), 90, 0.2), first)


@needs_player
def test_own_fonts(fonts, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sound_fonts.FONTS, "timgm6mb", (fonts[1], "timgm6mb-soundfont"))
    options = {"fonts": (fonts[0], "timgm6mb"), "takes": (2, 1, 1), "seconds": 0.2, "data_dir": str(tmp_path)}
    test = data.open("test", sound_fonts.FIELDS, "sound_fonts", **options)
    assert [int(example["label"]) for example in test] == [0, 1, 2, 4, 6, 7]
    assert {example["group"] for example in test} == {"timgm6mb"}
    told = capsys.readouterr().err
    assert "sound_fonts: 16 train, 8 validation, 6 test" in told
    assert "first: 112 programs missing (celesta, glockenspiel, music box, ...), skipped" in told
    assert "timgm6mb: 1 programs silent (electric piano 2), skipped" in told
    train = data.open("train", ("group", "waveform"), "sound_fonts", **options)
    assert [example["group"] for example in train] == ["first"] * 16
    assert train[0]["waveform"].shape == (4410,)


def test_mistakes_name_the_package_the_file_or_the_field(fonts, tmp_path, monkeypatch):
    def refused(match, split="train", **options):
        with pytest.raises(UserError, match=match) as error:
            sound_fonts.source(split, **{"fonts": fonts, "test": fonts[0], "data_dir": str(tmp_path), **options})
        assert "\n" not in str(error.value)

    refused("no split 'all'; it has train, validation, test", "all")
    refused("at least two fonts of different names", fonts=(fonts[0], fonts[0]))
    refused("no file '/nowhere.sf2'", fonts=("/nowhere.sf2", *fonts))
    refused(r"config\.data\.test='c' is not one of", test="c")
    refused(r"config\.data\.takes=\(1, 2\): three counts", takes=(1, 2))
    refused(r"config\.data\.pitches=\(60, 61\)", pitches=(60, 61))
    refused(r"config\.data\.notes=30 in config\.data\.seconds=2", notes=30)
    refused(r"config\.data\.seed=-1", seed=-1)
    monkeypatch.setattr(sound_fonts, "FONTS", {"timgm6mb": (str(tmp_path / "no.sf2"), "timgm6mb-soundfont")})
    refused("apt-get install timgm6mb-soundfont, or give", fonts=("timgm6mb", fonts[1]))
    (tmp_path / "text.sf2").write_text("no font")
    if PLAYER:
        refused("text.sf2 cannot be read as a SoundFont", fonts=(str(tmp_path / "text.sf2"), fonts[0]))
    monkeypatch.setitem(__import__("sys").modules, "tinysoundfont", None)
    refused(r"extra `instruments`: pip install --no-deps tinysoundfont")
    monkeypatch.setattr(sound_font_file, "require_tinysoundfont", lambda: None)
    monkeypatch.setattr(sound_font_file.SoundFont, "__init__", lambda self, path: None)
    silent = media.Unusable("silent", "")
    monkeypatch.setattr(sound_font_file.SoundFont, "play", lambda *_: (_ for _ in ()).throw(silent))
    refused("no note of split 'train' sounds")


@pytest.mark.skipif(not INSTALLED, reason="Debian's sound fonts or tinysoundfont are not installed")
def test_debians_fonts():
    """TimGM6mb has all 128 programs, none silent at middle C; a violin's a' is at 440 Hz and its multiples."""
    font = sound_font_file.SoundFont(pathlib.Path(sound_fonts.FONTS["timgm6mb"][0]))
    for program in range(128):
        assert np.abs(font.play(program, (60,), 127, 0.2).astype(int)).max() == 32_767
    violin = font.play(40, (69,), 100, 2.0)
    power = np.abs(np.fft.rfft(violin * np.hanning(len(violin)))) ** 2  # bins of half a hertz
    comb = sum(power[880 * k - 30 : 880 * k + 30].sum() for k in range(1, 12))
    assert comb > 0.9 * power.sum()
