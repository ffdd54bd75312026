"""Mel spectrogram and MFCC of 16 clips of 5 s: mmjax against librosa, torch.stft and torchaudio, by turns in one run.

torchaudio's transforms have librosa's rules here; without torchaudio it is left out. The last line is against the
fastest.

Also times what `mmjax.ops.sound.spectral` chooses between: the FFT, the product with the Fourier matrix and the strided
convolution with it, each over all frames at once and in chunks of time that fit a CPU's caches.

    python benchmarks/sound_features.py            # writes benchmarks/results/sound_features.json
    python benchmarks/sound_features.py --quick    # fewer rounds, writes nothing
    taskset -c 0 python benchmarks/sound_features.py    # one core: steadier where others use the machine
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import statistics
import time
from collections.abc import Callable

import _side_by_side as side_by_side
import jax
import jax.numpy as jnp
import librosa
import numpy as np
import scipy.fft
import torch
from jax import lax

from mmjax.ops.sound import framing, windows
from mmjax.ops.sound.cepstral import cepstra
from mmjax.ops.sound.decibels import log_mel
from mmjax.ops.sound.mel import mel_spectrogram
from mmjax.ops.sound.spectral import spectrogram

try:
    import torchaudio
except ModuleNotFoundError:
    torchaudio = None

RATE, CLIPS, SECONDS, N_FFT, HOP, MELS, CEPSTRA = 22050, 16, 5, 1024, 256, 80, 20
RESULTS = pathlib.Path(__file__).parent / "results" / "sound_features.json"


def cores() -> int | None:
    """Cores that this process may use, all of them where the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def alternate(calls: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round; every round runs them all, the first (compilation) does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def feature_calls(x: np.ndarray) -> dict[str, Callable]:
    """Three ways to the same mel energies [clips mels frames] and MFCC, in float32 from NumPy's samples onwards."""

    @jax.jit
    def ours(x):
        mel = mel_spectrogram(x, RATE, n_fft=N_FFT, hop=HOP, n_mels=MELS)
        return mel, cepstra(log_mel(mel), CEPSTRA)

    def with_librosa():
        mel = librosa.feature.melspectrogram(y=x, sr=RATE, n_fft=N_FFT, hop_length=HOP, n_mels=MELS)
        return mel, librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=CEPSTRA)

    window = torch.hann_window(N_FFT)
    filters = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=MELS))
    dct = torch.from_numpy(scipy.fft.dct(np.eye(MELS, dtype=np.float32), axis=0, norm="ortho")[:CEPSTRA])
    tensor, array = torch.from_numpy(x), jnp.asarray(x)  # neither copies inside the timed call

    def with_torch():
        spectrum = torch.stft(tensor, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True)
        mel = filters @ spectrum.abs().square()
        db = 10 * torch.log10(mel.clamp(min=1e-10))
        return mel, dct @ torch.maximum(db, db.amax((1, 2), keepdim=True) - 80)

    calls = {"mmjax": lambda: jax.block_until_ready(ours(array)), "librosa": with_librosa, "torch": with_torch}
    if torchaudio is not None:
        slaney = {"mel_scale": "slaney", "norm": "slaney", "pad_mode": "constant"}
        mel_of = torchaudio.transforms.MelSpectrogram(RATE, N_FFT, hop_length=HOP, n_mels=MELS, **slaney)
        decibels = torchaudio.transforms.AmplitudeToDB("power", top_db=80)

        def with_torchaudio():
            mel = mel_of(tensor)
            return mel, dct @ decibels(mel[:, None])[:, 0]  # of three axes it would take the maximum over all clips

        calls["torchaudio"] = with_torchaudio
    return calls


def check(calls: dict[str, Callable]) -> dict[str, float]:
    """The largest relative difference between mmjax and each peer, which must be rounding."""
    ours, found = calls["mmjax"](), {}
    for name in calls.keys() - {"mmjax"}:
        pairs = zip(map(np.asarray, ours), map(np.asarray, calls[name]()), strict=True)
        found[name] = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
        assert found[name] < 1e-5, f"mmjax and {name} differ by {found[name]:.1e}: their times cannot be compared"
    return found


