"""Units of speech under the spectrogram, beside the true boundaries; and triples of ABX that are wrong, to be heard.

Drawn for `number/codes` [n t] with `number/code_seconds` [n] and `heatmap/mel`; the boundaries where `number/begins` [n
u] has them, and the triples where `number/pieces` [n p 6] tells where they lie.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from mmjax.report import html, style
from mmjax.report.html import Markup, join, tag
from mmjax.report.run_files import Predictions, Run
from mmjax.report.views import sound

PLACE = ("classes", 45)
WANTS = (("number/codes", "number/code_seconds", "heatmap/mel"),)

_DRAWN = 4  # utterances
_TRIPLES = 4
_COLOURS = 20  # that neighbours differ is enough: nobody can tell 128 apart


def render(run: Run) -> Markup:
    """Some utterances, and some triples."""
    predictions = run.predictions
    codes, seconds = predictions.get("number/codes"), predictions.get("number/code_seconds")
    mel, begins = predictions.get("heatmap/mel"), predictions.get("number/begins")
    if codes is None or seconds is None or mel is None or not len(mel):
        return Markup()
    drawn = []
    for example in range(min(_DRAWN, len(mel))):
        true = np.zeros(0) if begins is None else begins[example][np.isfinite(begins[example])]
        figure = units_figure(mel[example], codes[example], float(seconds[example]), true)
        label = f"Example {example}: log-mel, and below it the units that were heard, a colour a unit"
        drawn.append(html.plot(figure, label, f"Example {example}. Lines: where true units begin."))
    return join([tag("h3", "Units that were heard"), *drawn, _triples(predictions)])


def units_figure(
    mel: Float[np.ndarray, "bands frames"],
    codes: Int[np.ndarray, " t"],
    seconds: float,
    begins: Float[np.ndarray, " u"],
) -> Figure:
    """Log-mel above a strip of units.

    Args:
      mel: frames as many as the codes last.
      codes: -1 behind the last.
      seconds: of a code.
      begins: of true units, in seconds.
    """
    real = codes[codes >= 0]
    lasts = max(len(real) * seconds, 1e-3)
    frames = max(1, round(mel.shape[1] * len(real) / max(len(codes), 1)))
    with style.rows(9.0, 2.6, (5, 1)) as (figure, (top, strip)):
        shown = np.nan_to_num(np.asarray(mel[:, :frames], np.float64))
        top.imshow(shown, origin="lower", aspect="auto", cmap="magma", extent=(0, lasts, -0.5, len(mel) - 0.5))
        strip.imshow(
            (real % _COLOURS)[None], aspect="auto", cmap="tab20", extent=(0, lasts, 0, 1), interpolation="none"
        )
        for axes in (top, strip):
            for moment in begins:
                axes.axvline(moment, color="white", linewidth=0.6)
        top.set(ylabel="mel band")
        strip.set(xlabel="time (s)", yticks=(), ylabel="units")
    return figure


def _triples(predictions: Predictions) -> Markup:
    """Triples of pieces where the other piece by the same speaker is nearer than the same piece by another speaker."""
    margins, pieces = predictions.get("number/abx_across"), predictions.get("number/pieces")
    own, same = predictions.get("audio/speech"), predictions.get("audio/speech_same")
    if margins is None or pieces is None or own is None or same is None:
        return Markup()
    wrong = [(n, p) for n, p in np.argwhere(margins[: len(same), 0] < 0)][:_TRIPLES]
    shown = []
    for n, p in wrong:
        times = pieces[n, p]
        whose = (("X", own, 0), ("A, the same by another speaker", same, 2), ("B, which was nearer", own, 4))
        players = [_player(predictions, audio[n], times[at : at + 2], name, int(n)) for name, audio, at in whose]
        shown.append(tag("div", *players, class_="sounds"))
    said = f"Of {np.isfinite(margins[:, 0]).sum():,} triples {np.sum(margins[:, 0] < 0):,} are wrong; some to be heard."
    return join([tag("h3", "ABX across speakers"), tag("p", said), *shown])


def _player(
    predictions: Predictions, audio: np.ndarray, span: Float[np.ndarray, " 2"], name: str, example: int
) -> Markup:
    rate = predictions.sample_rate
    first, last = (int(moment * rate) for moment in span)
    return sound.player(audio[first : max(last, first + 1)], rate, name, example, 2.0)
