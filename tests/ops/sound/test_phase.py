"""Griffin-Lim: the same iterates as the algorithm, librosa's convergence, gradients through all of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sound_reference as reference

from mmjax.errors import UserError
from mmjax.ops import platform
from mmjax.ops.sound import phase, spectral


def sound(rng, samples):
    """Three gliding partials and a little noise: something with phases to find."""
    t = np.arange(samples) / 8000
    tones = sum(np.sin(2 * np.pi * (f * t + 300 * t**2)) / f * 200 for f in (220, 450, 1300))
    return (tones * 0.3 + 0.01 * rng.standard_normal(samples)).astype(np.float32)


def inconsistency(magnitude, signal, n_fft, hop):
    """Spectral convergence: | |STFT(signal)| - magnitude | / |magnitude|."""
    found = np.abs(reference.stft(signal, n_fft, hop))
    return np.linalg.norm(found - magnitude) / np.linalg.norm(magnitude)


@pytest.mark.parametrize("momentum", [0.0, 0.99])
@pytest.mark.parametrize("n_iter", [0, 1, 4])
def test_same_iterates(rng, momentum, n_iter):
    magnitude = np.abs(reference.stft(sound(rng, 1000), 128, 32))
    wanted = reference.griffin_lim(magnitude, 128, 32, n_iter, momentum, 1000)
    found = phase.griffin_lim(magnitude.astype(np.float32), 128, 32, n_iter=n_iter, momentum=momentum, length=1000)
    assert reference.distance(found, wanted) < 1e-4  # rounding grows with every iteration


def test_converges_like_librosa(rng):
    librosa = pytest.importorskip("librosa")
    # Noise, because the results of different first phases then lie close together: 3 % against 14 % for tones.
    magnitude = np.abs(reference.stft(rng.standard_normal(8000), 256, 64)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 8)
    found = jax.jit(jax.vmap(lambda key: phase.griffin_lim(magnitude, 256, 64, key=key, length=8000)))(keys)
    ours = np.mean([inconsistency(magnitude, signal, 256, 64) for signal in found])
    peers = [librosa.griffinlim(magnitude, hop_length=64, length=8000, random_state=seed) for seed in range(8)]
    theirs = np.mean([inconsistency(magnitude, signal, 256, 64) for signal in peers])
    assert abs(ours - theirs) / theirs < 0.05
    plain = phase.griffin_lim(magnitude, 256, 64, key=keys[0], momentum=0.0, length=8000)
    assert ours < inconsistency(magnitude, plain, 256, 64)  # the momentum is what makes it fast


def test_same_as_librosa_from_the_same_phases(rng):
    librosa = pytest.importorskip("librosa")
    magnitude = np.abs(reference.stft(sound(rng, 2000), 256, 64)).astype(np.float32)
    wanted = librosa.griffinlim(magnitude.astype(np.float64), hop_length=64, n_iter=8, init=None)
    assert reference.distance(phase.griffin_lim(magnitude, 256, 64, n_iter=8), wanted) < 1e-4


def test_batch_is_each_clip(rng):
    magnitude = np.stack([np.abs(reference.stft(sound(rng, 600), 64, 16)) for _ in range(2)]).astype(np.float32)
    both = phase.griffin_lim(magnitude, 64, 16, n_iter=3)
    one = phase.griffin_lim(magnitude[1], 64, 16, n_iter=3)
    assert reference.distance(both[1], one) < 1e-5


def test_gradient(rng):
    with jax.enable_x64(True):  # or the step of the difference drowns in rounding
        magnitude = jnp.asarray(np.abs(reference.stft(sound(rng, 400), 32, 8)) + 0.1)
        direction = jnp.asarray(rng.standard_normal(magnitude.shape))
        target = jnp.asarray(rng.standard_normal(400))

        @jax.jit
        def score(magnitude):
            return jnp.vdot(target, phase.griffin_lim(magnitude, 32, 8, n_iter=4, length=400))

        step = 1e-7
        numeric = (score(magnitude + step * direction) - score(magnitude - step * direction)) / (2 * step)
        found = jnp.vdot(jax.grad(score)(magnitude), direction)
        assert found.dtype == jnp.float64
        np.testing.assert_allclose(found, numeric, rtol=1e-4)


def test_silence():
    zero = jnp.zeros((17, 9))
    key = jax.random.key(0)

    @jax.jit
    @jax.value_and_grad
    def energy(m):
        return jnp.sum(phase.griffin_lim(m, 32, 8, key=key, n_iter=2) ** 2)

    value, gradient = energy(zero)
    assert value == 0
    assert np.all(np.isfinite(gradient))


def test_refusals():
    with pytest.raises(UserError, match="momentum is -1"):
        phase.griffin_lim(jnp.zeros((5, 3)), 8, momentum=-1.0)
    with pytest.raises(UserError, match="5 bins; n_fft 10 gives 6"):
        phase.griffin_lim(jnp.zeros((5, 3)), 10)


def test_inverts_what_stft_gives(rng):
    x = sound(rng, 1200)
    magnitude = jnp.abs(spectral.stft(x, 128, 32, window="hamming"))
    found = phase.griffin_lim(magnitude, 128, 32, n_iter=60, length=1200, window="hamming")
    back = jnp.abs(spectral.stft(found, 128, 32, window="hamming"))
    assert jnp.linalg.norm(back - magnitude) / jnp.linalg.norm(magnitude) < 0.2


@pytest.mark.parametrize(("n_fft", "hop", "rules"), [(32, 8, {}), (21, 6, {}), (32, 12, {"center": False})])
def test_without_complex_numbers_it_is_the_same(rng, n_fft, hop, rules):
    """For a runtime that has none: real and imaginary parts beside each other, and products with matrices."""
    magnitude = rng.random((3, n_fft // 2 + 1, 20), np.float32)
    length = 19 * hop + (n_fft % 2 if rules.get("center", True) else n_fft)  # 20 frames

    def invert(magnitude, real):
        with platform.any_platform(real=real):
            return phase.griffin_lim(magnitude, n_fft, hop, n_iter=4, length=length, **rules)

    want, got = (jax.jit(invert, static_argnums=1)(magnitude, real) for real in (False, True))
    np.testing.assert_allclose(got, want, atol=2e-5 * np.abs(want).max())
    traced = str(jax.make_jaxpr(lambda x: invert(x, True))(magnitude))
    assert "c64" not in traced
    assert "fft" not in traced.replace("n_fft", "")
