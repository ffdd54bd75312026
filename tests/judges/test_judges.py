"""Which networks measure: by name, with a file where it takes one, and in one line what is wrong."""

import jax
import numpy as np
import pytest

from mmjax import judges
from mmjax.errors import UserError
from mmjax.judges import recogniser
from mmjax.task import Judge


def test_judges_by_name_are_equal_by_value():
    found = judges.chosen(("recogniser", "inception:a.pth"))
    assert [judge.name for judge in found] == ["recogniser", "inception"]
    assert all(isinstance(judge, Judge) for judge in found)
    assert found == judges.chosen(["recogniser", "inception:a.pth"])
    assert found != judges.chosen(["recogniser", "inception:b.pth"])
    assert hash(found) == hash(judges.chosen(["recogniser", "inception:a.pth"]))
    assert judges.chosen(()) == ()


def test_features_are_those_that_both_heads_read():
    judge, image = judges.chosen(["recogniser"])[0], np.zeros((2, 32, 32, 3), np.uint8)
    weights = judge.load()
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(weights))
    seen = jax.eval_shape(recogniser.layers, weights, image)
    assert jax.eval_shape(judge.features, weights, image).shape == seen["features"].shape
    assert seen["object"].shape == (2, len(recogniser.classes()))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["clip"], r"config\.eval\.judges: 'clip' is unknown: choose recogniser or inception:FILE$"),
        (["inception"], r"'inception' names no file: say 'inception:FILE'$"),
        (["recogniser:x"], r"recogniser has no file: say 'recogniser'$"),
        (["recogniser", "recogniser"], "recogniser stands there twice"),
    ],
)
def test_mistakes_have_one_line(names, words):
    with pytest.raises(UserError, match=words):
        judges.chosen(names)


def test_a_missing_file_is_said_when_it_is_read():
    (judge,) = judges.chosen(["inception:nowhere.pth"])
    with pytest.raises(UserError, match=r"^config\.eval\.judges: inception='nowhere.pth': no such file; pt_inception"):
        judge.load()
