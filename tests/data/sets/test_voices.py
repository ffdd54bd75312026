"""Voices of the drawn world: the same said by another, another thing said by the same, and speakers held out."""

import numpy as np
import pytest

from mmjax.data.scenes import units, voice, voices
from mmjax.data.sets import sounding_scenes

RATE = 22_050
FIELDS = (
    *("speech", "speaker", "units", "unit_times"),
    *("speech_same", "speaker_same", "unit_times_same"),
    "new_speaker",
    *("speech_again", "unit_times_again"),
    *("speech_other", "units_other", "unit_times_other"),
)
VOWELS = {units.UNITS.index(u) for u in ("a", "e", "i", "o", "u", "ee", "oo", "er", "ar", "or", "ai", "ie", "oa")}


def pitch(sound, spoken, times):
    """The median over vowels, in Hz, by autocorrelation."""
    found = []
    for unit, (start, end) in zip(spoken, times):
        piece = sound[int(start * RATE) : int(end * RATE)].astype(float)
        if int(unit) in VOWELS and len(piece) > 1024:
            correlation = np.fft.irfft(np.abs(np.fft.rfft(piece - piece.mean(), 8192)) ** 2)
            low = RATE // 400
            found.append(RATE / (low + correlation[low : RATE // 65].argmax()))
    return np.median(found)


def colours(sound, times, count):
    """Level of each unit in 20 bands, its mean and the utterance's taken away: what is left is the unit. [u 20]."""
    rows = []
    for start, end in times[:count]:
        piece = sound[int(start * RATE) : int(end * RATE)].astype(float)
        power = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 2048)) ** 2
        rows.append(np.log(np.add.reduceat(power, np.unique(np.geomspace(10, 900, 20).astype(int))) + 1))
    table = np.array(rows)
    table -= table.mean(1, keepdims=True)
    return table - table.mean(0)


def test_the_same_is_said_by_another_and_another_thing_by_the_same():
    source = sounding_scenes.source("train", FIELDS)
    drawn, heard, own, alike = [], [], [], []
    for index in range(16):
        e = source[index]
        n, m = int(e["units_length"]), int(e["units_other_length"])
        ends = {"": n, "_same": n, "_again": n, "_other": m}
        for name, count in ends.items():
            times, length = e[f"unit_times{name}"], int(e[f"speech{name}_length"])
            assert 0 <= length / RATE - times[count - 1, 1] < 2 / RATE
            assert not times[count:].any()
            assert not e[f"speech{name}"][length:].any()
            assert np.abs(e[f"speech{name}"]).max() == round(0.7 * 32767)
        pace = np.diff(e["unit_times_again"][:n]) / np.diff(e["unit_times"][:n])  # another time, as fast but for chance
        assert 0.9 < np.median(pace) < 1.1 < pace.max()
        assert list(e["units_other"][:m]) != list(e["units"][:n])
        assert np.abs(e["speaker_same"] - e["speaker"]).max() >= 0.25
        heard.append(
            [
                pitch(e["speech"], e["units"][:n], e["unit_times"]),
                pitch(e["speech_same"], e["units"][:n], e["unit_times_same"]),
                pitch(e["speech_again"], e["units"][:n], e["unit_times_again"]),
                pitch(e["speech_other"], e["units_other"][:m], e["unit_times_other"]),
            ]
        )
        drawn.append([voice.of_speaker(e[name]).pitch for name in ("speaker", "speaker_same", "speaker", "speaker")])
        one, two = colours(e["speech"], e["unit_times"], n), colours(e["speech_same"], e["unit_times_same"], n)
        alike.append((one * two).mean() / (one.std() * two.std()))
        own.append((one * np.roll(two, 3, 0)).mean() / (one.std() * two.std()))
    assert np.corrcoef(np.log(heard).ravel(), np.log(drawn).ravel())[0, 1] > 0.9  # who says it
    assert np.median(np.abs(np.log(heard) - np.log(drawn))) < 0.1
    assert np.mean(alike) > 0.5 > np.mean(own) + 0.3  # what is said


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_speakers_are_held_out(split):
    source = sounding_scenes.source(split, voices="held_out")
    examples = [source.example(i) for i in range(1500)]
    speakers = np.array([e.speaker for e in examples])
    regions = [voices.region(s) for s in speakers]
    new = [any(r) for r in regions]
    assert {s for r in regions for s in r} == ({"", split} if split != "train" else {""})
    assert abs(np.mean(new) - (0.5 if split != "train" else 0)) < 0.04
    assert not any(all(r) for r in regions)  # in one plane at a time
    assert speakers.dtype == np.float32
    if split == "train":  # it hears every quarter of every factor equally often
        counts = np.array([np.bincount((speakers[:, k] * 4).astype(int), minlength=4) for k in range(4)])
        assert np.abs(counts / 1500 - 0.25).max() < 0.04
        assert len({(int(4 * s[0]), int(4 * s[1])) for s in speakers}) == 12
    for example, mine in list(zip(examples, new))[:200]:
        assert any(voices.region(example.speaker_same)) == mine
        assert set(voices.region(example.speaker_same)) <= {"", split}


def test_the_share_that_is_held_out():
    rng = np.random.default_rng(0)
    found = np.array([[r == split for split in ("validation", "test") for r in voices.region(rng.random(4))]
                      for _ in range(6000)])  # fmt: skip
    np.testing.assert_allclose(found.mean(0), 1 / 8, atol=0.015)
    plain = sounding_scenes.source("test", ("speaker",))[3]["speaker"]
    assert np.array_equal(plain, np.random.default_rng((0, 2, 3, 6)).random(4, np.float32))
