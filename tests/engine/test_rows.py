"""Updates on rows of tables: the numbers of a dense update, on one device and eight, without a dense gradient."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.engine import mesh, optim, step
from mmjax.errors import UserError
from mmjax.task import Rows, Task, Update

KEY = jax.random.key(3)
V, D = 40, 6


def task(rows=True):
    """Pulls the rows named by objects[:, 0] towards areas; two micro-batches if on rows."""

    def init(key, batch):
        del batch
        return {"params": {"t": {"table": jax.random.normal(key, (V, D))}}, "state": {}, "frozen": {}}

    def loss(variables, batch, key):
        del key
        table = variables["params"]["t"]["table"]
        chosen = table if rows else table[batch["objects"][:, 0]]
        return jnp.sum((chosen - batch["areas"]) ** 2), (variables["state"], {})

    def cut(variables, batch, key):
        del variables, key
        return {
            k: v.reshape(v.shape[0] // 8, 2, 4, *v.shape[1:]).swapaxes(0, 1).reshape(2, -1, *v.shape[1:])
            for k, v in batch.items()
        }

    def pick(variables, batch, key):
        del variables, key
        return {"table": batch["objects"][:, 0]}, batch

    update = Update("t", loss, Rows(cut, pick) if rows else None)
    return Task(("objects", "areas"), init, (update,), lambda v, b: {}, lambda v, b, k: {})


def batch(rng, size=64):
    return {
        "objects": rng.integers(0, 5, (size, 1)).astype(np.int32),  # every row several times
        "areas": rng.normal(size=(size, D)).astype(np.float32),
    }


def run(system, optimisers, data, placement=None):
    state = step.create(system, optimisers, KEY, data)
    one = functools.partial(step.train_step, system, optimisers)
    if placement is None:
        return jax.jit(one)(state, data, KEY)
    call = placement.compile(one, state, donate=False)
    state, logs = call(placement.place(state), placement.put(data), KEY)
    return placement.single(state), logs


def micro(data):
    cut = task().updates[0].rows.cut({}, data, KEY)
    return [{k: v[i] for k, v in cut.items()} for i in range(2)]


def test_sgd_on_rows_is_dense_sgd_micro_batch_by_micro_batch(rng):
    data = batch(rng)
    rows, logs = run(task(), {"t": optim.make_rows("sgd", 0.01, steps=10)}, data)
    table = np.asarray(
        step.create(task(), {"t": optim.make_rows("sgd", 0.01, steps=10)}, KEY, data).params["t"]["table"]
    )
    losses = []
    for part in micro(data):
        at = part["objects"][:, 0]
        error = table[at] - part["areas"]
        losses.append(np.sum(error**2))
        change = np.zeros_like(table)
        np.add.at(change, at, -0.01 * 2 * error)  # repeated rows: the sum
        table = table + change
    np.testing.assert_allclose(rows.params["t"]["table"], table, rtol=1e-5)
    np.testing.assert_allclose(logs["loss/t"], losses[0], rtol=1e-5)  # the first of every 64
    assert int(rows.step) == 1


def test_logs_are_means_over_the_micro_batches_that_are_measured(rng, monkeypatch):
    data, optimisers = batch(rng), {"t": optim.make_rows("sgd", 0.0, steps=10)}  # at rate 0 nothing moves
    table = np.asarray(step.create(task(), optimisers, KEY, data).params["t"]["table"])
    losses = [np.sum((table[part["objects"][:, 0]] - part["areas"]) ** 2) for part in micro(data)]
    for every, wanted in ((1, np.mean(losses)), (2, losses[0])):
        monkeypatch.setattr(step, "MEASURED", every)
        np.testing.assert_allclose(run(task(), optimisers, data)[1]["loss/t"], wanted, rtol=1e-5)


def test_row_wise_adagrad_against_numpy(rng):
    data = batch(rng)
    optimisers = {"t": optim.make_rows("adagrad", 0.1, steps=10)}
    start = step.create(task(), optimisers, KEY, data)
    after, _ = run(task(), optimisers, data)
    table, squares = np.asarray(start.params["t"]["table"]), np.zeros(V, np.float32)
    for part in micro(data):
        at = part["objects"][:, 0]
        gradient = 2 * (table[at] - part["areas"])
        np.add.at(squares, at, np.mean(gradient**2, -1))
        change = np.zeros_like(table)
        np.add.at(change, at, -0.1 * gradient / np.sqrt(squares[at])[:, None])
        table = table + change
    np.testing.assert_allclose(after.params["t"]["table"], table, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after.opt_state["t"]["squares"]["table"], squares, rtol=1e-5)
    assert after.opt_state["t"]["squares"]["table"].shape == (V,)


def test_the_rate_falls_within_a_step(rng):
    data = batch(rng)
    data["areas"][:] = 0
    optimisers = {"t": optim.make_rows("sgd", 0.01, steps=1, decay="linear")}
    start = step.create(task(), optimisers, KEY, data).params["t"]["table"]
    after, _ = run(task(), optimisers, data)
    parts = [np.bincount(part["objects"][:, 0], minlength=V)[:, None] for part in micro(data)]
    # the first micro-batch at the peak, the second at half of it
    np.testing.assert_allclose(
        after.params["t"]["table"], start * (1 - 0.02 * parts[0]) * (1 - 0.01 * parts[1]), rtol=1e-4
    )


@pytest.mark.parametrize(
    "placement", [mesh.Jitted(), mesh.Jitted(model_axis=4), mesh.Replicated()], ids=("jit", "model axis", "pmap")
)
def test_eight_devices_agree_with_one(rng, placement, monkeypatch):
    monkeypatch.setattr(mesh, "LARGE", 8)  # so that the model axis splits this table
    data, optimisers = batch(rng), {"t": optim.make_rows("sgd", 0.01, steps=10)}
    one, logs = run(task(), optimisers, data)
    eight, their_logs = run(task(), optimisers, data, placement)
    np.testing.assert_allclose(eight.params["t"]["table"], one.params["t"]["table"], rtol=1e-5, atol=1e-6)
    if isinstance(placement, mesh.Jitted):
        np.testing.assert_allclose(their_logs["loss/t"], logs["loss/t"], rtol=1e-5)
        shape = eight.params["t"]["table"].addressable_shards[0].data.shape
        assert shape == (V // placement.mesh.shape["model"], D)


def test_no_array_of_the_tables_size_is_made():
    big = 1_000_000
    system, optimisers = task(), {"t": optim.make_rows("sgd", 0.01, steps=10)}
    data = {"objects": np.zeros((64, 1), np.int32), "areas": np.zeros((64, D), np.float32)}
    state = jax.eval_shape(functools.partial(step.create, system, optimisers), KEY, data)
    state = state.replace(params={"t": {"table": jax.ShapeDtypeStruct((big, D), jnp.float32)}})
    compiled = jax.jit(functools.partial(step.train_step, system, optimisers), donate_argnums=0).lower(state, data, KEY)
    used = compiled.compile().memory_analysis()
    assert used.temp_size_in_bytes < big * D * 4 / 10
    assert used.alias_size_in_bytes >= big * D * 4  # the table is changed in place


@pytest.mark.parametrize("placement", [None, mesh.Jitted()], ids=("one", "eight"))
def test_a_log_of_total_and_count_is_divided_once(rng, monkeypatch, placement):
    monkeypatch.setattr(step, "MEASURED", 1)
    data, plain = batch(rng), task()
    data["objects"][:4] = 0  # more of them in the first micro-batch

    def loss(variables, batch, key):
        value, (state, _) = plain.updates[0].loss(variables, batch, key)
        picked = jnp.sum(batch["objects"] == 0, dtype=jnp.float32)
        return value, (state, {"mean": (3 * picked**2, picked)})

    system = Task(plain.fields, plain.init, (Update("t", loss, plain.updates[0].rows),), plain.metrics, plain.predict)
    _, logs = run(system, {"t": optim.make_rows("sgd", 0.01, steps=10)}, data, placement)
    counts = [np.sum(part["objects"] == 0) for part in micro(data)]
    assert counts[0] != counts[1]
    np.testing.assert_allclose(logs["mean"], 3 * np.sum(np.square(counts)) / np.sum(counts), rtol=1e-5)


def test_an_optimiser_that_is_not_for_rows_is_refused():
    with pytest.raises(UserError, match="choose sgd or adagrad"):
        optim.of(task(), {"t": {"name": "adam", "learning_rate": 0.1}}, 10)
    with pytest.raises(UserError, match="no section for t"):
        optim.of(task(), {}, 10)


def replicated(replicas):
    """The same task with copies of the table that train apart; its rows do not depend on the batch's layout."""
    plain = task()
    update = plain.updates[0]

    def cut(variables, batch, key):
        del variables, key
        half = len(batch["objects"]) // 2
        return {k: v.reshape(2, half, *v.shape[1:]) for k, v in batch.items()}

    rows = Rows(cut, update.rows.pick, replicas)
    return Task(plain.fields, plain.init, (Update("t", update.loss, rows),), plain.metrics, plain.predict)


