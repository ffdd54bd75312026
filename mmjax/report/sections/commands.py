"""How to go on from here: the commands that concern this run."""

from __future__ import annotations

import shlex

from mmjax import workdir
from mmjax.report import html
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Run

PLACE = ("commands", 10)


def render(run: Run) -> Markup:
    """Going on, the trained system in a notebook, TensorBoard and this page anew."""
    path = shlex.quote(str(run.path))
    command = run.status.get("command")
    parts = []
    if isinstance(command, str) and command:
        words = "Go on where the run stopped (the same command; a finished run says that it is done):"
        parts += [tag("p", words), tag("pre", tag("code", command))]
    trained = workdir.fold(run.path, 1) if run.results.get("folds") else run.path  # of folds, each has its own
    restore = f"import mmjax\n\nrun = mmjax.restore({str(trained)!r})\npredictions = run.predict(batch)"
    parts += [
        tag("p", "The trained system in a notebook:"),
        tag("pre", tag("code", restore)),
        tag("p", "The same scalars, figures and sounds in TensorBoard, and this page anew:"),
        tag("pre", tag("code", f"tensorboard --logdir {path}\nmmjax report {path}")),
    ]
    return html.join(parts)
