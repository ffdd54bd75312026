"""Running text as a stream of words, from files, a folder, the TFDS catalogue, or what any Python installation has.

Text is read in blocks of a few MiB and never held whole. Among its words a line end or NUL is the end of a sentence.
"""

from __future__ import annotations

import ast
import codecs
import gzip
import pathlib
import re
import sysconfig
import zlib
from collections.abc import Callable, Iterable, Iterator

from mmjax.errors import UserError

BLOCK = 2**20  # bytes
_WORD = re.compile(r"[^\W\d_]+|\n")
_SUFFIXES = ("", ".txt", ".text", ".md", ".gz")
SPLITTERS = ("words", "whitespace")


def splitter(name: str) -> Callable[[str], list[str]]:
    """text -> words and "\\n"s: "words" are runs of letters in lower case, "whitespace" takes the text as it is."""
    if name == "words":
        return lambda text: _WORD.findall(text.lower())
    if name == "whitespace":
        return _split_lines
    raise UserError(f"config.data.splitter {name!r} is unknown: choose {' or '.join(SPLITTERS)}")


def _split_lines(text: str) -> list[str]:
    return text.replace("\n", " \0 ").split()  # no loop over lines: NUL is no white space


def files(path: str) -> list[pathlib.Path]:
    """The text files of a path, sorted: the file itself, or all of a folder and its folders.

    Raises:
      UserError: there is nothing, or nothing that looks like text.
    """
    place = pathlib.Path(path).expanduser()
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError(f"config.data.path={path}: there is no such file or folder")
    found = sorted(p for p in place.rglob("*") if p.is_file() and p.suffix.lower() in _SUFFIXES and p.name[0] != ".")
    if not found:
        raise UserError(f"config.data.path={path}: the folder has no text files (.txt, .text, .md, .gz or no suffix)")
    return found


def read(paths: Iterable[pathlib.Path], block: int = BLOCK) -> Iterator[str]:
    """The text of files in pieces that end between words; every file ends with a line end.

    Raises:
      UserError: a file cannot be read, is not UTF-8, or has no white space for 16 blocks.
    """
    for path in paths:
        decoder = codecs.getincrementaldecoder("utf-8")()
        rest, done = "", 0
        for raw in _bytes(path, block):
            try:
                rest += decoder.decode(raw)
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path} is not UTF-8 text: byte {done + max(error.start, 0):,} or near it is 0x"
                    f"{error.object[error.start]:02x}; convert it (iconv -t utf-8) or leave it out"
                ) from None
            done += len(raw)
            cut = max(rest.rfind(" "), rest.rfind("\n"), rest.rfind("\t")) + 1
            if not cut and len(rest) > 16 * block:
                raise UserError(f"{path} has no white space in {len(rest):,} characters: is it text?")
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise UserError(f"{path} is not UTF-8 text: it ends within a character") from None
        yield f"{rest}\n"


def _bytes(path: pathlib.Path, block: int) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            while raw := file.read(block):
                yield raw
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def catalogue(name: str, column: str = "", data_dir: str | None = None) -> Iterator[str]:
    """The text of a TensorFlow Datasets set, an example a paragraph."""
    from mmjax.data.sets import catalogue as sets

    source = sets.source(
        "train", ("text",), name=name, mapping=(("text", column),) if column else (), data_dir=data_dir
    )
    for index in range(len(source)):
        text = source[index]["text"]
        yield (text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)) + "\n"


def embedded(captions: int = 1500) -> Iterator[str]:
    """Text that is there wherever Python and this package are: captions of sounding scenes, and Python's own manual.

    Args:
      captions: scenes whose five captions are told.
    """
    from mmjax.data.sets import sounding_scenes

    scenes = sounding_scenes.source("train", ("captions",), examples=captions)
    yield "".join(f"{caption}\n" for index in range(captions) for caption in scenes[index]["captions"])
    import pydoc_data.topics

    for topic in sorted(pydoc_data.topics.topics):
        yield _paragraphs(pydoc_data.topics.topics[topic])
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")):
        yield from map(_paragraphs, _docstrings(path))


def _paragraphs(text: str) -> str:
    """One line a paragraph: a sentence does not end with a line of a manual."""
    return re.sub(r"\n[ \t]*\n\s*", "\0", text).replace("\n", " ").replace("\0", "\n") + "\n"


def _docstrings(path: pathlib.Path) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return  # text that this installation happens not to have
    yield from filter(None, (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)))
