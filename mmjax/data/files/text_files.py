"""The text files of a folder, packed ones and archives among them: which they are, and what is in them."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import pathlib
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from typing import IO

from mmjax import errors
from mmjax.data.files import faults, packing, tree
from mmjax.errors import UserError

SUFFIXES = ("", ".txt", ".text", ".md", ".tokens", ".tok", ".raw")
# Parallel and monolingual corpora name their files by language: news.en, train.de.
LANGUAGE = re.compile(
    r"\.(ar|bg|bn|ca|cs|da|de|el|en|es|et|eu|fa|fi|fr|gl|gu|he|hi|hr|hu|hy|id|is|it|ja|ka|kk|km|ko|lt|lv|mn|mr|ms|my|ne|"
    r"nl|no|pa|pl|pt|ro|ru|si|sk|sl|sr|sv|sw|ta|te|th|tl|tr|uk|ur|vi|zh)"
)
ARCHIVES = (*packing.TARS, ".zip")
# Of Wikipedia, in parts or not.
_DUMP = re.compile(r".*-pages-(articles(-multistream)?|meta-current)\d*\.xml(-p\d+p\d+)?")
# What lies beside a corpus and tells of it; a corpus only where there is nothing else.
ABOUT = re.compile(
    r"(readme|licen[cs]e|copying|copyright|notice|authors|changes|changelog|citation|(md5|sha256)sums?|checksums|manifest)"
    r"([-._].*)?|.*-multistream-index\d*\.txt.*"  # the last: where in a wiki's dump each page begins
)
_SHARD = re.compile(r"[-._]\d+(?:[-._]of[-._]\d+)?$")  # news.en-00001-of-00100, wiki_00, part.0001


@dataclasses.dataclass(frozen=True)
class Texts:
    """The text files of a path, sorted, and a line on what was left out, "" for nothing."""

    files: tuple[pathlib.Path, ...]
    left_out: str = ""


def find(path: str) -> Texts:
    """The text files of a path: the file itself, or all of a folder and its folders; links are followed.

    Raises:
      UserError: there is nothing, or nothing that looks like text.
    """
    place = pathlib.Path(path).expanduser()
    if place.is_file():
        return Texts((place,))
    if not place.is_dir():
        raise UserError(f"config.data.path={path}: there is no such file or folder")
    found = tree.once(place, tree.walk(place, is_text))
    about = [name for name in found.files if tells_of_others(name)]
    about = about if len(about) < len(found.files) else []
    missed = [*faults.listed((*found.faults, *(faults.Fault(name, "of README and licence") for name in about)))]
    missed += filter(None, [faults.by_suffix(found.ignored)])
    if not found.files:
        raise UserError(
            f"config.data.path={path}: the folder has no text files (.txt, .text, .md, .tokens, .en and other "
            "languages, a wiki's -pages-articles.xml, or no suffix; .gz, .bz2, .xz, .zst, .tar or .zip of them)"
            f"{'; it has ' if missed else ''}{', '.join(missed)}"
        )
    kept = tuple(place / name for name in found.files if name not in about)
    return Texts(kept, f"config.data.path={path}: {len(kept):,} read, left out: {', '.join(missed)}" if missed else "")


def is_text(name: str) -> bool:
    """Whether a file of this name is read as text, packed text or an archive."""
    bare = _unpacked(name)
    return bare.endswith(ARCHIVES) or _is_plain(bare)


def tells_of_others(name: str) -> bool:
    """Whether a file is a README, a licence or the like."""
    return bool(ABOUT.fullmatch(os.path.basename(name).lower()))


def _unpacked(name: str) -> str:
    name = os.path.basename(name).lower()
    return os.path.splitext(name)[0] if name.endswith(packing.SUFFIXES) else name


def _is_plain(bare: str) -> bool:
    suffix = os.path.splitext(_SHARD.sub("", bare))[1]
    return suffix in SUFFIXES or bool(LANGUAGE.fullmatch(suffix)) or bool(_DUMP.fullmatch(bare))


# -- what is in a file -------------------------------------------------------------------------------------------------


def _broken() -> tuple[type[Exception], ...]:
    # The last two are zipfile's: a method that it does not know, a password.
    return (*packing.damage(), NotImplementedError, RuntimeError)


def contents(path: pathlib.Path, block: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """(name, its bytes in blocks) of a file, or of each text file in an archive; what it is, its first bytes say.

    Raises:
      UserError: it cannot be read, or is an archive without text.
    """
    try:
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(path.open("rb"))
            head = raw.read(len(errors.POINTER))
            errors.refuse_pointer(path, head)
            if head[:4] in (b"PK\3\4", b"PK\5\6"):  # the second: an empty one
                yield from _members(path, _zipped(stack.enter_context(zipfile.ZipFile(path))), block)
                return
            raw.seek(0)
            way = packing.opener(path)
            file = stack.enter_context(way(raw)) if way else raw
            if not way and path.name.lower().endswith(packing.SUFFIXES):
                raise UserError(f"{path} cannot be read: it is no {path.suffix}, whatever its name says")
            if _is_tar(file.read(tarfile.BLOCKSIZE)):
                file.seek(0)
                yield from _members(
                    path, _tarred(stack.enter_context(tarfile.open(fileobj=file, mode="r:")), file), block
                )
                return
            if _unpacked(path.name).endswith(ARCHIVES):
                raise UserError(f"{path} cannot be read: it is no archive, whatever its name says")
            file.seek(0)
            yield str(path), _blocks(path, file, block)
    except _broken() as error:
        raise _unreadable(path, error) from None


def _is_tar(head: bytes) -> bool:
    """Whether these are the first bytes of a tar of any age: its header has a sum over itself."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _unreadable(path: pathlib.Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")


def _tarred(tar: tarfile.TarFile, file: IO[bytes]) -> Iterator[tuple[str, IO[bytes] | None]]:
    yield from ((member.name, tar.extractfile(member)) for member in tar if member.isreg())
    wrong = packing.wrong_end(file, tar.offset)
    if wrong:
        raise tarfile.ReadError(wrong)


def _zipped(archive: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for entry in archive.infolist():
        if not entry.is_dir():
            yield entry.filename, archive.open(entry)


def _members(path: pathlib.Path, members: Iterator, block: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Those that are text; of a stream, so that each is read before the next one is named."""
    ignored: collections.Counter[str] = collections.Counter()
    read = 0
    for name, file in members:
        if packing.is_hidden(name):
            continue
        if _is_plain(os.path.basename(name).lower()) and not tells_of_others(name):
            read += 1
            yield f"{path}/{name}", _blocks(path, file, block)
        else:
            ignored[os.path.splitext(name)[1].lower()] += 1
    if not read:
        raise UserError(f"{path} is an archive without text files; it has {faults.by_suffix(ignored) or 'nothing'}")
    if ignored:
        print(f"{path}: {read:,} read, left out: {faults.by_suffix(ignored)}", file=sys.stderr)


def _blocks(path: pathlib.Path, file: IO[bytes], block: int) -> Iterator[bytes]:
    try:
        while raw := file.read(block):
            yield raw
    except _broken() as error:  # here, for it is read by whoever asked for the contents
        raise _unreadable(path, error) from None
