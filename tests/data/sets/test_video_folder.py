"""video_folder on videos written here: a sine for sound, the frame's number painted as bars of bits."""

import functools
import json
import os
import pickle
import shutil
import signal
import sys

import children
import numpy as np
import pytest
from video_writer import SIDE, peak_frequency, write_or_die, write_video

from mmjax.data import fingerprints
from mmjax.data.files import child_processes, clip_spool, prepared
from mmjax.data.sets import video_folder
from mmjax.errors import UserError

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four good videos and one of each kind that cannot be used."""
    root = tmp_path_factory.mktemp("videos")
    for index in range(4):
        write_video(root / "sub folder" / f"v{index}.mp4", seconds=2.5, hertz=300 + 100 * index)
    (root / "text.mp4").write_text("this is no video\n" * 100)
    (root / "notes.txt").write_text("not looked at")
    (root / ".hidden.mp4").write_text("not looked at")
    write_video(root / "mute.mp4", sound=False)
    write_video(root / "silent.mp4", amplitude=0.0)
    write_video(root / "short.mp4", seconds=0.5)
    whole = write_video(root / "cut_off.mp4").read_bytes()
    (root / "cut_off.mp4").write_bytes(whole[: len(whole) // 2])
    return root


def open_(folder, cache, split="train", fields=video_folder.FIELDS, **options):
    options = {"seconds": 1.0, "size": SIDE, "workers": 1, **options}
    return video_folder.source(split, fields, path=str(folder), data_dir=str(cache), **options)


@pytest.fixture(scope="module")
def cache(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("cache")
    open_(folder, path)
    return path


# -- the data set ------------------------------------------------------------------------------------------------------


def test_examples_hold_the_fields_asked_for(folder, cache):
    train = open_(folder, cache)
    example = train[0]
    assert tuple(example) == video_folder.FIELDS
    assert set(train.prints) == set(video_folder.FIELDS) - {"index"}
    assert train.prints["group"].examples.tolist() == [fingerprints.digest(e["group"]) for e in train]
    assert example["frames"].shape == (1, SIDE, SIDE, 3)
    assert example["image"].dtype == np.uint8
    assert (example["image"] == example["frames"][0]).all()
    assert example["index"] == 0
    hertz = 300 + 100 * int(example["group"][-5])
    assert example["group"] == f"sub folder/v{(hertz - 300) // 100}.mp4"
    assert abs(peak_frequency(example["waveform"], 22_050) - hertz) <= 1
    assert tuple(open_(folder, cache, fields=("index",))[1]) == ("index",)
    with pytest.raises(IndexError):
        train[len(train)]


def test_splits_are_by_video(folder, cache):
    groups = {split: {e["group"] for e in open_(folder, cache, split, ("group",))} for split in ("train", "test")}
    groups["validation"] = {e["group"] for e in open_(folder, cache, "validation", ("group",))}
    assert sum(map(len, groups.values())) == 4
    assert len(set().union(*groups.values())) == 4
    assert all(groups.values())
    clips = sum(len(open_(folder, cache, split)) for split in groups)
    assert clips == 4 * 2  # 2.5 s are two clips of 1 s; the remainder of half a second is dropped


def test_what_cannot_be_used_is_counted_and_listed(folder, cache):
    (report,) = cache.rglob("skipped.json")
    report = json.loads(report.read_text())
    assert report["counts"] == {"unreadable": 2, "no sound": 1, "silent": 1, "too short": 1}
    kinds = {entry["path"]: entry["kind"] for entry in report["files"]}
    assert kinds == {
        "text.mp4": "unreadable",
        "cut_off.mp4": "unreadable",
        "mute.mp4": "no sound",
        "silent.mp4": "silent",
        "short.mp4": "too short",
    }
    assert (report["videos"], report["used"], report["clips"]) == (9, 4, 8)


def test_folders_as_people_have_them(folder, tmp_path, capfd):
    """Links to folders, suffixes of cameras, hidden folders, names of another age, and things that are no videos."""
    videos, good = tmp_path / "videos", folder / "sub folder" / "v0.mp4"
    for name in ("a.mp4", "00001.MTS", ".trash/b.mp4", "notes.txt", "more.txt", "LICENSE", "elsewhere/c.3gp"):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(good, videos / name)
    (videos / "elsewhere").rename(tmp_path / "elsewhere")
    (videos / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(videos)
    (videos / "gone.mkv").symlink_to("nowhere")
    (videos / "z.mp4").symlink_to("a.mp4")
    shutil.copy(good, os.fsencode(videos) + b"/caf\xe9.mp4")
    opened = [open_(videos, tmp_path / "cache", split, ("group",)) for split in ("train", "validation", "test")]
    assert {example["group"] for source in opened for example in source} == {"a.mp4", "00001.MTS", "link/c.3gp"}
    told = capfd.readouterr().err
    assert "6 clips of 3 of 3 videos; other files, not looked at: 2 .txt, 1 without a suffix" in told
    for fault in (
        "link that leads back (link/back)",
        "dangling link (gone.mkv)",
        r"not UTF-8 (caf\xe9.mp4)",
        "name once (z.mp4)",
    ):
        assert fault in told


def test_source_pickles(folder, cache):
    train = open_(folder, cache)
    train[0]
    copy = pickle.loads(pickle.dumps(train))
    assert (copy[1]["waveform"] == train[1]["waveform"]).all()


def test_several_processes_give_the_same(folder, cache, tmp_path):
    one, two = open_(folder, cache), open_(folder, tmp_path, workers=2)
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert a["group"] == b["group"]
        assert (a["image"] == b["image"]).all()
        assert (a["waveform"] == b["waveform"]).all()


LOADED = "[__import__('mmjax.data.files.clip_spool'), sorted(__import__('sys').modules)][1]"


def test_children_import_little():
    [(_, modules)] = child_processes.each(functools.partial(eval), [LOADED], 1)
    assert "mmjax.data.files.video" in modules
    assert not {"jax", "tensorflow", "tensorflow_datasets", "scipy", "scipy.signal"} & set(modules)


def test_a_video_that_ends_its_decoder_costs_itself_alone(folder, cache, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(clip_spool, "write", write_or_die)
    splits = ("train", "validation", "test")
    groups = lambda cache: {e["group"] for split in splits for e in open_(folder, cache, split, ("group",))}  # noqa: E731
    assert groups(tmp_path) == groups(cache) - {"sub folder/v2.mp4"}
    assert "1 that ended its decoder (sub folder/v2.mp4) skipped" in capfd.readouterr().err
    assert not list(tmp_path.rglob("spool"))
    report = json.loads(next(tmp_path.rglob("skipped.json")).read_text())
    lost = next(entry for entry in report["files"] if entry["path"] == "sub folder/v2.mp4")
    assert (lost["kind"], lost["detail"]) == ("that ended its decoder", "by signal 9 (Killed)")


def test_prepared_copy_is_reused_until_the_folder_or_an_option_changes(tmp_path):
    videos, cache = tmp_path / "videos", tmp_path / "cache"
    write_video(videos / "a.mp4", seconds=1.2)
    write_video(videos / "b.mp4", seconds=1.2)
    opened = lambda **options: open_(videos, cache, **options)  # noqa: E731
    infos = lambda: {p: p.stat().st_mtime_ns for p in cache.rglob("dataset_info.json")}  # noqa: E731
    assert len(opened()) == 1
    first = infos()
    opened()
    assert infos() == first
    opened(frames=2)
    assert len(infos()) == 2
    os.utime(videos / "a.mp4", (1, 1))
    opened()
    assert len(infos()) == 3
    write_video(videos / "c.mp4", seconds=1.2)
    assert len(opened()) + len(opened(split="test")) + len(opened(split="validation")) == 3


KILLED = """
import os, signal, sys
from mmjax.data.files import child_processes
from mmjax.data.sets import video_folder
whole = child_processes.each
def each(work, items, workers):
    for done, found in enumerate(whole(work, items, workers)):
        if done == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield found
