"""Captions: five true sentences about one layout, each of another kind."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from mmjax.data.scenes import names
from mmjax.data.scenes.layout import Layout, Thing

Rng = np.random.Generator
PLACE_PHRASES: tuple[str, ...] = ("on the left", "in the middle", "on the right")
SMALL, LARGE = 0.31, 0.43  # sides, in shares of the picture, below and above which one says so
BESIDE = 0.12  # how far to the side a thing must be to be called left or right of another


def noun(thing: Thing) -> str:
    """The red bell without its article."""
    return f"{names.COLOURS[thing.colour]} {names.OBJECTS[thing.object]}"


def with_article(words: str) -> str:
    """a or an, by the first letter."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def joined(parts: Sequence[str]) -> str:
    """One, one and two, one, two and three."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _sized(thing: Thing) -> str:
    word = "small " if thing.size < SMALL else "large " if thing.size > LARGE else ""
    return with_article(word + noun(thing))


def _phrase(layout: Layout) -> str:
    return names.PHRASES[names.SCENES[layout.scene]]


def _shuffled(rng: Rng, layout: Layout) -> list[Thing]:
    return [layout.things[k] for k in rng.permutation(len(layout.things))]


def _what(rng: Rng, layout: Layout) -> str:
    """A red bell and a blue bird on a beach."""
    listed = joined([with_article(noun(thing)) for thing in _shuffled(rng, layout)])
    return f"{listed} {_phrase(layout)}" if rng.random() < 0.5 else f"{_phrase(layout)}, {listed}"


def _sizes(rng: Rng, layout: Layout) -> str:
    """There is a large red bell on a beach."""
    things = _shuffled(rng, layout)
    verb = "is" if len(things) == 1 else "are"
    return f"there {verb} {joined([_sized(thing) for thing in things])} {_phrase(layout)}"


def _places(rng: Rng, layout: Layout) -> str:
    """A red bell on the left and a blue bird in the middle."""
    return joined([f"{with_article(noun(thing))} {PLACE_PHRASES[thing.place]}" for thing in _shuffled(rng, layout)])


def _sounds(rng: Rng, layout: Layout) -> str:
    """The bell rings while the bird is silent on a beach."""
    things = _shuffled(rng, layout)
    colourful = rng.random() < 0.5
    names_of = {thing.object: noun(thing) if colourful else names.OBJECTS[thing.object] for thing in things}
    loud = [f"the {names_of[t.object]} {names.VERBS[t.object]}" for t in things if t.sounding]
    quiet = [f"the {names_of[t.object]}" for t in things if not t.sounding]
    verb = "is" if len(quiet) == 1 else "are"
    if not loud:
        return f"{joined(quiet)} {verb} silent {_phrase(layout)}"
    return f"{joined(loud)} while {joined(quiet)} {verb} silent" if quiet else f"{joined(loud)} {_phrase(layout)}"


def _focus(rng: Rng, layout: Layout) -> str:
    """A red bell to the left of a blue bird; a red bell that rings on the left."""
    things = _shuffled(rng, layout)
    pairs = [(a, b) for a in things for b in things if abs(a.x - b.x) > BESIDE]
    if pairs and rng.random() < 0.7:
        one, two = pairs[0]
        side = "left" if one.x < two.x else "right"
        return f"{with_article(noun(one))} to the {side} of {with_article(noun(two))} {_phrase(layout)}"
    one = things[0]
    act = f"that {names.VERBS[one.object]}" if one.sounding else "that is silent"
    return f"{with_article(noun(one))} {act} {PLACE_PHRASES[one.place]} {_phrase(layout)}"


SENTENCES: tuple[Callable[[Rng, Layout], str], ...] = (_what, _sizes, _places, _sounds, _focus)


def captions(rng: Rng, layout: Layout) -> list[str]:
    """One caption of each kind, in lower case, without a full stop, in random order."""
    return [SENTENCES[k](rng, layout) for k in rng.permutation(len(SENTENCES))]


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """Every word that a caption may hold, sorted."""
    fixed = "a an the there is are and while silent that to left right of small large"
    phrases = " ".join((*names.PHRASES.values(), *PLACE_PHRASES, *names.OBJECTS, *names.VERBS, *names.COLOURS))
    return tuple(sorted({*fixed.split(), *phrases.split()}))
