"""Arrays as rows: the likeliest classes by their names, captions put together, and who finds whom."""

import numpy as np

from mmjax.answers import matches, rows


def test_scores_labels_and_texts_become_columns():
    found = {
        "scores/object": np.float32([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25], [0, 0, 1]]),
        "label/scene": np.int32([1, -1, 0]),
        "text/caption": np.array([[b"a", b"bell", b"<end>"], [b"<end>", b"", b""], [b"x", b"x", b"x"]]),
        "text/neighbours": np.array([[b"in", b"on"], [b"a", b""], [b"b", b"c"]]),
        "embedding/image": np.arange(6.0).reshape(3, 2),
        "number/index": np.arange(3),
    }
    names = {"object": ("bell", "drum", "car"), "scene": ("sea", "city")}
    (one, media), (two, _) = rows.of(found, names, 2, top=2)
    assert one == {
        **{"object": "drum", "object_score": 0.7, "object_2": "car", "object_2_score": 0.2},
        **{"scene": "city", "caption": "a bell", "neighbours": ["in", "on"]},
    }
    assert (two["object"], two["object_2"]) == ("bell", "drum")  # of equals the first
    assert (two["scene"], two["caption"], two["neighbours"]) == ("", "", ["a"])
    np.testing.assert_array_equal(media["embedding/image"], [0, 1])


def test_the_best_texts_of_an_example_have_its_scores():
    found = {"text/answer": np.array([[b"yes", b"no"]]), "scores/answer": np.float32([[0.8, 0.1]])}
    ((row, _),) = rows.of(found, {}, 1, top=5)
    assert row == {"answer": "yes", "answer_score": 0.8, "answer_2": "no", "answer_2_score": 0.1}
    ((row, _),) = rows.of({"scores/x": np.float32([[0, 1]])}, {}, 1)
    assert row == {"x": "1", "x_score": 1.0}  # without names by number


def answer(name, side, *point):
    return ({"file" if side == "image" else "text": name}, {f"embedding/{side}": np.float32(point)})


def test_who_finds_whom_by_hand():
    found = [answer("a.jpg", "image", 1, 0), answer("b.jpg", "image", 0, 2), answer("up", "caption", 3, 4)]
    matches.add(found, 2)
    assert [row.get("match") for row, _ in found] == ["up", "up", "b.jpg"]
    assert [row["match_score"] for row, _ in found] == [0.6, 0.8, 0.8]
    assert found[2][0]["match_2"] == "a.jpg"
    assert "match_2" not in found[0][0]  # pictures do not find pictures where there are sentences


def test_of_one_side_each_finds_the_others(monkeypatch):
    monkeypatch.setattr(matches, "BLOCK", 2)
    angles = np.deg2rad([0, 10, 90, 70])
    found = [answer(f"{i}.jpg", "image", np.cos(x), np.sin(x)) for i, x in enumerate(angles)]
    found[3][0].update(start=6.0, end=12.0)
    matches.add(found, 1)
    assert [row["match"] for row, _ in found] == ["1.jpg", "0.jpg", "3.jpg@6", "2.jpg"]


def test_of_several_captions_the_first_counts():
    found = [answer("a.jpg", "image", 1, 0), answer("x", "caption", (1, 0), (0, 1))]
    matches.add(found, 1)
    assert found[0][0]["match_score"] == 1.0
    alone = [answer("a.jpg", "image", 1, 0)]
    matches.add(alone, 1)
    assert alone[0][0] == {"file": "a.jpg"}
