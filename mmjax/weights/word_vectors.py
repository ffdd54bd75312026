"""Word vectors in the formats that others read: word2vec's text and binary, safetensors, TensorBoard's projector.

What gensim's KeyedVectors.load_word2vec_format reads is written here, and what it writes is read; so are GloVe's text,
which has no first line, fastText's .bin, what gensim saves, and the workdir of a skip-gram run.
"""

from __future__ import annotations

import gzip
import json
import lzma
import mmap
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load_file, save_file

from mmjax.errors import OptionError, UserError
from mmjax.text import packed
from mmjax.text import vocabulary as spelling
from mmjax.weights import fasttext_file, gensim_file, licence

FORMATS = {".txt": "word2vec text", ".vec": "word2vec text", ".bin": "word2vec binary", ".safetensors": "safetensors"}
_PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": packed.open_bz2, ".xz": packed.open_xz}
_ENDS_A_WORD = {".safetensors": "", "": "\t\r\n"}  # " \n" in those of word2vec
Matrix = Float[np.ndarray, "v d"]
Vectors = tuple[list[str], Matrix]


def write(path: str | pathlib.Path, words: Sequence[str], vectors: Matrix) -> pathlib.Path:
    """Writes vectors in the format of the file's ending: .txt or .vec, .bin, .safetensors, or a folder for TensorBoard.

    Args:
      path: the file; without an ending it is a folder for TensorBoard's projector.
      words: one for each vector; .txt, .vec and .bin hold none with a space or line end, the projector none with a tab
        or line end. Other white space, no-break spaces among it, is part of a word, as in gensim.
      vectors: float32 [v d].

    Raises:
      UserError: words and vectors differ in number, a word cannot be written, or the path cannot.
    """
    path, vectors = pathlib.Path(path).expanduser(), np.ascontiguousarray(vectors, np.float32)
    if len(words) != len(vectors):
        raise UserError(f"{path}: {len(words)} words do not go with {len(vectors)} vectors")
    if path.suffix not in FORMATS and path.suffix:
        raise UserError(f"{path}: write .txt, .vec, .bin, .safetensors, or a folder for TensorBoard's projector")
    ends = _ENDS_A_WORD.get(path.suffix, " \n")
    bad = next((word for word in words if not word or any(sign in word for sign in ends)), None)
    if bad is not None:
        what = f"the word {bad!r} has white space that ends it in this format: .safetensors holds it" if bad else ""
        raise UserError(f"{path}: {what or 'a word is empty'}")
    writer = {".bin": _write_binary, ".safetensors": _write_safetensors, "": _write_projector}.get(
        path.suffix, _write_text
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer(path, words, vectors)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    return path


def _write_text(path: pathlib.Path, words: Sequence[str], vectors: Matrix) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n")
        for word, vector in zip(words, vectors):
            file.write(f"{word} {' '.join(map(repr, vector.tolist()))}\n")


def _write_binary(path: pathlib.Path, words: Sequence[str], vectors: Matrix) -> None:
    with path.open("wb") as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, vector in zip(words, vectors.astype("<f4")):
            file.write(word.encode() + b" " + vector.tobytes())


def _write_safetensors(path: pathlib.Path, words: Sequence[str], vectors: Matrix) -> None:
    save_file({"vectors": vectors}, path, metadata={"words": json.dumps(list(words))})


def _write_projector(path: pathlib.Path, words: Sequence[str], vectors: Matrix) -> None:
    """tensors.tsv and metadata.tsv, and the config that makes `tensorboard --logdir` show them."""
    path.mkdir(exist_ok=True)
    np.savetxt(path / "tensors.tsv", vectors, fmt="%.7g", delimiter="\t")
    (path / "metadata.tsv").write_text("\n".join(words) + "\n", encoding="utf-8")
    (path / "projector_config.pbtxt").write_text(
        'embeddings {\n  tensor_name: "words"\n  tensor_path: "tensors.tsv"\n  metadata_path: "metadata.tsv"\n}\n'
    )


def read(path: str | pathlib.Path, dim: int = 0) -> Vectors:
    """(words, float32 [v d]) of a file, its format known by its beginning and its ending; of a projector folder or a
    skip-gram workdir.

    Of files there are word2vec's text and binary, GloVe's text, fastText's .bin, what gensim saves (.kv, .model) and
    .safetensors. A .gz, .bz2, .xz or .zip is unpacked; FILE.zip/NAME means one of several that are packed. Of a workdir
    it is the newest checkpoint. Of a word that stands there twice the first vector is taken, as in gensim.

    Args:
      path: of the file or folder.
      dim: chooses among several files of a .zip whose names say their width, as glove.6B.zip has; 0 for none.

    Raises:
      UserError: it is missing, or not of that format; the line or the word where reading stopped is named.
    """
    words, vectors = _read(pathlib.Path(path).expanduser(), dim)
    first = {word: number for number, word in reversed(list(enumerate(words)))}
    if len(first) == len(words):
        return words, vectors
    kept = sorted(first.values())
    return [words[number] for number in kept], vectors[kept]


def exists(path: str) -> bool:
    """Whether there is a file or folder of this path, or an archive that it leads into."""
    return _outer(pathlib.Path(path).expanduser())[0].exists()


def _read(path: pathlib.Path, dim: int) -> Vectors:
    file, member = _outer(path)
    if file.is_file():
        licence.tell(path, file, {})
    try:
        if file.is_dir():
            return _read_workdir(file) if (file / "config.json").exists() else _read_projector(file)
        if file.suffix == ".safetensors":
            return _read_safetensors(file)
        name, raw = _content(file, member, dim)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if raw[:4] == fasttext_file.MAGIC:
        return fasttext_file.read(path, raw)
    if raw[:1] == b"\x80":  # a pickle; no text in UTF-8 and no number begins so
        return gensim_file.read(path, raw[:])
    return _read_binary(path, raw[:]) if name.endswith(".bin") else _read_text(path, raw[:])


def _outer(path: pathlib.Path) -> tuple[pathlib.Path, str]:
    """(file, "") or, of FILE.zip/NAME, (FILE.zip, NAME)."""
    archive = next((parent for parent in path.parents if parent.suffix == ".zip" and parent.is_file()), None)
    return (path, "") if archive is None else (archive, path.relative_to(archive).as_posix())


def _content(file: pathlib.Path, member: str, dim: int) -> tuple[str, bytes | mmap.mmap]:
    """(name without the ending of what packed it, content) of a file; large ones stay on the disk."""
    if file.suffix in _PACKED:
        with _PACKED[file.suffix](file) as unpacked:
            return file.stem, unpacked.read()
    with file.open("rb") as plain:
        if plain.read(4) != b"PK\3\4":
            plain.seek(0, 2)
            return file.name, mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ) if plain.tell() else b""
    with zipfile.ZipFile(file) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith(("__MACOSX", "."))]
        of_width = [n for n in names if dim and re.search(rf"(?<!\d){dim}d(?![a-z\d])", n)]
        chosen = [member] if member in names else [] if member else names if len(names) == 1 else of_width
        if len(chosen) != 1:
            which = f"no {member!r}" if member else f"{len(names)} files"
            raise UserError(f"{file} has {which}: choose, as {file}/NAME, one of {', '.join(names[:8])}")
        return chosen[0], archive.read(chosen[0])


