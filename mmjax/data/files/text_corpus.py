"""Running text as a stream of words, from files, a folder, the TFDS catalogue, or what any Python installation has.

Text is read in blocks of a few MiB and never held whole. Among its words a line end or NUL is the end of a sentence.
"""

from __future__ import annotations

import ast
import codecs
import functools
import pathlib
import re
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator

import regex

from mmjax.data.files import text_files, wiki_text
from mmjax.errors import UserError
from mmjax.text import tokenise

BLOCK = 2**20  # bytes
CUT = "the dump is not closed by </mediawiki>: it is the beginning of one, or was cut short; what is there is read"
_WORD = re.compile(r"[^\W\d_]+|\n")
# A letter, and letters with all that stands on them: marks, and the joiners of Persian and Hindi.
_MARKED_WORD = regex.compile(r"[\p{L}\p{Nl}\p{No}][\p{L}\p{Nl}\p{No}\p{M}\p{Join_Control}]*+|\n")
SPLITTERS = ("unicode", "words", "whitespace")


def splitter(name: str) -> Callable[[str], list[str]]:
    """text -> words and "\\n"s.

    "unicode" is runs of letters with their marks, composed and in lower case, see `tokenise`; "words", of runs from
    before, tears letters from their marks; "whitespace" takes the text as it is.
    """
    if name == "unicode":
        return _marked_words
    if name == "words":
        return lambda text: _WORD.findall(text.lower())
    if name == "whitespace":
        return _split_lines
    raise UserError(f"config.data.splitter {name!r} is unknown: choose {' or '.join(SPLITTERS)}")


def _marked_words(text: str) -> list[str]:
    return (_WORD if text.isascii() else _MARKED_WORD).findall(tokenise.lower(text))


def _split_lines(text: str) -> list[str]:
    return text.replace("\n", " \0 ").split()  # no loop over lines: NUL is no white space


def read(paths: Iterable[pathlib.Path], block: int = BLOCK, markup: str = "plain") -> Iterator[str]:
    """The text of files in pieces that end between words; every file, also in an archive, ends with a line end.

    Of wiki dumps there are the articles, without their markup (`wiki_text`); with markup="words", as runs from before
    have it, all that stands there.

    Raises:
      UserError: a file cannot be read, is not UTF-8, or has no white space for 16 blocks.
    """
    for path in paths:
        for name, blocks in text_files.contents(path, block):
            text = _decoded(name, blocks, block)
            yield from wiki_text.prose(text, functools.partial(_say, name, CUT)) if markup == "plain" else text


def _say(name: str, line: str) -> None:
    print(f"{name}: {line}", file=sys.stderr)


def _decoded(name: str, blocks: Iterable[bytes], block: int) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest, done = "", 0
    for raw in blocks:
        try:
            rest += decoder.decode(raw)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name} is not UTF-8 text: byte {done + max(error.start, 0):,} or near it is 0x"
                f"{error.object[error.start]:02x}; convert it (iconv -t utf-8) or leave it out"
            ) from None
        done += len(raw)
        cut = max(rest.rfind(" "), rest.rfind("\n"), rest.rfind("\t")) + 1
        if not cut and len(rest) > 16 * block:
            raise UserError(f"{name} has no white space in {len(rest):,} characters: is it text?")
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise UserError(f"{name} is not UTF-8 text: it ends within a character") from None
    yield f"{rest}\n"


def manual() -> Iterator[str]:
    """Text that is there wherever Python is: its own manual, and the docstrings of its library."""
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
