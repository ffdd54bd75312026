"""Qt's resource bundles (.rcc), in which some Debian packages keep their pictures and sounds: names and contents.

A header (magic "qres", version, offsets of the tree, the data and the names, big-endian) is followed by these parts; a
node of the tree is a folder with its children's range, or a file with the offset of its size and bytes. Files may be
deflated, behind four bytes of their size; those that are packed by Zstandard are left out.
"""

from __future__ import annotations

import pathlib
import struct
import zlib
from collections.abc import Callable

from mmjax.data.files.faults import Unusable

HEAD = struct.Struct(">4sIIII")
NODE_BYTES = {1: 14, 2: 22, 3: 22}  # versions 2 and 3 add a time
DEFLATED, FOLDER, ZSTANDARD = 1, 2, 4
DEEPEST = 40


def read(path: pathlib.Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """{path inside the bundle: content} of the files whose path is wanted.

    Raises:
      Unusable: it is no bundle, or is damaged.
    """
    data = path.read_bytes()
    try:
        magic, version, tree, contents, names = HEAD.unpack_from(data)
        if magic != b"qres" or version not in NODE_BYTES:
            raise Unusable("no Qt bundle", path.name)
        found: dict[str, bytes] = {}
        _walk(data, (tree, contents, names, NODE_BYTES[version]), 0, "", wanted, found, 0)
        return found
    except (struct.error, zlib.error, UnicodeDecodeError, IndexError) as error:
        raise Unusable("damaged Qt bundle", str(error)) from error


def _walk(
    data: bytes,
    places: tuple[int, int, int, int],
    node: int,
    folder: str,
    wanted: Callable[[str], bool],
    found: dict[str, bytes],
    depth: int,
) -> None:
    tree, contents, names, size = places
    at = tree + node * size
    name_at, flags = struct.unpack_from(">IH", data, at)
    path = f"{folder}/{_name(data, names + name_at)}".lstrip("/") if node else ""
    if flags & FOLDER:
        count, first = struct.unpack_from(">II", data, at + 6)
        if depth > DEEPEST or first <= node:  # children stand behind their folder, so that no walk goes in circles
            raise IndexError(f"a folder {depth} deep whose children stand before it")
        for child in range(first, first + count):
            _walk(data, places, child, path, wanted, found, depth + 1)
    elif not flags & ZSTANDARD and wanted(path):
        (begin,) = struct.unpack_from(">I", data, at + 10)
        (length,) = struct.unpack_from(">I", data, contents + begin)
        content = data[contents + begin + 4 : contents + begin + 4 + length]
        if len(content) != length:
            raise IndexError(f"{path} has {len(content)} of {length} bytes")
        found[path] = zlib.decompress(content[4:]) if flags & DEFLATED else content


def _name(data: bytes, at: int) -> str:
    (length,) = struct.unpack_from(">H", data, at)
    return data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")