def _heading(path: pathlib.Path, raw: bytes) -> tuple[int, int, int]:
    """(words, dimensions, where the first word begins)."""
    end = raw.find(b"\n", 0, 100)
    try:
        many, dim = map(int, raw[: max(end, 0)].split())
    except ValueError:
        raise UserError(f"{path} does not begin with a line 'words dimensions': is it a word2vec file?") from None
    if many < 1 or dim < 1:
        raise UserError(f"{path} says that it holds {many} words of {dim} dimensions")
    return many, dim, end + 1


def _read_binary(path: pathlib.Path, raw: bytes) -> Vectors:
    many, dim, at = _heading(path, raw)
    words, vectors = [], np.empty((many, dim), np.float32)
    for number in range(many):
        end = raw.find(b" ", at)
        if end < 0 or end + 1 + 4 * dim > len(raw):
            raise UserError(f"{path} ends after {number:,} of {many:,} words")
        words.append(
            raw[at:end].lstrip(b"\n").decode("utf-8", "replace")
        )  # word2vec.c ends each vector with a line end
        vectors[number] = np.frombuffer(raw, "<f4", dim, end + 1)
        at = end + 1 + 4 * dim
    return words, vectors


def _read_text(path: pathlib.Path, raw: bytes) -> Vectors:
    first = raw[: max(raw.find(b"\n"), 0)].split()
    if len(first) > 2:  # GloVe's files begin with the first word
        many, dim, at = raw.rstrip(b"\n").count(b"\n") + 1, len(first) - 1, 0
    else:
        many, dim, at = _heading(path, raw)
    lines = raw[at:].decode("utf-8", "replace").rstrip("\n").split("\n")
    if len(lines) != many:
        raise UserError(f"{path} has {len(lines):,} of the {many:,} words of its first line")
    words, vectors = [], np.empty((many, dim), np.float32)
    for number, line in enumerate(lines):
        word, *values = line.rstrip().rsplit(" ", dim)
        try:
            vectors[number] = np.array(values, np.float32)
        except ValueError:
            at_line = number + 1 + (at > 0)
            raise UserError(f"{path}, line {at_line}: {line[:40]!r}... is not a word and {dim} numbers") from None
        words.append(word)
    return words, vectors