child_processes.each = each
video_folder.source("train", path=sys.argv[1], data_dir=sys.argv[2], seconds=1.0, size=64, workers=1)
"""


def test_a_killed_preparation_is_not_taken_for_a_whole_one(folder, cache, tmp_path):
    run = children.python("-c", KILLED, folder, tmp_path, PYTHONPATH=str(children.ROOT))
    assert run.returncode == -signal.SIGKILL
    assert list(tmp_path.rglob("incomplete.*"))
    assert not list(tmp_path.rglob("skipped.json"))
    assert len(open_(folder, tmp_path)) == len(open_(folder, cache))
    assert not list(tmp_path.rglob("incomplete.*"))
    assert not list(tmp_path.rglob("spool"))


def test_more_than_tfds_keeps_in_memory_is_prepared_without_tensorflow(folder, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(prepared.tfds_shuffle, "MAX_MEM_BUFFER_SIZE", 50_000)
    large, small = open_(folder, tmp_path), open_(folder, cache)
    names = lambda source: sorted((e["group"], int(e["waveform"][999])) for e in source)  # noqa: E731
    assert names(large) == names(small)


def test_beam_prepares_the_same(folder, cache, tmp_path):
    pytest.importorskip("apache_beam")
    for split in ("train", "validation", "test"):
        theirs = open_(folder, tmp_path, split, beam="--runner=DirectRunner")
        ours = open_(folder, cache, split)
        content = lambda source: {(e["group"], e["waveform"].tobytes(), e["image"].tobytes()) for e in source}  # noqa: E731
        assert len(theirs) == len(ours)
        assert content(theirs) == content(ours)
    reports = [json.loads(next(where.rglob("skipped.json")).read_text()) for where in (tmp_path, cache)]
    assert reports[0] == reports[1]
    assert not list(tmp_path.rglob("spool"))


def test_beam_that_is_missing_names_the_extra(folder, tmp_path):
    try:
        import apache_beam  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match=r"mmjax\[beam\]"):
            open_(folder, tmp_path, beam="--runner=DirectRunner")


# -- the user's mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/nowhere/at/all"])
def test_missing_folder_names_the_field(path, tmp_path):
    with pytest.raises(UserError, match=r"config\.data\.path"):
        video_folder.source("train", path=path, data_dir=str(tmp_path))


def test_no_usable_video_says_what_there_is(tmp_path):
    (tmp_path / "videos").mkdir()
    with pytest.raises(UserError, match="has no video"):
        open_(tmp_path / "videos", tmp_path)
    (tmp_path / "videos" / "a.mp4").write_text("no video")
    with pytest.raises(UserError, match="no usable video with sound: 1 unreadable"):
        open_(tmp_path / "videos", tmp_path)
    assert not list(tmp_path.rglob("incomplete.*"))


@pytest.mark.parametrize("option", [{"seconds": 0.0}, {"frames": 0}, {"test": 1.0}, {"test": 0.5, "validation": 0.5}])
def test_impossible_options_are_refused(folder, cache, option):
    with pytest.raises(UserError, match=r"config\.data"):
        open_(folder, cache, **option)


def test_unknown_split_lists_those_there_are(folder, cache):
    with pytest.raises(UserError, match=r"no split 'dev': it has .*train"):
        open_(folder, cache, "dev")


def test_missing_av_names_the_extra(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"mmjax\[video\]"):
        open_(folder, tmp_path)
