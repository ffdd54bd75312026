"""The sound front end once more: float64 NumPy, one frame, one bin, one filter at a time, as the formulas read."""

import numpy as np


def window(name, n, periodic=True):
    """The cosine windows from their definition."""
    a = {"hann": [0.5, 0.5], "hamming": [0.54, 0.46], "blackman": [0.42, 0.5, 0.08]}[name]
    t = 2 * np.pi * np.arange(n) / (n if periodic else n - 1)
    return sum((-1) ** k * a[k] * np.cos(k * t) for k in range(len(a)))


def pad(x, width, mode):
    """Pads the last axis at both ends."""
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(width, width)], mode=mode) if width else x


def stft(x, n_fft, hop, win=None, center=True, pad_mode="constant", name="hann", periodic=True):
    """[... freq frames] by the sum over samples."""
    win = win or n_fft
    left = (n_fft - win) // 2
    w = np.zeros(n_fft)
    w[left : left + win] = window(name, win, periodic)
    x = pad(np.asarray(x, np.float64), n_fft // 2 if center else 0, pad_mode)
    k, n = np.arange(n_fft // 2 + 1)[:, None], np.arange(n_fft)
    fourier = np.exp(-2j * np.pi * k * n / n_fft)
    columns = [fourier @ np.moveaxis(x[..., i : i + n_fft] * w, -1, 0) for i in range(0, x.shape[-1] - n_fft + 1, hop)]
    return np.moveaxis(np.stack(columns, axis=-1), 0, -2)


def to_mel(f, scale):
    """Hz -> mel, one number."""
    if scale == "htk":
        return 2595 * np.log10(1 + f / 700)
    return f * 3 / 200 if f < 1000 else 15 + np.log(f / 1000) * 27 / np.log(6.4)


def to_hz(m, scale):
    """Mel -> Hz by bisection, so that no second formula can be wrong in the same way."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if to_mel(middle, scale) < m else (low, middle)
    return low


def filterbank(sr, n_fft, n_mels, fmin=0.0, fmax=None, scale="slaney", norm="slaney", shape="hertz"):
    """[n_mels freq], filter by filter."""
    fmax = fmax or sr / 2
    mels = np.linspace(to_mel(fmin, scale), to_mel(fmax, scale), n_mels + 2)
    edges = [to_hz(m, scale) for m in mels]
    weights = np.zeros((n_mels, n_fft // 2 + 1))
    for i in range(n_mels):
        for k in range(n_fft // 2 + 1):
            f = k * sr / n_fft
            low, peak, high = edges[i : i + 3] if shape == "hertz" else mels[i : i + 3]
            at = f if shape == "hertz" else to_mel(f, scale)
            if low < at <= peak:
                weights[i, k] = (at - low) / (peak - low)
            elif peak < at < high:
                weights[i, k] = (high - at) / (high - peak)
        if norm == "slaney":
            weights[i] *= 2 / (edges[i + 2] - edges[i])
    return weights


def decibels(power, amin=1e-10, top_db=80.0):
    """One clip [freq frames] of energies in dB."""
    db = 10 * np.log10(np.maximum(power, amin))
    return db if top_db is None else np.maximum(db, db.max() - top_db)


def dct(x, n_out):
    """Orthonormal DCT-II along the first axis by its sum."""
    n = x.shape[0]
    rows = []
    for k in range(n_out):
        scale = np.sqrt((1 if k == 0 else 2) / n)
        rows.append(scale * sum(np.cos(np.pi * k * (2 * i + 1) / (2 * n)) * x[i] for i in range(n)))
    return np.stack(rows)


def htk_mfcc(x, sr, n_fft, hop, win, n_mels, n_mfcc=13, lifter=22):
    """HTK's MFCC, c0 first, of one waveform in [-1, 1] (the HTK book, chapter 5, on 16-bit samples)."""
    samples = np.asarray(x, np.float64) * 32768
    bank = filterbank(sr, n_fft, n_mels, scale="htk", norm=None, shape="mel")
    columns = []
    for start in range(0, len(samples) - win + 1, hop):
        frame = samples[start : start + win].copy()
        frame[1:] -= 0.97 * frame[:-1].copy()
        frame[0] *= 1 - 0.97
        magnitude = np.abs(np.fft.rfft(frame * window("hamming", win, periodic=False), n_fft))
        bands = np.log(np.maximum(bank @ magnitude, 1.0))
        j = np.arange(1, n_mels + 1)
        c = [np.sqrt(2 / n_mels) * np.sum(bands * np.cos(np.pi * n / n_mels * (j - 0.5))) for n in range(n_mfcc)]
        columns.append([c[n] * (1 + lifter / 2 * np.sin(np.pi * n / lifter)) for n in range(n_mfcc)])
    return np.array(columns).T


def griffin_lim(magnitude, n_fft, hop, n_iter, momentum, length):
    """Perraudin's algorithm 2 from phase 0, Hann windows, centred."""
    c, before = magnitude.astype(np.complex128), 0.0
    for _ in range(n_iter):
        rebuilt = stft(istft(c, n_fft, hop, length), n_fft, hop)
        moved = rebuilt - momentum / (1 + momentum) * before
        c, before = magnitude * moved / np.maximum(np.abs(moved), 1e-300), rebuilt
    return istft(c, n_fft, hop, length)


def istft(spectrum, n_fft, hop, length):
    """Least-squares inverse, frame by frame, Hann windows, centred; [freq frames] -> [length]."""
    w = window("hann", n_fft)
    total = np.zeros(n_fft + hop * (spectrum.shape[1] - 1))
    weight = np.zeros_like(total)
    for i in range(spectrum.shape[1]):
        total[i * hop : i * hop + n_fft] += w * np.fft.irfft(spectrum[:, i], n_fft)
        weight[i * hop : i * hop + n_fft] += w**2
    total = total / np.where(weight > 1e-30, weight, 1)
    return total[n_fft // 2 : n_fft // 2 + length]


def distance(found, wanted):
    """Largest difference relative to the largest value; shapes must agree."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    assert np.all(np.isfinite(found))
    return np.max(np.abs(found - wanted)) / np.max(np.abs(wanted))
