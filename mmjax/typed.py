"""What is typed for an option, as the value that it takes: on a command line, and where one is named of many."""

from __future__ import annotations

import ast
from typing import Any

from mmjax.errors import UserError

TRUE, FALSE = ("true", "yes", "on", "t", "y", "1"), ("false", "no", "off", "f", "n", "0")


def value(text: str, kind: type | None, words: bool = False) -> Any:
    """The value that a text means for an option of a kind.

    Args:
      text: as typed, without the option's name.
      kind: bool ("no" and "off" are False), int, float, str (the text itself), tuple (see `several`), dict; None where
        nothing is known of the option: a literal of Python, true or false in any case, or else the text itself.
      words: of a tuple, whether its elements are strings whatever they look like.

    Raises:
      UserError: no such value; it says what is wanted, and not which option.
    """
    if kind is None:
        return text.lower() == "true" if text.lower() in ("true", "false") else _literal(text, text)
    if kind is str:
        return text
    if kind is tuple:
        return several(text, words)
    if kind is bool:
        if text.lower() not in (*TRUE, *FALSE):
            raise UserError("it must be true or false")
        return text.lower() in TRUE
    if kind is dict:
        found = _literal(text, None)
        if not isinstance(found, dict):
            raise UserError("it is a section: set its fields, or write {'field': value}")
        return found
    try:
        return int(text.replace("_", ""), 0) if kind is int and text.strip("+-0") else kind(text)
    except ValueError:
        raise UserError(f"it must be of type {kind.__name__}") from None


def several(text: str, words: bool = False) -> Any:
    """A tuple as Python writes it, or its elements with commas between them; "" is none, and one name is a tuple of it.

    A literal of a dict stays one. An element that has a comma in it wants Python's way: ('red, blue',).

    Raises:
      UserError: a bracket or a quote that is not closed.
    """
    text = text.strip()
    found = _literal(text, None)
    if isinstance(found, dict | str):
        return found if isinstance(found, dict) else (found,)
    if isinstance(found, tuple | list) and not (words and text[:1] not in ("(", "[")):
        return tuple(found)
    bare = text[1:-1] if text[:1] + text[-1:] in ("()", "[]") else text
    parts = [part.strip() for part in bare.split(",") if part.strip()]
    if any(part[0] in "([{'\"" or part[-1] in "])'\"" for part in parts):
        raise UserError("its brackets or quotes do not match: write red,blue or ('red','blue')")
    return tuple(part if words else _literal(part, part) for part in parts)


def _literal(text: str, otherwise: Any) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return otherwise
