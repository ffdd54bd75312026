"""Data sets: `open` gives any of them as a random-access source of dicts of NumPy arrays.

A data set of ours is a module of this package with `FIELDS` (or `fields(**options)`) and `source(split, fields,
**options)`; any other name is looked up in the TensorFlow Datasets catalogue. Nothing here imports jax, so that
worker processes stay small.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any, Protocol

from mmjax.data import spec
from mmjax.errors import UserError

NOT_SETS = ("spec", "pipeline", "catalogue")


class Source(Protocol):
    """A random-access data set: the same index always gives the same example."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


def names() -> list[str]:
    """The data sets of this package."""
    return [
        module.name
        for module in pkgutil.iter_modules(__path__)
        if module.name not in NOT_SETS and not module.ispkg and not module.name.startswith("_")
    ]


def open(split: str, fields: tuple[str, ...], name: str, **options: Any) -> Source:
    """Opens a split of a data set.

    Args:
      split: "train", "validation" or "test" (a catalogue set may have others).
      fields: what every example must have (names from data/spec.py); nothing else is computed or read.
      name: a module of this package, or a TensorFlow Datasets name.
      **options: of that data set (path, seed, mapping, ...).

    Returns:
      A source whose examples have exactly `fields` (`<field>_length` is the pipeline's to add).

    Raises:
      UserError: no such data set, an option that it does not take, or a field that it lacks.
    """
    wanted = tuple(field for field in fields if not field.endswith("_length"))
    ours = name in names()
    module = importlib.import_module(f"mmjax.data.{name if ours else 'catalogue'}")
    options = options if ours else {**options, "name": name}
    known = inspect.signature(module.source).parameters
    strange = [option for option in options if option not in known]
    if strange:
        takes = ", ".join(p for p in known if p not in ("split", "fields"))
        raise UserError(f"config.data.{strange[0]}: data set {name!r} has no such option; it takes {takes}")
    if ours:  # the catalogue checks after its mapping
        offered = module.fields(**options) if hasattr(module, "fields") else module.FIELDS
        spec.check(wanted, offered, name)
    opened = module.source(split, wanted, **options)
    if not len(opened):
        raise UserError(f"data set {name!r} has no example in split {split!r}")
    return opened
