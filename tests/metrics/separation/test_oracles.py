"""Oracles of masks, and figures of speech with and without the packages that compute them."""

import importlib.util
import sys
import types

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.metrics.separation import oracles, speech
from mmjax.metrics.separation.signal_ratio import si_sdr


def test_oracles_are_ordered_and_the_complex_one_is_the_source(rng):
    time = np.arange(4096) / 8000
    s = np.stack([np.sin(2 * np.pi * 440 * time), 0.2 * rng.standard_normal(4096)])[None].astype(np.float32)
    figures = {kind: np.asarray(si_sdr(s, oracles.oracle(s, kind, 256, 64))) for kind in oracles.KINDS}
    mixture = np.asarray(si_sdr(s, s.sum(1, keepdims=True)))
    assert np.all(figures["binary"] > mixture + 5)
    assert np.all(figures["ratio"] > mixture + 3)
    assert np.all(figures["complex"] > 80)
    assert np.all(np.asarray(si_sdr(s, oracles.oracle(s, "complex", 256, 64, bound=0.9))) < 60)
    # Binary masks share the mixture out among the sources without a rest; so do the ratio masks.
    for kind in ("binary", "ratio"):
        np.testing.assert_allclose(oracles.oracle(s, kind, 256, 64).sum(1), s.sum(1), atol=1e-5)
    with pytest.raises(UserError, match="choose one of binary, ratio, complex"):
        oracles.oracle(s, "soft", 256, 64)


def test_a_missing_extra_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pystoi", None)
    monkeypatch.setitem(sys.modules, "pesq", None)
    x = np.zeros((1, 16000))
    with pytest.raises(UserError, match=r"pip install 'mmjax\[speech\]'"):
        speech.stoi(x, x, 16000)
    with pytest.raises(UserError, match=r"pesq is missing, which comes with the extra `speech`"):
        speech.pesq(x, x, 16000)
    with pytest.raises(UserError, match="8000 and 16000 Hz, not at 44100"):
        speech.pesq(x, x, 44100)
    names, (line,) = speech.offered(8000)
    assert names == ()
    assert line.startswith("no STOI and no PESQ: pystoi is missing, which comes with the extra `speech`: pip install")


def test_one_utterance_that_pesq_fails_on_costs_no_other(monkeypatch):
    """A stand-in that raises, returns an error's number, and works."""
    returned = {1.0: RuntimeError("malformed"), 2.0: -2.0, 3.0: 3.25}

    def pesq(rate, reference, estimate, mode, on_error):
        assert (rate, mode, on_error) == (8000, "nb", "values")
        value = returned[estimate[0]]
        if isinstance(value, Exception):
            raise value
        return value

    stand_in = types.SimpleNamespace(pesq=pesq, PesqError=types.SimpleNamespace(RETURN_VALUES="values"))
    monkeypatch.setitem(sys.modules, "pesq", stand_in)
    x = np.array([1.0, 2.0, 3.0, 0.0])[:, None] * np.ones(8000)
    np.testing.assert_allclose(
        speech.pesq(np.ones((4, 8000)), x, 8000), [np.nan, np.nan, 3.25, speech.PESQ_LOWEST[8000]]
    )
    monkeypatch.setitem(sys.modules, "pystoi", stand_in)
    assert speech.offered(16_000) == (("stoi", "pesq"), ())
    names, (line,) = speech.offered(11_025)
    assert names == ("stoi",)
    assert line == "no PESQ: it is defined at 8000 and 16000 Hz, and config.sound.rate is 11025"
    monkeypatch.setitem(sys.modules, "pystoi", None)
    names, (line,) = speech.offered(8000)
    assert names == ("pesq",)
    assert line.startswith("no STOI: pystoi is missing")


@pytest.mark.skipif(not importlib.util.find_spec("pystoi"), reason="needs the extra speech")
def test_intelligibility_falls_with_noise_and_silence_has_a_value(rng):
    s = rng.standard_normal((4, 16000)) * np.sin(np.arange(16000) / 2000)
    s[2] = 0
    x = s + np.array([0.0, 3, 1, 0])[:, None] * rng.standard_normal((4, 16000))
    x[3] = 0
    found = speech.stoi(s, x, 10000)
    assert found[0] > 0.999
    assert found[1] < 0.7
    assert np.isnan(found[2])
    assert found[3] == 0
    assert np.isnan(speech.stoi(s[:1, :5000], s[:1, :5000], 10000)).all()


@pytest.mark.skipif(not importlib.util.find_spec("pesq"), reason="needs the extra speech")
def test_quality_of_silence_is_the_lowest_and_of_the_truth_the_highest(rng):
    s = rng.standard_normal((3, 16000)) * (np.sin(np.arange(16000) / 1500) > 0)
    x = s.copy()
    x[1] = 0
    s[2] = 0
    found = speech.pesq(s, x, 16000)
    assert found[0] > 4.6
    assert 1.04 < found[1] < 1.05
    assert np.isnan(found[2])
