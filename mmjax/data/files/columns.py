"""The columns of a table of captions: which name a picture's file, what is said about it, and its split."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence

from mmjax.errors import UserError

# In order of preference. "filepath" and "title" are open_clip's, "txt" is img2dataset's.
FILE = (
    *("file", "image", "filename", "file_name", "image_file", "image_path", "image_name"),
    *("filepath", "file_path", "path", "img", "picture", "photo"),
)
CAPTION = (
    *("caption", "captions", "text", "sentence", "comment", "description"),
    *("title", "txt", "sentences"),
)
SPLIT = ("split", "set", "partition")
# What a split is called, by us and by others; "restval" is what Karpathy leaves of COCO's validation split to train on.
SPLITS = {
    **dict.fromkeys(("train", "training", "restval"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
ROLES = ("file", "caption", "split")
_IN_A_NAME = re.compile(r"(?<![a-z])(train|training|validation|valid|val|dev|test|testing)(?![a-z])")


class UnknownLayout(UserError):
    """A file that is whole, but holds no captions in a form that is known."""


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the columns of a user are called; without a name of his, a role goes by its usual names.

    Attributes:
      file: of the picture's file or, in Parquet, of its bytes; in a sample of webdataset, the picture's suffix.
      caption: of one or several captions; in a sample, keys of its JSON or suffixes of its texts.
      split: of the split.
      separator: between the cells of a table; "" where it is to be found out.
    """

    file: tuple[str, ...] = ()
    caption: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    separator: str = ""

    def files(self, names: Sequence[str]) -> tuple[str, ...]:
        """That of the names which is the file's, () where none is."""
        return _own(self.file, names) if self.file else _usual(FILE, tuple(names))[:1]

    def captions(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those that are captions: all that the user names, or one usual name with its numbers (caption_0, ...)."""
        return _own(self.caption, names) if self.caption else _usual(CAPTION, tuple(names))

    def splits(self, names: Sequence[str]) -> tuple[str, ...]:
        """That which is the split's, () where none is."""
        return _own(self.split, names) if self.split else _usual(SPLIT, tuple(names))[:1]

    def lacking(self, file: object, names: Iterable[str]) -> UnknownLayout:
        """The error of a file that has these columns, and not those that are needed."""
        names = list(names)
        role, known = ("caption", CAPTION) if self.files(names) else ("file", FILE)
        there = ", ".join(filter(None, names)) or "none"
        own: tuple[str, ...] = getattr(self, role)
        if own:
            absent = next(name for name in own if not _own((name,), names))
            return UnknownLayout(f"config.data.columns: {file} has no column {absent!r}: it has {there}")
        return UnknownLayout(
            f"{file} has no column {known[0]!r} (or {', '.join(known[1:])}): it has {there}; say which it is by "
            f"config.data.columns={role}=NAME, and what stands between columns by config.data.separator"
        )


USUAL = Columns()


def _own(wanted: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Names as the file spells them; () unless all are there."""
    spelt = {name.strip().lower(): name for name in reversed(names)}
    found = tuple(spelt[name.lower()] for name in wanted if name.lower() in spelt)
    return found if len(found) == len(wanted) else ()


@functools.lru_cache(maxsize=256)  # rows of JSON have the same keys
def _usual(known: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the first known name that is there, with or without a number."""
    for name in known:
        found = [own for own in names if re.fullmatch(rf"{name}(?:[ _-]?\d+)?", own.strip().lower())]
        plain = [own for own in found if own.strip().lower() == name]
        if plain or (known is CAPTION and found):
            return tuple(dict.fromkeys(found if known is CAPTION else plain))
    return ()


def chosen(columns: Sequence[str], separator: str) -> Columns:
    """The columns of options as they are typed: "file=photo", "caption=alt", "caption=title"; and a separator.

    Raises:
      UserError: another word before the sign, or a separator of several letters.
    """
    named: dict[str, list[str]] = {role: [] for role in ROLES}
    for one in columns:
        role, sign, name = one.partition("=")
        if role.strip() not in ROLES or not sign or not name.strip():
            raise UserError(
                f"config.data.columns: {one!r} is none of file=NAME, caption=NAME, split=NAME (captions may be several)"
            )
        named[role.strip()].append(name.strip())
    for role in ("file", "split"):
        if len(named[role]) > 1:
            raise UserError(f"config.data.columns names {role} twice: {', '.join(named[role])}")
    between = {"tab": "\t", "\\t": "\t"}.get(separator, separator)
    if len(between) > 1 or between in ('"', "\n", "\r"):
        raise UserError(f"config.data.separator={separator!r}: it must be one character, such as ; or | or tab")
    return Columns(tuple(named["file"]), tuple(named["caption"]), tuple(named["split"]), between)


def split_named(name: str) -> str:
    """The split that the name of a file tells, as train-00000-of-00002.parquet does; "" where none or several."""
    told = {SPLITS[word] for word in _IN_A_NAME.findall(name.rsplit("/", 1)[-1].lower())}
    return told.pop() if len(told) == 1 else ""


def split_of_folder(path: str) -> str:
    """The split that a folder of a path is called like, "" where none is."""
    folders = path.lower().split("/")[:-1]
    return next((SPLITS[name] for name in folders if name in SPLITS), "")
