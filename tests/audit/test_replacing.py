"""What comes in the place of a modality."""

import numpy as np
import pytest

from mmjax.audit import replacing


def test_donors_give_once_within_their_class_and_never_to_themselves(rng):
    label = np.r_[rng.integers(0, 5, 60), 97, 98, 99]  # three are alone, and give to each other
    found = replacing.donors(label, 0)
    assert sorted(found) == list(range(63))
    assert not (found == np.arange(63)).any()
    np.testing.assert_array_equal(label[found[:60]], label[:60])
    assert set(found[60:]) == {60, 61, 62}
    assert (replacing.donors(label, 1) != found).any()
    assert replacing.donors(np.array([3]), 0).tolist() == [0]


def test_means_by_hand():
    np.testing.assert_array_equal(replacing.mean(np.array([[0, 10], [3, 20], [3, 31]], np.uint8)), [[2, 20]])
    np.testing.assert_array_equal(replacing.mean(np.array([[-3, 7], [-2, 8]], np.int16)), [[-2, 8]])
    np.testing.assert_allclose(replacing.mean(np.array([[1.0], [2.0]], np.float32)), [[1.5]])
    np.testing.assert_array_equal(replacing.mean(np.array([[5, 2], [5, 3], [9, 3]], np.int32)), [[5, 3]])
    assert replacing.mean(np.zeros((2, 4), np.int32)).dtype == np.int32


@pytest.mark.parametrize("kind", list(replacing.KINDS))
def test_only_the_modality_changes_and_its_length_with_it(rng, kind):
    columns = {
        "image": rng.integers(0, 256, (8, 2, 2, 3), np.uint8),
        "captions_tokens": np.arange(1, 17, dtype=np.int32).reshape(8, 2),
        "captions_tokens_length": np.arange(8, dtype=np.int32),
        "label": np.repeat(np.arange(2, dtype=np.int32), 4),
    }
    known = {name: value[:3] for name, value in columns.items()}
    found = replacing.replaced(columns, ("captions_tokens",), kind, known, "label", 0)
    assert found["image"] is columns["image"]
    assert found["label"] is columns["label"]
    tokens = found["captions_tokens"]
    if kind == "blank":
        assert not tokens.any()
    elif kind == "mean":
        np.testing.assert_array_equal(tokens, np.repeat([[1, 2]], 8, 0))  # all once: the first
        assert set(found["captions_tokens_length"]) == {0}
    else:
        from_ = tokens[:, 0] // 2
        np.testing.assert_array_equal(found["captions_tokens_length"], from_)
        assert not (from_ == np.arange(8)).any()
        assert ((from_ < 4) == (np.arange(8) < 4)).all() or kind == "other"


def test_classes_are_numbers_that_do_not_go_in():
    fields = ("image", "question_tokens", "answer_label", "label", "tags", "index", "captions_tokens_length")
    assert replacing.groups(fields, {"class": ("label",)}) == ["answer_label"]
