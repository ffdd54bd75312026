"""What the evaluation keeps for the report beside the predictions."""

import numpy as np

from mmjax.engine import evaluate


def test_text_references_of_the_gallery_are_kept_as_lines():
    several = np.empty(3, object)
    several[:] = [["a bell", "one bell"], ["a bird"], ["a car"]]
    kept = evaluate._shown({"captions": several, "caption": np.array(["x", "y", "z"], object), "label": np.ones(3)}, 2)
    assert set(kept) == {"text/captions_target", "text/caption_target"}
    assert kept["text/captions_target"].tolist() == ["a bell\none bell", "a bird"]
    assert kept["text/caption_target"].dtype.kind == "U"
    assert evaluate._shown({"captions": several}, 0) == {}


def test_the_figures_of_the_headline_come_first_each_with_its_baselines():
    figures = {"b": 1.0, "a/chance": 0.5, "a": 2.0, "c@1": 3.0, "c@1/x": 4.0, "c@10": 5.0}
    assert list(evaluate.in_order(figures, ("c@1", "gone", "b*"))) == ["c@1", "c@1/x", "b", "a/chance", "a", "c@10"]
    assert list(evaluate.in_order(figures, ())) == ["a/chance", "a", "b", "c@1", "c@1/x", "c@10"]
