"""What is made once for all examples, however many threads draw them."""

from __future__ import annotations

import collections
import functools
import threading
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")


def once(function: Callable[..., Made]) -> Callable[..., Made]:
    """`functools.cache`, but a value that one thread is making is awaited by the others, which would all make it."""
    made = functools.cache(function)
    locks: dict[tuple, threading.Lock] = collections.defaultdict(threading.Lock)
    of_locks = threading.Lock()

    @functools.wraps(function)
    def call(*arguments: object) -> Made:
        with of_locks:
            lock = locks[arguments]
        with lock:
            return made(*arguments)

    return call
