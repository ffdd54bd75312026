"""Who is seen in a film: the box of each face from picture to picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from mmjax.data.files.face_boxes import Box, Detect

LOOK = 10  # pictures from one search to the next
ALIKE = 0.3  # intersection over union from which on two boxes are of one face
STEADY = 5  # searches, at most, whose median is where a face is: what a detector finds trembles
STAYS = 0.2  # share of all searches that find a face of the film; what fewer find is taken for one once in a while


@dataclasses.dataclass(frozen=True)
class Track:
    """One face: the pictures in which it was found, ascending, and its box in each."""

    at: list[int]
    boxes: list[Box]

    def over(self, pictures: int) -> list[Box]:
        """Its box in each picture: on a straight line from search to search, and where it was last, or first, found."""
        found = np.array(self.boxes, np.float64)
        # As many searches before as after, or whoever walks would be behind at the end.
        reaches = [min(STEADY // 2, i, len(found) - 1 - i) for i in range(len(found))]
        calm = np.stack([np.median(found[i - reach : i + reach + 1], 0) for i, reach in enumerate(reaches)])
        every = [np.interp(np.arange(pictures), self.at, calm[:, side]) for side in range(4)]
        return [tuple(box) for box in np.stack(every, -1).round().astype(int).tolist()]


def tracks(looks: Iterable[tuple[int, np.ndarray]], detect: Detect) -> list[Track]:
    """The faces of a film, the one that is seen most often first.

    A face that a search overlooks stays where it was; one that appears at another place is another.

    Args:
      looks: numbers of pictures, ascending, and the pictures [h w 3].
      detect: see `face_boxes.detector`.
    """
    found: list[Track] = []
    searches = 0
    for number, picture in looks:
        searches += 1
        boxes = detect(picture)
        pairs = ((overlap(track.boxes[-1], box), t, b) for t, track in enumerate(found) for b, box in enumerate(boxes))
        taken: set[tuple[str, int]] = set()
        for share, t, b in sorted(pairs, reverse=True):
            if share >= ALIKE and not taken & {("track", t), ("box", b)}:
                taken |= {("track", t), ("box", b)}
                found[t].at.append(number)
                found[t].boxes.append(boxes[b])
        found += [Track([number], [box]) for b, box in enumerate(boxes) if ("box", b) not in taken]
    lasting = [track for track in found if len(track.at) >= STAYS * searches]
    return sorted(lasting, key=lambda track: -len(track.at))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    wide, high = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in range(2))
    shared = max(wide, 0) * max(high, 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (area - shared)
