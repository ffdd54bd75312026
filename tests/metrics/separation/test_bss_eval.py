"""BSS eval on the host and on the device: mir_eval's figures, a naive projection, silence, and what is early."""

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from mmjax.errors import UserError
from mmjax.metrics.separation import alignment, assignment, bss_eval, bss_eval_host
from mmjax.ops import platform

# mir_eval.separation.bss_eval_sources 0.8.2 of `sounds`, float64: sdr, sir, sar of each source in its best order.
MIR_EVAL = {
    "plain": ([8.545064, 8.105454], [8.719922, 8.25944], [23.130386, 23.289567]),
    "late": ([8.110687, 7.712501], [8.746891, 8.307245], [17.310799, 17.239169]),
    "early": ([11.436194, 11.254193], [20.40384, 19.977192], [12.064619, 11.923376]),
}
DEVICE = jax.jit(bss_eval.bss_eval, static_argnames="taps")


@pytest.fixture(scope="module")
def sounds():
    """Sources, and estimates: the other source leaks in, with noise; 100 samples late; perfect but one sample early."""
    rng = np.random.default_rng(7)
    s = scipy.signal.lfilter([1], [1, -1.6, 0.8], rng.standard_normal((2, 4000))).astype(np.float32)
    noise = rng.standard_normal((2, 4000)).astype(np.float32)
    plain = s + np.float32(0.4) * s[::-1] + np.float32(0.3) * noise
    late, early = np.pad(plain, ((0, 0), (100, 0)))[:, :4000], np.pad(s, ((0, 0), (0, 1)))[:, 1:]
    return s, {"plain": plain, "late": late, "early": early}


def test_figures_are_mir_evals_on_both_sides(sounds):
    s, estimates = sounds
    batch = np.stack([s] * 3), np.stack([estimates["plain"][::-1], estimates["late"], estimates["early"]])
    device = jax.tree.map(np.asarray, DEVICE(*batch))
    for row, (name, wanted) in enumerate(MIR_EVAL.items()):
        host = bss_eval_host.bss_eval(batch[0][row], batch[1][row])
        order = bss_eval_host.best_order(host["sir"])
        assert order == ((1, 0) if name == "plain" else (0, 1))
        np.testing.assert_array_equal(assignment.best_order(device["sir"][row]), order)
        for figure, values in zip(("sdr", "sir", "sar"), wanted, strict=True):
            found = bss_eval_host.in_order(host, order)[figure]
            np.testing.assert_allclose(found, values, atol=1e-5, err_msg=f"{name} {figure}")
            found = assignment.in_order(device[figure][row], np.array(order))
            np.testing.assert_allclose(found, values, atol=1e-3, err_msg=f"{name} {figure}, device")


def test_one_sample_early_costs_everything_until_it_is_aligned(sounds):
    s, estimates = sounds
    assert np.all(MIR_EVAL["early"][0] < np.array(12))
    np.testing.assert_array_equal(alignment.delay(s, estimates["early"], 8), [-1, -1])
    np.testing.assert_array_equal(alignment.delay(s, estimates["late"], 128), [100, 100])
    moved = np.asarray(alignment.aligned(s, estimates["early"]))
    assert np.all(np.diagonal(bss_eval_host.bss_eval(s, moved)["sdr"]) > 30)  # the sample that moved out is lost
    np.testing.assert_array_equal(alignment.aligned(s, estimates["late"]), estimates["late"])
    both = np.asarray(alignment.aligned(s, estimates["late"], late=True))
    np.testing.assert_array_equal(both[:, :3900], estimates["late"][:, 100:])
    assert not both[:, 3900:].any()


def naive(s, x, taps):
    """Projections by the shifted references themselves."""
    time = s.shape[1]
    shifts = [scipy.linalg.toeplitz(np.pad(v, (0, taps - 1)), np.zeros(taps)) for v in s.astype(np.float64)]
    x = np.pad(x.astype(np.float64), ((0, 0), (0, taps - 1)))

    def onto(matrix, v):
        return matrix @ np.linalg.lstsq(matrix, v, rcond=None)[0]

    ratio = lambda a, b: 10 * np.log10(np.sum(a**2) / np.sum(b**2))  # noqa: E731
    assert x.shape[1] == time + taps - 1
    found = {name: np.zeros((len(x), len(s))) for name in ("sdr", "sir", "sar")}
    for i, v in enumerate(x):
        whole = onto(np.concatenate(shifts, 1), v)
        for j, matrix in enumerate(shifts):
            target = onto(matrix, v)
            found["sdr"][i, j] = ratio(target, v - target)
            found["sir"][i, j] = ratio(target, whole - target)
            found["sar"][i, j] = ratio(whole, v - whole)
    return found


