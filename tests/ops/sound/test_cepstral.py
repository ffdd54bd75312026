"""MFCC of the three conventions and their deltas, each against NumPy and librosa."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sound_reference as reference
from jax.test_util import check_grads

from mmjax.errors import UserError
from mmjax.ops.sound import cepstral
from mmjax.ops.sound.conventions import CONVENTIONS

RATE = 16000
SIZES = {"n_fft": 256, "hop": 100, "win_length": 200, "n_mels": 24}


@functools.partial(jax.jit, static_argnames=("convention", "rules"))
def run(x, convention, rules=()):
    return cepstral.mfcc(x, RATE, 13, convention=convention, **SIZES, **dict(rules))


def noise(rng, *shape):
    """Noise that fades by 120 dB, so that clipping at 80 dB matters."""
    x = rng.standard_normal(shape) * np.logspace(-0.5, -6.5, shape[-1])
    return x.astype(np.float32)


def test_librosa_by_formula(rng):
    x = noise(rng, 2, 1500)
    found = run(x, "librosa")
    for clip, features in zip(x, found):
        energy = np.abs(reference.stft(clip, 256, 100, 200)) ** 2
        bands = reference.decibels(reference.filterbank(RATE, 256, 24) @ energy)
        assert reference.distance(features, reference.dct(bands, 13)) < 1e-5


def test_torchaudio_by_formula(rng):
    x = noise(rng, 2, 1500)  # two channels: their common maximum counts
    energy = np.abs(reference.stft(x, 256, 100, 200, pad_mode="reflect")) ** 2
    bands = 10 * np.log10(np.maximum(reference.filterbank(RATE, 256, 24, scale="htk", norm=None) @ energy, 1e-10))
    bands = np.maximum(bands, bands.max() - 80)
    wanted = np.stack([reference.dct(b, 13) for b in bands])
    assert reference.distance(run(x, "torchaudio"), wanted) < 1e-5


def test_htk_by_the_book(rng):
    x = noise(rng, 1500)
    x[1200:] = 0
    wanted = reference.htk_mfcc(x, RATE, 256, 100, 200, 24)
    assert reference.distance(run(x, "htk"), wanted) < 1e-5
    assert np.all(wanted[:, -1] == 0)  # silence lies on HTK's floor, whose logarithm is 0


@pytest.mark.parametrize("rules", [{}, {"lifter": 22.0}, {"dct_type": 3}, {"dct_type": 1, "dct_norm": None}])
def test_equals_librosa(rng, rules):
    librosa = pytest.importorskip("librosa")
    x = noise(rng, 2, 1500)
    found = run(x, "librosa", tuple(rules.items()))
    options = {"n_fft": 256, "hop_length": 100, "win_length": 200, "n_mels": 24, "sr": RATE, "n_mfcc": 13}
    theirs = {"norm" if key == "dct_norm" else key: value for key, value in rules.items()}
    for clip, features in zip(x.astype(np.float64), found):
        assert reference.distance(features, librosa.feature.mfcc(y=clip, **options, **theirs)) < 1e-5


def test_conventions_differ_and_overrides_close_the_gap(rng):
    x = noise(rng, 1500)
    found = {name: run(x, name) for name in CONVENTIONS}
    assert np.max(np.abs(found["librosa"] - found["torchaudio"])) > 10  # dB: not to be taken for one another
    rules = {"mel_scale": "slaney", "mel_norm": "slaney", "pad_mode": "constant"}
    assert reference.distance(run(x, "torchaudio", tuple(rules.items())), found["librosa"]) < 3e-7


def test_dct_by_hand():
    np.testing.assert_allclose(cepstral.dct_matrix(2, 2), np.array([[1, 1], [1, -1]]) / np.sqrt(2), atol=1e-12)
    np.testing.assert_allclose(cepstral.dct_matrix(1, 8, norm="htk"), np.full((1, 8), 0.5), atol=1e-12)


@pytest.mark.parametrize("convention", list(CONVENTIONS))
def test_gradient_at_silence_and_in_sound(rng, convention):
    @jax.jit
    @jax.grad
    def gradient(x):
        return jnp.sum(run(x, convention) ** 2)

    assert np.all(np.isfinite(gradient(jnp.zeros((2, 1500)))))
    mixed = jnp.zeros((2, 1500)).at[0, 700:].set(jnp.asarray(noise(rng, 800)))
    found = gradient(mixed)
    assert np.all(np.isfinite(found))
    assert np.any(found[0] != 0)


def test_gradient_is_right(rng):
    x = jnp.asarray(rng.standard_normal(300), jnp.float32)
    sizes = {"n_fft": 64, "hop": 32, "n_mels": 10}
    found = jax.jit(lambda x: cepstral.mfcc(x, RATE, 5, **sizes))
    check_grads(found, (x,), 1, modes=["rev"], rtol=0.03, atol=0.03, eps=1e-2)


def slopes(x, width, order):
    """A polynomial of that order fit to every window, and its derivative, with numpy.polyfit."""
    half = width // 2
    fits = [np.polyfit(np.arange(width) - half, x[i : i + width], order)[0] for i in range(len(x) - width + 1)]
    return np.array([fits[0]] * half + fits + [fits[-1]] * half) * (1 if order == 1 else 2)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("width", "frames"), [(9, 30), (5, 5)])
def test_deltas(rng, order, width, frames):
    x = rng.standard_normal((2, 3, frames)).astype(np.float32)
    found = cepstral.deltas(x, width, order=order)
    assert reference.distance(found, np.apply_along_axis(slopes, -1, x, width, order)) < 1e-5
    repeated = cepstral.deltas(x, width, order=order, delta_edges="repeat")
    librosa = pytest.importorskip("librosa")
    assert reference.distance(found, librosa.feature.delta(x.astype(np.float64), width=width, order=order)) < 1e-5
    wanted = librosa.feature.delta(x.astype(np.float64), width=width, order=order, mode="nearest")
    assert reference.distance(repeated, wanted) < 1e-5


@pytest.mark.parametrize("convention", ["torchaudio", "htk"])
def test_deltas_of_torchaudio_and_htk_by_hand(convention):
    # sum of n (c[t+n] - c[t-n]) over n = 1, 2, divided by 2 (1 + 4); the ends repeat
    x = jnp.array([0.0, 1, 4, 9, 16])
    first = np.array([(1 + 2 * 4), (4 + 2 * 9), (8 + 2 * 16), (12 + 2 * 15), (7 + 2 * 12)]) / 10
    np.testing.assert_allclose(cepstral.deltas(x, convention=convention), first, atol=1e-6)
    twice = cepstral.deltas(jnp.asarray(first, jnp.float32), convention=convention)
    np.testing.assert_allclose(cepstral.deltas(x, order=2, convention=convention), twice, atol=1e-6)


def test_refusals():
    for call, message in [
        (lambda: cepstral.mfcc(jnp.zeros(4000), n_mfcc=200), "n_mfcc is 200: there are 128 mel bands"),
        (lambda: cepstral.mfcc(jnp.zeros(4000), lifter=-1.0), "lifter is -1.0"),
        (lambda: cepstral.mfcc(jnp.zeros(4000), dct_type=3, dct_norm="htk"), "dct_type 2 only"),
        (lambda: cepstral.deltas(jnp.zeros(40), 4), "odd width"),
        (lambda: cepstral.deltas(jnp.zeros(4)), "4 frames are fewer than the width 9"),
    ]:
        with pytest.raises(UserError, match=message):
            call()
