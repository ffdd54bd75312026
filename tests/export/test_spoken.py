"""`mmjax export` of the `:tiny` run of Tacotron 2: three files and a loop say what the run says, in either format."""

import contextlib
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from shared import tiny_run

from mmjax import systems, tools
from mmjax.data import spec
from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.export import exported, parts, spoken
from mmjax.judges import english
from mmjax.light import precisions

SENTENCE = "_ u r e d b e l _"


@pytest.fixture(scope="module")
def home():
    return tiny_run("tacotron2").workdir


@pytest.fixture(scope="module", params=[".stablehlo", ".onnx"])
def made(request, home, tmp_path_factory):
    """(the exported folder, its suffix, what was said)."""
    if request.param == ".onnx":
        pytest.importorskip("jax2onnx")
    folder, lines = tmp_path_factory.mktemp("shipped") / "speech", io.StringIO()
    more = ["--int8"] if request.param == ".onnx" else []
    with contextlib.redirect_stdout(lines):
        assert tools.run("export", [str(home), "-o", f"{folder}{request.param}", "--examples", "3", *more]) == 0
    return folder, request.param, lines.getvalue()


def batch_of(run, rows=2):
    symbols = np.random.default_rng(0).integers(1, 9, (rows, 12)).astype(np.int32)
    voices = np.random.default_rng(1).random((rows, run.shapes["speaker"][-1]), np.float32)
    return {"units": symbols, "units_length": np.full(rows, 12, np.int32), "speaker": voices}


def test_it_is_tried_on_held_out_sentences_with_the_figures_of_the_system(made):
    folder, suffix, said = made
    three = f"speech_start{suffix}, speech_step{suffix} and speech_end{suffix}, by loop.py: "
    assert f"{three}as many frames in 100.0% of 3; audio/speech off by" in said
    assert re.search(rf"^\*{re.escape(suffix)}: word_error \S+ \(the run ", said, re.M)
    about = json.loads((folder / exported.ABOUT).read_text())
    compared = about["files"][f"speech_end{suffix}"]["by_loop"]
    assert compared["frames"] == {"same": 1.0}
    assert compared["heatmap/mel"]["largest"] < 1e-3
    assert compared["audio/speech"]["largest"] < 1e-3
    figures = about["figures"][suffix]
    assert figures["examples"] == 3
    for name in ("word_error", "attention_monotone", "gate_fired", "length_error"):
        assert figures[name]["export"] == pytest.approx(figures[name]["run"], abs=1e-5)
    assert {of["batch"] for of in about["files"].values()} == {"any"}
    assert ("left out: speech.onnx: the answers are drawn from a seed" in said) == (suffix == ".onnx")


def test_dropout_is_an_input_and_so_is_the_voice(made):
    folder, suffix, _ = made
    about = json.loads((folder / exported.ABOUT).read_text())
    step, start = (about["files"][f"speech_{name}{suffix}"] for name in ("step", "start"))
    assert {name for name in step["inputs"] if name.startswith("kept/")} == {"kept/prenet1", "kept/prenet2"}
    assert set(start["inputs"]) == {"units", "units_length", "speaker"}
    run = exported.read(folder / f"speech_step{suffix}")
    batch = batch_of(run)
    found = run.answers(batch)["audio/speech"]
    other = run.answers({**batch, "speaker": 1 - batch["speaker"]})["audio/speech"]
    assert np.abs(found - other).max() > 1e-4
    assert np.abs(found - run.answers(batch, seed=1)["audio/speech"]).max() > 1e-4


def test_it_answers_as_its_run(made, home):
    folder, suffix, _ = made
    run, again = restore.restore(home), exported.read(folder / f"speech_step{suffix}")
    assert set(again.files) == {f"speech_{part}{suffix}" for part in exported.APART}
    batch = batch_of(run)
    nobody = {name: batch[name] for name in ("units", "units_length")}
    for given in (batch, nobody):  # without a voice: the middle of all
        want, got = run.answers(given, 5), again.answers(given, 5)
        assert list(got) == ["label/ended", "audio/speech"] == list(want)
        np.testing.assert_array_equal(got["label/ended"], want["label/ended"])
        np.testing.assert_allclose(got["audio/speech"], want["audio/speech"], atol=1e-3)


