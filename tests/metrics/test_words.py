"""Word similarity and analogies against SciPy and a loop."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from scipy import stats

from mmjax.metrics import words


def test_spearman_against_scipy_with_ties_and_left_out_entries(rng):
    for _ in range(5):
        x, y = rng.integers(0, 6, 40).astype(np.float32), rng.normal(size=40).astype(np.float32)
        y[:10] = np.round(y[:10])
        where = rng.random(40) < 0.7
        found = jax.jit(words.spearman)(jnp.array(x), jnp.array(y), jnp.array(where))
        assert float(found) == pytest.approx(stats.spearmanr(x[where], y[where]).statistic, abs=1e-5)
    assert float(words.spearman(jnp.ones(4), jnp.arange(4.0), jnp.ones(4, bool))) == 0  # a constant knows nothing


def test_pairs_leave_unknown_words_out_and_say_so(rng):
    table = rng.normal(size=(20, 6)).astype(np.float32)
    different = rng.permutation(np.stack(np.triu_indices(20, 1), -1))[:15]
    pairs = np.concatenate([different, [[3, -1], [-1, -1], [-1, 4]]]).astype(np.int32)
    judged = rng.normal(size=18).astype(np.float32)
    value, covered = words.pair_correlation(jnp.array(table), jnp.array(pairs), jnp.array(judged))
    a, b = table[pairs[:15, 0]], table[pairs[:15, 1]]
    cosine = np.sum(a * b, -1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    assert float(value) == pytest.approx(stats.spearmanr(cosine, judged[:15]).statistic, abs=1e-5)
    assert float(covered) == pytest.approx(15 / 18)


def test_analogies_against_a_loop(rng):
    table = rng.normal(size=(30, 4)).astype(np.float32)
    # half of the questions are made right by construction
    questions = rng.permuted(np.tile(np.arange(30), (40, 1)), axis=1)[:, :4].astype(np.int32)
    questions[0, 1] = -1
    unit = table / np.linalg.norm(table, axis=-1, keepdims=True)
    most, right, counted = 25, 0, 0
    for a, b, c, answer in questions:
        if min(a, b, c, answer) < 0 or max(a, b, c, answer) >= most:
            continue
        scores = unit[:most] @ (unit[b] - unit[a] + unit[c])
        scores[[a, b, c]] = -9
        right, counted = right + (np.argmax(scores) == answer), counted + 1
    assert 0 < counted < 40
    value, covered = words.analogy_accuracy(jnp.array(table), jnp.array(questions), most, chunk=16)
    assert float(value) == pytest.approx(right / counted)
    assert float(covered) == pytest.approx(counted / 40)


def test_an_analogy_that_holds_is_found():
    # king - man + woman = queen, among words that point elsewhere
    man, woman, royal = np.eye(5, dtype=np.float32)[:3]
    table = np.stack([man, woman, man + royal, woman + royal, *np.eye(5, dtype=np.float32)[3:]])
    value, covered = words.analogy_accuracy(jnp.array(table), jnp.array([[0, 2, 1, 3]]))
    assert (float(value), float(covered)) == (1, 1)
    # without the exclusion of the question's own words the answer would be king itself
    value, _ = words.analogy_accuracy(jnp.array(table), jnp.array([[0, 2, 1, 2]]))
    assert float(value) == 0


def test_neighbours_are_the_nearest_without_the_word_itself(rng):
    table = rng.normal(size=(12, 5)).astype(np.float32)
    unit = table / np.linalg.norm(table, axis=-1, keepdims=True)
    order = np.argsort(-(unit @ unit.T), axis=-1)
    found = np.asarray(words.neighbours(jnp.array(table), jnp.array([3, 7]), 4))
    np.testing.assert_array_equal(found, order[[3, 7], 1:5])
