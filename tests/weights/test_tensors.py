"""Where the tensors of a network are, and what is taken off their names: folders, indexes, checkpoints, prefixes."""

import json

import ml_dtypes
import numpy as np
import pytest
import torch_writer
from safetensors.numpy import save_file

from mmjax.errors import UserError
from mmjax.weights import tensors

A, B = np.arange(3, dtype=np.float32), np.float32([[1, 2]])


def saved(path, arrays, **metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, metadata)
    return path


def indexed(folder, where, name="model.safetensors.index.json"):
    (folder / name).write_text(json.dumps({"metadata": {"total_size": 20}, "weight_map": where}))
    return folder / name


def check(found):
    assert set(found) == {"a", "b"}
    np.testing.assert_array_equal(found["a"], A)
    np.testing.assert_array_equal(found["b"], B)


def test_a_file_is_what_it_holds_and_not_what_it_is_called(tmp_path):
    check(tensors.read(saved(tmp_path / "w.safetensors", {"a": A, "b": B})))
    check(tensors.read(saved(tmp_path / "w.bin", {"a": A, "b": B})))
    check(tensors.read(torch_writer.write_zip(tmp_path / "w.pt", {"a": A, "b": B})))
    half = tensors.read(saved(tmp_path / "half.safetensors", {"a": A.astype(ml_dtypes.bfloat16)}))
    np.testing.assert_array_equal(half["a"], A)
    with pytest.raises(UserError, match=r"none\.pt: no such file"):
        tensors.read(tmp_path / "none.pt")


def test_folders_of_hugging_face(tmp_path):
    torch_writer.write_zip(tmp_path / "pytorch_model.bin", {"x": A})
    assert set(tensors.read(tmp_path)) == {"x"}
    check(tensors.read(saved(tmp_path / "model.safetensors", {"a": A, "b": B}).parent))  # the first of both
    cache = tmp_path / "models--o--n"
    saved(cache / "snapshots" / "abc" / "model.safetensors", {"a": A, "b": B})
    check(tensors.read(cache))
    saved(cache / "snapshots" / "old" / "model.safetensors", {"x": A})
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc\n")
    check(tensors.read(cache))
    (tmp_path / "one").mkdir()
    check(tensors.read(saved(tmp_path / "one" / "epoch_3.ckpt", {"a": A, "b": B}).parent))
    saved(tmp_path / "one" / "epoch_4.pt", {"a": A})
    with pytest.raises(
        UserError, match=r"one: the folder has no model\.safetensors.*it has epoch_3\.ckpt, epoch_4\.pt"
    ):
        tensors.read(tmp_path / "one")


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_parts_and_their_index(tmp_path, suffix):
    name = {"safetensors": "model", "bin": "pytorch_model"}[suffix]
    first, second = (f"{name}-0000{i}-of-00002.{suffix}" for i in (1, 2))
    save = saved if suffix == "safetensors" else torch_writer.write_zip
    save(tmp_path / first, {"a": A, "stale": B})
    save(tmp_path / second, {"b": B, "a": A + 1})  # what a part holds beside what the index says is not meant
    index = indexed(tmp_path, {"a": first, "b": second}, f"{name}.{suffix}.index.json")
    check(tensors.read(index))
    check(tensors.read(tmp_path))

    def refused(match, where):
        indexed(tmp_path, where, index.name)
        with pytest.raises(UserError, match=match) as error:
            tensors.read(tmp_path)
        assert "\n" not in str(error.value)

    refused(f"c is not in {second}", {"a": first, "c": second})
    refused(r"its part model-3 is missing: all 2 are needed", {"a": first, "b": "model-3"})
    refused(r"names a part outside its folder, '\.\./x'", {"a": "../x"})
    index.write_text("{")
    with pytest.raises(UserError, match="not the index of a network in parts"):
        tensors.read(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        {"a": "module.a", "b": "module.b"},
        {"a": "_orig_mod.a", "b": "_orig_mod.b"},
        {"a": "model.a", "b": "model.b", "": "loss.scale"},
        {"a": "state_dict.model.a", "b": "state_dict.model.b", "": "optimizer_states.0.exp_avg"},  # Lightning
        {"a": "model_state_dict.module._orig_mod.a", "b": "model_state_dict.module._orig_mod.b", "": "epoch"},
        {"a": "model.module.a", "b": "model.module.b"},
    ],
)
def test_prefixes(names):
    check(tensors.state_dict({theirs: {"a": A, "b": B}.get(ours, A) for ours, theirs in names.items()}))


def test_a_part_may_be_wrapped_alone():
    """torchvision's AlexNet and VGG in the trainings of ImageNet; a compiled block."""
    found = tensors.state_dict({"features.module.0.weight": A, "blocks.1._orig_mod.fc.bias": B, "submodule.c": A})
    assert set(found) == {"features.0.weight", "blocks.1.fc.bias", "submodule.c"}


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 605\n"
FP8 = b'{"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}'
FILE_FP8 = len(FP8).to_bytes(8, "little") + FP8 + bytes(4)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("w.pt", POINTER, "is a pointer of Git LFS"),
        ("w.safetensors", POINTER, "is a pointer of Git LFS"),
        (
            "w.safetensors",
            FILE_FP8,
            "w is of F8_E4M3, which is not read",
        ),
        ("w.bin", FILE_FP8, "w is of F8_E4M3, which is not read"),
        ("w.safetensors", (2**60).to_bytes(8, "little") + FP8, "not a safetensors file that can be read"),
        ("w.pt", "cut", "a zip archive without its end: it was cut short"),
        ("w.pt", b"<html>404</html>", "not a PyTorch file"),
        ("w.ckpt", b"", "not a PyTorch file"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_no_weights_is_one_line_alone_and_as_a_part(tmp_path, name, content, said, whole):
    if content == "cut":
        content = torch_writer.write_zip(tmp_path / "whole", {"a": A}).read_bytes()[:-30]
    (tmp_path / name).write_bytes(content)
    index = {"a": name, "w": name}
    with pytest.raises(UserError, match=said) as error:
        tensors.read(tmp_path / name if whole else indexed(tmp_path, index, "model.safetensors.index.json"))
    assert str(error.value).startswith(f"{tmp_path}/{name}")
    assert "\n" not in str(error.value)
