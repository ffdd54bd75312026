"""The subcommands of `mmjax`: a module each, whose first line of documentation is what `mmjax --help` says of it.

A tool offers `main(arguments, typed) -> None`, where `typed` is what the user typed before the arguments ("mmjax
words"), for its help and its records. It raises; what becomes of that is decided here, for all tools and for train.py.
"""

from __future__ import annotations

import argparse
import ast
import atexit
import contextlib
import difflib
import importlib
import os
import pkgutil
import select
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mmjax.errors import NonFinite, UserError

NOBODY = "Could not determine home directory."  # what pathlib says of ~nobody/x


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are one line, as all others are.

    Args:
      typed: what the user typed before the arguments.
      about: the tool's docstring.
    """

    def __init__(self, typed: str, about: str | None):
        super().__init__(prog=typed, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)

    def examples(self, count: int, what: str) -> None:
        """Adds the option --examples: how many held-out ones, `count` where it is not given; what becomes of them."""
        told = f"held-out ones {what} (default {count})"
        self.add_argument("--examples", type=int, default=count, metavar="N", help=told)

    def error(self, message: str) -> NoReturn:
        """Raises UserError with the mistake."""
        raise UserError(f"{message}; {self.prog} --help shows how it is called")


def modules() -> dict[str, str]:
    """{subcommand: its module}, in alphabetical order."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return {name.replace("_", "-"): f"{__name__}.{name}" for name in sorted(found)}


def usage() -> str:
    """What `mmjax --help` prints: read from the sources, as importing the tools takes seconds."""
    folder = Path(__file__).parent
    lines = ["usage: mmjax COMMAND ...", ""]
    for name, module in modules().items():
        code = (folder / f"{module.rpartition('.')[2]}.py").read_text(encoding="utf-8")
        about = ast.get_docstring(ast.parse(code)) or ""
        lines.append(f"  {name:<20}{about.partition(chr(10))[0]}")
    return "\n".join([*lines, "", "mmjax COMMAND --help says more of one."])


def command(arguments: Sequence[str]) -> int:
    """`mmjax ARGUMENTS`; returns the exit status."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help", "help") and not rest:
        print(usage())
        return 0
    if name not in modules():
        close = difflib.get_close_matches(name, modules(), 1, 0.5)
        offered = f"did you mean {close[0]}?" if close else f"there are {', '.join(modules())}"
        print(f"mmjax: {name!r} is no command; {offered}", file=sys.stderr)
        return 2
    return run(name, rest)


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has had enough (`| head -3`); then what is left goes nowhere."""
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), select.POLLOUT)
    if not any(event & select.POLLERR for _, event in pipe.poll(0)):
        return False  # another pipe is broken
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _without_reports() -> None:
    """Orbax reports every file it touches, and what it raises a second time: what is to be said a tool says itself."""
    from absl import logging  # not for `mmjax --help`

    logging.set_verbosity(logging.FATAL)


def run(name: str, arguments: Sequence[str], typed: str = "", called: str = "") -> int:
    """Runs a subcommand, and says in one line what went wrong.

    Args:
      name: of the subcommand.
      arguments: after it.
      typed: what the user typed before them; "" = "mmjax NAME".
      called: who speaks in messages; "" = `typed`.

    Returns:
      The exit status: 0 done or stopped on request, 1 a failed run, 2 a mistake of the user's, 130 interrupted.
    """
    typed = typed or f"mmjax {name}"
    # Before jax is imported: a second start of the same network compiles nothing, and a laptop waits seconds.
    home = os.path.expanduser(os.environ.get("MMJAX_DATA") or "~/.cache/mmjax")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(home, "xla"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")  # jax's own limit is a second
    try:
        tool = importlib.import_module(modules()[name])
        _without_reports()
        tool.main(arguments, typed)
        return 0
    except UserError as error:
        status, line = 2, str(error)
    except NonFinite as error:
        status, line = 1, str(error)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return 1
        status, line = 1, f"{error.filename or 'system'}: {error.strerror or error}"
    except RuntimeError as error:
        if str(error) != NOBODY:
            raise
        status, line = 2, "a path begins with ~ and a name of no user of this machine"
    except KeyboardInterrupt as error:
        status, line = 130, str(error) or "interrupted"
    except SystemExit as error:  # of argparse, after its help
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    print(f"{called or typed}: {line}", file=sys.stderr)
    return status


def leave(status: int) -> NoReturn:
    """Ends the process with the status of `run`.

    After a failure no thread is waited for: a write that failed leaves Orbax's behind, which wait five minutes for a
    folder that nobody makes, and the user for his prompt.
    """
    waits = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if status and waits:
        sys.stderr.flush()
        with contextlib.suppress(OSError, ValueError):  # nobody reads what is left
            sys.stdout.flush()
        atexit._run_exitfuncs()  # type: ignore[attr-defined]  # temporary files go, child processes end
        os._exit(status)
    sys.exit(status)
