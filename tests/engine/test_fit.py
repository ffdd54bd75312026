"""What is solved after the last step: seen by the final evaluation and by a restored run, and by nothing before it."""

import dataclasses
import json

import numpy as np
import pytest
import toy
from jax import numpy as jnp

import mmjax
from mmjax import data, systems
from mmjax.data import spec
from mmjax.engine import loop
from mmjax.errors import UserError
from mmjax.task import Fit, Task


def observe(variables, batch):
    return {"x": batch["boxes"][:, 0], "y": batch["areas"][:, 0] + 0 * variables["frozen"]["offset"]}


def solve(variables, observed):
    """Least squares, on the host."""
    assert set(variables) == {"params", "state", "frozen"}
    return {"line": {"slope": np.linalg.lstsq(observed["x"], observed["y"], rcond=None)[0].astype(np.float32)}}


def fitted_regression() -> Task:
    """The toy beside the least squares on the same data."""
    plain = toy.regression()

    def metrics(variables, batch):
        figures = plain.metrics(variables, batch)
        if "fitted" in variables:
            guess = jnp.matmul(batch["boxes"][:, 0], variables["fitted"]["line"]["slope"])
            error = (guess - batch["areas"][:, 0]) ** 2
            total, count = figures["error/zero"]
            fitted = {"squares": (jnp.sum(error, where=batch["valid"]), count), "squares/zero": (total, count)}
            return figures | fitted
        return figures

    return dataclasses.replace(plain, metrics=metrics, fit=Fit(observe, solve), names={"out": "label"})


class Named(toy.Numbers):
    constants = {"label_names": spec.spelt(["öde", "b"])}  # noqa: RUF012


@pytest.fixture(autouse=True)
def system(monkeypatch):
    monkeypatch.setattr(systems, "build", lambda config: fitted_regression())
    monkeypatch.setattr(data, "open", lambda *args, **options: Named())


@pytest.mark.usefixtures("no_page")
def test_the_final_evaluation_and_a_restored_run_have_what_was_solved(tmp_path, capsys):
    config = toy.config()
    config.eval.fit_examples = 50  # not a multiple of the batch of 8: the padding must not be seen
    figures = loop.run(config, tmp_path / "run")
    rows = [toy.Numbers()[i] for i in range(50)]
    x, y = np.stack([r["boxes"][0] for r in rows]), np.stack([r["areas"][0] for r in rows])
    slope = np.linalg.lstsq(x, y, rcond=None)[0]
    test = [toy.Numbers()[i] for i in range(20)]
    errors = [(r["boxes"][0] @ slope - r["areas"][0]) ** 2 for r in test]
    assert figures["squares"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert "fitted on 50 of 64 examples" in capsys.readouterr().out
    looks = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [("squares" in row["values"]) for row in looks if row["kind"] == "eval"] == [False, False]
    run = mmjax.restore(tmp_path / "run")
    np.testing.assert_allclose(run.variables["fitted"]["line"]["slope"], slope, rtol=1e-4)
    assert run.task.names == {"out": ("öde", "b")}
    assert "fitted" not in mmjax.restore(tmp_path / "run", 8).variables
    config.eval.fit_examples = 8  # evaluated again, and fitted again
    assert loop.run(config, tmp_path / "run")["squares"] != figures["squares"]
    assert not np.allclose(mmjax.restore(tmp_path / "run").variables["fitted"]["line"]["slope"], slope, rtol=1e-4)


@pytest.mark.parametrize("fields", [(), ("areas", "boxes")])
@pytest.mark.usefixtures("no_page")
def test_of_the_data_only_what_it_reads_is_asked_for(tmp_path, monkeypatch, fields):
    """Drawing a sound that nobody hears took longer than the pictures that were fitted on."""
    whole = fitted_regression()
    seen, opened = [], []

    def observe_and_tell(variables, batch):
        seen.append(set(batch))  # once, when it is traced
        return observe(variables, batch)

    class Asked(toy.Numbers):
        def __init__(self, names):
            super().__init__()
            self.names = names

        def __getitem__(self, at):
            example = {**toy.Numbers.__getitem__(self, at), "label": np.int32(at)}
            return {name: value for name, value in example.items() if name in self.names}

    def opening(split, names, **_):
        opened.append((split, tuple(names)))
        return Asked(names)

    monkeypatch.setattr(data, "open", opening)
    fit = Fit(observe_and_tell, solve, fields=fields)
    reads = (*whole.fields, "label")
    planted = dataclasses.replace(whole, fields=reads, fit=fit, names={})
    monkeypatch.setattr(systems, "build", lambda config: planted)
    rows = [toy.Numbers()[i] for i in range(64)]
    x, y = np.stack([r["boxes"][0] for r in rows]), np.stack([r["areas"][0] for r in rows])
    errors = (x @ np.linalg.lstsq(x, y, rcond=None)[0] - y)[:20] ** 2
    assert loop.run(toy.config(), tmp_path / "run")["squares"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert seen == [{*(fields or reads), "valid"}]
    assert opened.count(("train", fields)) == bool(fields)


def test_names_of_classes_come_from_the_data_or_are_missed(tmp_path, monkeypatch):
    ready = loop.prepare(toy.config(), tmp_path / "run")
    ready.saver.close()
    assert ready.task.names == {"out": ("öde", "b")}
    monkeypatch.setattr(data, "open", lambda *args, **options: toy.Numbers())
    with pytest.raises(UserError, match="does not name the classes of its field label"):
        loop.prepare(toy.config(), tmp_path / "other")


@pytest.mark.usefixtures("no_page")
def test_a_threshold_is_solved_on_the_split_that_it_names(tmp_path, monkeypatch, capsys):
    task = fitted_regression()
    chosen = dataclasses.replace(task, fit=Fit(observe, solve, "validation"))
    monkeypatch.setattr(systems, "build", lambda config: chosen)
    config = toy.config()
    config.validation_split = "held_out"
    loop.run(config, tmp_path / "run")
    assert "fitting on held_out" in capsys.readouterr().out
