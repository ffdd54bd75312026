"""The training step: order of updates, groups, frozen weights, randomness, several steps in one dispatch."""

import functools

import jax
import numpy as np
import optax
import pytest
import toy
from jax import numpy as jnp

from mmjax.engine import mesh, optim, step
from mmjax.errors import UserError

KEY = jax.random.key(7)


def test_updates_run_in_order_and_touch_their_own_group_only(rng):
    task, optimisers = toy.two_groups(), toy.optimisers("a", "b")
    state = step.create(task, optimisers, KEY, toy.batch(rng))
    state, logs = jax.jit(functools.partial(step.train_step, task, optimisers))(state, toy.batch(rng), KEY)
    # a: 1 -> 1 - .1 * 2 * (1 - 3) = 1.4 -> 1.4 - .2 * (1.4 - 3) = 1.72; b: 3 - .1 * a = 3 - .172 with the NEW a
    np.testing.assert_allclose(state.params["a"], 1.72, rtol=1e-6)
    np.testing.assert_allclose(state.params["b"], 3 - 0.172, rtol=1e-6)
    np.testing.assert_allclose(logs["seen_a"], 1.72, rtol=1e-6)
    assert int(state.state) == 12  # each loss saw the state that the former left
    assert int(state.step) == 1
    np.testing.assert_allclose(logs["grad_norm/b"], 1.72, rtol=1e-6)


def test_frozen_is_an_argument_and_never_changes(rng):
    task, optimisers = toy.regression(), toy.optimisers("net")
    state = step.create(task, optimisers, KEY, toy.batch(rng))
    run = functools.partial(step.train_step, task, optimisers)
    batch = toy.batch(rng)
    one, _ = run(state, batch, KEY)
    other, logs = run(state.replace(frozen={"offset": jnp.float32(9)}), batch, KEY)
    assert float(one.frozen["offset"]) == 0.5
    assert float(other.frozen["offset"]) == 9
    assert float(logs["loss/net"]) > 50  # it was read from the argument
    odd = state.replace(frozen={"offset": jnp.float32(1.234567)})
    assert "1.234567" not in jax.jit(run).lower(odd, batch, KEY).as_text()  # not baked in as a constant
    baked = jax.jit(lambda: run(odd, batch, KEY)).lower().as_text()
    assert "1.234567" in baked  # so would it look


def test_randomness_is_a_function_of_the_step(rng):
    task, optimisers = toy.regression(), toy.optimisers("net")
    state = step.create(task, optimisers, KEY, toy.batch(rng))
    run = jax.jit(functools.partial(step.train_step, task, optimisers))
    batch = toy.batch(rng)
    noise = [float(run(state.replace(step=jnp.int32(n)), batch, KEY)[1]["noise"]) for n in (0, 1, 1)]
    assert noise[0] != noise[1]
    assert noise[1] == noise[2]


def test_what_is_filled_into_two_places_is_consumed_in_each():
    """As weights that a momentum encoder begins with."""
    home = mesh.Jitted()
    old = home.lay({"own": np.zeros(3, np.float32), "copy": np.zeros(3, np.float32), "kept": np.ones(2, np.float32)})
    given = home.lay(np.arange(3, dtype=np.float32))
    for twice in (given, old["own"], np.arange(3, dtype=np.float32)):
        state = home.fill(old, {"own": twice, "copy": twice, "kept": old["kept"]})
        assert state["kept"] is old["kept"]
        gone = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)(state)
        np.testing.assert_array_equal(gone["copy"], np.asarray(gone["own"]))
        old = home.lay(jax.tree.map(np.asarray, gone))


def test_several_steps_in_one_dispatch_are_the_same_numbers(rng):
    task, optimisers = toy.regression(), {"net": optim.make("adam", 1e-2, steps=10)}
    state = step.create(task, optimisers, KEY, toy.batch(rng))
    batches = [toy.batch(rng) for _ in range(4)]
    single = state
    losses = []
    for batch in batches:
        single, logs = jax.jit(functools.partial(step.train_step, task, optimisers))(single, batch, KEY)
        losses.append(float(logs["loss/net"]))
    stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    many, logs = jax.jit(functools.partial(step.train_steps, task, optimisers))(state, stacked, KEY)
    np.testing.assert_allclose(logs["loss/net"], losses, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), many.params, single.params)


def trained(placement, batches):
    task, optimisers = toy.regression(), {"net": optim.make("adam", 1e-2, steps=10)}
    home = placement if isinstance(placement, mesh.Jitted) else mesh.Jitted()
    state = home.place(step.create(task, optimisers, KEY, batches[0]))
    call = placement.compile(functools.partial(step.train_step, task, optimisers), state)
    state, losses = placement.place(state), []
    for batch in batches:
        state, logs = call(state, placement.put(batch), KEY)
        losses.append(float(logs["loss/net"]))
    return jax.tree.map(np.asarray, placement.single(state)), losses


def test_pmap_and_jit_agree_on_eight_devices_with_one_program_on_all_data(rng):
    assert jax.device_count() == 8
    batches = [toy.batch(rng) for _ in range(5)]
    jitted, jit_losses = trained(mesh.Jitted(), batches)
    mapped, pmap_losses = trained(mesh.Replicated(), batches)
    np.testing.assert_allclose(jit_losses, pmap_losses, rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        (jitted.params, jitted.state),
        (mapped.params, mapped.state),
    )
    # ... and with one device that sees the whole batch
    task, optimisers = toy.regression(), {"net": optim.make("adam", 1e-2, steps=10)}
    state = step.create(task, optimisers, KEY, batches[0])
    for batch, expected in zip(batches, jit_losses):
        state, logs = jax.jit(functools.partial(step.train_step, task, optimisers))(state, batch, KEY)
        np.testing.assert_allclose(logs["loss/net"], expected, rtol=1e-5)


