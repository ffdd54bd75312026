"""Confusion matrices: counts by hand, what lies where, labels that do not run into each other, the pairs listed."""

import io
import itertools

import numpy as np
import pytest
from report import fake_run

from mmjax.report.sections import confusion
from mmjax.report.views import heads


def head(predicted, target, names=("a", "b", "c")):
    return heads.Head("h", names, np.array(predicted), np.array(target))


def test_counts_by_hand():
    counts = confusion.counts(np.array([0, 1, 1, 2, -1, 0]), np.array([0, 1, 0, 1, 1, -1]), 3)
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 1, 1], [0, 0, 0]])


def test_the_reference_is_on_rows():
    counts = np.array([[3, 1, 0], [0, 0, 5], [0, 0, 0]])
    figure = confusion.figure(counts, ("a", "b", "c"), "h")
    axes = figure.axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("reference", "network")
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), [[0.75, 0.25, 0], [0, 0, 1], [0, 0, 0]])
    written = {(text.get_text(), *map(int, text.get_position())) for text in axes.texts}
    assert written == {("3", 0, 0), ("1", 1, 0), ("5", 2, 1)}  # (count, column, row)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]
    # Row 0 is drawn at the top: what is printed at (column, row) lies over that cell.
    assert axes.transData.transform((0, 0))[1] > axes.transData.transform((0, 2))[1]
    figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("classes", [3, 16, 40, 41, 130])
def test_labels_do_not_overlap(classes):
    names = tuple(f"a long name of class {i}" for i in range(classes))
    figure = confusion.figure(np.eye(classes, dtype=int), names)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for labels, side in ((axes.get_yticklabels(), "y"), (axes.get_xticklabels(), "x")):
        assert len(labels) == classes
        boxes = sorted([getattr(label.get_window_extent(), f"{side}{end}") for end in (0, 1)] for label in labels)
        # A line's box has room for accents and descenders; letters of neighbours may use it up to a fifth.
        overlaps = [low[1] - high[0] for low, high in itertools.pairwise(boxes)]
        assert max(overlaps) < 0.2 * (boxes[0][1] - boxes[0][0])


def test_a_matrix_of_many_classes_takes_the_pages_width():
    predicted = np.arange(130)
    predicted[:3] = 5
    shown = confusion.of_head(head(predicted, np.arange(130), ()))
    assert "h: 127 of 130 right (97.7%)" in shown
    assert '<figure class="plot large">' in shown
    assert ">class 129</text>" in shown
    assert shown.count("<td>class 5</td>") == 3
    assert '<figure class="plot">' in confusion.of_head(head([0, 1], [0, 0]))


def test_too_many_classes_are_listed_instead_of_drawn():
    predicted = [170, 170, 1, 2, 3]
    shown = confusion.of_head(head(predicted, [1, 1, 1, 2, -1], ()))
    assert "h: 2 of 4 right (50.0%)" in shown
    assert '<td>class 1</td><td>class 170</td><td class="num">2<span class="quiet"> of 3</span></td>' in shown
    assert "<svg" not in shown
    assert confusion.of_head(head([0], [-1])) == ""


def test_the_pairs_most_confused():
    predicted, target = [0, 1, 1, 1, 2, -1, 0, 2], [0, 0, 0, 2, 1, 1, 1, -1]
    assert confusion.most_confused(head(predicted, target)) == [(0, 1, 2, 3), (1, 0, 1, 3), (1, 2, 1, 3), (2, 1, 1, 1)]
    assert confusion.most_confused(head(predicted, target), 1) == [(0, 1, 2, 3)]
    assert confusion.most_confused(head([0, 1], [0, 1])) == []
    assert "confusions" not in confusion.of_head(head([0, 1], [0, 1]))


def test_every_head_with_a_reference_has_a_matrix():
    shown = confusion.render(fake_run.read(fake_run.predictions(), fake_run.NAMES))
    assert shown.count("<svg") == 2
    assert shown.index("object: 12 of 16 right") < shown.index("scene: 16 of 16 right")
    assert confusion.render(fake_run.read({"scores/x": np.eye(3)})) == ""
