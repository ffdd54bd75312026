"""The shipped recogniser of speech: small, as good as it says on speech drawn anew, and blind to who speaks."""

import jax
import numpy as np
import pytest

from mmjax.data.scenes import grammar, units
from mmjax.data.sets import sounding_scenes
from mmjax.decode import lexicon
from mmjax.errors import UserError
from mmjax.judges import listener
from mmjax.known import speech_recogniser
from mmjax.metrics import recognised
from mmjax.text import vocabulary
from mmjax.weights import safetensors_file


@pytest.fixture(scope="module")
def shipped():
    return speech_recogniser.load()


def test_is_small_and_knows_the_words_of_all_captions(shipped):
    assert speech_recogniser.SHIPPED.stat().st_size < 1_000_000
    assert shipped.units == units.UNITS
    assert shipped.words == ("", *grammar.vocabulary())
    np.testing.assert_array_equal(shipped.lexicon, units.lexicon(grammar.vocabulary())[1])


def test_the_units_of_a_sentence_give_its_words_and_nothing_else(shipped):
    """So that every error of words is one of units: no two words sound alike, alone or side by side."""
    source = sounding_scenes.source("test", ("caption",), seed=11)
    for text in (source[i]["caption"] for i in range(12)):
        spoken = units.spell(text)
        scores = np.full((1, 3 * 64, len(units.UNITS) + 1), -9.0, np.float32)
        scores[0, np.arange(len(spoken)) * 3, spoken] = 0.0
        scores[0, [t for t in range(3 * 64) if t % 3 or t >= 3 * len(spoken)], -1] = 0.0
        said = WORDS(scores, np.array([3 * 64], np.int32), shipped.lexicon)
        words = [shipped.words[number] for number in said.words[0] if number >= 0]
        assert recognised.words([" ".join(words)]) == recognised.words([text])


WORDS = jax.jit(lexicon.words)


def test_hears_words_and_voices_of_speech_that_it_never_heard(shipped):
    source = sounding_scenes.source("test", ("speech", "speaker", "caption", "speech_same", "speech_other"), seed=4242)
    examples = [source[i] for i in range(8)]
    hear, weights = jax.jit(listener.hear), listener.load()

    def heard(name):
        sounds = np.stack([e[name] for e in examples])[:, : 22_050 * 6].astype(np.float32) / 32768
        lengths = np.minimum([e[f"{name}_length"] for e in examples], 22_050 * 6).astype(np.int32)
        found = hear(weights, sounds, lengths)
        letters = np.asarray(found.words)
        rows = np.ascontiguousarray(letters).view(f"S{letters.shape[-1]}")[..., 0]
        return recognised.words(map(vocabulary.join, rows)), np.asarray(found.speaker)

    own, who = heard("speech")
    wanted = recognised.words([e["caption"] for e in examples])
    assert recognised.error_rate(own, wanted) < 3 * shipped.figures["word_error"] + 0.05
    apart = np.abs(who - np.stack([e["speaker"] for e in examples])).mean()
    assert apart < 0.5 * shipped.figures["speaker_error/mean_speaker"]
    by_another, _ = heard("speech_same")  # the same units by two voices are recognised alike,
    other, _ = heard("speech_other")  # two unit strings by one voice are not
    assert recognised.error_rate(by_another, own) < 0.1
    assert recognised.error_rate(other, own) > 0.6


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors_file.save(path, {"a": np.zeros(1, np.float32)}, {})
    with pytest.raises(UserError, match="not a recogniser of speech"):
        speech_recogniser.load(path)
