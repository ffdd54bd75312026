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