def _read_safetensors(path: pathlib.Path) -> Vectors:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            words = json.loads((file.metadata() or {})["words"])
        vectors = load_file(path)["vectors"]
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise UserError(
            f"{path} is not a file of word vectors ('vectors', and 'words' in its metadata): {error}"
        ) from None
    return words, vectors


def _read_projector(path: pathlib.Path) -> Vectors:
    if not (path / "metadata.tsv").exists():
        raise UserError(f"{path} is neither a workdir (config.json) nor a projector's folder (metadata.tsv)")
    words = (path / "metadata.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")
    vectors = np.loadtxt(path / "tensors.tsv", np.float32, delimiter="\t", ndmin=2)
    if len(words) != len(vectors):
        raise UserError(f"{path}: metadata.tsv has {len(words)} words, tensors.tsv {len(vectors)} vectors")
    return words, vectors


def _read_workdir(path: pathlib.Path) -> Vectors:
    """From the checkpoint itself: the two arrays that are wanted, without the system around them."""
    import orbax.checkpoint as ocp

    system = json.loads((path / "config.json").read_text()).get("system")
    if system != "skipgram":
        raise UserError(f"{path} is a run of {system}: it has no word vectors")
    steps = [int(folder.name) for folder in (path / "checkpoints").glob("*") if folder.name.isdigit()]
    if not steps:
        raise UserError(f"{path} has no checkpoint: the run saved nothing yet")
    numpy = ocp.RestoreArgs(restore_type=np.ndarray)
    wanted = {
        path / "checkpoints" / str(max(steps)) / "default": lambda leaf: {"params": {"tables": {"words": leaf}}},
        path / "frozen": lambda leaf: {"spelling": leaf},
    }
    with ocp.PyTreeCheckpointer() as reader:
        trees = [
            reader.restore(
                folder.absolute(),
                args=ocp.args.PyTreeRestore(item=tree(0), restore_args=tree(numpy), partial_restore=True),
            )
            for folder, tree in wanted.items()
        ]
    return spelling.words_of(trees[1]["spelling"]), trees[0]["params"]["tables"]["words"]


def select(vocabulary: Sequence[str], path: str, dim: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The trained vectors of a vocabulary's words.

    Args:
      vocabulary: of any system.
      path: what `read` reads.
      dim: of the embedding that is to be filled.

    Returns:
      bool [v], which words were found; float32 [v d], their vectors, zero for the others; the root mean square of all
      vectors of the file.

    Raises:
      OptionError: the vectors are of another width, or not one word is found.
    """
    words, vectors = read(path, dim)
    if vectors.shape[1] != dim:
        raise OptionError("words", f"={path} has {vectors.shape[1]} dimensions, the embedding {dim}")
    index = {word: number for number, word in enumerate(words)}
    at = np.array([index.get(word, -1) for word in vocabulary])
    found = at >= 0
    if not found.any():
        raise OptionError("words", f"={path} has not one of the {len(vocabulary)} words")
    rows = np.where(found[:, None], vectors[at], np.float32(0))
    return found, rows, float(np.sqrt(np.mean(np.square(vectors, dtype=np.float64))))


def initialise(
    table: Float[np.ndarray, "v d"], vocabulary: Sequence[str], path: str
) -> tuple[Float[np.ndarray, "v d"], float]:
    """The rows of a fresh embedding replaced by trained vectors where there are any; `known.word_table` is for tasks.

    Args:
      table: fresh values [v d] of any system's word embedding.
      vocabulary: its words.
      path: what `read` reads; "" leaves the table as it is.

    Returns:
      the table, and the share of the vocabulary that was found, 0..1. The trained vectors are scaled as one so that
      they have the fresh ones' root mean square: the network after them meets values of the size that it was made for.

    Raises:
      OptionError: the vectors are of another width, or not one word is found.
    """
    if not path:
        return table, 0.0
    found, rows, size = select(vocabulary, path, table.shape[1])
    fresh = float(np.sqrt(np.mean(np.square(table, dtype=np.float64))))
    scale = np.float32(fresh / size) if size and fresh else np.float32(1)
    return np.where(found[:, None], rows * scale, table).astype(np.float32), float(np.mean(found))
