"""fastText's own .bin: words, their vectors and those of their n-grams, put together as its get_word_vector does.

The file is a header, the options of the training, the dictionary, and the input matrix, whose first rows are the words'
and the rest the n-grams' (fasttext.cc, dictionary.cc and densematrix.cc of github.com/facebookresearch/fastText). The
output matrix behind it is not read.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mmjax.errors import UserError
from mmjax.text import subwords

MAGIC = struct.pack("<i", 793712314)
_VERSIONS = (11, 12)  # 11: a classifier had no n-grams of characters, whatever its options say
_SUPERVISED = 3
_END = "</s>"  # a word without n-grams


def read(path: Path, raw: bytes | mmap.mmap) -> tuple[list[str], Float[np.ndarray, "v d"]]:
    """(words, float32 [v d]) of a file's content.

    Raises:
      UserError: it is of another version, quantised, or ends too early.
    """
    try:
        return _read(path, raw)
    except (struct.error, ValueError) as error:
        raise UserError(f"{path}: not a file of fastText that can be read ({error})") from None


def _read(path: Path, raw: bytes | mmap.mmap) -> tuple[list[str], np.ndarray]:
    _, version, dim, *options = struct.unpack_from("<14i", raw)
    if version not in _VERSIONS:
        raise UserError(
            f"{path}: of version {version} of fastText's format; {' and '.join(map(str, _VERSIONS))} are read"
        )
    model, shortest, longest = options[6], options[8], options[9]
    if version == _VERSIONS[0] and model == _SUPERVISED:
        longest = 0
    at = struct.calcsize("<14id")
    entries, count, _labels, _tokens, pruned = struct.unpack_from("<3i2q", raw, at)
    at += struct.calcsize("<3i2q")
    if not 0 < count <= entries or dim < 1 or not 0 <= longest <= 1000:
        raise ValueError(f"it says that it holds {count} words of {dim} dimensions")
    words: list[str] = []
    for _ in range(entries):
        end = raw.find(b"\0", at)
        if end < 0:
            raise ValueError(f"it ends after {len(words):,} of {entries:,} words")
        if raw[end + 9 : end + 10] == b"\0":  # a word: labels are 1
            words.append(raw[at:end].decode("utf-8", "surrogateescape"))
        at = end + 10
    at += 8 * max(pruned, 0)
    quantised, rows, columns = struct.unpack_from("<?2q", raw, at)
    if quantised or pruned > 0:
        raise UserError(f"{path}: quantised (.ftz): its vectors are only near the trained ones; give the .bin")
    if len(words) != count or columns != dim or rows < count:
        raise ValueError(f"{len(words):,} words and a matrix of {rows:,} x {columns:,} do not go together")
    matrix = np.frombuffer(raw, "<f4", rows * columns, at + struct.calcsize("<?2q")).reshape(rows, columns)
    vectors = subwords.means(words, matrix[:count], matrix[count:], shortest, longest)
    if _END in words:
        vectors[words.index(_END)] = matrix[words.index(_END)]
    return [word.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for word in words], vectors
