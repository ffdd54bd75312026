"""Questions with answers about one layout, balanced so that the question alone says little about the answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmjax.data.scenes import names
from mmjax.data.scenes.grammar import noun, with_article
from mmjax.data.scenes.layout import Layout, Thing

Rng = np.random.Generator


def _any(rng: Rng, things: list[Thing]) -> Thing:
    return things[rng.integers(len(things))]


def _absent(rng: Rng, layout: Layout) -> str:
    present = {thing.object for thing in layout.things}
    free = [name for o, name in enumerate(names.OBJECTS) if o not in present]
    return free[rng.integers(len(free))]


def _existence(rng: Rng, layout: Layout, affirmed: float) -> tuple[str, str]:
    """A no is often the right thing in the wrong colour."""
    yes, coloured = rng.random(2) < (affirmed, 0.5)
    thing = _any(rng, list(layout.things))
    if yes:
        asked = noun(thing) if coloured else names.OBJECTS[thing.object]
    elif coloured:
        colour = (thing.colour + rng.integers(1, len(names.COLOURS))) % len(names.COLOURS)
        asked = f"{names.COLOURS[colour]} {names.OBJECTS[thing.object]}"
    else:
        asked = _absent(rng, layout)
    return f"is there {with_article(asked)}?", "yes" if yes else "no"


def _count(rng: Rng, layout: Layout, affirmed: float) -> tuple[str, str]:
    """All objects, those that sound, or those of one colour, which is there as often as is affirmed."""
    kind = rng.integers(3)
    if kind == 0:
        return "how many objects are there?", str(len(layout.things))
    if kind == 1:
        return "how many objects sound?", str(sum(thing.sounding for thing in layout.things))
    shown = {thing.colour for thing in layout.things}
    pool = sorted(shown) if rng.random() < affirmed else sorted(set(range(len(names.COLOURS))) - shown)
    colour = pool[rng.integers(len(pool))]
    return f"how many {names.COLOURS[colour]} objects are there?", str(sum(t.colour == colour for t in layout.things))


def _colour(rng: Rng, layout: Layout, affirmed: float) -> tuple[str, str]:
    thing = _any(rng, list(layout.things))
    return f"what colour is the {names.OBJECTS[thing.object]}?", names.COLOURS[thing.colour]


def _place(rng: Rng, layout: Layout, affirmed: float) -> tuple[str, str]:
    thing = _any(rng, list(layout.things))
    asked = noun(thing) if rng.random() < 0.5 else names.OBJECTS[thing.object]
    return f"where is the {asked}?", names.PLACES[thing.place]


def _sound(rng: Rng, layout: Layout, affirmed: float) -> tuple[str, str]:
    """Which one sounds, or is silent, where exactly one does; or whether one is heard.

    Where nothing sounds, that is always no."""
    loud = [thing for thing in layout.things if thing.sounding]
    quiet = [thing for thing in layout.things if not thing.sounding]
    choices = [("which object sounds?", loud), ("which object is silent?", quiet)]
    clear = [(question, things[0]) for question, things in choices if len(things) == 1]
    if clear and rng.random() < 0.5:
        question, thing = clear[rng.integers(len(clear))]
        return question, names.OBJECTS[thing.object]
    if loud and rng.random() < affirmed:
        return f"do you hear the {names.OBJECTS[_any(rng, loud).object]}?", "yes"
    asked = names.OBJECTS[_any(rng, quiet).object] if quiet else _absent(rng, layout)
    return f"do you hear the {asked}?", "no"


QUESTIONS: dict[str, Callable[[Rng, Layout, float], tuple[str, str]]] = {
    "existence": _existence,
    "count": _count,
    "colour": _colour,
    "place": _place,
    "sound": _sound,
}
ANSWERS: tuple[str, ...] = ("yes", "no", "0", "1", "2", "3", *names.COLOURS, *names.PLACES, *names.OBJECTS)


def draw(rng: Rng, layout: Layout, affirmed: float = 0.5) -> tuple[str, str, str]:
    """One question in lower case, its answer (out of `ANSWERS`), and its type, all types equally likely.

    `affirmed` is how likely the answer is yes where it is yes or no, and that the colour whose objects are counted is
    there at all; by default both are equally likely.
    """
    kind = tuple(QUESTIONS)[rng.integers(len(QUESTIONS))]
    return *QUESTIONS[kind](rng, layout, affirmed), kind
