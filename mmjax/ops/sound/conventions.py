"""What librosa, torchaudio and HTK each mean by a spectrogram, a mel filter and an MFCC: one record for each.

The same names stand for different numbers in different libraries: librosa's and torchaudio's default MFCC of one
sound differ by far more than rounding. So every function of the sound front end takes `convention=`, which sets all
the rules below together, and takes any of the rules by its own name, which then overrides that one:

    mfcc(waveform, 22050, convention="torchaudio", mel_scale="slaney", mel_norm="slaney", pad_mode="constant")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmjax.errors import UserError

_CHOICES: dict[str, tuple[Any, ...]] = {
    "pad_mode": ("constant", "reflect", "edge"),
    "align": ("centre", "start"),
    "bins": ("dft", "linspace"),
    "mel_scale": ("slaney", "htk"),
    "mel_norm": ("slaney", None),
    "mel_shape": ("hertz", "mel"),
    "log": ("db", "ln"),
    "top_db_over": ("clip", "channels", "all"),
    "dct_type": (1, 2, 3),
    "dct_norm": ("ortho", "htk", None),
    "delta_edges": ("fit", "repeat"),
    "resampler": ("polyphase", "sinc"),
}


@dataclasses.dataclass(frozen=True)
class Convention:
    """The rules of a library. Waveforms are in [-1, 1] whatever the library.

    Attributes:
      n_fft: samples of a transform where the call gives none.
      hop_share: the hop as a share of the window where the call gives none.
      window: its name, see `windows.window`, or its values.
      periodic: whether the window is one period of N samples (for spectra) or symmetric over N samples (for filters).
      center: whether frame i is centred on sample i * hop, with n_fft // 2 samples of padding at both ends.
      pad_mode: that padding: "constant" (zeros), "reflect" or "edge".
      align: where a window shorter than n_fft lies: "centre" of the n_fft samples, or "start" (then a frame is only
        the window's samples long, and zeros follow it).
      preemphasis: k in y[n] = x[n] - k x[n-1], in each frame before the window, y[0] = (1 - k) x[0]; spectrogram,
        mel_spectrogram and mfcc apply it, stft does not.
      power: of the magnitude under the mel filters: 2 (energy) or 1 (magnitude).
      bins: the bins' frequencies: "dft" (k sr / n_fft), or "linspace" from 0 to sr // 2 (differs for odd n_fft or sr).
      n_mels: mel bands where the call gives none.
      mel_scale: "slaney" (linear to 1 kHz, logarithmic above) or "htk" (2595 log10(1 + f / 700)).
      mel_norm: "slaney" makes each filter's area one, None its peak.
      mel_shape: whether the filters are triangles over "hertz" or over "mel".
      log: of the mel bands before the DCT: "db" or "ln".
      amin_power, amin_amplitude: the floor under the logarithm of an energy, of a magnitude.
      ref_power, ref_amplitude: what becomes 0.
      top_db: the result is clipped at so many dB below its maximum; None does not clip.
      top_db_over: the maximum over each "clip" (the last two axes), over the "channels" too (the last three axes),
        or over "all" of the array, in which case a clip's features depend on its batch.
      n_mfcc: coefficients where the call gives none, from c0 upwards.
      dct_type: 1, 2 or 3.
      dct_norm: "ortho", "htk" (sqrt(2 / n_mels) for all, c0 too), or None (2 for all).
      lifter: L of the weights 1 + L / 2 sin(pi n / L); 0 for none.
      lifter_start: n of c0.
      delta_width: frames, odd.
      delta_edges: the frames at the ends are read off a line "fit" to the first and last delta_width frames, or the
        outermost frame is "repeat"ed.
      delta_twice: whether second-order deltas are deltas of deltas, or the curvature of a parabola.
      resampler: "polyphase" (Kaiser-windowed, SciPy's resample_poly) or "sinc" (Hann-windowed, torchaudio's).
    """

    n_fft: int
    hop_share: float
    window: str | tuple[float, ...]
    periodic: bool
    center: bool
    pad_mode: str
    align: str
    preemphasis: float
    power: float
    bins: str
    n_mels: int
    mel_scale: str
    mel_norm: str | None
    mel_shape: str
    log: str
    amin_power: float
    amin_amplitude: float
    ref_power: float
    ref_amplitude: float
    top_db: float | None
    top_db_over: str
    n_mfcc: int
    dct_type: int
    dct_norm: str | None
    lifter: float
    lifter_start: int
    delta_width: int
    delta_edges: str
    delta_twice: bool
    resampler: str


LIBROSA = Convention(
    n_fft=2048,
    hop_share=1 / 4,
    window="hann",
    periodic=True,
    center=True,
    pad_mode="constant",
    align="centre",
    preemphasis=0.0,
    power=2.0,
    bins="dft",
    n_mels=128,
    mel_scale="slaney",
    mel_norm="slaney",
    mel_shape="hertz",
    log="db",
    amin_power=1e-10,
    amin_amplitude=1e-5,
    ref_power=1.0,
    ref_amplitude=1.0,
    top_db=80.0,
    top_db_over="clip",  # as librosa 1.0 does; 0.x took the maximum over "all"
    n_mfcc=20,
    dct_type=2,
    dct_norm="ortho",
    lifter=0.0,
    lifter_start=1,
    delta_width=9,
    delta_edges="fit",
    delta_twice=False,
    resampler="polyphase",  # librosa's res_type="polyphase"; its default, soxr, is no published formula
)

TORCHAUDIO = dataclasses.replace(
    LIBROSA,
    n_fft=400,
    hop_share=1 / 2,
    pad_mode="reflect",
    bins="linspace",
    mel_scale="htk",
    mel_norm=None,
    amin_amplitude=1e-10,
    top_db_over="channels",
    n_mfcc=40,
    delta_width=5,
    delta_edges="repeat",
    delta_twice=True,
    resampler="sinc",
)

# HTK reads 16-bit samples and floors its filters at 1: in waveforms of [-1, 1] that is 2 ** -15, floor and 0 alike.
HTK = Convention(
    n_fft=512,
    hop_share=2 / 5,  # 10 ms of 25 ms
    window="hamming",
    periodic=False,
    center=False,
    pad_mode="constant",
    align="start",
    preemphasis=0.97,
    power=1.0,
    bins="dft",
    n_mels=20,
    mel_scale="htk",
    mel_norm=None,
    mel_shape="mel",
    log="ln",
    amin_power=2.0**-30,
    amin_amplitude=2.0**-15,
    ref_power=2.0**-30,
    ref_amplitude=2.0**-15,
    top_db=None,
    top_db_over="clip",
    n_mfcc=13,
    dct_type=2,
    dct_norm="htk",
    lifter=22.0,
    lifter_start=0,
    delta_width=5,
    delta_edges="repeat",
    delta_twice=True,
    resampler="polyphase",
)

CONVENTIONS: dict[str, Convention] = {"librosa": LIBROSA, "torchaudio": TORCHAUDIO, "htk": HTK}


def resolve(convention: str | Convention, rules: Mapping[str, Any]) -> Convention:
    """The rules of a convention, by name or as a record, with some of them overridden.

    Raises:
      UserError: no such convention, no such rule, or a value that the rule does not have.
    """
    if isinstance(convention, str):
        if convention not in CONVENTIONS:
            raise UserError(f"convention is {convention!r}: choose one of {', '.join(CONVENTIONS)}")
        convention = CONVENTIONS[convention]
    names = [field.name for field in dataclasses.fields(Convention)]
    for name, value in rules.items():
        if name not in names:
            raise UserError(f"no such rule {name!r}: a convention has {', '.join(names)}")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise UserError(f"{name} is {value!r}: choose one of {', '.join(map(repr, _CHOICES[name]))}")
    given = dict(rules)
    if not isinstance(given.get("window", ""), str):
        given["window"] = tuple(float(value) for value in given["window"])  # records are keys of caches
    return dataclasses.replace(convention, **given)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of a short-time transform in samples, all known."""

    n_fft: int
    hop: int
    win_length: int

    @property
    def bins(self) -> int:
        return self.n_fft // 2 + 1


def sizes(rules: Convention, n_fft: int | None, hop: int | None, win_length: int | None) -> Sizes:
    """Fills in the sizes that a call left out, by the convention.

    A missing n_fft is the convention's, or the next power of two where a longer window was asked for; a missing
    window is n_fft long; a missing hop is the convention's share of the window.

    Raises:
      UserError: a size below 1, or a window longer than n_fft.
    """
    if n_fft is None:
        n_fft = max(rules.n_fft, 1 << (win_length - 1).bit_length() if win_length else 0)
    if win_length is None:
        win_length = n_fft
    if hop is None:
        hop = max(1, int(win_length * rules.hop_share))
    if min(n_fft, hop, win_length) < 1:
        raise UserError(f"n_fft {n_fft}, hop {hop} and win_length {win_length} must each be at least 1")
    if win_length > n_fft:
        raise UserError(f"win_length is {win_length}, longer than n_fft {n_fft}: raise n_fft or shorten the window")
    return Sizes(n_fft, hop, win_length)
