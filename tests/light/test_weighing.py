"""`mmjax light` on two toy runs and an export: what is counted, what is timed in turns, and the table."""

import dataclasses
import json
import re
import sys

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax import data, tools, workdir
from mmjax.engine import restore
from mmjax.light import measuring, precisions, rows, weighing, words
from mmjax.task import Task, Writing, bind

PIXELS, WIDE, SLIM = 8, 32, 4


def predict(variables, batch, key):
    """Scores of two shades, by a hidden layer; a control and a reference, for which nobody asks."""
    net = variables["params"]["net"]
    pixels = batch["image"].astype(jnp.float32).reshape(batch["image"].shape[0], -1) / 255
    scores = jax.nn.softmax(jnp.maximum(pixels @ net["hidden"], 0.0) @ net["head"] + variables["state"]["shift"][None])
    control = pixels[:, :2] @ variables["params"]["control"]["kernel"]
    return {"scores/shade": scores, "scores/shade_target": scores, "embedding/control": control}


class Pictures:
    """The test split."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return {"image": np.random.default_rng(index).integers(0, 256, (PIXELS, PIXELS, 3), np.uint8)}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two workdirs, of a wide and of a slim network."""
    task = Task(
        ("image",),
        lambda *_: {},
        (),
        lambda *_: {},
        bind(predict),
        names={"shade": ("dark", "bright")},
        predicts_from=("image",),
        answers=("scores/shade",),
    )
    config = ConfigDict({"system": "toy", "data": {"name": "toy"}, "test_split": "test", "train_split": "train"})
    config.update({"loader": {"workers": 0}, "best": "accuracy", "best_mode": "max"})
    found = {}
    for name, width in (("wide", WIDE), ("slim", SLIM)):
        draw = np.random.default_rng(width)
        net = {"hidden": draw.normal(size=(PIXELS * PIXELS * 3, width)), "head": draw.normal(size=(width, 2))}
        params = {"net": net, "control": {"kernel": draw.normal(size=(2, 9))}}
        tree = {"params": params, "state": {"shift": np.zeros(2), "prior": np.zeros(7)}, "frozen": {}}
        variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)
        place = tmp_path / name
        place.mkdir()
        (place / workdir.CONFIG).write_text(config.to_json())
        (place / workdir.BATCH).write_text(json.dumps({"image": ["uint8", 4, PIXELS, PIXELS, 3]}))
        values = {"accuracy": 0.9, "accuracy/majority": 0.5, "nats": 0.1}
        record = [{"step": 4, "kind": "train", "values": {"steps_per_second": width / 60}}]
        record.append({"step": 4, "kind": "eval", "values": {"accuracy": 0.8 + width / 1000}})
        (place / workdir.METRICS).write_text("".join(f"{json.dumps(line)}\n" for line in record))
        (place / workdir.RESULTS).write_text(json.dumps({"step": 7, "values": values}))
        found[place] = restore.Restored(config, task, variables, 7, {}, {"image": ("uint8", 4, PIXELS, PIXELS, 3)})
    audit = {"step": 7, "figures": {"accuracy": {"value": 0.9, "low": 0.85, "high": 0.94}}}
    (tmp_path / "wide" / workdir.AUDIT).write_text(json.dumps(audit))
    monkeypatch.setattr(restore, "restore", lambda path, step=None: found[path])
    monkeypatch.setattr(restore.built, "of", lambda config: (task, {}))
    monkeypatch.setattr(restore.configs, "load", lambda path: config)
    monkeypatch.setattr(data, "open", lambda split, fields, **_: Pictures())
    monkeypatch.setattr(measuring, "PAUSE", 0)
    return list(found)


