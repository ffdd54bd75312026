"""Writes Qt's resource bundles, for tests of what reads them."""

import struct
import zlib


def bundle(path, files):
    """A Qt bundle, version 3: the root, one folder, and its files; every second one is deflated."""
    names, name_at = b"", {}
    for name in ("", "pictures", *files):
        name_at[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    contents, nodes = b"", []
    for number, (name, content) in enumerate(files.items()):
        packed = struct.pack(">I", len(content)) + zlib.compress(content) if number % 2 else content
        nodes.append(struct.pack(">IHHHIQ", name_at[name], number % 2, 0, 0, len(contents), 0))
        contents += struct.pack(">I", len(packed)) + packed
    tree = struct.pack(">IHIIQ", 0, 2, 1, 1, 0) + struct.pack(">IHIIQ", name_at["pictures"], 2, len(files), 2, 0)
    tree += b"".join(nodes)
    head = struct.pack(">4sIIIII", b"qres", 3, 24, 24 + len(tree), 24 + len(tree) + len(contents), 0)
    path.write_bytes(head + tree + contents + names)
