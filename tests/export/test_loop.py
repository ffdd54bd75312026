"""The loop of an exported folder beside the published beam searches, which NumPy alone runs both of."""

import itertools

import decode_reference
import numpy as np
import pytest

from mmjax.export import loop

NEVER = (0, 1, 3)
START, END, STEPS, D = 1, 2, 7, 6


def network(seed, words):
    """(step, its first state, prefix -> log-probabilities of the next word) of a recurrent network."""
    rng = np.random.default_rng(seed)
    shapes = ((words, D), (D, D), (D, words), (1, D))
    spelled, turn, speak, first = (
        rng.normal(0, scale, s).astype(np.float32) for s, scale in zip(shapes, (1, 0.7, 1.5, 1))
    )

    def step(given):
        mood = np.tanh(given["state/mood"] @ turn + spelled[given["token"]])
        return {"logits": mood @ speak + given["memory/noise"], "next/mood": mood}

    def log_probs(prefix):
        given = {"state/mood": first, "memory/noise": 0}
        for token in (START, *prefix):
            out = step({**given, "token": np.array([token])})
            given["state/mood"] = out["next/mood"]
        found = out["logits"][0] - np.logaddexp.reduce(out["logits"][0])
        found[list(NEVER)] = -np.inf
        return found

    return step, {"state/mood": first, "memory/noise": np.zeros((1, 1), np.float32)}, log_probs


@pytest.mark.parametrize("semantics", decode_reference.SEARCHES)
def test_it_finds_what_the_published_searches_find(semantics):
    for seed, words, size in itertools.product(range(4), (5, 9), (1, 3)):
        step, begun, log_probs = network(seed, words)
        for penalty, unfinished in itertools.product(("none", "mean", "gnmt"), ("last", "compete")):
            search = decode_reference.SEARCHES[semantics]
            want = search(log_probs, END, STEPS, size, penalty, 1.0, unfinished)[0][1]
            options = {"semantics": semantics, "penalty": penalty, "unfinished": unfinished}
            got = loop.beam(step, begun, START, END, NEVER, STEPS, size, **options)
            assert got == [token for token in want if token != END], (seed, words, size, options)


def test_it_does_not_end_before_it_may():
    step, begun, _ = network(0, 9)
    free = loop.beam(step, begun, START, END, NEVER, STEPS, 2)
    held = loop.beam(step, begun, START, END, NEVER, STEPS, 2, min_length=len(free) + 1)
    assert len(held) > len(free)
