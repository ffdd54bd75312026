"""Reads the arrays of a Caffe model (.caffemodel): a message of Protocol Buffers, of which only weights are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from mmjax.errors import UserError, printable
from mmjax.weights import whole_file

_FIELD = descriptor_pb2.FieldDescriptorProto
# The fields that we read, by the numbers of caffe.proto; whatever else a file holds is passed over. A star: several.
_FIELDS = {
    "Shape": (("dim", 1, "*int64"),),
    "Blob": (
        ("num", 1, "int32"),
        ("channels", 2, "int32"),
        ("height", 3, "int32"),
        ("width", 4, "int32"),
        ("data", 5, "*float"),
        ("shape", 7, "Shape"),
        ("double_data", 8, "*double"),
    ),
    "OldLayer": (("name", 4, "bytes"), ("blobs", 6, "*Blob")),  # text that is not checked
    "Layer": (("name", 1, "bytes"), ("blobs", 7, "*Blob")),
    "Net": (("layers", 2, "*OldLayer"), ("layer", 100, "*Layer")),
}
_TYPES = {
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "float": _FIELD.TYPE_FLOAT,
    "double": _FIELD.TYPE_DOUBLE,
    "bytes": _FIELD.TYPE_BYTES,
}


def read(path: str | Path) -> dict[str, list[np.ndarray]]:
    """The arrays of every layer that has some.

    Returns:
      {layer: [kernel, bias]}, float32 or float64, with the axes of the file: [out in h w] of a convolution; those of
      old files (before Caffe had shapes of any rank) have four axes throughout, [1 1 out in] of a fully connected
      layer, [1 1 1 out] of a bias.

    Raises:
      UserError: no such file, not one of this format, or one without weights: a description of a network, or a file
        in a form older than both of these.
    """
    arrays = whole_file.read(path, ".caffemodel", _arrays)
    if not arrays:
        raise UserError(f"{path}: not a .caffemodel that can be read: no layer with weights in it")
    found = dict(arrays)
    if len(found) < len(arrays):
        names = [name for name, _ in arrays]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UserError(f"{path}: two layers are called {printable(twice)}")
    return found


def _arrays(raw: bytes) -> list[tuple[str, list[np.ndarray]]]:
    network = _message().FromString(raw)
    layers = [(layer.name.decode("utf-8", "replace"), layer.blobs) for layer in (*network.layers, *network.layer)]
    return [(name, [_array(blob) for blob in blobs]) for name, blobs in layers if blobs]


def _message() -> Any:
    """The class of the message, made of _FIELDS."""
    file = descriptor_pb2.FileDescriptorProto(name="mmjax_caffe.proto", package="mmjax_caffe", syntax="proto2")
    for message, fields in _FIELDS.items():
        made = file.message_type.add(name=message)
        for name, number, kind in fields:
            one = kind.removeprefix("*")
            label = _FIELD.LABEL_OPTIONAL if one == kind else _FIELD.LABEL_REPEATED
            field = made.field.add(name=name, number=number, label=label, type=_TYPES.get(one, _FIELD.TYPE_MESSAGE))
            if one in _FIELDS:
                field.type_name = f".mmjax_caffe.{one}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("mmjax_caffe.Net"))


def _array(blob: Any) -> np.ndarray:
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    if min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape}")
    if blob.double_data:
        return np.fromiter(blob.double_data, np.float64, len(blob.double_data)).reshape(shape)
    return np.fromiter(blob.data, np.float32, len(blob.data)).reshape(shape)
