"""Tacotron 2: its size, a naive NumPy program, what padding and neighbours may change (nothing), and how it speaks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tacotron_reference as reference
from jax import lax

from mmjax.errors import OptionError
from mmjax.models.blocks import shared_scan
from mmjax.models.sound.speech_blocks import regularised
from mmjax.models.sound.tacotron2 import Tacotron2

SMALL = {
    "symbols": 7, "mels": 3, "embed": 4, "encoder_layers": 2, "prenet": 5, "attention_units": 6, "decoder_units": 5,
    "attention": 4, "filters": 2, "window": 3, "postnet_layers": 3, "postnet_units": 4, "kernel": 3,
}  # fmt: skip
STILL = {"dropout": 0.0, "prenet_dropout": 0.0, "state_dropout": 0.0}


def make_batch(rng, speaker=0):
    units = rng.integers(0, 7, (3, 6)).astype(np.int32)
    length, frames = np.array([6, 3, 1], np.int32), np.array([8, 4, 6], np.int32)
    mel = rng.normal(size=(3, 8, 3)).astype(np.float32)
    known = {"speaker": rng.random((3, speaker), np.float32)} if speaker else {}
    return {"units": units, "length": length, "mel": mel, "frames": frames, **known}


def make_variables(model, rng, batch):
    """Parameters large enough that nothing is nearly linear, and statistics that are not those of a fresh network."""
    made = jax.eval_shape(lambda: model.init({"params": jax.random.key(0), "prenet": jax.random.key(1)}, **batch))

    def draw(path, leaf):
        low = 0.5 if path[-1].key == "var" else -0.9
        return rng.uniform(low, low + 1.8, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, made)


@pytest.mark.parametrize(("symbols", "parameters"), [(148, 28_193_153), (40, 28_137_857)])
def test_it_has_the_parameters_of_nvidias(symbols, parameters):
    model = Tacotron2(symbols)
    one = np.ones(1, np.int32)
    rngs = {"params": jax.random.key(0), "prenet": jax.random.key(0)}
    made = jax.eval_shape(lambda: model.init(rngs, one[None], one, np.zeros((1, 1, 80), np.float32), one))
    assert sum(x.size for x in jax.tree.leaves(made["params"])) == parameters


def test_first_weights_are_within_pytorchs_bounds():
    model = Tacotron2(**SMALL)
    one = np.ones(1, np.int32)
    rngs = {"params": jax.random.key(0), "prenet": jax.random.key(0)}

    @jax.jit
    def drawn(rngs):  # these and no others
        p = model.init(rngs, one[None], one, np.zeros((1, 1, 3), np.float32), one)["params"]
        return p["attend_frame"], p["query"], p["encoder"]["conv0"]["kernel"]

    # The last is [3 4 4] before a ReLU: sqrt 2 sqrt(6 / (12 + 12)).
    for array, bound in zip(drawn(rngs), (6**-0.5, 5 / 3 * (6 / 10) ** 0.5, 2**-0.5), strict=True):
        assert 0.8 * bound < np.abs(array).max() <= bound


@pytest.mark.parametrize("options", [{}, {"reduction": 2, "speaker": 2, "zoneout": 0.1}])
def test_it_writes_what_a_naive_program_writes_and_padding_changes_nothing(rng, options):
    model = Tacotron2(**SMALL, **{**STILL, **options})
    batch = make_batch(rng, model.speaker)
    variables = make_variables(model, rng, batch)
    spoiled = {**batch, "units": batch["units"].copy(), "mel": batch["mel"].copy()}
    for row, (length, frames) in enumerate(zip(batch["length"], batch["frames"])):
        spoiled["units"][row, length:], spoiled["mel"][row, frames:] = 6, np.nan
    found = jax.jit(model.apply)(variables, **spoiled)
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), variables)
    for row, (length, frames) in enumerate(zip(batch["length"], batch["frames"])):
        known = batch["speaker"][row] if model.speaker else None
        units, mel = batch["units"][row, :length], batch["mel"][row, :frames]
        alone = (model.reduction, known, model.zoneout)
        wanted = reference.forced(exact["params"], exact["state"], units, mel, *alone)
        steps = frames // model.reduction
        for name, shape in (("before", frames), ("after", frames), ("gate", steps)):
            np.testing.assert_allclose(found[name][row, :shape], wanted[name], rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(found["attention"][row, :steps, :length], wanted["attention"], rtol=2e-4, atol=1e-6)
        assert not found["attention"][row, :, length:].any()
        assert not found["after"][row, frames:].any()


def test_training_learns_nothing_from_padding_and_gradients_are_those_of_a_plain_scan(rng, monkeypatch):
    model = Tacotron2(**SMALL, **STILL)
    batch = make_batch(rng)
    variables = make_variables(model, rng, batch)

    def loss(params, batch):
        out, new = model.apply({**variables, "params": params}, **batch, train=True, mutable=["state"])
        real = np.arange(out["gate"].shape[1])[None] < batch["frames"][:, None]
        values = jnp.sum(out["after"] ** 2) + jnp.sum(out["before"] ** 3) + jnp.sum(jnp.where(real, out["gate"], 0))
        return values + jnp.sum(jnp.where(real, out["attention"][..., 0], 0)), new

    (value, state), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"], batch)
    wider = {
        **batch,
        "units": np.pad(batch["units"], ((0, 0), (0, 2)), constant_values=5),
        "mel": np.pad(batch["mel"], ((0, 0), (0, 4), (0, 0)), constant_values=np.nan),
    }

    def plain(body, uses, shared, carry, xs):
        return lax.scan(lambda c, x: body(lambda name, y: uses[name].value(shared[name], y), c, x), carry, xs)

    monkeypatch.setattr(shared_scan, "scan", plain)
    (again, state_again), gradient_again = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"], wider)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), state_again, state)
    scale = max(float(np.abs(x).max()) for x in jax.tree.leaves(gradient))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6 * scale), gradient_again, gradient)
    assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(gradient["encoder"]["lstm"]))


@pytest.mark.parametrize(
    ("options", "key"), [({"state_dropout": 0.5}, "dropout"), ({"zoneout": 0.5}, "dropout"), ({}, "prenet")]
)
def test_every_regulariser_draws_from_its_own_key(rng, options, key):
    batch = make_batch(rng)
    model = Tacotron2(**SMALL, **{**STILL, **options, **({"prenet_dropout": 0.5} if key == "prenet" else {})})
    variables = make_variables(model, rng, batch)

    @functools.partial(jax.jit, static_argnums=1)
    def run(seed, train):
        rngs = {"dropout": jax.random.key(0), "prenet": jax.random.key(0), key: jax.random.key(seed)}
        return model.apply(variables, **batch, train=train, mutable=["state"], rngs=rngs)[0]["before"]

    assert (run(1, True) != run(2, True)).any()
    assert (run(1, False) != run(2, False)).any() == (key == "prenet")


def test_zoneout_keeps_the_old_state_where_it_is_drawn():
    new, old = (np.float32([[1, 2]]), np.float32([[3, 4]])), (np.float32([[5, 6]]), np.float32([[7, 8]]))
    chance = {"same_hidden": np.array([[True, False]]), "same_memory": np.array([[False, True]])}
    chance["kept"] = np.array([[False, True]])
    hidden, memory = regularised(new, old, 0.5, 0.1, chance)
    assert (hidden.tolist(), memory.tolist()) == ([[0, 4]], [[3, 8]])
    hidden, memory = regularised(new, old, 0.5, 0.25, None)
    assert (hidden.tolist(), memory.tolist()) == ([[2, 3]], [[4, 5]])


def test_what_it_speaks_is_what_it_writes_given_its_own_frames(rng):
    model = Tacotron2(**SMALL, **STILL, reduction=2)
    batch = make_batch(rng)
    variables = make_variables(model, rng, batch)
    said = jax.jit(lambda *x: model.apply(*x, steps=5, threshold=1.0, method="speak"))(
        variables, batch["units"], batch["length"]
    )
    assert said["frames"].tolist() == [10, 10, 10]
    assert not said["fired"].any()
    forced = jax.jit(model.apply)(variables, batch["units"], batch["length"], said["before"], said["frames"])
    for name in ("before", "after", "gate", "attention"):
        np.testing.assert_allclose(said[name], forced[name], rtol=1e-4, atol=1e-5)


def test_each_sentence_ends_where_its_gate_fires_and_does_not_depend_on_the_others(rng):
    model = Tacotron2(**SMALL)
    batch = make_batch(rng)
    variables = make_variables(model, rng, batch)

    @jax.jit
    def speak(units, length, threshold):
        rngs = {"prenet": jax.random.key(3)}
        options = {"steps": 6, "threshold": threshold, "method": "speak", "rngs": rngs}
        return model.apply(variables, units, length, **options)

    probability = jax.nn.sigmoid(speak(batch["units"], batch["length"], 1.0)["gate"])
    threshold = float(np.sort(np.max(probability, 1))[1]) - 1e-5  # two of the three rise above it
    together = speak(batch["units"], batch["length"], threshold)
    over = np.asarray(probability) > threshold
    assert together["fired"].tolist() == over.any(1).tolist()
    assert together["frames"].tolist() == np.where(over.any(1), over.argmax(1) + 1, 6).tolist()
    for row in range(3):
        assert not together["after"][row, together["frames"][row] :].any()
        alone = speak(batch["units"][row : row + 1, :4], np.minimum(batch["length"][row : row + 1], 4), threshold)
        if batch["length"][row] <= 4:
            np.testing.assert_allclose(alone["after"][0], together["after"][row], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(alone["attention"][0], together["attention"][row, :, :4], rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_one_line(rng):
    batch = make_batch(rng)
    for options, words in (({"kernel": 4}, "odd"), ({"embed": 5}, "even"), ({"reduction": 0}, "at least one")):
        with pytest.raises(OptionError, match=words):
            Tacotron2(**{**SMALL, **options}).checked()
    rngs = {"params": jax.random.key(0), "prenet": jax.random.key(1)}
    with pytest.raises(OptionError, match="no multiple"):
        jax.eval_shape(Tacotron2(**SMALL, reduction=3).init, rngs, **batch)
    with pytest.raises(OptionError, match="speaker"):
        jax.eval_shape(Tacotron2(**SMALL, speaker=2).init, rngs, **batch)


def test_taken_apart_it_speaks_as_in_one_program(rng):
    """Step by step, given what the prenet keeps: the same numbers, whichever rows have ended."""
    model = Tacotron2(**SMALL, reduction=2, speaker=2)
    batch = make_batch(rng, model.speaker)
    variables = make_variables(model, rng, batch)
    sentences, key = [batch[name] for name in ("units", "length", "speaker")], jax.random.key(3)
    options = {"steps": 4, "threshold": 1.0, "method": "speak", "rngs": {"prenet": key}}
    want = jax.jit(lambda *x: model.apply(*x, **options))(variables, *sentences)
    kept = model.drops(key, 4)
    assert [x.shape for x in kept] == [(4, 5), (4, 5)]
    assert 0.2 < np.mean(kept) < 0.8
    assert len(np.unique(np.concatenate(kept, 1), axis=0)) > 1  # drawn anew for each step
    memory, state = jax.jit(functools.partial(model.apply, method="begin"))(variables, *sentences)
    step = jax.jit(lambda *x: model.apply(variables, memory, *x, method="go_on"))
    written = []
    for t in range(4):
        state, gate = step(state, [np.repeat(x[t : t + 1], 3, 0) for x in kept])
        written.append(state.frame.reshape(3, 2, -1))
        np.testing.assert_allclose(gate, want["gate"][:, t], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(state.attended.looked, want["attention"][:, t], rtol=1e-5, atol=1e-6)
    finish = jax.jit(functools.partial(model.apply, method="finish"))
    found = finish(variables, jnp.concatenate(written, 1), want["frames"])
    for name in ("before", "after"):
        np.testing.assert_allclose(found[name], want[name], rtol=1e-4, atol=1e-5)
    still, _ = step(state, None)
    assert np.abs(still.frame - step(state, [x[:1] for x in kept])[0].frame).max() > 1e-3  # dropout is on
    assert Tacotron2(**SMALL, **STILL).drops(key, 4) == ()
