"""Runs saved by an earlier commit restore, predict the same, are done where they were, and go on as they would have.

`old_runs/keep.py` says how they were made: by 895b99d, whose modules, tasks and frozen trees were cut differently.
"""

import json
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest
from shared import one_device

import mmjax
from mmjax.engine import config as configs
from mmjax.engine import loop
from mmjax.predictions import split

KEPT = Path(__file__).with_name("old_runs")
RUNS = sorted(path.name.removesuffix(".tar.xz") for path in KEPT.glob("*.tar.xz"))
MORE = 2  # steps


class Old:
    """A run, unpacked, and what the code that made it said of it."""

    def __init__(self, name, folder):
        self.workdir = folder / name
        with tarfile.open(KEPT / f"{name}.tar.xz") as file:
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python has it since 3.11.4
            file.extractall(self.workdir, **safe)
        with np.load(KEPT / f"{name}.npz") as file:
            kept = dict(file)
        self.given, self.found, self.on = (part(kept, kind) for kind in ("in", "out", "on"))
        self.figures = self.results()["values"]

    def results(self):
        return json.loads((self.workdir / "results.json").read_text())

    def trained(self, step):
        lines = [json.loads(line) for line in (self.workdir / "metrics.jsonl").read_text().splitlines()]
        return next(line["values"] for line in lines if (line["kind"], line["step"]) == ("train", step))


def part(kept, kind):
    return {name.removeprefix(f"{kind}/"): value for name, value in kept.items() if name.startswith(f"{kind}/")}


@pytest.fixture(autouse=True, scope="module")
def compiled_quickly():
    """Most of the time is the compiler's: what it makes of such small networks need not be fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    with one_device():
        yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module", params=RUNS)
def old(request, tmp_path_factory):
    return Old(request.param, tmp_path_factory.mktemp(request.param))


def test_all_are_here():
    assert RUNS == ["captioning", "joint_embedding", "text_to_image"]
    assert sum(path.stat().st_size for path in KEPT.iterdir() if path.is_file()) < 1e6


def test_it_restores_and_predicts_the_same(old):
    """To rounding: another CPU adds in another order. A byte of a picture, and of a text none, may differ by one."""
    restored = mmjax.restore(old.workdir)
    assert restored.step == configs.load(old.workdir).steps
    found = restored.predict(old.given)
    assert set(old.found) <= set(found)
    for name, before in old.found.items():
        now = found[name]
        assert now.dtype == before.dtype, name
        if now.shape != before.shape:
            now = now[:, ::4, ::4]  # of strips of pictures
        if split(name)[0].dtypes == ("uint8",) and name.startswith("image/"):
            assert np.abs(now.astype(int) - before.astype(int)).max() <= 1, name
        elif np.issubdtype(before.dtype, np.floating):
            np.testing.assert_allclose(now, before, rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(now, before, err_msg=name)


def test_what_is_done_is_done(old, capsys):
    """And it is not evaluated again because config.eval has fields now that it had not."""
    assert loop.run(configs.load(old.workdir), old.workdir) == old.figures
    assert f"{old.workdir} is done: 4 steps" in capsys.readouterr().out


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("old", ["captioning", "joint_embedding"], indirect=True)  # a GAN's programs take half a minute
def test_its_figures_are_what_they_were_and_it_goes_on(old):
    """Evaluated again by the networks that judged it then; then two steps on, from every moment of its optimisers."""
    evaluated = configs.load(old.workdir)
    evaluated.eval.gallery = evaluated.eval.test_examples
    now = loop.run(evaluated, old.workdir)
    assert set(now) == set(old.figures)
    for name, before in old.figures.items():
        np.testing.assert_allclose(now[name], before, rtol=1e-3, atol=1e-4, err_msg=name)
    evaluated.steps = steps = evaluated.steps + MORE
    figures = loop.run(evaluated, old.workdir)
    assert set(figures) == set(old.figures)
    assert old.results()["step"] == steps
    for name, loss in old.on.items():
        np.testing.assert_allclose(old.trained(steps)[name], loss, rtol=1e-3, err_msg=name)
