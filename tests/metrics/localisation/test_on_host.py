"""Many maps on the host: pixel by pixel what a naive evaluator says, with ties and votes, and what `protocols` says."""

import localisation_reference as reference
import numpy as np
import pytest

from mmjax.metrics.localisation import grid, on_host, protocols


def make_boxes(rng, n):
    boxes = np.sort(rng.random((n, 3, 2, 2)).astype(np.float32) * 1.2 - 0.1, -2).reshape(n, 3, 4)
    return boxes, np.arange(3)[None] < rng.integers(1, 4, n)[:, None]


def naive(pixels, truth):
    """As the reference, but for its loops over pixels."""
    rising, area = np.sort(pixels.ravel()), int(np.sum(truth != 0))
    marked = pixels >= rising[rising.size // 2], pixels > rising[rising.size - area]
    return [np.sum(truth[m]) / (np.sum(truth) + np.sum(truth[m] == 0)) for m in marked]


@pytest.mark.parametrize("votes", [False, True])
def test_a_naive_evaluator_says_the_same(rng, votes):
    maps = np.array(grid.resized(rng.standard_normal((8, 7, 7)).astype(np.float32)))
    maps[1] = np.maximum(maps[1], 0.3)  # a plateau that reaches beyond the median
    maps[2] = 0
    maps[2, ::2] = -0.0  # all tie
    maps[3] = rng.permutation(maps[3].ravel()).reshape(maps[3].shape)  # the sample tells little
    maps[4] = np.where(np.arange(grid.SIZE) % 4 == 2, 9, maps[4])  # and here it misleads
    maps[5] = np.round(maps[5], 1)
    boxes, where = make_boxes(rng, 8)
    where[:6, 1] = True
    found = on_host.scores(maps, boxes, where, votes=votes)
    truths = [reference.truth_of(own[there], votes) for own, there in zip(boxes, where, strict=True)]
    wanted = [naive(*both) for both in zip(maps, truths, strict=True)]
    np.testing.assert_allclose(np.stack([found["ciou"], found["ciou_adaptive"]], -1), wanted, rtol=1e-9)


def test_maps_of_any_size_are_those_of_the_device(rng, monkeypatch):
    monkeypatch.setattr(on_host, "PART", 5)
    monkeypatch.setattr(on_host, "CHUNK", 2)
    n = 12
    maps, (boxes, where) = rng.standard_normal((n, 6, 9)).astype(np.float32), make_boxes(rng, n)
    where[5] = False  # nothing to be found
    found = on_host.scores(maps, boxes, where, "cubic")
    wanted = protocols.scores(maps, grid.union(boxes, where), "cubic", ap=False)
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted[name], atol=2e-4)  # a pixel or two, for rounding
    assert found["ciou"][5] == found["ciou_adaptive"][5] == 0
    assert len(on_host.scores(maps[:0], boxes[:0], where[:0])["ciou"]) == 0
    with pytest.raises(ValueError, match="corners, centres, cubic"):
        on_host.scores(maps, boxes, where, "nearest")
