"""A held-out split as a fixed list of mixtures: each few examples that follow one another are mixed with each other.

Drawn once from a seed, so that two runs are compared on the same mixtures, whatever their batches are. A clip is in one
mixture only; a silent one is in none, and counted: nothing can be heard in it, and a figure of it says nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.data import fingerprints, spec
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

FULL_SCALE = 32768.0


@dataclasses.dataclass(frozen=True)
class Options:
    """config.data.mixtures.

    Attributes:
      sources: clips of a mixture, 2 to 4; 1 where something else is mixed in, as noise is.
      unlike: a field of classes of which no two clips of a mixture have the same; "" for none. -1 is no class.
      silence_db: a clip whose root mean square is below this, in dB of full scale, is silent.
      examples: mixtures of a split at most; 0 = as many as its clips give.
      seed: of the lists.
      field: of the clips' sound, "waveform" or "speech".
    """

    sources: int = 2
    unlike: str = ""
    silence_db: float = -60.0
    examples: int = 0
    seed: int = 0
    field: str = "waveform"

    def __post_init__(self) -> None:
        if not 1 <= self.sources <= 4:
            raise UserError(f"config.data.mixtures.sources is {self.sources}: a mixture has 1 to 4")
        if self.field not in ("waveform", "speech"):
            raise UserError(f"config.data.mixtures.field {self.field!r} is no sound: choose waveform or speech")
        for name in ("examples", "seed"):
            if getattr(self, name) < 0:
                raise UserError(f"config.data.mixtures.{name} is {getattr(self, name)}: it must be at least 0")
        if self.unlike and (self.unlike not in spec.FIELDS or spec.FIELDS[self.unlike].dtype != "int32"):
            raise UserError(f"config.data.mixtures.unlike {self.unlike!r} is no field of classes, as label is")


def options(section: Mapping[str, Any]) -> Options:
    """The section of a config. Raises UserError for a field that it does not have, or a value out of range."""
    known = [field.name for field in dataclasses.fields(Options)]
    strange = [name for name in section if name not in known]
    if strange:
        raise UserError(f"config.data.mixtures.{strange[0]}: there is no such option; it has {', '.join(known)}")
    return Options(**{name: section[name] for name in section})


@dataclasses.dataclass(frozen=True, eq=False)
class Mixtures:
    """A random-access source: example i is a clip of mixture i // sources. Made by `wrap`.

    Attributes:
      inner: the split.
      places: int64 [mixtures, sources], the clips of each by their place in the split.
      silent: places of the clips that were refused.
      classes: of the clips, int64 [mixtures, sources]; None where the list knows none.
      unlike: the field that they are of.
    """

    inner: Any
    places: np.ndarray
    silent: np.ndarray
    classes: np.ndarray | None
    unlike: str

    def __len__(self) -> int:
        return self.places.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = dict(self.inner[int(self.places.flat[index])])
        return example | ({"index": np.int32(index)} if "index" in example else {})

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """Those of the split."""
        return dict(getattr(self.inner, "constants", {}))

    @functools.cached_property
    def prints(self) -> dict[str, Print]:
        """Of each field: what the split has, and in which order."""
        found = {}
        for field, own in getattr(self.inner, "prints", {}).items():
            if own.examples is not None:
                found[field] = fingerprints.of_digests(own.examples[self.places.ravel()], own.meanings)
            else:
                found[field] = fingerprints.whole(own.content, self.places.tolist(), meanings=own.meanings)
        return found

    def table(self) -> list[dict[str, Any]]:
        """The list, a row for each clip: number of its mixture, its place in the split, and its class by name."""
        names = fingerprints.names(self.inner, self.unlike) if self.unlike else ()
        rows = []
        for i, place in enumerate(self.places.ravel().tolist()):
            row: dict[str, Any] = {"mixture": i // self.places.shape[1], "clip": place}
            if self.classes is not None:
                kind = int(self.classes.flat[i])
                row[self.unlike] = names[kind] if 0 <= kind < len(names) else kind
            rows.append(row)
        return rows


def needed(chosen: Options) -> tuple[str, ...]:
    """The fields of the split that the list is drawn with."""
    return (chosen.field, *((chosen.unlike,) if chosen.unlike else ()))


def wrap(source: Any, asked: Any, chosen: Options, name: str) -> Mixtures:
    """`source` as a list of mixtures.

    Args:
      source: a split.
      asked: the same split with the fields of `needed`.
      chosen: the options.
      name: of data set and split, for messages.

    Raises:
      UserError: no mixture can be made of its clips.
    """
    order = np.random.default_rng((chosen.seed, 77)).permutation(len(asked))
    most = chosen.examples or len(asked)
    waiting: list[list[tuple[int, int]]] = []  # mixtures that lack a clip, the oldest first
    done: list[list[tuple[int, int]]] = []
    silent: list[int] = []
    for place in order.tolist():
        if len(done) == most:
            break
        example = asked[place]
        if level_db(example[chosen.field]) < chosen.silence_db:
            silent.append(place)
            continue
        kind = int(example[chosen.unlike]) if chosen.unlike else -1
        free = (i for i, group in enumerate(waiting) if kind < 0 or all(kind != other for _, other in group))
        at = next(free, len(waiting))
        if at == len(waiting):
            waiting.append([])
        waiting[at].append((place, kind))
        if len(waiting[at]) == chosen.sources:
            done.append(waiting.pop(at))
    if not done:
        unlike = f" of {chosen.sources} different {chosen.unlike}" if chosen.unlike else ""
        raise UserError(
            f"{name}: no mixture can be made of its {len(asked):,} clips{unlike}; {len(silent):,} of them are silent"
        )
    found = np.array(done, np.int64)  # mixtures sources 2
    classes = found[..., 1] if chosen.unlike else None
    return Mixtures(source, found[..., 0], np.array(silent, np.int64), classes, chosen.unlike)


def level_db(waveform: np.ndarray) -> float:
    """Root mean square of int16 samples in dB of full scale; -120 for silence and for no sample."""
    samples = np.asarray(waveform, np.float64) / FULL_SCALE
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-12)) if samples.size else -120.0
