"""What tables of figures have in common."""

from __future__ import annotations

from mmjax.report import html
from mmjax.report.html import Markup, tag


def head(*titles: str) -> Markup:
    """Column titles; a leading dot marks a column of numbers."""
    cells = (tag("th", title.lstrip("."), scope="col", class_="num" if title[:1] == "." else None) for title in titles)
    return tag("thead", tag("tr", *cells))


def signed(value: float) -> str:
    """A difference for reading, with its sign."""
    return ("+" if value > 0 else "") + html.number(value)
