"""Decoding: clips of sound and pictures from every container, their times, and what a damaged stream still gives."""

import numpy as np
import pytest
from video_writer import SIDE, number_of, peak_frequency, write_video

from mmjax.data.files import media, video

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
    numbers = [number_of(media.decode(data)) for clip in clips[:2] for data in clip.frames]
    with av.open(str(path)) as container:
        shown = [(frame.time, number_of(video._rgb(frame, 1.0, SIDE))) for frame in container.decode(video=0)]
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
    clips, remark = video.clips(path, video.Cut(seconds=1.0, size=SIDE))
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
    assert peak_frequency(sound, 22_050) == 1000
    np.testing.assert_allclose(sound[5000:15_000].std(), 0.25 * 32_767 / np.sqrt(2), rtol=0.01)


def test_surround_sound_in_a_sound_file_is_the_plain_mean_of_its_channels():
    channels = np.linspace(-0.6, 0.9, 6, dtype=np.float32)  # 5.1: FFmpeg's matrix would give 0.0914
    np.testing.assert_array_equal(media.to_int16_mono(np.tile(channels, (9, 1)), 22_050), np.full(9, 4915))
