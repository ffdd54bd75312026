"""Signals: SIGTERM and the first Ctrl-C end a run cleanly, at a step."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Turns SIGTERM and the first Ctrl-C into a question that the loop asks after each call."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # signals reach the main thread only
        return
    # With several processes SIGTERM is JAX's own: its preemption service makes all of them agree on a step.
    numbers = [signal.SIGINT] if jax.process_count() > 1 else [signal.SIGINT, signal.SIGTERM]
    old = {number: signal.getsignal(number) for number in numbers}

    def ask(number, frame):
        del frame
        asked.set()
        signal.signal(number, old[number])  # a second one ends the process at once
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)

    for number in old:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
