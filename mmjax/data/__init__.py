"""Data sets: `open` gives any of them as a random-access source of dicts of NumPy arrays.

A data set of ours is a module of data/sets with `FIELDS` (or `fields(**options)`) and `source(split, fields,
**options)`; any other name is looked up in the TensorFlow Datasets catalogue. Nothing here imports jax, so that
worker processes stay small.

A module may also have `IDENTITY`, {column of a table of predictions: the field that says it}, and `FIT`, how it makes
pictures square where that is no option, see `files.pictures.as_trained`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any, Protocol

from mmjax import typed
from mmjax.data import mixtures as lists
from mmjax.data import sets, spec
from mmjax.data.tokens import token_fields
from mmjax.errors import UserError


class Source(Protocol):
    """A random-access data set: the same index always gives the same example."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


def names() -> list[str]:
    """The data sets of this package, each a module of data/sets; the catalogue is all others."""
    return [module.name for module in pkgutil.iter_modules(sets.__path__) if module.name != "catalogue"]


def open(
    split: str,
    fields: tuple[str, ...],
    name: str,
    tokens: Mapping[str, Any] | Any = None,
    train_split: str = "train",
    mixtures: Mapping[str, Any] | None = None,
    **options: Any,
) -> Source:
    """Opens a split of a data set.

    Args:
      split: "train", "validation" or "test" (a catalogue set may have others).
      fields: what every example must have (names from data/spec.py); nothing else is computed or read.
      name: a module of data/sets, or a TensorFlow Datasets name.
      tokens: how `caption_tokens`, `captions_tokens`, `question_tokens`, `answer_label` and `question_type_label` are
        made from the text of a data set that does not offer them: arguments of `token_fields.Options`. (Where a data
        set itself has an option `tokens`, it is that.)
      train_split: whose text makes the vocabulary, whichever split is opened.
      mixtures: every other split is a fixed list of mixtures of its clips: arguments of `mixtures.Options`.
      **options: of that data set (path, seed, mapping, ...).

    Returns:
      A source whose examples have exactly `fields` (`<field>_length` is the pipeline's to add).

    Raises:
      UserError: no such data set, an option that it does not take, or a field that it lacks.
    """
    wanted = tuple(field for field in fields if not field.endswith("_length"))
    module, options = _find(name, tokens, options)
    ours = name in names()
    made = tuple(field for field in wanted if field in token_fields.FROM)
    offered: tuple[str, ...] = ()
    if ours or made:  # the catalogue checks after its mapping
        offered = module.fields(**options) if hasattr(module, "fields") else module.FIELDS
        made = tuple(field for field in made if field not in offered)
    texts = token_fields.texts(made, offered)
    read = tuple(dict.fromkeys((*(field for field in wanted if field not in made), *texts)))
    if ours:
        spec.check(read, offered, name)
    chosen = token_fields.options(tokens) if made else None
    opened: Any = module.source(split, read, **options)
    if not len(opened):
        raise UserError(f"data set {name!r} has no example in split {split!r}")
    if mixtures is not None and split != train_split:
        how = lists.options(mixtures)
        spec.check(lists.needed(how), module.fields(**options) if hasattr(module, "fields") else module.FIELDS, name)
        asked = module.source(split, lists.needed(how), **options)
        opened = lists.wrap(opened, asked, how, f"data set {name!r}, split {split!r}")
    if chosen is None:
        return opened
    training = functools.partial(module.source, train_split, texts, **options)
    return token_fields.wrap(opened, wanted, made, chosen, training, [name, train_split, options])


def offers(name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that a data set has itself; () for the catalogue's, which says so when it is opened."""
    if name not in names():
        return ()
    module, known = _find(name, None, {k: v for k, v in options.items() if k not in ("tokens", "mixtures")})
    return tuple(module.fields(**known) if hasattr(module, "fields") else module.FIELDS)


def identity(name: str) -> dict[str, str]:
    """{column of a table of predictions: the field that says it}: what the data set calls its examples."""
    return dict(getattr(_module(name), "IDENTITY", {"index": "index"}))


def fit(name: str, options: Mapping[str, Any]) -> tuple[str, int]:
    """How a data set makes pictures square, see `files.pictures.as_trained`, and of how many pixels; 0 = as they are.

    By its options of these names; where it has none, always in the same way.
    """
    module = _module(name)
    known = {"fit": getattr(module, "FIT", "crop"), "size": 0}
    for option, given in inspect.signature(module.source).parameters.items():
        if option in known:
            known[option] = options.get(option, given.default)
    return str(known["fit"]), int(known["size"])


def _module(name: str) -> Any:
    return importlib.import_module(f"mmjax.data.sets.{name if name in names() else 'catalogue'}")


def _find(name: str, tokens: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The module of a data set and the options for it. Raises UserError for one that it does not take."""
    ours, module = name in names(), _module(name)
    known = inspect.signature(module.source).parameters
    options = options if ours else {**options, "name": name}
    for option, given in options.items():
        kind, words = _kind(known[option]) if option in known else (None, False)
        if isinstance(given, str) and kind is tuple:
            options = {**options, option: typed.several(given, words)}  # and not its letters
    if "tokens" in known and tokens is not None:
        options = {**options, "tokens": tokens}
    strange = [option for option in options if option not in known]
    if strange:
        takes = ", ".join(p for p in known if p not in ("split", "fields"))
        raise UserError(f"config.data.{strange[0]}: data set {name!r} has no such option; it takes {takes}")
    return module, options


def kinds(name: str) -> dict[str, tuple[type | None, bool]]:
    """What values the options of a data set take: {option: kind and words, see `typed.value`}; "tokens.X" of its text.

    An option that may be None has the kind of its other values.
    """
    module = _module(name)
    found = {option: _kind(given) for option, given in inspect.signature(module.source).parameters.items()}
    of_text = inspect.signature(token_fields.Options).parameters
    of_mixtures = inspect.signature(lists.Options).parameters
    return (
        found
        | {f"tokens.{option}": _kind(given) for option, given in of_text.items()}
        | {f"mixtures.{option}": _kind(given) for option, given in of_mixtures.items()}
    )


def _kind(parameter: inspect.Parameter) -> tuple[type | None, bool]:
    annotation = str(parameter.annotation)
    if isinstance(parameter.default, tuple):
        return tuple, "[str" in annotation
    kind = {"bool": bool, "int": int, "float": float, "str": str}.get(annotation.partition(" |")[0])
    return kind, False
