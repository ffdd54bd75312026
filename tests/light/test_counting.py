"""Multiply-adds by hand, of products and convolutions, in loops, branches and programs that are called."""

import jax
import pytest
from jax import lax
from jax import numpy as jnp

from mmjax.light import counting


def count(function, *shapes):
    """(multiply-adds, loops of unknown length)."""
    found = counting.of(jax.make_jaxpr(function)(*(jnp.zeros(shape) for shape in shapes)))
    return found.total, found.open_loops


def convolution(x, kernel, strides=(1, 1), padding="SAME", **options):
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options)


def square(x):
    return x @ x


@pytest.mark.parametrize(
    ("function", "shapes", "wanted"),
    [
        (jnp.matmul, ((5, 3), (3, 7)), 5 * 3 * 7),
        (lambda x, y: jnp.einsum("bij,bjk->bik", x, y), ((2, 5, 3), (2, 3, 7)), 2 * 5 * 3 * 7),
        (lambda x, y: jnp.exp(x + y).sum(), ((5,), (5,)), 0),
        (convolution, ((2, 8, 6, 3), (3, 5, 3, 4)), 2 * 8 * 6 * 4 * 3 * 5 * 3),  # the padding counts
        (lambda x, k: convolution(x, k, (2, 2), "VALID"), ((1, 9, 7, 3), (3, 3, 3, 4)), 4 * 3 * 4 * 9 * 3),
        (lambda x, k: convolution(x, k, feature_group_count=6), ((1, 8, 8, 6), (3, 3, 1, 6)), 64 * 6 * 9),
        # A transposed one of stride 2: each of 4 x 4 inputs meets each of 9 taps for each of 5 channels.
        (
            lambda x, k: convolution(x, k, padding=((1, 2), (1, 2)), lhs_dilation=(2, 2)),
            ((1, 4, 4, 2), (3, 3, 2, 5)),
            16 * 2 * 9 * 5,
        ),
        (jax.jit(square), ((4, 4),), 64),
        (jax.checkpoint(square), ((4, 4),), 64),
        (jax.nn.relu, ((4, 4),), 0),  # of a rule for its gradient
    ],
)
def test_a_call_by_hand(function, shapes, wanted):
    assert count(function, *shapes) == (wanted, 0)


def test_a_loop_counts_as_often_as_it_turns():
    def nested(x):
        def inner(c, _):
            return c @ c, None

        def outer(c, _):
            return lax.scan(inner, c, length=3)[0] @ x, None

        return lax.scan(outer, x, length=5)[0]

    assert count(nested, (2, 2)) == (5 * (3 * 8 + 8), 0)
    assert count(lambda x: lax.fori_loop(0, 7, lambda _, c: c @ c, x), (2, 2)) == (7 * 8, 0)
    assert count(lambda x: lax.map(square, x), (6, 2, 2)) == (6 * 8, 0)


def test_a_loop_whose_turns_the_data_decide_counts_once_and_is_told():
    def until(x):
        return lax.while_loop(lambda c: jnp.sum(c @ c) < 5, lambda c: c @ c @ c, x)

    assert count(until, (2, 2)) == (8 + 2 * 8, 1)
    assert count(lambda x: lax.scan(lambda c, _: (until(c), None), x, length=4)[0], (2, 2)) == (4 * 24, 1)


def test_of_branches_the_dearer_one_counts():
    def either(x):
        return lax.cond(x[0, 0] > 0, lambda x: x @ x, lambda x: x @ x @ x, x)

    assert count(either, (3, 3)) == (2 * 27, 0)
    assert count(lambda x: lax.switch(1, [square, lambda x: x, square], x), (3, 3)) == (27, 0)
