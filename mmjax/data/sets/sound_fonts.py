"""Instruments: notes of General MIDI programs, played from sound fonts; trained on some fonts, tested on another.

    source("train", ("waveform", "label"), test="timgm6mb")

The default fonts are three Debian packages: timgm6mb-soundfont, fluidr3mono-gm-soundfont and
musescore-general-soundfont-small; nothing of them is copied here. Any .sf2 or .sf3 file can take a font's place. The
first call plays all notes (half a minute on one core), later calls reuse the prepared copy (0.4 GB).

MuseScore's font was made from FluidR3Mono and shares samples with it, so TimGM6mb is the one to test on. The nearest
class mean of 64 log-mel bands' means and deviations over time is right on 11.1 % of its notes by program and 27.5 % by
family (the most frequent class: 0.8 %, 6.7 %); at other pitches of the training fonts on 52.7 % and 36.1 %; and with
musescore as the test, 28.1 % and 33.3 %.
"""

from __future__ import annotations

import functools
import pathlib
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmjax.data.files import general_midi, prepared, sound_font_builder
from mmjax.data.files.sound_font_builder import Phrase
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("waveform", "label", "group", "index")
SPLITS = ("train", "validation", "test")
# name: (file, Debian package)
FONTS: dict[str, tuple[str, str]] = {
    "fluidr3mono": ("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3", "fluidr3mono-gm-soundfont"),
    "musescore": ("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3", "musescore-general-soundfont-small"),
    "timgm6mb": ("/usr/share/sounds/sf2/TimGM6mb.sf2", "timgm6mb-soundfont"),
}
SOFTEST = 40  # of the velocities, 1..127: pianissimo


def source(
    split: str,
    fields: tuple[str, ...] = FIELDS,
    *,
    fonts: Sequence[str] = tuple(FONTS),
    test: str = "timgm6mb",
    classes: str = "program",
    effects: bool = False,
    only: Sequence[str] = (),
    takes: Sequence[int] = (16, 4, 8),
    notes: int = 1,
    seconds: float = 2.0,
    pitches: Sequence[int] = (48, 72),
    seed: int = 0,
    data_dir: str | None = None,
) -> prepared.Source:
    """Opens a split of the instruments, playing all notes on the first call.

    Args:
      split: "test" is the font `test`; "train" and "validation" the others, at pitches of which every fourth is
        validation's alone. The velocity, 40 to 127, sets the loudness in all of them.
      fields: of FIELDS. `label` is the place in labels(classes, effects); `group` the font.
      fonts: names out of FONTS or paths of .sf2 or .sf3 files with the programs of General MIDI.
      test: the one of `fonts` to test on.
      classes: "program", or "family" for the families of eight programs.
      effects: also the last family, sound effects (a telephone, a helicopter, ...).
      only: names out of labels(effects=effects): no other programs are played; () plays all.
      takes: how many examples of each program a font gives in training, validation and test.
      notes: of an example, one after the other in equal times.
      seconds: of an example.
      pitches: the lowest and the highest, as MIDI keys; 60 is middle C.
      seed: another seed draws other pitches and velocities.
      data_dir: where the prepared copy goes; $MMJAX_DATA or ~/.cache/mmjax where None.

    Returns:
      Random access to dicts; `[i]` is a function of the options, the split and i. Programs alternate fastest, then the
      fonts, so that any first examples are of many classes.

    Raises:
      UserError: a missing package or font, a file that is no SoundFont, a wrong option.
    """
    if split not in SPLITS:
        raise UserError(f"sound_fonts has no split {split!r}; it has {', '.join(SPLITS)}")
    labels(classes, effects)
    programs = labels("program", effects)
    strange = [name for name in only if name not in programs]
    if strange:
        raise UserError(f"config.data.only: there is no program {strange[0]!r}; {programs[0]!r} is the first")
    paths = find(fonts)
    test = _name(test)
    _check(paths, test, takes, notes, seconds, pitches, seed)
    played = {programs.index(name) for name in only or programs}
    plans = {s: plan(s, tuple(paths), test, len(programs), takes, notes, pitches, seed) for s in SPLITS}
    plans = {s: tuple(phrase for phrase in plans[s] if phrase.program in played) for s in SPLITS}
    directory = sound_font_builder.prepared(paths, plans, seconds, data_dir)
    column = {"label": "program", "group": "font", "index": "program"}  # the cheapest one gives the length, too
    wanted = {column.get(field, field) for field in fields} or {"program"}
    stored = {name: feature for name, feature in sound_font_builder.stored().items() if name in wanted}
    records = prepared.Records(directory, split, stored)
    names = {"label": labels(classes, effects)} if "label" in fields else {}
    columns = {field: column.get(field, field) for field in fields if field != "index"}
    return prepared.Source(records, functools.partial(_decode, tuple(fields), classes), names, columns)


