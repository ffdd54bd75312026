"""A SoundNet is found in a workdir, whatever devices it was saved from, and in a file of weights."""

import json

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax import errors
from mmjax.engine import checkpoint, mesh
from mmjax.engine.step import TrainState
from mmjax.errors import OptionError
from mmjax.known import soundnet_run
from mmjax.models.sound.soundnet import SoundNet
from mmjax.weights import soundnet


def workdir(folder, **model):
    """What a run leaves of its network, saved from eight devices."""
    options = {"depth": 5, "width": 0.125, "dtype": "bfloat16", **model}
    shapes = jax.eval_shape(SoundNet(objects=7, scenes=3, **options).init, jax.random.key(3), jnp.zeros((1, 60_000)))
    rng = np.random.default_rng(0)
    made = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)
    own = {"params": {"sound": made["params"]}, "state": {"net": made["state"], "prior": np.ones(2, np.float32)}}
    state = TrainState(np.int32(1), own["params"], {"sound": own["params"]}, own["state"], {})
    saver = checkpoint.Checkpoints(folder)
    for step in (4, 12):
        saver.save(step, mesh.Jitted(fsdp=True).place(jax.tree.map(lambda x, s=step: x * x.dtype.type(s), state)))
    saver.close()
    (folder / "config.json").write_text(json.dumps({"system": "soundnet", "steps": 12, "model": options}))
    return made


def test_the_newest_checkpoint_of_a_workdir(tmp_path):
    made = workdir(tmp_path)
    found = soundnet_run.load(tmp_path)
    model, variables = found.model, found.variables
    assert (found, hash(found)) == (soundnet_run.load(tmp_path), hash(soundnet_run.load(tmp_path)))
    assert model == SoundNet(depth=5, objects=7, scenes=3, width=0.125, dtype="float32")
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(variables))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, 12 * b), variables, dict(made))
    assert jax.eval_shape(model.apply, variables, jnp.ones((1, 60_000)))["object"].shape == (1, 1, 7)


def test_a_file_of_published_weights(tmp_path):
    whole = SoundNet(conv_bias=True)
    shapes = jax.eval_shape(whole.init, jax.random.key(0), jnp.zeros((1, 1)))
    rng = np.random.default_rng(0)
    names = soundnet.layouts()["sound8.npy"]
    layers: dict = {}
    for (collection, layer, leaf), name in names.items():
        array = rng.random(shapes[collection][layer][leaf].shape, np.float32)
        layers.setdefault(name.split(".")[0], {})[name.split(".")[1]] = array[:, None] if leaf == "kernel" else array
    np.save(tmp_path / "sound8.npy", np.array(layers, object))
    found = soundnet_run.load(tmp_path / "sound8.npy")
    model, variables = found.model, found.variables
    assert model == SoundNet()
    np.testing.assert_array_equal(variables["params"]["conv3"]["kernel"], layers["conv3"]["weights"][:, 0])


def test_refusals(tmp_path):
    with pytest.raises(
        OptionError, match=r"^soundnet='runs/none' is no workdir and no file of weights: train a SoundNet with"
    ):
        soundnet_run.load("runs/none")
    (tmp_path / "config.json").write_text(json.dumps({"system": "skipgram"}))
    with pytest.raises(OptionError, match="is a run of 'skipgram', not of soundnet"):
        soundnet_run.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"system": "soundnet", "model": {}}))
    with pytest.raises(OptionError, match="has no checkpoint"):
        soundnet_run.load(tmp_path)


def test_a_config_is_told_where_its_path_stands():
    options = {"soundnet": "runs/none", "depth": 8, "width": 0.5, "dtype": "float32"}
    for section in ("config.model", "config.waveform"):
        with (
            pytest.raises(OptionError, match=rf"^{section}\.soundnet='runs/none' is no workdir"),
            errors.section(section),
        ):
            soundnet_run.make(**options)
    fresh = soundnet_run.make(**{**options, "soundnet": "", "dtype": "bfloat16"})
    assert fresh == (SoundNet(depth=8, width=0.5, dtype="bfloat16"), None)
    with pytest.raises(OptionError, match="depth is 6: SoundNet has 5 or 8 layers"):
        soundnet_run.make(**{**options, "soundnet": "", "depth": 6})
