"""A run of several processes ends as one: where one of them dies, every other ends soon, with a line that says so.

JAX ends a process whose peers are gone from a thread of C++, past every handler of Python, with a stack trace
(findings/peer_killed.sh). So the line is left with a shell beside each process, which says it when the process is gone,
below whatever that printed, unless it hears that the process ended by itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

import jax

from mmjax.errors import NonFinite, UserError

# Seconds without a sign of life after which JAX takes a process for dead: its own 100 leave too little of two minutes.
HEARTBEAT = 60
# Errors that all processes raise together, and so may take leave of each other as they do at the end of a run.
TOGETHER = (UserError, NonFinite, KeyboardInterrupt, SystemExit)
# Says the last line that it was told, once nobody can tell it another.
_SHELL = 'last=$0; while IFS= read -r line; do last=$line; done; [ -z "$last" ] || printf "%s\\n" "$last" >&2'


@contextlib.contextmanager
def spoken(called: str) -> Iterator[None]:
    """Leaves the last words of this process with a shell, to be said if it is ended from inside or from outside.

    An error that the others do not raise, too, ends the process here: at a usual exit it would wait for them, and they
    wait for it.

    Args:
      called: who speaks, as "train.py".
    """
    if jax.process_count() == 1:
        yield
        return
    who = f"{called}: process {jax.process_index()} of {jax.process_count()}"
    goes = "the same command on all of them goes on from the last checkpoint"
    words = f"{who} was ended, by a signal or because another one died or failed: see what the others say; {goes}"
    shell = _left_with(words)
    try:
        yield
    except TOGETHER:
        raise
    except Exception as error:
        said = str(error).strip().splitlines() or [""]
        # By the shell, too: what made it fail may be ending this process from C++ already.
        _tell(shell, f"{who} failed: {type(error).__name__}: {said[0][:300]}; {goes}")
        os._exit(1)
    finally:
        _tell(shell, "")
        shell.communicate()


def alone(error: BaseException) -> bool:
    """Whether, after this error, nothing may be waited for that several processes do together."""
    return jax.process_count() > 1 and not isinstance(error, TOGETHER)


def _left_with(words: str) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C is for this process, which then ends by itself.
    return subprocess.Popen(["sh", "-c", _SHELL, words], stdin=subprocess.PIPE, bufsize=0, start_new_session=True)


def _tell(shell: subprocess.Popen[bytes], words: str) -> None:
    """Has the shell say these words, or nothing, in the place of those that it has."""
    with contextlib.suppress(OSError, ValueError):  # it is gone already
        assert shell.stdin is not None
        shell.stdin.write(f"{words}\n".encode(errors="replace"))
