"""tux_stamps on a small tree made here, and on Debian's package where it is installed."""

import importlib.util
import itertools
import json
import os
import pathlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmjax import data
from mmjax.data import spec
from mmjax.data.files import sound_file
from mmjax.data.sets import tux_stamps, video_folder
from mmjax.errors import UserError

SIZE = 32
pytestmark = pytest.mark.usefixtures("one_child")


def stamp(root, name, caption=None, colour=(255, 0, 0), sound=None, size=(40, 20)):
    path = root / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((size[1], size[0], 4), np.uint8)
    picture[..., :3] = colour
    picture[:, size[0] // 2 :, 3] = 255  # the left half is transparent
    Image.fromarray(picture).save(path)
    if caption is not None:
        path.with_suffix(".txt").write_text(f"{caption}\nfr.utf8=Une chose.\n", encoding="utf-8")
    if sound is not None:
        soundfile.write(path.with_suffix(".ogg"), sound, 44_100)


def sine(hertz, seconds=1.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(44_100 * seconds)) / 44_100)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("stamps")
    for index in range(12):
        stamp(root, f"animals/birds/bird{index}", f"A bird № {index}.", sound=sine(500) if index % 2 else None)
        stamp(root, f"animals/birds/cartoon/bird{index}", f"A bird № {index}.", colour=(0, 0, 255))
    stamp(root, "food/plum", "A plum.", sound=np.zeros(44_100))
    stamp(root, "food/plum_mirror")
    (root / "food" / "pie.svg").write_text("<svg/>")
    (root / "food" / "plum.svg").write_text("<svg/>")  # drawn twice: the PNG is used
    (root / "food" / "broken.png").write_text("no picture")
    (root / "food" / "broken.txt").write_text("A broken one.\n")
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def splits(tree, cache, fields=None, **options):
    options = {"path": str(tree), "data_dir": str(cache), "size": SIZE, "min_tag": 1, **options}
    return {name: list(tux_stamps.source(name, fields, **options)) for name in ("train", "validation", "test")}


def test_pictures_are_whole_and_on_white(tree, cache):
    examples = list(itertools.chain.from_iterable(splits(tree, cache).values()))
    example = next(e for e in examples if e["caption"] == "A plum.")
    assert tuple(example) == tux_stamps.FIELDS
    assert example["image"].shape == (SIZE, SIZE, 3)
    # 40 x 20 in a square of 32: 16 rows in the middle; left half transparent, right half red.
    assert (example["image"][:8] == 255).all()
    assert (example["image"][24:] == 255).all()
    assert (example["image"][10:22, :14] == 255).all()
    assert (example["image"][10:22, 18:] == (255, 0, 0)).all()
    assert example["captions"] == ("A plum.",)
    assert example["label"] == 1
    assert example["label"].dtype == np.int32
    assert tux_stamps.labels(str(tree)) == ("animals", "food")


def test_no_caption_is_in_two_splits(tree, cache):
    found = splits(tree, cache, ("group", "label"))
    groups = {name: {e["group"] for e in examples} for name, examples in found.items()}
    assert all(groups.values())
    assert sum(map(len, groups.values())) == len(set().union(*groups.values())) == 13
    assert sum(map(len, found.values())) == 25
    effects = splits(tree, cache, ("group",), sound="effects")
    for name, examples in effects.items():
        assert {e["group"] for e in examples} <= groups[name]


def test_captions_of_the_same_words_are_on_one_side():
    captions = ("the letter x", "The letter X.", "A fox!", "The letter Y.", "A fox.", "a fox")
    found = tux_stamps.grouped(captions)
    assert found == {
        "the letter x": "The letter X.",
        "The letter X.": "The letter X.",
        "A fox!": "A fox!",
        "A fox.": "A fox!",
        "a fox": "A fox!",
        "The letter Y.": "The letter Y.",
    }


def test_folders_are_tags_and_classes_have_names(tree, cache):
    options = {"path": str(tree), "data_dir": str(cache), "size": SIZE}
    source = tux_stamps.source("train", ("tags", "label", "caption"), **options)
    names = {name: spec.unspelt(spelt) for name, spelt in source.constants.items()}
    assert names == {"tags_names": ("animals", "birds", "cartoon"), "label_names": ("animals", "food")}
    prints = source.prints
    assert {field: prints[field].meanings for field in prints} == {
        "tags": names["tags_names"],
        "label": names["label_names"],
        "caption": (),
    }
    assert prints["tags"].content != prints["label"].content  # of the folders, which make the tags
    stamps = list(itertools.chain(*splits(tree, cache, ("tags", "caption"), min_tag=5).values()))
    found = {(e["caption"], *e["tags"].tolist()) for e in stamps}
    assert ("A bird № 3.", 0, 1, -1) in found
    assert ("A bird № 3.", 0, 1, 2) in found
    assert ("A plum.", -1, -1, -1) in found  # a single stamp is in "food": too rare for a tag
    assert all(e["tags"].dtype == np.int32 for e in stamps)
    every = tux_stamps.source("test", ("tags",), min_tag=1, **options).constants
    assert set(spec.unspelt(every["tags_names"])) >= {"animals", "birds", "cartoon"}
    with pytest.raises(
        UserError, match=r"no tag is on 99 training examples \(the most frequent is on \d+\): lower config"
    ):
        tux_stamps.source("train", ("tags",), min_tag=99, **options)


def test_all_captions_as_numbers(tree, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path))
    options = {"path": str(tree), "data_dir": str(cache), "size": SIZE, "tokens": {"captions": 2, "length": 6}}
    source = data.open("train", ("image", "captions_tokens", "label"), "tux_stamps", **options)
    assert source[0]["captions_tokens"].shape == (2, 6)
    assert source[0]["captions_tokens_length"].tolist() in ([5, 0], [4, 0], [3, 0])  # a bird № 1 <end>
    assert set(source.constants) == {"caption_vocabulary", "label_names"}


