"""Clips of sound and pictures from every container, their times, and what a damaged stream still gives."""

import struct
from fractions import Fraction

import numpy as np
import pytest
from video_writer import RATE, SIDE, copy, edit, number_of, numbered, peak_frequency, write_video

from mmjax.data.files import media, pictures, upright, video

av = pytest.importorskip("av")


def cut_all(path, **cut):
    clips, _ = video.clips(path, video.Cut(**{"size": SIDE, **cut}))
    return list(clips)


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
    assert abs(peak_frequency(middle, 22_050) - 440) <= 1
    assert abs(20 * np.log10(middle.std() / (0.5 * 32_767 / np.sqrt(2)))) < 1
    # Pictures on display at .25, .75, 1.25, 1.75 s of a video of 10 a second.
    numbers = [number_of(pictures.decode(data)) for clip in clips[:2] for data in clip.frames]
    with av.open(str(path)) as container:
        shown = [(frame.time, number_of(upright.rgb(frame, 1.0, SIDE))) for frame in container.decode(video=0)]
    assert numbers == [max(s for s in shown if s[0] <= time)[1] for time in (0.25, 0.75, 1.25, 1.75)]
    if suffix != "avi":  # its writer leaves the second place of the stream empty
        assert numbers == [2, 7, 12, 17]


def test_pictures_across_key_frames_and_the_remainder_keeps_its_length(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=7.0)
    clips = cut_all(path, seconds=5.0, frames=5)
    assert [round(len(clip.waveform) / 22_050, 1) for clip in clips] == [5.0, 2.0]
    numbers = [[number_of(pictures.decode(data)) for data in clip.frames] for clip in clips]
    assert numbers[0] == [5, 15, 25, 35, 45]
    # A fifth of 2 s each, in the middle of it: 5.2, 5.6, ... s.
    assert numbers[1] == [52, 56, 60, 64, 68] or numbers[1] == [51, 55, 59, 63, 67]  # on a frame's edge
    assert len(cut_all(path, seconds=5.0, min_seconds=2.5)) == 1


def test_late_sound_is_led_in_by_silence(tmp_path):
    (clip,) = cut_all(write_video(tmp_path / "a.mkv", seconds=2.0, late=0.5, voice="flac"), seconds=6.0)
    loud = np.flatnonzero(np.abs(clip.waveform.astype(int)) > 1000)
    assert abs(loud[0] / 22_050 - 0.5) < 0.01
    assert abs(len(clip.waveform) / 22_050 - 2.0) < 0.01


def test_truncated_stream_is_used_up_to_the_damage(tmp_path):
    path = write_video(tmp_path / "a.mkv", seconds=8.0, voice="flac")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    clips, remark = video.clips(path, video.Cut(seconds=1.0, size=SIDE))
    clips = list(clips)
    assert 1 <= len(clips) <= 6
    assert "truncated" in remark
    assert [number_of(pictures.decode(clip.frames[0])) for clip in clips][:2] == [5, 15]


# -- edit lists --------------------------------------------------------------------------------------------------------


def shown(path, times, size=SIDE):
    """The numbers of the pictures on display at times that lie in the middle of clips of one length."""
    clips, _ = video.clips(path, video.Cut(seconds=2 * times[0], size=size, min_seconds=2 * times[0]))
    numbers = {round(clip.start + times[0], 3): number_of(pictures.decode(clip.frames[0])) for clip in clips}
    return [numbers.get(round(time, 3)) for time in times]


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """8 s at 10 pictures a second, a key frame every 12, and a tone that begins at once."""
    return write_video(tmp_path_factory.mktemp("long") / "a.mp4", seconds=8.0)


@pytest.mark.parametrize("start", [0.7, 1.2, 3.5])
def test_what_a_cut_without_coding_leaves_out_is_not_there(long_video, tmp_path, start):
    path = copy(long_video, tmp_path / "cut.mp4", start)
    times = [0.25 + 0.5 * i for i in range(9)]
    assert shown(path, times) == [int(10 * (start + time) + 1e-6) for time in times]
    clips = cut_all(path, seconds=20.0)
    assert sum(len(clip.waveform) for clip in clips) / 22_050 == pytest.approx(8 - start, abs=0.03)
    assert np.flatnonzero(np.abs(clips[0].waveform) > 3000)[0] < 0.03 * 22_050  # the sound is there from the start


