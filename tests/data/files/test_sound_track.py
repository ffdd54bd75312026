"""Sound on the clock of its time stamps: fast and slow clocks, joined segments, gaps, every form of samples."""

from fractions import Fraction

import numpy as np
import pytest

from mmjax.data.files.sound_track import RATE, SoundTrack

av = pytest.importorskip("av")

OLD = 8_000  # Hz of the sound that is given


class Packet:
    """What a decoder gives for one packet, without a decoder."""

    is_discard = False

    def __init__(self, samples, time, form="s16", layout="mono", rate=OLD):
        if samples is not None:
            self.frame = av.AudioFrame.from_ndarray(samples, format=form, layout=layout)
            self.frame.sample_rate, self.frame.time_base = rate, Fraction(1, 1000)
            self.frame.pts = None if time is None else round(time * 1000)
        self.error = samples is None
        self.pts, self.time_base, self.duration = None if time is None else round(time * 1000), Fraction(1, 1000), 100

    def decode(self):
        if self.error:
            raise av.error.InvalidDataError(1, "damaged")
        return [self.frame]


def tone(seconds):
    return (3000 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * OLD)) / OLD)).astype(np.int16)


def clicks(seconds):
    """A quiet tone with a click in the middle of each second, by the clock of the samples."""
    samples = tone(seconds)
    for index in range(int(seconds)):
        samples[round((index + 0.5) * OLD) :][:8] = 30_000
    return samples


def decoded(parts, start=0.0, end=1e9):
    track = SoundTrack()
    for packet in parts:
        track.decode(packet)
    return track.between(start, end).astype(int)


def places(waveform):
    """Seconds at which the clicks stand."""
    loud = np.flatnonzero(np.abs(waveform) > 12_000)
    return loud[np.diff(loud, prepend=-RATE) > RATE // 10] / RATE


def frames(samples, clock, size=400):
    """Packets of 50 ms whose time stamps run by `clock`, of seconds by the samples."""
    return [Packet(samples[None, at : at + size], clock(at / OLD)) for at in range(0, len(samples), size)]


@pytest.mark.parametrize("speed", [0.99, 1.01, 0.95, 1.05])
def test_a_clock_that_is_fast_or_slow(speed):
    waveform = decoded(frames(clicks(20.0), lambda time: time * speed))
    assert len(waveform) / RATE == pytest.approx(20 * speed, abs=0.05)
    found = places(waveform)
    np.testing.assert_allclose(found, (np.arange(20) + 0.5) * speed, atol=0.05)


@pytest.mark.parametrize("speed", [0.985, 1.015])
def test_a_clock_is_followed_without_a_cut_or_a_hole(speed):
    waveform = decoded(frames(tone(20.0), lambda time: time * speed))[100:-100]
    assert np.abs(waveform[: len(waveform) // 100 * 100].reshape(-1, 100)).max(1).min() > 2800
    assert np.abs(np.diff(waveform)).max() < 3100 * 2 * np.pi * 300 / RATE


def test_segments_that_are_longer_than_their_time_stamps():
    """As those joined without coding, each with what its encoder puts before and after it: 44 ms a second."""
    longer = np.pad(clicks(1.0), (0, round(0.044 * OLD)))
    parts = [p for index in range(12) for p in frames(longer, lambda time, index=index: index + time)]
    waveform = decoded(parts)
    assert len(waveform) / RATE == pytest.approx(12.044, abs=0.05)
    np.testing.assert_allclose(places(waveform), np.arange(12) + 0.5, atol=0.05)


def test_time_stamps_rounded_by_a_container_change_nothing(rng):
    samples = clicks(3.0)
    exact = decoded(frames(samples, lambda time: time))
    jitter = iter(rng.uniform(-0.003, 0.003, 100))
    np.testing.assert_array_equal(decoded(frames(samples, lambda time: time + (next(jitter) if time else 0))), exact)


@pytest.mark.parametrize(("speed", "room"), [(1.0, 8), (4.0, 2), (0.25, 8)])
def test_time_stamps_that_are_no_clock_leave_no_room(speed, room):
    """At 0.25 each frame stands apart, in silence: all of it has room."""
    track = SoundTrack()
    for packet in frames(tone(8), lambda second: second / speed):
        track.decode(packet)
    assert track.crowded() == pytest.approx((8, room), abs=0.1)


def test_gaps_are_silence_and_what_is_damaged_leaves_one():
    level = np.full((1, 2 * OLD), 5000, np.int16)
    parts = [Packet(level[:, :OLD], 0.5), Packet(None, 1.5), Packet(level, 2.5), Packet(level, 5.0)]
    waveform = decoded(parts, start=0.0)
    assert len(waveform) / RATE == pytest.approx(7.0, abs=0.01)
    for time, value in ((0.25, 0), (1.0, 5000), (2.0, 0), (3.5, 5000), (4.75, 0), (6.0, 5000)):
        np.testing.assert_allclose(waveform[round(time * RATE) :][:50], value, atol=2)
    np.testing.assert_array_equal(decoded(parts, start=1.0, end=2.0), waveform[RATE : 2 * RATE])
    assert len(decoded([Packet(None, 0.0)])) == 0


def test_a_time_stamp_of_nonsense_takes_no_memory():
    level = np.full((1, OLD), 5000, np.int16)
    assert len(decoded([Packet(level, 0.0), Packet(level, 54 * 3600.0)], end=2.0)) == 2 * RATE


def test_sound_without_time_stamps_follows_on():
    level = np.full((1, OLD), 5000, np.int16)
    waveform = decoded([Packet(level, 0.0), Packet(level, None), Packet(level, None)])
    assert len(waveform) == pytest.approx(3 * RATE, abs=2)
    np.testing.assert_allclose(waveform[200:-200], 5000, atol=2)


@pytest.mark.parametrize("form", ["u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"])
def test_every_form_of_samples(form):
    """Surround sound, whose channels have the plain mean .25."""
    channels = np.array([-0.5, 0, 0.25, 0.5, 0.5, 0.75])
    kind = form.removesuffix("p")
    scaled = {"u8": channels * 128 + 128, "s16": channels * 2**15, "s32": channels * 2**31}.get(kind, channels)
    dtype = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}[kind]
    samples = np.tile(scaled.astype(dtype)[:, None], (1, OLD))
    packed = samples if form.endswith("p") else np.ascontiguousarray(samples.T.reshape(1, -1))
    waveform = decoded([Packet(packed, 0.0, form, "5.1")])
    np.testing.assert_allclose(waveform[200:-200], 0.25 * 2**15, atol=2)
