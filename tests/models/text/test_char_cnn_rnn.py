"""Text encoders: exact counts against the official layer tables, and the recurrent network against a loop."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.models.text.char_cnn_rnn import PRESETS, CharCnnRnn, WordEncoder


def count(variables):
    return sum(x.size for x in jax.tree.leaves(variables))


@pytest.mark.parametrize(("preset", "steps"), [("icml2016", 18), ("cvpr2016", 8)])
def test_official_sizes(preset, steps):
    model = CharCnnRnn(70, layers=PRESETS[preset])
    tokens, length = jnp.zeros((2, 201), jnp.int32), jnp.zeros(2, jnp.int32)
    variables = jax.eval_shape(model.init, jax.random.key(0), tokens, length)
    convolutions = (4 * 70 * 384 + 384) + (4 * 384 * 512 + 512) + (4 * 512 * 256 + 256)
    assert count(variables) == convolutions + 2 * (256 * 256 + 256) + (256 * 1024 + 1024) == 1_814_144
    assert jax.eval_shape(model.apply, variables, tokens, length).shape == (2, 1024)
    t = 201  # the official files name the steps of their recurrent networks
    for _, window, stride in PRESETS[preset]:
        t = (t - 4 + 1 - window) // stride + 1
    assert t == steps


def test_the_network_against_loops(rng):
    model = CharCnnRnn(5, features=3, layers=((4, 2, 2), (6, 1, 1)), kernel=2)
    tokens = jnp.asarray(rng.integers(1, 5, (1, 8)), jnp.int32).at[0, 6:].set(0)
    variables = jax.jit(model.init)(jax.random.key(1), tokens, jnp.int32([6]))
    p = jax.tree.map(np.asarray, variables["params"])

    def conv(x, layer):
        k = layer["kernel"]
        rows = [sum(x[t + i] @ k[i] for i in range(len(k))) + layer["bias"] for t in range(len(x) - len(k) + 1)]
        return np.maximum(np.array(rows), 0)

    x = np.eye(5)[np.asarray(tokens[0])] * (np.asarray(tokens[0]) > 0)[:, None]
    x = conv(x, p["conv0"])
    x = np.array([x[i : i + 2].max(0) for i in range(0, len(x) - 1, 2)])
    x = conv(x, p["conv1"])
    states = []
    for row in x @ p["input"]["kernel"] + p["input"]["bias"]:
        before = states[-1] @ p["state"]["kernel"] + p["state"]["bias"] if states else 0
        states.append(np.maximum(row + before, 0))
    want = np.mean(states, 0) @ p["out"]["kernel"] + p["out"]["bias"]
    np.testing.assert_allclose(jax.jit(model.apply)(variables, tokens, jnp.int32([6]))[0], want, atol=1e-5)


def test_words_in_the_padding_do_not_count(rng):
    model = WordEncoder(10, features=4, embed=6, hidden=8)
    tokens, length = jnp.asarray(rng.integers(1, 10, (3, 7)), jnp.int32), jnp.int32([7, 3, 1])
    variables = jax.jit(model.init)(jax.random.key(0), tokens, length)
    assert count(variables) == 10 * 6 + (3 * 6 * 8 + 8) + (8 * 4 + 4)
    run = jax.jit(model.apply)
    found = run(variables, tokens, length)
    spoiled = np.where(np.arange(7)[None] < np.asarray(length)[:, None], tokens, 9)
    np.testing.assert_allclose(run(variables, spoiled, length), found, atol=1e-6)
    assert not np.allclose(found[0], run(variables, np.asarray(tokens)[:, ::-1], length)[0])  # the order counts
    alone = run(variables, tokens[1:2, :3], length[1:2])
    np.testing.assert_allclose(alone[0], found[1], atol=1e-5)