@pytest.mark.parametrize(
    ("vide", "soun", "numbers", "length", "begins"),
    [
        ([(2, 1.5), (2, 5.0)], [(2, 1.5), (2, 5.0)], [17, 22, 27, 32, 52, 57, 62, 67], 4.0, 0.0),
        ([(2, 5.0), (2, 1.5)], [(4, 1.5)], [52, 57, 62, 67, 17, 22, 27, 32], 4.0, 0.0),
        ([(2, 3.1), (2, 3.1)], [(4, 0.0)], [33, 38, 43, 48, 33, 38, 43, 48], 4.0, 0.0),
        ([(4, 2.0)], [(0.7, -1), (3.3, 2.0)], [22, 27, 32, 37, 42, 47, 52, 57], 4.0, 0.7),  # late sound
        ([(1, -1), (4, 2.0)], [(5, 2.0)], [22, 27, 32, 37, 42, 47, 52, 57], 4.0, 0.0),  # a late picture: the first is 0
        ([(4, 2.0)], [(2, 2.0)], [22, 27, 32, 37], 2.0, 0.0),
    ],
)
def test_any_edit_list_is_shown_as_a_player_does(long_video, tmp_path, vide, soun, numbers, length, begins):
    path = tmp_path / "a.mp4"
    path.write_bytes(long_video.read_bytes())
    first = 0.2  # seconds: the writer delays both by its reordering of pictures
    edit(path, vide=[(s, t if t < 0 else t + first) for s, t in vide], soun=soun)
    found = shown(path, [0.25 + 0.5 * i for i in range(len(numbers) - 1)])  # the last one may be short by a picture
    np.testing.assert_allclose(found, numbers[:-1], atol=1)  # FFmpeg keeps the edits to whole pictures
    clips = cut_all(path, seconds=20.0)
    waveform = np.concatenate([clip.waveform for clip in clips])
    assert len(waveform) / 22_050 == pytest.approx(length, abs=0.11)
    assert np.flatnonzero(np.abs(waveform) > 3000)[0] / 22_050 == pytest.approx(begins, abs=0.05)


# -- the picture at a time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.ts", "ts.mp4", "a.mkv", "a.flv", "a.mov"])
def test_the_picture_on_display_in_every_container(long_video, tmp_path, name):
    path = copy(long_video, tmp_path / ("x.ts" if "ts" in name else name)).rename(tmp_path / name)
    times = [0.15 + 0.3 * i for i in range(26)]
    assert shown(path, times) == [int(10 * time + 1e-6) for time in times]


def test_pictures_without_time_stamps_come_in_their_order(tmp_path):
    """AVI has none, and pictures that refer to later ones are sent after these."""
    path = write_video(tmp_path / "a.avi", seconds=4.0, codec="mpeg4", voice="mp3", reordered=2)
    with video.containers.open_file(path) as container:
        assert next(container.demux(video=0)).pts is None
    clip = cut_all(path, seconds=3.0, frames=30)[0]
    numbers = [number_of(pictures.decode(data)) for data in clip.frames]
    assert numbers in [list(range(30)), [0, *range(29)]]  # the writer may leave the second place of the stream empty


def test_a_key_frame_from_which_nothing_can_be_decoded(long_video, monkeypatch):
    """Whatever the packets claim: here, that every one can be started from."""
    monkeypatch.setattr(
        video._Packet, "of", lambda packet: video._Packet(packet.pts, packet.duration, True, True, False)
    )
    times = [0.45 + 0.9 * i for i in range(8)]
    assert shown(long_video, times) == [int(10 * time + 1e-6) for time in times]


