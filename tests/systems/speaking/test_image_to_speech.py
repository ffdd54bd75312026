"""The chain from a picture to a sound: names become numbers, what is spoken is what was seen, figures by hand."""

import dataclasses
from unittest import mock

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from ml_collections import ConfigDict
from planted_units import RUN
from shared import get_config

from mmjax.errors import OptionError
from mmjax.judges.listener import Heard, SpeechJudge
from mmjax.known import units_run
from mmjax.known.whole_run import WholeRun
from mmjax.systems.speaking import image_to_speech, saying, tacotron2
from mmjax.task import Task

NAMES = np.array([b"a", b"bc", b"d"])
MODEL = {
    "symbols": 3, "mels": 8, "speaker": 2, "reduction": 2, "embed": 8, "encoder_layers": 1, "prenet": 8,
    "attention_units": 8, "decoder_units": 8, "attention": 8, "filters": 2, "window": 3, "postnet_layers": 1,
    "postnet_units": 8,
}  # fmt: skip
NETWORK = saying.network_of(
    ConfigDict(
        {
            "model": MODEL,
            "frames": {"sample_rate": 4000, "n_fft": 128, "hop": 64, "n_mels": 8, "fmax": 2000.0},
            "sentences": {"mean": -4.0, "scale": 2.0, "seconds": 0.5, "units": 6},
            "vocoder": "",
        }
    )
)
SPEAKING = {"seconds": 0.3, "threshold": 0.5, "n_iter": 2}


def letters(words):
    spelled = np.array(words, "S5")
    return spelled.view(np.uint8).reshape(*spelled.shape, 5)


def test_names_become_numbers_up_to_the_end():
    words = letters([["bc", "", "b", "a", "<end>", "d"], ["d", "d", "a", "a", "bc", "a"]])
    found, length = jax.jit(image_to_speech.numbered, static_argnums=2)(words, letters(NAMES), 4)
    assert (found.tolist(), length.tolist()) == ([[1, 0, 0, 0], [2, 2, 0, 0]], [2, 4])
    wide = image_to_speech.numbered(words[:, :2], letters(NAMES), 4)[0]
    assert wide.tolist() == [[1, 0, 0, 0], [2, 2, 0, 0]]


def seen(variables, batch, key):
    """A picture whose first pixel is n shows n times unit d; its neighbour shows nothing."""
    count = batch["image"][:, 0, 0, 0].astype(jnp.int32)
    shown = jnp.where((jnp.arange(4)[None] < count[:, None])[..., None], letters(["d"])[None], letters(["<end>"])[None])
    return {"text/caption": shown, "text/nearest_picture": jnp.broadcast_to(letters(["a"]), (len(count), 1, 5))}


def test_what_is_spoken_is_what_is_seen():
    batch = {"image": np.full((2, 4, 4, 3), [[[[3]]], [[[0]]]], np.uint8), "valid": np.ones(2, bool)}
    picture = Task(fields=(), init=None, updates=(), metrics=None, predict=seen)
    chain = image_to_speech.Chain(picture, "caption", NETWORK, ())
    voice = jax.jit(lambda key: tacotron2.init(NETWORK, key, {"units_names": letters(NAMES)}))(jax.random.key(0))
    variables = {"frozen": {"speech": voice, "picture": {}}}
    run = jax.jit(lambda batch: image_to_speech.predict(chain, (), variables, batch, jax.random.key(0), **SPEAKING))
    out = run(batch)
    units = np.ascontiguousarray(out["text/units"]).view("S5")[..., 0]
    assert [list(filter(None, row)) for row in units] == [[b"d", b"d", b"d"], []]
    assert np.abs(out["audio/speech"][0]).max() > 0 == np.abs(out["audio/speech"][1]).max()
    of_speech = jax.random.split(jax.random.key(0))[1]
    mean = np.full((2, 2), 0.5, np.float32)
    units, length = np.array([[2, 2, 2, 0, 0, 0]] * 2, np.int32), np.array([3, 1], np.int32)
    wanted = jax.jit(lambda *x: saying.speak(NETWORK, *x, **SPEAKING))(voice, units, length, mean, of_speech)
    np.testing.assert_allclose(out["audio/speech"][0], wanted["sound"][0], atol=1e-3)
    with pytest.raises(OptionError, match=r"config\.says is 'sung'"):
        image_to_speech.predict(
            dataclasses.replace(chain, says="sung"), (), variables, batch, jax.random.key(0), **SPEAKING
        )
    alone = image_to_speech.Chain(None, "caption", NETWORK, ())
    typed = image_to_speech.ask(alone, "d d", variables, {})[0]
    assert (typed["units"][0].tolist(), typed["units_length"].tolist()) == ([2, 2, 0, 0, 0, 0], [2])
    run = jax.jit(lambda batch: image_to_speech.predict(alone, (), variables, batch, jax.random.key(0), **SPEAKING))
    assert "image/picture" not in run({**typed, "valid": np.ones(1, bool)})


