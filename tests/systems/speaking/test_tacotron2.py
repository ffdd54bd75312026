"""The system Tacotron 2: figures by hand, what counts and what does not, what it says, and that it learns."""

import dataclasses
from unittest import mock

import jax
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict
from planted_units import RUN
from shared import get_config
from speaker_weights import published
from torch_writer import write_zip

from mmjax import predictions, systems
from mmjax.engine import step as steps
from mmjax.errors import OptionError, UserError
from mmjax.known import units_run
from mmjax.systems.speaking import saying, step_by_step, tacotron2

SIZES = {
    "symbols": 5, "mels": 8, "speaker": 2, "reduction": 2, "embed": 8, "encoder_layers": 1, "prenet": 32,
    "attention_units": 16, "decoder_units": 16, "attention": 8, "filters": 2, "window": 3, "postnet_layers": 2,
    "postnet_units": 8, "dropout": 0.0, "state_dropout": 0.0,
}  # fmt: skip


def make_config(**changes):
    c = ConfigDict({"model": dict(SIZES), "weights": "", "vocoder": "", "eval": {"judges": ()}})
    c.frames = {"sample_rate": 4000, "n_fft": 128, "hop": 64, "n_mels": 8, "fmax": 2000.0}
    c.sentences = {"mean": -4.0, "scale": 2.0, "seconds": 0.5, "units": 6}
    c.loss = {"gate": 1.0, "positive": 3.0, "guide": 1.0, "width": 0.2}
    c.speak = {"seconds": 0.6, "threshold": 0.5, "n_iter": 2}
    c.update_from_flattened_dict(changes)
    return c


TASK = systems.build(ConfigDict({"system": "tacotron2", **make_config().to_dict()}))


def make_batch(rng, rows=8):
    """Each unit is a tone of its own and lasts 0.08 s."""
    length = rng.integers(2, 7, rows).astype(np.int32)
    units = rng.integers(0, 5, (rows, 9)).astype(np.int32)
    time = np.arange(2000) / 4000
    at = np.minimum((time / 0.08).astype(int), 8)
    tone = np.sin(2 * np.pi * (200 + 300 * units[:, at]) * time[None])
    sounding = time[None] < 0.08 * length[:, None]
    speech = np.where(sounding, 8000 * tone, 0).astype(np.int16)
    speaker = rng.random((rows, 2), np.float32)
    long = np.round(0.08 * 4000 * length).astype(np.int32)
    return {
        "units": units, "units_length": length, "speech": speech, "speech_length": long, "speaker": speaker,
        "valid": np.ones(rows, bool),
    }  # fmt: skip


@pytest.fixture(scope="module")
def fresh():
    return jax.jit(TASK.init)(jax.random.key(0), make_batch(np.random.default_rng(0)))


def test_sentences_that_are_too_long_count_nowhere(rng, fresh):
    batch, variables = make_batch(rng), fresh
    batch["speech_length"][0], batch["units_length"][1], batch["valid"][2] = 2001, 7, False
    rest = {name: value[3:] for name, value in batch.items()}
    run = jax.jit(TASK.metrics)
    found, wanted = run(variables, batch), run(variables, rest)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), found, wanted)
    assert float(found["mel_error"][1]) == 5
    spoiled = {**batch, "speech": batch["speech"].copy()}
    spoiled["speech"][:3] = 999

    @jax.jit
    @jax.grad
    def gradient(bias):  # of this alone, which compiles faster than that of all
        params = {"speech": {**variables["params"]["speech"], "gate_bias": bias}}
        return TASK.updates[0].loss({**variables, "params": params, "frozen": {}}, spoiled, jax.random.key(1))[0]

    # The batch's statistics are of all rows; so none of the padding's or of the long ones' errors is in the loss.
    value = gradient(variables["params"]["speech"]["gate_bias"])
    assert np.isfinite(value).all()


