"""Bits by the batch estimator, of predictors whose bits are known."""

import numpy as np
import pytest

from mmjax.audit import bits


def test_batches_do_not_depend_on_the_order_of_the_examples():
    """Four classes as often, in order of class; one side knows them, the other nothing: 2 bits are the first's own."""
    label = np.repeat(np.arange(4), 128)
    sure = np.log(np.full((512, 4), 1e-6) + np.eye(4)[label])
    said = {"": sure, "picture": sure, "words": np.log(np.full((512, 4), 0.25))}
    found = bits.batch_parts(label, said, ("picture", "words"))["bits"]
    assert found["only picture"]["value"] == pytest.approx(2, abs=0.05)
    assert [found[name]["value"] for name in ("redundant", "only words", "synergy")] == pytest.approx([0] * 3, abs=0.02)
