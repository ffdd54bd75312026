"""The short-time Fourier transform against the sum itself, librosa and PyTorch; its inverse; its gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sound_reference as reference
from jax.test_util import check_grads

from mmjax.errors import UserError
from mmjax.ops.sound import spectral

# n_fft, hop, win_length, center, pad_mode, samples
GRID = [
    (64, 16, 64, True, "constant", 331),
    (64, 24, 41, True, "reflect", 331),  # a short odd window; a hop that does not divide
    (63, 20, 63, True, "edge", 200),  # odd
    (64, 16, 48, False, "constant", 331),
    (50, 70, 50, False, "constant", 331),  # hop longer than the frame
    (256, 64, 256, True, "constant", 700),  # above the size where the FFT takes over
    (400, 160, 320, True, "reflect", 701),
]
NAMES = ("n_fft", "hop", "win", "center", "pad_mode", "samples")


@functools.partial(jax.jit, static_argnames=("n_fft", "hop", "win", "center", "pad_mode", "dft"))
def forms(x, n_fft, hop, win, center, pad_mode, dft):
    rules = {"center": center, "pad_mode": pad_mode}
    return (
        spectral.stft(x, n_fft, hop, win, **rules),
        spectral.spectrogram(x, n_fft, hop, win, dft=dft, **rules),
        spectral.spectrogram(x, n_fft, hop, win, power=1, **rules),
    )


@pytest.mark.parametrize(NAMES, GRID)
def test_equals_the_sum(rng, n_fft, hop, win, center, pad_mode, samples):
    x = rng.standard_normal((2, samples)).astype(np.float32)
    wanted = reference.stft(x, n_fft, hop, win, center, pad_mode)
    for dft in ("fft", "matmul"):
        spectrum, energy, magnitude = forms(x, n_fft, hop, win, center, pad_mode, dft)
        assert reference.distance(spectrum, wanted) < 1e-6
        assert reference.distance(energy, np.abs(wanted) ** 2) < 2e-6
        assert reference.distance(magnitude, np.abs(wanted)) < 2e-6


@pytest.mark.parametrize(NAMES, GRID)
def test_equals_librosa(rng, n_fft, hop, win, center, pad_mode, samples):
    librosa = pytest.importorskip("librosa")
    x = rng.standard_normal((2, samples)).astype(np.float32)
    options = {"n_fft": n_fft, "hop_length": hop, "win_length": win, "center": center, "pad_mode": pad_mode}
    wanted = librosa.stft(x.astype(np.float64), **options)
    spectrum, energy, _ = forms(x, n_fft, hop, win, center, pad_mode, "auto")
    assert reference.distance(spectrum, wanted) < 1e-6
    assert reference.distance(energy, np.abs(wanted) ** 2) < 1e-5
    if hop < win:
        inverse = spectral.istft(jnp.asarray(wanted, jnp.complex64), n_fft, hop, win, center=center)
        whole = librosa.istft(wanted, n_fft=n_fft, hop_length=hop, win_length=win, center=center)
        inside = slice(None) if center else slice(win, -win)  # beyond, both divide by a vanishing window
        assert reference.distance(inverse[:, inside], whole[:, inside]) < 1e-5


@pytest.mark.parametrize(NAMES, [row for row in GRID if row[0] >= row[1] and row[4] != "edge"])
def test_torchaudio_equals_torch(rng, n_fft, hop, win, center, pad_mode, samples):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, samples)).astype(np.float32)
    kept = {"center": center, "pad_mode": pad_mode, "return_complex": True}
    wanted = torch.stft(torch.from_numpy(x), n_fft, hop, win, torch.hann_window(win), **kept).numpy()
    found = spectral.stft(x, n_fft, hop, win, center=center, pad_mode=pad_mode, convention="torchaudio")
    assert reference.distance(found, wanted) < 1e-5


@pytest.mark.parametrize("window", ["hamming", "hann", "blackman"])
@pytest.mark.parametrize(("n_fft", "hop", "win"), [(64, 16, 64), (63, 15, 41), (128, 30, 128)])
def test_inverse_returns_the_signal(rng, window, n_fft, hop, win):
    x = rng.standard_normal((2, 3, 517)).astype(np.float32)

    @jax.jit
    def there_and_back(x):
        spectrum = spectral.stft(x, n_fft, hop, win, window=window)
        return spectral.istft(spectrum, n_fft, hop, win, window=window, length=517)

    assert reference.distance(there_and_back(x), x) < 1e-5


@pytest.mark.parametrize("convention", ["librosa", "torchaudio"])
def test_inverse_with_the_sizes_of_each_convention(rng, convention):
    x = rng.standard_normal(5000).astype(np.float32)
    back = spectral.istft(spectral.stft(x, convention=convention), convention=convention, length=5000)
    assert reference.distance(back, x) < 1e-5


def test_htk_frames_start_at_the_first_sample(rng):
    x = rng.standard_normal(1000).astype(np.float32)
    found = spectral.stft(x, 256, 80, 200, convention="htk")
    assert found.shape == (129, 1 + (1000 - 200) // 80)  # whole windows, not whole transforms
    hamming = reference.window("hamming", 200, periodic=False)
    wanted = np.stack([np.fft.rfft(x[i : i + 200] * hamming, 256) for i in range(0, 801, 80)], axis=1)
    assert reference.distance(found, wanted) < 1e-6
    back = spectral.istft(found, 256, 80, 200, convention="htk")
    assert reference.distance(back, x[: back.size]) < 1e-5  # a Hamming window is nowhere 0


def test_gradients(rng):
    x = jnp.asarray(rng.standard_normal((2, 150)), jnp.float32)
    sines = jax.jit(lambda x: jnp.sin(spectral.spectrogram(x, 32, 8)))
    check_grads(sines, (x,), 1, modes=["rev"], rtol=0.02, atol=0.02)
    spectrum = jax.jit(lambda x: spectral.stft(x, 32, 8))(x)
    squares = jax.jit(lambda s: spectral.istft(s, 32, 8) ** 2)
    check_grads(squares, (spectrum,), 1, modes=["rev"], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("power", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("n_fft", [32, 128])
def test_gradient_at_silence_is_zero(power, n_fft):
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(spectral.spectrogram(x, n_fft, 8, power=power))))
    np.testing.assert_array_equal(gradient(jnp.zeros((2, 200))), 0)
    half = jnp.zeros((1, 400)).at[:, 300:].set(1.0)
    assert np.all(np.isfinite(gradient(half)))


def test_batch_axes_vmap_and_half_precision(rng):
    x = rng.standard_normal((2, 3, 200)).astype(np.float32)
    found = spectral.spectrogram(x, 64, 16)
    one = jax.vmap(jax.vmap(lambda x: spectral.spectrogram(x, 64, 16)))(x)
    assert reference.distance(found, one) < 1e-6
    assert reference.distance(found[1, 2], spectral.spectrogram(x[1, 2], 64, 16)) < 1e-6
    coarse = spectral.spectrogram(x.astype(jnp.bfloat16), 64, 16)
    assert coarse.dtype == jnp.float32
    assert reference.distance(coarse, found) < 0.02


def test_one_sample_and_own_window():
    np.testing.assert_allclose(
        spectral.stft(jnp.array([3.0]), 8, 4, window="boxcar"), np.full((5, 1), 3.0 + 0j) * _turn(8)
    )
    values = np.array([0.0, 1.0, 2.0, 1.0])
    found = spectral.stft(jnp.ones(4), 4, 4, window=values, center=False)
    np.testing.assert_allclose(found[:, 0], np.fft.rfft(values), atol=1e-6)
    x = np.arange(9, dtype=np.float32)
    back = spectral.istft(spectral.stft(x, 4, 1, window=values), 4, 1, window=values, length=9)
    np.testing.assert_allclose(back, x, atol=1e-5)


def _turn(n):
    """A sample in the middle of a frame: each bin turns by half a period more."""
    return np.exp(-2j * np.pi * np.arange(n // 2 + 1) * (n // 2) / n)[:, None]


def test_refusals():
    cases = [
        ({"waveform": jnp.zeros(9, jnp.int16)}, "int16.*divide by 32768"),
        ({"waveform": jnp.zeros((2, 0))}, "at least one sample"),
        ({"waveform": jnp.zeros(9), "n_fft": 4, "win_length": 8}, "longer than n_fft 4"),
        ({"waveform": jnp.zeros(9), "n_fft": 4, "hop": 0}, "at least 1"),
        ({"waveform": jnp.zeros(9), "n_fft": 16, "center": False}, "fewer than one frame of 16"),
        ({"waveform": jnp.zeros(9), "n_fft": 32, "pad_mode": "reflect"}, "reflect"),
        ({"waveform": jnp.zeros(9), "pad_mode": "symmetric"}, "pad_mode is 'symmetric'.*'constant'"),
        ({"waveform": jnp.zeros(9), "padding": "reflect"}, "no such rule 'padding'.*pad_mode"),
        ({"waveform": jnp.zeros(9), "convention": "kaldi"}, "librosa, torchaudio, htk"),
    ]
    for arguments, message in cases:
        with pytest.raises(UserError, match=message):
            spectral.stft(**arguments)
    with pytest.raises(UserError, match="auto, fft or matmul"):
        spectral.spectrogram(jnp.zeros(9), 4, dft="conv")
    with pytest.raises(UserError, match="3 bins; n_fft 8 gives 5"):
        spectral.istft(jnp.zeros((3, 4), jnp.complex64), 8)