def test_shorter_filters_more_estimates_and_levels_against_a_naive_projection(rng):
    s = scipy.signal.lfilter([1], [1, -1.8, 0.9], rng.standard_normal((3, 700)))
    mixing = np.array([[1, 0.1, 0.3], [0, 0.5, 0.1], [0.2, 0, -1], [0.3, 0.3, 0.3]])
    x = mixing @ s + 0.2 * rng.standard_normal((4, 700))
    wanted = naive(s, x, 64)
    host = bss_eval_host.bss_eval(s, x, 64)
    device = DEVICE((1e-4 * s).astype(np.float32), (300 * x).astype(np.float32), taps=64)  # no level matters
    for name in wanted:
        np.testing.assert_allclose(host[name], wanted[name], atol=1e-6)
        np.testing.assert_allclose(device[name], wanted[name], atol=1e-3)


def test_high_figures_and_sources_that_share_most_of_themselves(rng):
    """Where differences of energies are rounding: residuals instead; where sources nearly explain each other."""
    s = scipy.signal.lfilter([1], [1, -1.8, 0.9], rng.standard_normal((2, 700)))
    noise = rng.standard_normal((2, 700))
    for sources, estimates, high in (
        (s, s[::-1] + np.array([[1e-5], [0.1]]) * noise, True),  # one near to the truth, one not
        (s[:1] + 0.3 * noise, s + 0.1 * noise[::-1], False),
    ):
        wanted, host = naive(sources, estimates, 64), bss_eval_host.bss_eval(sources, estimates, 64)
        device = DEVICE(sources.astype(np.float32), estimates.astype(np.float32), taps=64)
        assert (wanted["sdr"].max() > 90) == high
        for name, value in wanted.items():
            np.testing.assert_allclose(host[name], value, atol=1e-6, err_msg=name)
            low = value < 30
            np.testing.assert_allclose(np.asarray(device[name])[low], value[low], atol=1e-3, err_msg=name)


def test_silence_has_its_values_and_disturbs_nobody(rng):
    s = rng.standard_normal((3, 700)).astype(np.float32)
    s[1] = 0
    x = s + 0.1 * rng.standard_normal((3, 700)).astype(np.float32)
    x[2] = 0
    alone = bss_eval_host.bss_eval(s[[0, 2]], x[:2], 64)
    for found, near in ((bss_eval_host.bss_eval(s, x, 64), 1e-9), (DEVICE(s, x, taps=64), 1e-3)):
        for name, value in found.items():
            value = np.asarray(value)
            assert np.isnan(value[:, 1]).all()
            assert (value[2, [0, 2]] == -np.inf).all()
            np.testing.assert_allclose(value[:2][:, [0, 2]], alone[name], atol=near)


def test_what_float32_knows_of_a_perfect_estimate_and_of_twins(rng):
    s = rng.standard_normal((2, 700)).astype(np.float32)
    assert np.diagonal(bss_eval_host.bss_eval(s, s, 64)["sdr"]).min() > 250
    assert np.diagonal(DEVICE(s, s, taps=64)["sdr"]).min() > 80
    twins = np.stack([s[0], s[0]])  # the second is nothing new: no NaN, the first is found
    found = DEVICE(twins, s + 0.1 * s[::-1], taps=64)
    assert not np.isnan([*map(np.asarray, found.values())]).any()
    single = DEVICE(s[:1], s[:1] + 0.1 * s[1:], taps=64)
    assert single["sir"] == np.inf  # of one reference nothing interferes
    np.testing.assert_allclose(
        found["sdr"][0, 0], bss_eval_host.bss_eval(s[:1], s[:1] + 0.1 * s[1:], 64)["sdr"][0, 0], atol=1e-3
    )


def test_wrong_shapes_are_told():
    with pytest.raises(UserError, match=r"must be \[\.\.\. n time\]"):
        bss_eval.bss_eval(np.zeros((2, 700), np.float32), np.zeros((2, 701), np.float32))
    with pytest.raises(ValueError, match=r"must be \[n time\]"):
        bss_eval_host.bss_eval(np.zeros((2, 700)), np.zeros(700))
    with pytest.raises(UserError, match="taps is 100"):
        bss_eval.bss_eval(np.zeros((2, 700), np.float32), np.zeros((2, 700), np.float32), 100)


def test_an_accelerators_form_is_the_same(rng):
    s = rng.standard_normal((2, 2, 300)).astype(np.float32)
    x = s[:, ::-1] + 0.5 * s + 0.1 * rng.standard_normal(s.shape).astype(np.float32)
    with platform.any_platform():  # all clips side by side instead of one after another
        found = jax.jit(lambda s, x: bss_eval.bss_eval(s, x, 64))(s, x)
    for row in range(2):
        for name, value in bss_eval_host.bss_eval(s[row], x[row], 64).items():
            np.testing.assert_allclose(found[name][row], value, atol=1e-3, err_msg=name)
