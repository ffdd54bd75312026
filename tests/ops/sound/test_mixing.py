"""Mixtures: never a clip with itself, with its class or with silence; levels by hand; a mixture is its parts."""

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.ops.sound import mixing

groups = jax.jit(mixing.groups, static_argnums=2)


@pytest.mark.parametrize("sources", [1, 2, 3, 4])
def test_nobody_is_mixed_with_himself_his_class_or_silence(sources):
    kinds = np.array([0, 0, 1, 2, 3, -1, -1, 4], np.int32)
    audible = np.array([1, 1, 1, 1, 1, 1, 1, 0], bool)
    seen = set()
    for seed in range(20):
        places, there = groups(jax.random.key(seed), audible, sources, kinds)
        np.testing.assert_array_equal(places[:, 0], np.arange(8))
        np.testing.assert_array_equal(there, audible)  # the silent one has no mixture
        for row in np.asarray(places)[audible]:
            assert len(set(row)) == sources
            assert 7 not in row
            known = [k for k in kinds[row] if k >= 0]
            assert len(set(known)) == len(known)
            seen.add(tuple(row))
    assert len(seen) > 20 or sources == 1  # they are drawn


def test_without_enough_others_there_is_no_mixture():
    one = np.array([True, False, False])
    assert not groups(jax.random.key(0), one, 2)[1].any()
    assert not groups(jax.random.key(0), np.zeros(3, bool), 2)[1].any()
    same = np.array([5, 5, 5], np.int32)
    assert not groups(jax.random.key(0), np.ones(3, bool), 2, same)[1].any()
    assert groups(jax.random.key(0), np.ones(3, bool), 3)[1].all()
    with pytest.raises(UserError, match="1 to 4"):
        mixing.groups(jax.random.key(0), np.ones(8, bool), 5)


def test_levels_by_hand(rng):
    sounds = rng.normal(size=(2, 3, 4000)).astype(np.float32) * np.array([[0.01, 1, 5]], np.float32)[..., None]
    sounds[1, 2] = 0
    mixture, parts = mixing.mixed(sounds, np.array([[0, 20, -20], [0, 0, 0]], np.float32), 0.3)
    rms = np.sqrt(np.mean(np.square(parts), -1))
    np.testing.assert_allclose(rms, [[0.1, 1, 0.01], [0.1, 0.1, 0]], rtol=1e-3)
    np.testing.assert_allclose(mixture, parts.sum(1), atol=1e-6)
    assert np.isfinite(parts).all()
    drawn = mixing.gains(jax.random.key(0), (1000,), 6.0)
    assert -6 <= drawn.min() < -5 < 5 < drawn.max() <= 6
    np.testing.assert_allclose(mixing.level_db(np.array([[0.1, -0.1], [0, 0]], np.float32)), [-20, -120], atol=1e-3)


def test_noise_is_so_far_below_the_mixture(rng):
    mixture = np.stack([np.full(4000, 0.3), np.zeros(4000), np.full(4000, 0.3)]).astype(np.float32)
    noise = rng.normal(size=(3, 4000)).astype(np.float32)
    noise[2] = 0
    found = np.asarray(jax.jit(mixing.noise_at)(mixture, noise, np.array([20, 0, 0], np.float32)))
    rms = np.sqrt(np.mean(np.square(found), -1))
    np.testing.assert_allclose(rms, [0.03, 0, 0], atol=1e-6)  # beside silence and of silence there is none
    np.testing.assert_allclose(found[0], noise[0] * 0.03 / noise[0].std(), atol=1e-3)
