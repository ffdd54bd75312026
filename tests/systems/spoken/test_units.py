"""Units: their loss by parts, what is learned of them, figures by hand, and that a workdir gives the same codes."""

import jax
import numpy as np
import pytest
from shared import get_config, tiny_run

from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.known import units_run
from mmjax.metrics import units as figures
from mmjax.systems.spoken import unit_figures, units


def changed(**sections):
    config = get_config("units")
    with config.unlocked():
        for name, value in sections.items():
            section, _, field = name.partition("__")
            if field:
                config[section][field] = value
            else:
                config[section] = value
    return config


def batch_of(rng, rows=4):
    return {
        "image": rng.integers(0, 255, (rows, 32, 32, 3)).astype(np.uint8),
        "speech": rng.integers(-9000, 9000, (rows, 22_050)).astype(np.int16),
        "speech_length": np.array([22_050, 11_025, 9000, 5000][:rows], np.int32),
        "valid": np.array([True] * (rows - 1) + [False]),
    }


@pytest.fixture(scope="module")
def made():
    task = units.build(changed(cold=1, model__jitter=0.0))
    batch = batch_of(np.random.default_rng(0))
    return task, batch, jax.jit(task.init)(jax.random.key(0), batch)


def test_the_loss_is_of_triplets_and_after_a_cold_start_of_commitment(made):
    task, batch, variables = made
    loss = jax.jit(task.updates[0].loss)
    value, (state, logs) = loss(variables, batch, jax.random.key(0))
    assert value == logs["triplets"]  # cold
    value, (state, logs) = loss({**variables, "state": state}, batch, jax.random.key(0))
    assert value == pytest.approx(float(logs["triplets"] + logs["commitment2"]), rel=1e-5)
    assert logs["commitment2"] > 0
    assert 1 <= logs["codes2"] <= 8
    assert state["steps"] == 2


def test_what_is_padding_changes_nothing(made):
    task, batch, variables = made
    loss = jax.jit(task.updates[0].loss)
    other = {**batch, "speech": batch["speech"].copy()}
    other["speech"][1, 11_025:] = 9999
    first, second = (loss(variables, b, jax.random.key(0)) for b in (batch, other))
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_nothing_is_learned_where_k_means_is_all(made):
    _, batch, _ = made
    task = units.build(changed(trained=False, codes__kind="kmeans", codes__position=0, codes__clusters=5))
    variables = jax.jit(task.init)(jax.random.key(0), batch)
    value, (state, _) = jax.jit(task.updates[0].loss)(variables, batch, jax.random.key(0))
    assert value == 0
    jax.tree.map(np.testing.assert_array_equal, state, variables["state"])
    observed = jax.jit(task.fit.observe)(variables, batch)
    fitted = task.fit.solve(variables, {k: np.asarray(v) for k, v in observed.items()})
    assert fitted["units"].shape == (5, 40)
    np.testing.assert_array_equal(fitted["units"], fitted["mel"])  # the rival is the same
    found = jax.jit(task.predict)({**variables, "fitted": fitted}, batch, jax.random.key(0))
    codes = np.asarray(found["number/codes"])
    assert (codes[0] >= 0).sum() == -(-101 // 2)  # frames of a second, of which every second one is taken
    assert set(np.unique(codes)) <= {-1, *range(5)}


def test_figures_by_hand():
    predictions = {
        "number/codes": np.array([[0, 0, 1, 1, -1], [1, 1, 1, 0, 0]], np.int32),
        "number/units_at": np.array([[7, 7, 8, 7, -1], [8, 8, 8, 8, 7]], np.int32),
        "number/begins": np.array([[0.04, np.nan], [0.06, 0.5]], np.float32),
        "number/new_speaker": np.array([True, False]),
        "number/abx_across": np.array([[[1, np.nan], [-1, -1]], [[0, -2], [1, 1]]], np.float32)[:, :2],
    }
    predictions |= {f"number/{k}_mel_kmeans": predictions[f"number/{k}"] for k in ("codes", "units_at")}
    found = unit_figures.score(0.02, 0.02, 8, predictions, {})
    assert found["codes_used"] == 2
    assert found["purity"] == pytest.approx((3 + 4) / 9)
    assert found["purity_new_speakers"] == pytest.approx((2 + 1) / 4)
    assert found["purity/oracle"] == found["information/oracle"] == 1
    assert found["boundary_recall"] == pytest.approx(2 / 3)
    assert found["bits_per_second"] == pytest.approx(figures.bits_per_second(predictions["number/codes"], 0.02))
    assert found["abx_across"] == pytest.approx((0 + 0.5 + 1) / 3)
    assert found["abx_across/mel_kmeans"] == pytest.approx(2 / 4)
    assert found["abx_across_new_speakers"] == 0
    assert unit_figures.score(0.02, 0.02, 8, {"number/codes": predictions["number/codes"]}, {}) == {}


def test_a_workdir_gives_the_codes_that_the_run_predicted():
    run = tiny_run("units")
    loaded = units_run.load(run.workdir, "config.units")
    batch = next(run.ready.held_out("test", 4))
    parts = loaded.variables
    found = jax.jit(loaded.encoder.__call__)(parts, batch["speech"][:, : round(2.0 * 22_050)], batch["speech_length"])
    given = {k: v for k, v in batch.items() if k != "group"}
    wanted = jax.jit(run.ready.task.predict)(run.variables, given, jax.random.key(0))
    length = np.minimum(batch["speech_length"], 44_100)
    kept = [loaded.encoder.frames.frames(n) for n in length]
    for row in range(4):
        steps = -(-int(kept[row]) // 2)
        np.testing.assert_array_equal(found.codes[row, :steps], wanted["number/codes"][row, :steps])
    names = loaded.names.view(f"S{loaded.names.shape[1]}")[:, 0]
    assert names.tolist() == [f"u{n:03}".encode() for n in range(8)]
    units_of, count = jax.jit(loaded.units, static_argnums=3)(parts, batch["speech"][:, :44_100], np.int32(length), 60)
    said = np.asarray(wanted["text/units"])[0, : int(count[0])].view(f"S{names.itemsize}")[:, 0]
    assert said.tolist() == names[np.asarray(units_of)[0, : int(count[0])]].tolist()


def test_a_run_goes_on_from_another():
    run = tiny_run("units")
    task = units.build(changed(start=str(run.workdir), model__codes=8))
    batch = batch_of(np.random.default_rng(0))
    variables = task.fill(jax.jit(task.init)(jax.random.key(0), batch), {})
    kept = run.variables["params"]["units"]["speech"]["bands"]["kernel"]
    np.testing.assert_array_equal(variables["params"]["units"]["speech"]["bands"]["kernel"], kept)
    wider = units.build(changed(start=str(run.workdir), model__codes=9))
    fresh = jax.eval_shape(wider.init, jax.random.key(0), batch)
    with pytest.raises(UserError, match="networks of other sizes"):
        wider.fill(fresh, {})
    with pytest.raises(UserError, match="no workdir"):
        units.build(changed(start="/nowhere"))
    restored = restore.restore(run.workdir)
    said = restored.answers({"speech": batch["speech"][:2], "speech_length": batch["speech_length"][:2]}, 0)
    assert said["text/units"].shape[0] == 2
