"""A writer of Caffe's models, byte for byte by caffe.proto and the wire format, and not by the reader."""

import struct

import numpy as np


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, value):
    """A field: an int, a float, or bytes (a string, packed numbers, a message)."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array, old):
    data = field(5, array.astype("<f4").tobytes()) + field(6, b"")  # and an empty gradient
    if old:  # num, channels, height, width
        sizes = (1,) * (4 - array.ndim) + array.shape
        return b"".join(field(i, size) for i, size in enumerate(sizes, start=1)) + data
    return data + field(7, field(1, b"".join(varint(size) for size in array.shape)))


def write(path, layers, old=False):
    """Writes {layer: [arrays]} as a .caffemodel, of the old form, with four axes throughout, or of today's."""
    name, blobs, layer = (4, 6, 2) if old else (1, 7, 100)
    kind = field(5, 4) if old else field(2, b"Convolution")
    out = field(1, b"VGG_FACE_16_layers")
    for called, arrays in layers.items():
        inside = field(name, called.encode()) + kind
        inside += b"".join(field(blobs, blob(array, old)) for array in arrays)
        out += field(layer, inside + field(7 if old else 5, 1.0 if old else np.float32(1).tobytes()))
    path.write_bytes(out)
    return path
