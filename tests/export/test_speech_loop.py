"""The loop of an exported folder that speaks, over a network of NumPy whose every step is known."""

import inspect

import numpy as np
import pytest

from mmjax.export import speech_loop

LIMITS = {"steps": 4, "threshold": 0.5, "bands": 2}  # two frames of two bands a step


def start(batch):
    rows = len(batch["units"])
    zeros = {"state/frame": np.zeros((rows, 4), np.float32), "state/looked": np.zeros((rows, 3), np.float32)}
    return {"memory/last": batch["units"][:, 0], **zeros}


def step(given):
    """Each step adds what is kept to the frame before; it is the last where that reaches a row's own number."""
    frame = given["state/frame"] + given["kept/first"]
    looked = np.eye(3, dtype=np.float32)[np.minimum(frame[:, 0].astype(int), 2)]
    gate = (frame[:, 0] >= given["memory/last"]).astype(np.float32)
    return {"gate": gate, "next/frame": frame, "next/looked": looked}


def end(given):
    assert given["frames"].dtype == np.int32
    return {"heatmap/mel": 10 * given["written"]}


def test_each_sentence_ends_behind_its_own_last_step():
    kept = {"first": np.ones((4, 4), np.float32)}
    kept["first"][1, 3] = 0  # the last band of the second step stays
    found = speech_loop.speak(start, step, end, {"units": np.array([[1], [3], [9]])}, kept, **LIMITS)
    assert found["frames"].tolist() == [2, 6, 8]
    assert found["fired"].tolist() == [True, True, False]
    bands = np.array([[1, 1, 1, 1], [2, 2, 2, 1], [3, 3, 3, 2], [4, 4, 4, 3]])
    want = np.stack([bands * (np.arange(4) < steps)[:, None] for steps in (1, 3, 4)]).reshape(3, 8, 2)
    np.testing.assert_array_equal(found["heatmap/mel"], 10 * want)
    places = found["attention"].argmax(2) * found["attention"].any(2)
    assert places.tolist() == [[1, 0, 0, 0], [1, 2, 2, 0], [1, 2, 2, 2]]


def test_it_ends_with_the_last_sentence():
    turns = []

    def counted(given):
        turns.append(1)
        return step(given)

    kept = {"first": np.ones((4, 4), np.float32)}
    speech_loop.speak(start, counted, end, {"units": np.array([[1], [2]])}, kept, **LIMITS)
    assert len(turns) == 2


def test_what_is_drawn_is_kept_by_its_share():
    drawn = speech_loop.draw({"a": (100, 0.9), "b": (50, 0.5)}, 200, seed=1)
    assert {name: (x.shape, x.dtype) for name, x in drawn.items()} == {
        "a": ((200, 100), np.float32),
        "b": ((200, 50), np.float32),
    }
    assert set(np.unique(drawn["a"])) == {0, 1}
    assert drawn["a"].mean() == pytest.approx(0.9, abs=0.01)
    assert drawn["b"].mean() == pytest.approx(0.5, abs=0.02)
    assert (drawn["b"] != speech_loop.draw({"a": (100, 0.9), "b": (50, 0.5)}, 200, seed=2)["b"]).any()


def test_it_is_short_and_needs_numpy_alone():
    code = inspect.getsource(speech_loop)
    assert len(code.splitlines()) <= 40
    assert [line for line in code.splitlines() if line.startswith(("import", "from"))] == ["import numpy as np"]
