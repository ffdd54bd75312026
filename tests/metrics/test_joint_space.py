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
    points = rng.normal(size=(n, 6)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    captions = np.stack([points, np.zeros_like(points)], 1)  # the second of each is absent
    ids = np.stack([np.arange(n), np.full(n, -1)], 1).astype(np.int32)
    return {"embedding/image": points, "embedding/caption": captions, "number/caption_ids": ids}


def test_a_perfect_space_finds_everything_and_absent_captions_do_not_count(rng):
    figures = joint_space.score(("image", "caption"), space(rng), {})
    assert figures["image_to_caption_r@1"] == figures["caption_to_image_r@1"] == 1
    assert figures["image_to_caption_r@1/chance"] == pytest.approx(1 / 12)
    assert figures["cosine_image_caption"] == pytest.approx(1, abs=1e-6)


def test_equal_sentences_with_an_unknown_word_are_right_for_their_own_picture_only(rng):
    predictions = space(rng)
    predictions["embedding/caption"][:, 0] = predictions["embedding/caption"][0, 0]
    predictions["number/caption_ids"][:, 0] = 7
    shared = joint_space.score(("image", "caption"), predictions, {})
    predictions["number/caption_ids"][:, 0] = joint_space.ALONE
    apart = joint_space.score(("image", "caption"), predictions, {})
    assert shared["image_to_caption_r@1"] == 1
    assert apart["image_to_caption_r@1"] == 0  # all tie, and ties count against us


def test_trust_is_spearman_s_correlation_of_uncertainty_and_rank(rng):
    predictions = space(rng)
    predictions["embedding/caption"][:, 0] += rng.normal(size=(12, 6)) * 0.5
    unsure = rng.random(12).astype(np.float32)
    predictions |= {"number/uncertainty_image": unsure, "number/uncertainty_caption": np.zeros((12, 2), np.float32)}
    figures = joint_space.score(("image", "caption"), predictions, {})
    own = predictions["embedding/caption"][:, 0]
    distance = ((predictions["embedding/image"][:, None] - own[None]) ** 2).sum(-1)
    ranks = 1 + (distance < np.diag(distance)[:, None]).sum(1)
    expected = stats.spearmanr(unsure, ranks).statistic
    assert figures["uncertainty_image_with_rank"] == pytest.approx(expected, abs=1e-6)


def test_tags_that_no_picture_has_are_left_out(rng):
    predictions = {
        **space(rng),
        "number/tag_truth": np.zeros((12, 3), bool),
        "number/tag_scores": rng.random((12, 3)),
        "number/tag_frequency": np.full((12, 3), 0.1),
    }
    assert not any(name.startswith("tags") for name in joint_space.score(("image", "caption"), predictions, {}))
