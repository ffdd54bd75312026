"""pocketsphinx as a judge: what is handed over, what comes back through jit, and that it is missed in one line."""

import concurrent.futures
import sys
import time
import types
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from mmjax import judges, predictions
from mmjax.engine import evaluate
from mmjax.errors import OptionError, UserError
from mmjax.judges import english
from mmjax.systems.speaking import judged_speech

RATE = 22_050


class Decoder:
    """Takes what pocketsphinx's decoder takes; says how long it was and how loud, as words."""

    def __init__(self, samprate, loglevel):
        assert (samprate, loglevel) == (16_000, "FATAL")

        self.fresh = False

    def reinit_feat(self):
        self.fresh = True

    def start_utt(self):
        assert self.fresh, "it remembers"
        self.heard, self.fresh = None, False
        time.sleep(0.001)  # for another thread to come between

    def process_raw(self, samples, full_utt):
        assert full_utt
        self.heard = np.frombuffer(samples, "<i2")

    def end_utt(self):
        half = np.abs(self.heard[len(self.heard) // 4 : -len(self.heard) // 4])
        loud = f"level{round(float(np.median(half)) / 32767, 1)}"
        self.said = f"seconds{len(self.heard) / 16_000:.2f} {loud}" if half.max() else None

    def hyp(self):
        return types.SimpleNamespace(hypstr=self.said) if self.said else None


@pytest.fixture
def decoder(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", types.SimpleNamespace(Decoder=Decoder))
    english._decoder.cache_clear()
    yield
    english._decoder.cache_clear()


def sounds():
    """A loud second, half a quiet one with noise behind its end, silence, and nothing."""
    x = np.zeros((8, RATE), np.float32)
    x[0] = 0.5
    x[1, : RATE // 2], x[1, RATE // 2 :] = -0.2, 0.9
    return x, np.array([RATE, RATE // 2, RATE, 0, 0, 0, 0, 0], np.int32)


WORDS = [["seconds1.00", "level0.5"], ["seconds0.50", "level0.2"], *[[]] * 6]


def test_it_hears_what_is_real_at_its_own_rate(decoder):
    assert english.written_down(*sounds(), RATE) == WORDS


@pytest.mark.parametrize("rate", [16_000, RATE, 22_049])
def test_what_is_no_sound_in_16_bits_is_silence(decoder, monkeypatch, rate):
    monkeypatch.setattr(Decoder, "process_raw", lambda *_, **__: pytest.fail("handed over"))
    x = np.zeros((6, rate), np.float32)
    x[0], x[1], x[2] = 1e-6, np.nan, np.inf
    x[3, ::2] = np.nan
    x[4] = 0.5
    assert english.written_down(x, np.array([*[rate] * 4, rate // 10 - 1, 0]), rate) == [[]] * 6


def test_threads_take_turns(decoder):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert all(found == WORDS for found in pool.map(lambda _: english.written_down(*sounds(), RATE), range(6)))


@pytest.mark.parametrize("devices", [1, 8])
def test_it_listens_to_what_a_program_says_on_any_number_of_devices(decoder, devices):
    judges_ = judged_speech.chosen(ConfigDict({"eval": {"judges": ("pocketsphinx",)}}), RATE)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), "x")
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    given = [jax.device_put(x, rows) for x in sounds()]

    def program(weights, sound, length):
        found, who = judged_speech.listen(judges_, {"judges": weights}, "heard", sound, length)
        assert who is None
        return found | judged_speech.of_rows(found, jnp.arange(8)[::-1], "heard", "heard_of_another_sentence")

    predicted = jax.device_get(jax.jit(program)({"pocketsphinx": judges_[0].load()}, *given))
    predictions.check({name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in predicted.items()})
    with mock.patch.object(Decoder, "end_utt", autospec=True, side_effect=Decoder.end_utt) as listened:
        heard = judged_speech.on_host(judges_)(predicted)
    assert listened.call_count == 2  # to each sound once
    assert heard["text/heard"].shape == (8, english.WORDS, english.LETTERS)
    texts = {key: judged_speech.texts(evaluate.readable(key, rows)) for key, rows in heard.items()}
    assert texts == {"text/heard": WORDS, "text/heard_of_another_sentence": WORDS[::-1]}


def test_words_and_letters_beyond_the_most_are_cut(decoder, monkeypatch):
    monkeypatch.setattr(english, "WORDS", 1)
    monkeypatch.setattr(english, "LETTERS", 4)
    assert bytes(english.written(*sounds(), RATE)[0].reshape(-1)) == b"seco"


def test_one_listens_and_is_equal_by_value():
    config = ConfigDict({"eval": {"judges": ("pocketsphinx",)}})
    assert judged_speech.chosen(config, 16_000) == judged_speech.chosen(config, 16_000)
    assert hash(judged_speech.chosen(config, 16_000)) != hash(judged_speech.chosen(config, RATE))
    with pytest.raises(UserError, match="pocketsphinx and listener both listen: choose one"):
        judges.listening(["pocketsphinx", "listener"], RATE)
    with pytest.raises(OptionError, match="is 16000: the listener hears 22050"):
        judged_speech.chosen(ConfigDict({"eval": {"judges": ("listener",)}}), 16_000)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    english._decoder.cache_clear()
    with pytest.raises(UserError, match=r"^the judge pocketsphinx .* pip install 'mmjax\[recognise\]'"):
        judges.listening(["pocketsphinx"], RATE)[0].load()


def test_the_real_one_hears_nothing_in_silence():
    pytest.importorskip("pocketsphinx", reason="the extra `recognise` is not installed")
    english._decoder.cache_clear()
    assert english.written_down(np.zeros((1, RATE), np.float32), np.array([RATE]), RATE) == [[]]
