"""easy-VQA: against a package of the same form with four pictures, and the real one where it is installed."""

import sys
import types

import numpy as np
import pytest
from PIL import Image

from mmjax.data.sets import easy_vqa
from mmjax.errors import UserError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Forty training and four test pictures with three questions each."""
    fake = types.ModuleType("easy_vqa")
    for part, count in (("train", 40), ("test", 4)):
        paths, rows = {}, []
        for number in range(count):
            paths[number] = str(tmp_path / f"{part}{number}.png")
            Image.new("RGB", (64, 64), (number, number, number)).save(paths[number])
            rows += [("what colour is it?", "red", number), ("is it?", "yes", number), ("what?", "circle", number)]
        setattr(fake, f"get_{part}_questions", lambda rows=rows: tuple(map(list, zip(*rows))))
        setattr(fake, f"get_{part}_image_paths", lambda paths=paths: paths)
    monkeypatch.setitem(sys.modules, "easy_vqa", fake)
    return fake


def test_splits_and_examples(package):
    splits = {split: easy_vqa.source(split) for split in easy_vqa.SPLITS}
    assert len(splits["test"]) == 12
    assert len(splits["train"]) + len(splits["validation"]) == 120
    assert len(splits["validation"]) >= 3
    groups = {name: {source[i]["group"] for i in range(len(source))} for name, source in splits.items()}
    assert not groups["train"] & groups["validation"]
    kinds = {"red": "colour", "yes": "yes/no", "circle": "shape"}
    for i in range(12):
        example = splits["test"][i]
        assert example["image"].shape == (64, 64, 3)
        assert (example["image"] == int(example["group"])).all()  # beside its own picture
        assert example["question_type"] == kinds[example["answer"]]
        assert example["index"] == i
    assert [splits["test"][i]["group"] for i in range(12)] != sorted(splits["test"][i]["group"] for i in range(12))


def test_only_what_is_asked_for(package):
    assert set(easy_vqa.source("train", ("question",))[0]) == {"question"}


def test_mistakes(package, monkeypatch):
    with pytest.raises(UserError, match="train, validation, test"):
        easy_vqa.source("dev")
    monkeypatch.setitem(sys.modules, "easy_vqa", None)
    with pytest.raises(UserError, match=r"pip install 'mmjax\[vqa\]'"):
        easy_vqa.source("train")


def test_the_real_package():
    pytest.importorskip("easy_vqa")
    train, held, test = (easy_vqa.source(split) for split in easy_vqa.SPLITS)
    assert len(test) == 9673
    assert len(train) + len(held) == 38_575
    assert 3000 < len(held) < 4800
    answers = {test.questions[i][1] for i in range(len(test))}
    assert len(answers) == 13
    assert {easy_vqa.kind(answer) for answer in answers} == {"yes/no", "colour", "shape"}
    assert train[0]["image"].shape == (64, 64, 3)
    assert np.ptp(train[0]["image"]) > 0
