"""How much one side alone tells, exactly: from every combination that the generator can draw, and not from examples.

Each share is that of the answers which are right by the best rule that training teaches, applied to a split. A rule
says for all that one side may show (a row) how likely each answer is (a column); where several are likeliest, one of
them is taken at random, and what training never shows is answered as if nothing was seen.
"""

from __future__ import annotations

import collections
import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from mmjax.data.scenes import layout, links, names
from mmjax.data.scenes.links import Link

THINGS, COLOURS, SCENES = len(names.OBJECTS), len(names.COLOURS), len(names.SCENES)
Table = Mapping[Any, np.ndarray]  # what is seen -> probability of it together with each answer
# Probability, scene, classes, and the colour of the first or -1 where it is free.
Case = tuple[float, int, tuple[int, ...], int]


def known(split: str, bias: float, shift: str, objects: tuple[int, int], sounding: str) -> dict[str, np.ndarray]:
    """The shares of a split under a bias, each float32 [2]: right from that side alone, and right without any side.

    * scene_from_objects: the scene, from the classes of all objects;
    * colour_from_class: the colour of an object, from its class: the answers to "what colour is the bell?" from the
      question alone, and the colour tags from the class that is heard;
    * existence_from_question: the answers to questions of this type, from the question alone;
    * count_from_question: the answers to "how many ...?", likewise: all objects, those that sound, those of a colour;
    * sound_from_question: the answers to "do you hear ...?", likewise.
    """
    taught = _tables("train", links.of("train", bias, shift), objects, sounding)
    held = _tables(split, links.of(split, bias, shift), objects, sounding)
    return {name: np.array(_right(taught[name], held[name]), np.float32) for name in taught}


def _right(taught: Table, held: Table) -> tuple[float, float]:
    """The share of `held` that the rule of `taught` gets right, and that its commonest answer does."""
    commonest = _best(np.sum(list(taught.values()), 0))
    rules = {seen: _best(row) for seen, row in taught.items() if row.any()}
    right = sum(float(row @ rules.get(seen, commonest)) for seen, row in held.items())
    return right, sum(float(row @ commonest) for row in held.values())


def _best(row: np.ndarray) -> np.ndarray:
    """The likeliest answer, or all that are as likely, with equal weights."""
    best = row > row.max() * (1 - 1e-9)
    return best / best.sum()


@functools.lru_cache(maxsize=32)
def _tables(split: str, link: Link, objects: tuple[int, int], sounding: str) -> dict[str, Table]:
    """Every table that `known` names, of one split."""
    counts = range(objects[0], objects[1] + 1)
    cases = {count: list(_cases(split, count, link)) for count in counts}
    scene: dict[Any, np.ndarray] = collections.defaultdict(lambda: np.zeros(SCENES))
    for several in cases.values():
        for probability, where, classes, _ in several:
            scene[frozenset(classes)][where] += probability / len(counts)
    colour = _mean(_colours(several, link) for several in cases.values())
    return {
        "scene_from_objects": scene,
        "colour_from_class": dict(enumerate(colour)),
        "existence_from_question": _existence(cases, colour, link),
        "count_from_question": _counting(cases, link, sounding),
        "sound_from_question": _hearing(cases, link, sounding),
    }


def _cases(split: str, count: int, link: Link) -> Iterator[Case]:
    """All scenes and sets of classes that `layout.draw` may draw for a count, each with its probability."""
    new = layout.HELD_OUT_SHARE if split != "train" else 0.0
    for scene in range(SCENES):
        yield from _filled((1 - new) * (1 - link.strength) / SCENES, scene, (), -1, count)
        pool = names.held_out_colours(split) - layout.barred(scene) if new else ()
        for thing, colour in pool:
            yield from _filled(new / 2 / SCENES / len(pool), scene, (thing,), colour, count)
    for thing in range(THINGS):
        yield from _filled((1 - new) * link.strength / THINGS, link.scene(thing), (thing,), -1, count)
    pairs = names.held_out_scenes(split)
    for thing, scene in pairs:
        yield from _filled(new / 2 / len(pairs), scene, (thing,), -1, count)


def _filled(probability: float, scene: int, first: tuple[int, ...], colour: int, count: int) -> Iterator[Case]:
    """The cases that begin with some classes, filled up by any of those that are free."""
    if not probability:
        return
    free = [o for o in range(THINGS) if (o, scene) not in names.HELD_OUT_SCENES and o not in first]
    missing = count - len(first)
    share = probability / math.comb(len(free), missing)
    for others in itertools.combinations(free, missing):
        yield share, scene, (*first, *others), colour


