"""The figures of a joint space: Gaussians in order of their distance, captions apart, trust against SciPy."""

import numpy as np
import pytest
from scipy import stats

from mmjax.metrics import joint_space


def test_gaussians_are_ordered_by_their_expected_distance(rng):
    a, b = rng.normal(size=(5, 4)).astype(np.float32), rng.normal(size=(6, 4)).astype(np.float32)
    sigma_a, sigma_b = rng.random(5).astype(np.float32), rng.random(6).astype(np.float32)
    one, two = joint_space.comparable((a, sigma_a), (b, sigma_b))
    distance = ((a[:, None] - b[None]) ** 2).sum(-1) + sigma_a[:, None] + sigma_b[None]
    np.testing.assert_allclose(np.asarray(one) @ np.asarray(two).T, -distance, atol=1e-4)


def test_captions_with_an_unknown_word_have_numbers_of_their_own():
    apart = joint_space._apart(np.array([[5, -2], [-2, -1]], np.int32))
    assert apart.tolist() == [[5, 2**31 + 1], [2**31 + 2, -1]]


def space(rng, n=12):
    """(points of pictures and of their captions, the captions' numbers); the second caption of each is absent."""
    points = rng.normal(size=(n, 6)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    ids = np.stack([np.arange(n), np.full(n, -1)], 1).astype(np.int32)
    return points, np.stack([points, np.zeros_like(points)], 1), ids


def test_a_perfect_space_finds_everything_and_absent_captions_do_not_count(rng):
    points, captions, ids = space(rng)
    figures = joint_space.figures({"image": (points, None), "caption": (captions, None)}, ids)
    assert figures["image_to_caption_r@1"] == figures["caption_to_image_r@1"] == 1
    assert figures["image_to_caption_r@1/chance"] == pytest.approx(1 / 12)
    assert figures["cosine_image_caption"] == pytest.approx(1, abs=1e-6)


def test_equal_sentences_with_an_unknown_word_are_right_for_their_own_picture_only(rng):
    points, captions, ids = space(rng)
    captions[:, 0] = captions[0, 0]
    seen = {"image": (points, None), "caption": (captions, None)}
    ids[:, 0] = 7
    assert joint_space.figures(seen, ids)["image_to_caption_r@1"] == 1
    ids[:, 0] = joint_space.ALONE
    assert joint_space.figures(seen, ids)["image_to_caption_r@1"] == 0  # all tie, and ties count against us


def test_trust_is_spearman_s_correlation_of_uncertainty_and_rank(rng):
    points, captions, ids = space(rng)
    captions[:, 0] += rng.normal(size=(12, 6)) * 0.5
    unsure = rng.random(12).astype(np.float32)
    seen = {"image": (points, unsure), "caption": (captions, np.zeros((12, 2), np.float32))}
    distance = ((points[:, None] - captions[:, 0][None]) ** 2).sum(-1)
    ranks = 1 + (distance < np.diag(distance)[:, None]).sum(1)
    expected = stats.spearmanr(unsure, ranks).statistic
    assert joint_space.figures(seen, ids)["uncertainty_image_with_rank"] == pytest.approx(expected, abs=1e-6)


def test_sides_without_captions_find_their_own_example(rng):
    points, _, _ = space(rng)
    figures = joint_space.figures({"image": (points, None), "waveform": (np.roll(points, 1, 0), None)}, None)
    assert figures["image_to_waveform_r@1"] == figures["waveform_to_image_r@1"] == 0
    assert "caption_to_image_r@1" not in figures
