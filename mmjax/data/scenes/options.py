"""What the drawn world can be asked for: the options of `sounding_scenes.source`, which explains them."""

from __future__ import annotations

import dataclasses

# Options of words, and what they may be; the first is what they are when nobody says.
CHOICES: dict[str, tuple[str, ...]] = {
    "crop": ("face", "mouth"),
    "mouth": ("own", "frozen", "another"),
    "voices": ("all", "held_out"),
    "sounding": ("any", "one", "none"),
    "shift": ("keep", "drop", "reverse"),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The options that an example depends on, besides its seed, split and index."""

    objects: tuple[int, int]
    image_size: int
    seconds: float
    face_size: int = 0
    crop: str = "face"
    mouth: str = "own"
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