def test_figures_by_hand():
    rows = np.array([[b"", b"a", b"red", b"bell", b"rings"], [b"a", b"blue", b"", b"car", b""]])
    found = image_to_speech.score(
        {"text/heard": rows},
        {"captions": [["a red bell rings", "the bell rings"], ["a blue car", "a car"]]},
    )
    assert found["rouge_l"] == 1
    assert found["rouge_l/silence"] == 0
    assert 0 < found["rouge_l/another_picture"] < 0.5
    assert found["bleu4"] > 0.99 > 1e-3 > found["bleu4/silence"]
    assert found["cider_d"] > 2 > found["cider_d/another_picture"]
    assert image_to_speech.score({}, {}) == {}
    more = {"text/heard": np.concatenate([rows[:1], rows])}
    assert (
        image_to_speech.score(more, {"captions": [(), ["a red bell rings", "the bell rings"], ["a blue car", "a car"]]})
        == found
    )
    assert image_to_speech.score({"text/heard": rows}, {"captions": [(), ()]}) == {}


def test_without_runs_the_true_units_are_spoken_and_wrong_runs_are_named(tmp_path):
    task = image_to_speech.build(get_config("image_to_speech"))
    assert (task.predicts_from, task.modalities["words"]) == (("units", "units_length"), ("units",))
    for option in ("units", "speech"):
        config = get_config("image_to_speech")
        config[option] = str(tmp_path)
        with pytest.raises(OptionError, match=rf"config\.{option}='.*' is no workdir"):
            image_to_speech.build(config)


def runs_of(folder, config, **of):
    """The config of a chain of two runs that saved a config and nothing else."""
    for name, system in (("units", "image_to_units"), ("speech", "tacotron2")):
        own = get_config(system)
        own.units = of.get(name, "")
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(own.to_json())
        config[name] = str(folder / name)
    return config


def test_both_runs_have_the_units_of_one_run(tmp_path, monkeypatch):
    monkeypatch.setattr(units_run, "load", lambda path, option: RUN)
    units = RUN.path
    for number, (of, words) in enumerate(
        (
            ({"units": units}, "config.units='.*' says learned units, config.speech='.*' true units"),
            ({"speech": units}, "config.units='.*' says true units, config.speech='.*' learned units"),
        )
    ):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(OptionError, match=words):
            image_to_speech.build(runs_of(tmp_path / str(number), get_config("image_to_speech"), **of))
    config = runs_of(tmp_path, get_config("image_to_speech"), units=units, speech=units)
    task = image_to_speech.build(config)
    assert task.fields == ("image", "speech", "speech_length", "speaker")
    weights = RUN.variables
    others = jax.tree.map(lambda x: x + 1, weights)
    (check,) = task.needs
    for second in (weights, others):
        with mock.patch.object(WholeRun, "hearing", new_callable=mock.PropertyMock, side_effect=[weights, second]):
            if second is weights:
                check()
            else:
                with pytest.raises(OptionError, match=r"config\.units='.*' says units of another run"):
                    check()
    config.units = ""  # a recording is said again
    task = image_to_speech.build(config)
    assert (task.predicts_from, task.ask) == (("speech", "speech_length"), None)


def test_units_of_a_recording_stand_in_for_those_that_the_data_knows(rng):
    network = dataclasses.replace(NETWORK, model=NETWORK.model.clone(symbols=8), run=RUN)
    names = units_run.names(8)
    shown = np.broadcast_to(names[[2, 3]], (2, 2, names.shape[1]))
    picture = Task(
        fields=(), init=None, updates=(), metrics=None, predict=lambda *_: {"text/caption": jnp.asarray(shown)}
    )
    chain = image_to_speech.Chain(picture, "caption", network, ())
    voice = {"frozen": {"units_names": names, "hearing": RUN.variables}}
    variables = {"frozen": {"speech": voice, "picture": {}}}
    batch = {
        "image": np.zeros((2, 4, 4, 3), np.uint8),
        "speech": rng.integers(-9000, 9000, (2, 4000)).astype(np.int16),
        "speech_length": np.array([4000, 2000], np.int32),
        "valid": np.ones(2, bool),
    }

    def speak(network, variables, units, length, *_, **options):
        """Units are heard as they are."""
        silent = jnp.zeros((2, 1, 1))
        return {"sound": units.astype(jnp.float32), "frames": length, "fired": length > 0, "attention": silent,
                "log_mel": silent}  # fmt: skip

    def hear(weights, sound, length):
        words = jnp.stack([sound, jnp.broadcast_to(length[:, None], sound.shape).astype(sound.dtype)], 1)
        return Heard(words, None)

    judges, variables = (SpeechJudge("ears", dict, 8000, hear=hear),), {**variables, "judges": {"ears": {}}}
    with mock.patch.object(saying, "speak", speak):
        run = jax.jit(lambda *given: image_to_speech.predict(chain, judges, *given, jax.random.key(0), **SPEAKING))
        out = run(variables, batch)
    assert "text/heard_of_true_units" not in out
    assert out["text/heard"][:, 0, :2].tolist() == [[2, 3]] * 2
    units, count = RUN.units(RUN.variables, batch["speech"], batch["speech_length"], 6)
    assert len(set(np.asarray(units[0]).tolist())) > 2
    heard, samples = np.moveaxis(np.asarray(out["text/heard_of_recording_units"]), 1, 0)
    np.testing.assert_array_equal(heard, units)
    np.testing.assert_array_equal(samples[:, 0], 64 * np.clip(count, 1, 6))