def adasum(a, b):
    """Written out row by row."""
    out = np.zeros_like(a)
    for row, (x, y) in enumerate(zip(a, b)):
        dot = x @ y
        out[row] = (1 - (dot / (2 * x @ x) if x.any() else 0)) * x + (1 - (dot / (2 * y @ y) if y.any() else 0)) * y
    return out


def test_replicas_train_apart_and_are_reconciled(rng):
    data, optimisers = batch(rng), {"t": optim.make_rows("adagrad", 0.1, steps=10)}
    start = step.create(task(), optimisers, KEY, data).params["t"]["table"]
    together, logs = run(replicated(2), optimisers, data)
    halves = [{k: v[i * 32 : (i + 1) * 32] for k, v in data.items()} for i in range(2)]
    apart = [run(replicated(1), optimisers, half) for half in halves]
    changes = [np.asarray(one.params["t"]["table"] - start) for one, _ in apart]
    assert (np.abs(changes[0]).max(1) > 0).sum() >= 4  # the same rows, so that it matters how they are added
    np.testing.assert_allclose(together.params["t"]["table"], start + adasum(*changes), rtol=1e-4, atol=1e-5)
    squares = sum(one.opt_state["t"]["squares"]["table"] for one, _ in apart)
    np.testing.assert_allclose(together.opt_state["t"]["squares"]["table"], squares, rtol=1e-5)
    np.testing.assert_allclose(logs["loss/t"], np.mean([their["loss/t"] for _, their in apart]), rtol=1e-5)


@pytest.mark.parametrize("placement", [mesh.Jitted(), mesh.Replicated()], ids=("jit", "pmap"))
@pytest.mark.parametrize("replicas", [8, 16])
def test_replicas_do_not_depend_on_the_devices(rng, placement, replicas):
    data, optimisers = batch(rng, 128), {"t": optim.make_rows("sgd", 0.01, steps=10)}
    one, logs = run(replicated(replicas), optimisers, data)
    eight, their_logs = run(replicated(replicas), optimisers, data, placement)
    np.testing.assert_allclose(eight.params["t"]["table"], one.params["t"]["table"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(their_logs["loss/t"], logs["loss/t"], rtol=1e-5)


def test_replicas_that_cannot_be_spread_are_refused(rng):
    optimisers = {"t": optim.make_rows("sgd", 0.01, steps=10)}
    with pytest.raises(UserError, match="2 replicas on 8 devices"):
        run(replicated(2), optimisers, batch(rng), mesh.Jitted())
    with pytest.raises(UserError, match="the mesh must have no model axis"):
        run(replicated(4), optimisers, batch(rng), mesh.Jitted(model_axis=2))
