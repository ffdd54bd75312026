"""Weights of a speaker encoder under the names of the package Resemblyzer, random."""

import numpy as np


def published(rng):
    """A state dict of the package's names, random, in which no gate is always open."""
    found = {}
    for layer in range(3):
        width = 40 if layer == 0 else 256
        found[f"lstm.weight_ih_l{layer}"] = rng.normal(size=(1024, width)) * (30 if layer == 0 else 0.1)
        found[f"lstm.weight_hh_l{layer}"] = rng.normal(size=(1024, 256)) * 0.05
        found[f"lstm.bias_ih_l{layer}"], found[f"lstm.bias_hh_l{layer}"] = rng.normal(size=(2, 1024))
    found["linear.weight"], found["linear.bias"] = rng.normal(size=(256, 256)) * 0.1, rng.normal(size=256) * 0.1
    return {name: array.astype(np.float32) for name, array in found.items()}
