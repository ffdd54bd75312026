"""The report's word-by-word attention: words, marks, the choice of examples, and what is missing."""

import numpy as np
import pytest
from report import fake_run

from mmjax.report.sections import attention

SAID = [["a", "red", "bell", "<end>", "<end>"], ["a", "blue", "zebra", "by", "night"]]


@pytest.fixture
def arrays(rng):
    return {
        "image/picture": rng.integers(0, 256, (2, 224, 224, 3), np.uint8),
        "text/caption": np.array(SAID, "S8"),
        "text/captions_target": np.array(["A red bell.\nthere is a bell", "a blue bird\nin the night"]),
        "attention/caption": rng.random((2, 5, 7, 7)).astype(np.float32),
    }


def test_each_word_stands_below_its_map_and_unknown_ones_are_marked(arrays):
    page = attention.render(fake_run.read(arrays))
    assert page.count("<img") == 2 + 3 + 5  # a picture each, a map for each word before <end>
    first, second = page.split("<article")[1:]
    assert "every word in a reference" in first
    assert "2 in no reference" in second  # zebra and by: night is in the second reference
    assert '="bad"' not in first
    assert '<figcaption class="bad">zebra</figcaption>' in second
    assert '<figcaption class="bad">by</figcaption>' in second
    assert "<figcaption>night</figcaption>" in second
    assert "of the 2 captions kept, 1 have no such word" in page
    assert "&lt;end&gt;" not in page
    assert 'width="112"' in page


def test_pieces_of_words_are_judged_as_they_are_spelt():
    row = attention._Row(np.array(["▁a", "▁bell", "<end>"]), np.array("a bell"))
    assert row.words == ["▁a", "▁bell"]
    assert not row.strange


def test_a_single_reference_of_tokens_serves_as_well(arrays):
    arrays = {**arrays, "text/caption_target": np.array([["a", "bell", "<end>", "<pad>", "<pad>"]] * 2, "S8")}
    del arrays["text/captions_target"]
    page = attention.render(fake_run.read(arrays))
    assert '<figcaption class="bad">red</figcaption>' in page
    assert page.count(">a bell<") == 2


@pytest.mark.parametrize("gone", ["image/picture", "text/caption", "attention/caption"])
def test_without_its_parts_nothing_is_drawn(arrays, gone):
    assert not attention.render(fake_run.read({k: v for k, v in arrays.items() if k != gone}))


def test_without_references_nothing_is_marked(arrays):
    del arrays["text/captions_target"]
    page = attention.render(fake_run.read(arrays))
    assert page.count("<article") == 2
    assert '="bad"' not in page
    assert '"chip' not in page


def test_what_has_no_words_or_no_picture_is_not_covered(arrays):
    arrays |= {"attention/other": arrays["attention/caption"], "text/other": np.array(["one", "two"])}
    assert attention.covers(fake_run.read(arrays).predictions) == {"attention/caption"}
    del arrays["image/picture"]
    assert attention.covers(fake_run.read(arrays).predictions) == set()
