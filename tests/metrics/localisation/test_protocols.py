"""cIoU, AUC, pointing and pixel AP against a naive evaluator, by hand, and on VGG-SS's boxes."""

import json
import os

import jax
import localisation_reference as reference
import numpy as np
import pytest
from jax import numpy as jnp
from sklearn.metrics import average_precision_score

from mmjax.metrics import running_mean
from mmjax.metrics.localisation import grid, protocols, trivial

BOXES = "MMJAX_VGGSS_BOXES"  # a file like vggss.json: [{"bbox": [[xmin, ymin, xmax, ymax], ...]}, ...]


def test_by_hand():
    # Four by four, the truth is the left half's upper three: 6 pixels. The map falls row by row.
    truth = jnp.zeros((1, 4, 4)).at[0, :3, :2].set(1)
    maps = -jnp.arange(16.0).reshape(1, 4, 4)
    found = protocols.scores(maps, truth, ap=False)
    np.testing.assert_allclose(found["ciou"], 4 / (6 + 4))  # the two upper rows
    np.testing.assert_allclose(found["ciou_adaptive"], 3 / (6 + 2))  # five pixels: a row and one more
    np.testing.assert_array_equal(found["pointing"], 1)
    flat = protocols.scores(jnp.asarray([0.0, -0.0] * 8).reshape(1, 4, 4), truth, ap=False)
    np.testing.assert_allclose(flat["ciou"], 6 / 16)  # all tie at the median and are marked
    assert float(flat["ciou_adaptive"][0]) == 0  # and none lies above the threshold
    np.testing.assert_allclose(flat["pointing"], 6 / 16)
    for name, value in trivial.whole(truth).items():
        np.testing.assert_allclose(value, 6 / 16, err_msg=name)


def test_a_naive_evaluator_says_the_same(rng):
    maps = rng.standard_normal((4, 7, 7)).astype(np.float32)
    maps[1] = np.maximum(maps[1], 0.3)  # a plateau that reaches beyond the median
    boxes = np.sort(rng.random((4, 2, 2, 2)).astype(np.float32), -2).reshape(4, 2, 4)
    where = np.array([[True, True], [True, False], [True, True], [False, False]])
    truth = jnp.concatenate([grid.union(boxes[:2], where[:2]), grid.votes(boxes[2:], where[2:])])
    found = jax.jit(protocols.scores)(maps, truth)
    pixels = np.asarray(grid.resized(jnp.asarray(maps)))
    for i in range(3):
        wanted = reference.scores_of(pixels[i], np.asarray(truth[i], np.float64))
        np.testing.assert_allclose((found["ciou"][i], found["ciou_adaptive"][i]), wanted, rtol=1e-5)
        peak = np.unravel_index(np.argmax(pixels[i]), (224, 224))
        assert float(found["pointing"][i]) == float(truth[i][peak] > 0)
        blocks = [x.reshape(56, 4, 56, 4).mean((1, 3)) for x in (pixels[i], np.asarray(truth[i]))]
        wanted = average_precision_score(blocks[1].ravel() >= 0.5, blocks[0].ravel())
        np.testing.assert_allclose(found["pixel_ap"][i], wanted, rtol=2e-3)  # blocks that tie but for rounding
    assert all(float(values[3]) == 0 for values in found.values())  # nothing to be found
    figures = protocols.figures(found, where.any(1), "/x")
    for name in ("", "_adaptive"):
        cious = np.asarray(found[f"ciou{name}"])[:3]
        total, count = figures[f"auc{name}/x"]
        np.testing.assert_allclose(total / count, reference.auc_of(cious), rtol=1e-5)
        assert tuple(map(float, figures[f"ciou{name}/x"])) == ((cious >= 0.5).sum(), 3)


def test_average_precision_with_ties():
    # Down to 3: one of one; down to the two that tie: two of three and so for both.
    value = protocols.average_precision(jnp.asarray([[3.0, 1.0, 1.0, 0.0]]), jnp.asarray([[True, False, True, False]]))
    np.testing.assert_allclose(value, (1 + 2 / 3) / 2)


