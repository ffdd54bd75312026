"""The cosine embedding loss: by hand, against PyTorch's, with mismatches drawn alike on one device and eight."""

import jax
import numpy as np
import pairs_reference as reference
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.losses import cosine

KEY = jax.random.key(5)


@pytest.fixture
def batch(rng):
    return reference.batch(rng)


def naive(a, b, matched, margin):
    a, b = np.float64(a), np.float64(b)
    found = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return np.where(matched, 1 - found, np.maximum(0, found - margin))


def test_by_hand():
    a = jnp.asarray([[3.0, 4.0]] * 4)
    b = jnp.asarray([[1.0, 0.0], [2.0, 0.0], [0.0, -7.0], [6.0, 8.0]])  # cosines 0.6, 0.6, -0.8, 1
    matched = jnp.asarray([True, False, False, True])
    np.testing.assert_allclose(jax.jit(cosine.embedding)(a, b, matched), [0.4, 0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(jax.jit(cosine.embedding)(a, b, ~matched, 0.3), [0.3, 0.4, 1.8, 0.7], rtol=1e-5)


def test_against_numpy_and_pytorch(batch):
    a, b, matched = batch["a"], batch["b"], batch["where"] & (batch["group"] > 3)
    found = jax.jit(cosine.embedding)(a, b, matched)
    np.testing.assert_allclose(found, naive(a, b, matched, 0.1), rtol=1e-5, atol=1e-6)
    torch = pytest.importorskip("torch")
    target = torch.tensor(np.where(matched, 1, -1))
    theirs = torch.nn.CosineEmbeddingLoss(0.1, reduction="none")(torch.tensor(a), torch.tensor(b), target)
    np.testing.assert_allclose(found, theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_gradients_and_vectors_of_zeros(batch):
    matched = batch["group"][:6] > 3
    total = jax.jit(lambda a, b: cosine.embedding(a, b, matched, -0.2))
    check_grads(jax.jit(total), (batch["a"][:6], batch["b"][:6]), order=1, modes=["rev"], rtol=2e-2, atol=1e-2)
    zeros = jnp.zeros((2, 3))
    step = jax.jit(jax.value_and_grad(lambda *given: jnp.sum(cosine.embedding(*given))))
    value, slope = step(zeros, zeros, jnp.asarray([True, False]))
    assert value == 1
    assert np.isfinite(slope).all()
    # Descent turns a matched pair together and a mismatched one apart.
    a, b = jnp.asarray([[1.0, 0.0]] * 2), jnp.asarray([[0.6, 0.8]] * 2)
    _, slope = step(a, b, jnp.asarray([True, False]))
    np.testing.assert_allclose(slope, [[0, -0.8], [0, 0.8]], atol=1e-6)


def test_padding_counts_nothing_whatever_it_holds(batch):
    where, matched = batch["where"], batch["group"] > 3
    a, b = (np.where(where[:, None], batch[k], fill) for k, fill in (("a", np.nan), ("b", np.inf)))

    def total(a, b, given):
        values = (
            cosine.embedding(a, b, matched, 0.1, where)
            if given is None
            else cosine.in_batch(given, a, b, batch["group"], where=where)
        )
        return jnp.sum(values), values

    step = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))
    for given in (KEY, None):
        (_, values), gradients = step(a, b, given)
        assert np.isfinite(values).all()
        assert not values[~where].any()
        for gradient in gradients:
            assert np.isfinite(gradient).all()
            assert not gradient[~where].any()
    expected = naive(batch["a"], batch["b"], matched, 0.1)
    np.testing.assert_allclose(values[where], expected[where], rtol=1e-5, atol=1e-6)


def test_mismatches_are_others_and_as_many_as_asked_for():
    size = 4096
    group = jnp.arange(size) // 2  # two captions of each image
    where = jnp.arange(size) % 8 != 3
    draw = jax.jit(cosine.mismatch)
    partner, matched = draw(KEY, group, 0.8, where)
    own = np.arange(size)
    where = np.asarray(where)
    assert where[np.asarray(partner)[where]].all()
    np.testing.assert_array_equal(matched, np.asarray(group)[partner] == group)
    # One in eight of those drawn does not count, and falls back to the pair itself.
    share = np.mean((np.asarray(partner) != own)[where])
    assert abs(share - 0.8 * 7 / 8) < 4 * np.sqrt(0.7 * 0.3 / size)
    shifts = (np.asarray(partner) - own)[np.asarray(partner) != own] % size
    assert abs(shifts.mean() - size / 2) < 4 * size / np.sqrt(12 * len(shifts))  # anybody, not a neighbour
    everybody = np.ones(size, bool)
    np.testing.assert_array_equal(draw(KEY, group, 0.0, everybody)[0], own)
    assert not np.any(np.asarray(draw(KEY, group, 1.0, everybody)[0]) == own)
    partner, matched = draw(KEY, jnp.zeros(2, jnp.int32), 1.0)
    np.testing.assert_array_equal(partner, [1, 0])
    assert matched.all()  # another caption of the same image
    assert draw(KEY, jnp.zeros(1, jnp.int32), 1.0)[0] == 0  # nobody else to be paired with


def test_eight_devices_agree_with_one(rng, batch):
    params = {k: jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for k in "ab"}

    def loss(params, data):
        a, b = (jnp.dot(data[k], params[k]) for k in "ab")
        return cosine.in_batch(KEY, a, b, data["group"], where=data["where"])

    reference.check_devices(loss, params, batch)
    a, b, group, where = batch.values()
    drawn, matched = map(np.asarray, jax.jit(cosine.mismatch)(KEY, group, 0.8, where))
    found = jax.jit(cosine.in_batch)(KEY, a, b, group, where=where)
    np.testing.assert_allclose(found, np.where(where, naive(a, b[drawn], matched, 0.1), 0), rtol=1e-5, atol=1e-6)


def test_triplets_by_hand_and_masked():
    anchor = jnp.asarray([[3.0, 4.0]] * 4)
    near = jnp.asarray([[6.0, 8.0], [2.0, 0.0], [2.0, 0.0], [0.0, 0.0]])  # cosines 1, .6, .6, 0
    far = jnp.asarray([[1.0, 0.0], [1.0, 0.0], [0.0, -7.0], [3.0, 4.0]])  # .6, .6, -.8, 1
    found = jax.jit(cosine.triplet)(anchor, near, far)
    np.testing.assert_allclose(found, [0.1, 0.5, 0, 1.5], atol=1e-6)
    np.testing.assert_allclose(jax.jit(cosine.triplet)(anchor, near, far, 0.2), [0, 0.2, 0, 1.2], atol=1e-6)
    where = jnp.asarray([True, True, False, False])
    total = lambda *x: jnp.sum(cosine.triplet(*x, where=where))  # noqa: E731
    value, slope = jax.jit(jax.value_and_grad(total, (0, 1, 2)))(anchor, near.at[2].set(jnp.nan), far)
    np.testing.assert_allclose(value, 0.6, rtol=1e-6)
    assert np.isfinite(np.concatenate(slope)).all()
    assert not np.any(np.stack(slope)[:, 2:])
    np.testing.assert_allclose(slope[1][1], [0, -0.4], atol=1e-6)  # -d cos / d near: the anchor's part across it


def test_triplets_against_pytorch(batch):
    torch = pytest.importorskip("torch")
    a, b, c = batch["a"], batch["b"], batch["a"][::-1].copy()
    t = [torch.tensor(x) for x in (a, b, c)]
    near, far = (torch.nn.functional.cosine_similarity(t[0], x) for x in t[1:])
    wanted = torch.relu(far - near + 0.5).numpy()
    np.testing.assert_allclose(jax.jit(cosine.triplet)(a, b, c), wanted, rtol=1e-5, atol=1e-6)
