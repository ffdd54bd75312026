"""Ranks in blocks against the host reference; figures and chance by hand; the protocols fold by fold."""

import jax
import numpy as np
import pytest

from mmjax.metrics import ranking, retrieval

NAMES = ("image", "caption")


def mask(query_ids, gallery_ids):
    """Relevance as loops say it."""
    return np.array([[bool({*q} & {*g} - {-1}) for g in gallery_ids.tolist()] for q in query_ids.tolist()])


def whole(low, high, *shape):
    """Vectors of small whole numbers: their products are exact and tie often."""
    return np.random.default_rng(len(shape)).integers(low, high, shape).astype(np.float32)


def test_by_hand():
    queries = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], np.float32)
    gallery = np.array([[0.9, 0.1], [0.8, 0.3], [0.5, 0.2], [0.1, 0.9]], np.float32)
    found, back = ranking.ranked(queries, gallery, np.array([[7], [8], [9]]), np.array([[9], [7], [7], [8]]))
    np.testing.assert_array_equal(found.rank, [2, 1, 3])  # of the third: 0.62 0.72 0.46 0.78
    np.testing.assert_array_equal(found.relevant, [2, 1, 1])
    assert (found.gallery, back.gallery) == (4, 3)
    np.testing.assert_array_equal(back.rank, [2, 1, 1, 1])  # of the first: 0.9 0.1 0.62
    np.testing.assert_array_equal(back.relevant, [1, 1, 1, 1])


@pytest.mark.parametrize("block", [512, 61, 16, 7])
def test_equal_to_the_host_with_ties_and_several_ids(block):
    queries, gallery = whole(-2, 3, 61, 4), whole(-2, 3, 47, 4)
    rng = np.random.default_rng(1)
    gallery_ids = np.where(np.arange(47)[:, None] % 9 == 4, -1, rng.integers(-1, 30, (47, 3)))
    query_ids = np.where(rng.random((61, 2)) < 0.3, -1, rng.integers(0, 30, (61, 2)))
    query_ids[:, 0] = rng.choice(gallery_ids[gallery_ids >= 0], 61)
    relevant = mask(query_ids, gallery_ids)
    there, back = ranking.ranked(queries, gallery, query_ids, gallery_ids, block)
    np.testing.assert_array_equal(there.rank, retrieval.ranks(queries @ gallery.T, relevant))
    np.testing.assert_array_equal(there.relevant, relevant.sum(1))
    assert (there.relevant > 1).any()
    some = relevant.any(0)
    np.testing.assert_array_equal(back.rank[some], retrieval.ranks(gallery[some] @ queries.T, relevant.T[some]))
    np.testing.assert_array_equal(back.relevant, relevant.sum(0))
    assert not some.all()
    assert (back.rank[~some] == 62).all()  # behind everything


def test_copies_tie_to_the_last_bit_wherever_they_stand(rng):
    vectors = np.tile(rng.normal(size=(30, 300)), (3, 1))
    ids = np.arange(90)[:, None]
    for found in ranking.ranked(vectors, vectors, ids, ids, 16):  # 16 does not divide 30: other columns of other blocks
        np.testing.assert_array_equal(found.rank, [3] * 90)  # its two copies stand before it


@pytest.mark.parametrize("block", [512, 4])
def test_ties_and_nan_count_against_us(block):
    ids = np.arange(6)[:, None]
    for same in ranking.ranked(np.ones((6, 3)), np.ones((6, 3)), ids, ids, block):
        np.testing.assert_array_equal(same.rank, [6] * 6)
    gallery = np.eye(6, dtype=np.float32)
    gallery[2] = np.nan
    there, back = ranking.ranked(np.eye(6), gallery, ids, ids, block)
    np.testing.assert_array_equal(there.rank, retrieval.ranks(np.eye(6) @ gallery.T))
    np.testing.assert_array_equal(there.rank, [2, 2, 6, 2, 2, 2])
    np.testing.assert_array_equal(back.rank, [1, 1, 6, 1, 1, 1])
    gallery_ids = np.array([0, 1, 2, 2, 4, 5])[:, None]  # beside the NaN, query 2 has a second item, the nearest
    gallery[3, 2] = 1
    np.testing.assert_array_equal(ranking.ranks(np.eye(6)[2:3], gallery, ids[2:3], gallery_ids, block), [1])


def test_ids_may_be_large_and_none_is_not_equal_to_none():
    ids = np.array([[2**40, -1], [2**40 + 2**32, -5]])
    for found in ranking.ranked(np.eye(2), np.eye(2), ids, ids):
        np.testing.assert_array_equal(found.relevant, [1, 1])


def test_a_query_without_a_relevant_item_is_refused():
    with pytest.raises(ValueError, match="query 1 has no relevant item among 2"):
        ranking.ranks(np.eye(2), np.eye(2), np.array([[0], [3]]), np.array([[0], [1]]))
    with pytest.raises(ValueError, match="do not agree"):
        ranking.ranks(np.eye(2), np.eye(2), np.array([[0]]), np.array([[0], [1]]))
    with pytest.raises(ValueError, match="do not agree"):
        ranking.ranks(np.eye(2), np.eye(3), np.zeros((2, 1)), np.zeros((3, 1)))


def test_no_matrix_of_all_pairs_is_made():
    def side(blocks, several):
        kinds = {"vectors": ((512, 8), np.float32), "ids": ((512, several), np.int32), "where": ((512,), bool)}
        return ranking.Side(**{k: jax.ShapeDtypeStruct((blocks, *shape), kind) for k, (shape, kind) in kinds.items()})

    meetings = jax.ShapeDtypeStruct((40 * 20, 2), np.int32)
    program = jax.jit(ranking._both).lower(side(40, 1), side(20, 2), meetings, 60).compile()
    assert program.memory_analysis().temp_size_in_bytes < 512 * 512 * 4 * 8  # of 40 x 20 times that