def test_effects_are_the_stamps_with_a_sound(tree, cache):
    assert "waveform" not in tux_stamps.fields()
    assert "waveform" in tux_stamps.fields(sound="effects", size=3)
    examples = list(itertools.chain.from_iterable(splits(tree, cache, sound="effects").values()))
    assert sorted(e["caption"] for e in examples) == sorted(f"A bird № {index}." for index in range(1, 12, 2))
    waveform = examples[0]["waveform"]
    assert waveform.dtype == np.int16
    assert len(waveform) == 22_050
    power = np.abs(np.fft.rfft(waveform))
    assert np.argmax(power) == 500
    np.testing.assert_allclose(waveform[2000:-2000].std(), 0.5 * 32_767 / np.sqrt(2), rtol=0.05)


def test_what_is_left_out_is_counted(tree, cache, capsys):
    splits(tree, cache / "new")
    reports = sorted((cache / "new").rglob("skipped.json"))
    report = json.loads(reports[0].read_text())
    assert report["counts"] == {"SVG only": 1, "without a caption": 1, "unreadable": 1}
    assert sum(report["examples"].values()) == 25
    assert sum(report["captions"].values()) == 13
    assert "left out 1 SVG only, 1 unreadable, 1 without a caption" in capsys.readouterr().err
    splits(tree, cache / "new")
    assert "stamps" not in capsys.readouterr().err  # the prepared copy was used


def test_a_changed_tree_is_read_anew(tmp_path):
    for index in range(3):
        stamp(tmp_path / "stamps", f"a/{index}", f"Thing {index}.")
    assert sum(map(len, splits(tmp_path / "stamps", tmp_path / "cache").values())) == 3
    stamp(tmp_path / "stamps", "b/new", "A new one.")
    assert sum(map(len, splits(tmp_path / "stamps", tmp_path / "cache").values())) == 4


def test_mistakes_name_the_package_or_the_field(tree, tmp_path):
    with pytest.raises(UserError, match=r"tuxpaint-stamps-default, or give config\.data\.path"):
        tux_stamps.source("train", path=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"config\.data\.sound"):
        tux_stamps.source("train", path=str(tree), sound="spoken")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no usable stamp"):
        tux_stamps.source("train", path=str(tmp_path / "empty"), data_dir=str(tmp_path))


@pytest.mark.skipif(not pathlib.Path(tux_stamps.PATH).is_dir(), reason="tuxpaint-stamps-default is not installed")
def test_debians_package():
    folder = pathlib.Path(tux_stamps.PATH)
    stamps, skipped = tux_stamps.find(folder)
    others = len(list(folder.glob("cartoon/**/*.png")))  # of tuxpaint-data, where that is installed: without captions
    assert len(tux_stamps.labels()) == 16 + bool(others)
    assert len(stamps) + skipped["without a caption"] == 796 + others
    assert len(stamps) + sum(skipped.values()) == 961 + others
    assert next(s.caption for s in stamps if s.name == "animals/amphibians/frog") == "A frog."
    sound = sound_file.read(folder / "animals/amphibians/frog.ogg")[0]
    assert np.abs(sound.astype(int)).max() > 1000


def test_the_example_makes_videos_that_video_folder_reads(tree, tmp_path, capsys):
    pytest.importorskip("av")
    path = pathlib.Path(__file__).parents[3] / "examples" / "stamp_videos.py"
    found = importlib.util.spec_from_file_location("stamp_videos", path)
    stamp_videos = importlib.util.module_from_spec(found)
    found.loader.exec_module(stamp_videos)
    stamp_videos.main([str(tmp_path / "videos"), "--stamps", str(tree), "--side", "64", "--seconds", "2.2"])
    assert "6 videos of stamps" in capsys.readouterr().out  # six birds have a sound; the plum's is silent
    options = {"path": str(tmp_path / "videos" / "stamps"), "data_dir": str(tmp_path), "seconds": 2.0, "size": 64}
    (clip, *_) = video_folder.source("train", ("image", "waveform"), workers=1, **options)
    assert len(clip["waveform"]) == 44_100
    assert np.argmax(np.abs(np.fft.rfft(clip["waveform"][:22_050]))) == pytest.approx(500, abs=1)
    # A second of the effect, then its pause.
    assert np.abs(clip["waveform"][round(1.1 * 22_050) : round(1.3 * 22_050)].astype(int)).max() < 500
    red = (clip["image"][..., 0] > 200) & (clip["image"][..., 1] < 80)  # the stamp's right half
    assert 0.04 < red.mean() < 0.25
    corner = clip["image"][:4, :4].reshape(-1, 3)
    assert corner.std(0).max() < 4


def test_folders_behind_links_and_names_of_all_kinds(tmp_path):
    for name in ("elsewhere/duck", "stamps/animals/cat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(f"A {name.split('/')[-1]}.")
    (tmp_path / "stamps" / "birds").symlink_to(tmp_path / "elsewhere")
    with open(os.fsencode(tmp_path) + b"/stamps/animals/caf\xe9.png", "wb") as file:
        file.write((tmp_path / "elsewhere" / "duck.png").read_bytes())
    stamps, skipped = tux_stamps.find(tmp_path / "stamps")
    assert [(stamp.name, stamp.caption) for stamp in stamps] == [("animals/cat", "A cat."), ("birds/duck", "A duck.")]
    assert +skipped == {"name that is not UTF-8": 1}
