"""Losses of localisation: by hand, against loops in NumPy, masked, and on one device as on eight."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.losses import localisation as losses
from mmjax.ops import collective

ROWS, SIDE, WIDTH = 8, 3, 5
PAIRS = {
    "ez_vsl": losses.ez_vsl,
    "summed": functools.partial(losses.ez_vsl, pooling="sum"),
    "lvs": losses.lvs,
}


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def batch(rng):
    """Places, sounds, and whether a row counts."""
    places, sounds = unit(rng.normal(size=(ROWS, SIDE, SIDE, WIDTH))), unit(rng.normal(size=(ROWS, WIDTH)))
    return places, sounds, np.arange(ROWS) % 4 != 2


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def naive(name, places, sounds, rows, nowhere=()):
    """One value per pair, by loops over the rows that count."""
    found, rows = np.zeros(len(places)), np.flatnonzero(rows)
    cos = np.einsum("nhwd,md->nmhw", np.float64(places), np.float64(sounds)).reshape(len(places), len(sounds), -1)
    for n in rows:
        if name == "lvs":
            likely = 1 / (1 + np.exp(-(cos[n] - 0.65) / 0.03))
            unlikely = 1 - 1 / (1 + np.exp(-(cos[n, n] - 0.4) / 0.03))
            right = (likely[n] * cos[n, n]).sum() / likely[n].sum()
            wrong = [(likely[m] * cos[n, m]).sum() / likely[m].sum() for m in rows if m != n]
            wrong.append((unlikely * cos[n, n]).sum() / unlikely.sum())
            found[n] = -np.log(softmax(np.array([right, *wrong]) / 0.07)[0])
            continue

        def score(cosines):
            best = cosines.max() if name == "ez_vsl" else 0.03 * np.log(np.exp(cosines / 0.03).sum())
            return best / 0.03

        silent = [score(np.float64(places[n]).reshape(-1, WIDTH) @ np.float64(z)) for z in nowhere]
        of_picture = np.array([score(cos[n, n]), *(score(cos[n, m]) for m in rows if m != n), *silent])
        of_sound = np.array([score(cos[n, n]), *(score(cos[m, n]) for m in rows if m != n)])
        found[n] = -np.log(softmax(of_picture)[0]) - np.log(softmax(of_sound)[0])
    return found


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_equal_loops(batch, name):
    places, sounds, where = batch
    np.testing.assert_allclose(jax.jit(PAIRS[name])(*batch), naive(name, places, sounds, where), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["ez_vsl", "summed"])
def test_what_is_nowhere_is_a_negative_of_every_picture(batch, rng, name):
    nowhere = unit(rng.normal(size=(2, WIDTH)))
    found = PAIRS[name](*batch, nowhere=jnp.asarray(nowhere))
    np.testing.assert_allclose(found, naive(name, *batch, nowhere), rtol=2e-5, atol=1e-5)


def test_ez_vsl_by_hand():
    """Best cosines [[1, .6], [.8, 0]], temperature .5: 2 and 1.2; 1.6 and 0."""
    places = jnp.asarray([[[[1.0, 0.0], [0.8, 0.6]]], [[[0.8, -0.6], [-0.6, -0.8]]]])  # the second's best for sound 1
    sounds = jnp.asarray([[1.0, 0.0], [0.0, 1.0]])
    found = losses.ez_vsl(places, sounds, temperature=0.5)
    scores = np.array([[1.0, 0.6], [0.8, -0.6]]) / 0.5
    rows = [np.log(1 + np.exp(scores[0, 1] - scores[0, 0])), np.log(1 + np.exp(scores[1, 0] - scores[1, 1]))]
    columns = [np.log(1 + np.exp(scores[1, 0] - scores[0, 0])), np.log(1 + np.exp(scores[0, 1] - scores[1, 1]))]
    np.testing.assert_allclose(found, np.add(rows, columns), rtol=1e-5)
    same = losses.ez_vsl(jnp.ones((4, 2, 2, 1)), jnp.ones((4, 1)))
    np.testing.assert_allclose(same, 2 * np.log(4), rtol=1e-6)


def test_lvs_by_hand():
    """One picture: a place at the sound itself and one across; nothing but its own unlikely place is a negative."""
    found = losses.lvs(jnp.asarray([[[[1.0, 0.0], [0.0, 1.0]]]]), jnp.asarray([[1.0, 0.0]]), temperature=0.5)
    np.testing.assert_allclose(found, np.log1p(np.exp(-2)), rtol=1e-4)  # 1 against 0


def test_senocak_by_hand():
    at = jnp.asarray([[0.0, 0.0], [3.0, 4.0], [1.0, 1.0]])
    own, other = jnp.asarray([[3.0, 4.0], [3.0, 4.0], [7.0, 7.0]]), jnp.asarray([[4.0, -3.0], [3.0, 3.0], [0.0, 0.0]])
    found = losses.senocak_unsupervised(at, own, other, jnp.asarray([True, True, False]))
    # As far from both: (1/2)^2. At the own sound, one away from the other: the softmax of (0, 1).
    np.testing.assert_allclose(found, [0.25, (1 / (1 + np.e)) ** 2, 0], rtol=1e-4)
    attention = jnp.asarray([[[0.5, 0.25], [0.25, 0.0]]] * 2)
    inside = jnp.asarray([[[1.0, 1.0], [0.0, 0.0]]] * 2)
    has = jnp.asarray([True, False])
    boxes = losses.attention_cross_entropy(jnp.log(attention), inside, has)
    np.testing.assert_allclose(boxes, [np.log(8), 0], rtol=1e-6)
    np.testing.assert_allclose(losses.senocak_semi_supervised(found[:2], boxes, has), found[:2] + boxes, rtol=1e-6)
    with_nan = losses.senocak_semi_supervised(found[:2], jnp.asarray([1.0, jnp.nan]), has, 0.5)
    np.testing.assert_allclose(with_nan, [0.75, found[1]], rtol=1e-6)


def make_slavc(rng):
    places = [unit(rng.normal(size=(ROWS, SIDE, SIDE, WIDTH))) for _ in range(4)]
    sounds = [unit(rng.normal(size=(ROWS, WIDTH))) for _ in range(4)]
    return tuple(places[:2]), tuple(sounds[:2]), tuple(places[2:]), tuple(sounds[2:])


def naive_slavc(places, sounds, target_places, target_sounds, tau):
    """The sum of cross-entropies over log sum of products, as in stoneMo/SLAVC: model.py, in float64."""

    def direction(p, s):
        cos = [np.einsum("nhwd,md->nmhw", np.float64(a), np.float64(b)) for a, b in zip(p, s)]
        which, spot = (x.reshape(*x.shape[:2], -1) / tau for x in cos)
        joint = np.log((softmax(which, 1) * softmax(spot, 2)).sum(2))
        return -np.log(np.diag(softmax(joint, 1)))

    return direction(places, target_sounds) + direction(target_places, sounds)


def test_slavc_equals_the_official_sum(rng):
    arrays = make_slavc(rng)
    found = jax.jit(losses.slavc)(*arrays)
    np.testing.assert_allclose(found, naive_slavc(*arrays, 0.03), rtol=1e-4, atol=1e-5)
    where = np.arange(ROWS) < 5
    fewer = losses.slavc(*arrays, jnp.asarray(where))
    few = jax.tree.map(lambda x: x[:5], arrays)
    np.testing.assert_allclose(fewer, [*naive_slavc(*few, 0.03), 0, 0, 0], rtol=1e-4, atol=1e-5)


def test_slavc_by_hand():
    """Two pictures of two places; each sound is at one place of its own picture, and the softmaxes are sharp."""
    eye = jnp.eye(2)
    places = jnp.stack([jnp.stack([eye[0], -eye[0]])[None], jnp.stack([eye[1], -eye[1]])[None]])  # 2 1 2 2
    found = losses.slavc((places, places), (eye, eye), (places, places), (eye, eye), temperature=1.0)
    e = np.e
    own = e / (e + 1) * e / (e + 1 / e) + (1 / e) / (1 / e + 1) * (1 / e) / (e + 1 / e)
    other = (1 / (e + 1) + 1 / (1 / e + 1)) / 2  # both its places are as likely
    np.testing.assert_allclose(found, [2 * np.log(1 + other / own)] * 2, rtol=1e-5)


def test_no_gradient_flows_into_targets(rng):
    arrays = make_slavc(rng)
    grads = jax.grad(lambda *a: jnp.sum(losses.slavc(*a)), argnums=(0, 1, 2, 3))(*jax.tree.map(jnp.asarray, arrays))
    assert all(jnp.any(g != 0) for g in jax.tree.leaves(grads[:2]))
    assert not any(jnp.any(g != 0) for g in jax.tree.leaves(grads[2:]))
    z = jnp.asarray(rng.normal(size=(3, 4, 5)), jnp.float32)
    own, sound, other = jax.grad(lambda *a: jnp.sum(losses.senocak_unsupervised(*a)), (0, 1, 2))(*z)
    assert jnp.all(own != 0)
    assert not jnp.any(sound)
    assert not jnp.any(other)


@pytest.mark.parametrize("name", PAIRS)
def test_gradients_and_rows_that_do_not_count(batch, name):
    places, sounds, where = map(jnp.asarray, batch)
    pairs = jax.jit(lambda p, s: PAIRS[name](p, s, where))
    check_grads(pairs, (places, sounds), 1, ["rev"], eps=1e-3, atol=5e-2, rtol=5e-2)
    spoiled = jnp.where(where[:, None], sounds, jnp.nan)
    value, grad = jax.value_and_grad(lambda s: jnp.sum(PAIRS[name](places, s, where)))(spoiled)
    assert jnp.isfinite(value)
    assert jnp.all(jnp.isfinite(grad))
    np.testing.assert_allclose(value, np.sum(PAIRS[name](places, sounds, where)), rtol=1e-6)


def test_negatives_are_those_of_all_devices(batch, rng):
    """Under pmap each device has its share of the rows, and the values are those of the whole batch."""
    places, sounds, where = batch
    arrays = make_slavc(rng)
    spread = jax.tree.map(lambda x: jnp.asarray(x).reshape(8, 1, *x.shape[1:]), (places, sounds, where, arrays))

    def values(places, sounds, where, arrays):
        found = [run(places, sounds, where) for run in PAIRS.values()]
        return [*found, losses.slavc(*arrays, where)]

    own = jax.pmap(values, axis_name=collective.AXIS)(*spread)
    whole = values(places, sounds, where, arrays)
    for a, b in zip(own, whole, strict=True):
        np.testing.assert_allclose(a.reshape(-1), b, rtol=1e-5, atol=1e-5)
    old, new = {"w": jnp.ones(2)}, {"w": jnp.zeros(2)}
    np.testing.assert_allclose(losses.follow(0.9, old, new)["w"], 0.9, rtol=1e-6)