def test_only_blocks_that_share_an_id_meet():
    a, b = np.array([[[0], [1]], [[2], [-1]]]), np.array([[[9, 9]], [[1, 2]], [[0, -2]]])
    meetings, count = ranking._meetings(a, b)
    assert {*map(tuple, meetings[:count].tolist())} == {(0, 1), (0, 2), (1, 1)}
    assert meetings.shape == (6, 2)


def test_figures_by_hand():
    found = ranking.Ranked(np.array([1, 1, 4, 12]), np.array([1, 1, 2, 2]), 20)
    figures = ranking.figures("a_to_b", found)
    two = lambda k: 1 - (20 - k) * (19 - k) / (20 * 19)  # noqa: E731
    assert figures == {
        "a_to_b_r@1": 0.5,
        "a_to_b_r@1/chance": pytest.approx((1 / 20 + two(1)) / 2),
        "a_to_b_r@5": 0.75,
        "a_to_b_r@5/chance": pytest.approx((5 / 20 + two(5)) / 2),
        "a_to_b_r@10": 0.75,
        "a_to_b_r@10/chance": pytest.approx((10 / 20 + two(10)) / 2),
        "a_to_b_median_rank": 2.5,
        "a_to_b_median_rank/chance": 8.0,
        "a_to_b_mean_rank": 4.5,
        "a_to_b_mean_rank/chance": pytest.approx((10.5 + 7.0) / 2),
    }
    reached = [(k / 20 + two(k)) / 2 for k in range(1, 21)]
    assert reached[6] < 0.5 < reached[7]  # so the median under chance is 8


def test_both_ways_with_several_captions_some_absent(rng):
    images = whole(-3, 4, 9, 5)
    captions = whole(-3, 4, 9, 3, 5)
    ids = np.arange(27).reshape(9, 3)
    ids[2] = [0, 7, -1]  # the first caption of picture 0 once more, and no third
    ids[5] = -1
    captions[ids < 0] = np.nan  # whatever stands there
    figures = ranking.both_ways(NAMES, images, captions, ids)
    present = ids >= 0
    flat, owners = captions[present], ids[present]
    similarity = images @ flat.T
    relevant = np.array([[i in row for i in owners] for row in ids])
    assert relevant.sum() == present.sum() + 2
    some = present.any(1)
    there, back = retrieval.ranks(similarity[some], relevant[some]), retrieval.ranks(similarity.T, relevant.T)
    assert len(there) == 8
    assert figures["image_to_caption_r@1"] == np.mean(there <= 1)
    assert figures["image_to_caption_median_rank"] == np.median(there)
    assert figures["caption_to_image_r@5"] == np.mean(back <= 5)
    assert figures["caption_to_image_mean_rank"] == np.mean(back)
    assert figures["caption_to_image_r@5/chance"] == pytest.approx(
        retrieval.chance_recall_at_k(similarity.T.shape, 5, relevant.T)
    )
    assert figures["image_to_caption_median_rank/chance"] == retrieval.chance_median_rank(
        similarity[some].shape, relevant[some]
    )
    assert len(figures) == 20
    assert all(f"{name}/chance" in figures for name in figures if "/" not in name)


def test_one_item_an_example_needs_no_further_axis():
    a, b = whole(-2, 3, 12, 3), whole(-2, 3, 12, 3)[::-1]
    flat = ranking.both_ways(("image", "sound"), a, b, np.arange(12))
    assert flat == ranking.both_ways(("image", "sound"), a, b[:, None], np.arange(12)[:, None])
    assert flat["sound_to_image_r@1"] == retrieval.recall_at_k(b @ a.T, 1)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"a has 3 examples, b is \(3, 1, 3\) and the ids are \(2, 1\)"):
        ranking.both_ways(NAMES, np.eye(3), np.eye(3), np.arange(2))
    with pytest.raises(ValueError, match="no example has a caption"):
        ranking.both_ways(NAMES, np.eye(3), np.eye(3), np.full(3, -1))


def test_protocols_of_a_large_split(monkeypatch):
    monkeypatch.setattr(ranking, "_FOLD", 10)
    a, b, ids = whole(-4, 5, 53, 4), whole(-4, 5, 53, 2, 4), np.arange(106).reshape(53, 2)
    figures = ranking.both_ways(NAMES, a, b, ids)
    parts = [ranking.both_ways(NAMES, a[i : i + 10], b[i : i + 10], ids[i : i + 10]) for i in range(0, 50, 10)]
    for name in ("r@1", "r@5/chance", "median_rank", "mean_rank"):
        mean = np.mean([part[f"image_to_caption_{name}"] for part in parts])
        assert figures[f"image_to_caption_1k_{name}"] == pytest.approx(mean)
    first = ranking.both_ways(NAMES, a[:50], b[:50], ids[:50])
    assert first["caption_to_image_mean_rank"] == figures["caption_to_image_5k_mean_rank"]
    assert first["caption_to_image_1k_r@10"] == figures["caption_to_image_1k_r@10"]
    assert not any("k_" in name for name in ranking.both_ways(NAMES, a[:49], b[:49], ids[:49]))
    same = ranking.both_ways(NAMES, a, b, np.zeros_like(ids))  # as published only the own one is right
    assert same["caption_to_image_5k_r@1"] == figures["caption_to_image_5k_r@1"]
    assert same["caption_to_image_r@1"] == 1
    assert len(first) == len(figures) == 60
    assert not any("1k" in name for name in ranking.both_ways(NAMES, a[:49], b[:49], ids[:49]))
