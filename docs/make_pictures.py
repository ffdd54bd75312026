"""Makes the pictures of the README: python docs/make_pictures.py [name ...]; without a name, all of them."""

from __future__ import annotations

import pathlib
import sys
import textwrap

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from mmjax.data.sets import sounding_scenes

HERE = pathlib.Path(__file__).parent
RATE = 22_050
INK, SOFT = "#2c2434", "#8a8494"


def spectrogram(sound: np.ndarray, bands: int = 96) -> np.ndarray:
    """Level in dB of a waveform in logarithmically spaced bands, [bands frames]."""
    window, hop = 2048, 256
    pieces = np.lib.stride_tricks.sliding_window_view(np.pad(sound / 32767, window // 2), window)[::hop]
    power = np.abs(np.fft.rfft(pieces * np.hanning(window))).T ** 2
    edges = np.geomspace(60, RATE / 2, bands + 1) * window / RATE
    low, high = np.floor(edges[:-1]).astype(int), np.maximum(np.ceil(edges[1:]), np.floor(edges[:-1]) + 1).astype(int)
    return 10 * np.log10(np.array([power[a:b].mean(0) for a, b in zip(low, high)]) + 1e-4)


def bare(axes) -> None:
    """Leaves nothing but what is drawn inside."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def show_sound(axes, sound: np.ndarray) -> None:
    """A spectrogram with the waveform's envelope underneath."""
    levels = spectrogram(sound)
    seconds = len(sound) / RATE
    top = levels.max()
    axes.imshow(
        levels, origin="lower", aspect="auto", cmap="magma", vmin=top - 55, vmax=top, extent=(0, seconds, 0.28, 1)
    )
    blocks = np.abs(sound[: len(sound) // 300 * 300].reshape(-1, 300) / 32767).max(1)
    axes.fill_between(np.linspace(0, seconds, len(blocks)), 0.13 - 0.13 * blocks, 0.13 + 0.13 * blocks, color=INK, lw=0)
    axes.set(xlim=(0, seconds), ylim=(0, 1))
    bare(axes)


def pick(source) -> list[int]:
    """One example of each scene, with two or three objects, as many different objects as possible."""
    chosen, seen = [], set()
    for scene in range(len(sounding_scenes.SCENES)):
        fitting = [i for i in range(160) if source[i]["scene"] == scene and source[i]["objects"][1] >= 0]
        best = max(fitting, key=lambda i: len({*source[i]["objects"], -1} - seen - {-1}))
        chosen.append(best)
        seen |= {*source[best]["objects"]}
    return chosen


def show_scene(grid, figure, example: dict) -> None:
    parts = grid.subgridspec(3, 1, height_ratios=(1, 0.4, 0.22), hspace=0.02)
    axes = figure.add_subplot(parts[0])
    axes.imshow(example["image"], interpolation="lanczos")
    bare(axes)
    show_sound(figure.add_subplot(parts[1]), example["waveform"])
    axes = figure.add_subplot(parts[2])
    bare(axes)
    caption = next(c for c in example["captions"] if c.startswith("the "))  # the one that says what sounds
    lines = textwrap.fill(f"“{caption}”", 41)
    axes.text(0, 0.95, lines, fontsize=8.2, va="top", color=INK, transform=axes.transAxes)
    asked = f"{example['question']}  {example['answer']}"
    axes.text(0, 0.12, asked, fontsize=7.6, va="bottom", color=SOFT, transform=axes.transAxes)


def show_mouths(axes, pictures: np.ndarray, seconds: float, count: int = 10) -> None:
    """Mouths [f s s 3] at 25 a second, side by side, each in the middle of the time that it stands over."""
    edge = pictures.shape[1] // 5  # the middle of the crop, as wide as a wide mouth
    pictures = pictures[:, edge:-edge, edge:-edge]
    shown = [pictures[min(int((k + 0.5) * seconds / count * 25), len(pictures) - 1)] for k in range(count)]
    axes.imshow(np.concatenate(shown, 1), interpolation="lanczos", aspect="auto", extent=(0, seconds, 0, 1))
    bare(axes)


def show_speaker(grid, figure, example: dict) -> None:
    parts = grid.subgridspec(3, 2, width_ratios=(1, 2.55), height_ratios=(0.27, 0.73, 0.16), wspace=0.03, hspace=0.02)
    axes = figure.add_subplot(parts[:2, 0])
    axes.imshow(example["face"], interpolation="lanczos")
    bare(axes)
    sound = example["speech"][: example["speech_length"]]
    mouths = example["face_frames"][: example["face_frames_length"]]
    show_mouths(figure.add_subplot(parts[0, 1]), mouths, len(sound) / RATE)
    axes = figure.add_subplot(parts[1, 1])
    show_sound(axes, sound)
    for start, unit in zip(example["unit_times"][: example["units_length"], 0], example["units"]):
        axes.plot([start, start], [0.28, 1], color="white", lw=0.3, alpha=0.5)
        axes.text(start + 0.02, 0.92, sounding_scenes.UNITS[unit].strip("_"), fontsize=4.6, color="white")
    axes = figure.add_subplot(parts[2, :])
    bare(axes)
    axes.text(0, 0.9, f"says “{example['caption']}”", fontsize=8.2, va="top", color=INK, transform=axes.transAxes)


def make_sounding_scenes(path: pathlib.Path) -> None:
    """A contact sheet: eight scenes with their sound, caption and question, and four speakers with their mouths."""
    source = sounding_scenes.source("test", examples=160)
    figure = plt.figure(figsize=(10.4, 12.4), dpi=100, facecolor="white")
    grid = figure.add_gridspec(
        3, 1, height_ratios=(1, 1, 0.72), left=0.015, right=0.985, top=0.99, bottom=0.005, hspace=0.06
    )
    light = sounding_scenes.source("test", ("scene", "objects"), examples=160)
    for row, indices in enumerate(np.reshape(pick(light), (2, 4))):
        cells = grid[row].subgridspec(1, 4, wspace=0.07)
        for column, index in enumerate(indices):
            show_scene(cells[column], figure, source[int(index)])
    cells = grid[2].subgridspec(2, 2, wspace=0.05, hspace=0.08)
    fields = (*sounding_scenes.USUAL, "face_frames")
    speakers = sounding_scenes.source("test", fields, examples=160, face_size=200, crop="mouth")
    for k, index in enumerate((1, 5, 12, 30)):
        show_speaker(cells[k // 2, k % 2], figure, speakers[index])
    figure.savefig(path)
    plt.close(figure)
    sheet = Image.open(path).convert("RGB")
    palette = sheet.quantize(256, Image.Quantize.MAXCOVERAGE)
    sheet.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


PICTURES = {"sounding_scenes": make_sounding_scenes}


def main() -> None:
    for name in sys.argv[1:] or PICTURES:
        path = HERE / f"{name}.png"
        PICTURES[name](path)
        print(path, path.stat().st_size // 1000, "kB")


if __name__ == "__main__":
    main()
