"""Moments of videos, and maps drawn over them: windows of sound by hand, fading in time, places, damaged files."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from video_writer import RATE, number_of, write_video

from mmjax.answers import films, inputs, reading
from mmjax.data.files import drawn_video
from mmjax.data.files.faults import Fault

av = pytest.importorskip("av")
DARK = np.zeros((1, 1), np.float32)


def test_windows_of_sound():
    sound = np.arange(10)
    assert films.around(sound, 5, 4).tolist() == [3, 4, 5, 6]
    assert films.around(sound, 1, 4).tolist() == [0, 1, 2, 3]
    assert films.around(sound, 9, 4).tolist() == [6, 7, 8, 9]
    assert films.around(sound, 5, 0).tolist() == films.around(sound, 5, 99).tolist() == sound.tolist()


def test_moments_of_a_video(tmp_path):
    write_video(tmp_path / "v.mp4", seconds=2.5)
    with films.opened(str(tmp_path / "v.mp4"), 1.0, 64, 22_050) as (moments, remark):
        found = list(moments)
    assert remark == ""
    assert [(round(m.start, 3), round(m.end, 3)) for m in found] == [(0, 1), (1, 2), (2, 2.5)]
    assert [number_of(m.picture) for m in found] == [5, 15, 22]
    assert [len(m.sound) for m in found] == [22_050] * 3  # a whole second also around the last half
    assert not any(isinstance(m.sound, np.memmap) for m in found)  # the file is gone
    with films.opened(str(tmp_path / "v.mp4"), 1.0, 64, 0) as (moments, _):
        whole = [m.sound for m in moments]
    np.testing.assert_array_equal(whole[0][:22_050], found[0].sound)
    np.testing.assert_array_equal(whole[2][-22_050:], found[2].sound)
    assert np.abs(whole[0][-11_025:]).max() > 1000
    for name, content, kind in (("none.mp4", b"no video", "unreadable"), ("cut.mp4", None, "")):
        data = (tmp_path / "v.mp4").read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 3 // 4] if content is None else content)
        with films.opened(str(tmp_path / name), 1.0, 64, 22_050) as found:
            assert (found.kind if isinstance(found, Fault) else "") in (kind, "unreadable")


def wide(path):
    """Two seconds of grey, 128 x 64."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for number in range(2 * RATE):
            frame = av.VideoFrame.from_ndarray(np.full((64, 128, 3), 60, np.uint8), format="rgb24")
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return str(path)


def brightness(path):
    """Of each picture [n h w]."""
    with av.open(str(path)) as file:
        return np.stack([f.to_ndarray(format="gray") for f in file.decode(video=0)]).astype(float)


@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_maps_fade_into_each_other_over_what_was_seen(tmp_path, fit):
    source = wide(tmp_path / "w.mp4")
    assert films.draw(source, str(tmp_path / "o.mp4"), [0.5, 1.5], [DARK, DARK + 1], fit) == ""
    shown = brightness(tmp_path / "o.mp4")
    middle = shown[:, 20:44, 50:78].mean((1, 2))
    assert len(shown) == 2 * RATE
    assert np.ptp(middle[:11]) < 3  # up to the median of all values, half-way between the two maps: clear
    assert np.all(np.diff(middle[11:15]) > 5)  # from there on brighter and brighter, up to the second map
    assert middle[19] > middle[0] + 50
    sides = shown[19][:, :24].mean() - shown[0][:, :24].mean()
    assert (sides > 50) if fit == "squash" else abs(sides) < 4


def beginnings(path):
    """(seconds of the first picture, of the first packet of sound, and the sound's codec)."""
    with av.open(str(path)) as file:
        picture = next(file.decode(video=0)).time
    with av.open(str(path)) as file:
        packet = next(p for p in file.demux(audio=0) if p.size)
        return picture, float(packet.pts * packet.time_base), file.streams.audio[0].codec_context.codec.canonical_name


@pytest.mark.parametrize(
    ("name", "options", "codec"),
    [
        ("v.ts", {}, "aac"),  # begins at 1.4 s, and with sound
        ("v.avi", {"codec": "mpeg4", "voice": "libmp3lame"}, "mp3"),
        ("v.mov", {"voice": "pcm_s16le"}, "aac"),  # which no mp4 holds
    ],
)
def test_any_container_keeps_picture_and_sound_together(tmp_path, name, options, codec):
    source = write_video(tmp_path / name, seconds=1.5, **options)
    assert films.draw(str(source), str(tmp_path / "o.mp4"), [0.5], [DARK]) == ""
    (picture, sound, _), (drawn, kept, kept_as) = beginnings(source), beginnings(tmp_path / "o.mp4")
    assert kept_as == codec
    assert kept - drawn == pytest.approx(sound - picture, abs=0.03)
    assert len(brightness(tmp_path / "o.mp4")) == 15


