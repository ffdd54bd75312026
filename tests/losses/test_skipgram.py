"""The skip-gram objectives: by hand, against word2vec's loop in NumPy, and each other's limit."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.losses import skipgram
from mmjax.models.text.skipgram import draw, noise_table


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_pair_by_hand():
    # one centre between two words of its sentence; scores 1, (itself), 2; one noise word with score -1 and weight 3
    scores = jnp.array([[[1.0, 9.0, 2.0, -1.0]]])
    mask = skipgram.contexts(jnp.array([[0, 0, 0]]), jnp.array([[1]]), spare=1)
    assert mask.tolist() == [[[True, False, True, False]]]
    value = skipgram.negative_sampling(scores, jnp.float32(mask), jnp.zeros((1, 3)), jnp.float32(1.5))
    # -log s(1) - log s(2) - 2 pairs * 1.5 * log s(1) = .313262 + .126928 + 3 * .313262
    np.testing.assert_allclose(value, [[1.379976]], rtol=1e-5)


def test_contexts_keep_to_the_radius_the_sentence_and_the_text(rng):
    halo, block = 3, 8
    sentence = np.sort(rng.integers(-1, 3, (4, block + 2 * halo)), -1)[:, ::-1].astype(np.int32)
    radius = rng.integers(1, halo + 1, (4, block)).astype(np.int32)
    found = np.asarray(jax.jit(skipgram.contexts)(sentence, radius))
    for b in range(4):
        for i in range(block):
            for j in range(block + 2 * halo):
                near = 0 < abs(j - halo - i) <= radius[b, i]
                own = sentence[b, i + halo]
                assert found[b, i, j] == (near and own == sentence[b, j] and own >= 0)


def test_shared_noise_stands_for_each_pairs_own_and_skips_its_context():
    # contexts 7 and 8, noise 7 and 9, 4 noise words a pair: each stands for 2 of a pair, but 7 for none of context 7's
    window, noise = jnp.array([[7, 5, 8]]), jnp.array([[7, 9]])
    hits = skipgram.hits(window, noise)
    np.testing.assert_array_equal(hits, [[1, 0, 0]])
    scores, mask = jnp.array([[[0.3, 0.0, -0.2, 0.3, 0.7]]]), jnp.array([[[1.0, 0.0, 1.0, 0.0, 0.0]]])
    found = skipgram.negative_sampling(scores, mask, hits, jnp.float32(2))
    wanted = np.log1p(np.exp([-0.3, 0.2, 0.3, 0.7, 0.7])) @ [1, 1, 2, 2, 2]  # 7 is noise of 8 only, 9 of both
    np.testing.assert_allclose(found, [[wanted]], rtol=1e-6)


@pytest.mark.parametrize(("block", "window"), [(8, 3), (16, 5)])
def test_pairs_within_randomly_cut_blocks_are_all_pairs_on_average(block, window):
    weights, length = skipgram.seen(block), 5 * block
    total = np.zeros((length, length))
    for shift in range(block):
        for start in range(-shift, length, block):
            inside = np.arange(max(start, 0), min(start + block, length))
            total[np.ix_(inside, inside)] += weights[np.ix_(inside - start, inside - start)]
    near = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    wanted = np.ones((length, length)) * block
    np.testing.assert_allclose(total[near <= window], wanted[near <= window], rtol=1e-6)


def test_against_a_loop_over_pairs(rng):
    b, n, w, k, d, negatives = 2, 4, 8, 3, 5, 5
    window, noise = rng.integers(0, 6, (b, w)), rng.integers(0, 6, (b, k))
    words, contexts = rng.normal(size=(b, n, d)), rng.normal(size=(6, d))[np.concatenate([window, noise], 1)]
    mask = rng.random((b, n, w)) < 0.5
    expected = np.zeros((b, n))
    for i, j, c in zip(*np.nonzero(mask)):
        expected[i, j] -= np.log(sigmoid(words[i, j] @ contexts[i, c]))
        for v in range(k):
            if noise[i, v] != window[i, c]:
                expected[i, j] -= negatives / k * np.log(sigmoid(-words[i, j] @ contexts[i, w + v]))
    scores = jnp.float32(np.einsum("bld,bmd->blm", words, contexts))
    padded = np.pad(mask, ((0, 0), (0, 0), (0, k)))
    rest = jnp.float32(padded), skipgram.hits(jnp.int32(window), jnp.int32(noise)), jnp.float32(negatives / k)
    found = jax.jit(skipgram.negative_sampling)(scores, *rest)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    check_grads(
        lambda s: skipgram.negative_sampling(s, *rest),
        (scores,),
        order=1,
        modes=["rev"],
        atol=2e-2,
        rtol=2e-2,
    )


def test_the_loss_is_exact_and_its_gradient_finite_far_out():
    x = jnp.array([-200.0, -20.0, 0.0, 20.0, 200.0])

    def value(x, mask, share):  # one context with score x, one noise word with score x
        return skipgram.negative_sampling(
            jnp.full((1, 1, 2), x), jnp.float32([[[mask, 0]]]), jnp.zeros((1, 1)), jnp.float32(share)
        )[0, 0]

    pull, both = (jax.vmap(lambda x, share=share: value(x, 1, share))(x) for share in (0, 1))
    np.testing.assert_allclose(pull, np.logaddexp(0, -np.float64(x)), rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(both - pull, np.logaddexp(0, np.float64(x)), rtol=1e-6, atol=1e-6)
    slope = jax.vmap(jax.grad(lambda x: value(x, 1, 1)))(x)
    np.testing.assert_allclose(slope, 2 * sigmoid(np.float64(x)) - 1, rtol=1e-6)


def test_masked_scores_do_not_matter(rng):
    scores = jnp.float32(rng.normal(size=(1, 2, 5)))
    mask, hits = jnp.array([[[1.0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]]), jnp.ones((1, 3))
    value = skipgram.negative_sampling(scores, mask, hits, jnp.float32(0))
    spoiled = jnp.where(mask > 0, scores, 1e4)
    np.testing.assert_allclose(skipgram.negative_sampling(spoiled, mask, hits, jnp.float32(0)), value)
    assert value[0, 1] == 0  # a centre without contexts


def test_full_softmax_by_numpy(rng):
    scores, window = rng.normal(size=(2, 3, 6)), rng.integers(0, 6, (2, 5))
    mask = rng.random((2, 3, 5)) < 0.6
    log_p = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    expected = np.zeros((2, 3))
    for b, i, j in zip(*np.nonzero(mask)):
        expected[b, i] -= log_p[b, i, window[b, j]]
    found = jax.jit(skipgram.full_softmax)(jnp.float32(scores), mask, jnp.int32(window))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("offset", "tolerance"), [(4.0, 0.2), (8.0, 5e-3), (12.0, 1e-4)])
def test_negative_sampling_tends_to_the_full_softmax(rng, offset, tolerance):
    """Every word once as noise, with weight e^c / Z, and scores less c: as c grows the gradients become equal.

    Then sigmoid(s - c) -> e^(s - c), so that the noise pushes word v by softmax(s)_v, and the context is pulled by 1.
    """
    v = 6
    scores = jnp.float32(rng.normal(size=(1, 1, v)))
    window, mask = jnp.array([[2]]), jnp.zeros((1, 1, v + 1)).at[..., 0].set(1)
    share = jnp.exp(jnp.float32(offset)) / jnp.sum(jnp.exp(scores))

    def sampled(scores):
        both = jnp.concatenate([scores[..., 2:3], scores], -1) - jnp.float32(offset)
        return jnp.sum(skipgram.negative_sampling(both, mask, jnp.zeros((1, 1)), share))

    wanted = jax.grad(lambda s: jnp.sum(skipgram.full_softmax(s, mask[..., :1], window)))(scores)
    assert float(jnp.max(jnp.abs(jax.grad(sampled)(scores) - wanted))) < tolerance


def test_noise_follows_the_counts_to_the_three_quarters(rng):
    counts = np.array([1000, 100, 100, 10, 1], np.int32)
    table = noise_table(jnp.array(counts), 0.75, 2**16)
    wanted = counts**0.75 / np.sum(counts**0.75)
    np.testing.assert_allclose(np.bincount(table, minlength=5) / 2**16, wanted, atol=2e-5)
    drawn = np.bincount(np.asarray(draw(table, jax.random.key(0), (200, 1000))).ravel(), minlength=5) / 200_000
    np.testing.assert_allclose(drawn, wanted, atol=5e-3)
