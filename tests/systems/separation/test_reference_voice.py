"""Voices picked out by recordings of their speakers: what is told of each, controls, what is stored, training."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from mixed_voices import clips, small
from speaker_weights import published
from torch_writer import write_zip

from mmjax import systems
from mmjax.engine import step as steps
from mmjax.errors import OptionError
from mmjax.known import encoders
from mmjax.systems.separation import reference_voice
from mmjax.systems.separation.networks import GROUP


@pytest.fixture
def weights(rng, tmp_path):
    """A file of Resemblyzer's layout, random; without biases, or all sounds are alike."""
    state = {name: x * (0.0 if "bias" in name else 1.0) for name, x in published(rng).items()}
    write_zip(tmp_path / "pretrained.pt", {"model_state": state})
    return f"resemblyzer:{tmp_path / 'pretrained.pt'}"


def recorded(rng):
    """`clips` of four speakers but for the third, who is the first once more; and another tone of each."""
    batch = {name: value for name, value in clips(rng).items() if not name.startswith(("face", "ambience"))}
    time = np.arange(30_000) / 22_050
    tones = [np.sin(2 * np.pi * hertz * time) for hertz in (200, 1200, 210, 3000)]
    batch["speech_other"] = (9000 * np.stack(tones)).astype(np.int16)
    batch["label"] = np.array([0, 1, 0, 2], np.int32)
    return batch


def begun(task, batch, optimisers):
    state = jax.jit(lambda: steps.create(task, optimisers, jax.random.key(0), batch))()
    variables = task.fill(state.variables, {})
    return dataclasses.replace(state, params=variables["params"], state=variables["state"], frozen=variables["frozen"])


def test_a_recording_stands_in_the_place_of_the_face(rng, weights):
    """Its embedding is heard once, by what is trained no further, and tells of each voice; others tell of others."""
    task, batch = systems.build(small("reference", voice=weights)), recorded(rng)
    assert task.fields == ("speech_other", "speech", "speech_length", "label", "index")
    assert task.modalities == {"speech": ("speech", "speech_other")}
    made = task.metrics.arguments[0]
    variables = task.fill(jax.jit(task.init)(jax.random.key(0), batch), {})
    assert set(variables["params"][GROUP]) == {"listener"}
    each = jax.jit(lambda sound: task.features.compute(encoders.parts(variables, GROUP), sound))(batch["speech_other"])
    each = np.asarray(each["embedding"])
    np.testing.assert_allclose(np.linalg.norm(each, axis=1), 1, rtol=1e-5)
    assert np.max(each @ each.T - np.eye(4)) < 0.98  # random weights, and yet nobody is anybody else
    see = jax.jit(lambda b: made.see(variables, b)[0])
    np.testing.assert_allclose(see(batch), each[:, None], atol=1e-6)
    stored = {name: value for name, value in batch.items() if name != "speech_other"}
    stored["speech_other_embedding"] = each[::-1]
    np.testing.assert_array_equal(see(stored), each[::-1, None])

    asked = jax.jit(lambda b: made.asked(variables, b, made.listed(b)))(batch)
    asked = {name: np.asarray(value[:, :, 0]) for name, value in asked.items()}
    np.testing.assert_allclose(asked["right"], each.reshape(2, 2, -1), atol=1e-6)
    np.testing.assert_array_equal(asked["swapped_voice"], asked["right"][:, ::-1])
    assert not asked["no_voice"].any()
    # Speakers 0 and 1 are mixed, then 0 and 2: nobody of the first mixture speaks in the fourth clip alone.
    np.testing.assert_allclose(asked["absent_voice"], np.stack([each[[3, 3]], each[[1, 1]]]), atol=1e-6)
    assert set(asked) == {"right", "swapped_voice", "absent_voice", "no_voice"}


