"""The exceptions that the front door prints as one line, without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

POINTER = b"version https://git-lfs.github.com/spec/"  # what a repository has in the place of a large file


class UserError(Exception):
    """What the user got wrong: says, in one line, what was wrong and what would be right. Exit status 2."""


class OptionError(UserError):
    """A wrong option, named as the callable names it: "layer 'x' is unknown: ...".

    Whoever bound a section of the config to the callable says where the option stands, see `section`: so nothing below
    the systems knows what its options are called in a config.
    """

    def __init__(self, option: str, wrong: str):
        super().__init__(f"{option}{wrong}" if wrong.startswith(("=", ":")) else f"{option} {wrong}")
        self.option, self.wrong = option, wrong


class NonFinite(Exception):
    """A loss or gradient that is NaN or infinite: names step, losses and last good checkpoint. Exit status 1."""


def printable(text: str, most: int = 100) -> str:
    """What a file calls something, for a line: what a terminal would take for orders, and line breaks, as "?"."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])


def refuse_pointer(path: object, head: bytes) -> None:
    """Raises UserError where a file begins as a pointer of Git LFS, so that nobody takes that for its content."""
    if head.startswith(POINTER):
        raise UserError(f"{path} is a pointer of Git LFS, not the file itself: `git lfs pull` brings it")


@contextmanager
def file_of(option: str) -> Iterator[None]:
    """Puts the option that named a file before what a `UserError` from inside says of the file."""
    try:
        yield
    except OptionError as error:
        if error.option != "weights":  # as `Network` calls what it was given
            raise
        raise OptionError(option, error.wrong) from None
    except UserError as error:
        raise OptionError(option, f": {error}") from None


@contextmanager
def section(path: str, /, **elsewhere: str) -> Iterator[None]:
    """Puts the path of a config section before the option that an `OptionError` from inside names.

    Args:
      path: of the section that was bound, such as "config.encoder".
      **elsewhere: {option: its whole path}, of options that stand elsewhere in the config.
    """
    try:
        yield
    except OptionError as error:
        whole = elsewhere.get(error.option, f"{path}.{error.option}")
        raise OptionError(whole, error.wrong) from None
