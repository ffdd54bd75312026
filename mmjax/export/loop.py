"""An answer written token by token, by beam search: NumPy alone, over the step of an exported network."""

import numpy as np


def beam(step, begun, start, end, forbidden, max_length, size, semantics="shrinking", penalty="none", **more):
    """The best tokens, without the end, of one example: begun is what start made of it; export.json has the search."""
    alpha, unfinished, least = more.get("alpha", 1.0), more.get("unfinished", "last"), more.get("min_length", 0)

    def score(log, length):
        length += semantics == "im2txt"
        return log / {"none": 1.0, "mean": length**alpha, "gnmt": ((5 + length) / 6) ** alpha}[penalty]

    state = {name: value for name, value in begun.items() if name.startswith("state/")}
    live: list = [(0.0, [])]  # (log-probability, tokens)
    ended, token = live[:0], np.array([start], np.int32)
    for t in range(max_length):
        memory = {name: np.repeat(value, len(live), 0) for name, value in begun.items() if name not in state}
        out = step({**memory, **state, "token": token})
        log = out["logits"] - np.logaddexp.reduce(out["logits"], 1, keepdims=True)
        log[:, [*forbidden, *[end] * (t < least)]] = -np.inf
        if semantics == "im2txt":  # few words of each, the likeliest
            log[log < np.maximum(np.log(1e-12), np.sort(log, 1)[:, -size:][:, :1])] = -np.inf
        total = np.array([one for one, _ in live])[:, None] + log
        if semantics == "frozen":  # what has ended may be driven out
            ended = [one for one in ended if sum(other > one[0] for other, _ in ended) + np.sum(total > one[0]) < size]
        order = np.argsort(-total, axis=None, kind="stable")
        ends, room = order % total.shape[1] == end, size - len(ended) * (semantics in ("shrinking", "frozen"))
        kept = [*order[ends][:size], *order[~ends][:size]] if semantics == "im2txt" else order[:room]
        found = [(total.flat[i], *divmod(int(i), total.shape[1])) for i in kept if total.flat[i] > -np.inf]
        ended += [(one, live[row][1]) for one, row, word in found if word == end]
        rows = [row for _, row, word in found if word != end]
        live = [(one, [*live[row][1], word]) for one, row, word in found if word != end]
        if not live:
            break
        state = {name: out[name.replace("state/", "next/")][rows] for name in state}
        token = np.array([tokens[-1] for _, tokens in live], np.int32)
    done = [(score(one, len(tokens) + 1), tokens) for one, tokens in ended]
    rest = [(score(one, max(len(tokens), 1)), tokens) for one, tokens in live]
    return max(done if done and unfinished == "last" else done + rest, key=lambda one: one[0])[1]
