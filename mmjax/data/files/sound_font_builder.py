"""The prepared copy of sound_fonts: all phrases of a plan, played once."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from mmjax.data.files import general_midi, media, sound_font_file
from mmjax.data.files import prepared as builders
from mmjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Phrase:
    """One example before it is played: notes of one program of one font, at one velocity."""

    font: str
    program: int
    pitches: tuple[int, ...]
    velocity: int


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """What is played: {font: path}, {split: phrases in order}, seconds of each. The name carries the fingerprint."""

    paths: dict[str, str] = dataclasses.field(default_factory=dict)
    plans: dict[str, tuple[Phrase, ...]] = dataclasses.field(default_factory=dict)
    seconds: float = 2.0


class SoundFonts(tfds.core.GeneratorBasedBuilder):
    """The phrases that sound, in the order of the plans."""

    VERSION = tfds.core.Version("1.0.0")  # raised whenever the same options would give other examples

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(stored())
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        config, directory = self.builder_config, pathlib.Path(self.data_path)
        phrases = [phrase for plan in config.plans.values() for phrase in plan]
        ends = list(itertools.accumulate((len(plan) for plan in config.plans.values()), initial=0))
        # One font at a time is in memory, but the examples of all fonts alternate: hence a file in between.
        spool, shape = directory / "spool.npy", (len(phrases), round(config.seconds * media.SAMPLE_RATE))
        played = np.lib.format.open_memmap(spool, "w+", np.int16, shape)
        faults: dict[tuple[str, int], str] = {}
        used = _play(phrases, config, played, faults)
        usable = {
            split: np.flatnonzero(used[start:end]) + start for split, start, end in zip(config.plans, ends, ends[1:])
        }
        _write_report(directory, phrases, usable, faults)
        spool.unlink()  # the map keeps the file until it is read
        return {split: self._generate_examples(usable[split], phrases, played) for split in usable}

    def _generate_examples(
        self, numbers: np.ndarray, phrases: list[Phrase], played: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for place, number in enumerate(numbers.tolist()):
            phrase = phrases[number]
            yield place, {"waveform": played[number], "program": phrase.program, "font": phrase.font}


def stored() -> dict[str, Any]:
    """The features on disk."""
    return {
        "waveform": builders.sound(),
        "program": tfds.features.Scalar(dtype=np.int64),
        "font": tfds.features.Text(),
    }


def prepared(
    paths: dict[str, str], plans: dict[str, tuple[Phrase, ...]], seconds: float, data_dir: str | None
) -> pathlib.Path:
    """The folder of the prepared copy, playing every phrase where there is none.

    Args:
      paths: {font: path}.
      plans: {split: phrases in order}.
      seconds: of each phrase.
      data_dir: see `sound_fonts.source`.

    Raises:
      UserError: TinySoundFont is missing, a file is no SoundFont, or no phrase of a split sounds.
    """
    stats = [(font, path, pathlib.Path(path).stat().st_size) for font, path in paths.items()]
    planned = {split: [dataclasses.astuple(phrase) for phrase in plan] for split, plan in plans.items()}
    name = f"fonts-{builders.fingerprint(stats, planned, seconds)}"
    config = Config(name=name, paths=paths, plans=plans, seconds=seconds)
    root = builders.cache_dir(data_dir)
    directory = root / "sound_fonts" / name / str(SoundFonts.VERSION)
    if not builders.is_prepared(directory):
        sound_font_file.require_tinysoundfont()  # before any folder is made
        if builders.prepare(builders.build(SoundFonts, config, root)):
            _tell(directory)
    return directory


def _play(phrases: list[Phrase], config: Config, played: np.ndarray, faults: dict[tuple[str, int], str]) -> np.ndarray:
    """Plays phrase i into played[i], font by font; returns which of them sound, and notes the programs of the rest."""
    used = np.zeros(len(phrases), bool)
    with tqdm.tqdm(desc="playing notes", total=len(phrases), unit="note", disable=None) as progress:
        for name, path in config.paths.items():
            font = sound_font_file.SoundFont(pathlib.Path(path))
            for number, phrase in enumerate(phrases):
                if phrase.font != name:
                    continue
                progress.update()
                try:
                    played[number] = font.play(phrase.program, phrase.pitches, phrase.velocity, config.seconds)
                    used[number] = True
                except media.Unusable as error:
                    faults[name, phrase.program] = error.kind
    return used


def _write_report(
    directory: pathlib.Path,
    phrases: list[Phrase],
    usable: dict[str, np.ndarray],
    faults: dict[tuple[str, int], str],
) -> None:
    for split, numbers in usable.items():
        if not len(numbers):
            raise UserError(f"config.data.fonts: no note of split {split!r} sounds in these fonts")
    used = sum(map(len, usable.values()))
    programs = [
        {"font": font, "program": program, "name": general_midi.PROGRAMS[program], "kind": kind}
        for (font, program), kind in sorted(faults.items())
    ]
    report = {"examples": {split: len(n) for split, n in usable.items()}, "skipped": len(phrases) - used}
    (directory / "skipped.json").write_text(json.dumps({**report, "programs": programs}, indent=2))


def _tell(directory: pathlib.Path) -> None:
    """Prints how many examples there are in each split, and which programs gave none or fewer."""
    report = json.loads((directory / "skipped.json").read_text())
    counts = ", ".join(f"{count} {split}" for split, count in report["examples"].items())
    print(f"sound_fonts: {counts}", file=sys.stderr)
    kinds: dict[tuple[str, str], list[str]] = {}
    for program in report["programs"]:
        kinds.setdefault((program["font"], program["kind"]), []).append(program["name"])
    for (font, kind), names in kinds.items():
        listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        print(
            f"sound_fonts: {font}: {len(names)} programs {kind} ({listed}), skipped; see {directory / 'skipped.json'}",
            file=sys.stderr,
        )
