"""Captioning networks: parameter counts of the papers' sizes, forced = stepped, and a reference in NumPy."""

import functools

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.models.blocks.recurrent import lstm
from mmjax.models.text.show_and_tell import ShowAndTell, previous
from mmjax.models.text.show_attend_tell import PRESETS, ShowAttendTell

WORDS, PLACES, CHANNELS = 11, 6, 5
SMALL = {"embed": 4, "hidden": 7}
VARIANTS = {
    "official": {**PRESETS["official"], **SMALL},
    "sgrvinod": {**PRESETS["sgrvinod"], **SMALL, "attention": 3},
    "no gate": {**PRESETS["official"], **SMALL, "gate": "none", "initial_state": "tanh"},
    "hard": {**PRESETS["official"], **SMALL, "kind": "hard"},
}


def count(model, features):
    tokens = jnp.zeros((1, 2), jnp.int32)
    made = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *features)), tokens)
    return sum(x.size for x in jax.tree.leaves(made))


def loud(shapes):
    """Weights large enough for every path to matter, biases too."""
    rng = np.random.default_rng(3)
    return jax.tree.map(lambda x: jnp.asarray(0.5 * rng.normal(size=x.shape), jnp.float32), shapes)


@pytest.fixture
def captions(rng):
    return jnp.asarray(rng.integers(2, WORDS, (3, 5)), jnp.int32)


def make(name, rng):
    if name == "show and tell":
        model, features = ShowAndTell(WORDS, CHANNELS, **SMALL), rng.normal(size=(3, CHANNELS))
    else:
        model, features = ShowAttendTell(WORDS, CHANNELS, **VARIANTS[name]), rng.normal(size=(3, PLACES, CHANNELS))
    features = jnp.asarray(features, jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), features, jnp.zeros((3, 2), jnp.int32))
    return model, loud(shapes), features


def test_show_and_tell_has_the_parameters_of_im2txt():
    v, d, m, n = 12_000, 2048, 512, 512
    assert count(ShowAndTell(v, d), (d,)) == d * m + v * m + (m + n) * 4 * n + 4 * n + n * v + v == 15_447_776


def test_show_attend_tell_has_the_parameters_of_the_official_code():
    v, m, n, d = 10_000, 512, 1800, 512
    initial = d * d + d + 2 * (d * n + n)
    recurrence = (m + n + d) * 4 * n + 4 * n
    attention = d * d + d + d * d + d + n * d + d + 1
    output = n * m + m + d * m + m + m * v + v
    wanted = v * m + initial + recurrence + attention + (n + 1) + output
    assert count(ShowAttendTell(v, d), (196, d)) == wanted == 35_333_450


def test_the_port_has_the_parameters_of_its_pytorch_modules():
    # Two of PyTorch's biases add to another one: the LSTM cell's second and that of the state's half of the attention.
    v, d, n = 10_000, 2048, 512
    theirs = v * n + (d * n + n) + (n * n + n) + (n + 1)
    theirs += (n + d) * 4 * n + n * 4 * n + 8 * n + 2 * (d * n + n) + (n * d + d) + n * v + v
    assert theirs == 21_006_609
    assert count(ShowAttendTell(v, d, **PRESETS["sgrvinod"]), (196, d)) == theirs - 4 * n - n


@pytest.mark.parametrize("name", ["show and tell", *VARIANTS])
def test_forced_is_stepped_and_captions_of_a_picture_share_its_memory(name, rng, captions):
    model, params, features = make(name, rng)
    forced = jax.jit(model.apply)
    outs = [forced(params, features, captions), forced(params, features, captions[::-1])]
    words = jnp.stack([previous(captions), previous(captions[::-1])], 1)  # two captions of each picture
    assert words[0, 0].tolist() == [1, *captions[0, :-1].tolist()]

    @jax.jit
    def stepped(params, features, words):
        memory, carry = model.apply(params, features, method="start")
        carry = jax.tree.map(lambda x: jnp.repeat(x, 2, axis=0), carry)
        step = functools.partial(model.apply, params, memory, method="step")

        def body(carry, token):
            carry, logits, emitted = step(carry, token)
            return carry, (logits, emitted)

        return lax.scan(body, carry, words.reshape(6, -1).T)[1]

    logits, emitted = stepped(params, features, words)
    for k, out in enumerate(outs):
        np.testing.assert_allclose(logits[:, k::2].swapaxes(0, 1), out["logits"], rtol=2e-5, atol=2e-5)
        if name != "show and tell":
            np.testing.assert_allclose(emitted["attention"][:, k::2].swapaxes(0, 1), out["attention"], atol=1e-6)
            np.testing.assert_allclose(np.sum(out["attention"], -1), 1, rtol=1e-5)
    other = forced(params, features, captions.at[:, 2].set(captions[:, 2] % (WORDS - 2) + 2))["logits"]
    base = outs[0]["logits"]
    np.testing.assert_array_equal(base[:, :3], other[:, :3])  # a word depends on those before it only
    assert np.all(np.abs(np.asarray(base)[:, 3:] - other[:, 3:]).max(-1) > 1e-4)
    elsewhere = forced(params, features[::-1], captions)["logits"]
    assert np.abs(np.asarray(base)[0] - elsewhere[0]).max() > 1e-3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_by_hand():
    gates = np.array([[0.1, -0.2, 0.3, 0.7]])  # one unit: input, forget, output, candidate
    h, c = lstm(jnp.asarray(gates, jnp.float32), jnp.full((1, 1), 0.5), forget=1.0)
    memory = sigmoid(0.8) * 0.5 + sigmoid(0.1) * np.tanh(0.7)
    np.testing.assert_allclose(c, [[memory]], rtol=1e-6)
    np.testing.assert_allclose(h, [[sigmoid(0.3) * np.tanh(memory)]], rtol=1e-6)