def _coloured(cases: list[Case], link: Link) -> np.ndarray:
    """How likely the objects of each case have which colours, [case object colour]; each by itself."""
    usual = np.zeros((THINGS, COLOURS))  # colour given class, of an object that is not there for its colour
    for thing in range(THINGS):
        free = [c for c in range(COLOURS) if (thing, c) not in names.HELD_OUT_COLOURS]
        usual[thing, free] = (1 - link.strength) / len(free)
        usual[thing, link.colour(thing)] += link.strength
    found = usual[[classes for _, _, classes, _ in cases]]
    for row, (_, _, _, colour) in zip(found, cases):
        if colour >= 0:
            row[0] = np.eye(COLOURS)[colour]
    return found


def _colours(cases: list[Case], link: Link) -> np.ndarray:
    """Class and colour of an object that is chosen at random, [class colour]."""
    found = np.zeros((THINGS, COLOURS))
    for (probability, _, classes, _), rows in zip(cases, _coloured(cases, link)):
        found[list(classes)] += probability / len(classes) * rows  # no two are of one class
    return found


def _present(cases: list[Case]) -> tuple[np.ndarray, np.ndarray]:
    """The class of an object chosen at random, and one that is chosen at random from those not there, each [class]."""
    there = np.zeros(THINGS)
    for probability, _, classes, _ in cases:
        there[list(classes)] += probability
    count = len(cases[0][2])
    return there / count, (1 - there) / (THINGS - count)


def _existence(cases: Mapping[int, list[Case]], colour: np.ndarray, link: Link) -> Table:
    """What `questions` asks for by "is there a red bell?" and "is there a bell?": the words, and no or yes."""
    absent = _mean(_present(several)[1] for several in cases.values())
    table: dict[Any, np.ndarray] = {}
    for thing in range(THINGS):
        own = colour[thing]
        table[thing] = np.array([(1 - link.yes) * absent[thing], link.yes * own.sum()]) / 2
        for c in range(COLOURS):
            table[thing, c] = np.array([(1 - link.yes) * (own.sum() - own[c]) / (COLOURS - 1), link.yes * own[c]]) / 2
    return table


def _counting(cases: Mapping[int, list[Case]], link: Link, sounding: str) -> Table:
    """What `questions` asks for by "how many ...?": objects, objects that sound, or the colour; and the number."""
    table: dict[Any, np.ndarray] = {asked: np.zeros(1 + max(cases)) for asked in ("all", "sound", *range(COLOURS))}
    for count, several in cases.items():
        table["all"][count] += 1
        for loud, probability in _loud(count, sounding).items():
            table["sound"][loud] += probability
        chances, rows = np.array([case[0] for case in several]), _coloured(several, link)
        for together in itertools.product(range(COLOURS), repeat=count):
            shown = set(together)
            probability = float(chances @ np.prod([rows[:, k, c] for k, c in enumerate(together)], 0))
            for colour in range(COLOURS):
                asked = link.yes / len(shown) if colour in shown else (1 - link.yes) / (COLOURS - len(shown))
                table[colour][together.count(colour)] += probability * asked
    return {asked: row / 3 / len(cases) for asked, row in table.items()}


def _hearing(cases: Mapping[int, list[Case]], link: Link, sounding: str) -> Table:
    """What `questions` asks for by "do you hear the bell?"."""
    table: dict[Any, np.ndarray] = {thing: np.zeros(2) for thing in range(THINGS)}
    for count, several in cases.items():
        there, absent = _present(several)
        for loud, probability in _loud(count, sounding).items():
            asked = 0.5 if 1 in (loud, count - loud) else 1.0  # or else which one it is that sounds, or does not
            yes = link.yes if loud else 0.0
            for thing, row in table.items():
                denied = absent if loud == count else there
                row[:] += asked * probability * np.array([(1 - yes) * denied[thing], yes * there[thing]])
    total = sum(float(row.sum()) for row in table.values())
    return {thing: row / total for thing, row in table.items()}


def _mean(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.mean(list(arrays), 0)


def _loud(count: int, sounding: str) -> dict[int, float]:
    """How many of so many objects sound, and how likely."""
    if sounding != "any":
        return {int(sounding == "one"): 1.0}
    share = layout.SOUNDING_SHARE
    found = {k: math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(count + 1)}
    found[1] += found.pop(0)
    return found
