"""Which form of an operation a program takes: a CPU's, where XLA wants another one than an accelerator does."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax import lax

_ANY = contextvars.ContextVar("any_platform", default=False)
_REAL = contextvars.ContextVar("real_only", default=False)


def cpu() -> bool:
    """Whether a CPU's form is taken: on a CPU, unless the program is traced for any platform. Known while tracing."""
    return jax.default_backend() == "cpu" and not _ANY.get()


def anywhere() -> bool:
    """Whether the program is traced for any platform and perhaps another runtime than XLA. Known while tracing."""
    return _ANY.get()


def real_only() -> bool:
    """Whether the program is traced for a runtime without complex numbers. Known while tracing."""
    return _REAL.get()


def dependent(*arrays: Any, cpu: Callable[..., Any], default: Callable[..., Any]) -> Any:
    """`jax.lax.platform_dependent`; of a program that is traced for any platform, `default` alone."""
    return default(*arrays) if _ANY.get() else lax.platform_dependent(*arrays, cpu=cpu, default=default)


@contextlib.contextmanager
def any_platform(real: bool = False) -> Iterator[None]:
    """What is traced inside takes no CPU's form: it is to be run elsewhere, by XLA or by another runtime; `real`: by
    one that has no complex numbers."""
    before, complex_before = _ANY.set(True), _REAL.set(real)
    try:
        yield
    finally:
        _ANY.reset(before)
        _REAL.reset(complex_before)