def labels(classes: str = "program", effects: bool = False) -> tuple[str, ...]:
    """The names of the classes of `label`, in order: General MIDI's programs or families; arguments as in `source`."""
    if classes not in ("program", "family"):
        raise UserError(f'config.data.classes={classes!r}: it must be "program" or "family"')
    if classes == "family":
        return tuple(general_midi.FAMILIES)[: None if effects else general_midi.MUSICAL // 8]
    return general_midi.PROGRAMS[: None if effects else general_midi.MUSICAL]


def find(fonts: Sequence[str]) -> dict[str, str]:
    """Names and paths -> {name: path}; the name of a path is the file's without its suffix.

    Raises:
      UserError: fewer than two fonts, two of one name, or a file that is not there.
    """
    fonts = (fonts,) if isinstance(fonts, str) else tuple(fonts)
    paths = {_name(font): FONTS[font][0] if font in FONTS else font for font in fonts}
    if len(fonts) < 2 or len(paths) < len(fonts):
        raise UserError(
            f"config.data.fonts={fonts}: give at least two fonts of different names, one of them to test on"
        )
    missing = [font for font in fonts if not pathlib.Path(paths[_name(font)]).expanduser().is_file()]
    packages = {font: FONTS[font][1] for font in missing if font in FONTS}
    if packages:
        raise UserError(
            f"no sound font {', '.join(packages)}: apt-get install {' '.join(packages.values())}, or give .sf2 or .sf3 "
            "files in config.data.fonts"
        )
    if missing:
        raise UserError(f"config.data.fonts: no file {missing[0]!r}; give {', '.join(FONTS)} or .sf2 or .sf3 files")
    return {name: str(pathlib.Path(path).expanduser().resolve()) for name, path in paths.items()}


def _name(font: str) -> str:
    return font if font in FONTS else pathlib.Path(font).stem


def _check(paths, test, takes, notes, seconds, pitches, seed) -> None:
    if test not in paths:
        raise UserError(f"config.data.test={test!r} is not one of config.data.fonts: {', '.join(paths)}")
    if len(takes) != 3 or min(takes) < 1:
        raise UserError(f"config.data.takes={tuple(takes)}: three counts, for {', '.join(SPLITS)}, each at least 1")
    if len(pitches) != 2 or not 0 <= pitches[0] <= pitches[1] - 3 <= 124:
        raise UserError(f"config.data.pitches={tuple(pitches)}: lowest and highest of 0..127, at least 3 apart")
    if not 1 <= notes <= 16 or not 0.1 * notes <= seconds <= 60:
        raise UserError(
            f"config.data.notes={notes} in config.data.seconds={seconds}: 1 to 16 notes of at least 0.1 s each, 60 s "
            "at most"
        )
    if seed < 0:
        raise UserError(f"config.data.seed={seed}: it must be at least 0")


def plan(
    split: str,
    fonts: tuple[str, ...],
    test: str,
    programs: int,
    takes: Sequence[int],
    notes: int = 1,
    pitches: Sequence[int] = (48, 72),
    seed: int = 0,
) -> tuple[Phrase, ...]:
    """The examples of a split in order, whether the fonts have their programs or not; arguments as in `source`."""
    number = SPLITS.index(split)
    keys = np.arange(pitches[0], pitches[1] + 1)
    held = (keys - pitches[0]) % 4 == 2
    keys = keys if split == "test" else keys[held] if split == "validation" else keys[~held]
    chosen = [font for font in fonts if (font == test) == (split == "test")]
    return tuple(
        _phrase(font, program, keys, take, notes, (seed, number, zlib.crc32(font.encode()), program))
        for take in range(takes[number])
        for font in chosen
        for program in range(programs)
    )


def _phrase(font: str, program: int, keys: np.ndarray, take: int, notes: int, seed: tuple[int, ...]) -> Phrase:
    """Goes through the keys in a random order, so that the takes of a program are as different as they can be."""
    order = np.random.default_rng(seed).permutation(keys)
    pitches = order[(take * notes + np.arange(notes)) % len(order)]
    velocity = np.random.default_rng((*seed, take)).integers(SOFTEST, 128)
    return Phrase(font, program, tuple(map(int, pitches)), int(velocity))


def _decode(fields: tuple[str, ...], classes: str, record: dict[str, Any], index: int) -> dict[str, Any]:
    made = {
        "waveform": lambda: record["waveform"],
        "label": lambda: np.int32(record["program"] // (8 if classes == "family" else 1)),
        "group": lambda: prepared.text(record["font"]),
        "index": lambda: np.int32(index),
    }
    return {field: made[field]() for field in fields}
