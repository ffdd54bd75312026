"""Numbers of what examples hold: equal for equal content, and for nothing else."""

import jax
import numpy as np
import pytest

from mmjax.ops import alike


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_equal_content_and_no_other_has_the_same_number(rng, dtype):
    picture = rng.integers(0, 200, (6, 6, 3)).astype(dtype)
    others = [picture, np.swapaxes(picture, 0, 1), picture[::-1], picture[:, ::-1], picture[..., ::-1], picture * 0]
    others += [picture + np.eye(6, dtype=dtype)[..., None] * (np.arange(3) == k).astype(dtype) for k in range(3)]
    single = np.repeat(picture[None], 108, 0)
    single.reshape(108, 108)[np.arange(108), np.arange(108)] += 1  # a pixel each
    several = np.concatenate([np.stack(others), single, -single.astype(np.int16).astype(dtype)])
    found = np.asarray(jax.jit(alike.number_of)(np.concatenate([several, several[::-1]])))
    assert len(set(found.tolist())) == len(several)
    np.testing.assert_array_equal(found[: len(several)], found[len(several) :][::-1])
    assert (found >= 0).all()
    assert found.dtype == np.int32


def test_what_was_blanked_is_each_its_own():
    content = np.array([[1, 2], [1, 2], [3, 4], [1, 2]], np.int16)
    found = np.asarray(alike.number_among(content, np.ones(4, bool)))
    assert found[0] == found[1] == found[3] != found[2]
    found = np.asarray(alike.number_among(content, np.arange(4) != 2))
    assert len(set(found.tolist())) == 4
