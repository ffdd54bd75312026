"""A folder of videos of people talking, as faces and voices: the clips of `video_folder` that show one face.

    source("train", ("face", "speech"), path="~/videos")

A clip is used where a detector finds a face in one of its pictures at least, and more than one in none. How many were
left out, and why, is said once and kept; faces are looked for anew where the clips or the detector's rules change.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
import sys
from typing import Any

import numpy as np

from mmjax.data import caches
from mmjax.data.files import face_boxes, media, prepared
from mmjax.data.sets import video_folder
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("face", "face_frames", "speech", "group", "start", "index")
RATE = 25  # pictures a second of `face_frames`
IDENTITY = video_folder.IDENTITY
RULES = 1  # raised whenever other faces would be found


@dataclasses.dataclass(frozen=True)
class TalkingVideos:
    """A random-access source of dicts; made by `source`.

    Attributes:
      clips: of `video_folder`, with frames and waveform.
      faces: for each clip that is used its number, the frame and the box of the face there: of `face_frames` in all
        frames, for who speaks to a camera moves little in a few seconds.
      fields, size, samples: of the examples.
    """

    clips: Any
    faces: tuple[tuple[int, int, face_boxes.Box], ...]
    fields: tuple[str, ...]
    size: int
    samples: int

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, frame, box = self.faces[index]
        clip = self.clips[number]
        example = {"group": clip["group"], "start": clip["start"], "index": np.int32(index)}
        if "face" in self.fields:
            example["face"] = face_boxes.crop(clip["frames"][frame], box, self.size)
        if "face_frames" in self.fields:
            example["face_frames"] = np.stack([face_boxes.crop(picture, box, self.size) for picture in clip["frames"]])
            example["face_frames_length"] = np.int32(len(clip["frames"]))
        if "speech" in self.fields:
            sound = clip["waveform"][: self.samples]
            example["speech"] = np.pad(sound, (0, self.samples - len(sound)))
            example["speech_length"] = np.int32(len(sound))
        return {field: example[field] for field in self.fields}


def source(
    split: str,
    fields: tuple[str, ...] = FIELDS,
    *,
    path: str = "",
    data_dir: str | None = None,
    seconds: float = 6.0,
    frames: int = 3,
    seen: int = 360,
    size: int = 224,
    validation: float = 0.1,
    test: float = 0.1,
    workers: int | None = None,
) -> TalkingVideos:
    """Opens a split of the clips that show one face, looking for faces first where that was not done.

    Args:
      split: as of `video_folder`: all clips of a video together.
      fields: of FIELDS; `speech` brings speech_length along and is padded to `seconds`, and `face_frames`, 25 a second
        of the whole clip, face_frames_length.
      path, data_dir, seconds, validation, test, workers: of `video_folder`.
      frames: pictures of a clip in which faces are looked for.
      seen: side in pixels of those pictures, the middle of each frame.
      size: side of `face`.

    Raises:
      UserError: as `video_folder`; without the extra `faces`; no clip that shows one face.
    """
    detect = face_boxes.detector()
    needed = ("frames", "waveform", "group", "start")
    moving = "face_frames" in fields
    pictures = max(1, round(seconds * RATE)) if moving else frames
    looked = np.linspace(0, pictures - 1, min(frames, pictures)).round().astype(int)
    clips: Any = video_folder.source(
        split,
        needed,
        path=path,
        data_dir=data_dir,
        seconds=seconds,
        frames=pictures,
        size=seen,
        validation=validation,
        test=test,
        workers=workers,
    )
    name = prepared.fingerprint(
        RULES, split, str(clips.prints["frames"]), face_boxes.LEAST, *([frames] if moving else [])
    )
    place = prepared.cache_dir(data_dir) / "faces" / f"{name}.json"
    found = _kept(place)
    if found is None:
        found = [face_boxes.only(clips[i]["frames"][looked], detect) for i in range(len(clips))]
        caches.write(place, json.dumps(found).encode())
        _say(split, found, place)
    faces = tuple((i, int(looked[one[0]]), _box(one[1])) for i, one in enumerate(found) if not isinstance(one, str))
    if not faces:
        raise UserError(f"talking_videos: no clip of split {split!r} of {path} shows one face, of {len(clips):,}")
    lengths = tuple(f"{field}_length" for field in ("face_frames", "speech") if field in fields)
    wanted = tuple(dict.fromkeys((*fields, *lengths)))
    return TalkingVideos(clips, faces, wanted, int(size), round(seconds * media.SAMPLE_RATE))


def _box(values: Any) -> face_boxes.Box:
    left, top, right, bottom = map(int, values)
    return left, top, right, bottom


def _kept(path: pathlib.Path) -> list[Any] | None:
    try:
        return list(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _say(split: str, found: list[Any], place: pathlib.Path) -> None:
    reasons = collections.Counter(one for one in found if isinstance(one, str))
    if reasons:
        left = ", ".join(f"{count:,} with {reason}" for reason, count in reasons.most_common())
        used = len(found) - reasons.total()
        print(f"{split}: {used:,} clips show one face; left out: {left} ({place})", file=sys.stderr)
