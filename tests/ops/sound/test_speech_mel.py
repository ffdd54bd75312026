"""Log-mel frames of speech synthesis and back: librosa's numbers, non-negative least squares, and how well it fits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from mmjax.errors import OptionError
from mmjax.ops.sound import speech_mel
from mmjax.ops.sound.speech_mel import SpeechMel

SMALL = SpeechMel(sample_rate=8000, n_fft=128, hop=32, n_mels=12, fmax=4000.0)


def tones(seconds=0.5, rate=8000):
    time = np.arange(int(seconds * rate)) / rate
    one = np.sin(2 * np.pi * 440 * time) + 0.5 * np.sin(2 * np.pi * 1300 * time) * np.sin(9 * time)
    other = np.sin(2 * np.pi * (300 + 500 * time) * time)
    return (np.stack([one, other]) / 4).astype(np.float32)


def test_frames_are_librosas():
    librosa = pytest.importorskip("librosa")
    sound = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    sound[:2000] = 0
    wanted = librosa.feature.melspectrogram(
        y=sound, sr=22050, n_fft=1024, hop_length=256, n_mels=80, fmax=8000, power=1.0, pad_mode="reflect"
    )
    found = jax.jit(SpeechMel())(sound[None])
    np.testing.assert_allclose(found[0], np.log(np.maximum(wanted.T, 1e-5)), atol=1e-3)
    assert found.shape[1] == SpeechMel().frames(4000) == 16
    np.testing.assert_allclose(found[0, 0], np.log(1e-5), rtol=1e-6)


def test_magnitudes_are_a_non_negative_least_squares_solution(rng):
    bands = np.abs(rng.normal(size=(1, 3, 12))).astype(np.float32)  # much of it no spectrum can give
    bands[0, 2] = 0
    found = np.asarray(speech_mel.magnitudes(bands, SMALL, 400))
    assert (found >= 0).all()
    for frame in range(3):
        least = optimize.nnls(SMALL.filters.astype(np.float64), bands[0, frame].astype(np.float64))[1]
        rest = np.linalg.norm(SMALL.filters @ found[0, frame] - bands[0, frame])
        assert rest <= least + 1e-3 * np.linalg.norm(bands[0, frame])
    assert not found[0, 2].any()
    before = np.linalg.norm(SMALL.filters @ np.asarray(speech_mel.magnitudes(bands, SMALL, 0))[0, 0] - bands[0, 0])
    assert np.linalg.norm(SMALL.filters @ found[0, 0] - bands[0, 0]) < 0.9 * before
    with pytest.raises(OptionError, match="mel_iter"):
        speech_mel.magnitudes(bands, SMALL, -1)


def test_sound_from_frames_has_these_frames_and_says_how_nearly():
    sound = tones()
    frames = SMALL(sound)
    found = jax.jit(lambda x: speech_mel.from_log_mel(x, spec=SMALL, n_iter=60))(frames)
    assert found.waveform.shape == (2, (frames.shape[1] - 1) * 32)
    again = SMALL(found.waveform)
    loud = np.asarray(frames) > np.asarray(frames).max() - 4
    assert np.abs(np.asarray(again) - np.asarray(frames))[loud].mean() < 0.2
    wanted = np.swapaxes(np.asarray(speech_mel.magnitudes(jnp.exp(frames), SMALL)), 1, 2)
    padded = np.pad(np.asarray(found.waveform[0]), 64, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(128) / 128)
    heard = np.abs([np.fft.rfft(window * padded[i * 32 : i * 32 + 128]) for i in range(wanted.shape[2])]).T
    by_hand = np.linalg.norm(heard - wanted[0]) / np.linalg.norm(wanted[0])
    np.testing.assert_allclose(found.convergence[0], by_hand, rtol=1e-3)
    assert by_hand < 0.3
    rougher = speech_mel.from_log_mel(frames, spec=SMALL, n_iter=0)
    assert (rougher.convergence > found.convergence).all()


def test_a_shorter_sound_in_a_batch_is_what_it_is_alone():
    frames = np.array(SMALL(tones()))
    length = np.array([frames.shape[1], 40], np.int32)
    alone = speech_mel.from_log_mel(frames[1:, :40], spec=SMALL, n_iter=4)
    frames[1, 40:] = 7
    found = speech_mel.from_log_mel(frames, length, SMALL, n_iter=4)
    np.testing.assert_allclose(found.unexplained[1], alone.unexplained[0], rtol=1e-3)
    inner = 36 * 32  # the last windows reach into what follows
    np.testing.assert_allclose(found.waveform[1, : inner - 128], alone.waveform[0, : inner - 128], atol=5e-3)
    assert np.abs(found.waveform[1, 41 * 32 + 128 :]).max() < 1e-6
