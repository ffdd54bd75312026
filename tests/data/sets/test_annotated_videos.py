"""video_folder with published boxes: who is in which split, whose sound is heard, what is told of what does not fit."""

import json

import numpy as np
import pytest
from video_writer import SIDE, number_of, peak_frequency, write_video

from mmjax import data
from mmjax.data.files import annotated_clips, sounding_boxes
from mmjax.data.files.annotated_clips import Clip
from mmjax.data.sets import video_folder
from mmjax.errors import UserError

pytest.importorskip("av")
FIELDS = ("image", "waveform", "group", "boxes", "sounding", "index")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight videos of one tone each; the first three are annotated, of another clip nobody has the video."""
    root = tmp_path_factory.mktemp("annotated")
    for number in range(8):
        write_video(root / "videos" / f"v{number}.mp4", seconds=3.0 if number == 1 else 1.5, hertz=300 + 100 * number)
    rows = [
        {"file": "v0", "bbox": [[0.1, 0.2, 0.3, 0.4]]},
        {"file": "v1", "bbox": [[0.5, 0.5, 1, 1], [0, 0, 0.25, 0.25]]},
        {"file": "v2", "bbox": [[0.9, 0.5, 0.1, 1]]},
        {"file": "gone", "bbox": [[0, 0, 1, 1]]},
    ]
    (root / "boxes.json").write_text(json.dumps(rows))
    (root / "negatives.csv").write_text("v0,v3,non-sounding\nv0,gone,non-sounding\nv0,v0,sounding\n")
    return root


def opened(folder, split, **options):
    options = {"annotation": str(folder / "boxes.json"), "negatives": str(folder / "negatives.csv"), **options}
    options = {
        "seconds": 1.5,
        "size": SIDE,
        "fit": "squash",
        "workers": 1,
        "data_dir": str(folder / "cache"),
        **options,
    }
    return data.open(split, FIELDS, "video_folder", path=str(folder / "videos"), **options)


def test_the_test_has_what_is_annotated_and_the_negatives(folder, capsys):
    test = opened(folder, "test")
    said = capsys.readouterr().err
    for told in (
        "1 annotation of a clip that is not there (gone)",
        "1 negative of a clip that is not there (v0, gone)",
        "1 box whose ends are in the wrong order (v2)",
        "1 annotation without a box (v2)",
    ):
        assert f"video_folder: annotation: {told}" in said
    first, second, negative = test
    assert [e["group"] for e in (first, second, negative)] == ["v0.mp4", "v1.mp4", "v0.mp4"]
    assert [e["index"] for e in (first, second, negative)] == [0, 1, 2]
    np.testing.assert_allclose(first["boxes"], [[0.2, 0.1, 0.4, 0.3], [0, 0, 0, 0]])
    assert [e["sounding"].tolist() for e in test] == [[True, False], [True, True], [False, False]]
    assert number_of(second["image"]) == 7  # of the first of two clips: of the last two in the middle the earlier one
    for example, hertz in ((first, 300), (second, 400), (negative, 600)):
        assert abs(peak_frequency(example["waveform"], 22_050) - hertz) < 2
    np.testing.assert_array_equal(negative["image"], first["image"])


def test_the_other_splits_have_all_else(folder):
    train, validation = ([e["group"] for e in opened(folder, split)] for split in ("train", "validation"))
    # v3 is heard in a negative, v2 is published without a box of any use: both are of a test, and in no split. The hash
    # of v4 and v7 says "test", which is of what is annotated alone.
    assert (sorted(train), sorted(validation)) == (["v4.mp4", "v5.mp4", "v7.mp4"], ["v6.mp4"])
    assert not any(e["sounding"].any() for e in opened(folder, "train"))


def test_what_is_published_without_use_is_in_no_split_and_a_name_counts_once(tmp_path):
    (tmp_path / "b.json").write_text(json.dumps([{"file": "a", "bbox": [[0, 0, 1, 1]]}, {"file": "b", "bbox": []}]))
    annotation = sounding_boxes.read(str(tmp_path / "b.json"))
    (tmp_path / "n.csv").write_text("a,c,non-sounding\nd,d,sounding\n")
    negatives = sounding_boxes.negatives(str(tmp_path / "n.csv"))
    splits = {"x/a": "train", "y/a": "test", "b": "train", "c": "train", "d": "train", "e": "test", "f": "validation"}
    videos = {f"{name}.mp4": [Clip(split, n, f"{name}.mp4")] for n, (name, split) in enumerate(splits.items())}
    starts = {clip: 0.0 for clips in videos.values() for clip in clips}
    found = {
        split: annotated_clips.choose(split, videos, starts, annotation, negatives)
        for split in ("train", "validation", "test")
    }
    names = {split: [(one.seen.video, one.heard.video) for one in chosen] for split, (chosen, _) in found.items()}
    assert names == {
        "train": [("e.mp4", "e.mp4")],
        "validation": [("f.mp4", "f.mp4")],
        "test": [("x/a.mp4", "x/a.mp4"), ("x/a.mp4", "c.mp4")],
    }
    assert [(fault.path, fault.kind) for fault in found["test"][1]] == [("y/a.mp4", annotated_clips.SAME)]


def test_where_all_that_is_held_out_is_annotated_a_tenth_validates(tmp_path):
    (tmp_path / "b.json").write_text(json.dumps([{"file": "v", "bbox": [[0, 0, 1, 1]]}]))
    annotation, none = sounding_boxes.read(str(tmp_path / "b.json")), sounding_boxes.Negatives([], frozenset(), [])
    trained = [Clip("train", n, f"t{n // 2:02d}.mp4") for n in range(24)]  # twelve videos of two clips

    def names(*held):
        videos = {}
        for clip in (*trained, *held):
            videos.setdefault(clip.video, []).append(clip)
        starts = {clip: float(clip.place) for clips in videos.values() for clip in clips}
        chosen = {s: annotated_clips.choose(s, videos, starts, annotation, none)[0] for s in ("train", "validation")}
        return {split: [one.seen.video for one in of] for split, of in chosen.items()}

    found = names(Clip("validation", 0, "v.mp4"))
    assert found["validation"] == ["t00.mp4", "t00.mp4", "t10.mp4", "t10.mp4"]  # whole videos
    assert sorted(found["train"] + found["validation"]) == sorted(clip.video for clip in trained)
    assert not set(found["train"]) & set(found["validation"])
    assert names(Clip("validation", 0, "v.mp4"), Clip("validation", 1, "w.mp4"))["validation"] == ["w.mp4"]
    assert names(Clip("test", 0, "v.mp4"))["validation"] == []  # none was asked for


def test_fingerprints_follow_the_boxes(folder):
    prints = opened(folder, "test").prints
    assert set(prints) == set(FIELDS) - {"index"}
    assert len(prints["image"].examples) == 3
    fewer = opened(folder, "test", negatives="")
    assert len(fewer) == 2
    assert prints["boxes"].content != fewer.prints["boxes"].content
    assert prints["image"].examples[:2].tolist() == fewer.prints["image"].examples.tolist()


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"fit": "crop"}, "fit=squash"),
        ({"fit": "pad"}, "crop, squash"),
        ({"annotation": "", "negatives": "x"}, "has no boxes|give that, too"),
    ],
)
def test_mistakes_are_one_line(folder, options, wrong):
    with pytest.raises(UserError, match=wrong):
        opened(folder, "test", **options)


def test_a_squashed_picture_is_the_whole_one(folder, tmp_path):
    import av

    with av.open(str(tmp_path / "wide.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        voice = file.add_stream("aac", rate=22_050, layout="mono")
        picture = np.zeros((64, 128, 3), np.uint8)
        picture[:, :32] = 255  # the left quarter, which a crop leaves out
        for number in range(15):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        wave = np.sin(np.arange(33_075) / 10).astype(np.float32)[None]
        sound = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 22_050, 0
        file.mux(voice.encode(sound))
        file.mux(voice.encode(None))
    for fit, bright in (("squash", 16), ("crop", 0)):
        options = {"seconds": 1.5, "size": 64, "workers": 1, "validation": 0.0, "test": 0.0, "fit": fit}
        source = video_folder.source("train", ("image",), path=str(tmp_path), data_dir=str(tmp_path / "c"), **options)
        assert abs(int((source[0]["image"][32, :, 0] > 128).sum()) - bright) <= 1
