"""What captions name, against what a classifier sees."""

import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.metrics import named_classes


def test_what_is_named_and_seen_by_hand():
    tokens, length = jnp.int32([[4, 5, 2, 6], [7, 6, 5, 2], [4, 2, 0, 0]]), jnp.int32([3, 4, 2])
    wanted = named_classes.named(tokens, length, jnp.int32([5, 6, -1]))  # bell, dog, a class without a word
    np.testing.assert_array_equal(wanted, [[1, 0, 0], [1, 1, 0], [0, 0, 0]])  # the first's dog is padding
    scores = jnp.float32([[3, 2, 1], [2, 1, 3], [1, 2, 3]])
    np.testing.assert_array_equal(named_classes.right(scores, wanted), [True, False, False])
    np.testing.assert_array_equal(named_classes.right(jnp.float32([[1, 1, 0]]), wanted[:1]), [False])  # a tie
    np.testing.assert_allclose(named_classes.chance(wanted), [1 / 3, 1 / 3, 1])
    pair = {"drawn": scores, "real": scores[:, ::-1]}
    valid = jnp.bool_([1, 1, 0])
    found = named_classes.with_baselines("x", {"object": pair}, {"object": wanted}, jnp.any(wanted, 1), valid)
    assert {k: (float(a), float(b)) for k, (a, b) in found.items()} == {
        "x": (1, 2),
        "x/shuffled_captions": (0, 1),  # the second picture by the first's caption: its bell is not the first of 2 1 3
        "x/chance": (pytest.approx(2 / 3), 2),
        "x/real_pictures": (0, 2),
    }
