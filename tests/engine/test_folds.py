"""Cross-validation: a run for each fold, their mean, predictions that go together, resume."""

import json

import numpy as np
import pytest
import toy

from mmjax import data, systems
from mmjax.engine import folds, loop
from mmjax.errors import UserError


class Folds(toy.Numbers):
    """Other numbers in each fold."""

    def __init__(self, split, fold=1, size=64):
        super().__init__(20 + fold if split == "test" else size)
        self.fold = fold

    def __getitem__(self, index):
        return super().__getitem__(1000 * self.fold + index)


@pytest.fixture(autouse=True)
def system(monkeypatch):
    monkeypatch.setattr(systems, "build", lambda config: toy.regression())

    def opened(split, fields, name, train_split="train", **options):
        return Folds(split, **options)

    monkeypatch.setattr(data, "open", opened)


def config():
    made = toy.config(steps=4, save_every=4)
    made.eval.every, made.eval.test_examples, made.eval.folds = 0, 0, 2
    return made


def test_the_mean_of_the_folds_resumed_after_a_stop(tmp_path, capsys):
    calls = []

    def one(config, workdir, command):
        calls.append(config.data.fold)
        return None if calls == [1, 2] else loop.run(config, workdir, command)

    assert folds.run(one, config(), tmp_path / "run") is None
    assert not (tmp_path / "run/results.json").exists()
    done = (tmp_path / "run/fold1/results.json").stat().st_mtime_ns
    figures = loop.run(config(), tmp_path / "run", command="python train.py")
    assert (tmp_path / "run/fold1/results.json").stat().st_mtime_ns == done
    # each fold has its own data, and the whole has their mean
    alone = [json.loads((tmp_path / f"run/fold{fold}/results.json").read_text())["values"] for fold in (1, 2)]
    for fold, values in enumerate(alone, start=1):
        flat = np.mean([Folds("test", fold)[i]["areas"] ** 2 for i in range(20 + fold)])
        assert values["error/zero"] == pytest.approx(flat, rel=1e-5)
    assert figures == {name: pytest.approx((alone[0][name] + alone[1][name]) / 2) for name in alone[0]}
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert (results["values"], results["folds"], results["examples"]) == (figures, alone, 21 + 22)
    with np.load(tmp_path / "run/predictions/test.npz") as together:
        assert len(together["embedding/out"]) == 43
    page = (tmp_path / "run/report.html").read_text()
    assert "43 examples" in page
    assert "mean of 2 folds" in page
    restored = next(line for line in page.splitlines() if "mmjax.restore(" in line)
    assert "run/fold1" in restored
    said = capsys.readouterr().out
    assert "mean of 2 folds" in said
    assert f"{alone[1]['error']:8.4g}" in said.split("each fold")[1]
    other = config()
    other.seed = 5
    with pytest.raises(UserError, match="seed is 0 there, 5 here"):
        loop.run(other, tmp_path / "run")
