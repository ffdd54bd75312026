"""Which files of a folder say what is in its pictures: of those that say the same, one.

COCO has its pictures twice, with the splits of 2014 and of 2017; Flickr8k has its captions a second time as lemmas;
Karpathy's archive has the files of three data sets; many a folder has other files of such names.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterable, Sequence

from mmjax.data.files import caption_files, tar_shards
from mmjax.data.files.caption_files import Picture
from mmjax.data.files.columns import USUAL, Columns, UnknownLayout, split_named
from mmjax.data.files.faults import Fault
from mmjax.errors import UserError

# Looked for in the folder and its folder `annotations` or, where there is none, in its other folders. Those that match
# one pattern may be parts of one data set; what matches a later one says the same again.
PATTERNS = (
    "dataset*.json",
    "captions_*.json",
    "*.token.txt",
    "*.token",
    *(
        f"{stem}.{suffix}"
        for stem in ("captions", "metadata")
        for suffix in ("csv", "tsv", "jsonl", "txt", "json", "parquet")
    ),
    "results.csv",
)
# Of what is found by none of these: the files of a kind are parts of one data set, whatever they are called.
SHARDS = tuple(f"*{suffix}" for suffix in tar_shards.SUFFIXES)
TABLES = ("*.csv", "*.tsv", "*.jsonl", "*.ndjson")
PARQUET = ("*.parquet",)
UNREAD = "file of captions not read"
_COCO = re.compile(r"(COCO_[a-z]+\d{4}_)?(\d{12})\.\w+")


def named(folder: pathlib.Path, names: Sequence[str]) -> list[pathlib.Path]:
    """The files with captions that a user names, from the folder or anywhere.

    Raises:
      UserError: there is none of a name.
    """
    files = [folder / pathlib.Path(name).expanduser() for name in names]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise UserError(f"config.data.captions: there is no file {missing}")
    return list({file.resolve(): file for file in files}.values())


def find(folder: pathlib.Path, patterns: Sequence[str] = PATTERNS) -> list[pathlib.Path]:
    """The files of a folder that are called like files with captions."""
    others = (place for place in sorted(folder.iterdir()) if place.is_dir() and not place.name.startswith("."))
    for places in ((folder, folder / "annotations"), others):
        known = list(places)
        found = [file for pattern in patterns for place in known for file in caption_files.matching(place, pattern)]
        if found:
            return list(dict.fromkeys(found))
    return []


@dataclasses.dataclass(frozen=True)
class _Said:
    """What a file says, and of each of its pictures the path in the folder, "" where it is not there."""

    file: pathlib.Path
    pictures: list[Picture]
    faults: list[Fault]
    places: list[str]

    @property
    def names(self) -> list[str]:
        """The pictures by their paths or, where they are not there, as the file names them."""
        return [place or str(one.home / one.name) for one, place in zip(self.pictures, self.places, strict=True)]

    @property
    def verbatim(self) -> int:
        """How many pictures are there under the very name."""
        pairs = zip(self.pictures, self.places, strict=True)
        return sum(_base(place) == _base(one.name) for one, place in pairs)


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What the files of a folder say of its pictures.

    Attributes:
      pictures: each once.
      faults: what was left out, whole files among it.
      there: whether one of the pictures is in the folder.
      unread: where none is, the faults that stand for all of these files once another layout is read.
      unknown: the error of the first file of no known layout, where none is of one.
    """

    pictures: list[Picture]
    faults: list[Fault]
    there: bool
    unread: tuple[Fault, ...] = ()
    unknown: UnknownLayout | None = None


