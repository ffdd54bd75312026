"""What there is in the little world of sounding_scenes: objects, colours, scenes, splits, and what goes with what."""

from __future__ import annotations

OBJECTS: tuple[str, ...] = (
    "bell",
    "bird",
    "car",
    "clock",
    "dog",
    "drum",
    "flute",
    "guitar",
    "kettle",
    "phone",
    "robot",
    "train",
)
# What each object does when it sounds: one verb each, so that a caption names the sound without ambiguity.
VERBS: tuple[str, ...] = (
    "rings",
    "sings",
    "honks",
    "ticks",
    "barks",
    "booms",
    "pipes",
    "twangs",
    "whistles",
    "buzzes",
    "bleeps",
    "hoots",
)
PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (222, 48, 44),
    "orange": (248, 138, 28),
    "yellow": (252, 214, 48),
    "green": (58, 168, 66),
    "turquoise": (52, 200, 196),
    "blue": (46, 92, 222),
    "purple": (136, 66, 190),
    "pink": (248, 138, 190),
}
COLOURS: tuple[str, ...] = tuple(PALETTE)
# Each scene with the phrase that places something in it.
PHRASES: dict[str, str] = {
    "beach": "on a beach",
    "city": "in a city",
    "forest": "in a forest",
    "kitchen": "in a kitchen",
    "meadow": "in a meadow",
    "night": "in the night",
    "snow": "in the snow",
    "water": "under water",
}
SCENES: tuple[str, ...] = tuple(PHRASES)
TAGS: tuple[str, ...] = (*OBJECTS, *COLOURS, *SCENES)
PLACES: tuple[str, ...] = ("left", "middle", "right")
SPLITS: tuple[str, ...] = ("train", "validation", "test")


def held_out_colours(split: str) -> frozenset[tuple[int, int]]:
    """The (object, colour) pairs that appear in `split` only: 12 of 96 for validation, 12 others for test.

    Every object loses one colour to each held-out split and every colour loses three objects in all, so that
    training sees each object and each colour equally often.
    """
    shift = {"validation": 1, "test": 5}
    return frozenset((o, (3 * o + shift[split]) % len(COLOURS)) for o in range(len(OBJECTS)) if split in shift)


def held_out_scenes(split: str) -> frozenset[tuple[int, int]]:
    """The (object, scene) pairs that appear in `split` only, chosen as `held_out_colours` are."""
    shift = {"validation": 2, "test": 6}
    return frozenset((o, (o + shift[split]) % len(SCENES)) for o in range(len(OBJECTS)) if split in shift)


HELD_OUT_COLOURS: frozenset[tuple[int, int]] = held_out_colours("validation") | held_out_colours("test")
HELD_OUT_SCENES: frozenset[tuple[int, int]] = held_out_scenes("validation") | held_out_scenes("test")
