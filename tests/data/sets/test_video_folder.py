"""video_folder on videos written here: a sine for sound, the frame's number painted as bars of bits."""

import json
import os
import pickle
import signal
import sys
from fractions import Fraction

import children
import numpy as np
import pytest

from mmjax.data.files import media, prepared, video_clips
from mmjax.data.sets import video_folder
from mmjax.errors import UserError

av = pytest.importorskip("av")

RATE, SIDE = 10, 64


def numbered(number):
    """A picture whose eight bars are the bits of `number`."""
    bits = [(number >> bit) & 1 for bit in range(8)]
    return np.repeat(np.repeat(np.uint8(bits) * 255, SIDE // 8)[None, :, None], SIDE, 0).repeat(3, 2)


def number_of(picture):
    bars = picture.reshape(picture.shape[0], 8, -1, 3).mean((0, 2, 3)) > 127
    return int((bars * 2 ** np.arange(8)).sum())


def write_video(
    path, seconds=3.0, hertz=440.0, amplitude=0.5, sound=True, codec="libx264", voice="aac", late=0.0, rate=44_100
):
    """`late` seconds pass before the sound begins; a key frame every 12 pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width = video.height = SIDE
        video.pix_fmt, video.gop_size, video.bit_rate = "yuvj420p" if codec == "mjpeg" else "yuv420p", 12, 400_000
        stereo = container.add_stream(voice, rate=rate, layout="stereo") if sound else None
        for index in range(round(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if stereo is not None:
            times = np.arange(round((seconds - late) * rate)) / rate
            wave = np.round(amplitude * 32_767 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, round(late * rate), Fraction(1, rate)
            container.mux(stereo.encode(frame))
            container.mux(stereo.encode(None))
    return path


def peak_frequency(waveform):
    power = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return np.argmax(power) * media.SAMPLE_RATE / len(waveform)


def cut_all(path, **cut):
    clips, _ = media.clips(path, media.Cut(**{"size": SIDE, **cut}))
    return list(clips)


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


# -- decoding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "codec", "voice", "rate"),
    [
        ("mp4", "libx264", "aac", 44_100),
        ("mov", "libx264", "aac", 48_000),
        ("mkv", "libx264", "flac", 16_000),
        ("webm", "libvpx", "libopus", 48_000),
        ("avi", "mjpeg", "mp3", 44_100),
    ],
)
def test_sound_and_pictures_of_every_container(tmp_path, suffix, codec, voice, rate):
    path = write_video(tmp_path / f"a.{suffix}", seconds=3.0, codec=codec, voice=voice, rate=rate)
    clips = cut_all(path, seconds=1.0, frames=2)
    assert [clip.start for clip in clips[:2]] == [0.0, 1.0]
    for clip in clips[:2]:
        assert clip.waveform.dtype == np.int16
        assert len(clip.waveform) == 22_050
    # Off the ends, where codecs fade: the frequency to a bin of 1 Hz, the loudness to a decibel.
    middle = clips[1].waveform
    assert abs(peak_frequency(middle) - 440) <= 1
    assert abs(20 * np.log10(middle.std() / (0.5 * 32_767 / np.sqrt(2)))) < 1
    # Pictures on display at .25, .75, 1.25, 1.75 s of a video of 10 a second.
    numbers = [number_of(media.decode(data)) for clip in clips[:2] for data in clip.frames]
    with av.open(str(path)) as container:
        shown = [(frame.time, number_of(media._rgb(frame, 1.0, SIDE))) for frame in container.decode(video=0)]
    assert numbers == [max(s for s in shown if s[0] <= time)[1] for time in (0.25, 0.75, 1.25, 1.75)]
    if suffix != "avi":  # its writer leaves the second place of the stream empty
        assert numbers == [2, 7, 12, 17]


def test_pictures_across_key_frames_and_the_remainder_keeps_its_length(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=7.0)
    clips = cut_all(path, seconds=5.0, frames=5)
    assert [round(len(clip.waveform) / 22_050, 1) for clip in clips] == [5.0, 2.0]
    numbers = [[number_of(media.decode(data)) for data in clip.frames] for clip in clips]
    assert numbers[0] == [5, 15, 25, 35, 45]
    # A fifth of 2 s each, in the middle of it: 5.2, 5.6, ... s.
    assert numbers[1] == [52, 56, 60, 64, 68] or numbers[1] == [51, 55, 59, 63, 67]  # on a frame's edge
    assert len(cut_all(path, seconds=5.0, min_seconds=2.5)) == 1


def test_late_sound_is_led_in_by_silence(tmp_path):
    (clip,) = cut_all(write_video(tmp_path / "a.mkv", seconds=2.0, late=0.5, voice="flac"), seconds=6.0)
    loud = np.flatnonzero(np.abs(clip.waveform.astype(int)) > 1000)
    assert abs(loud[0] / 22_050 - 0.5) < 0.01
    assert abs(len(clip.waveform) / 22_050 - 2.0) < 0.01


def test_a_phones_turned_picture_is_upright(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=1.0)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 4 + 20 + 16  # version and flags, times, id, duration; reserved, layer, volume
    assert data[matrix : matrix + 4] == (1 << 16).to_bytes(4, "big")
    turn = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]  # shown turned clockwise by 90 degrees
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in turn)
    path.write_bytes(data)
    (clip,) = cut_all(path)
    picture = media.decode(clip.frames[0])
    assert number_of(np.rot90(picture)) == 5  # turned back anticlockwise it is the picture that was written


def test_truncated_stream_is_used_up_to_the_damage(tmp_path):
    path = write_video(tmp_path / "a.mkv", seconds=8.0, voice="flac")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    clips, remark = media.clips(path, media.Cut(seconds=1.0, size=SIDE))
    clips = list(clips)
    assert 1 <= len(clips) <= 6
    assert "truncated" in remark
    assert [number_of(media.decode(clip.frames[0])) for clip in clips][:2] == [5, 15]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32])
def test_to_int16_mono_scales_mixes_and_resamples(dtype):
    times = np.arange(16_000) / 16_000
    wave = 0.5 * np.sin(2 * np.pi * 1000 * times)
    full = {np.int16: 2**15, np.int64: 2**15, np.int32: 2**31, np.float32: 1}[dtype]
    stereo = np.stack([wave * full, 0 * wave], 1).astype(dtype)
    sound = media.to_int16_mono(stereo, 16_000)
    assert sound.dtype == np.int16
    assert len(sound) == 22_050
    assert peak_frequency(sound) == 1000
    np.testing.assert_allclose(sound[5000:15_000].std(), 0.25 * 32_767 / np.sqrt(2), rtol=0.01)


# -- the data set ------------------------------------------------------------------------------------------------------


def test_examples_hold_the_fields_asked_for(folder, cache):
    train = open_(folder, cache)
    example = train[0]
    assert tuple(example) == video_folder.FIELDS
    assert example["frames"].shape == (1, SIDE, SIDE, 3)
    assert example["image"].dtype == np.uint8
    assert (example["image"] == example["frames"][0]).all()
    assert example["index"] == 0
    hertz = 300 + 100 * int(example["group"][-5])
    assert example["group"] == f"sub folder/v{(hertz - 300) // 100}.mp4"
    assert abs(peak_frequency(example["waveform"]) - hertz) <= 1
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


def loaded(path):
    return {"path": path, "jax": "jax" in sys.modules, "tensorflow": "tensorflow" in sys.modules}


def test_worker_processes_import_neither_jax_nor_tensorflow():
    results = list(video_clips._map(loaded, ["a", "b", "c"], 2))
    assert sorted(result["path"] for result in results) == ["a", "b", "c"]
    assert not any(result["jax"] or result["tensorflow"] for result in results)


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
from mmjax.data.files import video_clips
from mmjax.data.sets import video_folder
whole = video_clips.extract
def extract(folder, cut, path):
    for item in whole(folder, cut, path):
        if path.endswith("v2.mp4"):
            os.kill(os.getpid(), signal.SIGKILL)
        yield item
video_clips.extract = extract
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


# -- splits ------------------------------------------------------------------------------------------------------------


def test_splits_stay_when_names_come():
    names = [f"video{index}.mp4" for index in range(2000)]
    before = prepared.assign_splits(names[:1000], 0.1, 0.2)
    after = prepared.assign_splits(names, 0.1, 0.2)
    assert all(after[name] == split for name, split in before.items())
    shares = [sum(split == name for split in after.values()) / 2000 for name in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.03)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, ["train"]), (2, ["test", "train"]), (3, ["test", "train", "validation"])],
)
def test_a_handful_fills_every_split_it_can(count, expected):
    for seed in range(20):
        splits = prepared.assign_splits([f"{seed}-{index}" for index in range(count)], 0.1, 0.1)
        assert sorted(splits.values()) == expected
    assert set(prepared.assign_splits([str(i) for i in range(50)], 0.0, 0.0).values()) == {"train"}