def test_a_step_of_the_official_network_in_numpy(rng):
    model, params, features = make("official", rng)
    w = {k: np.asarray(v, np.float64) for k, v in params["params"].items()}
    x = np.asarray(features[0], np.float64)
    mean = np.maximum(x.mean(0) @ w["initial_mean"] + w["initial_mean_bias"], 0)
    h = np.tanh(mean @ w["initial_hidden"] + w["initial_hidden_bias"])
    c = np.tanh(mean @ w["initial_memory"] + w["initial_memory_bias"])
    keys = x @ w["attend_features"] + w["attend_features_bias"]
    keys = np.tanh(keys @ w["attend_second"] + w["attend_second_bias"])
    for token in (1, 4):
        scores = np.tanh(keys + h @ w["attend_hidden"]) @ w["attend_score"][:, 0] + w["attend_score_bias"]
        alpha = np.exp(scores) / np.exp(scores).sum()
        z = sigmoid(h @ w["gate"] + w["gate_bias"]) * (alpha @ x)
        word = w["words"][token] * (token != 1)
        pre = word @ w["lstm_word"] + h @ w["lstm_hidden"] + z @ w["lstm_context"] + w["lstm_bias"]
        i, f, o, g = np.split(pre, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        inner = h @ w["output_hidden"] + w["output_hidden_bias"] + word
        inner = np.tanh(inner + z @ w["output_context"] + w["output_context_bias"])
        logits = inner @ w["logits"] + w["logits_bias"]
    out = jax.jit(model.apply)(params, features[:1], jnp.asarray([[4, 2]], jnp.int32))
    np.testing.assert_allclose(out["logits"][0, 1], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out["attention"][0, 1], alpha, rtol=1e-4)


def test_hard_attention_sees_one_place(rng, captions):
    model, params, features = make("hard", rng)
    apply = jax.jit(functools.partial(model.apply, train=True))
    keys = {"dropout": jax.random.key(1), "sample": jax.random.key(2)}
    out = apply(params, features, captions, rngs=keys)
    chosen = np.asarray(jnp.argmin(jnp.abs(jnp.log(out["attention"]) - out["log_place"][..., None]), -1))
    np.testing.assert_allclose(
        np.take_along_axis(np.asarray(out["attention"]), chosen[..., None], -1)[..., 0],
        np.exp(out["log_place"]),
        rtol=1e-5,
    )
    apply = jax.jit(functools.partial(model.clone(dropout=0.0).apply, train=True))
    many = jnp.tile(features[:1], (400, 1, 1))
    out = apply(params, many, jnp.tile(captions[:1], (400, 1)), rngs=keys)
    assert 0.4 < np.mean(out["drawn"]) < 0.6
    first = np.round(np.exp(np.asarray(out["log_place"][:, 0])), 5)
    for p in np.asarray(out["attention"][0, 0]):
        seen = np.mean(np.isclose(first, p, atol=2e-5))
        assert abs(seen - p) < 4 * np.sqrt(p * (1 - p) / 400) + 1e-3
    # In evaluation the most likely place, and nothing random.
    again = jax.jit(model.apply)(params, features, captions)
    np.testing.assert_allclose(again["log_place"], jnp.log(jnp.max(again["attention"], -1)), rtol=1e-5)


@pytest.mark.parametrize("name", ["show and tell", "official"])
def test_dropout_is_drawn_in_training_only(name, rng, captions):
    model, params, features = make(name, rng)
    train = jax.jit(lambda key: model.apply(params, features, captions, train=True, rngs={"dropout": key})["logits"])
    draws = [np.asarray(train(jax.random.key(k))) for k in range(2)]
    assert np.abs(draws[0] - draws[1]).max() > 1e-3
    exact = np.asarray(jax.jit(model.apply)(params, features, captions)["logits"])
    narrow = np.asarray(jax.jit(model.clone(dtype=jnp.bfloat16).apply)(params, features, captions)["logits"])
    assert narrow.dtype == np.float32
    assert 1e-4 < np.abs(exact - narrow).max() < 0.3


def test_initial_weights_are_those_of_the_codes():
    def start(model, shape):
        return jax.jit(model.init)(jax.random.key(0), jnp.zeros(shape), jnp.zeros((1, 2), jnp.int32))["params"]

    w = start(ShowAttendTell(50, 8, embed=8, hidden=8), (1, 3, 8))
    for block in (*jnp.split(w["lstm_hidden"], 4, 1), *jnp.split(w["lstm_word"], 4, 1), w["attend_second"]):
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-5)
    assert 0.008 < np.std(w["words"]) < 0.012
    assert 0.008 < np.std(w["attend_features"]) < 0.012
    assert 0.008 < np.std(w["lstm_context"]) < 0.012
    w = start(ShowAndTell(50, 8), (1, 8))
    for name, value in w.items():
        assert np.abs(value).max() <= 0.08
        assert ("bias" in name) == (np.abs(value).max() == 0)
    w = start(ShowAttendTell(50, 8, **PRESETS["sgrvinod"]), (1, 3, 8))
    assert 0.09 < np.abs(w["words"]).max() <= 0.1
    assert 0.9 * 512**-0.5 < np.abs(w["lstm_context"]).max() <= 512**-0.5
    assert 0.9 * 8**-0.5 < np.abs(w["attend_features"]).max() <= 8**-0.5


def test_an_option_that_does_not_exist_says_what_does():
    with pytest.raises(UserError, match=r"gate is 'matrix': choose 'scalar' or 'vector' or 'none'"):
        count(ShowAttendTell(5, 3, gate="matrix"), (2, 3))
