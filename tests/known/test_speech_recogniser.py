"""The shipped recogniser of speech: small, as good as it says on speech drawn anew, and blind to who speaks."""

import jax
import numpy as np
import pytest

from mmjax import judges
from mmjax.data import spec
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
    judge = listener.judge(22_050)
    hear, weights = jax.jit(judge.hear), judge.load()

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


@pytest.fixture(scope="module")
def of_letters(tmp_path_factory):
    """A recogniser of letters that says the same at each step, "é" first, then a blank: in a file."""
    frames = {"sample_rate": 8000, "n_fft": 256, "hop": 80, "n_mels": 16, "fmax": 4000.0}
    sizes = {"units": 3, "width": 4, "layers": 1, "kernel": 3}
    model = speech_recogniser.SpeechRecogniser(**sizes)
    made = model.init(jax.random.key(0), np.zeros((1, 4, 16), np.float32), np.array([4]))
    params = jax.tree.map(np.zeros_like, dict(made["params"]))
    params["units"]["bias"] = np.array([0, 0, 9, 0], np.float32)
    own = {"params": params, "state": jax.tree.map(np.asarray, made["state"])}
    config, frozen = {"model": sizes, "frames": frames}, {"units_names": spec.spelt((" ", "a", "é"))}
    path = tmp_path_factory.mktemp("listener") / "letters.safetensors"
    safetensors_file.save(path, own, {**speech_recogniser.described(config, frozen), "figures": "{}"})
    return path


def test_a_recogniser_of_letters_writes_what_it_hears(of_letters):
    known = speech_recogniser.load(of_letters)
    assert (known.units, known.words, known.lexicon.shape) == ((" ", "a", "é"), (), (0, 0))
    (judge,) = judges.listening((f"listener:{of_letters}",), 8000)
    assert judge == judges.listening((f"listener:{of_letters}",), 8000)[0]
    heard = jax.jit(judge.hear)(judge.load(), np.zeros((2, 800), np.float32), np.array([800, 0], np.int32))
    assert heard.speaker is None
    rows = np.ascontiguousarray(heard.words)
    assert [vocabulary.join(row) for row in rows.view(f"S{rows.shape[-1]}")[..., 0]] == ["é", ""]


def test_files_of_listeners_that_cannot_be(of_letters, tmp_path):
    (judge,) = judges.listening((f"listener:{of_letters}",), 22_050)  # the file is not read yet
    with pytest.raises(
        UserError, match=r"letters\.safetensors hears sounds of 8000 Hz, config\.frames\.sample_rate is 22"
    ):
        judge.load()
    (judge,) = judges.listening((f"listener:{tmp_path}/none",), 22_050)
    with pytest.raises(UserError, match=r"config\.eval\.judges: listener: .*none"):
        judge.load()
    for name, words in (("listener:", "names no file"), ("pocketsphinx:x", "pocketsphinx has no file")):
        with pytest.raises(UserError, match=words):
            judges.listening((name,), 22_050)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors_file.save(path, {"a": np.zeros(1, np.float32)}, {})
    with pytest.raises(UserError, match="not a recogniser of speech"):
        speech_recogniser.load(path)
