"""Losses of speech: by hand, against naive loops, and that the padding changes neither values nor gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import OptionError
from mmjax.losses import speech

STEPS, LENGTH = np.array([5, 2], np.int32), np.array([4, 3], np.int32)


def test_the_error_of_frames_by_hand():
    predicted, target = np.zeros((2, 3, 2), np.float32), np.ones((2, 3, 2), np.float32)
    predicted[0, 0] = 3
    where = np.array([[True, True, False], [False, False, False]])
    found = jax.jit(speech.mel_error)(predicted, target, where)
    np.testing.assert_allclose(found, [(4 + 4 + 1 + 1) / 4, 0])


def test_the_gate_by_hand():
    logits = np.zeros((2, 6), np.float32)
    found = jax.jit(speech.gate_error, static_argnums=2)(logits, STEPS, 10.0)
    np.testing.assert_allclose(found, np.log(2) * np.array([(4 + 10) / 5, (1 + 10) / 2]), rtol=1e-6)
    sure = np.where(np.arange(6)[None] == STEPS[:, None] - 1, 100, -100).astype(np.float32)
    np.testing.assert_allclose(speech.gate_error(sure, STEPS), 0, atol=1e-6)
    np.testing.assert_allclose(speech.gate_error(-sure, STEPS), 100, rtol=1e-6)


def test_guided_attention_against_a_naive_loop(rng):
    attention = rng.dirichlet(np.ones(4), (2, 6)).astype(np.float32)
    found = jax.jit(speech.off_diagonal, static_argnums=3)(attention, STEPS, LENGTH, 0.3)
    for row, (steps, length) in enumerate(zip(STEPS, LENGTH)):
        total = sum(
            attention[row, s, u] * (1 - np.exp(-((u / length - s / steps) ** 2) / (2 * 0.3**2)))
            for s in range(steps)
            for u in range(length)
        )
        np.testing.assert_allclose(found[row], total / steps, rtol=1e-5)
    steps = np.array([4, 4], np.int32)
    diagonal = np.broadcast_to(np.eye(4, dtype=np.float32), (2, 4, 4))
    np.testing.assert_allclose(speech.off_diagonal(diagonal, steps, steps), 0, atol=1e-6)


def test_nothing_in_the_padding_matters(rng):
    mel, target = rng.normal(size=(2, 2, 6, 3)).astype(np.float32)
    logits, attention = rng.normal(size=(2, 6)).astype(np.float32), rng.dirichlet(np.ones(4), (2, 6)).astype(np.float32)

    def total(mel, logits, attention):
        where = np.arange(mel.shape[1])[None] < STEPS[:, None]
        wanted = np.resize(target, mel.shape)
        found = speech.mel_error(mel, wanted, where) + speech.gate_error(logits, STEPS, 3.0)
        return jnp.sum(found + speech.off_diagonal(attention, STEPS, LENGTH))

    spoiled = mel.copy(), logits.copy(), attention.copy()
    for row in range(2):
        for array in spoiled:
            array[row, STEPS[row] :] = np.nan
        spoiled[2][row, :, LENGTH[row] :] = np.nan
    found = jax.value_and_grad(total, (0, 1, 2))(*spoiled)
    wanted = jax.value_and_grad(total, (0, 1, 2))(mel, logits, attention)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, wanted)
    assert not np.asarray(found[1][0])[1, STEPS[1] :].any()


def test_weights_that_there_cannot_be():
    with pytest.raises(OptionError, match="above 0"):
        speech.gate_error(np.zeros((1, 2), np.float32), np.ones(1, np.int32), 0.0)
    with pytest.raises(OptionError, match="above 0"):
        speech.off_diagonal(np.zeros((1, 2, 2), np.float32), np.ones(1, np.int32), np.ones(1, np.int32), -1.0)
