"""What the drawn world can be asked for: the options of `sounding_scenes.source`, which explains them."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from mmjax.errors import UserError

# Options of words, and what they may be; the first is what they are when nobody says.
CHOICES: dict[str, tuple[str, ...]] = {
    "crop": ("face", "mouth"),
    "mouth": ("own", "frozen", "another"),
    "moment": ("still", "speaking"),
    "voices": ("all", "held_out"),
    "sounding": ("any", "one", "none"),
    "shift": ("keep", "drop", "reverse"),
}

Number = TypeVar("Number", int, float)


def number(name: str, given: Any, low: int, high: int, kind: type[Number]) -> Number:
    """An option that is a number of a kind, from low to high; one that is in no such range is a UserError."""
    try:
        value = kind(given)
    except (TypeError, ValueError, OverflowError):
        value = None
    if value is None or isinstance(given, str) or value != given or not low <= value <= high:
        whole = "a whole number " if kind is int and value != given else ""
        raise UserError(f"sounding_scenes: {name} is {given!r}, but must be {whole}from {low} to {high}")
    return value


@dataclasses.dataclass(frozen=True)
class Options:
    """The options that an example depends on, besides its seed, split and index."""

    objects: tuple[int, int]
    image_size: int
    seconds: float
    face_size: int = 0
    crop: str = "face"
    mouth: str = "own"
    moment: str = "still"
    voices: str = "all"
    sounding: str = "any"
    bias: float = 0.0
    shift: str = "keep"

    @property
    def face_side(self) -> int:
        """The side of `face` in pixels."""
        return self.face_size or self.image_size

    @property
    def unusual(self) -> dict[str, object]:
        """The options that came later, where they are not what was the rule before."""
        later = [field for field in dataclasses.fields(self) if field.default is not dataclasses.MISSING]
        return {f.name: getattr(self, f.name) for f in later if getattr(self, f.name) != f.default}
