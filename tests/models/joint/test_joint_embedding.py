"""Joint embeddings' networks: a GRU against NumPy and PyTorch, means of words, heads, and the paper's sizes."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.models.joint.joint_embedding import LOG_VARIANCE, GRUText, Head, MeanText
from mmjax.text import vocabulary


def count(tree):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


@pytest.fixture
def sentences(rng):
    length = np.array([4, 1, 0, 6], np.int32)
    tokens = rng.integers(4, 11, (4, 6)).astype(np.int32)
    tokens[np.arange(3), np.maximum(length[:3] - 1, 0)] = vocabulary.END
    return tokens, length


def gru(w, words, tokens, length):
    """PyTorch's equations, a word at a time."""
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    out = []
    for row, n in zip(tokens, length):
        h = np.zeros(w["state"].shape[0])
        for word in row[:n]:
            own = np.split(words[word] @ w["input"] + w["input_bias"], 3)
            other = np.split(h @ w["state"] + w["state_bias"], 3)
            reset, update = sigmoid(own[0] + other[0]), sigmoid(own[1] + other[1])
            h = (1 - update) * np.tanh(own[2] + reset * other[2]) + update * h
        out.append(h)
    return np.stack(out)


def test_gru_is_the_state_behind_the_last_word(sentences):
    model = GRUText(11, embed=5, hidden=3)
    variables = jax.jit(model.init)(jax.random.key(0), *sentences)
    w = jax.tree.map(np.asarray, variables["params"])
    found = jax.jit(model.apply)(variables, *sentences)
    np.testing.assert_allclose(found, gru(w, w["words"], *sentences), atol=1e-6)
    tokens, length = sentences
    tokens = np.where(np.arange(6)[None] < length[:, None], tokens, 9)  # what lies behind the sentence is not read
    np.testing.assert_array_equal(found, jax.jit(model.apply)(variables, tokens, length))


def test_gru_equals_pytorch(sentences):
    torch = pytest.importorskip("torch")
    model = GRUText(11, embed=5, hidden=3)
    variables = jax.jit(model.init)(jax.random.key(0), *sentences)
    w = jax.tree.map(lambda x: torch.tensor(np.asarray(x)), variables["params"])
    peer = torch.nn.GRU(5, 3, batch_first=True)
    with torch.no_grad():
        for name, value in zip(("weight_ih_l0", "weight_hh_l0"), ("input", "state")):
            getattr(peer, name).copy_(w[value].T)
        for name, value in zip(("bias_ih_l0", "bias_hh_l0"), ("input_bias", "state_bias")):
            getattr(peer, name).copy_(w[value])
        states, _ = peer(w["words"][torch.tensor(sentences[0])])
    for row in (0, 1, 3):
        expected = states[row, sentences[1][row] - 1]
        np.testing.assert_allclose(model.apply(variables, *sentences)[row], expected, atol=1e-6)


def test_mean_leaves_out_the_end_and_the_padding(sentences):
    model = MeanText(11, embed=5)
    variables = jax.jit(model.init)(jax.random.key(0), *sentences)
    words = np.asarray(variables["params"]["words"])
    found = jax.jit(model.apply)(variables, *sentences)
    tokens = sentences[0]
    np.testing.assert_allclose(found[0], words[tokens[0, :3]].mean(0), atol=1e-6)
    np.testing.assert_allclose(found[3], words[tokens[3]].mean(0), atol=1e-6)
    assert not found[1].any()
    assert not found[2].any()


def test_head_gives_points_of_length_one_and_a_spread_that_starts_small(rng):
    features = rng.normal(size=(4, 6)).astype(np.float32)
    head = Head(3, squash="tanh", gaussian=True)
    variables = jax.jit(head.init)(jax.random.key(0), features)
    point, spread = jax.jit(head.apply)(variables, features)
    w = jax.tree.map(np.asarray, variables["params"])
    expected = np.tanh(features @ w["point"]["kernel"] + w["point"]["bias"])
    np.testing.assert_allclose(point, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(spread, np.full((4, 3), LOG_VARIANCE), atol=0.05)
    bound = np.sqrt(6 / 9)  # Xavier's
    assert np.abs(w["point"]["kernel"]).max() <= bound
    plain, nothing = Head(0, unit=False).apply({}, features)
    np.testing.assert_array_equal(plain, features)
    assert nothing is None


def test_a_head_of_a_zero_vector_has_a_gradient():
    head = Head(0)
    gradient = jax.grad(lambda x: jnp.sum(head.apply({}, x)[0]))(jnp.zeros((2, 3)))
    assert np.isfinite(gradient).all()


def test_sizes_of_the_paper():
    tokens, length = jax.ShapeDtypeStruct((2, 20), jnp.int32), jax.ShapeDtypeStruct((2,), jnp.int32)
    key = jax.random.key(0)
    text = jax.eval_shape(GRUText(11_353).init, key, tokens, length)["params"]
    assert count(text) == 11_353 * 300 + 3 * (300 * 1024 + 1024 * 1024 + 2 * 1024)
    image = jax.eval_shape(Head(1024).init, key, jax.ShapeDtypeStruct((2, 4096), jnp.float32))["params"]
    assert count(image) == 4096 * 1024 + 1024


def test_an_unknown_squash_is_told():
    with pytest.raises(UserError, match=r"^squash is 'relu'"):
        Head(3, squash="relu")
