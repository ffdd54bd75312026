"""Checks of a network's options: sizes, and the dtype of its computation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from mmjax.errors import OptionError

FLOATS = ("float32", "bfloat16", "float16")


def sizes(network: Any, *names: str, least: int = 1) -> None:
    """Raises OptionError where an option that counts something, or one of several such, is less than `least`."""
    for name in names:
        given = getattr(network, name)
        several = isinstance(given, Sequence)
        if min(given, default=least) < least if several else given < least:
            each = "each must" if several else "it must"
            raise OptionError(name, f"is {tuple(given) if several else given}: {each} be at least {least}")


def floating(dtype: Any) -> None:
    """Raises OptionError where `dtype` is none that a network computes in."""
    try:
        known = jnp.dtype(dtype).name in FLOATS
    except TypeError:
        known = False
    if not known:
        raise OptionError("dtype", f"is {dtype!r}: choose one of {', '.join(FLOATS)}")
