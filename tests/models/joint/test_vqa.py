import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.errors import UserError
from mmjax.models.joint import vqa


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def init(model, *inputs):
    """Jitted: each operation of an eager init would be compiled by itself."""
    return jax.jit(model.init)(jax.random.key(0), *inputs)


def shapes(model, features=4096, tokens=26):
    made = functools.partial(model.init, jax.random.key(0))
    return jax.eval_shape(made, jnp.zeros((1, features)), jnp.zeros((1, tokens), jnp.int32))["params"]


def test_parameters_of_the_official_code():
    """train.lua with 10,000 words: its Linear(10000, 200) has a bias, its LSTM two, as nn.Linear has each."""
    params = shapes(vqa.VQA(10_000, 1000, **vqa.CODE))
    words = 10_000 * 200 + 200
    first = (200 * 2048 + 2048) + (512 * 2048 + 2048)
    second = (512 * 2048 + 2048) + (512 * 2048 + 2048)
    assert count(params["question"]) == words + first + second
    common = (2048 * 1024 + 1024) + (4096 * 1024 + 1024)
    assert count(params) == words + first + second + common + (1024 * 1000 + 1000) == 12_882_224


def test_parameters_of_the_paper():
    """300-d words, and an MLP of two layers of 1,000 units before the softmax."""
    params = shapes(vqa.VQA(10_000, 1000, **vqa.PAPER))
    lstm = (300 * 2048 + 2048) + (512 * 2048 + 2048) * 3
    common = (2048 * 1024 + 1024) + (4096 * 1024 + 1024)
    mlp = (1024 * 1000 + 1000) + 2 * (1000 * 1000 + 1000)
    assert count(params) == 10_000 * 300 + 300 + lstm + common + mlp == 16_089_124


def test_initial_values_are_uniform():
    model = vqa.VQA(50, 30, embedding=20, hidden=16, common=24)
    params = init(model, jnp.zeros((1, 8)), jnp.zeros((1, 4), jnp.int32))
    flat = np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)])
    assert np.abs(flat).max() < 0.08
    np.testing.assert_allclose(flat.std(), 0.08 / np.sqrt(3), rtol=0.02)
    assert min(np.abs(x).max() for x in jax.tree.leaves(params)) > 0.04  # biases too


@pytest.fixture(scope="module")
def small():
    """(logits of variables, features and tokens: compiled once; variables, features, tokens)."""
    model = vqa.VQA(12, 5, embedding=6, hidden=4, layers=2, common=7, classifier=(3,))
    tokens = jnp.array([[0, 0, 4, 7, 9], [5, 6, 7, 8, 4]], jnp.int32)
    features = jnp.asarray(np.random.default_rng(1).normal(size=(2, 2, 2, 3)), jnp.float32)
    # ten times as large, so that nothing is linear
    params = jax.tree.map(lambda x: jnp.asarray(10 * np.asarray(x)), init(model, features, tokens))
    return jax.jit(model.apply, static_argnames="train"), params, features, tokens


def naive(params, features, tokens):
    """One example in NumPy, a word at a time."""
    p = jax.tree.map(np.asarray, params["params"])
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    c, h = np.zeros((2, 4)), np.zeros((2, 4))
    for token in tokens[tokens > 0]:
        q = p["question"]
        x = np.tanh(q["embedding"]["embedding"][token] + q["embedding_bias"])
        for layer in range(2):
            own = q[f"input{layer}"]["affine"]
            gates = x @ own["kernel"] + own["bias"] + h[layer] @ q[f"state{layer}_kernel"] + q[f"state{layer}_bias"]
            i, f, o = sigmoid(gates[:4]), sigmoid(gates[4:8]), sigmoid(gates[8:12])
            c[layer] = f * c[layer] + i * np.tanh(gates[12:])
            h[layer] = x = o * np.tanh(c[layer])
    dense = lambda name, x: x @ p[name]["affine"]["kernel"] + p[name]["affine"]["bias"]  # noqa: E731
    state = np.concatenate([c[0], h[0], c[1], h[1]])
    picture = features.ravel() / np.linalg.norm(features)
    both = np.tanh(dense("image_common", picture)) * np.tanh(dense("question_common", state))
    return dense("last", np.tanh(dense("hiddens_0", both)))


