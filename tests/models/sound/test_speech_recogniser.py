"""The recogniser of speech: its size, and that neither padding nor level nor the others of a batch change anything."""

import functools

import jax
import numpy as np
import pytest

from mmjax.errors import OptionError
from mmjax.models.sound.speech_recogniser import SpeechRecogniser

MODEL = SpeechRecogniser(5, speaker=2, width=8, layers=2, kernel=3)


def test_parameters_at_the_shipped_size():
    model = SpeechRecogniser(40, speaker=4)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 6, 80), np.float32), np.ones(1, np.int32))
    convolutions = 5 * 160 * 64 + 64 + 2 * 64 + 4 * (5 * 64 * 64 + 64 + 2 * 64)
    heads = 64 * 41 + 41 + 128 * 64 + 64 + 64 * 4 + 4
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == convolutions + heads


def test_only_what_is_real_is_heard_at_any_level(rng):
    frames = np.array([11, 4], np.int32)
    log_mel = rng.normal(size=(2, 11, 6)).astype(np.float32)
    variables = jax.jit(MODEL.init)(jax.random.key(0), log_mel, frames)
    run = jax.jit(MODEL.apply)
    found = run(variables, log_mel, frames)
    assert (found["units"].shape, found["speaker"].shape) == ((2, 6, 6), (2, 2))
    assert MODEL.steps(frames).tolist() == [6, 2]
    changed = log_mel + 3
    changed[1, 4:] = 99
    again, alone = run(variables, changed, frames), run(variables, log_mel[1:, :5], frames[1:])
    for other in (again, alone):
        np.testing.assert_allclose(other["units"][-1, :2], found["units"][1, :2], atol=1e-5)
        np.testing.assert_allclose(other["speaker"][-1], found["speaker"][1], atol=1e-5)


def test_training_drops_what_the_key_says_and_hearing_nothing(rng):
    log_mel, frames = rng.normal(size=(1, 8, 6)).astype(np.float32), np.array([8])
    dropping = MODEL.clone(dropout=0.5)
    variables = jax.jit(MODEL.init)(jax.random.key(0), log_mel, frames)
    train = jax.jit(functools.partial(dropping.apply, train=True, mutable=["state"]))
    one, again, other = (
        train(variables, log_mel, frames, rngs={"dropout": jax.random.key(n)})[0]["units"] for n in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
    heard, plain = (jax.jit(model.apply)(variables, log_mel, frames)["units"] for model in (dropping, MODEL))
    np.testing.assert_array_equal(heard, plain)
    with pytest.raises(OptionError, match="dropout"):
        MODEL.clone(dropout=1.0).checked()


def test_what_is_far_below_the_loudest_band_is_silence(rng):
    log_mel = rng.normal(size=(1, 8, 6)).astype(np.float32)
    variables = jax.jit(MODEL.init)(jax.random.key(0), log_mel, np.array([8]))
    quiet, silent = log_mel.copy(), log_mel.copy()
    quiet[0, 3], silent[0, 3] = log_mel.max() - 7.1, -1e4
    first, second = (MODEL.apply(variables, x, np.array([8]))["units"] for x in (quiet, silent))
    np.testing.assert_array_equal(first, second)


def test_wrong_sizes_are_named():
    for changes, words in (({"kernel": 4}, "kernel is 4"), ({"frames": 0}, "frames is 0"), ({"depth": 0.0}, "depth")):
        with pytest.raises(OptionError, match=words):
            SpeechRecogniser(5, **changes).checked()