def test_figures_and_their_baselines_by_hand(rng, fresh):
    batch = make_batch(rng, 2)
    batch["units_length"][:], batch["speech_length"][:] = 4, 1280
    network = TASK.metrics.arguments[0]
    mel, frames, _ = tacotron2.heard(network, batch)
    assert (network.frames, network.samples, frames.tolist()) == (32, 2000, [21, 21])
    still = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), fresh["params"])  # it writes the mean, opens by halves
    known = {"frame": np.full(8, 0.25, np.float32), "pace": np.float32(0.1), "batches": np.float32(1)}
    variables = {**fresh, "params": still, "state": {**fresh["state"], "known": known}}
    found = {k: float(a / b) for k, (a, b) in jax.jit(TASK.metrics)(variables, batch).items()}
    real = np.asarray(mel)[:, :21]
    last = np.repeat(np.concatenate([np.zeros((2, 1, 8)), np.asarray(mel)[:, 1:31:2]], 1), 2, 1)[:, :21]
    np.testing.assert_allclose(found["mel_error"], 4 * np.mean(real**2), rtol=1e-5)
    np.testing.assert_allclose(found["mel_error/mean_frame"], 4 * np.mean((real - 0.25) ** 2), rtol=1e-5)
    np.testing.assert_allclose(found["mel_error/last_frame"], 4 * np.mean((real - last) ** 2), rtol=1e-5)
    np.testing.assert_allclose(found["gate_error"], np.log(2), rtol=1e-5)
    usual = 1 / (4 * 0.1 * 4000 / (64 * 2))  # of 12.5 steps, where there are 11
    by_hand = -(np.log(usual) + 10 * np.log(1 - usual)) / 11
    np.testing.assert_allclose(found["gate_error/usual_length"], by_hand, rtol=1e-4)


def test_scores_by_hand():
    spoken = np.array([[1, 1, 1, 1.5, 1.0, 0.9], [1, 0, 0, 2.0, 2.2, 2.0]], np.float32)
    found = tacotron2.score({"number/spoken": spoken}, {})
    assert (found["attention_monotone"], found["attention_whole"], found["gate_fired"]) == (1, 0.5, 0.5)
    np.testing.assert_allclose([found["length_error"], found["length_error/usual_pace"]], [0.35, 0.15], rtol=1e-5)


def test_it_learns_and_speaks_to_whoever_asks(rng):
    optimisers = {"speech": optax.flatten(optax.adam(1e-2))}  # one array compiles faster than many
    batch = make_batch(rng)
    names = np.array([b"a", b"b", b"c", b"d", b"e"]).view(np.uint8).reshape(5, 1)
    create = jax.jit(lambda batch: steps.create(TASK, optimisers, jax.random.key(0), batch))
    state = create({**batch, "units_names": names})
    run = jax.jit(TASK.metrics)
    before = run(state.variables, batch)["mel_error"]
    step = jax.jit(lambda state, batch: steps.train_step(TASK, optimisers, state, batch, jax.random.key(1)))
    for _ in range(60):
        state, _ = step(state, batch)
    figures = {k: float(a / b) for k, (a, b) in run(state.variables, batch).items()}
    assert figures["mel_error"] < 0.6 * figures["mel_error/mean_frame"] < float(before[0] / before[1])
    assert figures["gate_error"] < figures["gate_error/usual_length"]
    asked, notes = TASK.ask("ABBA", state.variables, {})
    assert (asked["units"][0].tolist(), asked["units_length"].tolist(), notes) == ([0, 1, 1, 0, 0, 0], [4], ())
    out = jax.jit(TASK.predict)(state.variables, asked, jax.random.key(0))
    assert out["audio/speech"].dtype == np.float32
    assert np.abs(out["audio/speech"]).max() > 0.01
    assert set(out) == {"audio/speech", "label/ended", "number/spoken"} | {
        f"heatmap/{name}" for name in ("alignment", "mel", "mel_before")
    }
    for text, words in (("abcabca", "at most 6"), ("abz", "'z' is no symbol"), ("", "nothing to say")):
        with pytest.raises(UserError, match=words):
            TASK.ask(text, state.variables, {})


