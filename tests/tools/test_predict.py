"""`mmjax predict` on a toy run: batches of one program, files that fail, times of pieces, and a run's own split."""

import csv
import io
import json
import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from jax import numpy as jnp
from ml_collections import ConfigDict
from PIL import Image
from video_writer import write_video

from mmjax import tools, workdir
from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.task import Task
from mmjax.tools import predict as predict_tool

traced = []


def see(variables, batch, key):
    """The brightness of a picture as the share of white; what nobody asked for must not be computed."""
    traced.append(batch["image"].shape)
    white = jnp.mean(batch["image"].astype(jnp.float32), (1, 2, 3)) / 255
    scores = jnp.stack([1 - white, white], 1)
    return {"scores/shade": scores, "scores/shade_target": scores, "image/picture": batch["image"]}


def hear(variables, batch, key):
    """How loud, in hundreds; of the samples that count."""
    where = jnp.arange(batch["waveform"].shape[1])[None] < batch["waveform_length"][:, None]
    loud = jnp.max(jnp.where(where, jnp.abs(batch["waveform"].astype(jnp.int32)), 0), 1)
    return {"label/hundreds": (loud + 50) // 100, "label/length": batch["waveform_length"]}


def run_of(predict, fields, shapes, **options):
    task = Task(fields, lambda *_: {}, (), lambda *_: {}, predict, predicts_from=fields, **options)
    config = ConfigDict({"system": "toy", "data": {"name": "captioned_images", "fit": "squash"}})
    return restore.Restored(config, task, {"params": np.float32(1)}, 7, {}, shapes)


SEE = run_of(see, ("image",), {"image": ("uint8", 4, 8, 8, 3)}, names={"shade": ("black", "white")})
SOUND = {"waveform": ("int16", 4, 22_050), "waveform_length": ("int32", 4)}
HEAR = run_of(hear, ("waveform", "waveform_length"), SOUND)


@pytest.fixture
def predict(monkeypatch, capsys, tmp_path):
    """(run, arguments) -> exit status, rows of standard output, lines of standard error."""

    def call(run, *arguments):
        monkeypatch.setattr(restore, "restore", lambda path, step=None: run)
        status = tools.command(["predict", "run", *map(str, arguments)])
        said = capsys.readouterr()
        return status, list(csv.DictReader(io.StringIO(said.out))), said.err.splitlines()

    return call


@pytest.fixture
def photos(tmp_path):
    """Six grey pictures, the third of which is none."""
    (tmp_path / "photos").mkdir()
    for i in range(6):
        Image.new("RGB", (20, 10), (51 * i,) * 3).save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos" / "2.png").write_bytes(b"\x89PNG")
    return tmp_path / "photos"


def test_pictures_are_answered_in_order_by_one_program(predict, photos):
    traced.clear()
    status, rows, said = predict(SEE, photos, "--batch", "2", "--top", "2")
    assert status == 1  # for one could not be used
    assert [row["file"] for row in rows] == [f"{photos}/{i}.png" for i in (0, 1, 3, 4, 5)]
    assert [row["shade"] for row in rows] == ["black", "black", "white", "white", "white"]
    assert [float(row["shade_2_score"]) for row in rows] == pytest.approx([0, 0.2, 0.4, 0.2, 0], abs=0.005)
    assert list(rows[0]) == ["file", "shade", "shade_score", "shade_2", "shade_2_score"]
    assert traced == [(2, 8, 8, 3)]  # the last batch is filled up
    assert len(said) == 2
    assert f"{photos}/2.png: unreadable picture" in said[0]
    assert said[1] == "mmjax predict: 1 of 6 could not be used"


def test_a_single_batch_is_no_larger_than_what_is_asked(predict, photos):
    traced.clear()
    status, rows, _ = predict(SEE, *(photos / f"{i}.png" for i in (0, 1, 5)), "-o", "-")
    assert (status, len(rows)) == (0, 3)  # "-": standard output
    assert traced == [(3, 8, 8, 3)]


def test_a_long_sound_and_a_video_have_times(predict, tmp_path):
    wave = np.concatenate([np.full(22_050, 1000), np.full(22_050, 3000), np.full(23_000, 5000)]).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", wave, 22_050)
    status, rows, _ = predict(HEAR, tmp_path / "a.wav")
    assert status == 0
    assert [(row["start"], row["end"], row["hundreds"]) for row in rows] == [
        ("0.0", "1.0", "10"),
        ("1.0", "2.0", "30"),
        ("2.0", "3.0", "50"),
    ]
    write_video(tmp_path / "v.mp4", seconds=3.0)
    status, rows, _ = predict(SEE, tmp_path / "v.mp4", "--every", "1.5")
    assert [(row["start"], row["end"]) for row in rows] == [("0.0", "1.5"), ("1.5", "3.0")]
    status, rows, _ = predict(HEAR, tmp_path / "v.mp4")  # its sound, for those who hear
    assert len(rows) == 3


def test_a_table_has_the_columns_of_all_its_rows(predict, photos, tmp_path):
    write_video(photos / "v.mp4", seconds=3.0)
    _, rows, _ = predict(SEE, photos / "0.png", photos / "1.png", photos / "v.mp4", "--every", "1.5", "--batch", "2")
    assert [(row["start"], row["end"]) for row in rows] == [("", ""), ("", ""), ("0.0", "1.5"), ("1.5", "3.0")]
    (tmp_path / "q.csv").write_text("file,image_id,question_id\n0.png\n1.png,,\n3.png,7,007\n")
    _, rows, _ = predict(SEE, photos, "--list", tmp_path / "q.csv", "--batch", "1")
    assert [(row["file"], row["image_id"], row["question_id"]) for row in rows] == [
        ("0.png", "", ""),
        ("1.png", "", ""),
        ("3.png", "7", "007"),
    ]


def test_ways_of_other_answers_share_a_table(predict, photos, tmp_path):
    """Pictures have a shade and words have letters, and a list asks by turns."""
    ways = {
        "image": lambda b: {"label/shade": b["image"][:, 0, 0, 0].astype(jnp.int32)},
        "label": lambda b: {"label/letters": b["label"]},
    }
    ask = lambda text, *_: ({"label": np.array([len(text)], np.int32)}, ())  # noqa: E731
    run = run_of(
        lambda v, b, k: ways["image" if "image" in b else "label"](b),
        ("image",),
        SEE.shapes,
        ask=ask,
        also_from=(("label",),),
    )
    (tmp_path / "q.csv").write_text("file,text\n,ab\n1.png,\n,abc\n")
    status, rows, _ = predict(run, photos, "--list", tmp_path / "q.csv")
    assert status == 0
    assert [(row["text"], row["letters"], row["file"], row["shade"]) for row in rows] == [
        ("ab", "2", "", ""),
        ("", "", "1.png", "51"),
        ("abc", "3", "", ""),
    ]


def test_identities_come_out_of_every_kind_of_file(predict, photos, tmp_path):
    """Leading zeros, numbers and texts that look like them."""
    shade = run_of(
        lambda v, b, k: {
            "label/answer": b["image"][:, 0, 0, 0].astype(jnp.int32),
            "label/caption": 0 * b["image"][:, 0, 0, 0].astype(jnp.int32),
        },
        ("image",),
        SEE.shapes,
    )
    ids = ["007", "7", 7, 0]
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps({"file": "1.png", "question_id": x}) for x in ids))
    (tmp_path / "c.jsonl").write_text("\n".join(json.dumps({"file": "1.png", "image_id": x}) for x in ids))
    for name, column, word in (("q", "question_id", "answer"), ("c", "image_id", "caption")):
        for kind in ("jsonl", "json", "csv"):
            target = tmp_path / f"{name}_out.{kind}"
            assert predict(shade, photos, "--list", tmp_path / f"{name}.jsonl", "-o", target)[0] == 0
            text = target.read_text()
            if kind == "csv":
                assert [row[column] for row in csv.DictReader(io.StringIO(text))] == ["007", "7", "7", "0"]
            else:
                rows = json.loads(text) if kind == "json" else list(map(json.loads, text.splitlines()))
                assert [row[column] for row in rows] == ids
                assert kind == "jsonl" or set(rows[0]) == {column, word}


