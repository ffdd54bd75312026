"""A sentence spoken step by step by an exported network: NumPy alone, over its start, its step and its end."""

import numpy as np


def draw(shares, steps, seed=0):
    """What dropout keeps, {name: 0 or 1 [steps units]}: it is always on, and another seed sounds a little different."""
    rng = np.random.default_rng(seed)
    return {name: (rng.random((steps, units)) < share).astype(np.float32) for name, (units, share) in shares.items()}


def speak(start, step, end, batch, kept, steps, threshold, bands):
    """What end makes of a batch of sentences, with "frames" [b], how many are real, "fired" [b], whether the gate ended
    a sentence and not the limit, and "attention" [b steps symbols]; kept is of `draw`, export.json has the rest."""
    begun = start(batch)
    memory = {name: value for name, value in begun.items() if name.startswith("memory/")}
    state = {name: value for name, value in begun.items() if name.startswith("state/")}
    rows, width = state["state/frame"].shape
    written = np.zeros((rows, steps, width), np.float32)
    attention = np.zeros((rows, steps, state["state/looked"].shape[1]), np.float32)
    taken, fired = np.zeros(rows, np.int32), np.zeros(rows, bool)
    for t in range(steps):
        now = {f"kept/{name}": np.repeat(value[t : t + 1], rows, 0) for name, value in kept.items()}  # all rows alike
        out = step({**memory, **state, **now})
        state = {name: out[name.replace("state/", "next/")] for name in state}
        written[~fired, t] = state["state/frame"][~fired]
        attention[~fired, t] = state["state/looked"][~fired]
        taken += ~fired
        fired |= out["gate"] > threshold
        if fired.all():
            break
    frames = taken * (width // bands)
    found = end({"written": written.reshape(rows, -1, bands), "frames": frames})
    return {**found, "frames": frames, "fired": fired, "attention": attention}