def test_the_loss_falls_and_two_clips_of_a_speaker_are_never_mixed(rng, weights):
    c = small("reference", voice=weights, order_free=0.5)
    c.model.units, c.model.hidden = 24, 32
    task, batch = systems.build(c), recorded(rng)
    optimisers = {GROUP: optax.flatten(optax.adam(1e-2))}
    state = begun(task, batch, optimisers)
    before = jax.tree.map(np.asarray, state.frozen)
    batch["speech_other_embedding"] = rng.normal(size=(4, 256)).astype(np.float32)  # as the engine stores them
    del batch["speech_other"]
    step = jax.jit(lambda state, batch, key: steps.train_step(task, optimisers, state, batch, key))
    values = []
    for i in range(40):
        state, logs = step(state, batch, jax.random.key(i))
        values.append(float(logs["loss/separator"]))
    assert np.mean(values[-5:]) < 0.6 * np.mean(values[:3]), values
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, state.frozen))
    assert float(logs["mixtures"]) == 4
    batch["label"][:] = 5
    state, logs = step(state, batch, jax.random.key(40))
    assert float(logs["mixtures"]) == 0


def test_what_is_predicted_for_the_page_and_measured(rng, weights):
    batch = recorded(rng)
    task = systems.build(small("reference", voice=weights, bss_taps=0))
    variables = jax.eval_shape(task.init, jax.random.key(0), batch)
    found = jax.eval_shape(task.predict, variables, batch, jax.random.key(0))
    sounds = {name.removeprefix("audio/") for name in found if name.startswith("audio/")}
    told = {"reference", "swapped_voice"}
    assert sounds == {"mixture", "estimate", "estimate_target", "ideal_ratio_mask"} | told
    assert not any(name.startswith("image/") for name in found)
    assert found["audio/reference"].shape == (4, -(-30_000 * 8000 // 22_050))
    figures = jax.eval_shape(task.metrics, variables, batch)
    assert {"si_sdr_improvement/absent_voice", "close_pitch_improvement/no_voice"} <= set(figures)
    alone = systems.build(small("reference", network="voices_only"))
    assert (alone.fields, alone.features) == (("speech", "speech_length", "label", "index"), None)


def test_a_users_voices_are_heard_in_a_sound_of_any_length(rng, weights):
    """Masks that are numbers of the recordings: they scale the sound, over all chunks and at its level."""
    task, batch = systems.build(small("reference", voice=weights)), recorded(rng)
    assert (task.voices, task.whole, task.answers) == (2, True, ("audio/estimate1", "audio/estimate2"))
    made = task.metrics.arguments[0]
    variables = task.fill(jax.jit(task.init)(jax.random.key(0), batch), {})

    class Told(reference_voice.ReferenceVoices):
        def masks(self, variables, whole, faces, where, train=False):
            share = 10 * jnp.mean(faces, (-2, -1))[:, :, None, None]
            return jnp.broadcast_to(share, (*share.shape[:2], *whole.shape[1:])).astype(jnp.complex64), {}

    told = Told(**{field.name: getattr(made, field.name) for field in dataclasses.fields(made)})
    sound = (3000 * np.sin(2 * np.pi * 300 * np.arange(33_333) / 22_050)).astype(np.int16)  # of four chunks
    asked = {"voices": batch["speech_other"][None, [3, 1]], "speech": sound[None], "speech_length": np.array([33_333])}
    found = jax.jit(lambda b: reference_voice.predict(told, None, variables, b, jax.random.key(0)))(asked)
    each = jax.jit(lambda b: made.see(variables, b)[0])(batch)[:, 0]
    heard = np.asarray(made.sound.heard(sound[None]))[0] * 32_768
    for i, row in enumerate((3, 1)):
        wanted = heard * np.square(10 * np.mean(each[row]))  # masks are of the root of a spectrum here
        np.testing.assert_allclose(np.asarray(found[f"audio/estimate{i + 1}"][0], float)[:-600], wanted[:-600], atol=4)


def test_a_wrong_voice_is_one_line(tmp_path):
    with pytest.raises(OptionError, match=r"config\.voice='nobody' is no speaker encoder"):
        systems.build(small("reference", voice="nobody"))
    task = systems.build(small("reference", voice=f"resemblyzer:{tmp_path / 'none.pt'}"))
    with pytest.raises(OptionError, match=r"config\.voice='resemblyzer:.*none\.pt': no such file"):
        task.needs[0]()
