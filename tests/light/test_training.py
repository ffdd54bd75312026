"""How long a run trained, from records by hand: of one that was killed and went on, and of several to one figure."""

import json

import pytest

from mmjax import workdir
from mmjax.light import training


def line(step, kind, **values):
    return json.dumps({"step": step, "kind": kind, "time": 0.0, "values": values})


def written(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / workdir.METRICS).write_text("\n".join(lines) + "\n")
    return folder


def test_steps_that_were_taken_twice_count_once_and_a_torn_line_is_passed_over(tmp_path):
    home = written(
        tmp_path,
        line(100, "train", steps_per_second=10.0),
        line(100, "eval", nll=2.0),
        line(200, "train", steps_per_second=1.0),  # and then it was killed
        '{"step": 300, "kind": "tr',
        line(200, "train", steps_per_second=5.0),
        line(200, "eval", nll="nan"),
        line(400, "train", steps_per_second=20.0, nll=1.0),
        line(400, "eval", nll=1.0),
        line(400, "test", nll=0.5),
    )
    found = training.read(home, "nll", "min")
    assert found.steps == 400
    assert found.minutes == pytest.approx((10 + 20 + 10) / 60)
    assert found.looks == ((pytest.approx(10 / 60), 2.0), (pytest.approx(40 / 60), 1.0))


def test_minutes_until_each_is_as_good_as_all_become():
    slow = training.Record(1000, 10.0, "accuracy", False, ((2.0, 0.5), (4.0, 0.8), (10.0, 0.9)))
    fast = training.Record(1000, 2.0, "accuracy", False, ((1.0, 0.79), (2.0, 0.75)))
    found = training.compared({"slow": slow, "fast": fast})
    assert {own["target"] for own in found.values()} == {0.79}  # the best of the worse
    assert [own["minutes_to_target"] for own in found.values()] == [4.0, 1.0]
    assert found["slow"]["steps_per_second"] == pytest.approx(1000 / 600)
    falling = {name: training.Record(10, 1.0, "nll", True, looks) for name, looks in zip("ab", (((1.0, 2.0),),) * 2)}
    assert training.compared(falling)["a"]["target"] == 2.0


def test_what_the_record_does_not_say_is_left_out(tmp_path):
    assert training.read(tmp_path, "nll", "min") == training.Record(0, 0.0, "nll", True, ())
    nothing = training.Record(0, 0.0, "nll", True, ())
    some = training.Record(60, 1.0, "nll", True, ((1.0, 0.3),))
    other = training.Record(60, 1.0, "accuracy", False, ((1.0, 0.3),))
    speed = {"steps": 60, "minutes": 1.0, "steps_per_second": 1.0}
    assert training.compared({"a": nothing, "b": some}) == {"a": {}, "b": speed}
    assert training.compared({"b": some, "c": other}) == {"b": speed, "c": speed}  # of two figures none is common
