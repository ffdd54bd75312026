"""Probes: figures with one modality or field blanked or shuffled beside the figures without."""

from __future__ import annotations

from collections.abc import Mapping

from mmjax.report import html
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Run, baseline_of, numbers
from mmjax.report.views import tables

PLACE = ("probes", 10)


def render(run: Run) -> Markup:
    """A column a probe, or a line saying that there are none."""
    probes = run.results.get("probes")
    probes = {str(k): numbers(v) for k, v in probes.items() if numbers(v)} if isinstance(probes, Mapping) else {}
    if not probes:
        return html.empty("No probes were run.")
    plain = numbers(run.results.get("values"))
    names = list(dict.fromkeys([*plain, *(name for values in probes.values() for name in values)]))
    names = [n for n in names if not baseline_of(n, names) and any(n in values for values in probes.values())]
    body = []
    for name in names:
        cells = [tag("td", html.number(plain[name]) if name in plain else "—", class_="num", data_label="unchanged")]
        cells += [_probed(probe, values.get(name), plain.get(name)) for probe, values in probes.items()]
        body.append(tag("tr", tag("th", tag("code", name), scope="row", data_label="figure"), *cells))
    head = tables.head("figure", ".unchanged", *(f".{probe}" for probe in probes))
    caption = tag(
        "caption",
        "The same figures with one input taken away, and the change in brackets: a figure that stays did not need it.",
    )
    return tag("div", tag("table", caption, head, tag("tbody", *body), class_="stack"), class_="panel")


def _probed(probe: str, value: float | None, plain: float | None) -> Markup:
    if value is None:
        return tag("td", "—", class_="num", data_label=probe)
    change = f" ({tables.signed(value - plain)})" if plain is not None else ""
    return tag("td", html.number(value), tag("span", change, class_="quiet"), class_="num", data_label=probe)