def test_what_cannot_be_drawn_is_named_and_leaves_nothing(tmp_path):
    (tmp_path / "none.mp4").write_bytes(b"no video")
    said = films.draw(str(tmp_path / "none.mp4"), str(tmp_path / "o.mp4"), [0.5], [DARK])
    assert (said.path, said.kind) == (str(tmp_path / "none.mp4"), "unreadable")
    assert [path.name for path in tmp_path.iterdir()] == ["none.mp4"]


def test_a_video_that_a_task_predicts(tmp_path, rng):
    pictures = np.full((10, 33, 32, 3), 200, np.uint8)
    drawn_video.write(tmp_path / "p.mp4", pictures, 25, np.zeros(8_820, np.float32), 22_050)
    assert brightness(tmp_path / "p.mp4").shape == (10, 32, 32)  # coders want even sides
    with av.open(str(tmp_path / "p.mp4")) as file:
        assert sum(frame.samples for frame in file.decode(audio=0)) >= 8_820


def test_a_video_that_goes_in_whole_is_one_moment_with_all_of_its_sound(tmp_path):
    write_video(tmp_path / "v.mp4", seconds=2.5)
    config = ConfigDict({"data": {"name": "sounding_scenes"}})
    shapes = {"image": ("uint8", 1, 64, 64, 3), "waveform": ("int16", 1, 9000)}
    way = inputs.Way(("image", "waveform"), {"picture": "image", "sound": "waveform"})
    item = inputs.Item({"file": "v.mp4"}, way, str(tmp_path / "v.mp4"), "film")
    found = {}
    for whole in (True, False):
        reader = reading.Reader(config, {}, shapes, None, 1.0, print, whole)
        found[whole] = [example for _, several in reader.examples([item]) for _, example in several]
    assert [len(example["waveform"]) for example in found[False]] == [9000] * 3
    (one,) = found[True]
    assert len(one["waveform"]) == one["waveform_length"] == pytest.approx(2.5 * 22_050, abs=10)
    assert number_of(one["image"]) == 12  # of 25 pictures


def coloured(picture):
    """Boxes of what is red or green on black, of pictures that a codec has been through."""
    found = []
    for channel in (1, 0):
        rows, columns = np.nonzero((picture[..., channel] > 128) & (picture[..., 1 - channel] < 128))
        if len(rows):
            found.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return found


def test_faces_of_a_film_from_left_to_right(tmp_path, monkeypatch):
    """A red square that walks, a green one that stays: whole, wide pictures, and all of the sound."""
    monkeypatch.setattr(films.face_boxes, "detector", lambda: coloured)
    film = np.zeros((50, 90, 160, 3), np.uint8)
    for number, picture in enumerate(film):
        picture[30:60, 10 + number // 2 : 40 + number // 2, 0] = 255
        picture[30:60, 120:150, 1] = 255
    sound = (10_000 * np.sin(np.arange(44_100) * 0.1)).astype(np.int16)
    path = str(tmp_path / "two.mp4")
    drawn_video.write(tmp_path / "two.mp4", film, 25, sound, 22_050)
    found = films.talking(path, 2, 26)
    assert found.faces.shape == (2, 50, 26, 26, 3)
    assert abs(len(found.sound) - 44_100) <= 882
    assert np.corrcoef(found.sound[2000:40_000], sound[2000:40_000])[0, 1] > 0.9
    assert found.remark == ""
    middle = found.faces[:, :, 8:18, 8:18].astype(int)
    assert (middle[0, ..., 0] > 200).all()
    assert (middle[0, ..., 1] < 50).all()
    assert (middle[1, ..., 1] > 200).all()
    assert found.faces[:, :, :2].max() < 100  # the margin
    # As `mmjax predict` reads it: one example of the size of training's faces, and what the user should know is said.
    way = inputs.Way(("faces_frames", "speech"), {"faces": "faces_frames", "sound": "speech"})
    item, said = inputs.Item({"file": path}, way, path, "talk"), []
    config, shapes = ConfigDict({"data": {"name": "sounding_scenes"}}), {"face_frames": ("uint8", 1, 50, 26, 26, 3)}
    reader = reading.Reader(config, {}, shapes, None, 1.0, said.append, True, 1)
    (((_, ((told, example),)),)) = reader.examples([item])
    np.testing.assert_array_equal(example["faces_frames"], found.faces[1:])  # seen as often, found first
    np.testing.assert_array_equal(example["speech"], found.sound)
    assert example["speech_length"] == len(found.sound) == round(told["end"] * 22_050)
    assert said == [f"{path}: 2 faces, of which the 1 that are seen most often are asked about"]
    assert films.talking(path, 3, 26) == Fault(path, "shows too few faces", "2, and the run tells 3 apart")
    (tmp_path / "none.mp4").write_bytes(b"no video")
    assert films.talking(str(tmp_path / "none.mp4"), 1, 26).kind == "unreadable"
