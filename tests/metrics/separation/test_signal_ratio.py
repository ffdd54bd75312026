"""SI-SDR by hand, its values for silence, means over clips, and the best order of estimates."""

import itertools

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.metrics.separation import assignment, signal_ratio
from mmjax.metrics.separation.signal_ratio import si_sdr


def test_by_hand():
    s, x = np.array([1.0, 0, 0, 0], np.float32), np.array([3.0, 4, 0, 0], np.float32)
    np.testing.assert_allclose(si_sdr(s, x), 10 * np.log10(9 / 16), rtol=1e-6)
    np.testing.assert_allclose(si_sdr(s * 1e-20, -1e15 * x), 10 * np.log10(9 / 16), rtol=1e-6)  # no level, no sign
    np.testing.assert_allclose(si_sdr(s, x + 1, subtract_mean=False), 10 * np.log10(16 / 27), rtol=1e-6)
    # without means: (3/4 -1/4 -1/4 -1/4) and (5/4 9/4 -7/4 -7/4)
    np.testing.assert_allclose(si_sdr(s, x + 1, subtract_mean=True), si_sdr(s - 0.25, x - 1.75), rtol=1e-5)


def test_an_offset_is_forgiven_only_where_it_is_asked_for(rng):
    s = rng.standard_normal(8000).astype(np.float32)
    s -= s.mean()
    assert abs(si_sdr(s, s + 0.5 * s.std()) - 6.02) < 0.01
    assert si_sdr(s, s + 0.5 * s.std(), subtract_mean=True) > 100


def test_silence_and_gradients(rng):
    s = rng.standard_normal((4, 64)).astype(np.float32)
    x = s + 0.5 * rng.standard_normal((4, 64)).astype(np.float32)
    x[1], s[2], s[3], x[3] = 0, 0, 0, 0
    value, back = jax.jit(lambda s, x: jax.vjp(lambda x: si_sdr(s, x), x))(s, x)
    assert np.isfinite(value[0])
    assert value[1] == -np.inf
    assert np.isnan(value[2:]).all()
    slope = np.asarray(back(np.ones(4, np.float32))[0])
    assert np.isfinite(slope).all()
    assert not slope[1:].any()
    step = 1e-3
    up, down = (si_sdr(s[0], x[0] + sign * step * np.eye(64, dtype=np.float32)[5]) for sign in (1, -1))
    np.testing.assert_allclose(slope[0, 5], (up - down) / (2 * step), rtol=2e-2)
    assert si_sdr(s[0], s[0]) == 140


def test_means_and_improvement_leave_out_what_is_undefined():
    values = np.array([4.0, np.nan, -np.inf, 2.0], np.float32)
    assert tuple(map(float, signal_ratio.mean_of(values))) == (4 - 30 + 2, 3)
    assert tuple(map(float, signal_ratio.mean_of(values, np.array([1, 1, 0, 1], bool)))) == (6, 2)
    better = signal_ratio.improvement(values, np.array([1.0, 1, 1, np.nan], np.float32))
    np.testing.assert_array_equal(better, [3, np.nan, -31, np.nan])


def test_the_best_order_is_the_best_of_all(rng):
    scores = rng.standard_normal((5, 3, 3)).astype(np.float32)
    order = np.asarray(jax.jit(assignment.best_order)(scores))
    for row, found in zip(scores, order):
        best = max(itertools.permutations(range(3)), key=lambda p: sum(row[p[j], j] for j in range(3)))
        assert tuple(found) == best
    chosen = assignment.in_order(scores, order)
    np.testing.assert_array_equal(chosen[2], [scores[2, order[2, j], j] for j in range(3)])
    sounds = rng.standard_normal((5, 3, 7)).astype(np.float32)
    np.testing.assert_array_equal(assignment.ordered(sounds, order)[1], sounds[1][order[1]])
    silent = np.array([[np.nan, -1], [np.nan, 3]], np.float32)  # an undefined column decides nothing
    np.testing.assert_array_equal(assignment.best_order(silent), [0, 1])
    with pytest.raises(UserError, match="at most 6"):
        assignment.best_order(np.zeros((2, 3), np.float32))
