"""Instruments with a picture: notes of General MIDI programs from sound fonts, and what the instrument looks like.

    source("train", ("image", "waveform", "label"))

Of General MIDI's programs, 22 are an instrument of which Debian's tuxpaint-stamps-default has a photograph or a drawing
or gcompris-qt-data a drawing: 29 pictures, a single one of 17 instruments, so that all splits have the same pictures.
What a test holds out is the sounds: they are those of a font that training never plays, see `sound_fonts`. Nothing of
fonts and pictures is copied here. Most of the pictures are SVG, drawn with the extra `instruments`.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mmjax.data import fingerprints, spec
from mmjax.data.files import media, pictures, rcc_file, svg_file
from mmjax.data.fingerprints import Print
from mmjax.data.sets import sound_fonts, tux_stamps
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "waveform", "label", "group", "index")
STAMPS, GCOMPRIS = tux_stamps.PATH, "/usr/share/gcompris-qt/rcc"
# Program: its pictures, of the stamps' folder hobbies/music or of the bundle instruments.rcc.
PICTURES: dict[str, tuple[str, ...]] = {
    "acoustic grand piano": ("piano.svg",),
    "drawbar organ": ("organ.svg",),
    "accordion": ("accordion.svg",),
    "harmonica": ("harmonica.svg",),
    "nylon guitar": ("string/guitar_classical.png",),
    "steel guitar": ("guitar.svg",),
    "clean guitar": ("string/guitar_electric.png", "string/guitar2.png", "electric_guitar.svg"),
    "fingered bass": ("string/guitar_electric_bass.png", "string/guitar_electric_bass2.svg"),
    "violin": ("string/violin.png", "string/violin2.svg", "violin.svg"),
    "cello": ("string/cello.png", "cello.svg"),
    "harp": ("harp.svg",),
    "timpani": ("timpani.svg",),
    "trumpet": ("brass/trumpet.png", "trumpet.svg"),
    "trombone": ("trombone.svg",),
    "tuba": ("tuba.svg",),
    "french horn": ("horn.svg",),
    "alto sax": ("saxophone.svg",),
    "bassoon": ("wind/bassoon.png",),
    "clarinet": ("clarinet.svg",),
    "flute": ("flute_traversiere.svg",),
    "banjo": ("banjo.svg",),
    "melodic tom": ("percussion/drum_tomtom_floor.png",),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Pictured:
    """Random access to a split; example i has one of its instrument's pictures, drawn by lot from `seed` and i.

    Attributes:
      inner: the sounds, as `sound_fonts` has them.
      fields: that are wanted.
      shown: uint8 pictures [h w 3] of each class of PICTURES; none where no picture is wanted.
      seed: of the lot.
    """

    inner: Any
    fields: tuple[str, ...]
    shown: tuple[tuple[npt.NDArray[np.uint8], ...], ...]
    seed: int

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = dict(self.inner[index])
        example["label"] = np.int32(_classes()[int(example["label"])])
        if self.shown:
            own = self.shown[example["label"]]
            example["image"] = own[np.random.default_rng((self.seed, int(index))).integers(len(own))]
        return {field: example[field] for field in self.fields}

    @property
    def constants(self) -> dict[str, np.ndarray]:
        return {"label_names": spec.spelt(tuple(PICTURES))} if "label" in self.fields else {}

    @property
    def prints(self) -> dict[str, Print]:
        """The sounds' own, and of the pictures what they are and where they stand."""
        found = {field: own for field, own in self.inner.prints.items() if field in self.fields}
        labels = self.inner.prints["label"]
        if "label" in found:
            found["label"] = dataclasses.replace(labels, meanings=tuple(PICTURES))
        if self.shown:
            digests = [[fingerprints.digest(picture) for picture in own] for own in self.shown]
            found["image"] = fingerprints.whole(labels.content, digests, self.seed)
        return found


def source(
    split: str,
    fields: tuple[str, ...] = FIELDS,
    *,
    stamps: str = STAMPS,
    gcompris: str = GCOMPRIS,
    size: int = 224,
    fonts: Sequence[str] = tuple(sound_fonts.FONTS),
    test: str = "timgm6mb",
    takes: Sequence[int] = (16, 4, 8),
    notes: int = 1,
    seconds: float = 2.0,
    pitches: Sequence[int] = (48, 72),
    seed: int = 0,
    data_dir: str | None = None,
) -> Pictured:
    """Opens a split, playing its notes on the first call.

    Args:
      split: see `sound_fonts.source`: "test" is the font `test`.
      fields: of FIELDS. `label` is the place in PICTURES, `group` the font.
      stamps: the folder of Tux Paint's stamps.
      gcompris: the folder of GCompris's bundles.
      size: of the pictures: each is fitted whole into a white square of so many pixels.
      fonts, test, takes, notes, seconds, pitches, seed, data_dir: see `sound_fonts.source`.

    Raises:
      UserError: a missing package, picture or font, or a wrong option.
    """
    if size < 1:
        raise UserError(f"config.data.size={size}: it must be at least 1 pixel")
    shown = read(stamps, gcompris, size) if "image" in fields else ()
    inner = sound_fonts.source(
        split,
        tuple({"label", *fields} - {"image"}),
        fonts=fonts,
        test=test,
        only=tuple(PICTURES),
        takes=takes,
        notes=notes,
        seconds=seconds,
        pitches=pitches,
        seed=seed,
        data_dir=data_dir,
    )
    return Pictured(inner, tuple(fields), shown, seed)


def read(stamps: str, gcompris: str, size: int) -> tuple[tuple[npt.NDArray[np.uint8], ...], ...]:
    """The pictures of each class, as Pictured has them; options as in `source`.

    Raises:
      UserError: one is missing, with what to install, or cannot be drawn.
    """
    folder, bundle = pathlib.Path(stamps).expanduser(), pathlib.Path(gcompris).expanduser() / "instruments.rcc"
    try:
        drawn = rcc_file.read(bundle, lambda path: path.endswith(".svg"))
        by_name = {path.rpartition("/")[2]: content for path, content in drawn.items()}

        def picture(name: str) -> npt.NDArray[np.uint8]:
            raw = (folder / "hobbies" / "music" / name).read_bytes() if "/" in name else by_name[name]
            # Drawn at twice the size: those that are higher than wide are still larger than what is shown.
            found = svg_file.draw(raw, 2 * size) if name.endswith(".svg") else pictures.read(raw)
            return np.asarray(pictures.fitted(found, size, "pad"))

        return tuple(tuple(map(picture, names)) for names in PICTURES.values())
    except (OSError, KeyError) as error:
        missing = getattr(error, "filename", None) or f"{bundle}: {error.args[0]}"
        raise UserError(
            f"no picture {missing}: apt-get install tuxpaint-stamps-default gcompris-qt-data, or give "
            "config.data.stamps and config.data.gcompris"
        ) from error
    except media.Unusable as error:
        raise UserError(f"a picture of {folder} or {bundle} cannot be used: {error.kind} ({error.detail})") from error


def _classes() -> dict[int, int]:
    """{program: its class}."""
    programs = sound_fonts.labels()
    return {programs.index(name): number for number, name in enumerate(PICTURES)}