def test_what_a_text_means_is_asked_of_the_task(predict, tmp_path):
    def ask(text, variables, constants):
        if text == "x":
            raise UserError("'x' is no class of this run")
        return {"label": np.array([len(text)], np.int32)}, (("long",) if len(text) > 3 else ())

    run = run_of(lambda v, b, k: {"label/letters": b["label"]}, ("label",), {}, ask=ask)
    status, rows, said = predict(run, "--text", "abcd", "x", "ab")
    assert [(row["text"], row["letters"]) for row in rows] == [("abcd", "4"), ("ab", "2")]
    assert status == 1
    assert said[:2] == ["mmjax predict: 'abcd': long", "mmjax predict: x: not understood ('x' is no class of this run)"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.png", "--batch", "0"], "--batch 0: it must be at least 1"),
        (["a.png", "--seed", "2147483648"], "--seed 2147483648: it must be 0 to 2147483647"),
        (["a.png", "--every", "nan"], "--every nan: it must be at least 0.04"),
        (["a.png", "--every", "inf"], "--every inf: it must be at least 0.04, and finite"),
        (
            ["a.png", "-o", "x.avi"],
            "-o x.avi: give a name that ends in .csv, .jsonl, .json, .png, .wav, .mp4, .mov, .mkv, or a folder",
        ),
        (["--text", "a"], "reads no text"),
        (["a.png", "-o", "~nobody-of-that-name/x.csv"], "begins with ~ and a name of no user"),
    ],
)
def test_mistakes_are_one_line(predict, arguments, said):
    status, _, lines = predict(SEE, *arguments)
    assert status == 2
    assert len(lines) == 1
    assert said in lines[0]


