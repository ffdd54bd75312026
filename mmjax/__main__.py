"""`mmjax`, and `python -m mmjax`: one command, see `mmjax --help`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from mmjax import tools


def main() -> NoReturn:
    """The command line."""
    try:
        status = tools.command(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # `mmjax --help | head -3`: whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    tools.leave(status)


def report() -> int:
    """`mmjax-report`, as `mmjax report` was called before there was one command; goes with the next release."""
    print("mmjax-report is now `mmjax report`", file=sys.stderr)
    return tools.run("report", sys.argv[1:], "mmjax-report")


if __name__ == "__main__":
    main()
