"""VQA's official files, written small: what is read, what is skipped and told, and every user mistake."""

import dataclasses
import itertools
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from mmjax import data
from mmjax.data import pipeline
from mmjax.data.sets import vqa_json
from mmjax.errors import UserError

NAMES = {"v1": ("", "OpenEnded_"), "v2": ("v2_", "v2_OpenEnded_")}


def write(folder, version="v2", subset="train2014", pictures=20, layout="folders"):
    """Two questions a picture; returns (questions, annotations), which a test may spoil and `save` again."""
    place = folder / subset if layout == "folders" else folder
    place.mkdir(exist_ok=True, parents=True)
    questions, annotations = [], []
    for i in range(1, pictures + 1):
        Image.new("RGB", (40, 20), (i, 0, 0)).save(place / f"COCO_{subset}_{i:012d}.jpg")
        for k in (1, 2):
            answers = [{"answer": "red" if n < 7 else "dark red", "answer_id": n} for n in range(10)]
            questions.append({"image_id": i, "question": f"What colour is {k}?", "question_id": 10 * i + k})
            annotations.append(
                {
                    "question_id": 10 * i + k,
                    "image_id": i,
                    "multiple_choice_answer": "red",
                    "answers": answers,
                    "question_type": "what color is",
                    "answer_type": "other",
                }
            )
    save(folder, version, subset, questions, annotations)
    return questions, annotations


def save(folder, version, subset, questions, annotations):
    plain, opened = NAMES[version]
    (folder / f"{opened}mscoco_{subset}_questions.json").write_text(json.dumps({"questions": questions}))
    (folder / f"{plain}mscoco_{subset}_annotations.json").write_text(json.dumps({"annotations": annotations}))
    vqa_json._records.cache_clear()


def test_questions_are_known_by_their_numbers(tmp_path):
    write(tmp_path, subset="val2014", pictures=2)
    source = vqa_json.source("test", ("id", "group"), path=str(tmp_path))
    assert {(row["id"], row["group"]) for row in source} == {("11", "1"), ("12", "1"), ("21", "2"), ("22", "2")}
    assert data.identity("vqa_json") == {"question_id": "id", "image_id": "group"}
    assert data.fit("vqa_json", {"size": 16}) == ("stretch", 16)
    assert data.fit("sounding_scenes", {}) == ("crop", 0)


@pytest.mark.parametrize(("version", "layout"), [("v1", "flat"), ("v2", "folders")])
def test_reads_both_versions_and_layouts(tmp_path, version, layout):
    write(tmp_path, version, "train2014", layout=layout)
    write(tmp_path, version, "val2014", pictures=3, layout=layout)
    options = {"path": str(tmp_path), "version": version, "size": 16, "validation": 0.2}
    train, held, test = (vqa_json.source(split, **options) for split in ("train", "validation", "test"))
    assert (len(train) + len(held), len(test)) == (40, 6)
    assert len(held) > 0
    groups = [{source[i]["group"] for i in range(len(source))} for source in (train, held)]
    assert not groups[0] & groups[1]  # a picture's questions are on one side
    seen = test.prints
    larger = dataclasses.replace(test, size=test.size + 1).prints
    assert [field for field in seen if seen[field].content != larger[field].content] == ["image"]
    assert set(seen) == set(vqa_json.FIELDS) - {"index"}
    example = test[0]
    assert example["image"].shape == (16, 16, 3)
    assert example["answer"] == "red"
    assert example["answers"] == ["red"] * 7 + ["dark red"] * 3
    assert example["question"].startswith("What colour is ")
    assert example["question_type"] == "other"
    picture = np.mean([train[0]["image"][..., 0].mean() - int(train[0]["group"])])
    assert abs(picture) < 3  # the question stands beside its own picture
    assert vqa_json.source("test", types="question_type", **options)[0]["question_type"] == "what color is"
    path = pathlib.Path(test.records[0].picture)
    path.write_bytes(path.read_bytes() + b"more")
    now = test.prints
    assert {field for field in seen if seen[field].content != now[field].content} == {"image"}


