"""Writes report.html: everything that a workdir tells about a run, in one file without any outside request."""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mmjax.errors import UserError
from mmjax.report import css, html, run_files
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Run
from mmjax.report.sections import (
    attention,
    confusion,
    curves,
    embedding,
    gallery,
    generated,
    joint_map,
    retrieval,
    table,
    tags,
    words,
)
from mmjax.report.views import heads

# What the page claims, the browser enforces: nothing is fetched and no script runs, whatever a class name holds.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
_SECTIONS = (
    ("results", "Results"), ("curves", "Curves"), ("examples", "Examples"), ("classes", "Classes and embeddings"),
    ("probes", "Probes"), ("config", "Config"), ("commands", "Go on from here"),
)  # fmt: skip


def write(path: str | Path) -> Path:
    """Writes `report.html` into a workdir, whatever of the run is there.

    Args:
      path: the workdir, as the commands on the page shall name it.

    Returns:
      the page's path.

    Raises:
      UserError: where `path` is no folder or cannot be written to.
    """
    page = render(run_files.read(path))
    target = Path(path) / "report.html"
    partial = target.with_suffix(".html.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, target)  # a reader never sees half a page
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; give a workdir that can be written to") from error
    return target


def render(run: Run) -> str:
    """The page of a run as HTML text."""
    found = heads.find(run.predictions)
    matrices = [matrix for head in found if (matrix := confusion.render(head))]
    matrices += embedding.render(run.predictions, found)
    matrices += words.render(run.predictions) + joint_map.render(run.predictions)
    drawn = [generated.render(run.predictions)]
    if not drawn[0]:
        drawn = [section.render(run.predictions) for section in (retrieval, tags, attention, gallery)]
    contents = {
        "results": html.join([table.tiles(run.results), table.results_table(run.results)]),
        "curves": curves.render(run.metrics),
        "examples": html.join(drawn),
        "classes": tag("div", *matrices, class_="plots wide") if matrices else html.empty("No head with a reference."),
        "probes": table.probes_table(run.results),
        "config": table.config_listing(run.config),
        "commands": _commands(run),
    }
    sections = [html.section(identity, title, contents[identity]) for identity, title in _SECTIONS]
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
    body = tag("body", _top(run, title, variant), tag("main", _notes(run), *sections), _footer())
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


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
    links = [tag("a", name, href=f"#{identity}") for identity, name in _SECTIONS]
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
    lines += [tag("p", problem, class_="note problem") for problem in run.problems]
    if run.predictions.others:
        others = ", ".join(run.predictions.others)
        lines.append(
            tag("p", f"Examples are of split “{run.predictions.split}”; also stored: {others}.", class_="note")
        )
    return tag("section", *lines, aria_label="Notes") if lines else Markup()


def _commands(run: Run) -> Markup:
    path = shlex.quote(str(run.path))
    command = run.status.get("command")
    parts = []
    if isinstance(command, str) and command:
        words = "Go on where the run stopped (the same command; a finished run says that it is done):"
        parts += [tag("p", words), tag("pre", tag("code", command))]
    trained = run.path / "fold1" if run.results.get("folds") else run.path  # of folds, each has its own
    restore = f"import mmjax\n\nrun = mmjax.restore({str(trained)!r})\npredictions = run.predict(batch)"
    parts += [
        tag("p", "The trained system in a notebook:"),
        tag("pre", tag("code", restore)),
        tag("p", "The same scalars, figures and sounds in TensorBoard, and this page anew:"),
        tag("pre", tag("code", f"tensorboard --logdir {path}\npython -m mmjax.report.page {path}")),
    ]
    return html.join(parts)


def _footer() -> Markup:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return tag("footer", tag("p", f"Written by mmjax on {now}. One file: nothing is loaded from elsewhere."))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: `python -m mmjax.report.page WORKDIR`."""
    parser = argparse.ArgumentParser(
        prog="mmjax-report", description="Writes WORKDIR/report.html from what a run left there."
    )
    parser.add_argument("workdir", help="the workdir of a run, such as runs/soundnet")
    path = parser.parse_args(arguments).workdir
    try:
        print(write(path))
    except UserError as error:
        print(f"mmjax-report: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
