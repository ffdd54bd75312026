"""Figures of drawn pictures: against the reference formula, by hand, and at their extremes."""

import numpy as np
import pytest
from scipy import linalg

from mmjax.metrics import generation


def reference_fid(real, drawn):
    """As in the authors' code: the matrix root of the product of covariances."""
    a, b = np.cov(real, rowvar=False), np.cov(drawn, rowvar=False)
    root = linalg.sqrtm(a.dot(b))
    gap = real.mean(0) - drawn.mean(0)
    return gap @ gap + np.trace(a) + np.trace(b) - 2 * np.trace(np.real(root))


@pytest.mark.parametrize(("n", "m"), [(200, 150), (200, 20), (7, 300)])
def test_frechet_distance_is_the_reference_formula(rng, n, m):
    mix = rng.normal(size=(12, 12))
    real, drawn = rng.normal(size=(n, 12)) @ mix, 0.7 * rng.normal(size=(m, 12)) + 0.3
    np.testing.assert_allclose(generation.frechet_distance(real, drawn), reference_fid(real, drawn), rtol=1e-5)


def test_frechet_distance_by_hand():
    # variances 2 and 8 along one axis, means 0 and 3: 9 + 2 + 8 - 2 sqrt(16) = 11
    real, drawn = np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])
    assert generation.frechet_distance(real, drawn) == pytest.approx(11)


def test_frechet_distance_of_itself_of_a_constant_and_of_few_examples(rng):
    real = rng.normal(size=(50, 8))
    assert generation.frechet_distance(real, real) == pytest.approx(0, abs=1e-9)
    still = np.zeros((20, 8))
    assert generation.frechet_distance(real, still) == pytest.approx(
        np.trace(np.cov(real.T)) + (real.mean(0) ** 2).sum()
    )
    wide = rng.normal(size=(5, 40))  # fewer examples than features, where the matrix root is ill-conditioned
    assert generation.frechet_distance(wide, wide) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="two or more"):
        generation.frechet_distance(real, real[:1])


def test_kernel_distance_against_loops_and_unbiased(rng):
    real, drawn = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)) + 1

    def k(x, y):
        return (x @ y / 3 + 1) ** 3

    pairs = [(i, j) for i in range(6) for j in range(6)]
    own = np.mean([k(x[i], x[j]) for x in (real, drawn) for i, j in pairs if i != j]) * 2
    want = own - 2 * np.mean([k(real[i], drawn[j]) for i, j in pairs])
    assert generation.kernel_distance(real, drawn) == pytest.approx(want)
    values = [generation.kernel_distance(*rng.normal(size=(2, 30, 3)), size=20, subsets=5) for _ in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert min(values) < 0


def test_retrieval_precision_by_hand():
    text = np.eye(4)
    picture = np.array([[1.0, 0.2, 0, 0], [0.9, 0.8, 0, 0], [0, 0, 1, 1.0], [0, 0, 0, 2.0]])
    same = np.eye(4, dtype=bool)
    # right; text 0 is nearer; a tie with text 3; right
    assert generation.retrieval_precision(picture, text, same) == 0.5
    assert generation.chance_precision(same) == 0.25
    same[1, 0] = True  # the same words: no mismatch
    assert generation.retrieval_precision(picture, text, same) == 0.75
    assert generation.chance_precision(same) == pytest.approx((3 / 4 + 1 / 3) / 4)


def test_retrieval_precision_of_random_embeddings_is_chance(rng):
    picture, text = rng.normal(size=(2, 2000, 8))
    found = generation.retrieval_precision(picture, text, np.eye(2000, dtype=bool), others=9)
    assert found == pytest.approx(0.1, abs=0.02)
    assert generation.chance_precision(np.eye(2000, dtype=bool), 9) == pytest.approx(0.1)


def test_pairwise_distance_by_hand():
    features = np.array([[[0.0, 0], [3, 4], [0, 0]], [[1, 1], [1, 1], [1, 1]]])
    assert generation.pairwise_distance(features) == pytest.approx((10 / 3 + 0) / 2)
