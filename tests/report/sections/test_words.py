"""Names on a map and in a table: all of them, escaped, and nothing where there are none."""

import numpy as np
from report import fake_run

from mmjax.report.sections import words


def predictions(names, **more):
    vectors = np.random.default_rng(0).normal(size=(len(names), 5)).astype(np.float32)
    return fake_run.read({"embedding/words": vectors, "text/words": np.array(names), **more})


def test_every_name_is_on_the_map_and_in_the_table():
    names = [b"red", "grün".encode(), b"<b>", b"a$b$"]
    near = np.array([[names[(i + 1) % 4], names[(i + 2) % 4]] for i in range(4)])
    run = predictions(names, **{"text/neighbours": near})
    drawn, table = words.render(run).split('<div class="panel">')
    assert words.covers(run.predictions) == set(run.predictions.arrays)
    assert "gr&#252;n" in drawn or "grün" in drawn
    assert "<b>" not in table
    assert '<th scope="row">red</th><td>grün, &lt;b&gt;</td>' in table


def test_an_embedding_without_names_is_left_to_the_other_map():
    array = np.zeros((3, 4), np.float32)
    run = fake_run.read({"embedding/sound": array, "text/caption": np.array(["a", "b", "c"])})
    assert words.render(run) == ""
    assert words.covers(run.predictions) == set()


def test_neighbours_of_other_rows_are_left_alone():
    run = predictions([b"a", b"b"], **{"text/neighbours": np.array([[b"b"]])})
    assert words.covers(run.predictions) == {"embedding/words"}
    assert "<table" not in words.render(run)


def test_words_that_the_table_has_no_place_for_are_left_to_the_gallery():
    for count, covered in ((24, {"embedding/words", "text/words", "text/neighbours"}), (25, {"embedding/words"})):
        run = predictions([b"word"] * count, **{"text/neighbours": np.array([[b"near"]] * count)})
        assert words.covers(run.predictions) == covered


def test_directions_are_drawn_not_lengths():
    vectors = np.array([[1, 0, 0], [9, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    given = fake_run.read({"embedding/words": vectors, "text/words": np.array(["a", "b", "c", "d"])})
    seen = {}
    original = words.map_figure
    try:
        words.map_figure = lambda points, *rest: seen.update(points=points) or original(points, *rest)
        words.render(given)
    finally:
        words.map_figure = original
    np.testing.assert_allclose(seen["points"][0], seen["points"][1], atol=1e-6)
    assert np.linalg.norm(seen["points"][0] - seen["points"][2]) > 0.5
