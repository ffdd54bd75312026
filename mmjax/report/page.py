"""Writes report.html: everything that a workdir tells about a run, in one file without any outside request."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from mmjax import workdir
from mmjax.errors import UserError
from mmjax.report import css, gallery, html, run_files, sections
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Run
from mmjax.report.sections import CHAPTERS

# What the page claims, the browser enforces: nothing is fetched and no script runs, whatever a class name holds.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


def write(path: str | Path) -> Path:
    """Writes report.html into a workdir, whatever of the run is there.

    Args:
      path: the workdir, as the commands on the page shall name it.

    Returns:
      the page's path.

    Raises:
      UserError: where `path` is no folder or cannot be written to.
    """
    page = render(run_files.read(path))
    target = Path(path).expanduser() / workdir.REPORT
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, target)  # a reader never sees half a page
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; give a workdir that can be written to") from error
    return target


def render(run: Run) -> str:
    """The page of a run as HTML text: every section whose wants are there, and the gallery of what none covers."""
    shown: dict[str, list[Markup]] = {chapter: [] for chapter in CHAPTERS}
    covered: set[str] = set()
    for section in sections.discover():
        drawn = section.render(run) if section.finds(run.predictions.arrays) else Markup()
        if drawn:
            shown[section.chapter].append(drawn)
            covered |= section.covers(run.predictions)
    if rest := gallery.render(run.predictions, covered):
        shown["examples"].append(rest)
    chapters = [
        html.section(identity, CHAPTERS[identity].title, _chapter(identity, parts)) for identity, parts in shown.items()
    ]
    title, variant = _title(run)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title}{f' ({variant})' if variant else ''} · mmjax report"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(css.CSS)),
    )
    body = tag("body", _top(run, title, variant), tag("main", _notes(run), *chapters), _footer())
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _chapter(identity: str, parts: list[Markup]) -> Markup:
    chapter = CHAPTERS[identity]
    if not parts:
        return html.empty(chapter.nothing)
    return tag("div", *parts, class_=chapter.layout) if chapter.layout else html.join(parts)


def _title(run: Run) -> tuple[str, str]:
    system = next(
        (run.config[k] for k in ("system", "task", "name") if isinstance(run.config.get(k), str)),
        run.path.resolve().name,
    )
    variant = run.config.get("variant")
    return system, variant if isinstance(variant, str) else ""


def _top(run: Run, title: str, variant: str) -> Markup:
    heading = tag("h1", title, tag("small", variant) if variant else "")
    state = run.status.get("state")
    numbers = run_files.numbers(run.status)
    parts = [
        tag("span", state or "state unknown", class_=f"state {state}" if state in ("done", "stopped") else "state")
    ]
    if "step" in numbers:
        of = f" of {numbers['steps']:,.0f}" if "steps" in numbers else ""
        parts.append(tag("span", f"step {numbers['step']:,.0f}{of}"))
    if run.metrics.first is not None and run.metrics.last is not None:
        parts.append(tag("span", f"last log line {_moment(run.metrics.last)}"))
        parts.append(tag("span", f"{_span(run.metrics.last - run.metrics.first)} from first to last log line"))
    links = [tag("a", chapter.title, href=f"#{identity}") for identity, chapter in CHAPTERS.items()]
    return tag(
        "header", heading, tag("div", *parts, class_="meta"), tag("nav", *links, aria_label="Sections"), class_="top"
    )


def _moment(seconds: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"


def _span(seconds: float) -> str:
    if not 0 <= seconds < 1e9:
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _notes(run: Run) -> Markup:
    notes = run.results.get("notes")
    lines = [tag("p", note, class_="note") for note in notes] if isinstance(notes, list) else []
    warnings = run.audit.get("warnings")
    lines += [tag("p", f"Audit: {line}.", class_="note") for line in warnings] if isinstance(warnings, list) else []
    lines += [tag("p", problem, class_="note problem") for problem in run.problems]
    if run.predictions.others:
        others = ", ".join(run.predictions.others)
        lines.append(
            tag("p", f"Examples are of split “{run.predictions.split}”; also stored: {others}.", class_="note")
        )
    return tag("section", *lines, aria_label="Notes") if lines else Markup()


def _footer() -> Markup:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return tag("footer", tag("p", f"Written by mmjax on {now}. One file: nothing is loaded from elsewhere."))