def test_ok_vqa(tmp_path, capsys):
    """Files are called as those of v1; no answer is marked, stems stand beside what was written, types are coded."""
    questions, annotations = write(tmp_path, "v1", pictures=3)
    said = ["race", "race", "motocross", "motocross", "ride", "ride", "ride", "ride", "race", "race"]
    for annotation in annotations:
        del annotation["multiple_choice_answer"]
        answers = [{"answer_id": n, "answer": a, "raw_answer": f"{a}ing"} for n, a in enumerate(said)]
        annotation |= {"answers": answers, "question_type": "four", "confidence": 3}
    spelt = {"question_types": {"four": "Sports and Recreation"}}
    save(tmp_path, "v1", "train2014", questions, annotations)
    (tmp_path / "mscoco_train2014_annotations.json").write_text(json.dumps({"annotations": annotations, **spelt}))
    (tmp_path / "train2014" / "COCO_train2014_000000000001.jpg").unlink()
    (tmp_path / "train2014" / "COCO_train2014_000000000001.jpg").symlink_to("nowhere")
    (tmp_path / "val2017").mkdir()
    old = tmp_path / "train2014" / "COCO_train2014_000000000002.jpg"
    old.rename(tmp_path / "val2017" / "000000000002.jpg")
    options = {"path": str(tmp_path), "size": 8, "validation": 0.0, "types": "question_type"}
    for version in ("okvqa", "v1"):
        source = vqa_json.source("train", version=version, **options)
        assert {source[i]["group"] for i in range(4)} == {"2", "3"}
        example = source[0]
        assert (example["answer"], example["question_type"]) == ("race", "Sports and Recreation")
        assert example["answers"] == said  # of which "ride" is worth as much: four of ten
    assert "4 questions, skipped 2 without a picture" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"there is .*/OpenEnded_mscoco_train2014_questions.json: set config.data.vers"):
        vqa_json.source("train", version="v2", **options)


def test_neighbours_are_of_different_pictures(tmp_path):
    write(tmp_path)
    source = vqa_json.source("train", ("group",), path=str(tmp_path))
    groups = [source[i]["group"] for i in range(len(source))]
    assert np.mean([a == b for a, b in itertools.pairwise(groups)]) < 0.2


def test_bad_records_are_skipped_and_counted(tmp_path, capsys):
    questions, annotations = write(tmp_path)
    (tmp_path / "train2014" / "COCO_train2014_000000000001.jpg").unlink()
    (tmp_path / "train2014" / "COCO_train2014_000000000002.jpg").write_bytes(b"")
    del questions[6]["image_id"]
    questions[7]["question"] = " "
    questions[8] = "nonsense"
    annotations[9]["answers"] = []
    del annotations[10]["answer_type"]
    annotations.pop(11)
    save(tmp_path, "v2", "train2014", questions, annotations)
    source = vqa_json.source("train", path=str(tmp_path), size=8, validation=0.0)
    assert len(source) == 40 - 4 - 6
    told = capsys.readouterr().err
    assert told == (
        "vqa_json train2014: 30 questions, skipped 3 damaged (question 41, row 8, question 61), "
        "4 without a picture (question 11, question 12, question 21, ...), 1 without an annotation (question 62), "
        "1 without an answer (question 52), 1 without words (question 42)\n"
    )


def test_a_damaged_picture_does_not_stop_a_run(tmp_path, capsys):
    write(tmp_path)
    whole = (tmp_path / "train2014" / "COCO_train2014_000000000005.jpg").read_bytes()
    (tmp_path / "train2014" / "COCO_train2014_000000000005.jpg").write_bytes(whole[: len(whole) // 2])
    source = vqa_json.source("train", path=str(tmp_path), size=8, validation=0.0)
    groups = [source[i]["group"] for i in range(len(source))]
    assert "5" not in groups
    assert len(groups) == 40
    assert capsys.readouterr().err.count("000000000005.jpg is skipped") == 1
    # `index` says which question was given in the place of a damaged picture's, see data/stored_features.py.
    asked = vqa_json.source("train", ("group",), path=str(tmp_path), size=8, validation=0.0)
    given = [int(source[i]["index"]) for i in range(40)]
    assert groups == [asked[i]["group"] for i in given]
    assert [i for i in range(40) if given[i] != i] == [i for i in range(40) if asked[i]["group"] == "5"] != []
    batch = next(pipeline.train_batches(source, 4, 0, 0))
    assert batch["image"].shape == (4, 8, 8, 3)
    assert len(batch["answers"][0]) == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": ""}, "train2014"),
        ({"path": "/no/such"}, "/no/such"),
        ({"version": "v3"}, "v1, v2, okvqa"),
        ({"types": "kind"}, "answer_type"),
        ({"size": 0}, "at least 1 pixel"),
        ({"version": "v1"}, "visualqa.org"),
    ],
)
def test_mistakes(tmp_path, options, words):
    write(tmp_path, "v2", pictures=2)
    with pytest.raises(UserError, match=words):
        vqa_json.source("train", **{"path": str(tmp_path), **options})


