"""The SVM against liblinear (in scikit-learn), against its dual solved in NumPy, and by hand."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.ops import linear_svm


def blobs(rng, samples=240, width=12, classes=4, apart=1.0):
    """Overlapping clouds with features of unlike scales, so that no plane is easy."""
    centres = apart * rng.normal(size=(classes, width))
    label = rng.integers(0, classes, samples)
    features = (centres[label] + rng.normal(size=(samples, width))) * rng.uniform(0.2, 5, width)
    return features.astype(np.float32), label.astype(np.int32)


def dual(features, sign, cost, sweeps=4000):
    """Liblinear's dual, sum a_i a_j Q_ij / 2 + sum a_i^2 / (4 cost) - sum a_i over a >= 0, a coordinate at a time."""
    x = np.concatenate([np.float64(features), np.ones((len(features), 1))], 1) * sign[:, None]
    alpha, planes = np.zeros(len(x)), np.zeros(x.shape[1])
    curve = np.sum(x * x, 1) + 1 / (2 * cost)
    for _ in range(sweeps):
        largest = 0.0
        for i in range(len(x)):
            new = max(alpha[i] - (x[i] @ planes - 1 + alpha[i] / (2 * cost)) / curve[i], 0)
            planes += (new - alpha[i]) * x[i]
            largest, alpha[i] = max(largest, abs(new - alpha[i])), new
        if largest < 1e-9 * cost:
            break
    return planes


def objective(planes, features, sign, cost):
    x = np.concatenate([np.float64(features), np.ones((len(features), 1))], 1)
    return 0.5 * np.sum(planes**2) + cost * np.sum(np.maximum(0, 1 - sign * (x @ planes)) ** 2)


@pytest.mark.parametrize("cost", [0.01, 1.0, 30.0])
def test_equal_to_scikit_learn(rng, cost):
    svm = pytest.importorskip("sklearn.svm")
    features, label = blobs(rng)
    theirs = svm.LinearSVC(C=cost, tol=1e-9, max_iter=1_000_000, random_state=0, dual=True).fit(features, label)
    ours = linear_svm.fit(features, label, 4, cost)
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, atol=5e-5 * np.abs(theirs.coef_).max())
    np.testing.assert_allclose(ours.bias, theirs.intercept_, atol=5e-5 * np.abs(theirs.intercept_).max())
    fresh, _ = blobs(rng)
    decided = theirs.decision_function(fresh)
    np.testing.assert_allclose(ours.scores(fresh), decided, atol=5e-5 * np.abs(decided).max())
    np.testing.assert_array_equal(np.argmax(ours.scores(fresh), -1), theirs.predict(fresh))


def test_equal_to_the_dual_solved_in_numpy(rng):
    features, label = blobs(rng, samples=60, width=5, classes=3)
    for cost in (0.01, 0.1):
        ours = linear_svm.fit(features, label, 3, cost)
        for c in range(3):
            sign = np.where(label == c, 1.0, -1.0)
            planes = dual(features, sign, cost)
            mine = np.append(ours.weights[:, c], ours.bias[c])
            np.testing.assert_allclose(mine, planes, atol=1e-4 * np.abs(planes).max())
            assert objective(mine, features, sign, cost) <= objective(planes, features, sign, cost) * (1 + 1e-6)


def test_by_hand():
    """x = +-1 on a line, C: the bias is 0 and w minimises w^2 / 2 + 2 C (1 - w)^2, which is 4 C / (1 + 4 C)."""
    for cost in (0.01, 1.0, 100.0):
        found = linear_svm.fit(np.array([[1.0], [-1.0]], np.float32), np.array([0, 1], np.int32), 2, cost)
        w = 4 * cost / (1 + 4 * cost)
        np.testing.assert_allclose(found.weights, [[w, -w]], rtol=1e-5)
        np.testing.assert_allclose(found.bias, [0, 0], atol=1e-6)


def test_padding_does_not_count(rng):
    features, label = blobs(rng)
    whole = linear_svm.fit(features[:200], label[:200], 4, 0.1)
    spoiled = features.copy()
    spoiled[200:] = np.nan
    padded = linear_svm.fit(spoiled, label, 4, 0.1, where=np.arange(len(label)) < 200)
    np.testing.assert_allclose(padded.weights, whole.weights, rtol=1e-3, atol=1e-5)


def test_separable_constant_and_tiny_data(rng):
    features, label = blobs(rng, apart=20.0)
    found = linear_svm.fit(features, label, 4, 1e4)
    np.testing.assert_array_equal(np.argmax(found.scores(features), -1), label)
    nothing = linear_svm.fit(np.zeros((8, 3), np.float32), np.arange(8, dtype=np.int32) % 2, 2)
    assert np.isfinite(np.asarray(nothing.bias)).all()
    np.testing.assert_allclose(nothing.weights, 0)
    missing = linear_svm.fit(features, np.zeros_like(label), 3)  # classes without a sample are never chosen
    np.testing.assert_array_equal(np.argmax(missing.scores(features), -1), 0)
    with pytest.raises(UserError, match="at least 2 classes"):
        linear_svm.fit(features, label, 1)


def test_scores_of_any_shape_and_under_jit(rng):
    features, label = blobs(rng)
    found = linear_svm.fit(jnp.asarray(features, jnp.bfloat16), label, 4)
    scores = jax.jit(linear_svm.LinearSVM.scores)(found, features.reshape(8, 30, 12))
    np.testing.assert_allclose(scores.reshape(-1, 4), features @ found.weights + found.bias[None], rtol=1e-4, atol=1e-4)
