"""Tiny networks that pick voices out of mixtures, and voices that are tones, for tests of both."""

import jax
import numpy as np
from shared import get_config


def small(variant="speech", **more):
    """A config whose networks are tiny."""
    c = get_config("separation", variant)
    c.seconds = 0.4
    c.sound.n_fft, c.sound.hop = 256, 160
    c.model.width, c.model.faces, c.model.units, c.model.hidden, c.model.depth = 2, 4, 4, 6, 1
    if "faces" in c:
        c.faces.weights, c.faces.features, c.faces.widths = "", 6, (4, 4, 4)
    c.order_free = 0.0
    for name, value in more.items():
        section, _, field = name.rpartition("__")
        (c[section] if section else c)[field] = value
    return c


def clips(rng, rows=4):
    """Voice i is a tone with overtones, its face one colour; the last one is over after .2 s."""
    time = np.arange(22_050) / 22_050
    hertz = 100 * (1 + np.arange(rows))[:, None]
    waves = sum(3000 * np.sin(2 * np.pi * hertz * k * time + rng.uniform(0, 6, (rows, 1))) for k in (1, 2, 3))
    lengths = np.full(rows, 22_050, np.int32)
    lengths[-1] = 4410
    waves[-1, 4410:] = 0
    faces = np.zeros((rows, 25, 16, 16, 3), np.uint8) + (60 * np.arange(rows, dtype=np.uint8)).reshape(-1, 1, 1, 1, 1)
    faces[-1, 5:] = 0
    return {
        "face_frames": faces,
        "face_frames_length": np.where(lengths == 22_050, 25, 5).astype(np.int32),
        "speech": waves.astype(np.int16),
        "speech_length": lengths,
        "ambience": rng.normal(0, 2000, (rows, 22_050)).astype(np.int16),
        "index": np.arange(rows, dtype=np.int32),
        "valid": np.ones(rows, bool),
    }


def begun(task, batch, rng):
    """Fresh variables, drawn by NumPy: to compile what draws those of several networks takes longer than most tests."""

    def draw(path, leaf):
        if leaf.ndim > 1:  # kernels, and an LSTM's
            return rng.normal(0, (2 / np.prod(leaf.shape[:-1])) ** 0.5, leaf.shape).astype(np.float32)
        return np.full(leaf.shape, {"scale": 1, "var": 1, "slope": 0.25}.get(path[-1].key, 0), np.float32)

    return jax.tree.map_with_path(draw, jax.eval_shape(task.init, jax.random.key(0), batch))
