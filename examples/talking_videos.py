"""Makes a folder of small videos of people talking: the drawn world's speakers, their voices and moving mouths.

    python examples/talking_videos.py OUT_DIR
    python train.py --config=configs/speech2face.py:videos --config.data.path=OUT_DIR --config.parts.face=FACE

One face each, but for every tenth video, in which there is nobody, and every tenth after that, in which there are two:
what is made of such videos shows in the counts. Needs the extra `video`; what reads the videos finds faces with the
extra `faces`, whose detector was made for photographs and overlooks many a drawn face.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Iterator

import numpy as np
import tqdm
from stamp_videos import write

from mmjax.data.sets import sounding_scenes
from mmjax.errors import UserError

RATE = 25  # pictures a second, of `face_frames`
FOLDERS = 4  # sub-folders, by turns
WALL = 205  # grey


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir", type=pathlib.Path, help="the folder to write; made where it is missing")
    parser.add_argument("--count", type=int, default=200, help="videos (%(default)s)")
    parser.add_argument("--side", type=int, default=224, help="width and height of a face in pixels (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        for number in tqdm.tqdm(range(options.count), unit="video", disable=None):
            make(options.out_dir / f"{number % FOLDERS}" / f"{number:04d}.mp4", number, options.side)
    except UserError as error:
        parser.exit(2, f"talking_videos: {error}\n")
    print(f"{options.count} videos of people talking in {options.out_dir}")


def make(path: pathlib.Path, number: int, side: int) -> None:
    """Writes one video; it is the same whatever others there are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = sounding_scenes.source("train", ("face_frames", "speech"), face_size=side)
    example = source[2 * number]
    faces = [example["face_frames"]]
    if number % 10 == 9:
        faces = []
    elif number % 10 == 8:
        faces.append(source[2 * number + 1]["face_frames"])
    length = int(example["speech_length"])
    write(path, seen(faces, side, length * RATE // 22_050), RATE, example["speech"][:length])


def seen(faces: list[np.ndarray], side: int, count: int) -> Iterator[np.ndarray]:
    """Frames uint8 [h h 3] of so many people side by side before a wall."""
    height = 2 * side + side // 2
    for i in range(count):
        canvas = np.full((height, height, 3), WALL, np.uint8)
        for n, face in enumerate(faces):
            left = (height - side * len(faces)) // 2 + n * side
            canvas[side // 2 : side // 2 + side, left : left + side] = face[i]
        yield canvas


if __name__ == "__main__":
    main()