def test_units_that_a_run_hears_are_spoken(rng):
    """In speech alone, as those very units are; sentences that have more of them than count do not."""
    hear = jax.jit(RUN.units, static_argnums=3)
    batch = {
        "speech": rng.integers(-9000, 9000, (3, 11_025)).astype(np.int16),
        "speech_length": np.array([11_025, 3_000, 6_000], np.int32),
        "speaker": rng.random((3, 2), np.float32),
        "valid": np.ones(3, bool),
    }
    units, count = (np.asarray(x) for x in hear(RUN.variables, batch["speech"], batch["speech_length"], 99))
    assert 1 < count[1] < count[0]
    changes = {
        "frames.sample_rate": 22_050,
        "frames.n_fft": 512,
        "frames.hop": 256,
        "sentences.units": int(count[0]) - 1,
    }
    with mock.patch.object(units_run, "load", return_value=RUN):
        task = tacotron2.build(make_config(units=RUN.path, **changes))
    assert (task.fields, task.predicts_from) == (("speech", "speech_length", "speaker"), ("speech", "speech_length"))
    made = jax.jit(task.init)(jax.random.key(0), batch)
    assert made["params"]["speech"]["symbol"].shape == (8, 8)
    variables = task.fill(made, {})
    assert bytes(np.asarray(variables["frozen"]["units_names"][7])) == b"u007"
    network = task.metrics.arguments[0]
    known = dataclasses.replace(network, run=None)
    these = {**batch, "units": units, "units_length": count}
    options = {"gate": 1.0, "positive": 3.0, "guide": 1.0, "width": 0.2}

    def loss(network, variables, batch):
        return tacotron2.loss(network, variables, batch, jax.random.key(1), **options)[0]

    run_loss = jax.jit(loss, static_argnums=0)
    np.testing.assert_allclose(run_loss(network, variables, batch), run_loss(known, variables, these), rtol=1e-5)
    start = jax.jit(step_by_step.start, static_argnums=0)
    alone = {name: batch[name] for name in ("speech", "speech_length")}  # by the middle of all voices
    typed = {"units": units, "units_length": count}
    found, wanted = start(network, variables, alone), start(known, variables, typed)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, wanted)
    assert "mel_error" in jax.eval_shape(task.metrics, variables, batch)
    out = jax.eval_shape(task.predict, variables, alone, jax.random.key(0))
    assert {"audio/speech", "audio/speech_target", "number/spoken"} <= set(out)
    assert saying.listened(network, variables, typed) is typed
    with pytest.raises(OptionError, match=r"config\.units='': give a workdir of configs/units\.py"):
        tacotron2.build(get_config("tacotron2", "learned"))


def test_a_voice_is_heard_in_a_recording(rng, tmp_path):
    """Without a `speaker` of the data: by it sentences are spoken, judged, and by the mean one where none is heard."""
    frames = {"frames.sample_rate": 22_050, "frames.n_fft": 512, "frames.hop": 256, "model.speaker": 0}
    task = tacotron2.build(make_config(voice=f"resemblyzer:{tmp_path / 'pretrained.pt'}", **frames))
    with pytest.raises(OptionError, match=r"config\.voice='resemblyzer:.*': no such file"):
        task.needs[0]()
    quiet = {
        name: x * (0.0 if "bias" in name else 1.0) for name, x in published(rng).items()
    }  # or all sounds are alike
    write_zip(tmp_path / "pretrained.pt", {"model_state": quiet})
    task.needs[0]()
    assert task.fields == ("units", "units_length", "speech", "speech_length")
    assert (task.predicts_from, task.speaking.otherwise, task.modalities) == (
        task.fields[:2],
        {},
        {"words": ("units",)},
    )
    network = task.metrics.arguments[0]
    assert network.model.speaker == 256
    batch = {name: value for name, value in make_batch(rng, 3).items() if name != "speaker"}
    time = np.arange(11_025) / 22_050
    tones = [np.sin(2 * np.pi * pitch * time) for pitch in (200, 3000)]  # which the encoder tells from noise, and apart
    batch["speech"] = np.int16(9000 * np.stack([rng.uniform(-1, 1, 11_025), *tones]))
    batch["speech_length"], batch["valid"] = np.array([11_025, 6_000, 8_000], np.int32), np.array([True, True, False])
    batch["units_length"] = np.minimum(batch["units_length"], 6)
    made = jax.jit(task.init)(jax.random.key(0), batch)
    variables = task.fill(made, {})
    hear = jax.jit(
        lambda sound: network.voice({"params": {}, "state": {}, "frozen": variables["frozen"]["voice"]}, sound)[0]
    )
    each = [hear(sound[None, :length])[0] for sound, length in zip(batch["speech"], batch["speech_length"])]
    np.testing.assert_allclose(np.linalg.norm(each, axis=1), 1, rtol=1e-5)
    heard = jax.jit(lambda batch: saying.listened(network, variables, batch)["voice"])(batch)
    np.testing.assert_allclose(heard, each, atol=2e-4)

    _, (state, _) = jax.jit(task.updates[0].loss)(variables, batch, jax.random.key(1))
    np.testing.assert_allclose(state["known"]["voice"], np.mean(each[:2], 0), atol=2e-4)  # of those that count
    ended = np.where(np.arange(11_025) < batch["speech_length"][:, None], batch["speech"], 0).astype(np.int16)
    stored = jax.jit(task.features.compute)(task.features.weights(variables), ended)["voice"]  # once, of all
    np.testing.assert_allclose(stored, each, atol=2e-4)
    given = {**batch, "speech_voice": stored[::-1]}
    np.testing.assert_array_equal(saying.listened(network, variables, given)["voice"], stored[::-1])
    two = {**variables, "state": {**variables["state"], "known": {**state["known"], "voice": each[0] + each[1]}}}
    mean = (each[0] + each[1]) / np.linalg.norm(each[0] + each[1])
    who = saying.who(network, two, {name: batch[name] for name in ("units", "units_length")})
    np.testing.assert_allclose(who, np.tile(mean, (3, 1)), rtol=1e-4)

    # It says the recordings themselves: those of the first, and of the second one twice.
    said, frames = batch["speech"][[0, 1, 1]] / np.float32(32768), np.array([43, 23, 23], np.int32)
    again = np.where(np.arange(11_025) < batch["speech_length"][:, None], said, 0)
    found = {"sound": said, "frames": frames}
    whole = {**batch, "valid": np.ones(3, bool)}
    with mock.patch.object(tacotron2, "partners", return_value=np.array([1, 2, 0])):
        cosines = jax.jit(lambda *a: tacotron2.alike(network, two, whole, found, *a, jax.random.key(0)))(
            batch["speech"] / np.float32(32768), batch["speech_length"], again
        )
    np.testing.assert_allclose(cosines[0, 0], 1, atol=1e-3)  # whole frames are heard, nearly as many samples
    np.testing.assert_allclose(cosines[1, 0], 1, atol=1e-3)
    np.testing.assert_allclose(cosines[:, 1], [each[0] @ each[1], each[1] @ each[2], each[2] @ each[0]], atol=1e-3)
    np.testing.assert_allclose(cosines[:, 2], np.stack(each) @ mean, atol=1e-3)
    np.testing.assert_allclose(cosines[:2, 3], 1, atol=1e-3)
    assert np.abs(cosines[2, [0, 3]] - 1).max() > 1e-4
    out = jax.eval_shape(task.predict, two, batch, jax.random.key(0))
    predictions.check(out)
    assert out["number/voice_cosine"].shape == (3, 4)
    figures = tacotron2.score({"number/spoken": np.ones((3, 6)), "number/voice_cosine": np.asarray(cosines)}, {})
    np.testing.assert_allclose(figures["voice_cosine/mean_voice"], np.mean(cosines[:, 2]), rtol=1e-5)
    alone = jax.eval_shape(task.predict, two, {name: batch[name] for name in task.predicts_from}, jax.random.key(0))
    assert "number/voice_cosine" not in alone