def test_a_sentence_that_is_typed_is_spoken(made, home, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    sounds = []
    for number, place in enumerate((home, made[0])):
        file = tmp_path / f"{number}.wav"
        assert tools.run("predict", [str(place), "--text", SENTENCE, "-o", str(file), "--seed", "3"]) == 0
        sounds.append(soundfile.read(file)[0])
    np.testing.assert_allclose(sounds[1], sounds[0], atol=1e-3)


@pytest.mark.usefixtures("own_loop")
def test_the_lines_of_the_readme_speak(made, monkeypatch, capsys):
    folder, suffix, _ = made
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    code = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[-1]
    assert "loop.speak(start, step, end, batch, kept" in code
    exec(code, {})
    assert "'audio/speech': (1, " in capsys.readouterr().out
    assert ("jax" in code) == (suffix == ".stablehlo")


def test_eight_bits_speak_too(made):
    folder, suffix, said = made
    if suffix != ".onnx":
        pytest.skip("only ONNX has 8 bits a weight")
    assert "speech_end_int8.onnx, by loop.py: as many frames" in said
    small = exported.read(folder / "speech_step_int8.onnx")
    assert set(small.files) == {f"speech_{part}_int8.onnx" for part in exported.APART}
    found = small.answers(batch_of(small))["audio/speech"]
    assert 0 < np.abs(found - exported.read(folder).answers(batch_of(small))["audio/speech"]).max() < 0.05


def test_fewer_bits_are_read_by_every_function(home):
    run = restore.restore(home)
    start = parts.apart(parts.of(run))[0]
    batch = batch_of(run)
    filled = {**batch, "units": exported._filled(batch["units"], run.shapes["units"][2:])}
    want, got = (
        parts.apart(parts.of(one))[0].function(filled, None)["memory/vectors"] for one in (run, precisions.int8(run))
    )
    assert set(start.inputs) == set(batch)
    assert 0 < np.abs(np.asarray(want) - np.asarray(got)).max() < 0.1


def test_a_judge_outside_of_programs_listens_to_what_is_said(home, monkeypatch):
    def written(sound, length, rate):
        assert rate == run.task.sample_rate
        return np.array([[[97 + int(abs(row[:n]).max() > 0.5)]] for row, n in zip(sound, length)], np.uint8)

    run = restore.restore(home)
    monkeypatch.setattr(english, "written", written)
    config = run.config.copy_and_resolve_references()
    config.eval.judges = ("pocketsphinx",)
    run = dataclasses.replace(
        run, task=systems.build(config), variables={**run.variables, "judges": {"pocketsphinx": {}}}
    )
    columns = {**batch_of(run), "caption": np.array(["b", "a"], object)}
    found = spoken.of_run(run, columns, 2)
    found["audio/speech"] = np.full_like(found["audio/speech"], 0.9) * np.array([[1], [0]], np.float32)
    assert spoken.judged(run, columns, found, 2)["word_error"] == 0.0
    assert spoken.judged(run, {**columns, "caption": np.array(["b", "b"], object)}, found, 2)["word_error"] == 0.5


def test_what_differs_is_told():
    want = {"frames": np.array([2, 4]), "heatmap/mel": np.zeros((2, 1, 4), np.float32)}
    got = {"frames": np.array([2, 6]), "heatmap/mel": np.float32([[[0, 0, 0, 0]], [[0, 0, 0, 2]]])}
    found = spoken.compared(want, got)
    assert found == {"frames": {"same": 0.5}, "heatmap/mel": {"largest": 2.0, "mean": 0.25}}
    assert spoken.line(found, 2) == "as many frames in 50.0% of 2; heatmap/mel off by 2 at most, 0.25 on average"
    with pytest.raises(UserError, match="heatmap/mel of the export is infinite or no number"):
        spoken.compared(want, {**got, "heatmap/mel": np.full((2, 1, 4), np.nan, np.float32)})


def test_symbols_are_named_without_weights(home):
    names = exported.restore.described(home).constants["units_names"]
    assert spec.spelt(("_",)).tobytes().rstrip(b"\0") in {bytes(row).rstrip(b"\0") for row in np.asarray(names)}
