"""The published beam searches as their authors wrote them down: lists, one example at a time, no arrays of beams.

Each takes `log_probs(prefix) -> [v]`, a function of the tokens so far, and returns (score, tokens, ended), best first.
"""

import itertools

import numpy as np


def penalised(log, length, penalty, alpha):
    if penalty == "none":
        return log
    return log / (length if penalty == "mean" else (5 + length) / 6) ** alpha


def candidates(log_probs, live):
    found = [(log + p, (*tokens, w)) for log, tokens in live for w, p in enumerate(log_probs(tokens))]
    return sorted((c for c in found if c[0] > -np.inf), key=lambda c: -c[0])


def result(ended, live, penalty, alpha, unfinished, extra=0):
    done = [(penalised(log, len(y) + extra, penalty, alpha), y, True) for log, y in ended]
    rest = [(penalised(log, len(y) + extra, penalty, alpha), y, False) for log, y in live]
    if unfinished == "compete":
        return sorted(done + rest, key=lambda h: -h[0])
    return sorted(done, key=lambda h: -h[0]) + sorted(rest, key=lambda h: -h[0])


def shrinking(log_probs, end, steps, size, penalty="none", alpha=1.0, unfinished="last"):
    live, ended = [(0.0, ())], []
    for _ in range(steps):
        kept = candidates(log_probs, live)[: size - len(ended)]
        ended += [c for c in kept if c[1][-1] == end]
        live = [c for c in kept if c[1][-1] != end]
    return result(ended, live, penalty, alpha, unfinished)


def frozen(log_probs, end, steps, size, penalty="none", alpha=1.0, unfinished="last"):
    all_ = [(0.0, ())]
    for _ in range(steps):
        ended = [c for c in all_ if c[1] and c[1][-1] == end]
        live = [c for c in all_ if not c[1] or c[1][-1] != end]
        all_ = sorted(ended + candidates(log_probs, live), key=lambda c: -c[0])[:size]
    ended = [c for c in all_ if c[1][-1] == end]
    return result(ended, [c for c in all_ if c[1][-1] != end], penalty, alpha, unfinished)


def refilled(log_probs, end, steps, size, penalty="none", alpha=1.0, unfinished="last"):
    live, ended = [(0.0, ())], []
    for _ in range(steps):
        kept = candidates(log_probs, live)[:size]
        ended += [c for c in kept if c[1][-1] == end]
        live = [c for c in kept if c[1][-1] != end]
    return result(ended, live, penalty, alpha, unfinished)[:size]


def im2txt(log_probs, end, steps, size, penalty="none", alpha=1.0, unfinished="last"):
    partial, complete = [(0.0, ())], []
    for _ in range(steps):
        pushed = []
        for log, tokens in partial:
            p = log_probs(tokens)
            for w in np.argsort(-p, kind="stable")[:size]:
                if p[w] < np.log(1e-12):
                    continue
                (complete if w == end else pushed).append((log + p[w], (*tokens, int(w))))
        partial = sorted(pushed, key=lambda c: -c[0])[:size]
    return result(complete, partial, penalty, alpha, unfinished, extra=1)[:size]


SEARCHES = {"shrinking": shrinking, "frozen": frozen, "refilled": refilled, "im2txt": im2txt}


def everything(log_probs, end, steps, vocabulary, penalty="none", alpha=1.0, extra=0):
    """All sequences that end within so many steps, best first: [(score, tokens)]."""
    found = []
    for length in range(1, steps + 1):
        for y in itertools.product([w for w in range(vocabulary) if w != end], repeat=length - 1):
            tokens = (*y, end)
            log = sum(log_probs(tokens[:i])[w] for i, w in enumerate(tokens))
            found.append((penalised(log, length + extra, penalty, alpha), tokens))
    return sorted(found, key=lambda h: -h[0])
