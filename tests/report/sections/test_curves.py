"""Curves, number by number."""

import numpy as np
import pytest

from mmjax.report.run_files import Metrics, Run
from mmjax.report.sections import curves


def run(train, held_out):
    return Run(metrics=Metrics({"train": train, "eval": held_out}))


def test_points_average_neighbours_and_leave_out_what_is_not_finite():
    steps, values = curves.points({1: 1.0, 2: 3.0, 3: float("nan"), 4: 5.0, 5: 7.0}, most=2)
    np.testing.assert_array_equal(steps, [1.5, 4.5])
    np.testing.assert_array_equal(values, [2.0, 6.0])


def test_smooth_is_a_centred_mean():
    np.testing.assert_allclose(curves.smooth(np.array([0.0, 3.0, 6.0, 0.0]), 3), [1.5, 3, 3, 3])


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("examples_per_second", "examples / s"),
        ("object_kl", "nats"),
        ("si_sdr", "dB"),
        ("accuracy", ""),
        ("kl/x_kl", "nats"),
    ],
)
def test_units(name, unit):
    assert curves.unit(name) == unit


def test_baselines_are_dashed_and_the_figure_is_not():
    figure = curves.eval_figure("acc", {10: 0.2, 20: 0.6}, {"chance": {10: 0.1, 20: 0.1}, "once": {20: 0.3}})
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {"held out", "chance", "once"}
    assert all(lines[name].is_dashed() for name in ("chance", "once"))
    assert not lines["held out"].is_dashed()
    np.testing.assert_array_equal(lines["held out"].get_ydata(), [0.2, 0.6])
    assert figure.axes[0].get_xlabel() == "step"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["chance", "once", "held out"]


def test_an_oracle_out_of_reach_does_not_flatten_the_curve():
    curve, given = {10: 4.0, 20: 7.0}, {"mixture": {20: 0.0}, "ideal_mask": {20: 12.0}, "ideal_complex": {20: 47.0}}
    assert list(curves.near(curve, given)) == ["mixture", "ideal_mask"]
    assert list(curves.near(curve, {"far": {20: 47.0}, "oracle": {20: 99.0}})) == ["far", "oracle"]  # no oracle: drawn
    assert list(curves.near({10: 1.0}, {"oracle": {10: 2.0}})) == ["oracle"]  # nothing says what is far
    assert list(curves.near({10: float("nan")}, {"oracle": {10: 2.0}})) == ["oracle"]
    page = curves.render(run({}, {"sdr": curve, **{f"sdr/{name}": line for name, line in given.items()}}))
    assert "ideal_complex 47" in page


def test_a_steep_loss_gets_a_logarithmic_axis():
    assert curves.train_figure("loss", {"": {1: 100.0, 2: 1.0}}).axes[0].get_yscale() == "log"
    assert curves.train_figure("loss", {"": {1: 2.0, 2: 1.0}}).axes[0].get_yscale() == "linear"


def test_groups_of_training_logs_are_not_baselines():
    train = {name: {1: 1.0, 2: 2.0} for name in ("loss", "loss/gen", "grad_norm/gen", "other")}
    page = curves.render(run(train, {"loss": {2: 3.0}, "loss/gen": {2: 4.0}}))
    shown = [words.split('"')[0] for words in page.split('aria-label="')[1:]]
    assert shown[:2] == [f"Curve of {name} over training steps: 2 at step 2." for name in ("loss", "loss/gen")]
    held_out = {"loss": 3, "loss/gen": 4}
    assert shown[2:4] == [f"Held-out curve of {n} over training steps: {v} at step 2." for n, v in held_out.items()]
    assert page.index("Other training logs") < page.index("Curve of grad_norm/gen")


def test_a_curve_of_nothing_but_nan_is_drawn_empty():
    page = curves.render(run({"loss/x": {1: float("nan")}}, {"a": {1: float("inf")}}))
    assert "not a number at step 1. 1 non-finite value left out." in page
