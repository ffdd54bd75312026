"""Which split an example belongs to: by its name alone."""

import numpy as np
import pytest

from mmjax.data.files import prepared


def test_splits_stay_when_names_come():
    names = [f"video{index}.mp4" for index in range(2000)]
    before = prepared.assign_splits(names[:1000], 0.1, 0.2)
    after = prepared.assign_splits(names, 0.1, 0.2)
    assert all(after[name] == split for name, split in before.items())
    shares = [sum(split == name for split in after.values()) / 2000 for name in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.03)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, ["train"]), (2, ["test", "train"]), (3, ["test", "train", "validation"])],
)
def test_a_handful_fills_every_split_it_can(count, expected):
    for seed in range(20):
        splits = prepared.assign_splits([f"{seed}-{index}" for index in range(count)], 0.1, 0.1)
        assert sorted(splits.values()) == expected
    assert set(prepared.assign_splits([str(i) for i in range(50)], 0.0, 0.0).values()) == {"train"}
