"""STOI and PESQ among the figures of separated voices: by hand, of every example, with and without the packages."""

import importlib.util
import sys
import types

import jax
import numpy as np
import pytest
from mixed_voices import begun, clips, small
from shared import one_device

from mmjax import systems
from mmjax.engine import evaluate, mesh
from mmjax.metrics.separation import speech
from mmjax.systems.separation import quality, speakers, voices


def stand_in(monkeypatch):
    """Packages whose STOI is the share of the estimate's energy, and whose PESQ is twice as much and fails of 2."""

    def stoi(reference, estimate, rate, extended):
        assert (rate, extended) == (8000, False)
        return np.mean(np.square(estimate)) / np.mean(np.square(reference))

    def pesq(rate, reference, estimate, mode, on_error):
        return -1 if reference[0] == 2 else 2 * stoi(reference, estimate, rate, False)

    errors = types.SimpleNamespace(RETURN_VALUES=0)
    monkeypatch.setitem(sys.modules, "pystoi", types.SimpleNamespace(stoi=stoi))
    monkeypatch.setitem(sys.modules, "pesq", types.SimpleNamespace(pesq=pesq, PesqError=errors))


def test_means_and_improvements_by_hand(monkeypatch):
    stand_in(monkeypatch)
    truth = np.array([1, 2, 4, 3], np.int16)[:, None] * np.ones(8000, np.int16)
    said = {
        "audio/estimate_target": truth,
        "audio/estimate": truth * np.array([3, 3, 0, 3], np.int16)[:, None],
        "audio/mixture": truth * 2,
        "audio/ideal_ratio_mask": truth,
        "number/si_sdr_improvement": np.array([1, 1, 1, np.nan], np.float32),  # the last one does not count
    }
    found = quality.measured(("stoi", "pesq"), 8000, said)
    lowest, none = speech.PESQ_LOWEST[8000], np.nan
    wanted = [[9, 18], [9, none], [0, lowest], [none, none]]
    np.testing.assert_allclose(found["number/quality_estimate"], wanted, rtol=1e-6)
    figures = quality.score(found)
    stoi = {"stoi": 6, "stoi/mixture": 4, "stoi/ideal_ratio_mask": 1, "stoi_improvement": 2}
    pesq = {"pesq": (18 + lowest) / 2, "pesq/mixture": 8, "pesq/ideal_ratio_mask": 2}
    for name, value in {**stoi, **pesq, "pesq_improvement": (18 + lowest) / 2 - 8}.items():
        assert figures[name] == pytest.approx(value), name
    assert (figures["stoi_improvement/mixture"], figures["stoi_improvement/ideal_ratio_mask"]) == (0, -3)
    alone = quality.score(quality.measured(("stoi",), 8000, said))
    assert "stoi" in alone
    assert not any("pesq" in name for name in alone)
    assert quality.score({}) == {}


def config():
    c = small()
    c.seconds, c.bss_taps = 0.8, 0  # long enough for STOI, which is undefined below .6 s
    return c


def looked_at(task, batch):
    """The figures and predictions of a look at two batches of this one twice, no picture and no sound kept."""
    batch = {name: np.concatenate([value, value]) for name, value in batch.items()}
    variables = begun(task, batch, np.random.default_rng(1))
    with one_device():
        return evaluate.Evaluator(task, mesh.Jitted()).full(variables, [batch, batch], gallery=0)


def test_every_example_is_measured_though_no_sound_is_kept(rng, monkeypatch):
    stand_in(monkeypatch)
    c, batch = config(), clips(rng)
    task = systems.build(c)
    assert task.notes == ()
    assert task == systems.build(c)
    figures, predicted, _ = looked_at(task, batch)
    assert predicted["number/quality_estimate"].shape == (16, 2)
    assert len(predicted["audio/estimate"]) == 0
    made = speakers.make(c)
    sounds = jax.jit(lambda b: (made.listed(b).sound, made.listed(b).parts))(batch)
    energy = [np.mean(np.square(np.asarray(x)), -1) for x in sounds]
    assert figures["stoi/mixture"] == pytest.approx(np.mean(energy[0][:, None] / energy[1]), rel=1e-3)
    assert figures["pesq/mixture"] == pytest.approx(2 * figures["stoi/mixture"])
    batch["valid"][-1] = False  # padding, and with it the mixture that it is in
    found = looked_at(task, batch)[1]["number/quality_mixture"]
    assert np.isfinite(found).all(1).tolist() == [True, True, False] * 4


def test_without_the_packages_a_line_and_the_other_figures(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "pystoi", None)
    monkeypatch.setitem(sys.modules, "pesq", None)
    task = systems.build(config())
    (line,) = task.notes
    assert "pip install 'mmjax[speech]'" in line
    assert task.on_host is None
    figures, predicted, _ = looked_at(task, clips(rng))
    assert not any("stoi" in name or "pesq" in name for name in figures)
    assert "number/quality_estimate" not in predicted


@pytest.mark.skipif(
    not (importlib.util.find_spec("pystoi") and importlib.util.find_spec("pesq")), reason="needs the extra speech"
)
def test_the_packages_themselves_prefer_the_oracle(rng):
    """Bursts of tones: the ideal mask is better understood, and sounds better, than the mixture."""
    c, batch = config(), clips(rng)
    batch["speech"] = (batch["speech"] * (np.sin(np.arange(22_050) / 700) > 0)).astype(np.int16)
    figures, *_ = looked_at(systems.build(c), batch)
    for name in quality.FIGURES:
        assert figures[f"{name}_improvement/ideal_ratio_mask"] > 0.05
        assert figures[f"{name}_improvement/mixture"] == 0
    assert voices.score({}, {}) == {}
