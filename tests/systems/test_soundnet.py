"""SoundNet's task: the weight of the loss, which frame teaches which step, the baselines, and both placements."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.engine import mesh, optim, step
from mmjax.known.teachers import Teacher
from mmjax.metrics import prior
from mmjax.models.sound import soundnet as network
from mmjax.systems import soundnet
from mmjax.task import Task, Update

NAMES = {"object": ("a", "b", "c"), "scene": ("x", "y")}


def see(frozen, frames):
    """A teacher whose log-probabilities are those of the frame's mean brightness times its weights."""
    light = frames.astype(jnp.float32).mean((2, 3, 4))[..., None] / 255
    return {head: jax.nn.log_softmax(light * frozen[head][None, None]) for head in NAMES}


WEIGHTS = {"object": np.array([1.0, -2.0, 3.0], np.float32), "scene": np.array([5.0, -5.0], np.float32)}
TEACHER = Teacher(variables=WEIGHTS, apply=see, names=NAMES, notes=())


def task(reduction="element", vision="image", depth=5) -> Task:
    model = network.SoundNet(depth=depth, objects=3, scenes=2, width=0.125)
    look = functools.partial(soundnet.targets, see, vision, depth)
    return Task(
        fields=(vision, "waveform", "waveform_length"),
        init=functools.partial(soundnet.init, model, TEACHER),
        updates=(Update("sound", functools.partial(soundnet.loss, model, look, weight=250.0, reduction=reduction)),),
        metrics=functools.partial(soundnet.metrics, model, look),
        predict=functools.partial(soundnet.predict, model, look, vision),
        score=soundnet.score,
        names=NAMES,
    )


def batch(rng, size=8, samples=60_000):
    return {
        "image": rng.integers(0, 256, (size, 8, 8, 3), np.uint8) // rng.integers(1, 9, (size, 1, 1, 1), np.uint8),
        "waveform": rng.integers(-9000, 9000, (size, samples), np.int16),
        "waveform_length": np.full(size, samples, np.int32),
        "valid": np.ones(size, bool),
    }


def test_loss_is_250_times_the_mean_over_elements_as_in_the_official_code(rng):
    made = batch(rng)
    values = {}
    for reduction in soundnet.REDUCTIONS:
        system = task(reduction)
        variables = system.init(jax.random.key(0), made)
        value, (_, logs) = jax.jit(system.updates[0].loss)(variables, made, jax.random.key(1))
        values[reduction] = float(value)
        kl = {head: float(logs[f"kl/{head}"]) for head in NAMES}
    assert values["element"] == pytest.approx(250 * (kl["object"] / 3 + kl["scene"] / 2) / 2, rel=1e-5)
    assert values["example"] == pytest.approx(250 * (kl["object"] + kl["scene"]) / 2, rel=1e-5)
    # ... where the KL itself is that of the definition, from the network's own probabilities
    own = {"params": variables["params"]["sound"], "state": variables["state"]["net"]}
    out, _ = network.SoundNet(depth=5, objects=3, scenes=2, width=0.125).apply(
        own, network.scale(jnp.asarray(made["waveform"])), None, train=True, mutable=["state"]
    )
    p = np.exp(np.asarray(see(WEIGHTS, jnp.asarray(made["image"])[:, None])["object"], np.float64))
    q = np.asarray(jax.nn.softmax(out["object"]), np.float64)
    assert kl["object"] == pytest.approx(np.mean(np.sum(p * np.log(p / q), -1)), rel=1e-4)


