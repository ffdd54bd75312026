"""Greedy search and sampling: golden sequences, exact support, frequencies against the softmax."""

import functools

import decode_toy as toy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import decode
from mmjax.decode import sampling
from mmjax.errors import UserError

END = 0
SHARES = np.array([0.05, 0.4, 0.25, 0.15, 0.1, 0.05])  # of one step; token 0 ends


def drawn(shares, draws, **options):
    """Frequencies of single tokens: `draws` samples of one step from given shares."""
    step = lambda carry, token: (carry, jnp.broadcast_to(jnp.log(jnp.asarray(shares, jnp.float32)), (2, len(shares))))  # noqa: E731
    run = jax.jit(lambda key: decode.sample(step, (), jnp.array([1, 1]), END, 1, key=key, n=draws // 2, **options))
    out = run(jax.random.key(0))
    return np.bincount(np.asarray(out.tokens).ravel(), minlength=len(shares)) / draws, out


def close(frequencies, shares, draws):
    """Within five standard errors of each share, and never outside the support."""
    shares = np.asarray(shares)
    assert np.all(np.abs(frequencies - shares) <= 5 * np.sqrt(shares * (1 - shares) / draws))


def test_greedy_by_hand():
    table = jnp.log(jnp.array([[1.0, 0, 0], [0.1, 0.3, 0.6], [0.8, 0.1, 0.1]]))
    out = jax.jit(lambda s: decode.greedy(lambda c, t: (c, table[t], {"from": t}), (), s, END, 4))(jnp.array([1, 2]))
    np.testing.assert_array_equal(out.tokens[:, 0], [[2, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(out.lengths, [[1], [0]])
    np.testing.assert_array_equal(out.finished, [[True], [True]])
    np.testing.assert_allclose(out.scores, np.log([[0.48], [0.8]]), rtol=1e-5)
    np.testing.assert_array_equal(out.emitted["from"][:, 0], [[1, 2, 0, 0], [2, 0, 0, 0]])
    longer = decode.greedy(lambda c, t: (c, table[t]), (), jnp.array([2]), END, 3, min_length=2, forbidden=(2,))
    np.testing.assert_array_equal(longer.tokens, [[[1, 1, 1]]])
    np.testing.assert_allclose(longer.scores, np.log([[0.1 * 0.3 * 0.3]]), rtol=1e-5)
    assert not bool(longer.finished[0, 0])


def test_greedy_does_not_depend_on_the_batch():
    step, _ = toy.network(0, 500)
    carry = toy.carry(1, 6)
    run = jax.jit(lambda c: decode.greedy(step, c, 500, END, 8))
    out, order = run(carry), np.array([5, 2, 0, 1, 4, 3])
    moved = run(jax.tree.map(lambda x: x[order] if x.ndim else x, carry))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[order], rtol=1e-5), moved, out)
    np.testing.assert_array_equal(run(toy.rows(carry, 3)).tokens[0], out.tokens[3])


def test_frequencies_are_the_softmax():
    draws = 40_000
    frequencies, out = drawn(SHARES, draws)
    close(frequencies, SHARES, draws)
    np.testing.assert_allclose(out.scores, np.log(SHARES)[np.asarray(out.tokens)[..., 0]], rtol=1e-5)
    cold = SHARES**2 / np.sum(SHARES**2)
    close(drawn(SHARES, draws, temperature=0.5)[0], cold, draws)


def test_top_k_and_top_p_keep_exactly_what_they_should():
    draws = 20_000
    close(drawn(SHARES, draws, top_k=3)[0], np.array([0, 0.4, 0.25, 0.15, 0, 0]) / 0.8, draws)
    # .4 + .25 = .65 < .7 <= .8: three tokens; with exactly .4 one is enough.
    close(drawn(SHARES, draws, top_p=0.7)[0], np.array([0, 0.4, 0.25, 0.15, 0, 0]) / 0.8, draws)
    close(drawn(SHARES, draws, top_p=0.39)[0], np.array([0, 1, 0, 0, 0, 0]), draws)
    # top-k first: of three tokens (.5, .3125, .1875) two have .8 of the rest.
    frequencies, out = drawn(SHARES, draws, top_k=3, top_p=0.8)
    close(frequencies, np.array([0, 0.4, 0.25, 0, 0, 0]) / 0.65, draws)
    np.testing.assert_allclose(np.unique(out.scores), np.log([0.25, 0.4]), rtol=1e-5)  # the network's own
    close(drawn(SHARES, draws, forbidden=(1,))[0], np.array([0.05, 0, 0.25, 0.15, 0.1, 0.05]) / 0.6, draws)
    close(drawn(SHARES, draws, min_length=1)[0], np.array([0, 0.4, 0.25, 0.15, 0.1, 0.05]) / 0.95, draws)


def test_frequencies_over_a_vocabulary_in_blocks(rng):
    """Drawn by block, then inside it: against the shares, over a vocabulary that no block divides."""
    logits = rng.normal(0, 2, 103).astype(np.float32)
    logits[rng.integers(0, 103, 30)] = -np.inf
    shares = np.exp(logits - np.logaddexp.reduce(logits))
    draws = 200_000
    keys = jax.random.split(jax.random.key(1), draws)
    tokens = jax.jit(jax.vmap(sampling.categorical, in_axes=(0, None)))(keys, jnp.asarray(logits))
    frequencies = np.bincount(tokens, minlength=103) / draws
    assert len(frequencies) == 103
    close(frequencies, shares, draws)


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
def test_nucleus_is_that_of_a_sort(rng, top_p):
    logits = rng.normal(0, 2, (8, 997)).astype(np.float32)
    kept = np.isfinite(jax.jit(functools.partial(sampling.nucleus, top_p=top_p))(jnp.asarray(logits)))
    for row, mask in zip(logits.astype(np.float64), kept):
        order = np.argsort(-row)
        mass = np.cumsum(np.exp(row[order]) / np.sum(np.exp(row)))
        wanted = int(np.searchsorted(mass, top_p)) + 1
        assert abs(int(mask.sum()) - wanted) <= (top_p > 0.99)  # float32 sums against float64
        np.testing.assert_array_equal(np.sort(order[: int(mask.sum())]), np.flatnonzero(mask))


def test_sequences_follow_the_chain():
    """Two steps: the share of each sequence is the product; scores and emissions are of the sequence drawn."""
    table = np.array([[1.0, 0, 0], [0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
    log = jnp.log(jnp.asarray(table, jnp.float32))
    run = jax.jit(lambda k: decode.sample(lambda c, t: (c, log[t], t), (), jnp.array([1]), END, 2, key=k, n=30_000))
    out = run(jax.random.key(3))
    first, second = np.asarray(out.tokens[0]).T
    for a, b in ((1, 0), (1, 2), (2, 0), (2, 1)):
        share = table[1, a] * table[a, b]
        assert abs(np.mean((first == a) & (second == b)) - share) < 0.015
    assert np.all(second[first == END] == END)
    p = np.log(table[1, first]) + np.where(first == END, 0, np.log(np.maximum(table[first, second], 1e-30)))
    np.testing.assert_allclose(out.scores[0], p, rtol=1e-4)
    np.testing.assert_array_equal(out.emitted[0], np.stack([np.ones_like(first), first], 1) * (1, 1))
    np.testing.assert_array_equal(out.lengths[0], (first != END).astype(int) + ((first != END) & (second != END)))


def test_draws_depend_on_the_example_and_its_key_only():
    step, _ = toy.network(4, 12)
    carry, keys = toy.carry(5, 4), jax.random.split(jax.random.key(6), 4)
    run = jax.jit(lambda c, k: decode.sample(step, c, 12, END, 6, key=k, n=3))
    out = run(carry, keys)
    assert len({tuple(np.asarray(row)) for row in out.tokens.reshape(12, 6)}) > 6
    order = np.array([2, 0, 3, 1])
    moved = run(jax.tree.map(lambda x: x[order] if x.ndim else x, carry), keys[order])
    np.testing.assert_array_equal(moved.tokens, out.tokens[order])
    np.testing.assert_array_equal(run(toy.rows(carry, 1), keys[1:2]).tokens[0], out.tokens[1])
    one = run(carry, jax.random.key(7))
    np.testing.assert_array_equal(run(toy.rows(carry, 0), jax.random.key(7)).tokens[0], one.tokens[0])
    assert not np.array_equal(run(carry, jax.random.key(8)).tokens, one.tokens)
    old = jax.eval_shape(run, carry, jax.random.PRNGKey(7))
    assert old.tokens.shape == one.tokens.shape


def test_one_token_left_is_greedy():
    step, _ = toy.network(8, 40)
    carry = toy.carry(9, 10)
    greedy = decode.greedy(step, carry, 40, END, 6)
    for options in ({"top_k": 1}, {"top_p": 1e-6, "temperature": 0.5}):
        out = jax.jit(lambda c, o=options: decode.sample(step, c, 40, END, 6, key=jax.random.key(0), **o))(carry)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), out, greedy)


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}])
def test_mistakes_are_named(options):
    (name,) = options
    with pytest.raises(UserError, match=name):
        decode.sample(lambda c, t: (c, c), jnp.zeros((2, 3)), 1, END, 2, key=jax.random.key(0), **options)


def test_a_key_for_each_example_or_one():
    keys = jax.random.split(jax.random.key(0), 3)
    with pytest.raises(UserError, match="key has the shape"):
        decode.sample(lambda c, t: (c, c), jnp.zeros((2, 3)), 1, END, 2, key=keys)