@pytest.mark.parametrize("options", [{"fsdp": True}, {"model_axis": 2}, {"model_axis": 4, "fsdp": True}])
def test_split_parameters_give_the_same_numbers(rng, options, monkeypatch):
    monkeypatch.setattr(mesh, "LARGE", 1)
    batches = [toy.batch(rng) for _ in range(3)]
    split, split_losses = trained(mesh.Jitted(**options), batches)
    plain, losses = trained(mesh.Jitted(), batches)
    np.testing.assert_allclose(split_losses, losses, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), split.params, plain.params)


def test_fsdp_splits_large_arrays_only():
    placement = mesh.Jitted(model_axis=2, fsdp=True)
    large, small = np.zeros((512, 256), np.float32), np.zeros((8, 8), np.float32)
    specs = jax.tree.map(lambda s: s.spec, placement.shardings({"large": large, "small": small}))
    assert tuple(specs["large"]) == ("model", "data")
    assert tuple(specs["small"]) == ()
    plain = mesh.Jitted().shardings({"large": large})["large"].spec
    assert all(name is None for name in plain)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"parallel": "gpu"}, "config.parallel"),
        ({"parallel": "pmap", "fsdp": True}, "fsdp"),
        ({"parallel": "jit", "model_axis": 3}, "model_axis"),
    ],
)
def test_a_wrong_placement_is_named(kwargs, words):
    with pytest.raises(UserError, match=words):
        mesh.make(**kwargs)


def test_a_rate_that_falls_slowly_falls_as_it_is_to():
    rate = optim.schedule(1.0, 5_000_000, decay="exponential", decay_rate=0.5 ** (1 / 1_800_000))
    np.testing.assert_allclose([rate(0), rate(1_800_000), rate(3_600_000)], [1, 0.5, 0.25], rtol=1e-5)
    with pytest.raises(UserError, match="decay_rate is 0"):
        optim.schedule(1.0, 10, decay="exponential", decay_rate=0)


def test_schedule_and_decay_by_hand():
    rate = optim.schedule(1.0, steps=110, warmup=10, decay="linear")
    with jax.numpy_dtype_promotion("standard"):
        assert [float(rate(n)) for n in (0, 5, 10, 60, 110)] == pytest.approx([0, 0.5, 1, 0.5, 0])


@pytest.fixture
def optax_promotion():
    """As in train_step: optax mixes int counters with floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.usefixtures("optax_promotion")
def test_weight_decay_and_clipping_by_hand():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    gradient = jax.tree.map(jnp.zeros_like, params)
    tool = optim.make("adamw", 0.1, steps=1, weight_decay=0.5)
    change, _ = tool.update(gradient, tool.init(params), params)
    np.testing.assert_allclose(change["kernel"], -0.05, rtol=1e-6)  # decoupled: rate * decay * weight
    np.testing.assert_allclose(change["bias"], 0)  # never on a bias
    clipped = optim.make("sgd", 1.0, steps=1, clip=1.0)
    change, _ = clipped.update({"w": jnp.array([3.0, 4.0])}, clipped.init({"w": jnp.zeros(2)}))
    np.testing.assert_allclose(change["w"], [-0.6, -0.8], rtol=1e-6)
    with pytest.raises(UserError, match=r"config\.optim\.net.*nesterov"):
        optim.of(toy.regression(), {"net": {"name": "sgd", "learning_rate": 0.1, "nesterov": True}}, steps=1)
    with pytest.raises(UserError, match=r"optim\.name"):
        optim.make("adm", 0.1, steps=1)


@pytest.mark.usefixtures("optax_promotion")
def test_methods_are_those_of_optax(rng):
    params = {"kernel": jnp.asarray(rng.normal(size=(3, 2)), jnp.float32)}
    gradients = [{"kernel": jnp.asarray(rng.normal(size=(3, 2)), jnp.float32)} for _ in range(3)]

    def run(tool):
        now, state = params, tool.init(params)
        for gradient in gradients:
            change, state = tool.update(gradient, state, now)
            now = jax.tree.map(jnp.add, now, change)
        return now["kernel"]

    pairs = {
        "lamb": optax.lamb(0.1, eps=1e-8, weight_decay=0.3),
        "adamw": optax.adamw(0.1, weight_decay=0.3),
        "rmsprop": optax.chain(optax.add_decayed_weights(0.3), optax.rmsprop(0.1, decay=0.999)),
        "adagrad": optax.chain(optax.add_decayed_weights(0.3), optax.adagrad(0.1, eps=1e-8)),
        "sgd": optax.chain(optax.add_decayed_weights(0.3), optax.sgd(0.1, momentum=0.9)),
        "adam": optax.chain(optax.add_decayed_weights(0.3), optax.adam(0.1)),
    }
    assert set(pairs) == set(optim.METHODS)
    for name, peer in pairs.items():
        ours = optim.make(name, 0.1, steps=3, weight_decay=0.3, momentum=0.9, form="optax")
        np.testing.assert_allclose(run(ours), run(peer), rtol=1e-6, err_msg=name)
