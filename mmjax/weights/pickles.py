"""Pickles read as data: a machine that calls nothing which the file names.

A pickle may name any function or class to be called while it is read. Here every name is one of three things: one that
the reader of a format knows, and has a record of its own for; a class of somebody's package, which becomes a `Record`
of what the file says of the object; or a name of Python itself beyond plain data, which has no business in a file of
weights and ends the reading with one line.
"""

from __future__ import annotations

import collections
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from mmjax.errors import UserError

_BUILTINS: tuple[str, ...] = (
    "set",
    "frozenset",
    "complex",
    "bytearray",
    "slice",
    "range",
    "xrange",
    "dict",
    "list",
    "tuple",
    "object",
)
_BUILTINS += ("int", "float", "bool", "str", "bytes", "long", "unicode", "hash")  # gensim's models say how they hash
# Of Python's own names, those of plain data, as settings that lie beside weights hold them; Records, too.
_DATA = {
    "argparse": ("Namespace",),
    "collections": ("defaultdict", "Counter", "deque"),
    "pathlib": ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "types": ("SimpleNamespace",),
    "functools": ("partial",),
    "_codecs": ("encode",),
    **dict.fromkeys(("builtins", "__builtin__"), _BUILTINS),
}
_PYTHON = {*sys.stdlib_module_names, "__builtin__", "copy_reg", "commands", "nt", "posix"}  # of Python 2 as well


class Record:
    """An object of a class that is not ours: what the file says of it, and no method that does anything.

    Attributes:
      kind: (module, name) of its class or function.
      args: it was called with.
      state: it was given, None for none.
    """

    # The machine sets attributes of whatever it can reach (opcode BUILD): of classes it finds `__setstate__`, which
    # fails without an instance.
    __slots__ = ("args", "state")
    kind: tuple[str, str] = ("", "")
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any, **_: Any) -> Record:
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __init__(self, *args: Any, **_: Any):
        del args

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Of classes that are dicts: their items are no weights."""

    def append(self, item: Any) -> None:
        """Of classes that are lists."""

    def extend(self, items: Any) -> None:
        """Of classes that are lists."""

    def add(self, item: Any) -> None:
        """Of classes that are sets."""


class _Reconstructor:
    """copyreg._reconstructor, as the oldest protocols make objects."""

    __slots__ = ()

    def __call__(self, kind: Any, *_: Any) -> Record:
        if not (isinstance(kind, type) and issubclass(kind, Record)):
            raise pickle.UnpicklingError("an object without a class")
        return kind()


class Machine(pickle.Unpickler):
    """A pickle machine for which every name is data.

    Args:
      file: where the pickle begins.
      path: for messages.
      known: {(module, name): what stands for it}; must be immutable, for the file can set attributes.
      advice: what the user can do where a file is refused.
    """

    def __init__(self, file: IO[bytes], path: Path, known: Mapping[tuple[str, str], Any], advice: str):
        super().__init__(file, encoding="latin1")  # files written under Python 2 hold byte strings
        self.path, self.known, self.advice = path, known, advice
        self._kinds: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("copyreg", "_reconstructor"): _Reconstructor(),
            ("copy_reg", "_reconstructor"): _Reconstructor(),
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.known:
            return self.known[module, name]
        if (module, name) not in self._kinds:
            if module.partition(".")[0] in _PYTHON and name not in _DATA.get(module, ()):
                raise UserError(
                    f"{self.path}: refused, because it asks for {module}.{name} to be called while it is read; "
                    f"{self.advice}"
                )
            self._kinds[module, name] = type("Record", (Record,), {"__slots__": (), "kind": (module, name)})
        return self._kinds[module, name]
