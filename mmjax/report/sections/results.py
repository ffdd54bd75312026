"""The results: each figure beside its trivial baselines."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from mmjax import predictions
from mmjax.report import html
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Run, baseline_of, numbers
from mmjax.report.views import tables

PLACE = ("results", 10)

# For figures whose direction results.json does not give. The first match wins; no match means that no side is taken.
_LOWER = re.compile(
    r"(^|_)(kl|loss|error|errors|nll|wer|cer|eer|fid|kid|perplexity|(?<!effective_)rank|distance|mse|mae|rmse|mcd|entropy|on_silence|abx|bits)(_|$)"
)
_HIGHER = re.compile(
    r"(^|_)(agreement|accuracy|right|recall|precision|map|ap|auc|f1|bleu_?\d?|cider(_d)?|rouge(_l)?|meteor|spice|sdr|sir|sar|stoi|pesq"
    r"|c?iou|psnr|ssim|correlation|similarity|[pr]_\d+|perceptual|in_box"
    r"|pointing|fits|improvement|r2|monotone|whole|fired|purity|information|found|feature_cosine)(_|$)"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure beside one of its baselines.

    Attributes:
      figure, value: name and value.
      baseline, reference: the baseline's own name ("majority") and value; None where the figure has none.
      better: "higher", "lower" or "" (unknown).
    """

    figure: str
    value: float
    baseline: str | None
    reference: float | None
    better: str

    @property
    def difference(self) -> float | None:
        """Value minus baseline."""
        if self.reference is None:
            return None
        return 0.0 if math.isclose(self.value, self.reference, rel_tol=1e-9) else self.value - self.reference

    @property
    def ceiling(self) -> bool:
        """Whether what stands beside the figure is an oracle's: nothing is wrong with less."""
        return bool(predictions.CEILINGS.fullmatch(self.baseline or ""))

    @property
    def verdict(self) -> str:
        """ "better", "worse", "equal", or "" where it cannot be said."""
        if self.difference is None or self.difference != self.difference or not self.better or self.ceiling:
            return ""
        if self.difference == 0:
            return "equal"
        return "better" if (self.difference > 0) == (self.better == "higher") else "worse"


def direction(name: str, better: object) -> str:
    """Whether `name` is better "higher" or "lower": from results.json's `better`, else from the field's usual names."""
    given = better.get(name) if isinstance(better, Mapping) else None
    if given in ("higher", "lower"):
        return given
    words = re.sub(r"[^a-z0-9]+", "_", name.lower())
    return "lower" if _LOWER.search(words) else "higher" if _HIGHER.search(words) else ""


def render(run: Run) -> Markup:
    """The first figures large, and the table of all."""
    return html.join([tiles(run.results), table(run.results)])


def rows(results: Mapping[str, Any]) -> list[Row]:
    """One row a figure and baseline, in the file's order; a figure without a baseline has one row."""
    values = numbers(results.get("values"))
    found = []
    for name, value in values.items():
        if baseline_of(name, values):
            continue
        better = direction(name, results.get("better"))
        baselines = {n[len(name) + 1 :]: v for n, v in values.items() if baseline_of(n, values) == name}
        found += [Row(name, value, None, None, better)] if not baselines else []
        found += [Row(name, value, what, reference, better) for what, reference in baselines.items()]
    return found


def _verdict(row: Row) -> Markup:
    if row.difference is None:
        return tag("td", "", class_="num", data_label="difference")
    sign = {"better": "▲ ", "worse": "▼ ", "equal": "= "}.get(row.verdict, "")
    colour = {"better": " good", "worse": " bad"}.get(row.verdict, "")
    words = f" {row.verdict}" if row.verdict else ""
    return tag("td", f"{sign}{tables.signed(row.difference)}{words}", class_=f"num{colour}", data_label="difference")


def grids(found: list[Row]) -> list[list[Row]]:
    """The rows of figures that share all their baselines, where these are several: each group fits into one grid."""
    beside: dict[str, list[Row]] = {}
    for row in found:
        beside.setdefault(row.figure, []).append(row)
    alike: dict[tuple, list[Row]] = {}
    for several in beside.values():
        alike.setdefault(tuple(sorted(str(row.baseline) for row in several)), []).extend(several)
    return [group for names, group in alike.items() if len(names) >= 4 and len({row.figure for row in group}) >= 3]


