"""Optimisers: a part of a group with a learning rate of its own."""

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

from mmjax.engine import optim
from mmjax.errors import UserError


def test_a_part_of_a_group_moves_at_its_own_rate():
    params = {"encoder": {"w": jnp.ones(2)}, "writer": {"w": jnp.ones(2)}}
    gradient = jax.tree.map(lambda x: 0.3 * x, params)
    with jax.numpy_dtype_promotion("standard"):
        for name in ("adam", "sgd"):
            one = optim.make(name, 0.1, steps=10)
            two = optim.make(name, 0.1, steps=10, parts={"encoder": 0.25})
            change, _ = one.update(gradient, one.init(params), params)
            scaled, _ = jax.jit(two.update)(gradient, two.init(params), params)
            np.testing.assert_allclose(scaled["encoder"]["w"], 0.25 * change["encoder"]["w"], rtol=1e-6)
            np.testing.assert_allclose(scaled["writer"]["w"], change["writer"]["w"], rtol=1e-6)
    assert optax.apply_updates(params, scaled)["encoder"]["w"].dtype == jnp.float32


def test_a_part_that_is_not_there_is_named():
    params = {"writer": jnp.ones(1)}
    optim.make("sgd", 0.1, steps=1, parts={"encoder": 1.0}).init(params)  # frozen, and nothing is asked of it
    with pytest.raises(UserError, match=r"'decoder' is no part of the group; it has encoder, writer"):
        optim.make("sgd", 0.1, steps=1, parts={"decoder": 0.1}).init({"encoder": jnp.ones(1), "writer": jnp.ones(1)})