def test_wrong_options_are_named():
    for changes, words in (
        ({"voice": "nobody"}, r"config\.voice='nobody' is no speaker encoder: choose 'resemblyzer' or"),
        ({"voice": "resemblyzer"}, r"config\.frames\.sample_rate is 4000: config\.voice='resemblyzer' hears 22050"),
        ({"sentences.scale": 0.0}, "scale"),
        ({"model.window": 4}, r"config\.model\.window"),
        ({"vocoder": "g"}, "256 samples of a frame"),
    ):
        with pytest.raises(OptionError, match=words):
            tacotron2.build(make_config(**changes))


def test_the_paper_variant_is_nvidias_network():
    config = get_config("tacotron2", "nvidia")
    model = tacotron2.build(config).metrics.arguments[0].model
    assert (model.embed, model.attention_units, model.reduction, model.prenet_dropout) == (512, 1024, 1, 0.5)


def test_published_weights_are_those_that_it_begins_and_speaks_with(tmp_path, rng):
    batch = make_batch(rng, 2)
    frames = {"frames.hop": 256, "frames.n_fft": 512}
    task = tacotron2.build(make_config(weights=str(tmp_path / "t.safetensors"), vocoder="none", **frames))
    network = task.metrics.arguments[0]
    assert network.vocoder.hop == network.spec.hop
    shapes = jax.eval_shape(task.init, jax.random.key(0), batch)
    assert shapes["frozen"]["vocoder"]["first_kernel"].shape == (7, 8, 512)
    with pytest.raises(UserError, match=r"config\.weights: .*t\.safetensors: no such file"):
        task.fill(shapes, {})
    with (
        mock.patch.multiple(
            "mmjax.known.speech.networks", load=lambda path, model: {"params": {"here": 1}, "state": {"there": 2}}
        ),
        mock.patch.multiple("mmjax.known.speech.generators", load=lambda path, model: {"params": {"sound": 3}}),
    ):
        filled = task.fill(shapes, {})
    assert (filled["params"], filled["state"]["net"]) == ({"speech": {"here": 1}}, {"there": 2})
    assert filled["frozen"]["vocoder"] == {"sound": 3}
    assert filled["state"]["known"] is shapes["state"]["known"]
