"""Losses with a margin: by hand, against loops in NumPy, in blocks, with ties, and on one device as on eight."""

import functools

import jax
import numpy as np
import pairs_reference as reference
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.errors import UserError
from mmjax.losses import metric

ALL_PAIRS = {
    "sum": functools.partial(metric.triplet, margin=0.4, negatives="sum"),
    "hardest": functools.partial(metric.triplet, margin=0.4, negatives="hardest"),
    "push_pull": functools.partial(metric.push_pull_all, margin=1.5),
}
NAMES = pytest.mark.parametrize("name", ALL_PAIRS)


@pytest.fixture
def batch(rng):
    made = reference.batch(rng)
    return {**made, "a": np.asarray(reference.unit(made["a"])), "b": np.asarray(reference.unit(made["b"]))}


def naive(name, a, b, group, where):
    """One value per pair, by loops."""
    found, rows = np.zeros(len(a)), np.flatnonzero(where)
    for i in rows:
        if name == "push_pull":
            for j in rows:
                d = np.linalg.norm(np.float64(a[i]) - b[j])
                found[i] += d**2 / 2 if group[i] == group[j] else max(0, 1.5 - d) ** 2 / 2
            continue
        for x, y in ((a, b), (b, a)):
            hinges = [max(0, 0.4 - x[i] @ y[i] + x[i] @ y[j]) for j in rows if group[i] != group[j]]
            found[i] += sum(hinges) if name == "sum" else max(hinges)
    return found


