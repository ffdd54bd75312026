"""Folders of sounds: which folders are classes and which are not, known collections by their files."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Collection, Iterable, Mapping

from mmjax.data.files import sound_file, tree
from mmjax.data.files.faults import Fault, by_suffix
from mmjax.data.files.sound_tables import ESC50, FSD50K, URBAN, URBAN_FLAT, Clip, Layout
from mmjax.errors import UserError

KNOWN = (ESC50, URBAN, URBAN_FLAT, FSD50K)
FOLDS = 5  # dealt out where nobody says how many
SPLITS = ("train", "validation", "test")
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
    **{"dev": "dev", "development": "dev", "eval": "eval", "evaluation": "eval"},
}
_FOLD = re.compile(r"(?:fold|part|split)[ _-]*(\d+)", re.IGNORECASE)
# Speech Commands (Warden 2018): SPEAKER_nohash_N.wav in a folder a word, and lists of what is held out.
_SPEAKER = re.compile(r"(.+)_nohash_\d+\.\w+")
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_NOISE = "_background_noise_"


def read(folder: pathlib.Path, esc10: bool = False) -> Layout:
    """What a folder of sounds is, by the files in it.

    Args:
      folder: an existing one.
      esc10: of ESC-50, only the ten classes of ESC-10.

    Raises:
      UserError: a table that is wrong, no sounds, folders that are no classes, or a folder beside the one meant.
    """
    for known in KNOWN:
        for root in (folder, folder.parent) if folder.name == "audio" else (folder,):
            if known.fits(root) and (known is ESC50 or not esc10):
                return ESC50.read(root, esc10) if known is ESC50 else known.read(root)
    if esc10:
        raise UserError(f"config.data.esc10: {folder} is not ESC-50: it has no {ESC50.file} beside a folder audio")
    for known in KNOWN:
        if inside := sorted(child for child in folder.iterdir() if child.is_dir() and known.fits(child)):
            raise UserError(
                f"config.data.path={str(folder)!r} holds {known.title}'s folder: give {str(inside[0])!r} itself"
            )
    if folder.name in FSD50K.FOLDERS and FSD50K.fits(folder.parent):
        raise UserError(
            f"config.data.path={str(folder)!r} is a part of FSD50K's folder: give {str(folder.parent)!r} itself"
        )
    return _folders(folder)


def dealt(layout: Layout, folds: int) -> Layout:
    """The layout in folds or splits: its own, or so many folds into which its groups are dealt.

    Args:
      layout: of `read`.
      folds: how many; 0 for its own, or FOLDS where it has none.

    Raises:
      UserError: for another number than its own, and for a single fold.
    """
    if layout.own == "splits":
        if folds:
            raise UserError(
                f"config.data.folds={folds}: {layout.title} has its own {_listed(layout)} and no folds: "
                "--config.data.folds=0 makes one run of them"
            )
        return layout
    if layout.own == "folds":
        own = len({clip.part for clip in layout.clips})
        if folds not in (0, own):
            raise UserError(
                f"config.data.folds={folds}: {layout.title} has its own {own} folds: --config.data.folds={own}"
            )
        return layout
    if folds == 1 or folds < 0:
        raise UserError(f"config.data.folds={folds}: there must be at least 2, one to train on and one to test on")
    place = _deal({clip.group for clip in layout.clips}, folds or FOLDS)
    return dataclasses.replace(
        layout, clips=tuple(dataclasses.replace(clip, part=f"fold{place[clip.group]}") for clip in layout.clips)
    )


def about(layout: Layout) -> str:
    """One line on a layout that was dealt."""
    parts: dict[str, set[str]] = {}
    for clip in layout.clips:
        parts.setdefault(clip.group, set()).add(clip.part)
    shared = sum(len(where) > 1 for where in parts.values())
    count = len({clip.part for clip in layout.clips})
    what = f"its own {_listed(layout)}" if layout.own == "splits" else f"{'its own ' * bool(layout.own)}{count} folds"
    line = f"{layout.title}, {len(layout.names):,} classes in {what}, by {layout.by}"
    return line + (f"; {shared:,} speakers or recordings are in more than one of them" if shared else "")


def _listed(layout: Layout) -> str:
    there = {clip.part for clip in layout.clips}
    return f"splits {', '.join(split for split in SPLITS if split in there)}"


def _deal(groups: Iterable[str], folds: int) -> dict[str, int]:
    """A fold for each group: class by class, in the order of a hash, like cards; speakers are of no class."""
    ordered = sorted(groups, key=lambda group: (group.rpartition("/")[0], hashlib.sha256(group.encode()).hexdigest()))
    return {group: 1 + i % folds for i, group in enumerate(ordered)}


# -- folders as classes ------------------------------------------------------------------------------------------------


def _folders(folder: pathlib.Path) -> Layout:
    """The layout of a folder without a table."""
    found = tree.walk(folder, sound_file.SUFFIXES)
    tops = sorted({path.split("/")[0] for path in found.files if "/" in path})
    if not tops:
        raise UserError(_nothing(folder, found))
    at, part_at, part_of = _places(folder, tops, list(found.files))
    used, faults = [], list(found.faults)
    for path in found.files:
        place = path.split("/")[:-1]
        if len(place) <= max(at, part_at):
            faults.append(Fault(path, "in no class folder"))
        elif place[at] == _NOISE:
            faults.append(Fault(path, "background noise, which is no class"))
        else:
            used.append(path)
    first = tree.aliases(folder, used)
    used, again = _once(used, first, at)
    faults += again
    names = tuple(sorted({path.split("/")[at] for path in used}))
    if not names:
        raise UserError(f"config.data.path={str(folder)!r} has no class but {_NOISE}")
    lists = {} if part_of else _held_out(folder, set(used))
    own, by = "", "a folder each"
    if part_of:
        own = "folds" if next(iter(part_of.values())).startswith("fold") else "splits"
        by = f"the folders {', '.join(part_of)}"
    elif lists:
        own, by = "splits", " and ".join(_LISTS.values())
    parts = {path: part_of[path.split("/")[part_at]] if part_of else lists.get(path, "train") for path in used}
    speech = lists or any(_SPEAKER.fullmatch(path.rsplit("/", 1)[1]) for path in used)
    group = _groups(used, first, max(at, part_at))
    clips = tuple(
        Clip(path, (names.index(path.split("/")[at]),), group[path], parts[path] if own else "") for path in used
    )
    title = "Speech Commands" if speech else str(folder.name)
    return Layout(folder, title, names, clips, found.files, own, by, False, tuple(faults), found.ignored)


def _once(paths: Collection[str], first: Mapping[str, str], at: int) -> tuple[list[str], list[Fault]]:
    """Each file once a class, by the first of its names there, and faults for the others; `first` as of `_groups`."""
    kept: dict[tuple[str, str], str] = {}
    for path in paths:
        kept.setdefault((path.split("/")[at], first[path]), path)
    used = set(kept.values())
    again = [
        Fault(path, tree.AGAIN, f"it is {kept[path.split('/')[at], first[path]]}") for path in paths if path not in used
    ]
    return [path for path in paths if path in used], again


def _nothing(folder: pathlib.Path, found: tree.Found) -> str:
    there = [f"{len(found.files):,} sounds in no sub-folder"] if found.files else []
    there += [by_suffix(found.ignored)] if found.ignored else []
    wanted = f"no CLASS/NAME with one of {', '.join(sound_file.SUFFIXES)}"
    return f"config.data.path={str(folder)!r} has {wanted}" + (f"; it has {', '.join(there)}" if there else "")


def _places(folder: pathlib.Path, tops: list[str], paths: Collection[str]) -> tuple[int, int, dict[str, str]]:
    """Where in a path the class stands, where its split or fold (0 for none), and {that folder's name: the part}.

    Raises:
      UserError: for folders that are splits or folds and hold no class, or stand beside others.
    """
    parts = _parts(tops)
    if len(parts) == len(tops) > 1:
        if any(path.count("/") > 1 for path in paths):
            return 1, 0, parts
        raise UserError(
            f"config.data.path={str(folder)!r}: the folders {', '.join(tops)} are {_kind(parts)} and no classes: each "
            "must have a sub-folder a class, or the folder the table that it was published with"
        )
    if parts:
        rest = [name for name in tops if name not in parts]
        raise UserError(
            f"config.data.path={str(folder)!r}: the folders {', '.join(parts)} are {_kind(parts)} and no classes: move "
            f"what is beside them ({', '.join(rest[:3])}{', ...' if len(rest) > 3 else ''}) or rename them"
        )
    deep = [path.split("/") for path in paths if path.count("/") > 1]
    within = sorted({place[1] for place in deep})
    parts = _parts(within)
    if len(parts) == len(within) > 1 and _kind(parts) == "splits" and len(deep) == sum("/" in path for path in paths):
        return 0, 1, parts
    return 0, 0, {}


def _parts(names: Iterable[str]) -> dict[str, str]:
    """{name: "train", "validation", "test" or "fold1", "fold2", ...} of names that can only be those together."""
    splits = {name: _SPLITS[_bare(name)] for name in names if _bare(name) in _SPLITS}
    kinds = set(splits.values())
    meant = {
        "dev": "validation" if "train" in kinds else "train",
        "eval": "validation" if "test" in kinds else "test",
    }
    splits = {name: meant.get(split, split) for name, split in splits.items()}
    if "train" in splits.values() and len(set(splits.values())) > 1:
        return splits
    folds = {name: int(found[1]) for name in names if (found := _FOLD.fullmatch(name))}
    order = sorted(set(folds.values()))
    return {name: f"fold{1 + order.index(n)}" for name, n in folds.items()} if len(order) > 1 else {}


def _bare(name: str) -> str:
    """`FSD50K.dev_audio` and `audio_train` without all but the word that matters."""
    words = re.split(r"[ _-]+", name.lower().rpartition(".")[2])
    return " ".join(word for word in words if word not in ("audio", "wav", "wavs", "set", "data", "clips", "sounds"))


def _kind(parts: dict[str, str]) -> str:
    return "folds" if next(iter(parts.values())).startswith("fold") else "splits"


def _held_out(folder: pathlib.Path, used: Collection[str]) -> dict[str, str]:
    """{path: split} of the lists of what is not trained on, beside the classes or above them."""
    for above in (folder, folder.parent):
        found: dict[str, str] = {}
        for split, name in _LISTS.items():
            if (above / name).is_file():
                lines = (above / name).read_text(encoding="utf-8", errors="replace").splitlines()
                found |= {path: split for line in lines if (path := line.strip()) in used}
        if found:
            return found
    return {}


def _groups(paths: Collection[str], first: Mapping[str, str], deepest: int) -> dict[str, str]:
    """The group of each file; groups that have a file in common, by a link into another class, are one.

    Args:
      first: {path: the first name of its file}.
    """
    group = {path: _group(path, deepest) for path in first}
    members: dict[str, list[str]] = collections.defaultdict(list)
    for path in paths:
        members[group[path]].append(path)
    for path in paths:
        mine, other = group[first[path]], group[path]
        if mine != other:
            joined = members.pop(other, [])
            members[mine] += joined
            group |= dict.fromkeys(joined, mine)
    return group


def _group(path: str, deepest: int) -> str:
    """The speaker; else the sub-folder inside the class, or the file itself."""
    *_, name = path.split("/")
    speaker = _SPEAKER.fullmatch(name)
    return speaker[1] if speaker else "/".join(path.split("/")[: deepest + 2])
