"""Sound of Pixels as a system: its loss by hand, whose pictures ask for what, silence, predictions at any length."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from shared import get_config

from mmjax import systems
from mmjax.engine import step as steps
from mmjax.errors import OptionError
from mmjax.metrics.separation import bss_eval_host
from mmjax.systems.separation import estimates, listening, networks, separation


@pytest.fixture(scope="module")
def config():
    c = get_config("separation")
    c.data.seconds = c.chunk.seconds = 0.5
    c.loss.weight = "magnitude"
    return c


@pytest.fixture(scope="module")
def made(config):
    return networks.make(config)


def clips(rng, rows=8, seconds=0.5):
    """Clip i is a tone of its own pitch, its picture a corner of the cube of colours."""
    time = np.arange(int(22_050 * seconds)) / 22_050
    waves = 8000 * np.sin(2 * np.pi * 300 * (1 + np.arange(rows))[:, None] * time[None] + rng.uniform(size=(rows, 1)))
    colours = np.array(list(np.ndindex(2, 2, 2)), np.uint8)[np.arange(rows) % 8] * np.uint8(200)
    image = np.broadcast_to(colours[:, None, None], (rows, 32, 32, 3)).copy()
    return {
        "image": image,
        "waveform": waves.astype(np.int16),
        "waveform_length": np.full(rows, waves.shape[1], np.int32),
        "label": np.arange(rows, dtype=np.int32),
        "index": np.arange(rows, dtype=np.int32),
        "valid": np.ones(rows, bool),
    }


@pytest.fixture(scope="module")
def variables(config):
    return jax.jit(systems.build(config).init)(jax.random.key(0), clips(np.random.default_rng(0)))


def told(made, batch, logits):
    """Networks that say these logits for each clip, whatever they hear: the masks are then known."""

    class Told(networks.Networks):
        def hear(self, variables, magnitude, train=False):
            return magnitude[..., None], {}

        def see(self, variables, batch, train=False):
            rows = len(batch["image"])
            return (logits[:rows] if rows > 1 else jnp.zeros((1, 1))), {}

        def ask(self, variables, maps, vectors):
            return jnp.broadcast_to(vectors[..., None], (*vectors.shape[:2], *maps.shape[1:3]))

    return Told(**{name: getattr(made, name) for name in made.__dataclass_fields__})


def test_the_loss_of_masks_that_say_nothing_and_everything(rng, made):
    batch = clips(rng)
    key = jax.random.key(3)
    mixture = _trained(made, batch, key)
    whole, targets = separation.target(made, mixture)
    assert mixture.there.all()
    for logit in (0.0, 2.0):
        stub = told(made, batch, jnp.full((8, 1), logit))
        value, (_, logs) = _loss(stub, batch, key)
        p = 1 / (1 + np.exp(-logit))
        places = -(targets * np.log(p) + (1 - targets) * np.log(1 - p))
        weights = np.asarray(whole / whole.mean((1, 2), keepdims=True))[:, None]
        np.testing.assert_allclose(value, np.mean(places * weights), rtol=1e-4)
        assert (float(logs["silent_clips"]), float(logs["mixtures"])) == (0, 8)
    batch["waveform"][2:] = 0  # two are left, each the other's
    silent = told(made, batch, jnp.zeros((8, 1)))
    of_silence = jax.jit(lambda batch: separation.loss(silent, {"state": {}}, batch, key))
    value, (_, logs) = of_silence(batch)
    assert (float(logs["silent_clips"]), float(logs["mixtures"])) == (6, 2)
    assert np.isfinite(value)
    batch["waveform"][1:] = 0
    value, (_, logs) = of_silence(batch)
    assert (float(value), float(logs["mixtures"])) == (0, 0)  # a mixture of silence is none


def _loss(stub, batch, key):
    return jax.jit(lambda batch: separation.loss(stub, {"state": {}}, batch, key))(batch)


def test_the_right_picture_asks_for_its_clip(rng, made, variables):
    """Tones far apart: masks that know the truth reach it, and whoever asks for the other clip gets the other."""
    batch = clips(rng)
    mixture = _listed(made, batch)
    np.testing.assert_array_equal(mixture.places, np.arange(8).reshape(4, 2))
    np.testing.assert_allclose(mixture.sound, mixture.parts.sum(1), atol=1e-6)
    gains = jax.jit(lambda batch: _oracles(made, batch))(batch)
    for name, least in (("ideal_ratio_mask", 12), ("ideal_binary_mask", 12), ("ideal_complex_mask", 40)):
        assert np.min(gains[name]) > least, name
    other, there = estimates.absent(made.classes, batch, mixture)
    assert there.all()
    np.testing.assert_array_equal(other, [2, 4, 6, 0])
    batch["label"][:] = [0, 1, 0, 1, 0, 1, 0, 1]
    assert not estimates.absent(made.classes, batch, mixture)[1].any()
    batch["valid"][3] = False
    assert list(_listed(made, batch).there) == [True, False, True, True]
    figures = jax.jit(lambda variables, batch: separation.metrics(made, variables, batch))(variables, clips(rng))
    assert float(figures["si_sdr"][1]) == 8
    np.testing.assert_allclose(figures["si_sdr_improvement/mixture"][0], 0)
    gain = figures["si_sdr"][0] - figures["si_sdr/mixture"][0]
    np.testing.assert_allclose(figures["si_sdr_improvement"][0], gain, atol=1e-3)


def _listed(made, batch):
    return jax.jit(listening.listed, static_argnums=(0, 1))(made.sound, made.mixing, batch)


def _trained(made, batch, key):
    """What is mixed in training."""
    return jax.jit(listening.trained, static_argnums=(0, 1, 2))(made.sound, made.mixing, "label", batch, key)


def _oracles(made, batch):
    mixture = _listed(made, batch)
    return {k: estimates.improvement(mixture, v) for k, v in estimates.oracles(made.sound, mixture).items()}


def test_a_users_sound_of_any_length_keeps_its_level_and_has_no_seams(rng, made, variables):
    batch = {k: v for k, v in clips(rng, 2, 1.7).items() if k not in ("index", "label")}
    length = batch["waveform"].shape[1]
    ones = told(made, batch, jnp.full((2, 1), 40.0))  # a mask of ones
    found = jax.jit(lambda batch: separation.of_user(ones, variables, batch, 0.5, 0.25)["audio/estimate"])(batch)
    assert found.shape == (2, length)
    assert found.dtype == np.int16
    assert np.abs(np.asarray(found, np.int32) - batch["waveform"]).max() <= 1  # within one step of 16 bits
    run = jax.jit(
        lambda batch, s: separation.of_user(made, variables, batch, s, 0.25)["audio/estimate"], static_argnums=1
    )
    loud = run(batch, 0.5)
    soft = run({**batch, "waveform": batch["waveform"] // 4}, 0.5)
    np.testing.assert_allclose(np.asarray(loud, np.float32) / 4, soft, atol=40)  # it is found at any level


def test_sdr_sir_and_sar_are_of_each_clip_and_stand_beside_the_mixtures(rng, made):
    """Of an estimate in which a fifth of the other clip is left, by the host's figures; an early one is aligned."""
    batch = clips(rng)
    noise = rng.normal(0, 1500, batch["waveform"].shape).astype(np.int16)  # tones alone leave 64 taps too much to fit
    batch["waveform"] += noise

    @jax.jit
    def of(batch):
        mixture = _listed(made, batch)
        estimate = mixture.parts + 0.2 * mixture.parts[:, ::-1]
        moved = estimate.at[0, 0].set(jnp.roll(estimate[0, 0], -3).at[-3:].set(0))
        return estimates.distortions(made.sound, mixture, moved, 64), mixture

    found, mixture = of(batch)
    assert set(found) == {f"number/bss_{whose}" for whose in estimates.JUDGED}
    parts = np.asarray(mixture.parts, np.float64)
    host = bss_eval_host.bss_eval(parts[1], parts[1] + 0.2 * parts[1][::-1], 64)
    wanted = np.stack([np.diagonal(host[name]) for name in estimates.RATIOS], -1)
    np.testing.assert_allclose(found["number/bss_estimate"][1, :, :2], wanted[:, :2], atol=0.01)
    np.testing.assert_allclose(found["number/bss_estimate"][:, :, 0], wanted[:, 0].mean(), atol=1)
    assert np.abs(found["number/bss_mixture"][..., 0]).max() < 1
    assert not estimates.distortions(made.sound, mixture, mixture.parts, 0)
    rows = {name: np.array(listening.by_row(value, 8)) for name, value in found.items()}
    rows["number/bss_estimate"][-2:] = np.nan  # of a mixture that does not count
    figures = estimates.score(rows, {})
    assert set(figures) == {f"{a}{b}" for a in estimates.RATIOS for b in ("", "/mixture", "/ideal_ratio_mask")}
    np.testing.assert_allclose(figures["sir"], rows["number/bss_estimate"][:6, 1].mean(), rtol=1e-5)
    assert not estimates.score({}, {})