def test_push_pull_by_hand():
    a = jnp.asarray([[3.0, 0.0], [3.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    b = jnp.asarray([[0.0, 4.0], [0.0, 4.0], [0.6, 0.8], [0.0, 0.0], [1.0, 1.0]])  # D = 5, 5, 1, 0, 0
    matched = jnp.asarray([True, False, False, False, True])
    found = jax.jit(metric.push_pull)(a, b, matched, 1.5)
    np.testing.assert_allclose(found, [12.5, 0, 0.125, 1.125, 0])
    slope = jax.jit(jax.grad(lambda a: jnp.sum(metric.push_pull(a, b, matched, 1.5))))(a)
    # Pull: a - b. Push: (margin - D) along (b - a) / D; nothing beyond the margin, and no direction where they meet.
    np.testing.assert_allclose(slope, [[3, -4], [0, 0], [0.3, 0.4], [0, 0], [0, 0]], atol=1e-6)


def test_triplet_by_hand():
    image, text = jnp.asarray([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), jnp.asarray([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    # s = [[1, 0.6, 0], [0.8, 0.96, 0.6], [0, 0.8, 1]], margin 0.3. Rows (texts of an image):
    #   0; [0.3 - 0.96 + 0.8] = 0.14 and -0.06; [0.3 - 1 + 0.8] = 0.1. Columns (images of a text): 0.1; 0.14; 0.
    apply = jax.jit(metric.triplet, static_argnums=3)
    found = apply(image, text, 0.3, "sum")
    np.testing.assert_allclose(found, [0.1, 0.14 + 0.14, 0.1], rtol=1e-5)
    # margin 0.5: 0.1, 0; 0.34, 0.14; 0, 0.3 and by columns 0.3, 0; 0.14, 0.34; 0, 0.1
    found = apply(image, text, 0.5, "sum")
    np.testing.assert_allclose(found, [0.1 + 0.3, 0.48 + 0.48, 0.3 + 0.1], rtol=1e-5)
    found = apply(image, text, 0.5, "hardest")
    np.testing.assert_allclose(found, [0.1 + 0.3, 0.34 + 0.34, 0.3 + 0.1], rtol=1e-5)
    with pytest.raises(UserError, match=r"^negatives is 'semi': choose 'sum' or 'hardest'"):
        metric.triplet(image, text, negatives="semi")


@NAMES
@pytest.mark.parametrize("block", [None, 5])
def test_against_loops(batch, name, block):
    found = jax.jit(functools.partial(ALL_PAIRS[name], block=block))(
        batch["a"], batch["b"], group=batch["group"], where=batch["where"]
    )
    np.testing.assert_allclose(found, naive(name, **batch), rtol=2e-5, atol=1e-6)


@NAMES
def test_blocks_do_not_change_the_gradient_and_padding_has_none(batch, name):
    where = batch["where"]
    weight = jnp.asarray(np.linspace(0.5, 2, 16), jnp.float32)
    spoilt = [np.where(where[:, None], batch[k], fill) for k, fill in (("a", np.nan), ("b", np.inf))]

    def total(a, b, where, block):
        return jnp.sum(weight * ALL_PAIRS[name](a, b, group=batch["group"], where=where, block=block))

    gradient = jax.jit(jax.grad(total, argnums=(0, 1)), static_argnums=3)
    for found, expected in zip(gradient(*spoilt, where, 5), gradient(batch["a"], batch["b"], where, None)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        assert not np.any(expected[~where])
        assert np.abs(expected[where]).max(1).min() > 0


@NAMES
def test_eight_devices_agree_with_one(rng, name):
    params = {k: jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for k in "ab"}

    def loss(params, data):
        a, b = (reference.unit(jnp.dot(data[k], params[k])) for k in "ab")
        return ALL_PAIRS[name](a, b, group=data["group"], where=data["where"], block=3)

    reference.check_devices(loss, params, reference.batch(rng))


def test_of_equal_negatives_the_first_is_the_hardest():
    """Six pairs, all negatives alike: one of them moves, not a share of each, whatever the blocks."""
    image = jnp.tile(jnp.asarray([[1.0, 0.0]]), (6, 1))
    text = jnp.tile(jnp.asarray([[0.6, 0.8]]), (6, 1))
    group = jnp.asarray([0, 0, 1, 2, 3, 4])

    def first(text, block):
        return metric.triplet(image, text, 0.2, "hardest", group, block=block)[0]

    step = jax.jit(jax.value_and_grad(first), static_argnums=1)
    for block in (None, 1, 4):
        value, slope = step(text, block)
        np.testing.assert_allclose(value, 0.4, rtol=1e-6)  # collapsed: the margin, twice
        # -s(i, c) twice and s(i', c) once at the pair's own text, s(i, c') at the first of another group.
        np.testing.assert_allclose(slope, [[-1, 0], [0, 0], [1, 0], [0, 0], [0, 0], [0, 0]], atol=1e-6)
    nobody = jax.jit(metric.triplet, static_argnums=3)(image, text, 0.2, "hardest", jnp.zeros(6, jnp.int32))
    np.testing.assert_array_equal(nobody, np.zeros(6))


def test_a_batch_of_32k_fits():
    size, block = 32_768, 256
    shapes = [jax.ShapeDtypeStruct((size, 64), jnp.float32)] * 2
    for name, loss in ALL_PAIRS.items():
        step = jax.jit(jax.value_and_grad(lambda a, b, f=loss: jnp.mean(f(a, b, block=block)), argnums=(0, 1)))
        used = step.lower(*shapes).compile().memory_analysis().temp_size_in_bytes
        assert used < 5 * size * block * 4, name


def test_gradients(batch):
    a, b = batch["a"][:5], batch["b"][:5]
    group = batch["group"][:5]
    for loss in ALL_PAIRS.values():
        check_grads(jax.jit(lambda a, b, f=loss: f(a, b, group=group)), (a, b), 1, modes=["rev"], rtol=2e-2, atol=1e-2)


VECTORS = jnp.asarray([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.8, 0.6]])


def test_devise_by_hand():
    image = jnp.asarray([[2.0, 0.0], [0.0, 1.0], [jnp.nan, 1.0]])  # t . v = 2, 1.2, 0, 1.6 and 0, 0.8, 1, 0.6
    label = jnp.asarray([1, 2, -1])
    found = jax.jit(metric.devise)(image, VECTORS, label, 0.5)
    np.testing.assert_allclose(found, [1.3 + 0 + 0.9, 0.3 + 0.1, 0], rtol=1e-5)
    step = jax.jit(jax.grad(lambda *given: jnp.sum(metric.devise(*given, label, 0.5)), argnums=(0, 1)))
    slope, frozen = step(image, VECTORS)
    # t_0 + t_3 - 2 t_1; t_1 + t_3 - 2 t_2; nothing
    np.testing.assert_allclose(slope, [[0.6, -1.0], [1.4, -0.6], [0, 0]], atol=1e-6)
    assert not np.any(frozen)


def test_devise_stops_at_the_first_violation_of_a_random_order(rng):
    image, vectors = (rng.normal(size=shape).astype(np.float32) for shape in ((1, 3), (6, 3)))
    scores = (image @ vectors.T)[0]
    label = int(np.argsort(scores)[2])  # three labels score higher
    whole = np.delete(np.maximum(0, 0.1 - scores[label] + scores), label)
    apply = jax.jit(metric.devise)
    many = np.tile(image, (4000, 1)), vectors, np.full(4000, label)
    found = np.asarray(apply(*many, key=jax.random.key(0)))
    np.testing.assert_allclose(apply(*many)[0], whole.sum(), rtol=1e-5)
    terms = whole[whole > 0]
    assert len(terms) >= 3
    nearest = np.abs(found[:, None] - terms).argmin(1)
    np.testing.assert_allclose(found, terms[nearest], rtol=1e-5)
    np.testing.assert_allclose(np.bincount(nearest) / 4000, 1 / len(terms), atol=0.035)  # each as likely
    right = apply(vectors[:1] * 100, np.eye(6, 3, dtype=np.float32), vectors[:1].argmax(1), key=jax.random.key(0))
    np.testing.assert_array_equal(right, [0])  # nothing violates


def test_devise_against_loops_and_gradients(rng):
    image, vectors = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 3), (4, 3)))
    label = np.array([0, 3, -1, 2, 2])
    expected = [
        sum(max(0, 0.1 - vectors[y] @ v + vectors[j] @ v) for j in range(4) if j != y) if y >= 0 else 0
        for v, y in zip(image, label)
    ]
    step = jax.jit(lambda image: metric.devise(image, vectors, label))
    np.testing.assert_allclose(step(image), expected, rtol=1e-5, atol=1e-6)
    check_grads(jax.jit(step), (image,), order=1, modes=["rev"], rtol=2e-2, atol=1e-2)
