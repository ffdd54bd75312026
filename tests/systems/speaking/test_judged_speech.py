"""What is understood of what is said: figures by hand, the next example in a circle, and judges by name."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from mmjax.errors import OptionError, UserError
from mmjax.systems.speaking import judged_speech


def rows(*texts):
    """As an evaluation keeps words: byte strings, pauses without a letter among them."""
    return np.array([[b"", *text.encode().split(), *[b""] * (3 - len(text.split()))] for text in texts])


def test_figures_by_hand():
    voices = np.array([[[0.2, 0.4], [0.3, 0.4], [0.2, 0.5]], [[0.8, 0.6], [0.8, 0.8], [0.8, 0.6]]], np.float32)
    found = judged_speech.score(
        {
            "text/heard": rows("a red bell", "a car"),
            "text/heard_in_recording": rows("a red bell", "the car"),
            "text/heard_in_true_frames": rows("a bell", "car"),
            "text/heard_by_another_voice": rows("a red bell", "the car"),
            "text/heard_of_another_sentence": rows("a car", "a red bell"),
            "number/voices": voices,
        },
        {"caption": ["a red bell", "The car"]},
    )
    assert found["word_error"] == found["voices_differ"] == 1 / 5
    assert found["word_error/recording"] == found["letter_error/recording"] == 0
    assert found["letter_error"] == 3 / 17
    assert (found["letter_error/silence"], found["letter_error/true_frames"]) == (1, (4 + 4) / 17)
    assert found["word_error/true_frames"] == 2 / 5
    assert found["word_error/silence"] == 1
    assert found["voices_differ/another_sentence"] == (2 + 3) / 5
    np.testing.assert_allclose(found["voice_error"], 0.3 / 4, rtol=1e-5)
    np.testing.assert_allclose(found["voice_error/recording"], 0.1 / 4, rtol=1e-5)
    np.testing.assert_allclose(found["voice_error/mean_voice"], (0.3 + 0.1 + 0.3 + 0.1) / 4, rtol=1e-5)
    np.testing.assert_allclose(found["voice_error/another_voice"], (0.6 + 0.2) / 2, rtol=1e-5)
    assert judged_speech.score({}, {}) == {}


def test_sentences_that_nobody_wrote_down_are_no_errors():
    heard = rows("a red bell", "what is this", "a car")
    heard = {"text/heard": heard, "text/heard_in_recording": heard}
    found = judged_speech.score(heard, {"caption": ["a red bell", "", "the car"]})
    assert found["word_error"] == found["word_error/recording"] == 1 / 5
    assert found["word_error/another_sentence"] == (3 + 3) / 5
    assert judged_speech.score(heard, {"caption": ["", "", ""]}) == {}


def test_listeners_by_name():
    config = ConfigDict({"eval": {"judges": ("listener",)}})
    assert judged_speech.chosen(config, 22_050) == judged_speech.chosen(config, 22_050)
    for there in ({}, {"listener": {}}):
        found = judged_speech.there(judged_speech.chosen(config, 22_050), {"params": {}, "judges": there})
        assert found == bool(there)
    assert not judged_speech.there((), {"judges": {"listener": {}}})
    assert judged_speech.on_host(judged_speech.chosen(config, 22_050)) is None
    with pytest.raises(OptionError, match="is 16000: the listener hears 22050"):
        judged_speech.chosen(config, 16_000)
    for names, words in (
        (("recogniser",), "'recogniser' is unknown: choose listener or pocketsphinx or listener:FILE"),
        (("listener",) * 2, "twice"),
    ):
        with pytest.raises(UserError, match=words):
            judged_speech.chosen(ConfigDict({"eval": {"judges": names}}), 22_050)
    of_a_file = ConfigDict({"eval": {"judges": ("listener:somewhere",)}})
    assert judged_speech.chosen(of_a_file, 16_000)[0].sample_rate == 16_000
