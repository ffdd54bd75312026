"""Clips of videos with the boxes that were published for them, and pairs of a picture with another clip's sound."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmjax.data import fingerprints
from mmjax.data.files import prepared, sounding_boxes
from mmjax.data.files.faults import Fault
from mmjax.data.files.sounding_boxes import Box, Boxes, Negatives
from mmjax.data.fingerprints import Print

FIELDS = ("boxes", "sounding")
HEARD = ("waveform",)  # what a negative has of the other clip
MISSING = "annotation of a clip that is not there"
SAME = "video of the same name as an annotated one, left out"


class Clip(NamedTuple):
    """An example of a prepared split: its name there, its place, and its video."""

    split: str
    place: int
    video: str


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What an example is made of: the picture's clip, the sound's, and the boxes; none where nothing in it sounds."""

    seen: Clip
    heard: Clip
    boxes: tuple[Box, ...]


def of_videos(splits: Mapping[str, prepared.Source]) -> dict[str, list[Clip]]:
    """All clips of each video in order; `splits` offer `group`."""
    found: dict[str, list[Clip]] = collections.defaultdict(list)
    for split, source in splits.items():
        for index in range(len(source)):
            video = source[index]["group"]
            found[video].append(Clip(split, index, video))
    return dict(found)


def choose(
    split: str,
    videos: Mapping[str, Sequence[Clip]],
    starts: Mapping[Clip, float],
    annotation: Boxes,
    negatives: Negatives,
) -> tuple[list[Chosen], list[Fault]]:
    """The examples of a split: the test has what is annotated and the negatives, the others have all else.

    Of an annotated video of several clips that in the middle counts, whose picture was annotated. What is published for
    a test is never trained on, so that a clip whose annotation is of no use is in no split.
    """
    held = set(annotation.clips) | annotation.without | negatives.named
    middle: dict[str, Clip] = {}
    faults: list[Fault] = []
    for clips in videos.values():
        ordered = sorted(clips, key=lambda clip: starts[clip])
        name = sounding_boxes.clip_of(ordered[0].video)
        if name in middle and name in held:
            faults.append(Fault(ordered[0].video, SAME))
        middle.setdefault(name, ordered[(len(ordered) - 1) // 2])
    faults += [Fault(name, MISSING) for name in annotation.clips if name not in middle]
    if split != "test":
        left = [c for clips in videos.values() for c in clips if sounding_boxes.clip_of(c.video) not in held]
        validation = {clip.video for clip in left if clip.split == "validation"}
        if not validation and any(clip.split == "validation" for clips in videos.values() for clip in clips):
            # All that its hash holds out is the test's: a tenth of what is left, so that there is a validation.
            others = sorted({clip.video for clip in left})
            validation = set(others[::10]) if len(others) > 1 else set()
        # The test is not of those whose hash says so: it would leave out a part of what may be trained on.
        own = [clip for clip in sorted(left) if (clip.video in validation) == (split == "validation")]
        return [Chosen(clip, clip, ()) for clip in own], faults
    named = [(middle[name], boxes) for name, boxes in annotation.clips.items() if name in middle]
    chosen = [Chosen(clip, clip, boxes) for clip, boxes in named]
    for seen, heard in negatives.pairs:
        if seen in middle and heard in middle:
            chosen.append(Chosen(middle[seen], middle[heard], ()))
        else:
            faults.append(Fault(f"{seen}, {heard}", "negative of a clip that is not there"))
    return chosen, faults


class Annotated:
    """Random access to the chosen examples.

    Args:
      splits: the prepared splits, which offer `fields` but for those of FIELDS.
      fields: of the examples.
      chosen: what they are made of.
      most: boxes that an example has room for.
    """

    def __init__(
        self, splits: Mapping[str, prepared.Source], fields: Sequence[str], chosen: Sequence[Chosen], most: int
    ):
        self._splits, self._fields, self._chosen, self._most = dict(splits), tuple(fields), list(chosen), most
        self.constants: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> dict[str, Any]:
        one = self._chosen[int(index)]
        made = dict(self._splits[one.seen.split][one.seen.place])
        if one.heard != one.seen:
            other = self._splits[one.heard.split][one.heard.place]
            made |= {field: other[field] for field in HEARD if field in other}
        made["boxes"], made["sounding"] = sounding_boxes.padded(one.boxes, self._most)
        made["index"] = np.int32(index)
        return {field: made[field] for field in self._fields}

    @functools.cached_property
    def prints(self) -> dict[str, Print]:
        """Fingerprints: of stored fields by their examples, of boxes by what they are."""
        stored = {split: source.prints for split, source in self._splits.items()}
        found: dict[str, Print] = {}
        for field in self._fields:
            if field in FIELDS:
                found[field] = fingerprints.whole([one.boxes for one in self._chosen], field)
            elif all(field in prints for prints in stored.values()):
                parts = [one.heard if field in HEARD else one.seen for one in self._chosen]
                digests = [stored[part.split][field].examples for part in parts]
                rows = [0 if own is None else own[part.place] for own, part in zip(digests, parts, strict=True)]
                found[field] = fingerprints.of_digests(np.array(rows, np.uint64))
        return found
