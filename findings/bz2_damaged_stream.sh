#!/usr/bin/env bash
# Python's bz2 and lzma: in a file of several streams, one that is damaged ends the file without an error.
#
# A .bz2 or .xz may be streams one behind the other: pbzip2, pixz and cat make such files, and Wikipedia's multistream
# dumps are hundreds of thousands of streams. bz2.open, lzma.open and both modules' decompress read them all, and take
# what does not begin as another stream for the file's end: junk behind it is ignored (bpo-19839). What they ask is
# whether the first call on a new stream fails, and that call gets what was read of the file, a buffer (8 KiB in Python
# 3.11), or with decompress all the rest. So any damage that shows in it, the sums of a short stream among it, hides the
# whole rest of the file, and reading ends as if all were well. Only the first stream is safe. That damage is hidden,
# too, and not only junk, bpo-19839 does not say, and neither does the documentation.
#   - bzip2 names damage, but only warns, with status 0, where one of the first three letters of a stream is wrong.
#   - xz names all of it, and junk as well. Python's gzip raises an error at the same changes.
# Whoever reads through Python reads so: smart_open by bz2.open, gensim's WikiCorpus by bz2.BZ2File.
#
# Who meets it: who trains from packed dumps that were downloaded, copied or joined. What helps: test them by `xz -t` or
# `bzip2 -t` first; or take BZ2Decompressor and LZMADecompressor stream by stream, and let errors be errors. Here:
# mmjax/text/packed.py.
#
# Seen on 2026-11-30 with Python 3.11.7, bzip2 1.0.8, xz 5.4.1, Linux x86-64:
#   Python 3.11.7; five streams, a bit changed in each byte of the second
#                           told   whole  hidden    else
#   bz2.open                   0       4      75       0
#   bz2.decompress             0       4      75       0
#   lzma.open                  0       0     124       0
#   lzma.decompress            0       0     124       0
#   gzip.open                 67       7       0       0
#   bzip2 -dc                 72       4       3       0
#   xz -dc                   124       0       0       0
#
# Exits 0 as long as it is so, and 1 if not. Some seconds; nothing is downloaded.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/streams.py" <<'PYTHON'
import bz2
import collections
import gzip
import io
import lzma
import subprocess
import sys

PARTS = [f"part {i} of a text ".encode() * 500 for i in range(5)]
WHOLE, FIRST = sum(map(len, PARTS)), len(PARTS[0])


def by_module(module):
    def read(raw):
        try:
            return len(module.open(io.BytesIO(raw)).read())
        except (OSError, EOFError, lzma.LZMAError, gzip.zlib.error):
            return "error"

    return read


def by_decompress(module):
    def read(raw):
        try:
            return len(module.decompress(raw))
        except (OSError, EOFError, ValueError, lzma.LZMAError, gzip.zlib.error):
            return "error"

    return read


def by_program(name):
    def read(raw):
        done = subprocess.run([name, "-dc"], input=raw, capture_output=True)
        return "error" if done.returncode else len(done.stdout)

    return read


def changes(pack, read):
    """Of all single bits of the second of five streams: (told, whole all the same, all behind the first is hidden)."""
    streams = [pack(part) for part in PARTS]
    found = collections.Counter()
    for at in range(len(streams[1])):
        spoilt = bytearray(streams[1])
        spoilt[at] ^= 1
        got = read(b"".join([streams[0], bytes(spoilt), *streams[2:]]))
        found["told" if got == "error" else "whole" if got == WHOLE else "hidden" if got == FIRST else "else"] += 1
    return found


print(f"Python {sys.version.split()[0]}; five streams, a bit changed in each byte of the second")
print(f"{'':20}{'told':>8}{'whole':>8}{'hidden':>8}{'else':>8}")
found = {}
for name, pack, read in (
    ("bz2.open", bz2.compress, by_module(bz2)),
    ("bz2.decompress", bz2.compress, by_decompress(bz2)),
    ("lzma.open", lzma.compress, by_module(lzma)),
    ("lzma.decompress", lzma.compress, by_decompress(lzma)),
    ("gzip.open", gzip.compress, by_module(gzip)),
    ("bzip2 -dc", bz2.compress, by_program("bzip2")),
    ("xz -dc", lzma.compress, by_program("xz")),
):
    found[name] = changes(pack, read)
    print(f"{name:20}" + "".join(f"{found[name][one]:>8}" for one in ("told", "whole", "hidden", "else")))
as_described = all(found[f"{name}.{how}"]["told"] == 0 for name in ("bz2", "lzma") for how in ("open", "decompress"))
as_described &= all(found[f"{name}.open"]["hidden"] > 50 for name in ("bz2", "lzma"))
as_described &= found["xz -dc"]["hidden"] == found["gzip.open"]["hidden"] == 0
as_described &= found["bzip2 -dc"]["told"] > 50 and found["bzip2 -dc"]["hidden"] == 3
sys.exit(0 if as_described else "the behaviour has changed")
PYTHON
cd "$folder"
python3 streams.py
