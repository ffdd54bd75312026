"""Speech recognition: what counts, figures by hand, what it says of a sound alone, and that it learns."""

import jax
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from mmjax import systems
from mmjax.engine import step as steps
from mmjax.errors import OptionError, UserError
from mmjax.systems.speaking import speech_recognition

FRAMES = {"sample_rate": 4000, "n_fft": 128, "hop": 32, "n_mels": 16, "fmax": 2000.0}
CONFIG = ConfigDict({
    "system": "speech_recognition",
    "frames": FRAMES,
    "model": {"units": 4, "speaker": 1, "width": 16, "layers": 1, "kernel": 3},
    "loss": {"seconds": 0.4, "speaker": 1.0},
})  # fmt: skip
TASK = systems.build(CONFIG)
SPELT = np.array([b"p", b"a", b"b", b"c"]).view(np.uint8).reshape(4, 1)
WORDS = np.array([b"", b"ab", b"ca"]).view(np.uint8).reshape(3, 2)
CONSTANTS = {
    "units_names": SPELT, "lexicon_names": WORDS, "lexicon_units": np.array([[0, -1], [1, 2], [3, 1]], np.int32),
}  # fmt: skip


def make_batch(rng, rows=8):
    """Two words of two units each, 0.06 s a unit, each a tone; the speaker is how loud the third harmonic is."""
    chosen = rng.integers(0, 2, (rows, 2))
    units = np.array([[1, 2], [3, 1]])[chosen].reshape(rows, 4).astype(np.int32)
    speaker = rng.random((rows, 1)).astype(np.float32)
    time = np.arange(1600) / 4000
    at = np.minimum((time / 0.06).astype(int), 3)
    phase = 2 * np.pi * (150 + 150 * units[:, at]) * time[None]
    sound = np.where(time[None] < 0.24, 6000 * (np.sin(phase) + speaker * np.sin(3 * phase)), 0).astype(np.int16)
    captions = np.array([" ".join(("ab", "ca")[word] for word in row) for row in chosen], object)
    full = {"units_length": np.full(rows, 4, np.int32), "speech_length": np.full(rows, 960, np.int32)}
    return {
        "speech": sound, "units": np.pad(units, ((0, 0), (0, 2))), "speaker": speaker, "caption": captions,
        "valid": np.ones(rows, bool), **full,
    }  # fmt: skip


def numeric(batch):
    return {name: value for name, value in batch.items() if name != "caption"}


def test_it_learns_and_writes_words(rng):
    optimisers = {"listener": optax.flatten(optax.adam(1e-2))}  # one array compiles faster than many
    batch = numeric(make_batch(rng, 16))
    state = jax.jit(lambda batch: steps.create(TASK, optimisers, jax.random.key(0), batch))({**batch, **CONSTANTS})
    step = jax.jit(lambda state, batch: steps.train_step(TASK, optimisers, state, batch, jax.random.key(1)))
    for _ in range(80):
        state, _ = step(state, numeric(make_batch(rng, 16)))
    test = make_batch(rng, 16)
    figures = {k: float(a / b) for k, (a, b) in jax.jit(TASK.metrics)(state.variables, numeric(test)).items()}
    assert figures["nll"] < 0.2 < figures["nll/frequencies"]
    assert figures["speaker_error"] < 0.7 * figures["speaker_error/mean_speaker"]
    said = jax.jit(TASK.predict)(state.variables, numeric(test), jax.random.key(0))
    out = {k: np.asarray(v) for k, v in said.items()}
    read = {k: np.ascontiguousarray(v).view(f"S{v.shape[-1]}")[..., 0] for k, v in out.items() if v.dtype == np.uint8}
    assert (set(read), out["audio/speech"].dtype) == ({"text/transcript", "text/units", "text/units_target"}, np.int16)
    found = TASK.score(read, {"caption": test["caption"]})
    assert found["word_error"] < 0.1 < found["word_error/another_sentence"] < found["word_error/silence"] == 1
    assert found["unit_error"] < 0.1 < found["unit_error/another_sentence"]
    alone = {name: test[name] for name in ("speech", "speech_length", "valid")}
    shapes = jax.eval_shape(TASK.predict, state.variables, alone, jax.random.key(0))
    assert set(shapes) == set(out) - {"text/units_target"}


def test_sentences_that_are_too_long_are_not_learned_from(rng):
    batch = numeric(make_batch(rng, 4))
    variables = jax.jit(TASK.init)(jax.random.key(0), {**batch, **CONSTANTS})
    short = dict(CONFIG.loss, seconds=0.3)
    run = jax.jit(lambda batch: speech_recognition.loss(*TASK.metrics.arguments, variables, batch, None, **short))
    batch["speech_length"][0] = 1201
    value, (state, _) = run(batch)
    spoiled = {**batch, "units": batch["units"].copy(), "speaker": batch["speaker"].copy()}
    spoiled["units"][0], spoiled["speaker"][0] = 0, 9.0
    again, (other, _) = run(spoiled)
    np.testing.assert_allclose(value, again, rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, state, other)
    np.testing.assert_allclose(state["speaker"]["mean"], batch["speaker"][1:].mean(0), rtol=1e-5)
    np.testing.assert_allclose(np.sum(state["shares"]["mean"]), 1, rtol=1e-5)


def test_mistakes_are_named(rng):
    batch = numeric(make_batch(rng, 2))
    half = {"units_names": SPELT, "lexicon_names": WORDS}
    for lacking in ({}, half):
        with pytest.raises(UserError, match="lacks units_names, or half of a lexicon"):
            TASK.init(jax.random.key(0), {**batch, **lacking})
    variables = jax.jit(TASK.init)(jax.random.key(0), {**batch, **CONSTANTS})
    assert TASK.fill(variables, CONSTANTS) is variables
    assert TASK.fill(variables, {"units_names": SPELT}) is variables  # letters
    with pytest.raises(UserError, match="its units are no letters"):
        TASK.fill(variables, {"units_names": WORDS[[0, 1, 1, 2]]})
    with pytest.raises(OptionError, match=r"config\.model\.units is 4, and the data set has 3"):
        TASK.fill(variables, {"units_names": SPELT[:3]})
    for field, words in (("model.kernel", r"config\.model\.kernel is 0"), ("loss.seconds", r"config\.loss\.seconds")):
        config = CONFIG.copy_and_resolve_references()
        config.update_from_flattened_dict({field: 0})
        with pytest.raises(OptionError, match=words):
            systems.build(config)
