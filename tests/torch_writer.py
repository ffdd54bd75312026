"""A writer of PyTorch's files, by the format and not by the reader: pickles that name what is not here."""

import io
import pickle
import struct
import tarfile
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class Name:
    """A class or function by its name alone."""

    def __init__(self, module, name):
        self.text = f"{module}\n{name}\n"


class Call:
    """What a function or class gives for arguments, and the state that it is given then."""

    def __init__(self, name, *arguments, state=None, new=False):
        self.name, self.arguments, self.state, self.new = name, arguments, state, new


def module(module, name, **fields):
    """An object as Python and TorchScript pickle it: its class, and its fields."""
    return Call(Name(module, name), state=fields, new=True)


class _Pickler(pickle._Pickler):
    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def __init__(self, file, tensors):
        super().__init__(file, 2)
        self.tensors = tensors

    def save_name(self, name):
        self.write(b"c" + name.text.encode())

    def save_call(self, call):
        self.save(call.name)
        self.save(call.arguments)
        self.write(pickle.NEWOBJ if call.new else pickle.REDUCE)
        if call.state is not None:
            self.save(call.state)
            self.write(pickle.BUILD)

    def save_array(self, array):
        self.save(self.tensors(array))

    def save_id(self, pid):
        self.save(pid.value)
        self.write(pickle.BINPERSID)

    dispatch[Name], dispatch[Call], dispatch[np.ndarray] = save_name, save_call, save_array


class Id:
    """What stands for something outside the pickle."""

    def __init__(self, value):
        self.value = value


_Pickler.dispatch[Id] = _Pickler.save_id


def dumps(tree, tensors=None):
    file = io.BytesIO()
    _Pickler(file, tensors).dump(tree)
    return file.getvalue()


class Storages:
    """The memory of arrays, each its own, and the pickles of tensors over them.

    Attributes:
      form: "v2", as PyTorch makes tensors now; "class" and "parameter", as it did before 0.2.
    """

    def __init__(self, form="v2"):
        self.form, self.arrays = form, []

    def __call__(self, array):
        key = str(len(self.arrays))
        self.arrays.append(np.ascontiguousarray(array))
        kind = Name("torch", STORAGES[array.dtype.name])
        view = () if self.form == "v2" else (None,)
        storage = Id(("storage", kind, key, "cpu", array.size, *view))
        size = array.shape
        stride = tuple(int(np.prod(size[i + 1 :])) for i in range(len(size)))
        if self.form == "v2":
            return Call(Name("torch._utils", "_rebuild_tensor_v2"), storage, 0, size, stride, False, {})
        tensor = Call(Name("torch", "FloatTensor"), state=(storage, 0, size, stride), new=True)
        if self.form == "class":
            return tensor
        return Call(Name("torch.nn.parameter", "Parameter"), tensor, True, state=(True, False, {}))


def write_zip(path, tree, compression=zipfile.ZIP_STORED, **more):
    """The archive of torch.save and torch.jit.save; `more` are other parts."""
    storages = Storages()
    pickled = dumps(tree, storages)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("net/data.pkl", pickled)
        for key, array in enumerate(storages.arrays):
            archive.writestr(f"net/data/{key}", array.tobytes())
        archive.writestr("net/version", "3\n")
        for name, content in more.items():
            archive.writestr(f"net/{name}", content)
    return path


def write_stream(path, tree, form):
    """The stream of pickles, memory last."""
    storages = Storages(form)
    body = dumps(tree, storages)
    head = b"".join(dumps(part) for part in (MAGIC, 1001, {"little_endian": True}))
    keys = [str(key) for key in range(len(storages.arrays))]
    memory = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.arrays)
    path.write_bytes(head + body + dumps(keys) + memory)
    return path


def write_tar(path, tree):
    """The tar of 2016: each array is a view into the memory of all, from its third number on."""
    arrays = []

    def numbered(array):
        arrays.append(array)
        return Id(300 + len(arrays) - 1)

    body = dumps(tree, numbered)
    storages, views, tensors = dumps(len(arrays)), [], dumps(len(arrays))
    for i, array in enumerate(arrays):
        memory = np.concatenate([np.full(3, 9, array.dtype), array.ravel()])
        storages += dumps((100 + i, "cpu", Name("torch", STORAGES[array.dtype.name])))
        storages += struct.pack("<q", memory.size) + memory.tobytes()
        views.append((200 + i, 100 + i, 2, array.size + 1))
        size = array.shape
        stride = [int(np.prod(size[k + 1 :])) for k in range(len(size))]
        tensors += dumps((300 + i, 200 + i, Name("torch", "FloatTensor")))
        tensors += struct.pack(f"<ii{2 * len(size) + 1}q", len(size), 0, *size, *stride, 1)
    with tarfile.open(path, "w") as tar:
        for name, content in (("storages", storages + dumps(views)), ("tensors", tensors), ("pickle", body)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path
