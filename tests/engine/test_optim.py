"""Optimisers: the steps of torch.optim, the forms of before, a part of a group with a learning rate of its own."""

import functools

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


# -- the first six steps of each, as torch.optim 2.14 takes them -------------------------------------------------------

RATE, DECAY = 1e-2, 0.1
GRADIENTS = np.array([[1e-4, 1e-5, 0.0], [3.0, -1e-5, 2e-8], [-0.2, 0.0, 1e-8], [1e-4, 1e-3, 0], [0, 2, 1], [5, -1, 0]])
START = np.array([0.5, -0.25, 2.0])


def adam(state, g, p, t, penalty=0.0, aside=0.0, eps=1e-8):
    g = g + penalty * p
    m, v = state if state else (np.zeros(3), np.zeros(3))
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return (m, v), -RATE * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + eps) + aside * p)


def lamb(state, g, p, t):
    """Algorithm 2 of You et al. (2020): the layer's own rate is its length over its change's."""
    state, change = adam(state, g, p, t, aside=DECAY)
    return state, change / RATE * RATE * np.linalg.norm(p) / np.linalg.norm(change / RATE)


def sgd(state, g, p, t):
    g = g + DECAY * p
    state = g if state is None else 0.9 * state + g
    return state, -RATE * state


def rmsprop(state, g, p, t):
    g = g + DECAY * p
    state = 0.99 * (0 if state is None else state) + 0.01 * g * g
    return state, -RATE * g / (np.sqrt(state) + 1e-8)


def adagrad(state, g, p, t):
    state = (0 if state is None else state) + g * g
    return state, -RATE * g / (np.sqrt(state) + 1e-10)


def rmsprop_of_optax(state, g, p, t):
    state = 0.99 * (0 if state is None else state) + 0.01 * g * g
    return state, -RATE * g / np.sqrt(state + 1e-8)


def adagrad_of_optax(state, g, p, t):
    state = (0.1 if state is None else state) + g * g
    return state, -RATE * g / np.sqrt(state + 1e-7)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (functools.partial(adam, penalty=DECAY), {"name": "adam", "weight_decay": DECAY}),
        (functools.partial(adam, aside=DECAY), {"name": "adamw", "weight_decay": DECAY}),
        (functools.partial(adam, eps=1e-4), {"name": "adam", "eps": 1e-4}),
        (lamb, {"name": "lamb", "weight_decay": DECAY}),
        (sgd, {"name": "sgd", "weight_decay": DECAY, "momentum": 0.9}),
        (rmsprop, {"name": "rmsprop", "b2": 0.99, "weight_decay": DECAY}),
        (adagrad, {"name": "adagrad", "eps": 1e-10}),
        (rmsprop_of_optax, {"name": "rmsprop", "b2": 0.99, "form": "optax"}),
        (adagrad_of_optax, {"name": "adagrad", "eps": 1e-7, "form": "optax"}),
    ],
    ids=["adam", "adamw", "eps", "lamb", "sgd", "rmsprop", "adagrad", "rmsprop-optax", "adagrad-optax"],
)
def test_the_first_six_steps_are_those_of_torch(rule, options):
    found, wanted, state = jnp.asarray(START[None], jnp.float32), START, None
    optimiser = optim.make(learning_rate=RATE, steps=6, **options)
    theirs = optimiser.init(found)
    with jax.numpy_dtype_promotion("standard"):
        for t, gradient in enumerate(GRADIENTS, 1):
            change, theirs = optimiser.update(jnp.asarray(gradient[None], jnp.float32), theirs, found)
            state, right = rule(state, gradient, wanted, t)
            np.testing.assert_allclose(change[0], right, rtol=3e-5, atol=1e-10, err_msg=f"step {t}")
            found, wanted = found + change, wanted + right


@pytest.mark.parametrize(
    ("options", "moved"),  # by torch.optim.RMSprop and Adagrad, for gradients of 1e-4 and 1e-5
    [
        ({"name": "rmsprop", "learning_rate": 7e-4, "b2": 0.99}, [-0.00699301, -0.00693069]),
        ({"name": "adagrad", "learning_rate": 1e-3, "eps": 1e-10}, [-0.000999999, -0.00099999]),
    ],
)
def test_small_gradients_move_as_far_as_large_ones(options, moved):
    optimiser = optim.make(steps=1, **options)
    with jax.numpy_dtype_promotion("standard"):
        change, _ = optimiser.update(jnp.array([1e-4, 1e-5]), optimiser.init(jnp.zeros(2)), jnp.zeros(2))
    np.testing.assert_allclose(change, moved, rtol=1e-5)


def test_a_form_that_is_unknown_is_refused():
    with pytest.raises(UserError, match=r"optim\.form 'tf' is unknown: choose one of torch, optax"):
        optim.make("rmsprop", 0.1, steps=1, form="tf")
