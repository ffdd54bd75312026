"""Heads, by hand."""

import numpy as np
from report import fake_run

from mmjax.report.run_files import Predictions
from mmjax.report.views import heads


def head(predicted, target, names=("a", "b", "c")):
    return heads.Head("h", names, np.array(predicted), np.array(target))


def test_right_needs_a_reference():
    h = head([0, 1, -1], [0, 2, -1])
    assert h.judged.tolist() == [True, True, False]
    assert h.right.tolist() == [True, False, False]


def test_probabilities_average_steps_and_soften_logits():
    steps = np.array([[[0.2, 0.8], [0.6, 0.4]]])
    np.testing.assert_allclose(heads.probabilities(steps), [[0.4, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(heads.probabilities(np.array([[0.0, np.log(3)]])), [[0.25, 0.75]], rtol=1e-6)
    np.testing.assert_array_equal(heads.probabilities(np.array([[np.nan, 0.5]])), [[0, 0.5]])


def test_heads_are_found_with_either_kind_of_reference():
    arrays = {
        "scores/x": np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]),
        "label/x_target": np.array([0, 0]),
        "label/y": np.array([1, 1]),
        "scores/y_target": np.array([[0, 1.0], [1.0, 0]]),
        "scores/z_target": np.array([[1.0]]),
        "label/w": np.array([3]),
    }
    found = {h.name: h for h in heads.find(Predictions("s", arrays, {"x": ("no", "yes")}))}
    assert set(found) == {"x", "y", "w"}
    assert found["x"].right.tolist() == [True, False]  # cut to the shorter of the two
    assert found["y"].right.tolist() == [True, False]
    assert not found["w"].judged.any()
    assert found["x"].class_name(1) == "yes"
    assert found["x"].class_name(5) == "class 5"


def test_columns_that_are_named_example_by_example():
    (head,) = heads.find(Predictions(split="test", arrays=fake_run.ranked()))
    assert [head.class_name(i) for i in head.predicted] == ["red", "yes", "blue"]
    assert [head.class_name(i) for i in head.target] == ["blue", "no", "none"]
    assert head.right.tolist() == [False, False, False]
    assert head.judged.tolist() == [True, True, False]
    shown = heads.bars(head, 0)
    assert shown.index("red") < shown.index("0.60") < shown.index("0.30")
    assert "hit" in shown  # the second answer is the right one
    first = heads.bars(head, 1)
    assert first.index("yes") < first.index("0.70") < first.index("0.20")
