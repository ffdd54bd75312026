"""Several processes that are one run refuse together: one that left alone would leave the others waiting for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from mmjax.errors import UserError

LONGEST = 8000  # bytes of a message


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What is refused inside by any process is refused by every one, with the message of the first that did.

    All processes must come to it, and nothing inside may wait for another process.
    """
    if jax.process_count() == 1:
        yield
        return
    said = ""
    try:
        yield
    except UserError as error:
        said = str(error)
    if found := next((text for text in told(said) if text), ""):
        raise UserError(found)


def told(text: str) -> list[str]:
    """What each process gives, in their order."""
    if jax.process_count() == 1:
        return [text]
    raw = text.encode("utf-8", "surrogateescape")[:LONGEST]
    rows = multihost_utils.process_allgather(np.frombuffer(raw.ljust(LONGEST, b"\0"), np.uint8))
    return [np.asarray(row).tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in rows]
