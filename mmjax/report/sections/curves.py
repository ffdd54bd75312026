"""Curves of the run: losses, held-out figures with their baselines dashed, speed, and the other training logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmjax import predictions, workdir
from mmjax.report import html, style
from mmjax.report.html import Markup, tag
from mmjax.report.run_files import Run, baseline_of

PLACE = ("curves", 10)

Curve = Mapping[int, float]

# Beyond that many points a line is thinned (each point the mean of its neighbours); beyond the second, it is drawn
# faint with a running mean over it, for single batches are noisy.
_POINTS = 400
_SMOOTH = 40
_FAR = 3  # times what curve and baselines span: an oracle beyond is not drawn
_OTHERS, _FEW = 24, 6  # most drawings of the other logs; so few are not folded
_UNITS = (
    (r"(\w+)_per_second$", r"\1 / s"),
    (r"(^|_)kl$", "nats"),
    (r"(sdr|sir|sar|psnr|_db)$", "dB"),
    (r"_seconds$", "s"),
)


def unit(name: str) -> str:
    """The unit of a figure as far as its name tells ("examples_per_second" -> "examples / s"), else ""."""
    last = name.rsplit("/", 1)[-1]
    for pattern, written in _UNITS:
        match = re.search(pattern, last)
        if match:
            return match.expand(written).replace("_", " ")
    return ""


def points(curve: Curve, most: int = _POINTS) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Steps and values of a curve, averaged in equal runs of neighbours so that at most `most` points are left.

    Args:
      curve: {step: value}, in increasing order of steps.
      most: the number of points to keep.

    Returns:
      (steps, values), each float64 [n]; non-finite values are left out.
    """
    pairs = np.array([(s, v) for s, v in curve.items() if np.isfinite(v)], np.float64).reshape(-1, 2)
    if len(pairs) > most:
        pairs = np.stack([part.mean(axis=0) for part in np.array_split(pairs, most)])
    return pairs[:, 0], pairs[:, 1]


def smooth(values: Float[np.ndarray, " n"], width: int) -> Float[np.ndarray, " n"]:
    """Centred running mean over `width` points (odd), with shorter windows at both ends."""
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")


def _line(axes: Axes, curve: Curve, colour: str, label: str | None, dots: bool = False) -> None:
    steps, values = points(curve)
    marker = "o" if dots and len(steps) <= 30 else None
    if not dots and len(steps) > _SMOOTH:
        axes.plot(steps, values, color=colour, alpha=0.4, linewidth=0.7)
        width = len(steps) // 20 * 2 + 1
        values = smooth(values, width)
    axes.plot(steps, values, color=colour, label=label, marker=marker, markersize=3.5)


def _finish(axes: Axes, name: str, legend: bool) -> None:
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    axes.set_title(name)
    axes.set_xlabel("step")
    axes.set_ylabel(unit(name))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    if legend:
        longest = max(len(label) for label in axes.get_legend_handles_labels()[1])
        columns = 3 if longest <= 14 else 2  # as many as the figure's width has room for
        axes.figure.legend(loc="outside lower left", ncols=columns, handlelength=1.6, columnspacing=1.2, borderpad=0)


def train_figure(name: str, curves: Mapping[str, Curve]) -> Figure:
    """Training logs of one kind over steps, {label: {step: value}}, several with a legend.

    The axis is logarithmic where they span more than a factor of thirty.
    """
    several = len(curves) > 1
    with style.axes(3.6, 2.5 if several else 2.3) as (figure, axes):
        for colour, (label, curve) in zip(style.SERIES, curves.items()):
            _line(axes, curve, colour, label if several else None)
        values = np.concatenate([points(curve)[1] for curve in curves.values()])
        if len(values) and values.min() > 0 and values.max() > 30 * values.min():
            axes.set_yscale("log")
        _finish(axes, name, legend=several)
    return figure


