"""Tacotron 2 as a naive NumPy program, one sentence at a time, in double precision; the network is held against it."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(gates, memory):
    """Gates in the order i, f, o, g."""
    i, f, o, g = np.split(gates, 4)
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(memory), memory


def conv_norm(x, w, state):
    """x [t c] through kernel [k c o] with zeros beyond the ends, and normalised by the running statistics."""
    k = len(w["kernel"])
    padded = np.pad(x, ((k // 2, k // 2), (0, 0)))
    y = np.stack([np.einsum("kc,kco->o", padded[t : t + k], w["kernel"]) for t in range(len(x))]) + w["bias"]
    norm = state["norm"]
    return (y - norm["mean"]) / np.sqrt(norm["var"] + 1e-5) * w["norm"]["scale"] + w["norm"]["bias"]


def one_direction(x, w, name):
    size = len(w[f"{name}_hidden"])
    hidden, memory, out = np.zeros(size), np.zeros(size), []
    for row in x:
        gates = row @ w[f"{name}_input"] + hidden @ w[f"{name}_hidden"] + w[f"{name}_bias"] + w[f"{name}_hidden_bias"]
        hidden, memory = lstm(gates, memory)
        out.append(hidden)
    return np.stack(out)


def encode(params, state, units, speaker):
    x = params["symbol"][units]
    for name in sorted(state["encoder"]):
        x = np.maximum(conv_norm(x, params["encoder"][name], state["encoder"][name]), 0)
    w = params["encoder"]["lstm"]
    x = np.concatenate([one_direction(x, w, "forward"), one_direction(x[::-1], w, "backward")[::-1]], 1)
    return x if speaker is None else np.concatenate([x, np.tile(speaker, (len(x), 1))], 1)


def location(params, looked, total):
    """The convolution over where it looked, and the layer behind it: [u a]."""
    filters = params["location_filter"]  # [k 2 f]
    k = len(filters)
    both = np.pad(np.stack([looked, total], 1), ((k // 2, k // 2), (0, 0)))
    found = np.stack([np.einsum("kc,kcf->f", both[u : u + k], filters) for u in range(len(looked))])
    return found @ params["location"]


def forced(params, state, units, mel, reduction=1, speaker=None, zoneout=0.0):
    """{"before", "after", "gate", "attention"} of a sentence, given its true frames; no dropout anywhere."""
    p = params
    memory = encode(p, state, units, speaker)
    keys = memory @ p["key"]
    hidden, cell = np.zeros(len(p["attend_hidden"])), np.zeros(len(p["attend_hidden"]))
    h, c = np.zeros(len(p["decode_hidden"])), np.zeros(len(p["decode_hidden"]))
    context, looked, total = np.zeros(memory.shape[1]), np.zeros(len(units)), np.zeros(len(units))
    given, written, gates, maps = np.zeros(reduction * mel.shape[1]), [], [], []
    for group in mel.reshape(-1, reduction * mel.shape[1]):
        x = np.maximum(np.maximum(given @ p["prenet1"], 0) @ p["prenet2"], 0)
        old = hidden, cell
        into = x @ p["attend_frame"] + context @ p["attend_context"] + hidden @ p["attend_hidden"]
        new = lstm(into + p["attend_bias"] + p["attend_hidden_bias"], cell)
        hidden, cell = (zoneout * a + (1 - zoneout) * b for a, b in zip(old, new))
        energy = np.tanh(keys + hidden @ p["query"] + location(p, looked, total)) @ p["score"][:, 0]
        looked = np.exp(energy) / np.exp(energy).sum()
        total, context = total + looked, looked @ memory
        old = h, c
        into = hidden @ p["decode_attended"] + context @ p["decode_context"] + h @ p["decode_hidden"]
        new = lstm(into + p["decode_bias"] + p["decode_hidden_bias"], c)
        h, c = (zoneout * a + (1 - zoneout) * b for a, b in zip(old, new))
        both = np.concatenate([h, context])
        written.append(both @ p["mel"] + p["mel_bias"])
        gates.append((both @ p["gate"] + p["gate_bias"])[0])
        maps.append(looked)
        given = group
    before = np.concatenate(written).reshape(mel.shape)
    x, names = before, sorted(state["postnet"])
    for name in names:
        x = conv_norm(x, p["postnet"][name], state["postnet"][name])
        x = x if name == names[-1] else np.tanh(x)
    return {"before": before, "after": before + x, "gate": np.array(gates), "attention": np.stack(maps)}