@pytest.mark.parametrize(("decoded", "room", "refused"), [(11.3, 3.0, True), (11.3, 10.0, False), (2.0, 1.2, False)])
def test_sound_whose_time_stamps_are_no_clock_is_refused(long_video, monkeypatch, decoded, room, refused):
    monkeypatch.setattr(video.SoundTrack, "crowded", lambda self: (decoded, room))
    if not refused:
        assert cut_all(long_video)
        return
    with pytest.raises(media.Unusable, match=r"sound out of time: its time stamps leave 3\.0 s for 11\.3 s of sound"):
        cut_all(long_video)


def test_recordings_joined_end_to_end_follow_each_other(tmp_path):
    one = copy(write_video(tmp_path / "1.mp4", seconds=3.0, hertz=300), tmp_path / "1.ts")
    two = copy(write_video(tmp_path / "2.mp4", seconds=3.0, hertz=700), tmp_path / "2.ts")
    path = tmp_path / "a.ts"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    times = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert shown(path, times) == [5, 15, 25, 5, 15, 25]
    clips = cut_all(path, seconds=1.0)
    peaks = [peak_frequency(clip.waveform[2000:-2000], 22_050) for clip in clips]
    np.testing.assert_allclose(
        peaks, [*[300] * 3, *[700] * 3], atol=0.02 * 700
    )  # bent at the joint, where the sound is too long


# -- how a picture is turned and mirrored ------------------------------------------------------------------------------

ONE = 1 << 16


@pytest.mark.parametrize(
    ("matrix", "corners"),
    [  # the corners of [[1, 2], [3, 4]] as shown
        (None, [[1, 2], [3, 4]]),
        ((ONE, 0, 0, ONE), [[1, 2], [3, 4]]),
        ((0, ONE, -ONE, 0), [[3, 1], [4, 2]]),  # clockwise by 90 degrees
        ((-ONE, 0, 0, -ONE), [[4, 3], [2, 1]]),
        ((0, -ONE, ONE, 0), [[2, 4], [1, 3]]),
        ((-ONE, 0, 0, ONE), [[2, 1], [4, 3]]),  # a mirror, as a front camera's
        ((ONE, 0, 0, -ONE), [[3, 4], [1, 2]]),  # upside down
        ((0, ONE, ONE, 0), [[1, 3], [2, 4]]),  # along the one diagonal
        ((0, -ONE, -ONE, 0), [[4, 2], [3, 1]]),  # and the other
        ((0, 0, 0, 0), [[1, 2], [3, 4]]),
    ],
)
def test_turned_and_mirrored_upright(matrix, corners):
    np.testing.assert_array_equal(upright.turned(np.array([[1, 2], [3, 4]]), matrix), corners)


@pytest.mark.parametrize("matrix", [(0, ONE, -ONE, 0), (-ONE, 0, 0, ONE), (0, ONE, ONE, 0)])
def test_the_matrix_of_a_file(tmp_path, matrix):
    path = write_video(tmp_path / "a.mp4", seconds=1.0)
    plain = pictures.decode(cut_all(path)[0].frames[0])
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16  # version and flags, times, id, duration; reserved, layer, volume
    assert data[at : at + 4] == ONE.to_bytes(4, "big")
    a, b, c, d = matrix
    nine = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in nine)
    path.write_bytes(data)
    (clip,) = cut_all(path)
    difference = pictures.decode(clip.frames[0]).astype(int) - upright.turned(plain, matrix)
    assert np.abs(difference).mean() < 3  # JPEG's
    assert number_of(plain) == 5


# -- sound -------------------------------------------------------------------------------------------------------------


def with_tracks(path, *tracks):
    """A short video whose sound tracks are arrays [channels time] at 22,050 Hz, the last one the default."""
    layouts = {1: "mono", 2: "stereo", 6: "5.1"}
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mjpeg", rate=RATE)
        picture.width = picture.height = SIDE
        picture.pix_fmt = "yuvj420p"
        voices = [container.add_stream("pcm_s16le", rate=22_050, layout=layouts[len(track)]) for track in tracks]
        for voice in voices:
            voice.disposition = av.stream.Disposition.default if voice is voices[-1] else 0
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(picture.encode(frame))
        for voice, track in zip(voices, tracks, strict=True):
            if track.size:
                packed = np.ascontiguousarray(track.T.reshape(1, -1), np.int16)
                frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layouts[len(track)])
                frame.sample_rate, frame.pts, frame.time_base = 22_050, 0, Fraction(1, 22_050)
                container.mux(voice.encode(frame))
    return path