def groups(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Logs that differ in their last part only share a drawing: {title: {label: name}}, in the order of the first.

    "loss/gen" and "loss/disc" make {"loss": {"gen": "loss/gen", "disc": "loss/disc"}}; a log alone keeps its name.
    """
    found: dict[str, dict[str, str]] = {}
    for name in names:
        head, slash, label = name.rpartition("/")
        found.setdefault(f"{head}/" if slash else name, {})[label] = name
    drawn: dict[str, dict[str, str]] = {}
    for head, members in found.items():
        if len(members) == 1 or len(members) > len(style.SERIES):
            drawn |= {name: {label: name} for label, name in members.items()}
        else:
            drawn[head.removesuffix("/") if head[:-1] not in found else head] = members
    return drawn


def eval_figure(name: str, curve: Curve, baselines: Mapping[str, Curve], training: Curve | None = None) -> Figure:
    """A held-out figure over steps, its baselines dashed, and the training batches' own figure faint where logged.

    Args:
      name: of the figure; the title.
      curve: {step: value} on held-out data.
      baselines: {what: {step: value}}, named without the figure's name.
      training: {step: value} of the same figure on training batches.
    """
    with style.axes(3.6, 2.5) as (figure, axes):
        if training:
            steps, values = points(training)
            values = smooth(values, len(values) // 20 * 2 + 1) if len(values) > _SMOOTH else values
            axes.plot(steps, values, color=style.SERIES[0], alpha=0.55, linewidth=1, label="training")
        for colour, (what, line) in zip(style.SERIES[1:], baselines.items()):
            steps, values = points(line)
            if len(steps) == 1:
                axes.axhline(values[0], color=colour, linestyle=(0, (4, 2.5)), linewidth=1.3, label=what)
            else:
                axes.plot(steps, values, color=colour, linestyle=(0, (4, 2.5)), linewidth=1.3, label=what)
        _line(axes, curve, style.SERIES[0], "held out", dots=True)
        _finish(axes, name, legend=bool(baselines or training))
    return figure


def near(curve: Curve, baselines: Mapping[str, Curve]) -> dict[str, Curve]:
    """The baselines without those oracles beside which a curve would look flat: further from it and the other baselines
    than three times what these span. Their values are under the drawing all the same."""
    oracles = [what for what in baselines if predictions.CEILINGS.fullmatch(what)]
    others = [curve, *(line for what, line in baselines.items() if what not in oracles)]
    values = np.concatenate([points(line)[1] for line in others])
    if not len(values):
        return dict(baselines)
    low, high = values.min(), values.max()

    def far(line: Curve) -> bool:
        own = points(line)[1]
        return bool(len(own)) and max(own.max() - high, low - own.min()) > _FAR * (high - low) > 0

    return {what: line for what, line in baselines.items() if what not in oracles or not far(line)}


def _caption(name: str, curve: Curve, beside: str = "") -> str:
    step, value = list(curve.items())[-1]
    of = f" {unit(name)}" if unit(name) else ""
    broken = sum(not np.isfinite(v) for v in curve.values())
    lost = f" {broken} non-finite {'value' if broken == 1 else 'values'} left out." if broken else ""
    return f"{html.number(value)}{of} at step {step:,}{beside}.{lost}"


def _train_plots(train: Mapping[str, Curve], names: Iterable[str]) -> list[Markup]:
    return [_train_plot(title, {label: train[n] for label, n in own.items()}) for title, own in groups(names).items()]


def _train_plot(title: str, curves: Mapping[str, Curve]) -> Markup:
    parts = [_caption(title, curve) for curve in curves.values()]
    caption = parts[0] if len(parts) == 1 else " ".join(f"{label}: {part}" for label, part in zip(curves, parts))
    plural = "Curves" if len(parts) > 1 else "Curve"
    return html.plot(train_figure(title, curves), f"{plural} of {title} over training steps: {caption}", caption)


def _eval_plot(name: str, evals: Mapping[str, Curve], training: Curve | None) -> Markup:
    baselines = {n[len(name) + 1 :]: line for n, line in evals.items() if baseline_of(n, evals) == name}
    beside = "".join(f"; {what} {html.number(list(line.values())[-1])}" for what, line in baselines.items())
    caption = _caption(name, evals[name], beside)
    drawing = eval_figure(name, evals[name], near(evals[name], baselines), training)
    return html.plot(drawing, f"Held-out curve of {name} over training steps: {caption}", caption)


def render(run: Run) -> Markup:
    """All curves: losses, held-out figures, speed; the remaining training logs below, folded where they are many."""
    train, evals = run.metrics.curves.get("train", {}), run.metrics.curves.get("eval", {})
    if not train and not evals:
        return html.empty(f"No curves yet: {workdir.METRICS} is missing or empty.")
    losses = [name for name in train if name == "loss" or name.startswith("loss/")]
    figures = [name for name in evals if not baseline_of(name, evals)]
    speeds = [name for name in train if name.endswith("per_second")]
    rest = [name for name in train if name not in {*losses, *figures, *speeds}]
    parts = []
    for title, drawn in (
        ("Training: loss and speed", _train_plots(train, (*losses, *speeds))),
        ("Held-out figures", [_eval_plot(name, evals, train.get(name)) for name in figures]),
    ):
        parts += [tag("h3", title), tag("div", *drawn, class_="plots")] if drawn else []
    drawn = _train_plots(train, rest)
    if drawn:
        left = f" (the first {_OTHERS} of {len(drawn)})" if len(drawn) > _OTHERS else ""
        title = tag("summary", f"Other training logs{left}")
        few = len(drawn) <= _FEW
        parts.append(tag("details", title, tag("div", *drawn[:_OTHERS], class_="plots"), open=few))
    return html.join(parts)
