"""The audit: which modality carries the figures, as `mmjax audit` found it; nothing where it was not asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from mmjax.report import html, style
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Run
from mmjax.report.views import tables

PLACE = ("probes", 20)


def render(run: Run) -> Markup:
    """The warnings, the sentences, the table, and how right the probabilities are."""
    sentences, rows = texts(run.audit.get("sentences")), run.audit.get("table")
    if not sentences:
        return Markup()
    parts = [tag("h3", f"Audit, after step {run.audit.get('step')}")]
    parts += [tag("p", tag("strong", f"Warning: {line}.")) for line in texts(run.audit.get("warnings"))]
    parts += [tag("p", line) for line in sentences]
    if isinstance(rows, list) and len(rows) > 1 and all(map(texts, rows)):
        parts.append(table(*map(texts, rows)))
    bits = run.audit.get("bits")
    curve = bits.get("reliability") if isinstance(bits, Mapping) else None
    if isinstance(curve, Mapping) and (points := reliable(curve)):
        words = (
            "How sure the system was of its answer, and how often it was right, after calibration; dashed: as it says."
        )
        parts.append(tag("div", html.plot(drawing(points), words), class_="plots"))
    return html.join(parts)


def texts(value: Any) -> list[str]:
    """A list of texts as it is; [] for anything else."""
    return value if isinstance(value, list) and all(isinstance(line, str) for line in value) else []


def table(head: list[str], *rows: list[str]) -> Markup:
    """A line a figure."""
    body = [
        tag(
            "tr",
            tag("th", tag("code", name), scope="row", data_label="figure"),
            *(tag("td", cell, class_="num", data_label=title) for title, cell in zip(head[1:], cells)),
        )
        for name, *cells in rows
    ]
    told = (
        "Each figure without one modality, by what came in its place; shares are Shapley values of another example's."
    )
    titles = tables.head(head[0], *(f".{title}" for title in head[1:]))
    return tag("div", tag("table", tag("caption", told), titles, tag("tbody", *body), class_="stack"), class_="panel")


def reliable(curve: Mapping[str, Any]) -> list[tuple[float, float]]:
    """(confidence, accuracy) of the bins that hold examples."""
    columns = [curve.get(name) for name in ("confidence", "accuracy")]
    if not all(isinstance(column, list) for column in columns):
        return []
    pairs = [pair for pair in zip(*columns) if all(isinstance(x, int | float) and 0 <= x <= 1 for x in pair)]
    return [(float(x), float(y)) for x, y in pairs]


def drawing(points: list[tuple[float, float]]) -> Figure:
    """The reliability diagram."""
    with style.axes(3.6, 2.5) as (figure, axes):
        axes.plot((0, 1), (0, 1), color=style.RULE, linestyle=(0, (4, 2.5)), linewidth=1.3)
        axes.plot(*zip(*points), color=style.SERIES[0], marker="o", markersize=3.5)
        axes.set_title("reliability")
        axes.set_xlabel("how sure")
        axes.set_ylabel("how often right")
    return figure
