"""ABX: triples and angles by hand."""

import jax
import numpy as np
import pytest

from mmjax.metrics import abx


def frames(*rows):
    longest = max(map(len, rows))
    vectors = np.zeros((len(rows), longest, 2), np.float32)
    for row, angles in zip(vectors, rows):
        row[: len(angles)] = np.stack([np.cos(angles), np.sin(angles)], 1) * 3  # of any length
    return abx.Frames(vectors, np.array(list(map(len, rows)), np.int32))


def test_triples_by_hand():
    quarter = np.pi / 2
    x = frames([0, quarter], [0, 0], [0, 0])
    same = frames([0, 0, quarter], [quarter], [quarter])  # slower, but the same; 1/2 apart; 1/2 apart
    other = frames([quarter, quarter], [0, quarter], [quarter, quarter])
    found = jax.jit(abx.margin)(x, same, other)
    np.testing.assert_allclose(found, [1 / 4 - 0, 1 / 4 - 1 / 2, 0], atol=2e-4)
    np.testing.assert_array_equal(abx.error(np.array([0.1, -0.1, 0], np.float32)), [0, 1, 0.5])


@pytest.mark.parametrize("together", [1, 30, 2**26])  # one pair at a time, some, all
def test_several_lists_of_triples_are_each_what_they_are_alone(rng, monkeypatch, together):
    monkeypatch.setattr(abx, "TOGETHER", together)
    sizes = ((4, 4, 4), (4, 4, 4), (3, 4, 2), (2, 4, 4))  # of X, A and B: some pairs are of one shape, others not
    lists = [tuple(frames(*(rng.uniform(0, 1.5, n) for _ in range(2))) for n in size) for size in sizes]
    lists[0] = tuple(each._replace(steps=np.array([2, 3], np.int32)) for each in lists[0])
    found = abx.margins(lists)
    assert len(found) == len(lists)
    for margin, triples in zip(found, lists):
        alone = [abx.margin(*(abx.Frames(f.vectors[i : i + 1], f.steps[i : i + 1]) for f in triples)) for i in range(2)]
        np.testing.assert_allclose(margin, np.concatenate(alone), atol=1e-6)


def test_angles_are_arccos():
    x = np.linspace(-1.0001, 1.0001, 2001, dtype=np.float32)
    np.testing.assert_allclose(abx.angle(x), np.arccos(np.clip(x.astype(np.float64), -1, 1)) / np.pi, atol=1e-6)
