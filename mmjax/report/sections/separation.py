"""How well sounds were picked out of mixtures: by the pair of classes that was mixed, by which is louder, and by how
far apart the two are in pitch.

Drawn for `number/si_sdr_improvement` [n]; the pairs where `number/mixed_classes` [n k] tells them, the levels where
`number/improvement_by_level` [n 5] has them, and pitch where `number/pitch_apart` [n] does; a line on STOI and PESQ
where `number/quality_estimate` [n 2] has them. The gallery has the players, spectrograms and masks.
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from mmjax.report import html, style
from mmjax.report.html import Markup, join, tag
from mmjax.report.run_files import Run

PLACE = ("classes", 40)
WANTS = (("number/si_sdr_improvement",),)

LEVELS_DB = (-10, -5, 0, 5, 10)  # of number/improvement_by_level
SEMITONES = (0, 1, 2, 4, 7, 12, np.inf)  # between which differences of pitch are taken together
_LARGEST = 40  # classes whose names can be read along a side


def render(run: Run) -> Markup:
    """A figure of each that is there; empty where nothing counts."""
    gains = run.predictions.get("number/si_sdr_improvement")
    if gains is None or not np.isfinite(gains).any():
        return Markup()
    drawn = [_spread(np.asarray(gains, np.float64)), _quality(run, int(np.isfinite(gains).sum()))]
    kinds, levels = run.predictions.get("number/mixed_classes"), run.predictions.get("number/improvement_by_level")
    names = run.predictions.names.get("source", ())
    if kinds is not None and kinds.shape[1] == 2 and 1 < len(names) <= _LARGEST:
        means, counts = by_pair(gains, kinds, len(names))
        label = f"Mean improvement in dB of each of {len(names)} classes beside each other one"
        said = f"Rows: what was asked for. Columns: what it was mixed with. {int(counts.sum()):,} estimates."
        drawn.append(_shown(pair_figure(means, names), label, said))
    if levels is not None and np.isfinite(levels).all(1).any():
        label = "Mean improvement in dB by how much louder the sound is than the other one"
        said = "The same mixtures, one sound made louder. What is soft has more to gain, and is harder to find."
        drawn.append(_shown(level_figure(levels), label, said))
    apart = run.predictions.get("number/pitch_apart")
    if apart is not None and (np.isfinite(apart) & np.isfinite(gains)).any():
        label = "Mean improvement in dB by how many semitones the two sounds differ in pitch"
        said = "The number of estimates stands above each bar. Of sounds of one pitch, all harmonics are in one place."
        drawn.append(_shown(pitch_figure(*by_pitch(gains, apart)), label, said))
    return join([tag("h3", "Sounds picked out of mixtures"), *drawn])


def _spread(gains: Float[np.ndarray, " n"]) -> Markup:
    known = gains[np.isfinite(gains)]
    low, middle, high = np.quantile(known, (0.1, 0.5, 0.9))
    worse = np.mean(known < 0)
    return tag(
        "p",
        f"SI-SDR of {len(known):,} estimates above that of their mixtures: {known.mean():.1f} dB in the mean, "
        f"{middle:.1f} in the median, {low:.1f} to {high:.1f} for four fifths of them; {worse:.0%} are worse than the "
        "mixture itself.",
    )


def _quality(run: Run, counted: int) -> Markup:
    """Of how many of the estimates that count STOI and PESQ are known, and what they are; empty where none is."""
    values = run.predictions.get("number/quality_estimate")
    if values is None or not np.isfinite(values).any():
        return Markup()
    said = []
    for name, column in zip(("STOI", "PESQ"), np.asarray(values, np.float64).T, strict=True):
        known = column[np.isfinite(column)]
        if known.size:
            said.append(f"{name} is {known.mean():.2f} in the mean, of {known.size:,} of {counted:,} estimates")
    return tag("p", f"{'; '.join(said)}. The others' voices say too little to be judged, or the judgement failed.")


def by_pair(
    gains: Float[np.ndarray, " n"], kinds: Int[np.ndarray, "n 2"], classes: int
) -> tuple[Float[np.ndarray, "c c"], Int[np.ndarray, "c c"]]:
    """The mean improvement of each class (row) beside each other class (column), NaN for none; and how many there are.

    What is no number counts nowhere, and neither does a clip without a class.
    """
    kept = np.isfinite(gains) & (kinds >= 0).all(1) & (kinds < classes).all(1)
    sums, counts = np.zeros((classes, classes)), np.zeros((classes, classes), np.int64)
    own, other = kinds[kept].T
    np.add.at(sums, (own, other), gains[kept])
    np.add.at(counts, (own, other), 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), counts


def pair_figure(means: Float[np.ndarray, "c c"], names: tuple[str, ...]) -> Figure:
    """The means as a matrix, written into the cells where there is room."""
    side = float(np.clip(2.4 + 0.24 * len(names), 3.6, 8.5))
    reach = float(np.nanmax(np.abs(means))) or 1.0
    with style.axes(side + 0.5, side) as (figure, axes):
        shown = axes.imshow(means, cmap="RdBu", vmin=-reach, vmax=reach, interpolation="nearest")
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0, pad=2)
        axes.set(xlabel="mixed with", ylabel="asked for")
        axes.spines[:].set_visible(False)
        if len(names) <= 16:
            for row, column in np.argwhere(np.isfinite(means)):
                strong = abs(means[row, column]) > 0.6 * reach
                ink = "#ffffff" if strong else style.INK
                axes.text(column, row, f"{means[row, column]:.0f}", ha="center", va="center", fontsize=7, color=ink)
        bar = figure.colorbar(shown, ax=axes, fraction=0.04, pad=0.02, aspect=25, label="improvement (dB)")
        bar.outline.set_visible(False)
    return figure


def level_figure(levels: Float[np.ndarray, "n 5"]) -> Figure:
    """The mean at each difference of level, with the quartiles."""
    rows = np.asarray(levels, np.float64)
    rows = rows[np.isfinite(rows).all(1)]
    low, high = np.quantile(rows, (0.25, 0.75), axis=0)
    with style.axes(4.6, 2.6) as (figure, axes):
        axes.fill_between(LEVELS_DB, low, high, color=style.SERIES[0], alpha=0.2, linewidth=0)
        axes.plot(LEVELS_DB, rows.mean(0), color=style.SERIES[0], marker="o")
        axes.set_xticks(LEVELS_DB)
        axes.set(xlabel="louder than the other sound (dB)", ylabel="improvement (dB)")
    return figure


def by_pitch(
    gains: Float[np.ndarray, " n"], apart: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """The mean improvement between two neighbours of SEMITONES each, NaN for none; and of how many estimates."""
    kept = np.isfinite(gains) & np.isfinite(apart)
    at = np.digitize(apart[kept], SEMITONES[1:-1])
    counts = np.bincount(at, minlength=len(SEMITONES) - 1)
    sums = np.bincount(at, np.asarray(gains, np.float64)[kept], len(SEMITONES) - 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), counts


def pitch_figure(means: Float[np.ndarray, " k"], counts: Int[np.ndarray, " k"]) -> Figure:
    """The means as bars, with the number of estimates above each."""
    names = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(SEMITONES[:-1])]
    with style.axes(4.6, 2.6) as (figure, axes):
        bars = axes.bar([*names, f"{SEMITONES[-2]:g} or more"], np.nan_to_num(means), color=style.SERIES[0])
        axes.bar_label(bars, [str(count) for count in counts], fontsize=7, color=style.INK)
        axes.set(xlabel="semitones between the sounds", ylabel="improvement (dB)")
    return figure


def _shown(figure: Figure, label: str, said: str) -> Markup:
    return tag("figure", html.svg(figure, label), tag("figcaption", said))
