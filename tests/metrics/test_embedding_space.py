"""Gap, effective rank and cosines by hand, and against singular values and all pairs."""

import numpy as np
import pytest

from mmjax.metrics import embedding_space as space


def test_gap_by_hand():
    a, b = np.array([[2.0, 0.0], [0.0, 3.0]]), np.array([[-1.0, 0.0], [0.0, 5.0]])
    assert space.gap(a, b) == pytest.approx(1.0)  # the means (1/2, 1/2) and (-1/2, 1/2)
    assert space.gap(a, a) == 0
    assert space.gap(a[:1], b[:1]) == 2


def test_halves_of_one_cloud_are_near_each_other(rng):
    a, b = rng.normal(size=(2, 400, 20))
    found = space.figures({"a": a, "b": b})
    # Means of 400 unit vectors around the origin lie about sqrt(1 / 400) from it.
    assert found["gap_a_b/halves"] == pytest.approx(np.sqrt(2 / 400), rel=0.08)
    assert found["gap_a_b"] == pytest.approx(np.sqrt(2 / 400), rel=0.5)
    found = space.figures({"a": a + 3, "b": b - 3})
    assert found["gap_a_b"] > 1.5
    assert found["gap_a_b/halves"] < 0.1
    assert found == space.figures({"a": a + 3, "b": b - 3}), "the same each time"


def test_halves_are_as_large_as_the_sides():
    a, b = np.eye(4)[:1], np.eye(4)[1:]  # one vector against the mean of the three others: always as far
    assert space.gap_of_halves(a, b) == pytest.approx(np.sqrt(1 + 1 / 3))


def test_effective_rank_by_hand():
    cross = np.concatenate([np.eye(5), -np.eye(5)])  # five singular values alike
    assert space.effective_rank(cross) == pytest.approx(5)
    assert space.effective_rank(7 * cross[:, :]) == pytest.approx(5)
    # Four directions at +-60 degrees from an axis and back: singular values 2 cos 60 = 1 and 2 sin 60.
    angle = np.radians([60, -60, 120, -120])
    share = np.array([1, np.sqrt(3)]) / (1 + np.sqrt(3))
    want = np.exp(-np.sum(share * np.log(share)))
    assert space.effective_rank(np.stack([np.cos(angle), np.sin(angle)], 1)) == pytest.approx(want)
    assert space.effective_rank(np.ones((4, 3))) == pytest.approx(1)
    assert space.effective_rank(np.zeros((4, 3))) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (12, 12)])
def test_effective_rank_of_singular_values(rng, shape):
    vectors = rng.normal(size=shape) * np.linspace(0.1, 2, shape[1]) + 1
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    values = np.linalg.svd(unit - unit.mean(0), compute_uv=False)
    values = values[values > 1e-9]
    share = values / values.sum()
    found = space.effective_rank(vectors.astype(np.float32))
    assert found == pytest.approx(np.prod(share**-share), rel=1e-5)
    assert space.effective_rank(vectors) <= min(shape[0] - 1, shape[1]) + 1e-9


def test_a_flat_cloud_is_far_below_the_isotropic_one(rng):
    thin = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 40))
    found = space.figures({"image": thin, "caption": rng.normal(size=(300, 40))})
    assert found["effective_rank_image"] < 3.01
    assert 33 < found["effective_rank_caption/isotropic"] < 40
    assert found["effective_rank_caption"] == pytest.approx(found["effective_rank_caption/isotropic"], rel=0.01)


def test_cosines_are_those_of_all_pairs(rng):
    a, b = rng.normal(size=(2, 9, 4))
    ua, ub = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    every = ua @ ub.T
    matched, others = space.cosines(a, b)
    assert matched == pytest.approx(np.trace(every) / 9)
    assert others == pytest.approx((every.sum() - np.trace(every)) / 72)
    assert space.cosines(a[:1], a[:1]) == pytest.approx((1, 0))


def test_every_figure_has_its_baseline_and_three_sides_have_three_gaps(rng):
    found = space.figures({name: rng.normal(size=(10, 4)) for name in ("image", "caption", "waveform")})
    plain = [name for name in found if "/" not in name]
    assert len(plain) == 3 + 3 + 3
    assert {"gap_image_caption", "gap_caption_waveform", "cosine_image_waveform", "effective_rank_waveform"} < {*plain}
    assert all(any(other.startswith(f"{name}/") for other in found) for name in plain)


def test_a_run_that_diverged_has_no_figures_and_does_not_fail(rng):
    a = rng.normal(size=(10, 4))
    found = space.figures({"image": np.where(a > 2, np.nan, a) * np.inf, "caption": a})
    assert np.isnan(found["gap_image_caption"])
    assert np.isnan(found["cosine_image_caption/mismatched"])
    assert np.isnan(found["effective_rank_image"])
    assert found["effective_rank_caption"] > 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="of one shape"):
        space.figures({"image": np.eye(3), "caption": np.eye(4)})
    with pytest.raises(ValueError, match="of one shape"):
        space.figures({"image": np.zeros((0, 3)), "caption": np.zeros((0, 3))})
