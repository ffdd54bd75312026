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
    assert set(train.prints) == set(sound_fonts.FIELDS) - {"index"}
    assert len(set(train.prints["group"].examples.tolist())) == 2  # the fonts of training
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