def choose(
    groups: Sequence[Sequence[pathlib.Path]],
    place: Callable[[Picture], str],
    columns: Columns = USUAL,
) -> Chosen:
    """What is said by those of the files that are about pictures of the folder, about each picture once.

    Args:
      groups: of files that may be parts of one data set, in the order in which they are preferred.
      place: a picture's path in the folder, "" where it is not there.
      columns: what they are called in tables.

    Raises:
      UserError: a file is damaged.
    """
    faults: list[Fault] = []
    unknown: list[UnknownLayout] = []
    elsewhere: list[_Said] = []
    beside = [file for group in groups for file in group]
    for number, files in enumerate(groups):
        group = []
        for file in files:
            try:
                pictures, own = caption_files.read([file], beside, columns)
            except UnknownLayout as error:
                unknown.append(error)
                faults.append(Fault(str(file), UNREAD, "it holds no captions in a known layout"))
            else:
                group.append(_Said(file, pictures, own, list(map(place, pictures))))
        absent = [said for said in group if not any(said.places)]
        elsewhere += absent
        if len(absent) < len(group):
            faults += _absent(elsewhere)
            later = [file for group in groups[number + 1 :] for file in group]
            faults += [Fault(str(file), UNREAD, f"there is {files[0].name}") for file in later]
            kept = _apart([said for said in group if any(said.places)], faults)
            pictures = [picture for said in kept for picture in said.pictures]
            return Chosen(pictures, faults + [fault for said in kept for fault in said.faults], True)
    unread = tuple(faults + _absent(elsewhere))
    if not elsewhere:
        return Chosen([], faults, False, unread, next(iter(unknown), None))
    first = next((said for said in elsewhere if said.pictures), elsewhere[0])
    return Chosen(first.pictures, faults + first.faults, False, unread)


def _absent(many: Sequence[_Said]) -> list[Fault]:
    """The faults of files that tell of no picture which is there; a damaged archive says so itself."""
    faults = []
    for said in many:
        faults += said.faults if said.faults and not said.pictures else []
        if said.pictures or not said.faults:
            faults.append(Fault(str(said.file), UNREAD, "none of its pictures is there"))
    return faults


def by_pattern(files: Sequence[pathlib.Path], patterns: Sequence[str] = PATTERNS) -> list[list[pathlib.Path]]:
    """The files in groups of a pattern each, in the order of the patterns."""
    of = [next(number for number, pattern in enumerate(patterns) if file.match(pattern)) for file in files]
    groups = [[file for file, mine in zip(files, of, strict=True) if mine == number] for number in range(len(patterns))]
    return [group for group in groups if group]


def _apart(group: Sequence[_Said], faults: list[Fault]) -> list[_Said]:
    """Files that are about different pictures; of those about the same only the first.

    Files of one year belong together, and the year comes first of which most pictures are there; then the latest.
    """
    of_year: collections.Counter[str] = collections.Counter()
    for said in group:
        of_year[_year(said.file)] += said.verbatim
    kept: list[_Said] = []
    known = collections.defaultdict[str, Names](Names)  # by the split that a file's name tells
    for year in sorted(of_year, key=lambda year: (of_year[year], year), reverse=True):
        other_years = Names(name for said in kept for name in said.names)
        for said in (said for said in group if _year(said.file) == year):
            mine = known[split_named(said.file.name)]
            twice = sum(map(mine.holds, said.names))
            if 2 * twice > len(said.names) or (year and any(map(other_years.holds, said.names))):
                faults.append(Fault(str(said.file), UNREAD, "another one is about the same pictures"))
                continue
            kept.append(said)
            mine.add(said.names)
    return kept


def _year(file: pathlib.Path) -> str:
    found = re.search(r"20\d\d(?!\d)", file.stem)
    return found.group() if found and file.match("captions_*.json") else ""


class Names:
    """Names of pictures, of which COCO has two for each: COCO_val2014_000000391895.jpg is 000000391895.jpg in 2017."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._ids: dict[bool, set[str]] = {True: set(), False: set()}  # of 2014's names, and of 2017's
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            self._names.add(name)
            number, of_2014 = coco(name)
            if number:
                self._ids[of_2014].add(number)

    def holds(self, name: str) -> bool:
        number, of_2014 = coco(name)
        return name in self._names or (bool(number) and number in self._ids[not of_2014])


def coco(name: str) -> tuple[str, bool]:
    """The number of a picture that is called as COCO calls them, else ""; and whether it is a name of 2014."""
    found = _COCO.fullmatch(_base(name))
    return (found.group(2), bool(found.group(1))) if found else ("", False)


def number(name: str) -> str:
    """The number of a picture in its name: COCO's, or all of the name before its suffix; "" for none."""
    stem = pathlib.PurePath(name).stem
    return coco(name)[0] or (stem if re.fullmatch(r"[0-9]{1,18}", stem) else "")


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1]
