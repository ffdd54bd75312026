"""A trained joint embedding by its workdir: the same points as in its run, and one clear line for a wrong path."""

import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from mmjax.data import spec
from mmjax.engine import checkpoint, optim, step
from mmjax.errors import UserError
from mmjax.known import joint_run
from mmjax.systems.joint import joint_embedding
from mmjax.task import bind
from mmjax.text import vocabulary

ROOT = Path(__file__).parents[2]
WORDS = (*vocabulary.SPECIAL, "a", "bell", "bird")


def config_of(name):
    loaded = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module.get_config("tiny")


@pytest.mark.parametrize("name", ["joint_embedding", "clip"])
def test_embeds_as_the_run_does(name, rng, tmp_path):
    config = config_of(name)
    task = joint_embedding.build(config)
    tokens = np.array([[4, 5, 2, 0], [6, 2, 0, 0]], np.int32)
    batch = {
        "image": rng.integers(0, 256, (2, 32, 32, 3), np.uint8),
        "captions_tokens": tokens[:, None],
        "captions_tokens_length": np.array([[3], [2]], np.int32),
        "objects": np.zeros((2, 3), np.int32),
        "scene": np.zeros(2, np.int32),
        "valid": np.ones(2, bool),
    }
    names = {f"{field}_names": spec.spelt(("bell", "bird")) for field in ("objects", "scene")}
    create = bind(step.create, task, optim.of(task, config.optim, 1))
    state = jax.jit(create)(jax.random.key(0), {**batch, **names, "caption_vocabulary": vocabulary.spell(WORDS)})
    saver = checkpoint.Checkpoints(tmp_path)
    saver.save(1, state)
    saver.save_frozen(state.frozen)
    saver.close()
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    trained = joint_run.load(tmp_path, "config.judge")
    assert vocabulary.words_of(trained.vocabulary) == list(WORDS)
    expected = jax.jit(task.predict)(state.variables, batch, jax.random.key(0))
    own = jax.tree.map(np.asarray, trained.variables)
    embed = jax.jit(trained.embed, static_argnums=1)
    np.testing.assert_allclose(embed(own, "image", batch["image"]), expected["embedding/image"], atol=1e-5)
    found = embed(own, "caption", tokens, batch["captions_tokens_length"][:, 0])
    np.testing.assert_allclose(found, expected["embedding/caption"][:, 0], atol=1e-5)


def test_a_wrong_path_is_told(tmp_path):
    with pytest.raises(UserError, match=r"config.judge=.* is no workdir"):
        joint_run.load(tmp_path, "config.judge")
    (tmp_path / "config.json").write_text(json.dumps({"system": "soundnet"}))
    with pytest.raises(UserError, match="'soundnet', not of joint_embedding"):
        joint_run.load(tmp_path, "config.judge")
    (tmp_path / "config.json").write_text(json.dumps({"system": "joint_embedding", "sides": ["image", "waveform"]}))
    with pytest.raises(UserError, match="embeds image, waveform, and not caption"):
        joint_run.load(tmp_path, "config.judge")
    (tmp_path / "config.json").write_text(json.dumps({"system": "joint_embedding", "sides": ["image", "caption"]}))
    with pytest.raises(UserError, match="has no checkpoint"):
        joint_run.load(tmp_path, "config.judge")