def test_objects_at_random():
    truth = grid.union(jnp.asarray([[[0.0, 0.0, 0.5, 0.5]]]), jnp.ones((1, 1), bool), 8)
    boxes = jnp.asarray([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0]]])
    found = trivial.some_object(boxes, jnp.asarray([[True, True, False]]), truth)
    np.testing.assert_allclose(found["pointing"], 1 / 2)
    # As many are marked as lie above the sixteenth: of the right quarter all but its corners, which are as far from its
    # middle; of the opposite one none.
    assert float(found["ciou_adaptive"][0]) == pytest.approx(12 / 16 / 2)


def test_an_object_at_random_points_to_its_own_middle_and_not_to_the_neighbour_before_it():
    # Left and right, overlapping in the picture's middle: in neither lies the middle of the other.
    boxes = jnp.asarray([[[0.25, 0.5, 0.75, 0.9], [0.25, 0.1, 0.75, 0.6], [0.0, 0.0, 0.0, 0.0]]])
    truth = grid.union(boxes[:, :1], jnp.ones((1, 1), bool))
    found = trivial.some_object(boxes, jnp.asarray([[True, True, False]]), truth, ap=False)
    np.testing.assert_allclose(found["pointing"], 1 / 2)
    peak = jnp.argmax(trivial.boxed(boxes[0, :2]).reshape(2, -1), 1)  # rows 56 to 167, columns 112 to 200 and 22 to 133
    np.testing.assert_array_equal(np.unravel_index(peak, (224, 224)), [[111, 111], [156, 77]])


def vggss():
    """Boxes ymin, xmin, ymax, xmax [n k 4], and which there are."""
    if not os.environ.get(BOXES):
        pytest.skip(f"{BOXES} names no file of VGG-SS's boxes")
    with open(os.environ[BOXES]) as file:
        rows = [row["bbox"] for row in json.load(file)]
    boxes = np.zeros((len(rows), max(map(len, rows)), 4), np.float32)
    for row, own in zip(boxes, rows):
        row[: len(own)] = np.asarray(own)[:, [1, 0, 3, 2]]
    return boxes, np.arange(boxes.shape[1])[None] < np.array([len(own) for own in rows])[:, None]


def test_published_boxes_and_maps_that_hear_nothing():
    boxes, where = vggss()
    batches = [(boxes[i : i + 64], where[i : i + 64]) for i in range(0, len(boxes), 64)]
    follow = jax.jit(lambda mean, boxes, where: running_mean.follow(mean, grid.union(boxes, where), where.any(1)))
    mean = running_mean.fresh(jax.ShapeDtypeStruct((grid.SIZE, grid.SIZE), np.float32))
    for batch in batches:
        mean = follow(mean, *batch)

    @jax.jit
    def figures(mean, boxes, where):
        truth = grid.union(boxes, where)
        named = {"disc": trivial.disc()[None], "mean": mean["mean"][None], "oracle": trivial.ranked(truth)}
        found = {k: protocols.scores(jnp.broadcast_to(v, truth.shape), truth, ap=False) for k, v in named.items()}
        found["whole"] = trivial.whole(truth)
        sums = {}
        for name, scores in found.items():
            sums |= protocols.figures(scores, where.any(1), f"/{name}")
        return sums

    every = [figures(mean, *batch) for batch in batches]
    shares = {k: 100 * sum(float(x[k][0]) for x in every) / sum(float(x[k][1]) for x in every) for k in every[0]}
    wanted = {"disc": (34.0, 37.4), "mean": (34.5, 37.8), "whole": (21.95, 31.25), "oracle": (50.5, 49.5)}
    adaptive = {"disc": (43.7, 42.9), "mean": (44.4, 43.6)}
    for suffix, table in (("", wanted), ("_adaptive", adaptive)):
        for name, pair in table.items():
            measured = [shares[f"{kind}{suffix}/{name}"] for kind in ("ciou", "auc")]
            np.testing.assert_allclose(measured, pair, atol=0.1, err_msg=name + suffix)