def test_levels_are_of_each_clip_above_the_other(rng, made, monkeypatch):
    """A figure that is a clip's own level above that of the other one comes back as the levels of the columns."""

    def above(mixture, estimate):
        np.testing.assert_array_equal(estimate.shape, mixture.parts.shape)
        level = 10 * jnp.log10(jnp.mean(jnp.square(mixture.parts), -1))
        return level - level[:, ::-1]

    monkeypatch.setattr(estimates, "improvement", above)

    @jax.jit
    def levels(batch):
        listed = lambda first_db: listening.listed(made.sound, made.mixing, batch, first_db)  # noqa: E731
        return estimates.by_level(listed, lambda mixture: mixture.parts, jnp.zeros((4, 2)))

    found = levels(clips(rng))
    np.testing.assert_allclose(found, np.broadcast_to([-10, -5, 0, 5, 10], (4, 2, 5)), atol=1e-3)


def test_things_are_so_many_semitones_apart(rng, made):
    """Tones of 300, 600, 900, ... Hz: an octave, then 4/3, 6/5 and 8/7; above 2,000 Hz there is no pitch."""
    batch = clips(rng)
    batch["waveform"][7] = 0
    mixture = jax.jit(lambda b: listening.listed(made.sound, made.mixing, b))(batch)
    apart = jax.jit(lambda m: estimates.pitch_apart(made.sound, m, estimates.THINGS_HERTZ))(mixture)
    wanted = 12 * np.log2([2, 4 / 3, 6 / 5, np.nan])
    np.testing.assert_allclose(apart, np.broadcast_to(wanted[:, None], (4, 2)), atol=0.1)