def test_two_runs_and_an_export_in_one_table(runs, tmp_path, capsys):
    assert tools.run("export", [str(runs[0]), "-o", str(tmp_path / "out.stablehlo")]) == 0
    capsys.readouterr()
    places = [*map(str, runs), str(tmp_path / "out")]
    file = tmp_path / "light.json"
    assert (
        tools.run("light", [*places, "--batch", "1", "3", "--rounds", "1", "--examples", "3", "--json", str(file)]) == 0
    )
    shown, found = capsys.readouterr().out, json.loads(file.read_text())
    assert max(map(len, shown.splitlines())) <= 120
    names = [(row["run"], row["precision"], row["runtime"]) for row in found["rows"]]
    assert names == [
        ("wide", "float32", "XLA"),
        ("wide", "bfloat16", "XLA"),
        ("wide", "int8", "XLA"),
        ("slim", "float32", "XLA"),
        ("slim", "bfloat16", "XLA"),
        ("slim", "int8", "XLA"),
        ("out", "float32", "StableHLO"),
    ]
    numbers = [192 * width + width * 2 for width in (*[WIDE] * 3, *[SLIM] * 3, WIDE)]
    assert [row["parameters"] for row in found["rows"]] == numbers  # not the control's, and not the state's
    assert [row["multiply_adds"] for row in found["rows"]] == numbers  # each weight of such a network is used once
    sizes = [row["bytes"] for row in found["rows"]]
    # In 8 bits each column has a scale of its own, and what has one axis stays: `shift`.
    eight = [n + 4 * (width + 2) + 4 * 2 for n, width in ((numbers[0], WIDE), (numbers[3], SLIM))]
    assert sizes[:3] == [4 * (numbers[0] + 2), 2 * (numbers[0] + 2), eight[0]]
    assert sizes[3:6] == [4 * (numbers[3] + 2), 2 * (numbers[3] + 2), eight[1]]
    assert sizes[6] == (tmp_path / "out" / "out.stablehlo").stat().st_size
    for row in found["rows"]:
        assert set(row["latency"]) == {"1", "3"}
        for of in row["latency"].values():
            assert of["calls"] == measuring.TURN
            assert 0 < of["median_ms"] <= of["p95_ms"]
    assert all(row["memory"]["3"] >= row["bytes"] for row in found["rows"][:6])
    rounded = found["rows"][1]["against_float32"]["scores/shade"]
    assert 0 < rounded["largest"] < 0.05
    assert "against_float32" not in found["rows"][0]
    assert found["figures"]["wide"] == {"accuracy": {"value": 0.9, "low": 0.85, "high": 0.94}, "nats": {"value": 0.1}}
    assert found["figures"]["wide float32, 3 examples"] == {"shade_right": {"value": 1.0}}  # the truth is its answer
    assert set(found["figures"]) >= {"wide bfloat16, 3 examples", "slim int8, 3 examples"}
    assert "wide: accuracy 0.9 (0.85 to 0.94), nats 0.1" in shown
    assert re.search(r"^run +steps  steps/s  minutes  to accuracy 0\.804$", shown, re.M)
    assert re.search(r"^wide +4 +0\.533 +0\.125 +0\.125$", shown, re.M)  # 32 steps a minute
    assert re.search(r"^slim beside wide: parameters x 0\.125, multiply-adds x 0\.125, time at 1 x ", shown, re.M)


def test_bfloat16_weights_answer_as_rounded_ones(runs):
    run = restore.restore(runs[0])
    half = precisions.bfloat16(run)
    assert {x.dtype for x in jax.tree.leaves(half.variables)} == {jnp.dtype(jnp.bfloat16)}
    rounded = jax.tree.map(lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), run.variables)
    batch = {"image": Pictures()[0]["image"][None]}
    want = predict(rounded, batch, None)["scores/shade"]
    np.testing.assert_allclose(half.answers(batch)["scores/shade"], want, rtol=1e-6)


def test_eight_bits_are_of_each_column_and_of_the_largest_number_in_it(runs):
    run = restore.restore(runs[1])
    kept = precisions.int8(run).variables["params"]["net"]["hidden"]
    whole = np.asarray(run.variables["params"]["net"]["hidden"])
    scale = np.abs(whole).max(0, keepdims=True) / 127.5
    np.testing.assert_allclose(kept.scale, scale, rtol=0.01)
    rounded = np.asarray(kept.qvalue, np.float32) * np.asarray(kept.scale)
    assert np.abs(rounded - whole).max() <= 0.51 * scale.max()
    batch = {"image": Pictures()[0]["image"][None]}
    net = {**run.variables["params"]["net"], "hidden": rounded}
    head = precisions.int8(run).variables["params"]["net"]["head"]
    net["head"] = np.asarray(head.qvalue, np.float32) * np.asarray(head.scale)
    want = predict({**run.variables, "params": {**run.variables["params"], "net": net}}, batch, None)["scores/shade"]
    np.testing.assert_allclose(precisions.int8(run).answers(batch)["scores/shade"], want, rtol=1e-5)


def test_a_missing_extra_leaves_a_precision_out(runs, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "qwix", None)
    run = restore.restore(runs[1])
    pixels = np.stack([Pictures()[i]["image"] for i in range(2)])
    assert [row.precision for row in rows.of_run(run, "slim", {"image": pixels}, (1,))] == ["float32", "bfloat16"]
    assert "left out: int8 weights need the package qwix: pip install 'mmjax[light]'" in capsys.readouterr().out


def begin(variables, batch):
    pixels = batch["image"].astype(jnp.float32).reshape(batch["image"].shape[0], -1) / 255
    seen = pixels @ variables["params"]["net"]["hidden"]
    return {"seen": seen}, {"mood": jnp.flip(seen, 1)}


