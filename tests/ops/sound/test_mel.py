"""Mel scales, filters and spectrograms against formulas written twice, and librosa."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sound_reference as reference

from mmjax.errors import UserError
from mmjax.ops.sound import mel, spectral

# sample_rate, n_fft, n_mels, fmin, fmax
FILTERS = [(22050, 512, 40, 0.0, None), (16000, 401, 23, 80.0, 7600.0), (8000, 128, 40, 0.0, 4000.0)]


def test_scales_by_hand():
    np.testing.assert_allclose(mel.hz_to_mel([0, 500, 1000, 6400], "slaney"), [0, 7.5, 15, 42])  # 27 steps = x 6.4
    np.testing.assert_allclose(mel.hz_to_mel([0, 700, 6300], "htk"), [0, 2595 * np.log10(2), 2595])
    hertz = np.linspace(0, 11025, 50)
    for scale in ("slaney", "htk"):
        np.testing.assert_allclose(mel.mel_to_hz(mel.hz_to_mel(hertz, scale), scale), hertz, atol=1e-8)


def test_empty_filters_are_said_once_and_when_librosa_says_so():
    """Channels that no bin of the transform lies in; while a function is traced, and not when it runs."""
    said = r"^20 of 128 mel filters are empty: .* n_fft=256 at 22050 Hz"
    spectrogram = jax.jit(functools.partial(mel.mel_spectrogram, sample_rate=22050, n_fft=256, n_mels=128))
    with pytest.warns(UserWarning, match=said) as warned:
        found = spectrogram(jnp.ones(2048))
    assert len(warned) == 1
    spectrogram(jnp.ones(2048))  # warnings are errors here
    assert int((found == 0).all(1).sum()) == 20
    mel.mel_filterbank(22050, 512, 40)
    librosa = pytest.importorskip("librosa")
    with pytest.warns(UserWarning, match="Empty filters detected in mel frequency basis"):
        theirs = librosa.filters.mel(sr=22050, n_fft=256, n_mels=128)
    assert int((theirs.max(1) == 0).sum()) == 20


@pytest.mark.parametrize(("rate", "n_fft", "n_mels", "fmin", "fmax"), FILTERS)
@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", None])
def test_filters(rate, n_fft, n_mels, fmin, fmax, scale, norm):
    rules = {"mel_scale": scale, "mel_norm": norm}
    found = mel.mel_filterbank(rate, n_fft, n_mels, fmin=fmin, fmax=fmax, **rules)
    assert reference.distance(found, reference.filterbank(rate, n_fft, n_mels, fmin, fmax, scale, norm)) < 1e-6
    over_mel = mel.mel_filterbank(rate, n_fft, n_mels, fmin=fmin, fmax=fmax, mel_shape="mel", **rules)
    wanted = reference.filterbank(rate, n_fft, n_mels, fmin, fmax, scale, norm, "mel")
    assert reference.distance(over_mel, wanted) < 1e-6


@pytest.mark.filterwarnings("ignore:.*mel filters are empty", "ignore:Empty filters detected")  # ours, librosa's
@pytest.mark.parametrize(("rate", "n_fft", "n_mels", "fmin", "fmax"), FILTERS)
@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("norm", ["slaney", None])
def test_filters_equal_librosa(rate, n_fft, n_mels, fmin, fmax, htk, norm):
    librosa = pytest.importorskip("librosa")
    wanted = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm)
    rules = {"mel_scale": "htk" if htk else "slaney", "mel_norm": norm}
    assert reference.distance(mel.mel_filterbank(rate, n_fft, n_mels, fmin=fmin, fmax=fmax, **rules), wanted) < 1e-6


def test_torchaudio_spreads_its_bins_to_half_the_rate():
    even = mel.mel_filterbank(16000, 400, 40, convention="torchaudio")
    assert reference.distance(even, reference.filterbank(16000, 400, 40, scale="htk", norm=None)) < 1e-6
    # Odd n_fft: its last bin is taken for sr // 2, so that bin k is at k sr / (n_fft - 1).
    odd = mel.mel_filterbank(16000, 401, 40, convention="torchaudio")
    assert reference.distance(odd, even) < 1e-6


@functools.partial(jax.jit, static_argnames=("n_fft", "hop", "win_length", "center", "convention", "power"))
def run(x, n_fft, hop, win_length, center, convention, power):
    sizes = {"n_fft": n_fft, "hop": hop, "win_length": win_length, "n_mels": 24}
    return mel.mel_spectrogram(x, 16000, center=center, convention=convention, power=power, **sizes)


SIZES = [(64, 16, 64, True, 2.0), (255, 100, 201, True, 1.0), (256, 70, 256, False, 2.0)]


@pytest.mark.filterwarnings("ignore:.*mel filters are empty", "ignore:Empty filters detected")  # ours, librosa's
@pytest.mark.parametrize(("n_fft", "hop", "win", "center", "power"), SIZES)
def test_mel_spectrogram(rng, n_fft, hop, win, center, power):
    x = rng.standard_normal((2, 801)).astype(np.float32)
    found = run(x, n_fft, hop, win, center, "librosa", power)
    wanted = np.abs(reference.stft(x, n_fft, hop, win, center)) ** power
    assert reference.distance(found, reference.filterbank(16000, n_fft, 24) @ wanted) < 2e-6
    librosa = pytest.importorskip("librosa")
    options = {"n_fft": n_fft, "hop_length": hop, "win_length": win, "center": center, "power": power, "n_mels": 24}
    peer = librosa.feature.melspectrogram(y=x.astype(np.float64), sr=16000, **options)
    assert reference.distance(found, peer) < 1e-5
    assert np.max(np.abs(found - peer) / np.maximum(peer, 1e-3 * peer.max())) < 1e-5  # band by band too


@pytest.mark.parametrize("kind", ["mel", "gaps", "full"])
def test_filters_in_groups_are_the_filters(rng, kind):
    filters = {
        "mel": mel.mel_filterbank(22050, 512, 80),
        "gaps": np.array(mel.mel_filterbank(8000, 512, 80)),
        "full": rng.standard_normal((40, 257)).astype(np.float32),
    }[kind]
    if kind == "gaps":
        filters[[0, 1, 30, 79]] = 0
    parts = spectral._parts(filters)
    energy = rng.uniform(size=(3, 257)).astype(np.float32)
    found = np.concatenate([energy[:, low:high] @ part for low, high, part in parts], axis=1)
    np.testing.assert_allclose(found, energy @ filters.T, rtol=1e-5, atol=1e-6)
    if kind != "full":
        assert sum(part.size for _, _, part in parts) < filters.size / 3


def test_torchaudio_mel_spectrogram(rng):
    librosa = pytest.importorskip("librosa")
    x = rng.standard_normal((2, 801)).astype(np.float32)
    found = run(x, 256, 64, 200, True, "torchaudio", 2.0)
    options = {"n_fft": 256, "hop_length": 64, "win_length": 200, "pad_mode": "reflect", "n_mels": 24}
    wanted = librosa.feature.melspectrogram(y=x.astype(np.float64), sr=16000, htk=True, norm=None, **options)
    assert reference.distance(found, wanted) < 1e-5


def test_refusals():
    for arguments, message in [
        ({"fmin": 5000.0, "fmax": 4000.0}, "fmin 5000.0 and fmax 4000.0"),
        ({"fmax": 9000.0}, r"<= 8000.0"),
        ({"n_mels": 0}, "at least one filter"),
        ({"mel_norm": "area"}, "mel_norm is 'area'.*'slaney', None"),
    ]:
        with pytest.raises(UserError, match=message):
            mel.mel_spectrogram(jnp.zeros(4000), 16000, **arguments)