def test_damaged_files(tmp_path):
    questions, _ = write(tmp_path, pictures=2)
    (tmp_path / "v2_mscoco_train2014_annotations.json").write_text('{"annotations": [')
    vqa_json._records.cache_clear()
    with pytest.raises(UserError, match=r"annotations\.json is damaged"):
        vqa_json.source("train", path=str(tmp_path))
    for content in (b"[" * 100_000, b"version https://git-lfs.github.com/spec/v1", b"\xff\xfe", b"null"):
        (tmp_path / "v2_mscoco_train2014_annotations.json").write_bytes(content)
        vqa_json._records.cache_clear()
        with pytest.raises(UserError, match=r"annotations\.json is damaged"):
            vqa_json.source("train", path=str(tmp_path))
    save(tmp_path, "v2", "train2014", questions, [])
    with pytest.raises(
        UserError,
        match=r"no usable question of train2014: 4 without an annotation \(question 11, .*, question 21, ...\)$",
    ):
        vqa_json.source("train", path=str(tmp_path))


def seen(folder, split="train", **options):
    """{(question, picture's red): answer} of a split, and its pictures' ids."""
    source = vqa_json.source(split, path=str(folder), size=8, validation=0.0, **options)
    rows = [source[i] for i in range(len(source))]
    return sorted((row["question"], int(row["group"]), round(row["image"][..., 0].mean())) for row in rows)


def test_all_layouts_give_the_same_examples(tmp_path):
    """Flat; a folder a subset; that of VQA's API, whose Questions and Annotations are folders; COCO's names of 2017."""
    wanted = sorted((f"What colour is {k}?", i, i) for i in range(1, 5) for k in (1, 2))
    for layout in ("flat", "folders", "api", "2017", "api of 2017"):
        root = tmp_path / layout
        place = {"flat": "", "folders": "train2014", "2017": "train2017"}.get(layout, "Images/mscoco/train2014")
        place = "images/train2017" if layout == "api of 2017" else place
        write(root, pictures=4)
        names = ("{:012d}.png" if "2017" in layout else "COCO_train2014_{:012d}.png").format
        (root / place).mkdir(parents=True, exist_ok=True)
        for i in range(1, 5):
            (root / "train2014" / f"COCO_train2014_{i:012d}.jpg").unlink()
            Image.new("RGB", (40, 20), (i, 0, 0)).save(root / place / names(i))
        for file in list(root.glob("*.json")) if "api" in layout else ():
            home = root / ("Questions" if "questions" in file.name else "Annotations")
            home.mkdir(exist_ok=True)
            file.rename(home / file.name)
        assert seen(root) == wanted, layout


def test_the_official_tests_have_questions_alone(tmp_path):
    """Their pictures are those of test2015, of which test-dev2015 asks some; or COCO's test2017."""
    questions, _ = write(tmp_path, subset="test2015", pictures=3)
    (tmp_path / "v2_mscoco_test2015_annotations.json").unlink()
    dev = json.dumps({"questions": questions[:4]})
    (tmp_path / "v2_OpenEnded_mscoco_test-dev2015_questions.json").write_text(dev)
    (tmp_path / "test2017").mkdir()
    one = tmp_path / "test2015" / "COCO_test2015_000000000001.jpg"
    one.rename(tmp_path / "test2017" / "000000000001.jpg")
    for split, count in (("test2015", 3), ("test-dev2015", 2)):
        found = seen(tmp_path, split)
        assert [row[:2] for row in found] == sorted(
            (f"What colour is {k}?", i + 1) for i in range(count) for k in (1, 2)
        )
        source = data.open(split, ("image", "question", "group"), name="vqa_json", path=str(tmp_path), size=8)
        assert set(source.prints) == {"image", "question", "group"}
        with pytest.raises(UserError, match=rf"answers of VQA's {split} are secret \(answers\): it is for prediction"):
            data.open(split, ("image", "answers"), name="vqa_json", path=str(tmp_path))
    with pytest.raises(
        UserError, match=r"config\.data\.split 'test2016' is unknown: choose one of train, .*test-dev2015"
    ):
        vqa_json.source("test2016", path=str(tmp_path))


def test_through_the_front_door_of_data(tmp_path):
    write(tmp_path)
    source = data.open("train", ("question", "answers"), name="vqa_json", path=str(tmp_path))
    assert set(source[0]) == {"question", "answers"}