def test_equal_to_a_naive_network(small):
    logits_of, params, features, tokens = small
    logits = logits_of(params, features, tokens)
    assert logits.dtype == jnp.float32
    for i in range(2):
        np.testing.assert_allclose(logits[i], naive(params, np.asarray(features[i]), np.asarray(tokens[i])), rtol=1e-4)


def test_padding_on_either_side_is_the_same(small):
    logits_of, params, features, tokens = small
    left = jnp.array([[4, 7, 9, 0, 0], [5, 6, 7, 8, 4]], jnp.int32)
    np.testing.assert_allclose(logits_of(params, features, tokens), logits_of(params, features, left), rtol=1e-6)


def test_dropout_is_drawn_in_training_only(small):
    logits_of, params, features, tokens = small
    train = functools.partial(logits_of, params, features, tokens, train=True)
    draws = [train(rngs={"dropout": jax.random.key(i)}) for i in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.abs(np.subtract(draws[0], draws[2])).max() > 1e-3


def test_between_the_layers_every_word_has_its_own_mask():
    model = vqa.QuestionLSTM(5, embedding=8, hidden=64, layers=2)
    tokens = jnp.full((1, 6), 3, jnp.int32)
    apply = functools.partial(model.apply, train=True, capture_intermediates=True, mutable=True)
    _, kept = jax.jit(apply)(init(model, tokens), tokens, rngs={"dropout": jax.random.key(0)})
    between = kept["intermediates"]["Dropout_1"]["__call__"][0][0]
    between = np.asarray(between) == 0  # [t 64]
    assert 0.3 < np.mean(between) < 0.7
    assert len({row.tobytes() for row in between}) == 6


@pytest.mark.parametrize("fusion", vqa.FUSIONS)
def test_fusions(fusion, small):
    _, _, features, tokens = small
    model = vqa.VQA(12, 5, embedding=6, hidden=4, layers=1, common=7, fusion=fusion)
    params = init(model, features, tokens)
    width = 14 if fusion == "concatenation" else 7
    assert params["params"]["last"]["affine"]["kernel"].shape == (width, 5)
    apply = jax.jit(model.apply, static_argnames="method")
    logits = apply(params, features, tokens)
    other = apply(params, features[::-1], tokens), apply(params, features, tokens[::-1])
    needs_image, needs_question = (not np.allclose(logits, x, atol=1e-7) for x in other)
    assert (needs_image, needs_question) == (fusion != "question", fusion != "image")
    hidden = apply(params, features, method="see"), apply(params, tokens, method="ask")
    again = apply(params, *hidden, method="answer")
    np.testing.assert_allclose(logits, again, rtol=1e-6)


def test_gradients(small):
    logits_of, params, features, tokens = small
    logits = jax.jit(lambda p: logits_of(p, features, tokens))
    check_grads(logits, (params,), 1, modes=["rev"], eps=1e-2, rtol=0.05, atol=0.02)
    zero = jax.jit(jax.grad(lambda f: jnp.sum(logits_of(params, f, tokens))))(jnp.zeros_like(features))
    assert np.isfinite(zero).all()


def test_unknown_fusion_and_word_vectors_that_do_not_fit(small):
    with pytest.raises(UserError, match="concatenation"):
        vqa.VQA(12, 5, fusion="mix")
    _, params, _, _ = small
    table = np.arange(72, dtype=np.float32).reshape(12, 6)
    filled = vqa.with_words(params["params"], table)
    np.testing.assert_array_equal(filled["question"]["embedding"]["embedding"], table)
    assert filled["question"]["input0"] is params["params"]["question"]["input0"]
    with pytest.raises(UserError, match=r"\(12, 6\)"):
        vqa.with_words(params["params"], table[:, :5])
