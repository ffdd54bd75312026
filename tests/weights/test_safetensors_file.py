"""Trees of weights go to disc and come back the same, whole or not at all."""

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.weights import safetensors_file


def test_trees_come_back(tmp_path, rng):
    tree = {"params": {"a": {"kernel": rng.normal(size=(3, 2)).astype(np.float32).T}}, "state": {"n": np.int32(4)}}
    safetensors_file.save(tmp_path / "deep" / "w.safetensors", tree, {"accuracy": "0.9"})
    loaded, metadata = safetensors_file.load(tmp_path / "deep" / "w.safetensors")
    jax.tree.map(np.testing.assert_array_equal, loaded, tree)
    assert jax.tree.structure(loaded) == jax.tree.structure(tree)
    assert metadata == {"accuracy": "0.9"}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["w.safetensors"]


def test_half_precision_is_widened(tmp_path):
    safetensors_file.save(tmp_path / "w.safetensors", {"a": np.array([0.1, 2.0], np.float16), "b": np.array([3])}, {})
    loaded, _ = safetensors_file.load(tmp_path / "w.safetensors")
    assert loaded["a"].dtype == np.float32
    np.testing.assert_array_equal(loaded["a"], np.array([0.1, 2.0], np.float16).astype(np.float32))
    assert loaded["b"].dtype == np.int64


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    safetensors_file.save(path, {"a": np.zeros(2)}, {})
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disc full")

    monkeypatch.setattr(safetensors_file, "save_file", fail)
    with pytest.raises(OSError, match="disc full"):
        safetensors_file.save(path, {"a": np.ones(2)}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_cache_is_used_made_again_when_damaged_and_not_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path))
    calls = []

    def make():
        calls.append(1)
        return {"a": np.arange(3, dtype=np.float32)}

    for expected in (1, 1):
        np.testing.assert_array_equal(safetensors_file.cached("w", make, "here")["a"], [0, 1, 2])
        assert len(calls) == expected
    (tmp_path / "pretrained" / "w.safetensors").write_bytes(b"damaged")
    safetensors_file.cached("w", make, "here")
    assert len(calls) == 2
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path / "file"))  # cannot be a directory
    np.testing.assert_array_equal(safetensors_file.cached("w", make, "here")["a"], [0, 1, 2])


def test_a_missing_file_gives_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        safetensors_file.load(tmp_path / "w.safetensors")
