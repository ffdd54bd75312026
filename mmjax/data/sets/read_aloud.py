"""A folder of sentences read aloud, as LJSpeech is published: metadata.csv beside wavs (Ito and Johnson 2017).

    source("train", ("speech", "units"), path="~/LJSpeech-1.1")

A line of metadata.csv is ID|TEXT or ID|TEXT|NORMALISED, of which the last, with numbers as words, is read; the sound is
wavs/ID.wav (or .flac, .ogg, .mp3), of any rate. Letters are the units: those of torchaudio's and NVIDIA's English
networks unless others are given. What cannot be used is named and left out.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile

from mmjax.data import fingerprints, spec
from mmjax.data.files import encodings, faults, media, sound_file
from mmjax.data.files.faults import Fault
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("speech", "units", "caption", "text", "id", "index")
PADDED: dict[str, str] = {"speech": "speech_length", "units": "units_length"}
IDENTITY = {"file": "id"}
LETTERS = "_-!'(),.:;? abcdefghijklmnopqrstuvwxyz"  # torchaudio's, in its order
TABLE, SOUNDS = "metadata.csv", "wavs"
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")  # in this order, where several have one name
SPLITS = ("train", "validation", "test")
EDITION = 1  # raised whenever the same files would give other examples
WINDOW = 512  # samples whose level is one number when silence is looked for


@dataclasses.dataclass(frozen=True)
class Sentence:
    """One line of the table: its ID, the sound file, the text, and the text as letters' numbers."""

    name: str
    file: pathlib.Path
    text: str
    units: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class ReadAloud:
    """A random-access source of dicts; made by `source`, which explains the fields."""

    sentences: tuple[Sentence, ...]
    fields: tuple[str, ...]
    letters: str
    longest: int
    most: int
    below: float
    silence: float
    named: tuple[str, str]

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """ "units_names": the letters."""
        return {"units_names": spec.spelt(self.letters)}

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints, of the files' sizes and not of every sample."""
        told = [(s.name, s.text, s.file.stat().st_size) for s in self.sentences]
        about = ("read_aloud", EDITION, *self.named, self.longest, self.most, self.below, self.silence, told)
        return {f: fingerprints.whole(*about, f) for f in self.fields if f != "index"}

    def __getitem__(self, index: int) -> dict[str, Any]:
        sentence = self.sentences[int(index)]
        speech = functools.cache(lambda: self._speech(sentence))  # two fields are of it, and it is read once
        made = {
            "speech": lambda: _padded(speech(), self.longest),
            "speech_length": lambda: np.int32(len(speech())),
            "units": lambda: _padded(np.array(sentence.units, np.int32), self.most),
            "units_length": lambda: np.int32(len(sentence.units)),
            "caption": lambda: sentence.text,  # what a listener should understand
            "text": lambda: sentence.text,
            "id": lambda: sentence.name,
            "index": lambda: np.int32(index),
        }
        return {field: made[field]() for field in self.fields}

    def _speech(self, sentence: Sentence) -> np.ndarray:
        return _read(sentence.file, self.below, self.silence)[: self.longest]


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    path: str = "",
    letters: str = LETTERS,
    seconds: float = 10.0,
    length: int = 190,
    below: float = 40.0,
    silence: float = 0.3,
    held_out: int = 500,
) -> ReadAloud:
    """Opens a split of the sentences.

    Args:
      split: "train"; "validation" and "test", each of `held_out` sentences, chosen by a hash of their IDs, but of a
        tenth of all at most.
      fields: of FIELDS. `speech` and `units` are padded with zeros and bring `<field>_length` along.
      path: the folder with metadata.csv.
      letters: the units, in order. Text is folded to lower case unless they have capitals, and accents are taken off
        where they are not among them; what is then no letter is left out.
      seconds: a longer sentence is left out.
      length: letters; a longer sentence is left out.
      below: of each sound, what lies this many dB below its loudest stretch is cut off at both ends; 0 for nothing.
        Silence of any length before the end is what keeps a gate from learning where the end is.
      silence: seconds that are then put at the end.
      held_out: sentences of validation and of test.

    Raises:
      UserError: no such folder or table, a table of another form, no usable sentence, an unknown split or field, or an
        option that cannot be.
    """
    if split not in SPLITS:
        raise UserError(f"read_aloud has no split {split!r}; it has {', '.join(SPLITS)}")
    fields = tuple(dict.fromkeys((*fields, *(PADDED[f] for f in fields if f in PADDED))))
    spec.check(fields, (*FIELDS, *PADDED.values()), "read_aloud")
    if len(set(letters)) < len(letters) or not letters:
        raise UserError("config.data.letters: each letter once, and at least one")
    if seconds <= 0 or length < 1 or below < 0 or silence < 0 or held_out < 1:
        raise UserError("config.data: seconds, length and held_out must be above 0, below and silence at least 0")
    every = _sentences(path, letters, seconds, length, below, silence)
    order = sorted(every, key=lambda s: hashlib.sha256(s.name.encode()).digest())
    count = min(held_out, len(every) // 10)
    parts = {"test": order[:count], "validation": order[count : 2 * count], "train": order[2 * count :]}
    chosen = tuple(sorted(parts[split], key=lambda s: s.name))
    if not chosen:
        raise UserError(f"config.data.path={path!r}: {len(every)} usable sentences are too few for a split {split!r}")
    longest = round((seconds + silence) * media.SAMPLE_RATE)
    return ReadAloud(chosen, fields, letters, longest, length, below, silence, (split, letters))


@functools.lru_cache(maxsize=4)
def _sentences(
    path: str, letters: str, seconds: float, length: int, below: float, silence: float
) -> tuple[Sentence, ...]:
    """All usable sentences; what is left out is told once."""
    folder = pathlib.Path(path).expanduser() if path else None
    if folder is None or not (folder / TABLE).is_file():
        raise UserError(f"config.data.path={path!r}: give the folder that has {TABLE} and {SOUNDS}")
    found: dict[str, Sentence] = {}
    wrong: list[Fault] = []
    for number, line in enumerate(encodings.lines(encodings.decoded((folder / TABLE).read_bytes())), 1):
        if not line.strip():
            continue
        name, *texts = line.split("|")
        if not texts:
            raise UserError(f"{folder / TABLE}, line {number}: {line!r:.60} is not ID|TEXT")
        text = next((text.strip() for text in reversed(texts) if text.strip()), "")
        file = next((f for s in SUFFIXES if (f := folder / SOUNDS / f"{name}{s}").is_file()), None)
        units = numbers(text, letters)
        fault = _fault(file, units, seconds, length) or ("named twice" if name in found else "")
        if fault or file is None:
            wrong.append(Fault(name, fault))
        else:
            found[name] = Sentence(name, file, text, units)
    for line in faults.listed(wrong):
        print(f"read_aloud: {line} left out", file=sys.stderr)
    if not found:
        raise UserError(f"config.data.path={path!r} has no usable sentence: {'; '.join(faults.listed(wrong))}")
    return tuple(found.values())


def _fault(file: pathlib.Path | None, units: tuple[int, ...], seconds: float, length: int) -> str:
    if file is None:
        return f"without a sound in {SOUNDS}"
    if not units:
        return "without a letter"
    if len(units) > length:
        return f"of more than {length} letters"
    try:
        about = soundfile.info(file)
    except soundfile.SoundFileError:
        return "unreadable"
    return f"longer than {seconds:g} s" if about.frames > seconds * about.samplerate else ""


def numbers(text: str, letters: str) -> tuple[int, ...]:
    """The numbers of a text's letters: in lower case unless there are capitals, accents off where it must be, one space
    where there is white space, and nothing for what is no letter."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    text = text if any(letter.isupper() for letter in letters) else text.lower()
    known = {letter: number for number, letter in enumerate(letters)}
    plain = (letter if letter in known else unicodedata.normalize("NFKD", letter)[:1] for letter in text)
    return tuple(known[letter] for letter in plain if letter in known)


def _read(file: pathlib.Path, below: float, silence: float) -> np.ndarray:
    """The sound, without silence at its ends, and as much silence behind it as is wanted. Raises UserError for one that
    cannot be read."""
    try:
        sound, _ = sound_file.read(file)
    except media.Unusable as error:
        raise UserError(f"{file}: {error}") from None
    return np.pad(trimmed(sound, below), (0, round(silence * media.SAMPLE_RATE)))


def trimmed(sound: np.ndarray, below: float) -> np.ndarray:
    """A sound from the first to the last stretch that is at most `below` dB under the loudest; 0 leaves it whole."""
    whole = len(sound) // WINDOW * WINDOW
    if not below or not whole:
        return sound
    level = np.sqrt(np.mean(np.square(sound[:whole].reshape(-1, WINDOW).astype(np.float64)), 1))
    loud = np.flatnonzero(level >= level.max() * 10 ** (-below / 20))
    end = len(sound) if loud[-1] == whole // WINDOW - 1 else (loud[-1] + 1) * WINDOW
    return sound[loud[0] * WINDOW : end]


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.pad(values, (0, length - len(values)))
