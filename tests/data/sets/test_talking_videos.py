"""Faces and voices of videos: which clips are used, what is cut out of them, and what is said of the others."""

import sys
import types

import numpy as np
import pytest
from video_writer import number_of, write_video

from mmjax import data
from mmjax.data.files import face_boxes
from mmjax.errors import UserError


def test_the_one_face_of_a_clip_is_the_largest(rng):
    frames = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1).repeat(20, 1).repeat(30, 2).repeat(3, 3)
    boxes = {0: [], 1: [(2, 2, 8, 8)], 2: [(2, 2, 12, 12)], 3: []}
    assert face_boxes.only(frames, lambda picture: boxes[int(picture[0, 0, 0])]) == (2, (2, 2, 12, 12))
    assert face_boxes.only(frames, lambda picture: []) == "no face"
    boxes[3] = [(0, 0, 5, 5), (6, 6, 9, 9)]
    assert face_boxes.only(frames, lambda picture: boxes[int(picture[0, 0, 0])]) == "several faces"


@pytest.mark.parametrize("without", ["the class", "the files"])
def test_opencv_5_is_named(monkeypatch, without):
    """Its main wheels have no class, and to that of the contrib wheels no file belongs; nothing is raised there."""
    cv2, folder = types.ModuleType("cv2"), types.ModuleType("cv2.data")
    cv2.__version__, folder.haarcascades = "5.0.0", "nowhere/"
    if without == "the files":
        cv2.CascadeClassifier = lambda path: types.SimpleNamespace(empty=lambda: True)
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    monkeypatch.setitem(sys.modules, "cv2.data", folder)
    with pytest.raises(UserError, match=r"OpenCV 5.0.0 has no haarcascade_frontalface_default.xml: pip install"):
        face_boxes.detector()


def test_a_crop_is_a_square_around_the_box_and_repeats_the_edge():
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = 255
    found = face_boxes.crop(picture, (20, 10, 40, 30), 26)  # 1.3 times 20 pixels
    assert found.shape == (26, 26, 3)
    assert (found[:, :12] == 0).all()
    assert (found[:, 14:] == 255).all()
    corner = face_boxes.crop(picture, (50, 30, 60, 40), 13)
    assert (corner == 255).all()


def test_clips_without_a_face_are_left_out_and_counted(tmp_path, monkeypatch, capsys):
    pytest.importorskip("av")
    for i in range(4):
        write_video(tmp_path / "videos" / f"{i}.mp4", seconds=2.0, amplitude=0.1 + 0.1 * i)

    def detect(picture):  # frames 5 and 15 of a clip of 20 are seen
        number = number_of(picture)
        return [(16, 16, 48, 48)] if number > 9 else []

    options = {
        "path": str(tmp_path / "videos"),
        "data_dir": str(tmp_path / "d"),
        "seconds": 3.0,
        "frames": 2,
        "seen": 64,
        "size": 40,
        "validation": 0.0,
        "test": 0.0,
        "workers": 1,
    }
    monkeypatch.setattr(face_boxes, "detector", lambda: detect)
    source = data.open("train", ("face", "speech", "speech_length", "index"), name="talking_videos", **options)
    assert len(source) == 4
    example = source[1]
    seen = source.clips[1]["frames"]
    assert number_of(seen[0]) <= 9 < number_of(seen[1])
    np.testing.assert_array_equal(example["face"], face_boxes.crop(seen[1], (16, 16, 48, 48), 40))
    assert example["speech"].shape == (3 * 22_050,)
    assert abs(int(example["speech_length"]) - 2 * 22_050) < 2000
    assert not example["speech"][example["speech_length"] :].any()
    assert np.abs(example["speech"]).max() > 1000
    moving = data.open("train", ("face_frames", "face_frames_length"), name="talking_videos", **options)
    frames = moving.clips[1]["frames"]  # 25 a second of 3 s, of which the first and the last are looked at
    assert moving[1]["face_frames_length"] == len(frames) == 75
    wanted = [face_boxes.crop(frame, (16, 16, 48, 48), 40) for frame in frames]
    np.testing.assert_array_equal(moving[1]["face_frames"], wanted)
    assert moving.faces[1][1] == 74
    assert "left out" not in capsys.readouterr().err
    monkeypatch.setattr(face_boxes, "LEAST", 0.2)  # other rules: looked for anew
    seen = []
    monkeypatch.setattr(
        face_boxes, "detector", lambda: lambda picture: seen.append(1) or ([(0, 0, 9, 9)] * (len(seen) // 3))
    )
    few = data.open("train", ("face",), name="talking_videos", **options)
    said = capsys.readouterr().err
    assert len(few) == 1
    assert "train: 1 clips show one face; left out: 2 with several faces, 1 with no face" in said
    count = len(seen)
    data.open("train", ("face",), name="talking_videos", **options)
    assert len(seen) == count
    monkeypatch.setattr(face_boxes, "LEAST", 0.3)
    monkeypatch.setattr(face_boxes, "detector", lambda: lambda picture: [])
    with pytest.raises(UserError, match=r"no clip of split 'train' of .* shows one face, of 4"):
        data.open("train", ("face",), name="talking_videos", **options)


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"pip install 'mmjax\[faces\]'"):
        data.open("train", ("face",), name="talking_videos", path=str(tmp_path))
