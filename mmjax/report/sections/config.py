"""The resolved config of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmjax import workdir
from mmjax.report import html
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Run

PLACE = ("config", 10)


def render(run: Run) -> Markup:
    """A block a section, folded, or a line saying that no config is there."""
    config = run.config
    if not config:
        return html.empty(f"No {workdir.CONFIG} in this workdir.")
    loose = {key: value for key, value in config.items() if not _nested(value)}
    blocks = [_block("general", loose)] if loose else []
    blocks += [_block(str(key), value) for key, value in config.items() if _nested(value)]
    return tag("details", tag("summary", "All settings of this run"), tag("div", *blocks, class_="config"))


def _nested(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _block(title: str, values: Mapping[str, Any]) -> Markup:
    lines = [
        tag("tr", tag("th", key, scope="row"), tag("td", tag("code", value))) for key, value in flatten(values).items()
    ]
    return tag("div", tag("h3", title), tag("table", tag("tbody", *lines)))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested dict as {dotted name: value as text}."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if _nested(value):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = ", ".join(map(str, value)) if isinstance(value, list) and value else str(value)
    return flat