def strongest(several: list[Row]) -> Row:
    """The row with the baseline that is hardest to beat, no oracle's; the first one where no side is better."""
    several = [row for row in several if not row.ceiling] or several
    known = [(row.reference, row) for row in several if row.reference is not None and not math.isnan(row.reference)]
    if not known or not several[0].better:
        return several[0]
    choose = max if several[0].better == "higher" else min
    return choose(known, key=lambda pair: pair[0])[1]


def _grid(group: list[Row], measured: str) -> Markup:
    """A line a figure, a column a baseline, the hardest to beat in bold."""
    names = list(dict.fromkeys(str(row.baseline) for row in group))
    body = []
    for figure in dict.fromkeys(row.figure for row in group):
        own = {str(row.baseline): row for row in group if row.figure == figure}
        best = strongest(list(own.values()))
        cells = [tag("td", tag("b", html.number(best.value)), class_="num", data_label="value")]
        for name in names:
            number = html.number(own[name].reference or 0.0)
            shown = tag("b", number) if own[name] is best else number
            cells.append(tag("td", shown, class_="num quiet", data_label=name))
        body.append(tag("tr", tag("th", tag("code", figure), scope="row", data_label="figure"), *cells, _verdict(best)))
    head = tables.head("figure", ".value", *(f".{name.replace('_', ' ')}" for name in names), ".over the bold one")
    told = ", and what an oracle reaches" if any(row.ceiling for row in group) else ""
    said = f"{measured}. Beside each figure what is reached with less{told}; the hardest to beat is bold."
    caption = tag("caption", said)
    return tag("div", tag("table", caption, head, tag("tbody", *body), class_="stack grid"), class_="panel")


def table(results: Mapping[str, Any]) -> Markup:
    """The table of results, or a line saying that there are none yet."""
    found = rows(results)
    if not found:
        return html.empty("No results yet: the run writes them with its evaluation at the end.")
    groups = grids(found)
    gridded = {row.figure for group in groups for row in group}
    found = [row for row in found if row.figure not in gridded]
    measured = describe(results)
    drawn = [_grid(group, measured) for group in groups]
    return html.join([*drawn, _list(found, measured)] if found else drawn)


def _list(found: list[Row], caption: str) -> Markup:
    """A line for every figure and baseline."""
    body, last = [], None
    for row in found:
        first, last = row.figure != last, row.figure
        hint = {"higher": "↑ higher is better", "lower": "↓ lower is better"}.get(row.better, "—")
        figure = tag("th", tag("code", row.figure), scope="row", data_label="figure") if first else tag("th")
        cells = (
            tag("td", html.number(row.value) if first else "", class_="num", data_label="value" if first else None),
            tag("td", hint if first else "", class_="quiet", data_label="direction" if first else None),
            tag("td", row.baseline or "none given", class_="quiet", data_label="baseline"),
            tag(
                "td", "" if row.reference is None else html.number(row.reference), class_="num", data_label="its value"
            ),
            _verdict(row),
        )
        body.append(tag("tr", figure, *cells, class_=None if first else "more"))
    head = tables.head("figure", ".value", "direction", "baseline", ".its value", ".difference")
    return tag("div", tag("table", tag("caption", caption), head, tag("tbody", *body), class_="stack"), class_="panel")


def describe(results: Mapping[str, Any]) -> str:
    """What the figures were measured on, as a phrase."""
    parts = []
    if "split" in results:
        parts.append(f"split “{results['split']}”")
    for key, words in (("examples", "{} examples"), ("step", "after step {}")):
        if key in numbers(results):
            parts.append(words.format(html.number(numbers(results)[key])))
    return ", ".join(parts).capitalize() or "Held-out figures"


def tiles(results: Mapping[str, Any], most: int = 4) -> Markup:
    """The first figures, large, each with the baseline that is hardest to beat below."""
    shown: dict[str, list[Row]] = {}
    for row in rows(results):
        shown.setdefault(row.figure, []).append(row)
    boxes = []
    for row in [strongest(several) for several in shown.values()][:most]:
        title = row.figure.replace("_", " ")
        beside = f"{row.baseline}: {html.number(row.reference)}" if row.reference is not None else "no baseline given"
        boxes.append(
            tag("div", tag("span", title), tag("b", html.number(row.value)), tag("span", beside), class_="tile")
        )
    return tag("div", *boxes, class_="tiles") if boxes else Markup()