def test_it_learns_which_picture_asks_for_which_sound(config):
    """Clicks or tones: after a few steps the picture of the other one gives the other one."""
    rng = np.random.default_rng(1)
    task, batch = systems.build(config), clips(rng)
    clicks = np.zeros_like(batch["waveform"][::2])
    clicks[np.arange(4)[:, None], rng.integers(0, clicks.shape[1], (4, 12))] = 30_000
    batch["waveform"][::2], batch["label"] = clicks, np.arange(8, dtype=np.int32) % 2
    batch["image"][::2], batch["image"][1::2] = 0, 200
    falling = optax.adam(optax.cosine_decay_schedule(1e-2, 80))  # so that statistics follow
    optimisers = {"separator": optax.flatten(falling)}  # one array compiles faster than many
    state = jax.jit(lambda key: steps.create(task, optimisers, key, batch))(jax.random.key(0))
    step = jax.jit(lambda state, batch, key: steps.train_step(task, optimisers, state, batch, key))
    for i in range(80):
        state, logs = step(state, batch, jax.random.key(i))
    figures = {k: float(a / b) for k, (a, b) in jax.jit(task.metrics)(state.variables, batch).items() if b}
    assert figures["si_sdr_improvement"] > 5, (figures, logs)
    assert figures["si_sdr_improvement/swapped_picture"] < 0


def test_the_network_without_pictures_may_give_its_masks_in_any_order(rng, config):
    alone = config.copy_and_resolve_references()
    alone.network = "audio_only"
    made = networks.make(alone)
    batch, key = clips(rng), jax.random.key(0)
    mixture = _trained(made, batch, key)
    _, targets = separation.target(made, mixture)
    truth = jnp.moveaxis(jnp.where(targets > 0.5, 9.0, -9.0), 1, -1)

    def value(order):
        class Told(networks.Networks):
            def hear(self, variables, magnitude, train=False):
                return truth[..., list(order)], {}

        stub = Told(**{name: getattr(made, name) for name in made.__dataclass_fields__})
        return jax.jit(lambda batch: separation.loss(stub, {"state": {}}, batch, key)[0])(batch)

    np.testing.assert_allclose(value((0, 1)), value((1, 0)), rtol=1e-5)
    assert value((0, 1)) < value((0, 0))
    task = systems.build(alone)
    assert set(task.modalities) == {"sound"}
    fresh = jax.eval_shape(task.init, key, batch)
    assert set(jax.eval_shape(task.metrics, fresh, batch)) & {"si_sdr_improvement/absent_picture"} == set()
    user = {k: batch[k] for k in ("waveform", "waveform_length", "valid")}
    answers = jax.eval_shape(task.predict, fresh, user, key)
    assert {k: v.shape for k, v in answers.items()} == dict.fromkeys(task.answers, batch["waveform"].shape)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("network", "nonsense", "config.network"),
        ("loss.penalty", "l1", None),
        ("loss.mask", "complex", "config.loss.mask"),
        ("mixing.sources", 5, "config.mixing.sources"),
        ("sound.hop", 500, "config.sound.hop"),
        ("model.levels", 1, "config.model"),
        ("chunk.overlap", 0.9, "config.chunk"),
    ],
)
def test_a_wrong_option_is_one_line(config, field, value, said):
    wrong = config.copy_and_resolve_references()
    section, _, name = field.rpartition(".")
    (wrong[section] if section else wrong)[name] = value
    if said is None:
        assert systems.build(wrong).fields
        return
    with pytest.raises(OptionError, match=said):
        systems.build(wrong)


def test_a_run_from_before_distortions_were_measured_has_none():
    config, without = get_config("separation"), get_config("separation")
    with without.unlocked():
        del without.bss_taps
    config.bss_taps = 0
    assert systems.build(without).predict == systems.build(config).predict