def go_on(variables, memory, state, token):
    mood = jnp.tanh(state["mood"] + memory["seen"] + variables["params"]["writer"]["words"][token])
    return {"mood": mood}, mood @ variables["params"]["writer"]["words"].T


def test_an_answer_that_is_written_token_by_token_is_weighed_in_parts(runs):
    run = restore.restore(runs[1])
    words = np.random.default_rng(0).normal(size=(5, SLIM)).astype(np.float32)
    variables = {**run.variables, "params": {**run.variables["params"], "writer": {"words": jnp.asarray(words)}}}
    writing = Writing("text/caption", "caption_vocabulary", bind(begin), bind(go_on), {"start": 1})
    run = dataclasses.replace(run, variables=variables, task=dataclasses.replace(run.task, writing=writing))
    pixels = np.stack([Pictures()[i]["image"] for i in range(5)])
    found = list(rows.of_run(run, "slim", {"image": pixels}, (1,)))
    assert [(row.part, row.precision) for row in found[:3]] == [(part, "float32") for part in ("", "start", "step")]
    assert [(row.part, row.precision) for row in found[3:6]] == [(part, "bfloat16") for part in ("", "start", "step")]
    _, start, step = found[:3]
    assert (start.parameters, start.count.total) == (192 * SLIM, 192 * SLIM)
    assert (step.parameters, step.count.total) == (5 * SLIM, 5 * SLIM)  # a row that is looked up is no product
    assert [row.size for row in found[4:6]] == [2 * 192 * SLIM, 2 * 5 * SLIM]
    np.testing.assert_array_equal(step.examples["token"], np.ones(5))
    one = rows.rows(step.examples, 1)
    mood = np.tanh(one["state/mood"] + one["memory/seen"] + words[1])
    answered = step.answers[1](one)
    np.testing.assert_allclose(answered["next/mood"], mood, rtol=1e-5)
    np.testing.assert_allclose(answered["logits"], mood @ words.T, rtol=1e-4)
    rounded = found[5].answers[1](one)["logits"]
    assert 0 < np.abs(rounded - answered["logits"]).max() < 0.1


def test_candidates_are_timed_in_turns(monkeypatch):
    monkeypatch.setattr(measuring, "PAUSE", 0)
    called = []
    calls = {name: lambda name=name: called.append(name) for name in "ab"}
    times = measuring.in_turns(calls, rounds=2, limit=10)
    turn = measuring.TURN + 1
    assert "".join(called) == "aabb" + 2 * ("a" * turn + "b" * turn)
    assert {name: len(of) for name, of in times.items()} == {"a": 2 * measuring.TURN, "b": 2 * measuring.TURN}
    assert len(measuring.in_turns(calls, rounds=9, limit=0)["a"]) == measuring.LEAST * measuring.TURN
    found = measuring.summary(np.arange(101) / 1e3)
    assert found == {"median_ms": pytest.approx(50), "p95_ms": pytest.approx(95), "calls": 101}


def test_figures_of_another_step_have_no_intervals(runs):
    (runs[0] / workdir.AUDIT).write_text(json.dumps({"step": 6, "figures": {"accuracy": {"low": 0.1, "high": 0.2}}}))
    assert weighing.of_run(runs[0]) == {"accuracy": {"value": 0.9}, "nats": {"value": 0.1}}
    assert weighing.of_run(runs[0].parent) == {}


def test_numbers_are_short():
    assert [words.number(x) for x in (0.01234, 1.234, 99.96, 123.4, 12345.6)] == [
        "0.0123",
        "1.23",
        "100",
        "123",
        "12,346",
    ]


def test_mistakes_are_one_line(runs, tmp_path, capsys):
    for more in (("--batch", "0"), ("--rounds", "0"), ("--seconds", "-1"), ("--seconds", "nan")):
        assert tools.run("light", [str(runs[0]), *more]) == 2
        assert "it must be at least" in capsys.readouterr().err
    file = tmp_path / "nowhere" / "light.json"
    more = ("--batch", "1", "--rounds", "1", "--json", str(file))
    assert tools.run("light", [str(runs[1]), *more]) != 0
    said = capsys.readouterr()
    assert re.search(r"^slim +float32 +XLA", said.out, re.M)  # what was measured is not lost
    assert str(file.parent) in said.err


def test_memory_that_cannot_be_measured_is_left_blank(tmp_path):
    assert measuring.onnx_memory(tmp_path / "nothing.onnx", {"image": np.zeros((1, 2), np.float32)}, 1) is None
