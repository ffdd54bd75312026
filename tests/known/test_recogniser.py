"""The shipped recogniser: small, as accurate as it says on pictures drawn anew, and exported by one command."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from mmjax import systems, tools
from mmjax.data.scenes import names
from mmjax.data.sets import sounding_scenes
from mmjax.errors import UserError
from mmjax.known import recogniser
from mmjax.tools import export_part, export_recogniser
from mmjax.weights import safetensors_file

CONFIG = str(Path(__file__).parents[2] / "configs" / "recognition.py")


@pytest.fixture(scope="module")
def shipped():
    return recogniser.load()


def test_is_small_and_says_what_it_knows(shipped):
    assert recogniser.SHIPPED.stat().st_size < 1_000_000
    assert sum(leaf.size for leaf in jax.tree.leaves(shipped.variables["params"])) < 250_000
    assert {leaf.dtype for leaf in jax.tree.leaves(shipped.variables)} == {np.dtype("float32")}
    assert shipped.names == {"object": names.OBJECTS, "scene": names.SCENES}
    _, metadata = safetensors_file.load(recogniser.SHIPPED)
    assert json.loads(metadata["data"])["name"] == "sounding_scenes"


def test_is_as_accurate_as_it_says(shipped):
    """On 64 pictures of another seed than any that it was trained or chosen on."""
    count = 64
    source = sounding_scenes.source("test", ("image", "objects", "areas", "scene"), seed=4242)
    examples = [source[i] for i in range(count)]
    images = np.stack([example["image"] for example in examples])
    logits = jax.jit(shipped.model.apply)(shipped.variables, images)
    largest = np.array([example["objects"][example["areas"].argmax()] for example in examples])
    scenes = np.array([example["scene"] for example in examples])
    top = np.argmax(logits["object"], -1)
    right = {
        "object_top1": top == largest,
        "object_present": [guess in example["objects"] for guess, example in zip(top, examples, strict=True)],
        "scene_accuracy": np.argmax(logits["scene"], -1) == scenes,
    }
    for figure, hits in right.items():
        stated, reached = shipped.figures[figure], np.mean(hits)
        assert stated > 5 * shipped.figures[f"{figure}/majority"]
        assert reached > stated - 3 * np.sqrt(stated * (1 - stated) / count) - 0.02  # three standard errors


def finished(monkeypatch, workdir, config, variables):
    """Leaves what a finished run leaves; that checkpoints come back as they were saved has tests of its own."""
    results = {"step": 12, "split": "test", "examples": 20, "values": {"object_top1": 0.5, "object_top1/majority": 0.1}}
    (workdir / "results.json").write_text(json.dumps(results))
    trained = SimpleNamespace(config=config, variables=variables)
    monkeypatch.setattr(export_part, "restore", lambda path: trained)
    return results


def test_export_refuses_what_is_no_finished_run(tmp_path, capsys, monkeypatch):
    assert tools.run("export-recogniser", [str(tmp_path)]) == 2
    assert "is no finished run of configs/recognition.py" in capsys.readouterr().err
    finished(monkeypatch, tmp_path, ConfigDict({"system": "clip"}), {})
    with pytest.raises(UserError, match="belongs to the system 'clip'"):
        export_recogniser.export(tmp_path)
    assert tools.run("export-recogniser", []) == 2
    assert "required: workdir" in capsys.readouterr().err


def empty(rows):
    """The labels of pictures without any."""
    objects = np.full((rows, 3), -1, np.int32)
    return {"objects": objects, "areas": np.zeros((rows, 3), np.float32), "scene": np.full(rows, -1, np.int32)}


def test_export_of_a_run(tmp_path, capsys, monkeypatch, rng):
    config = runpy.run_path(CONFIG)["get_config"]("tiny")
    task = systems.build(config)
    image = rng.integers(0, 256, (2, 112, 112, 3)).astype(np.uint8)
    variables = jax.jit(task.init)(jax.random.key(0), {"image": image})
    results = finished(monkeypatch, tmp_path, config, variables)
    path = tmp_path / "w.safetensors"
    assert tools.run("export-recogniser", [str(tmp_path), str(path)]) == 0
    assert "2,996 parameters" in capsys.readouterr().out
    trained = recogniser.load(path)
    assert trained.figures == results["values"]
    assert trained.model.widths == (8, 8, 8)
    shown = task.predict(variables, {"image": image} | empty(2), jax.random.key(0))
    logits = trained.model.apply(trained.variables, image)
    for head in ("object", "scene"):
        np.testing.assert_allclose(jax.nn.softmax(logits[head]), shown[f"scores/{head}"], atol=5e-3)
    safetensors_file.save(path, trained.variables, {})
    with pytest.raises(UserError, match="not a recogniser"):
        recogniser.load(path)
