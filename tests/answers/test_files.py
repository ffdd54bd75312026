"""Answers as files, among them those that COCO's and VQA's evaluators read."""

import csv
import io
import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmjax.answers import files
from mmjax.errors import UserError
from mmjax.metrics import vqa


def write(target, *parts, **options):
    with files.Writer(str(target), **options) as writer:
        for answers in parts:
            writer.add(answers)
    return target


def test_a_table_is_written_as_it_comes(tmp_path, capsys):
    parts = [({"file": 'a "b", c.jpg', "x": "é"}, {"embedding/e": np.ones(2)})], [({"file": "d", "x": ["1", "2"]}, {})]
    written = write(tmp_path / "o.csv", *parts).read_text("utf-8")
    assert list(csv.reader(io.StringIO(written))) == [["file", "x"], ['a "b", c.jpg', "é"], ["d", "1 2"]]
    write("", *parts)
    assert capsys.readouterr().out == written
    rows = [json.loads(line) for line in write(tmp_path / "o.jsonl", *parts).read_text("utf-8").splitlines()]
    assert rows == [{"file": 'a "b", c.jpg', "x": "é", "embedding_e": [1.0, 1.0]}, {"file": "d", "x": ["1", "2"]}]


def test_rows_of_several_kinds_share_a_table(tmp_path):
    target = write(tmp_path / "o.csv", [({"file": "a", "m": 1}, {}), ({"text": "b", "m": 2}, {})])
    assert target.read_text() == "file,text,m\na,,1\n,b,2\n"


def test_a_folder_holds_pictures_sounds_and_points(tmp_path):
    picture, sound = np.full((2, 3, 3), 9, np.uint8), np.int16([0, 100, -100])
    media = {"image/drawn": picture, "audio/said": sound, "embedding/image": np.float32([1, 2])}
    write(tmp_path / "out", [({"text": "a"}, media)], [({"text": "b"}, media)], sample_rate=8000)
    lines = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert lines[2] == "b,drawn_00001.png,said_00001.wav,1"
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "drawn_00001.png")), picture)
    heard, rate = soundfile.read(tmp_path / "out" / "said_00000.wav", dtype="int16")
    assert (heard.tolist(), rate) == (sound.tolist(), 8000)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "embedding_image.npy"), [[1, 2], [1, 2]])


def test_a_name_of_a_picture_holds_the_picture_and_no_table(tmp_path, capsys):
    drawn = [({"file": "a"}, {"image/face": np.full((2, 2, 3), value, np.uint8)}) for value in (7, 8, 9)]
    files.check(str(tmp_path / "face.png"))  # before the run is known
    files.check(str(tmp_path / "face.png"), ["image/face"])
    write(tmp_path / "face.png", drawn[:2], drawn[2:])
    found = {path.name: int(np.asarray(Image.open(path))[0, 0, 0]) for path in tmp_path.iterdir()}
    assert found == {"face.png": 7, "face_2.png": 8, "face_3.png": 9}
    assert not capsys.readouterr().out
    for media, what in ([], "no picture"), (["image/a", "audio/b"], "image/a, audio/b"):
        with pytest.raises(UserError, match=f"one picture, and this run predicts {what}"):
            files.check("face.png", media)


def test_a_name_of_a_sound_holds_the_sound_at_the_runs_rate(tmp_path):
    files.check(str(tmp_path / "out.wav"), ["audio/speech"])
    said = [({"text": "a", "ended": "yes"}, {"audio/speech": np.int16([value, -value])}) for value in (100, 200)]
    write(tmp_path / "out.wav", said, sample_rate=16_000)
    found = {path.name: soundfile.read(path, dtype="int16") for path in tmp_path.iterdir()}
    assert {name: (sound.tolist(), rate) for name, (sound, rate) in found.items()} == {
        "out.wav": ([100, -100], 16_000),
        "out_2.wav": ([200, -200], 16_000),
    }
    with pytest.raises(UserError, match=r"-o out\.wav is one sound, and this run predicts image/a: give a folder"):
        files.check("out.wav", ["image/a"])


@pytest.mark.parametrize(
    ("target", "media", "said"),
    [("o.xml", [], "ends in .csv"), ("no/o.csv", [], "no folder no"), ("o.csv", ["image/x"], "a folder for them")],
)
def test_targets_that_cannot_be_are_refused(target, media, said):
    with pytest.raises(UserError, match=said):
        files.check(target, media)


def test_a_file_of_ones_own_is_no_folder_to_be(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UserError, match=r"ends in \.csv"):
        files.check(str(tmp_path / "notes"))


# -- what the fields' evaluators read ----------------------------------------------------------------------------------


def test_cocos_evaluators_read_the_captions(tmp_path, capsys):
    coco = pytest.importorskip("pycocotools.coco").COCO
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu").Bleu
    said = {7: "a red bell rings on the green hill", 42: "a dog sleeps"}
    truth = {
        "images": [{"id": number} for number in said],
        "annotations": [{"id": i, "image_id": n, "caption": text} for i, (n, text) in enumerate(said.items())],
        **{"info": {}, "licenses": [], "type": "captions"},
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    answers = [({"file": f"val/COCO_val2014_{n:012d}.jpg", "caption": text}, {}) for n, text in said.items()]
    target = write(tmp_path / "o.json", answers)
    assert json.loads(target.read_text()) == [{"image_id": n, "caption": text} for n, text in said.items()]
    references = coco(str(tmp_path / "truth.json"))
    results = references.loadRes(str(target))  # which refuses unknown and doubled pictures
    texts = [{n: [one["caption"] for one in each.imgToAnns[n]] for n in said} for each in (references, results)]
    assert bleu(4).compute_score(*texts)[0][0] == pytest.approx(1.0)
    capsys.readouterr()


def test_vqas_rule_on_its_results(tmp_path):
    answers = [
        (
            {"file": "a.jpg", "question": "?", "question_id": 11, "image_id": 1, "answer": "two", "answer_score": 0.9},
            {},
        ),
        (
            {"file": "a.jpg", "question": "!", "question_id": 12, "image_id": 1, "answer": "red", "answer_score": 0.5},
            {},
        ),
    ]
    results = json.loads(write(tmp_path / "o.json", answers).read_text())
    assert results == [{"question_id": 11, "answer": "two"}, {"question_id": 12, "answer": "red"}]
    people = {11: ["2"] * 3 + ["three"] * 7, 12: ["red"] * 10}  # of ten subsets of nine, 3 of 10 have two "2": 0.9
    worth = [vqa.accuracy(row["answer"], people[row["question_id"]]) for row in results]
    assert worth == pytest.approx([0.9, 1.0])


def test_other_answers_are_rows_and_nothing_is_answered_twice():
    plain = [{"file": "a", "object": "bell"}]
    assert files.results(plain) == (plain, "")
    captions = [{"file": name, "caption": "x"} for name in ("000000000042.jpg", "7.png", "dir/me.jpg")]
    assert [row["image_id"] for row in files.results(captions)[0]] == [42, 7, "me.jpg"]


def test_what_answers_something_twice_is_said_and_not_lost(tmp_path):
    rows = [{"file": name, "caption": "x"} for name in ("1.png", "a/7.png", "b/7.png")]
    with pytest.raises(UserError, match=r"o\.json: image_id 7 comes twice"):
        write(tmp_path / "o.json", [(row, {}) for row in rows])
    assert json.loads((tmp_path / "o.json").read_text()) == rows
