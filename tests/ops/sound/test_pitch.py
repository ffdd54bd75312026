"""Pitch: of pulses and of tones with overtones, whatever their level, in noise; of a drawn voice; of what has none."""

import jax
import numpy as np
import pytest

from mmjax.data.scenes import voice
from mmjax.errors import UserError
from mmjax.ops.sound import resample
from mmjax.ops.sound.pitch import median_pitch

RATE = 8000
pitch = jax.jit(median_pitch, static_argnums=1)


@pytest.mark.parametrize("hertz", [80.0, 101.3, 187.0, 333.0])
def test_periodic_sounds_have_their_fundamental(rng, hertz):
    time = np.arange(RATE) / RATE
    many = sum(np.cos(2 * np.pi * hertz * k * time + rng.uniform(0, 6)) / k for k in range(1, 8))
    weak = many - 0.95 * np.cos(2 * np.pi * hertz * time)  # most of the fundamental is gone, the period is there
    noisy = many + 0.2 * rng.standard_normal(RATE)
    late = np.concatenate([np.zeros(RATE // 2), many[: RATE // 2]])  # silence is not voiced
    found = pitch(np.stack([many, 0.001 * many, weak, noisy, late]).astype(np.float32), RATE)
    np.testing.assert_allclose(found, hertz, rtol=0.01)


def test_a_drawn_voice_has_the_pitch_of_its_speaker(rng):
    speakers = np.array([[0.1, 0.5, 0.5, 0.5], [0.8, 0.2, 0.3, 0.9]])
    spoken = list(range(2, 22))
    sounds = []
    for speaker in speakers:
        times = voice.timing(np.random.default_rng(0), speaker, spoken)
        sounds.append(voice.speak(np.random.default_rng(1), speaker, spoken, times)[:30_000])
    waves = resample.resample(np.stack(sounds).astype(np.float32) / 32768, 22_050, RATE)
    wanted = [voice.of_speaker(speaker).pitch for speaker in speakers]
    np.testing.assert_allclose(pitch(waves, RATE), wanted, rtol=0.12)  # the pitch of a sentence falls and wanders


def test_noise_and_silence_have_none(rng):
    found = pitch(np.stack([np.zeros(RATE), rng.standard_normal(RATE)]).astype(np.float32), RATE)
    assert np.isnan(found).all()
    with pytest.raises(UserError, match="cannot be told"):
        median_pitch(np.zeros(100, np.float32), 400)
