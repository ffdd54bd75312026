"""A stamp cut out along its outline, with its sound: one file of each, checked.

Imports quickly, as what child processes do must (`files.child_processes`).
"""

from __future__ import annotations

import pathlib
import tempfile
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmjax.data.files import media, pictures, rcc_file, sound_file
from mmjax.data.files.faults import Fault

SOLID = 128  # of 255: from here on a pixel belongs to the thing
SILENT = 1e-3  # of full scale: a root mean square below it is no sound
LEVEL = 0.1  # root mean square that every sound is brought to, where its peaks allow it


class Stamp(NamedTuple):
    """What is on a stamp.

    Attributes:
      picture: uint8 [h w 4], no row or column at its edges without a solid pixel, its longer side `size`.
      waveform: float32 [time] at 22,050 Hz, without silence at its ends.
    """

    picture: npt.NDArray[np.uint8]
    waveform: npt.NDArray[np.float32]


def read(folder: str, size: int, name: str) -> Stamp | Fault:
    """The stamp NAME.png with the sound NAME.ogg, or why it cannot be used."""
    try:
        picture = cut_out(pictures.read(pathlib.Path(folder, f"{name}.png")), size)
        return Stamp(picture, trimmed(sound_file.read(pathlib.Path(folder, f"{name}.ogg"))[0]))
    except media.Unusable as error:
        return Fault(name, error.kind, error.detail)


def read_pair(folder: str, size: int, name: str) -> Stamp | Fault:
    """The picture and the sound BUNDLE.rcc/.../NAME.webp and .ogg of a Qt bundle, or why they cannot be used."""
    bundle, _, inside = name.partition("/")
    try:
        found = rcc_file.read(pathlib.Path(folder, bundle), lambda path: path in (f"{inside}.webp", f"{inside}.ogg"))
        with tempfile.NamedTemporaryFile(suffix=".ogg") as file:  # libsndfile goes by the name
            file.write(found[f"{inside}.ogg"])
            file.flush()
            waveform = sound_file.read(pathlib.Path(file.name))[0]
        return Stamp(cut_out(pictures.read(found[f"{inside}.webp"]), size), trimmed(waveform))
    except media.Unusable as error:
        return Fault(name, error.kind, error.detail)


def pairs(folder: str, bundle: str) -> list[str] | Fault:
    """BUNDLE.rcc/.../NAME of each picture of a bundle that has a sound of its name beside it, in order."""
    try:
        found = rcc_file.read(pathlib.Path(folder, bundle), lambda path: path.endswith((".webp", ".ogg")))
    except media.Unusable as error:
        return Fault(bundle, error.kind, error.detail)
    stems = [path.removesuffix(".webp") for path in found if path.endswith(".webp")]
    return sorted(f"{bundle}/{stem}" for stem in stems if f"{stem}.ogg" in found)


def cut_out(picture: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """RGBA of what is solid, scaled so that its longer side has `size` pixels. Raises Unusable where nothing is."""
    rgba = picture.convert("RGBA")
    box = _box(rgba)
    if box is None:
        raise media.Unusable("transparent everywhere", "no pixel is solid")
    cut = rgba.crop(box)
    scale = size / max(cut.size)
    # Premultiplied resizing is Pillow's for RGBA: the colour of transparent pixels does not bleed into the edges.
    cut = cut.resize([max(1, round(side * scale)) for side in cut.size], Image.Resampling.BICUBIC)
    box = _box(cut)
    if box is None:
        raise media.Unusable("too thin", f"{cut.width} x {cut.height} pixels")
    return np.asarray(cut.crop(box))


def _box(picture: Image.Image) -> tuple[int, int, int, int] | None:
    return picture.getchannel("A").point(lambda value: 255 if value >= SOLID else 0).getbbox()


def trimmed(waveform: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """The sound from its first loud sample to its last, at one level. Raises Unusable where it is silent."""
    sound = waveform.astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max(initial=0.0))
    strength = float(np.sqrt(np.mean(np.square(sound)))) if len(sound) else 0.0
    if strength < SILENT or not len(loud):
        raise media.Unusable("silent", f"root mean square {strength:.1e} of full scale")
    sound = sound[loud[0] : loud[-1] + 1]
    level = LEVEL / float(np.sqrt(np.mean(np.square(sound))))
    gain = np.float32(min(level, 0.9 / float(np.abs(sound).max())))
    return (gain * sound).astype(np.float32)
