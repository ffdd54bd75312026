"""Sub-word units: what the speaker's mouth does for each, and which of them spell a word."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable

import numpy as np

Formants = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Unit:
    """A speech sound as the targets of a source-filter voice.

    Attributes:
      seconds: its length at the middle speaking rate.
      start, end: the first three formants in Hz, at its beginning and its end.
      voice: strength of the glottal pulses.
      breath: strength of noise made in the throat, which passes through the formants too.
      hiss: lower and upper frequency in Hz of noise made at the teeth, which does not; (0, 0) for none.
      noise: strength of the hiss.
      closure: share of its length for which the mouth is shut before it.
    """

    seconds: float
    start: Formants
    end: Formants
    voice: float = 1.0
    breath: float = 0.0
    hiss: tuple[float, float] = (0.0, 0.0)
    noise: float = 0.0
    closure: float = 0.0


def _vowel(seconds: float, start: Formants, end: Formants | None = None) -> Unit:
    return Unit(seconds, start, end or start)


def _stop(f: Formants, voice: float, hiss: tuple[float, float], noise: float) -> Unit:
    return Unit(0.075, f, f, voice, 0.12 if voice == 0 else 0.0, hiss, noise, 0.55)


def _fricative(f: Formants, voice: float, hiss: tuple[float, float], noise: float) -> Unit:
    return Unit(0.09, f, f, voice, 0.0, hiss, noise)


_LIPS, _TEETH, _PALATE = (320.0, 900.0, 2200.0), (320.0, 1750.0, 2600.0), (300.0, 2000.0, 2400.0)
INVENTORY: dict[str, Unit] = {
    "_": Unit(0.12, (500, 1500, 2500), (500, 1500, 2500), 0.0),  # a pause
    "a": _vowel(0.105, (730, 1650, 2450)),
    "e": _vowel(0.09, (550, 1850, 2500)),
    "i": _vowel(0.08, (390, 2000, 2600)),
    "o": _vowel(0.1, (620, 980, 2450)),
    "u": _vowel(0.08, (620, 1250, 2400)),
    "ee": _vowel(0.12, (280, 2300, 3000)),
    "oo": _vowel(0.12, (310, 880, 2250)),
    "er": _vowel(0.12, (480, 1350, 1700)),
    "ar": _vowel(0.13, (730, 1080, 2450)),
    "or": _vowel(0.13, (500, 780, 2400)),
    "ai": _vowel(0.14, (560, 1850, 2500), (300, 2250, 2900)),
    "ie": _vowel(0.15, (730, 1200, 2450), (320, 2200, 2700)),
    "oi": _vowel(0.16, (500, 830, 2400), (330, 2150, 2700)),
    "oa": _vowel(0.13, (540, 950, 2400), (330, 800, 2300)),
    "ow": _vowel(0.14, (740, 1300, 2450), (350, 880, 2300)),
    "air": _vowel(0.14, (550, 1800, 2450), (480, 1400, 1800)),
    "b": _stop(_LIPS, 0.25, (300, 1500), 0.15),
    "d": _stop(_TEETH, 0.25, (2500, 5000), 0.15),
    "g": _stop(_PALATE, 0.25, (1500, 3000), 0.15),
    "p": _stop(_LIPS, 0.0, (400, 2000), 0.3),
    "t": _stop(_TEETH, 0.0, (3000, 7000), 0.35),
    "k": _stop(_PALATE, 0.0, (1500, 3500), 0.35),
    "m": Unit(0.08, (260, 1000, 2200), (260, 1000, 2200), 0.45),
    "n": Unit(0.075, (260, 1600, 2500), (260, 1600, 2500), 0.45),
    "ng": Unit(0.09, (260, 2050, 2500), (260, 2050, 2500), 0.45),
    "l": Unit(0.07, (360, 1100, 2700), (360, 1100, 2700), 0.65),
    "r": Unit(0.07, (330, 1150, 1500), (330, 1150, 1500), 0.65),
    "w": Unit(0.07, (300, 650, 2200), (300, 650, 2200), 0.6),
    "y": Unit(0.06, (270, 2300, 3000), (270, 2300, 3000), 0.6),
    "h": Unit(0.06, (500, 1500, 2500), (500, 1500, 2500), 0.0, 0.3),
    "f": _fricative(_LIPS, 0.0, (1500, 9000), 0.14),
    "v": _fricative(_LIPS, 0.4, (1500, 9000), 0.08),
    "th": _fricative(_TEETH, 0.25, (3500, 9000), 0.09),
    "s": _fricative(_TEETH, 0.0, (5000, 9500), 0.3),
    "z": _fricative(_TEETH, 0.4, (5000, 9500), 0.18),
    "sh": _fricative(_PALATE, 0.0, (2200, 5500), 0.32),
    "ch": Unit(0.11, _PALATE, _PALATE, 0.0, 0.0, (2400, 6000), 0.35, 0.4),
    "j": Unit(0.1, _PALATE, _PALATE, 0.35, 0.0, (2400, 6000), 0.2, 0.35),
}
UNITS: tuple[str, ...] = tuple(INVENTORY)

# Letter groups and the units they stand for; at each place of a word the first that fits is taken.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), spoken)
    for pattern, spoken in (
        (r"ere$|are$", "air"), (r"(?<=[sxz])es$", "i z"), (r"ue$|(?<=^t)o$", "oo"), (r"(?<=^o)f$", "v"),
        (r"igh", "ie"), (r"tch|ch", "ch"), (r"oise$", "oi z"), (r"oi|oy", "oi"),
        (r"ee|ea", "ee"), (r"oo", "oo"), (r"ow|ou", "ow"), (r"oa", "oa"), (r"ai|ay", "ai"),
        (r"er|ir|ur", "er"), (r"ar", "ar"), (r"or", "or"), (r"sh", "sh"), (r"th", "th"), (r"ng(?!e)", "ng"),
        (r"qu", "k w"), (r"ck|kk", "k"), (r"ph|ff", "f"), (r"wh", "w"), (r"gu(?=[ei])", "g"), (r"ge$", "j"),
        (r"a(?=[bcdfgklmnprstvz]es?$)", "ai"), (r"i(?=[bcdfgklmnprstvz]es?$)", "ie"),
        (r"o(?=[bcdfgklmnprstvz]es?$)", "oa"), (r"u(?=[bcdfgklmnprstvz]es?$)", "oo"),
        (r"^a$|(?<=^th)e$", "u"), (r"(?<=[a-z]{2})e(?=s?$)", ""), (r"y$", "ee"), (r"c(?=[eiy])", "s"),
        (r"(?<=[gndmblri])s$", "z"), (r"x", "k s"), (r"c", "k"), (r"bb", "b"), (r"dd", "d"), (r"gg", "g"), (r"ll", "l"),
        (r"mm", "m"), (r"nn", "n"), (r"pp", "p"), (r"rr", "r"), (r"ss", "s"), (r"tt", "t"), (r"zz", "z"),
        *((letter, letter) for letter in "abdefghijklmnoprstuvwyz"),
    )
)  # fmt: skip


@functools.cache
def _spell(word: str) -> tuple[int, ...]:
    at, spoken = 0, []
    while at < len(word):
        found = next(((m, units) for rule, units in _RULES if (m := rule.match(word, at))), None)
        at = found[0].end() if found else at + 1
        spoken += found[1].split() if found else []
    return tuple(UNITS.index(unit) for unit in spoken)


def spell(text: str) -> list[int]:
    """The units of a text: words without gaps, a pause at each comma and at both ends."""
    clauses = [re.findall(r"[a-z]+", clause) for clause in text.lower().split(",")]
    pause = UNITS.index("_")
    spoken = [pause]
    for words in clauses:
        spoken += [unit for word in words for unit in _spell(word)] + [pause]
    return spoken


def lexicon(words: Iterable[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """How words are said: (their names, int32 [w k] units with -1 behind the last); the first is a pause, named "".

    What `spell` says of a text is these entries, one after the other.
    """
    names = ("", *words)
    spoken = [(UNITS.index("_"),), *map(_spell, names[1:])]
    out = np.full((len(names), max(map(len, spoken))), -1, np.int32)
    for row, units in zip(out, spoken):
        row[: len(units)] = units
    return names, out
