"""A folder of speakers as `mouth_crops` reads it: mouths whose pictures tell their number, tones, and faces."""

import numpy as np
import soundfile
from PIL import Image

RATE = 16_000


def write(folder, speakers=3, recordings=1, clips=2, seconds=1.0, mouth=96, face=20):
    """SPEAKER/RECORDING/CLIP.npz, .wav and .png. Picture i of clip c of a speaker s has the value 40 s + 20 c + i / 4,
    sample t of its voice is a tone of 100 (s + 1) + 30 c Hz that is louder each second."""
    for s in range(speakers):
        for r in range(recordings):
            place = folder / f"id{s}" / f"talk{r}"
            place.mkdir(parents=True)
            for c in range(clips):
                one(place / f"{c:05}", seconds, mouth, 40 * s + 20 * c, 100 * (s + 1) + 30 * c)
                Image.new("RGB", (face, face), (60 * s, 30 * c, 100)).save(place / f"{c:05}.png")
    return folder


def one(stem, seconds, mouth, value, hertz):
    """The mouth and the voice of one clip."""
    count = round(seconds * 25)
    shown = np.broadcast_to((value + np.arange(count) // 4).astype(np.uint8)[:, None, None], (count, mouth, mouth))
    shown = shown.copy()
    shown[:, :2], shown[:, :, -2:] = 255, 255  # an edge that the middle has not
    np.savez(stem.with_suffix(".npz"), data=shown)
    time = np.arange(round(seconds * RATE)) / RATE
    soundfile.write(stem.with_suffix(".wav"), 0.1 * (1 + np.floor(time * 4)) * np.sin(2 * np.pi * hertz * time), RATE)
