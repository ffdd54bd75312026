"""What is where: the hidden truth from which picture, sound, captions and questions of one example are made."""

from __future__ import annotations

import dataclasses

import numpy as np

from mmjax.data.scenes import names
from mmjax.data.scenes.links import Link

# Share of the validation and test examples that hold one combination never seen in training; the rest are as train.
HELD_OUT_SHARE = 0.5
# Side of an object in shares of the picture's side: 0.26 x 112 = 29 pixels still shows what it is.
SIZES = (0.26, 0.5)
SOUNDING_SHARE = 0.75
UNBIASED = Link(0.0)
HUSHED_SHARE = 0.5  # of the examples in which no object sounds: without ambience


@dataclasses.dataclass(frozen=True)
class Thing:
    """One object: class, colour, centre and side in shares of the picture, rotation in radians, does it sound."""

    object: int
    colour: int
    x: float
    y: float
    size: float
    angle: float
    mirrored: bool
    sounding: bool

    @property
    def place(self) -> int:
        """0, 1 or 2: the third of the picture (left, middle, right) in which the centre lies."""
        return min(int(self.x * 3), 2)


@dataclasses.dataclass(frozen=True)
class Layout:
    """One scene with its objects, front to back; no two are of one class, so that a class names an object.

    In one that is hushed the scene itself is not heard either.
    """

    scene: int
    things: tuple[Thing, ...]
    hushed: bool = False


def draw(rng: np.random.Generator, split: str, objects: tuple[int, int], link: Link = UNBIASED) -> Layout:
    """Draws one layout: the number of objects is uniform over `objects`, both ends included."""
    count = int(rng.integers(objects[0], objects[1] + 1))
    scene, pairs = _combination(rng, split, count, link)
    order = rng.permutation(count)
    sounding = rng.random(count) < SOUNDING_SHARE
    sounding[rng.integers(count)] |= not sounding.any()
    spots = _spots(rng, [pairs[j][0] for j in order])
    things = tuple(
        Thing(
            object=pairs[j][0],
            colour=pairs[j][1],
            x=spot[0],
            y=spot[1],
            size=spot[2],
            angle=float(rng.uniform(-0.25, 0.25)),
            mirrored=bool(rng.random() < 0.5),
            sounding=bool(sounds),
        )
        for j, spot, sounds in zip(order, spots, sounding)
    )
    return Layout(scene, things)


def with_sounding(rng: np.random.Generator, layout: Layout, rule: str) -> Layout:
    """The same objects at the same places: "one" of them sounds, any as likely; or "none", and half are hushed."""
    if rule == "one":
        loud = int(rng.integers(len(layout.things)))
        return dataclasses.replace(layout, things=_sounding(layout, loud))
    return Layout(layout.scene, _sounding(layout, -1), hushed=bool(rng.random() < HUSHED_SHARE))


def _sounding(layout: Layout, loud: int) -> tuple[Thing, ...]:
    return tuple(dataclasses.replace(thing, sounding=k == loud) for k, thing in enumerate(layout.things))


def sounding_chance(objects: tuple[int, int], rule: str) -> float:
    """How likely an object that is chosen at random out of a picture sounds, exactly.

    Under "one" that is the mean of 1/2 and 1/3, 5/12, and not 26/57 = .456, which it would be for those pictures of the
    usual rule in which exactly one of two or three happens to sound: most of these show two.
    """
    counts = range(objects[0], objects[1] + 1)
    chances = {
        "any": [(n * SOUNDING_SHARE + (1 - SOUNDING_SHARE) ** n) / n for n in counts],  # one always does
        "one": [1 / n for n in counts],
        "none": [0.0],
    }[rule]
    return sum(chances) / len(chances)


def _combination(rng: np.random.Generator, split: str, count: int, link: Link) -> tuple[int, list[tuple[int, int]]]:
    """A scene and `count` (object, colour) pairs; the first pair of a held-out example is the unseen combination."""
    scene = int(rng.integers(len(names.SCENES)))
    pairs: list[tuple[int, int]] = []
    if split != "train" and rng.random() < HELD_OUT_SHARE:
        if rng.random() < 0.5:
            pairs.append(_pick(rng, names.held_out_colours(split) - barred(scene)))
        else:
            thing, scene = _pick(rng, names.held_out_scenes(split))
            pairs.append((thing, _colour(rng, thing, link)))
    elif _linked(rng, link):
        thing = int(rng.integers(len(names.OBJECTS)))
        scene = link.scene(thing)
        pairs.append((thing, _colour(rng, thing, link)))
    taken = {o for o, s in names.HELD_OUT_SCENES if s == scene} | {o for o, _ in pairs}
    free = [o for o in range(len(names.OBJECTS)) if o not in taken]
    for thing in rng.permutation(free)[: count - len(pairs)]:
        pairs.append((int(thing), _colour(rng, int(thing), link)))
    return scene, pairs


def barred(scene: int) -> frozenset[tuple[int, int]]:
    """All colours of the objects that may not be in `scene`, so that a held-out colour brings no held-out scene."""
    return frozenset((o, c) for o, s in names.HELD_OUT_SCENES if s == scene for c in range(len(names.COLOURS)))


def _pick(rng: np.random.Generator, pairs: frozenset[tuple[int, int]]) -> tuple[int, int]:
    return sorted(pairs)[rng.integers(len(pairs))]


def _linked(rng: np.random.Generator, link: Link) -> bool:
    """Whether this time the link decides; without one nothing is drawn, so that all else is as it was."""
    return link.strength > 0 and bool(rng.random() < link.strength)


def _colour(rng: np.random.Generator, thing: int, link: Link) -> int:
    if _linked(rng, link):
        return link.colour(thing)
    free = [c for c in range(len(names.COLOURS)) if (thing, c) not in names.HELD_OUT_COLOURS]
    return free[rng.integers(len(free))]


def _spots(rng: np.random.Generator, classes: list[int]) -> list[tuple[float, float, float]]:
    """Centre and side of each object: thirds of the width equally likely, overlapping a little at most."""
    sizes = rng.uniform(*SIZES, len(classes))
    attempt = 0
    while True:
        spots = [_spot(rng, thing, size) for thing, size in zip(classes, sizes)]
        apart = all(_apart(spots[a], spots[b]) for a in range(len(spots)) for b in range(a))
        if apart:
            return spots
        attempt += 1
        if attempt % 8 == 0:  # crowded: three large objects may not fit, so all shrink until they do
            sizes = np.maximum(sizes * 0.93, SIZES[0])


def _spot(rng: np.random.Generator, thing: int, size: float) -> tuple[float, float, float]:
    half = size / 2
    third = rng.integers(3)
    x = rng.uniform(max(third / 3, half), min((third + 1) / 3, 1 - half))
    # Birds are found in the upper part and everything else in the lower, without either being sure.
    low, high = (half, max(0.7, half)) if names.OBJECTS[thing] == "bird" else (max(0.3, half), 1 - half)
    return float(x), float(rng.uniform(low, high)), float(size)


def _apart(one: tuple[float, float, float], two: tuple[float, float, float]) -> bool:
    return float(np.hypot(one[0] - two[0], one[1] - two[1])) > 0.36 * (one[2] + two[2])
