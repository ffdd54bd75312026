"""Systems of linear equations: NumPy's solution, a zero on the diagonal, and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from mmjax.ops import elimination


def symmetric(rng, shape):
    matrix = rng.normal(size=shape)
    return matrix + np.swapaxes(matrix, -1, -2)


def test_the_solution_is_that_of_numpy(rng):
    matrix, right = symmetric(rng, (3, 40, 40)), rng.normal(size=(3, 40, 2))
    found = jax.jit(elimination.solve)(matrix.astype(np.float32), right.astype(np.float32))
    wanted = np.linalg.solve(matrix, right)
    np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max())
    np.testing.assert_allclose(matrix @ found, right, atol=1e-3)


def test_a_diagonal_of_zeros_by_hand():
    matrix = jnp.array([[[0.0, 2, 0], [2, 0, 0], [0, 0, -4]]])
    np.testing.assert_allclose(elimination.solve(matrix, jnp.array([[[2.0], [6], [8]]]))[0, :, 0], [3, 1, -2])


def test_gradients_in_the_matrix_and_in_the_right_side(rng):
    with jax.enable_x64():
        half, right = jnp.asarray(rng.normal(size=(2, 4, 4))), jnp.asarray(rng.normal(size=(2, 4, 2)))

        def of(half, right):
            return elimination.solve(half + jnp.swapaxes(half, 1, 2), right)

        check_grads(jax.jit(of), (half, right), 1, ["rev", "fwd"], eps=1e-6)
