"""PCME++: by hand, against loops and sampling in NumPy, in blocks, and on one device as on eight."""

import functools

import jax
import numpy as np
import pairs_reference as reference
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.losses import probabilistic
from mmjax.losses.probabilistic import Gaussian

SLOPE, SHIFT = jnp.float32(1.5), jnp.float32(4.0)
PSEUDO = pytest.mark.parametrize("pseudo", [False, True])


@pytest.fixture
def batch(rng):
    made = reference.batch(rng)
    means = {k: np.asarray(reference.unit(made[k])) for k in "ab"}
    spreads = {k + "_spread": rng.normal(-1, 0.5, size=(16, 4)).astype(np.float32) for k in "ab"}
    return {**made, **means, **spreads}


def gaussians(batch, rows=slice(None)):
    return tuple(Gaussian(batch[k][rows], batch[k + "_spread"][rows]) for k in "ab")


def naive(batch, pseudo):
    """One value per pair, by loops."""
    found, rows = np.zeros(16), np.flatnonzero(batch["where"])
    (a, v), (b, w) = ([np.float64(x) for x in gaussian] for gaussian in gaussians(batch))
    for i in rows:
        apart = {j: ((a[i] - b[j]) ** 2).sum() + np.exp(v[i]).sum() + np.exp(w[j]).sum() for j in rows}
        for j in rows:
            match = batch["group"][i] == batch["group"][j] or (pseudo and apart[j] <= apart[i])
            p = 1 / (1 + np.exp(1.5 * apart[j] - 4))
            found[i] -= np.log(p if match else 1 - p) / len(rows)
    return found


def test_by_hand():
    a = Gaussian(jnp.asarray([[1.0, 0.0], [0.0, 1.0]]), jnp.log(jnp.asarray([[0.1, 0.2], [0.3, 0.1]])))
    b = Gaussian(jnp.asarray([[1.0, 0.0], [0.6, 0.8]]), jnp.log(jnp.asarray([[0.1, 0.1], [0.5, 0.3]])))
    # |mu|: 0, 0.8, 2, 0.4; sigma^2: a 0.3, 0.4; b 0.2, 0.8
    distances = [[0.5, 1.9], [2.6, 1.6]]
    np.testing.assert_allclose(jax.jit(probabilistic.distance)(a, b), distances, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(probabilistic.uncertainty)(a.log_variance), [0.3, 0.4], rtol=1e-6)
    found = jax.jit(probabilistic.matching)(a, b, jnp.float32(5.0), jnp.float32(5.0))
    # Logits 2.5, -4.5 and -8, -3; matched on the diagonal: softplus(-2.5), softplus(-4.5); softplus(-8), softplus(3)
    np.testing.assert_allclose(found, [(0.0788897 + 0.0110477) / 2, (0.0003354 + 3.0485874) / 2], rtol=1e-5)


def test_information_by_hand():
    gaussian = Gaussian(jnp.asarray([[2.0, 0.0], [0.0, 0.0]]), jnp.asarray([[0.0, 1.0], [0.0, 0.0]]))
    found = jax.jit(probabilistic.information)(gaussian)
    np.testing.assert_allclose(found, [(4 + np.e - 2) / 4, 0], rtol=1e-6)  # 4 of the mean; e - 1 - 1 of the variance
    spoilt = Gaussian(gaussian.mean.at[0].set(jnp.nan), gaussian.log_variance.at[0].set(jnp.inf))
    where = jnp.asarray([False, True])
    slope = jax.jit(jax.grad(lambda g: jnp.sum(probabilistic.information(g, where))))(spoilt)
    assert all(np.isfinite(leaf).all() for leaf in slope)
    np.testing.assert_array_equal(probabilistic.information(spoilt, where), [0, 0])


def test_distance_is_that_of_samples(rng, batch):
    a, b = gaussians(batch, slice(0, 2))
    x, y = (g.mean + np.exp(g.log_variance / 2) * rng.normal(size=(40_000, 2, 4)) for g in (a, b))
    sampled = ((x[:, :, None] - y[:, None]) ** 2).sum(-1).mean(0)
    np.testing.assert_allclose(probabilistic.distance(a, b), sampled, rtol=0.03)


