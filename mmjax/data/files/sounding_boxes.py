"""Published annotation of where in a clip's picture the sound comes from: files of boxes, and lists of negatives.

* Flickr-SoundNet: a folder of <clip>.xml, each with the <bbox> elements of three annotators, whose first child is
  skipped and the next four are xmin, ymin, xmax, ymax in a frame of 256 pixels.
* VGG-SS: one JSON file, a list of {"file": clip, "class": ..., "bbox": [[xmin, ymin, xmax, ymax], ...]}, 0..1.
* SLAVC's negatives: rows `video,audio,label`; where the label is non-sounding, the picture of one clip and the sound of
  another.

A clip is called by its file's name without folders and without what follows the first dot, as published code has it.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from mmjax.data.files import encodings
from mmjax.data.files.faults import Fault
from mmjax.errors import UserError

FRAME = 256  # pixels on a side of what Flickr-SoundNet's annotators saw
LARGEST = 1 << 20  # bytes of an XML file; published ones have less than 2,000
OTHER = "annotation of another layout"
TWICE = "annotated twice, of which the first counts"
NEGATIVE = "non-sounding"
Box = tuple[float, float, float, float]  # ymin, xmin, ymax, xmax in 0..1


@dataclasses.dataclass(frozen=True)
class Boxes:
    """The boxes of each clip that has one at least, as they are published; the clips that are named without one, which
    are published for a test all the same; and what was left out or changed."""

    clips: dict[str, tuple[Box, ...]]
    without: frozenset[str]
    faults: tuple[Fault, ...]


class Negatives(NamedTuple):
    """(clip of the picture, clip of the sound) of each negative, all clips that rows name, and rows that are none."""

    pairs: list[tuple[str, str]]
    named: frozenset[str]
    faults: list[Fault]


def clip_of(path: str) -> str:
    """What annotation calls a file."""
    return pathlib.PurePosixPath(path).name.split(".")[0]


def read(path: str) -> Boxes:
    """The annotation of a folder of XML files, or of a JSON file.

    Boxes that are none (outside the picture, without an area, their ends in the wrong order) are left out, those that
    reach beyond it are cut; both are faults, as is a clip without any box that is left.

    Raises:
      UserError: it is not there, or no clip has a box.
    """
    place = pathlib.Path(path).expanduser()
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix.lower() == ".xml")
        given, without, faults = _of_xml(files)
        wanted = "a folder with <clip>.xml of Flickr-SoundNet"
    elif place.is_file():
        given, without, faults = _of_json(place)
        wanted = 'a list of {"file": ..., "bbox": [[xmin, ymin, xmax, ymax], ...]}, as vggss.json'
    else:
        raise UserError(f"config.data.annotation={path!r} is neither a folder of .xml nor a .json file")
    clips: dict[str, tuple[Box, ...]] = {}
    for clip, boxes in given.items():
        good = tuple(box for box in (_checked(clip, box, faults) for box in boxes) if box is not None)
        if good:
            clips[clip] = good
        else:
            faults.append(Fault(clip, "annotation without a box"))
    if not clips:
        told = f": {faults[0].kind} ({faults[0].path})" if faults else ""
        raise UserError(f"config.data.annotation={path!r} has no box, but must be {wanted}{told}")
    return Boxes(clips, frozenset((without | set(given)) - set(clips)), tuple(faults))


def _of_xml(files: Iterable[pathlib.Path]) -> tuple[dict[str, list[Any]], set[str], list[Fault]]:
    """The boxes of each clip, the clips of files of another layout, and faults."""
    given: dict[str, list[Any]] = {}
    without: set[str] = set()
    faults: list[Fault] = []
    for file in files:
        try:
            if file.stat().st_size > LARGEST:
                raise ValueError(f"{file.stat().st_size:,} bytes")
            root = ElementTree.fromstring(file.read_bytes())
            elements = [element for annotator in root for element in annotator if element.tag == "bbox"]
            # In floating point, so that "12.0" is a number too; published code takes whole ones only.
            boxes = [[float(str(side.text)) / FRAME for side in list(element)[1:5]] for element in elements]
            if any(len(box) != 4 for box in boxes):
                raise ValueError("a <bbox> without four numbers behind its first child")
            if clip_of(file.name) in given:
                faults.append(Fault(file.name, TWICE))
            else:
                given[clip_of(file.name)] = boxes
        except (ElementTree.ParseError, ValueError, LookupError, OSError, RecursionError) as error:
            without.add(clip_of(file.name))
            faults.append(Fault(file.name, OTHER, str(error)))
    return given, without, faults


def _of_json(file: pathlib.Path) -> tuple[dict[str, list[Any]], set[str], list[Fault]]:
    """The boxes of each clip, the clips of entries of another layout, and faults."""
    try:
        rows = json.loads(encodings.strict(file.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"config.data.annotation={str(file)!r} cannot be read as JSON: {error}") from None
    given: dict[str, list[Any]] = {}
    without: set[str] = set()
    faults: list[Fault] = []
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], start=1):
        boxes, name = (row.get("bbox"), row.get("file")) if isinstance(row, dict) else (None, None)
        clip = clip_of(name) if isinstance(name, str) else ""
        if not isinstance(boxes, list) or not clip:
            faults.append(Fault(f"{file.name}, entry {number}", OTHER))
            without |= {clip} - {""}
        elif clip in given:
            faults.append(Fault(str(name), TWICE))
        else:
            given[clip] = boxes
    return given, without, faults


def _checked(clip: str, box: Any, faults: list[Fault]) -> Box | None:
    """xmin, ymin, xmax, ymax as ymin, xmin, ymax, xmax inside the picture; None, and a fault, for no such box."""
    sides = list(box) if isinstance(box, list | tuple) else []
    numbers = [float(side) for side in sides if isinstance(side, int | float) and abs(side) <= sys.float_info.max]
    if len(numbers) != 4 or len(sides) != 4:
        faults.append(Fault(clip, "box that is not four numbers", str(box)[:80]))
        return None
    left, top, right, bottom = numbers
    said = f"{left:g}, {top:g}, {right:g}, {bottom:g}"
    if left > right or top > bottom:
        faults.append(Fault(clip, "box whose ends are in the wrong order", said))
        return None
    inside = [min(max(side, 0.0), 1.0) for side in (top, left, bottom, right)]
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        faults.append(Fault(clip, "box outside the picture or without an area", said))
        return None
    if inside != [top, left, bottom, right]:
        faults.append(Fault(clip, "box beyond the picture's edge, cut there", said))
    return inside[0], inside[1], inside[2], inside[3]


def negatives(path: str) -> Negatives:
    """What a list says.

    Raises:
      UserError: the list is not there, or has no negative.
    """
    try:
        text = encodings.decoded(pathlib.Path(path).expanduser().read_bytes())
    except OSError as error:
        raise UserError(f"config.data.negatives={path!r} cannot be read: {error.strerror}") from None
    found: list[tuple[str, str]] = []
    named: set[str] = set()
    faults: list[Fault] = []
    for number, line in enumerate(encodings.lines(text), start=1):
        try:
            cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        except csv.Error as error:  # a cell that is longer than csv reads
            faults.append(Fault(f"line {number}", "row that is not video,audio,label", str(error)))
            continue
        if len(cells) == 3:
            named |= {clip_of(cell) for cell in cells[:2]} - {""}
        if len(cells) == 3 and cells[2] == NEGATIVE and all(cells):
            found.append((clip_of(cells[0]), clip_of(cells[1])))
        elif any(cells) and len(cells) != 3:
            faults.append(Fault(f"line {number}", "row that is not video,audio,label", ",".join(cells)[:80]))
    if not found:
        raise UserError(f"config.data.negatives={path!r} has no row `video,audio,{NEGATIVE}`")
    return Negatives(found, frozenset(named), faults)


def padded(boxes: Sequence[Box], most: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 [most 4] with zeros behind, and which of them there are, bool [most]."""
    full = np.zeros((most, 4), np.float32)
    if boxes:
        full[: len(boxes)] = boxes
    return full, np.arange(most) < len(boxes)
