"""Factors and their inverses in float32, and rows that depend on others."""

import jax
import numpy as np

from mmjax.ops import cholesky


def test_factor_and_inverse_of_several_sizes_and_a_row_that_is_nothing_new(rng):
    factors = jax.jit(cholesky.inverted, static_argnums=1)
    for k in (20, 150):  # row by row, and by halves of uneven length
        a = rng.standard_normal((k, 3 * k)) / np.sqrt(3 * k)
        matrix = (a @ a.T).astype(np.float32)
        lower, inverse = factors(matrix, 1e-6)
        wanted = np.linalg.cholesky(matrix.astype(float))
        np.testing.assert_allclose(lower, wanted, atol=2e-6)
        np.testing.assert_allclose(inverse, np.linalg.inv(wanted), atol=2e-5)
    a[140] = a[3]
    lower, inverse = map(np.asarray, factors((a @ a.T).astype(np.float32), 1e-5))
    kept = np.delete(np.arange(k), 140)
    np.testing.assert_allclose(lower[np.ix_(kept, kept)], np.linalg.cholesky((a @ a.T)[np.ix_(kept, kept)]), atol=2e-5)
    assert np.abs(inverse[140]).max() < 1e-8  # of any solution, nothing