@PSEUDO
@pytest.mark.parametrize("block", [None, 5])
def test_against_loops(batch, block, pseudo):
    loss = jax.jit(functools.partial(probabilistic.matching, block=block, pseudo=pseudo))
    found = loss(*gaussians(batch), SLOPE, SHIFT, batch["group"], batch["where"])
    np.testing.assert_allclose(found, naive(batch, pseudo), rtol=2e-5, atol=1e-6)
    assert np.abs(naive(batch, True) - naive(batch, False)).max() > 0.01


@PSEUDO
def test_blocks_do_not_change_the_gradient_and_padding_has_none(batch, pseudo):
    where = batch["where"]

    def total(sides, block):
        found = probabilistic.matching(*sides, SLOPE, SHIFT, batch["group"], where, block, pseudo)
        return jnp.sum(found * jnp.arange(1, 17, dtype=jnp.float32))

    gradient = jax.jit(jax.grad(total), static_argnums=1)
    spoilt = jax.tree.map(lambda x: np.where(where[:, None], x, np.nan), gaussians(batch))
    blocks, plain = gradient(spoilt, 5), gradient(gaussians(batch), None)
    for found, expected in zip(jax.tree.leaves(blocks), jax.tree.leaves(plain)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        assert not np.any(expected[~where])
        assert np.abs(expected[where]).max(1).min() > 0


def test_gradients(batch):
    def loss(a, b, slope, shift):
        return probabilistic.matching(a, b, slope, shift, batch["group"][:5], block=3)

    numbers = (*gaussians(batch, slice(0, 5)), SLOPE, SHIFT)
    check_grads(jax.jit(loss), numbers, order=1, modes=["rev"], rtol=2e-2, atol=1e-2)
    check_grads(jax.jit(probabilistic.information), numbers[:1], order=1, modes=["rev"], rtol=2e-2, atol=1e-2)


def test_an_ambiguous_pair_becomes_less_certain(batch):
    """Two captions that both fit two pictures, told apart by nothing: descent widens them; a clear pair narrows."""
    mean = jnp.asarray([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    narrow = jnp.full((3, 2), -4.0)

    def total(log_variance):
        both = Gaussian(mean, log_variance), Gaussian(mean, narrow)
        return jnp.sum(probabilistic.matching(*both, jnp.float32(5.0), jnp.float32(5.0)))

    slope = jax.jit(jax.grad(total))(narrow)
    assert (slope[:2] < 0).all()
    assert (slope[2] > 0).all()


@PSEUDO
def test_eight_devices_agree_with_one(rng, batch, pseudo):
    names = ("a", "b", "a_spread", "b_spread")
    params = {k: jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for k in names}
    params |= {"slope": SLOPE, "shift": SHIFT}

    def loss(params, data):
        at = {k: jnp.dot(data[k], params[k]) for k in names}
        a, b = (Gaussian(reference.unit(at[k]), 0.3 * at[k + "_spread"]) for k in "ab")
        found = probabilistic.matching(
            a, b, params["slope"], params["shift"], data["group"], data["where"], 3 if pseudo else None, pseudo
        )
        return found + 0.1 * probabilistic.information(a, data["where"])

    reference.check_devices(loss, params, batch)


def test_a_batch_of_32k_fits():
    size, block = 32_768, 256
    side = Gaussian(*[jax.ShapeDtypeStruct((size, 64), jnp.float32)] * 2)

    def loss(a, b):
        return jnp.mean(probabilistic.matching(a, b, SLOPE, SHIFT, block=block))

    used = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(side, side).compile().memory_analysis()
    assert used.temp_size_in_bytes < 5 * size * block * 4


def test_half_precision_is_computed_in_full(batch):
    half = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), gaussians(batch))
    full = jax.tree.map(lambda x: np.asarray(x).astype(np.float32), half)

    @jax.jit
    def figures(a, b):
        return probabilistic.matching(a, b, SLOPE, SHIFT), probabilistic.distance(a, b), probabilistic.information(a)

    for found, expected in zip(figures(*half), figures(*full)):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6)
