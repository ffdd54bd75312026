"""Every system keeps the contract of mmjax/task.py; a new one is found by itself."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from mmjax import data, systems
from mmjax.data import spec
from mmjax.engine import config as configs
from mmjax.engine import loop, mesh

ROOT = Path(__file__).parent.parent
KINDS = ("image", "heatmap", "attention", "audio", "text", "embedding", "scores", "label", "number")
CONFIGS = sorted((ROOT / "configs").glob("*.py"))


def get_config(path, variant):
    loaded = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module.get_config(variant), module


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda p: p.stem)
def tiny(request, tmp_path_factory):
    """The prepared tiny variant of a config."""
    config, _ = get_config(request.param, "tiny")
    ready = loop.prepare(config, tmp_path_factory.mktemp(request.param.stem))
    yield config, ready
    ready.saver.close()


def test_every_system_has_a_config_and_a_test():
    configured = {get_config(path, "tiny")[0].system for path in CONFIGS}
    assert configured == set(systems.names())
    assert all(list((ROOT / "tests" / "systems").rglob(f"test_{name}.py")) for name in systems.names())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_variant_is_a_whole_config(path):
    _, module = get_config(path, "")
    assert {"", "tiny"} <= set(module.VARIANTS)
    for variant in module.VARIANTS:
        config = module.get_config(variant)
        assert isinstance(config, ConfigDict)
        names = dict(configs.flat(config))
        assert set(dict(configs.flat(configs.engine("x")))) - {"data.name"} <= set(names), variant
        assert not any(isinstance(value, list | type(None)) for value in names.values()), "use tuples: overridable"
        assert config.variant == variant
        restored = ConfigDict(configs._tuples(json.loads(json.dumps(config.to_dict()))))
        assert not configs.differences(config, restored)
        assert f":{variant}" in module.__doc__ or not variant, f"the docstring does not name {variant}"
    with pytest.raises(configs.UserError, match="'nonsense'"):
        module.get_config("nonsense")


def test_fields_are_of_the_glossary_and_batches_match_it(tiny):
    config, ready = tiny
    batch = next(ready.held_out(config.test_split, 4))
    for field in ready.task.fields:
        assert field in batch
        base = field.removesuffix("_length")
        assert base in spec.FIELDS
        if base == field and spec.FIELDS[field].dtype != "str":
            assert batch[field].dtype == spec.FIELDS[field].dtype
            assert batch[field].ndim == 1 + len(spec.FIELDS[field].shape.split())


def test_variables_have_three_parts_and_an_optimiser_per_group(tiny):
    config, ready = tiny
    assert set(ready.state.params) == {update.group for update in ready.task.updates} == set(config.optim)
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(ready.state.params))
    assert not any(x.weak_type for x in jax.tree.leaves(ready.state)), "the second step would be compiled anew"


def test_every_figure_stands_beside_a_baseline_and_ignores_padding(tiny):
    config, ready = tiny
    task, variables = ready.task, ready.state.variables
    host = next(ready.held_out(config.test_split, config.eval.batch_size))
    batch = mesh.numeric(host)
    metrics = jax.jit(task.metrics)
    pairs = jax.tree.map(float, metrics(variables, batch))
    batch["valid"] = np.arange(len(batch["valid"])) < 3
    few = jax.tree.map(float, metrics(variables, batch))
    spoiled = dict(batch)
    for name, value in batch.items():  # whatever stands in the padding must not matter
        if name != "valid":
            spoiled[name] = np.where(batch["valid"].reshape(-1, *[1] * (value.ndim - 1)), value, value[:1])
    again = jax.tree.map(float, metrics(variables, spoiled))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), again, few)
    assert all(few[name][1] < pairs[name][1] for name in pairs)
    predictions = jax.tree.map(np.asarray, jax.jit(task.predict)(variables, batch, jax.random.key(0)))
    figures = {**pairs, **task.score(predictions, {name: np.asarray(host[name]) for name in task.references})}
    plain = [name for name in figures if "/" not in name]
    assert plain
    for name in plain:
        assert any(other.startswith(f"{name}/") for other in figures), f"{name} has no trivial baseline"


def test_predictions_have_known_kinds_and_named_classes(tiny):
    config, ready = tiny
    batch = mesh.numeric(next(ready.held_out(config.test_split, config.eval.batch_size)))
    shapes = jax.eval_shape(ready.task.predict, ready.state.variables, batch, jax.random.key(0))
    for name, value in shapes.items():
        kind, _, head = name.partition("/")
        assert kind in KINDS, name
        assert value.shape[0] == config.eval.batch_size
        if kind == "scores" and f"text/{head}" in shapes:  # named example by example
            assert shapes[f"text/{head}"].shape[:2] == value.shape
        elif kind == "scores":
            assert len(ready.task.names[head.removesuffix("_target")]) == value.shape[-1]


def test_data_modules_share_one_interface():
    for name in data.names():
        module = importlib.import_module(f"mmjax.data.sets.{name}")
        assert callable(module.source)
        assert hasattr(module, "FIELDS") or callable(module.fields)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_front_door(path, tmp_path):
    """`python train.py --config=<config>:tiny` as a user would type it, then once more."""
    command = [sys.executable, "train.py", f"--config={path.relative_to(ROOT)}:tiny", f"--workdir={tmp_path / 'run'}"]
    env = {**os.environ, "XLA_FLAGS": "", "PYTHONWARNINGS": "default"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "trivial baseline" in done.stdout
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    again = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0
    assert "is done" in again.stdout