def convolved(x: jax.Array, n_fft: int, hop: int) -> jax.Array:
    """The energies by a strided convolution of the padded signal with windowed cosines and sines."""
    angle = 2 * np.pi * np.outer(np.arange(n_fft), np.arange(n_fft // 2 + 1)) / n_fft
    kernel = windows.window("hann", n_fft)[:, None] * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    padded = framing.padded(x, n_fft // 2, "constant")[..., None]
    kernel = jnp.asarray(kernel[:, None], jnp.float32)
    both = lax.conv_general_dilated(
        padded, kernel, (hop,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"), precision=lax.Precision.HIGHEST
    )
    half = n_fft // 2 + 1
    return jnp.swapaxes(both[..., :half] ** 2 + both[..., half:] ** 2, 1, 2)


def transform_calls(x: jax.Array, n_fft: int) -> dict[str, Callable]:
    """The mean over time of a spectrogram with a quarter hop, by each transform; sums so that little is written."""

    def summed(energies: Callable) -> Callable:
        run = jax.jit(lambda x: jnp.mean(energies(x), axis=-1))
        return lambda: jax.block_until_ready(run(x))

    by = functools.partial(spectrogram, n_fft=n_fft, hop=n_fft // 4)
    calls = {dft: summed(functools.partial(by, dft=dft)) for dft in ("fft", "matmul")}
    calls["convolution"] = summed(lambda x: convolved(x, n_fft, n_fft // 4))
    whole = summed(functools.partial(by, dft="fft"))
    chunk, framing.CHUNK = framing.CHUNK, 2**40  # read while tracing: this one is traced without chunks
    try:
        whole()
    finally:
        framing.CHUNK = chunk
    return {**calls, "fft, all frames at once": whole}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, nothing written")
    quick = parser.parse_args().quick
    x = (0.1 * np.random.default_rng(0).standard_normal((CLIPS, RATE * SECONDS))).astype(np.float32)

    load = side_by_side.load()
    calls = feature_calls(x)
    differences = check(calls)
    features = alternate(calls, 5 if quick else 21)
    transforms = {}
    for n_fft in (64, 128, 256) if quick else (32, 64, 128, 256, 512, 1024, 2048):
        times = alternate(transform_calls(jnp.asarray(x), n_fft), 3 if quick else 7)
        transforms[n_fft] = {name: 1e3 * statistics.median(t) for name, t in times.items()}
        print(f"n_fft {n_fft:4d}  " + "  ".join(f"{name} {ms:.1f} ms" for name, ms in transforms[n_fft].items()))

    medians = {name: 1e3 * statistics.median(times) for name, times in features.items()}
    ratios = {name: medians[name] / medians["mmjax"] for name in medians if name != "mmjax"}
    report = {
        "what": f"mel ({MELS}) and MFCC ({CEPSTRA}) of {CLIPS} clips x {SECONDS} s at {RATE} Hz, {N_FFT}/{HOP}",
        "cores": cores(),
        "versions": {"jax": jax.__version__, "librosa": librosa.__version__, "torch": torch.__version__},
        "load": load,
        "median_ms": medians,
        "fastest_ms": {name: 1e3 * min(times) for name, times in features.items()},
        "rounds": len(features["mmjax"]),
        "ratios": ratios,
        "relative_difference": differences,
        "spectrogram_median_ms_by_n_fft": transforms,
    }
    reasons = {
        "--quick takes too few rounds, do not quote the ratio": quick,
        "torchaudio is not installed": torchaudio is None,
        f"load {load:.1f} at the start: judge the ratios on an idle machine": load > side_by_side.IDLE,
    }
    side_by_side.keep_of_device(report, RESULTS, [reason for reason, holds in reasons.items() if holds])
    print("  ".join(f"{name} {ms:.1f} ms" for name, ms in medians.items()))
    for name in sorted(ratios, key=ratios.__getitem__, reverse=True):
        print(f"ratio {ratios[name]:.2f} mel and MFCC of {CLIPS} clips x {SECONDS} s: mmjax over {name}")


if __name__ == "__main__":
    main()