def test_whoever_reads_the_first_lines_hears_no_complaint(monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(predict_tool, "main", lambda *_: sys.stdout.write("a,b") and sys.stdout.flush())
    with open(write, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert tools.run("predict", []) == 1
        monkeypatch.undo()
    assert capsys.readouterr().err == ""


def test_a_run_that_draws_wants_a_folder_before_it_draws(predict, photos):
    drawing = run_of(see, ("image",), SEE.shapes, answers=("image/picture",))
    assert "give a folder for them" in predict(drawing, photos)[2][-1]
    assert predict(drawing, photos, "-o", photos.parent / "out")[0] == 1
    assert np.asarray(Image.open(photos.parent / "out" / "picture_00001.png")).mean() == pytest.approx(51, abs=1)


def test_what_a_run_said_of_its_test_split(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"system": "x", "steps": 9, "test_split": "test"}))
    arrays = {"text/answer": np.array([[b"yes", b"no"]] * 3), "scores/answer": np.float32([[0.9, 0.1]] * 3)}
    arrays |= {"text/control": np.array([b"a"] * 3), "number/index": np.int32([2, 0, 1])}
    about = {"names": {}, "sample_rate": 22_050, "answers": ["text/answer", "scores/answer"]}
    workdir.write_predictions(tmp_path, "test", arrays, about)
    assert tools.command(["predict", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "index,answer,answer_score\n2,yes,0.9\n0,yes,0.9\n1,yes,0.9\n"
    about["ids"] = {"question_id": [11, 12, 13], "image_id": [1, 1, 2]}
    workdir.write_predictions(tmp_path, "test", arrays, about)
    assert tools.command(["predict", str(tmp_path), "-o", str(tmp_path / "r.json")]) == 0
    assert json.loads((tmp_path / "r.json").read_text()) == [{"question_id": n, "answer": "yes"} for n in (11, 12, 13)]


def test_every_example_of_the_documents_is_accepted():
    text = (Path(__file__).parents[2] / "docs" / "runs.md").read_text() + (predict_tool.__doc__ or "")
    lines = re.findall(r"^ *(?:echo \w+ \| )?(mmjax predict .*)$", text, re.M)
    assert len(lines) > 15
    for line in lines:
        call = shlex.split(line.partition("    ")[0])  # what stands behind is an explanation
        asked = predict_tool._parser("mmjax predict").parse_args(call[2:])
        assert asked.workdir.startswith(("runs/", "shipped/")), line


def locate(variables, batch, key):
    """Heat in the upper left quarter as loud as the sound around the picture; confidence is how many samples count."""
    loud = jnp.max(jnp.abs(batch["waveform"].astype(jnp.float32)), 1) / 32767
    heat = jnp.zeros((len(loud), 2, 2)).at[:, 0, 0].set(loud)
    return {"heatmap/heat": heat, "number/confidence": batch["waveform_length"].astype(jnp.float32)}


FILM = {"image": ("uint8", 4, 32, 32, 3), "waveform": ("int16", 4, 11_025), "waveform_length": ("int32", 4)}
LOCATE = run_of(locate, tuple(FILM), FILM, answers=("heatmap/heat", "number/confidence"))


def decoded(path):
    """Pictures and sound of a video, and their times."""
    import av

    with av.open(str(path)) as file:
        pictures = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        packets = [
            (bytes(packet), float(packet.pts * packet.time_base)) for packet in file.demux(audio=0) if packet.size
        ]
    return pictures, packets


def loud_at_the_end(path, suffix="", **options):
    """Three seconds, the last of which sound."""
    return write_video(path, seconds=3.0, late=2.0, amplitude=0.5, **options)


def test_a_video_has_its_map_drawn_on_it_and_its_sound_kept(predict, tmp_path):
    source = loud_at_the_end(tmp_path / "v.mp4")
    status, rows, said = predict(LOCATE, source, "-o", tmp_path / "out.mp4")
    assert (status, rows, said) == (0, [], [])
    before, sound = decoded(source)
    after, kept = decoded(tmp_path / "out.mp4")
    assert [data for data, _ in kept] == [data for data, _ in sound]  # not coded anew
    np.testing.assert_allclose([t for _, t in kept], [t for _, t in sound], atol=2e-3)
    np.testing.assert_allclose([t for t, _ in after], [t for t, _ in before], atol=2e-3)
    changed = np.array([np.abs(a.astype(int) - b).mean(-1) for (_, a), (_, b) in zip(after, before, strict=True)])
    silent, loud = changed[:15], changed[24:]  # at 10 pictures a second; the windows of sound are half a second
    assert loud[:, 4:20, 4:20].mean() > 25
    assert silent[:, 4:20, 4:20].mean() < 8
    assert loud[:, 44:, 44:].mean() < 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "v.mp4"]


def test_what_sounds_where_is_a_table_too_and_a_folder_has_drawn_copies(predict, tmp_path):
    loud_at_the_end(tmp_path / "v.mkv", voice="pcm_s16le")  # sound that is no mp4's
    write_video(tmp_path / "quiet.mp4", sound=False)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    status, rows, said = predict(LOCATE, tmp_path / "v.mkv", "--every", "1")
    assert status == 0
    assert [row["start"] for row in rows] == ["0.0", "1.0", "2.0"]
    assert [float(row["heat_peak"]) > 0.3 for row in rows] == [False, False, True]
    assert (rows[2]["heat_x"], rows[2]["heat_y"], rows[2]["confidence"]) == ("0.25", "0.25", "11025.0")
    status, _, said = predict(LOCATE, tmp_path, "--every", "1", "-o", tmp_path / "found")
    assert status == 1
    assert said[-1] == "mmjax predict: 2 of 3 could not be used"
    assert any("quiet.mp4: no sound" in line for line in said)
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["predictions.csv", "v.mp4"]
    assert len(decoded(tmp_path / "found" / "v.mp4")[0]) == 30


@pytest.mark.parametrize(
    ("run", "asked", "target", "wrong"),
    [
        (SEE, ["v.mp4"], "out.mp4", "draws nothing on a video"),
        (LOCATE, ["v.mp4", "w.mp4"], "out.mp4", "2 are asked"),
        (LOCATE, ["v.mp4"], "v.mp4", "is the video that is asked about"),
        (LOCATE, ["v.mp4"], "nowhere/out.mp4", "there is no folder"),
        (LOCATE, [], "out.mp4", "say on which video"),
    ],
)
def test_a_video_that_cannot_be_drawn_is_one_line(predict, tmp_path, run, asked, target, wrong):
    for name in asked:
        write_video(tmp_path / name, seconds=1.0)
    status, _, said = predict(run, *(tmp_path / name for name in asked), "-o", tmp_path / target)
    assert status != 0
    assert len(said) == 1
    assert wrong in said[0]
