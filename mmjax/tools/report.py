"""Writes the page of a run anew, WORKDIR/report.html, from what the run left there.

mmjax report runs/soundnet
"""

from __future__ import annotations

from collections.abc import Sequence

from mmjax.report import page
from mmjax.tools import Parser


def main(arguments: Sequence[str], typed: str) -> None:
    """Writes the page and prints its path. Raises UserError if that cannot be."""
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", help="the workdir of a run, such as runs/soundnet")
    print(page.write(parser.parse_args(arguments).workdir))