def levels(*values):
    return np.repeat(np.int16(values)[:, None], 22_050, 1)


@pytest.mark.parametrize(
    ("tracks", "level"),
    [
        ((levels(1000), levels(2000)), 2000),  # the default is meant, and not the first
        ((levels(1000), levels(0)), 1000),  # it is silent, and another is not
        ((levels(1000), levels()[:, :0].reshape(1, 0)), 1000),  # it is empty
        ((levels(600, 1200, 2400, 3600, 4800, 5400),), 3000),  # surround sound: the plain mean
        ((levels(1000, 4000),), 2500),
    ],
)
def test_which_sound_is_played(tmp_path, tracks, level):
    (clip,) = cut_all(with_tracks(tmp_path / "a.mkv", *tracks))
    assert len(clip.waveform) == 22_050
    np.testing.assert_allclose(clip.waveform[200:-200], level, atol=2)


def test_silent_in_every_track(tmp_path):
    with pytest.raises(media.Unusable, match="silent"):
        cut_all(with_tracks(tmp_path / "a.mkv", levels(0), levels(20)))


# -- what is told of a file --------------------------------------------------------------------------------------------


def test_a_tag_in_any_encoding_does_no_harm(tmp_path):
    path = write_video(tmp_path / "a.avi", seconds=1.0, codec="mjpeg", voice="mp3")
    with av.open(str(path)) as container, av.open(str(tmp_path / "b.avi"), "w") as new:
        new.metadata["title"] = "TITLE"
        copies = {stream: new.add_stream_from_template(stream) for stream in container.streams}
        for packet in container.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream]
                new.mux(packet)
    data = (tmp_path / "b.avi").read_bytes()
    assert b"TITLE" in data
    path.write_bytes(data.replace(b"TITLE", "Été 5".encode("latin-1")))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(path))
    assert len(cut_all(path)) == 1
    path = write_video(tmp_path / "a.mov", seconds=1.0)  # the name of a handler, which phones write in their language
    data = path.read_bytes()
    assert b"VideoHandler" in data
    path.write_bytes(data.replace(b"VideoHandler", "Vidéo Handle".encode("latin-1")))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(path))
    assert len(cut_all(path)) == 1


def declaring(path, seconds):
    """Lets an mp4's header claim another length, of itself and of its tracks."""
    data = bytearray(path.read_bytes())
    for kind, at in ((b"mvhd", 20), (b"tkhd", 24)):  # behind the kind: flags, times, the unit or number, the length
        place = data.index(kind)
        data[place + at : place + at + 4] = round(seconds * 1000).to_bytes(4, "big")
    path.write_bytes(data)
    return path


def test_only_what_lacks_something_is_truncated(tmp_path):
    remark = lambda path: video.clips(path, video.Cut(seconds=1.0, size=SIDE))[1]  # noqa: E731
    whole = write_video(tmp_path / "a.mp4", seconds=4.0)
    assert remark(whole) == ""
    assert remark(edit(whole, vide=[(4, 0.2)], soun=[(2, 0.0)])) == ""  # less sound than pictures
    assert remark(edit(whole, vide=[(2, 0.2)], soun=[(4, 0.0)])) == ""
    assert remark(declaring(write_video(tmp_path / "b.mp4"), 54 * 3600)) == ""
    path = write_video(tmp_path / "c.mkv", seconds=6.0, voice="flac")
    data = bytearray(path.read_bytes())
    place = data.index(b"\x44\x89\x88") + 3  # the length in ms, a double
    data[place : place + 8] = struct.pack(">d", 54 * 3_600_000)
    path.write_bytes(data)
    assert remark(path) == ""
    path.write_bytes(data[: len(data) // 2])
    assert "truncated" in remark(path)