def test_each_step_learns_from_the_frame_nearest_in_time():
    frames = np.zeros((2, 4, 2, 2, 3), np.uint8) + np.array([10, 60, 120, 250], np.uint8).reshape(1, 4, 1, 1, 1)
    samples = 20 * 22_050  # the paper's clip: 4 output steps of 8 layers, 4 frames
    made = {
        "frames": frames,
        "waveform": np.zeros((2, samples), np.int16),
        "waveform_length": np.array([samples, samples // 2], np.int32),  # the second clip is heard twice over
    }
    seen = soundnet.targets(see, "frames", 8, WEIGHTS, made)["object"]
    each = see(WEIGHTS, jnp.asarray(frames))["object"]
    np.testing.assert_allclose(seen[0], each[0], rtol=1e-6)
    np.testing.assert_allclose(seen[1], each[1][np.array([1, 3, 1, 3])], rtol=1e-6)


def test_no_gradient_reaches_the_teacher_and_its_weights_stay(rng):
    system, made = task(), batch(rng)
    tools = {"sound": optim.make("adam", 1e-3, steps=5)}
    state = step.create(system, tools, jax.random.key(0), made)
    run = jax.jit(functools.partial(step.train_step, system, tools))
    losses = []
    for _ in range(5):
        state, logs = run(state, made, jax.random.key(0))
        losses.append(float(logs["loss/sound"]))
    jax.tree.map(np.testing.assert_array_equal, state.frozen, WEIGHTS)
    assert losses[-1] < losses[0]
    gradient = jax.grad(
        lambda frozen: system.updates[0].loss({**state.variables, "frozen": frozen}, made, jax.random.key(0))[0]
    )(state.frozen)
    assert all(float(jnp.abs(x).max()) == 0 for x in jax.tree.leaves(gradient))


@pytest.mark.parametrize("placement", [mesh.Jitted, mesh.Replicated])
def test_eight_devices_train_as_one(rng, placement):
    system, batches = task(), [batch(rng, 16) for _ in range(3)]
    tools = {"sound": optim.make("sgd", 1e-3, steps=5)}  # Adam would blow rounding up where gradients vanish
    first = step.create(system, tools, jax.random.key(0), batches[0])
    alone, losses = first, []
    for made in batches:
        alone, logs = jax.jit(functools.partial(step.train_step, system, tools))(alone, made, jax.random.key(0))
        losses.append(float(logs["loss/sound"]))
    eight = placement()
    call = eight.compile(functools.partial(step.train_step, system, tools), mesh.Jitted().place(first))
    state = eight.place(mesh.Jitted().place(first))
    for made, expected in zip(batches, losses):
        state, logs = call(state, eight.put(made), jax.random.key(0))
        np.testing.assert_allclose(logs["loss/sound"], expected, rtol=2e-4)
    single = eight.single(state)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4),
        (single.params, single.state),
        (alone.params, alone.state),
    )


def test_bfloat16_keeps_parameters_statistics_and_losses_in_float32(rng):
    made = batch(rng)
    model = network.SoundNet(depth=5, objects=3, scenes=2, width=0.125, dtype="bfloat16")
    look = functools.partial(soundnet.targets, see, "image", 5)
    variables = soundnet.init(model, TEACHER, jax.random.key(0), made)
    value, (state, _) = soundnet.loss(
        model, look, variables, made, jax.random.key(0), weight=250.0, reduction="element"
    )
    assert value.dtype == jnp.float32
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves((variables["params"], state)))
    full, _ = task().updates[0].loss(variables, made, jax.random.key(0))
    assert float(value) == pytest.approx(float(full), rel=0.05)


def test_perfect_ears_are_perfect_and_the_baselines_are_those_of_the_training_data(rng):
    probs = rng.dirichlet(np.ones(3), 50)
    same = {"scores/object": probs, "scores/object_target": probs}
    figures = soundnet.score(same, {})
    assert figures["picture_r@1"] == 1
    assert figures["picture_r@1/chance"] == pytest.approx(1 / 50)
    deaf = {"scores/object": np.tile(probs.mean(0), (50, 1)), "scores/object_target": probs}
    assert soundnet.score(deaf, {})["picture_r@10"] == pytest.approx(10 / 50)


def test_prior_is_the_running_mean_over_batches():
    known = prior.fresh(2)
    first, second = np.array([[1.0, 0.0], [0.8, 0.2]], np.float32), np.array([[0.0, 1.0], [9.0, 9.0]], np.float32)
    known = prior.follow(known, jnp.asarray(first))
    known = prior.follow(known, jnp.asarray(second), jnp.array([True, False]))
    known = prior.follow(known, jnp.asarray(second), jnp.array([False, False]))
    np.testing.assert_allclose(known["mean"], [1.4 / 3, 1.6 / 3], rtol=1e-6)
    np.testing.assert_allclose(known["top"], [0.5, 0.5], rtol=1e-6)
    assert int(prior.majority(known)) in (0, 1)
