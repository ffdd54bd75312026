"""captioned_images on small folders of every layout, with all that can be wrong in them."""

import contextlib
import json

import deadly_picture
import numpy as np
import pytest
from PIL import Image

from mmjax import data
from mmjax.data.files import captioned_folder, pictures
from mmjax.data.sets import captioned_images
from mmjax.errors import UserError
from mmjax.text import vocabulary

SIZE = 16
pytestmark = pytest.mark.usefixtures("one_child")


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path / "cache"))


def picture(path, colour=(255, 0, 0), size=(40, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def folder(tmp_path, count=12, name="pictures"):
    """A folder of pictures p0.png, p1.png, ..."""
    for index in range(count):
        picture(tmp_path / name / f"p{index}.png", (index * 10, 0, 0))
    return tmp_path / name


def splits(path, fields=("captions", "group"), **options):
    """{split: {picture: captions}} of those that there are."""
    found = {}
    for split in ("train", "validation", "test"):
        with contextlib.suppress(UserError):  # which `test_mistakes_are_named` looks at
            opened = captioned_images.source(split, fields, path=str(path), size=SIZE, **options)
            found[split] = {example["group"]: example["captions"] for example in opened}
    return found


def skipped(tmp_path):
    (report,) = (tmp_path / "data").rglob("skipped.json")
    return json.loads(report.read_text())


def kinds(tmp_path):
    return {(fault["path"], fault["kind"]) for fault in skipped(tmp_path)["faults"]}


def coco(path, names, captions):
    """COCO's file: captions are (image id, text)."""
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    said = [{"id": 7, "image_id": image, "caption": text} for image, text in captions]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": said}))


def test_coco(tmp_path, capsys):
    root = tmp_path / "coco"
    train, val = ([f"COCO_{s}2014_{i:012}.jpg" for i in range(n)] for s, n in (("train", 9), ("val", 3)))
    for name in train:
        picture(root / "train2014" / name)
    for name in val[:2]:
        picture(root / "val2014" / name)
    coco(root / "annotations" / "captions_train2014.json", train, [(i % 9, f"Caption {i}. ") for i in range(18)])
    coco(root / "annotations" / "captions_val2014.json", val, [(0, "zero"), (1, " "), (1, "one"), (2, "two"), (9, "x")])
    coco(root / "annotations" / "instances_val2014.json", val, [(0, "not a caption")])
    found = splits(root, validation=0.2)
    assert len(found["train"]) + len(found["validation"]) == 9
    assert found["validation"]
    assert found["test"] == {f"val2014/{val[0]}": ("zero",), f"val2014/{val[1]}": ("one",)}
    assert {**found["train"], **found["validation"]}[f"train2014/{train[4]}"] == ("Caption 4.", "Caption 13.")
    assert kinds(tmp_path) == {
        (val[1], "empty caption"),
        (val[2], "missing picture"),
        ("captions_val2014.json, annotation 4", "malformed record"),
    }
    said = capsys.readouterr().err
    assert f"left out 1 missing picture ({val[2]})" in said
    assert said.count("captioned_images: left out") == 3


def test_karpathy(tmp_path):
    root = folder(tmp_path, 6)
    (root / "val2014").mkdir()
    (root / "p5.png").rename(root / "val2014" / "p5.png")
    of = ("train", "restval", "val", "test", "train", "test")
    images = [
        {"filename": f"p{i}.png", "split": split, "sentences": [{"raw": f"a {i}", "tokens": []}, {"raw": f"b\n {i}"}]}
        for i, split in enumerate(of)
    ]
    images[5]["filepath"] = "val2014"
    images += [{"filename": "p0.png"}, {"filename": "p4.png", "sentences": 3}, "nonsense"]
    images[4]["sentences"] = []
    (root / "dataset_own.json").write_text(json.dumps({"images": images, "dataset": "own"}))
    assert splits(root) == {
        "train": {"p0.png": ("a 0", "b 0"), "p1.png": ("a 1", "b 1")},
        "validation": {"p2.png": ("a 2", "b 2")},
        "test": {"p3.png": ("a 3", "b 3"), "val2014/p5.png": ("a 5", "b 5")},
    }
    broken = {(f"dataset_own.json, image {i}", "malformed record") for i in (6, 7, 8)}
    assert kinds(tmp_path) == {("p4.png", "empty caption"), *broken}


def token_file(root, count):
    lines = [f"p{i}.png#{n}\tPicture {i} said {n} .".encode() for i in range(count) for n in range(2)]
    return root / "Flickr8k.token.txt", lines


def test_flickr8k_with_its_lists(tmp_path):
    root = folder(tmp_path, 6)
    path, lines = token_file(root, 6)
    lines += [b"p0.png.1#0\tno such picture", b"p0.png#7\tcaf\xe9", b"no tab", b"", b"p1.png#8\t"]
    path.write_bytes(b"\r\n".join(lines))
    for split, names in (("train", "p0.png\np1.png\np0.png.1\n"), ("dev", "p2.png\n"), ("test", "p3.png\np4.png")):
        (root / f"Flickr_8k.{split}Images.txt").write_text(names)
    found = splits(root)
    assert {split: set(mine) for split, mine in found.items()} == {
        "train": {"p0.png", "p1.png"},
        "validation": {"p2.png"},
        "test": {"p3.png", "p4.png"},
    }
    assert found["test"]["p3.png"] == ("Picture 3 said 0 .", "Picture 3 said 1 .")
    assert kinds(tmp_path) == {
        ("p0.png.1", "missing picture"),
        ("Flickr8k.token.txt, line 14", "not UTF-8"),
        ("Flickr8k.token.txt, line 15", "malformed record"),
        ("p1.png", "empty caption"),
        ("p5.png", "in no split list"),
    }


def test_flickr8k_without_lists_is_split_by_picture(tmp_path):
    root = folder(tmp_path, 40)
    path, lines = token_file(root, 40)
    path.write_bytes(b"\n".join(lines))
    found = splits(root, validation=0.2, test=0.2)
    assert set(found) == {"train", "validation", "test"}
    assert sum(map(len, found.values())) == 40
    assert not set(found["train"]) & set(found["test"])
    assert all(len(captions) == 2 for mine in found.values() for captions in mine.values())
    assert 4 <= len(found["test"]) <= 14


def test_only_a_split_that_is_not_given_is_drawn():
    items = [captioned_folder.Item(f"p{i}", ("a",), "train" if i % 2 else "") for i in range(40)]
    held = captioned_folder.Item("held", ("a",), "validation")
    found = {item.path: item.split for item in captioned_folder._with_splits([*items, held], 0.4, 0.4)}
    assert [path for path, split in found.items() if split == "validation"] == ["held"]
    assert 8 <= sum(split == "test" for split in found.values()) <= 24
    assert sum(split == "train" for split in found.values()) >= 16


@pytest.mark.parametrize("layout", ["csv", "tsv", "jsonl", "json", "txt"])
def test_tables(tmp_path, layout):
    root = folder(tmp_path, 5)
    rows = [("p0.png", 'A "red", dog', "Train"), ("p1.png", "a cat", "train"), ("p1.png", "the cat", "train")]
    rows += [("p2.png", "a café", "val"), ("p3.png", "x", "test"), ("p4.png", "y", "other"), ("gone.png", "z", "train")]
    if layout in ("json", "jsonl"):
        dicts = [{"image": name, "text": text, "split": split} for name, text, split in rows]
        dicts += [{"file": "p0.png", "captions": ["two", "three"]}, {"file": 3, "caption": "x"}]
        text = json.dumps(dicts) if layout == "json" else "\n".join(map(json.dumps, dicts)) + "\n{broken\n"
    else:
        tab = "\t" if layout == "tsv" else ","
        quoted = [tab.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
        text = "\n".join([tab.join(("File_Name", "Caption", "Split")), *quoted, ""])
    raw = text.encode("utf-8-sig")  # as Excel writes it
    if layout in ("csv", "tsv", "txt"):
        raw += b"p0.png,caf\xe9,train\n".replace(b",", b"\t" if layout == "tsv" else b",")
    (root / f"captions.{layout}").write_bytes(raw)
    found = splits(root)
    more = ("two", "three") if layout in ("json", "jsonl") else ()
    assert found == {
        "train": {"p0.png": ('A "red", dog', *more), "p1.png": ("a cat", "the cat")},
        "validation": {"p2.png": ("a café",)},
        "test": {"p3.png": ("x",)},
    }
    expected = {("p4.png", "of an unknown split"), ("gone.png", "missing picture")}
    if layout in ("csv", "tsv", "txt"):
        expected |= {(f"captions.{layout}, line 9", "not UTF-8")}
    else:
        expected |= {(f"captions.{layout}" + ("[8]" if layout == "json" else ", line 9"), "malformed record")}
        expected |= {("captions.jsonl, line 10", "broken JSON")} if layout == "jsonl" else set()
    assert kinds(tmp_path) == expected


def write(root, *rows, name="captions.csv"):
    (root / name).write_text("\n".join(["file,caption,split", *rows]) + "\n")


def test_no_word_of_a_held_out_picture_enters_the_vocabulary(tmp_path):
    root = folder(tmp_path, 30)
    write(root, *(f"p{i}.png,picture of w{i} and x{i}{n}," for i in range(30) for n in range(2)))
    options = {"path": str(root), "size": SIZE, "test": 0.3, "validation": 0.3, "tokens": {"length": 8}}
    known: dict[str, set] = {}
    for split in ("test", "train", "validation"):
        opened = data.open(split, ("caption_tokens", "captions"), "captioned_images", **options)
        known[split] = set(vocabulary.words_of(opened.constants["caption_vocabulary"])[4:])
        said = {word for i in range(len(opened)) for text in opened[i]["captions"] for word in text.split()}
        own = said - {"picture", "of", "and"}
        assert own
        assert own <= known[split] if split == "train" else not own & known[split]
    assert known["train"] == known["test"] == known["validation"]


def test_all_captions_as_numbers(tmp_path):
    """Karpathy's files: five a picture, of some more; a picture with fewer is padded."""
    root = folder(tmp_path, 3)
    said = {"p0.png": [f"a dog {n}" for n in range(6)], "p1.png": ["A hill."], "p2.png": ["a dog", "", "the hill"]}
    images = [
        {"filename": name, "split": "train" if name != "p2.png" else "test", "sentences": [{"raw": t} for t in texts]}
        for name, texts in said.items()
    ]
    (root / "dataset_own.json").write_text(json.dumps({"images": images, "dataset": "own"}))
    options = {"path": str(root), "size": SIZE, "tokens": {"length": 5}}
    fields = ("captions_tokens", "captions", "image", "group")
    found = {e["group"]: e for s in ("train", "test") for e in data.open(s, fields, "captioned_images", **options)}
    words = data.open("test", fields, "captioned_images", **options).constants["caption_vocabulary"]
    for name, lengths in (("p0.png", [4] * 5), ("p1.png", [3, 0, 0, 0, 0]), ("p2.png", [3, 3, 0, 0, 0])):
        assert found[name]["captions_tokens"].shape == (5, 5)
        np.testing.assert_array_equal(found[name]["captions_tokens_length"], lengths)
    assert len(found["p0.png"]["captions"]) == 6
    read = [vocabulary.decode(row, words) for row in found["p0.png"]["captions_tokens"]]
    assert read == said["p0.png"][:5]
    assert [vocabulary.decode(row, words) for row in found["p2.png"]["captions_tokens"][:2]] == ["a dog", "<unk> hill"]


def test_training_draws_one_of_the_captions(tmp_path):
    root = folder(tmp_path, 2)
    write(root, "p0.png,one,train", "p0.png,two,train", "p1.png,three,test")
    opened = data.open("train", ("caption", "caption_tokens"), "captioned_images", path=str(root), size=SIZE)
    drawn = {opened.draw(0, np.random.default_rng(seed))["caption"] for seed in range(20)}
    assert drawn == {"one", "two"}
    assert opened[0]["caption"] == "one"


def test_pictures_are_fitted(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    wide = Image.new("RGB", (64, 32), "blue")
    wide.paste((255, 0, 0), (0, 0, 16, 32))  # the left quarter is red
    wide.save(root / "wide.png")
    glass = Image.new("RGBA", (32, 32), (0, 0, 255, 0))
    glass.save(root / "glass.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # a camera held upright: the left quarter is at the top
    wide.save(root / "upright.jpg", exif=turned, quality=95)
    write(root, "wide.png,w,train", "glass.png,g,train", "upright.jpg,u,train")
    pictures = {}
    for fit in captioned_images.FITS:
        options = {"path": str(root), "size": SIZE, "fit": fit, "validation": 0, "test": 0}
        opened = captioned_images.source("train", ("image", "caption"), **options)
        pictures[fit] = {example["caption"]: example["image"].astype(int) for example in opened}
    assert all(image.shape == (SIZE, SIZE, 3) for mine in pictures.values() for image in mine.values())
    red, blue, white = (np.array(colour) for colour in ((255, 0, 0), (0, 0, 255), (255, 255, 255)))

    def near(pixel, colour):
        return abs(pixel - colour).max() < 60

    assert near(pictures["crop"]["w"][8, 2], blue)
    assert near(pictures["squash"]["w"][8, 1], red)
    assert near(pictures["squash"]["w"][8, 8], blue)
    assert near(pictures["pad"]["w"][1, 8], white)
    assert near(pictures["pad"]["w"][8, 1], red)
    assert near(pictures["crop"]["g"][8, 8], white)
    assert near(pictures["squash"]["u"][1, 8], red)


def test_a_damaged_picture_is_left_out_and_the_copy_is_made_anew_when_files_change(tmp_path, capsys):
    root = folder(tmp_path, 4)
    (root / "p1.png").write_bytes((root / "p1.png").read_bytes()[:40])
    (root / "p2.png").write_text("no picture")
    picture(root / "a" / "same.png")
    picture(root / "b" / "same.png")
    write(root, *(f"p{i}.png,c{i},train" for i in range(3)), "p3.png,c3,test", "same.png,c,train", "b/same.png,d,train")
    found = splits(root, validation=0)
    assert found == {"train": {"p0.png": ("c0",), "b/same.png": ("d",)}, "test": {"p3.png": ("c3",)}}
    assert kinds(tmp_path) == {
        ("p1.png", "unreadable picture"),
        ("p2.png", "unreadable picture"),
        ("same.png", "of an ambiguous name"),
    }
    assert "2 unreadable picture (p1.png, p2.png)" in capsys.readouterr().err
    splits(root, validation=0)
    assert not capsys.readouterr().err  # prepared once
    picture(root / "p1.png")
    assert set(splits(root, validation=0)["train"]) == {"p0.png", "p1.png", "b/same.png"}


def test_captions_that_are_named_are_no_copy_of_those_that_are_found(tmp_path):
    for number in range(3):
        picture(tmp_path / f"{number}.png", (number, 0, 0))
    for name, said in (("a.token.txt", "a dog runs"), ("a.lemma.token.txt", "a dog run")):
        (tmp_path / name).write_text("".join(f"{number}.png#0\t{said}\n" for number in range(3)))
    options = {"path": str(tmp_path), "size": 4, "validation": 0.0, "test": 0.0}
    for captions, wanted in (
        ((), ("a dog runs",)),
        (("a.token.txt", "a.lemma.token.txt"), ("a dog runs", "a dog run")),
        (("a.lemma.token.txt", "a.token.txt"), ("a dog run", "a dog runs")),
    ):
        assert captioned_images.source("train", captions=captions, **options)[0]["captions"] == wanted


def test_a_picture_that_ends_its_decoder_costs_itself(tmp_path, monkeypatch, capsys):
    root = folder(tmp_path, 4)
    (root / "p4.heic").write_bytes(b"of a suffix that is not read")
    for name in ("p1.png", "p2.png"):
        (root / name).rename(root / f"deadly_{name}")
    write(root, "p0.png,a,train", "deadly_p1.png,b,train", "deadly_p2.png,c,test", "p3.png,d,train")
    monkeypatch.setattr(pictures, "square", deadly_picture.deadly)
    assert splits(root, validation=0) == {"train": {"p0.png": ("a",), "p3.png": ("d",)}}
    faults = skipped(tmp_path)["faults"]
    died = {"kind": "picture that ended its decoder", "detail": "by signal 9 (Killed)"}
    assert sorted(faults, key=str) == [{"path": f"deadly_p{i}.png", **died} for i in (1, 2)]
    told = capsys.readouterr().err
    assert "captioned_images: 2 train pictures; beside them are 1 .heic" in told
    assert "left out 2 picture that ended its decoder (" in told


def test_files_can_lie_elsewhere(tmp_path):
    root = folder(tmp_path, 3)
    write(tmp_path, "p0.png,a,train", "p1.png,b,test", name="mine.csv")
    write(root, "p2.png,c,train", name="more.csv")
    found = splits(root, captions=(str(tmp_path / "mine.csv"), "more.csv"), validation=0)
    assert found == {"train": {"p0.png": ("a",), "p2.png": ("c",)}, "test": {"p1.png": ("b",)}}
    assert splits(root, captions="more.csv", validation=0, test=0) == {"train": {"p2.png": ("c",)}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("captions.json", b'{"images": [', r"captions\.json is broken JSON: line 1, column 13"),
        ("captions.json", b'["caf\xe9"]', r"captions\.json is not UTF-8: byte 5 is 0xe9"),
        ("captions.json", b'{"pictures": []}', r"captions\.json is of no known layout: it must be COCO's"),
        ("captions.csv", b"a,b\n1,2\n", r"captions\.csv has no column 'file' \(or image, .*\): it has a, b"),
        ("captions.csv", b"file,words\n1,2\n", r"captions\.csv has no column 'caption' .* it has file, words"),
        ("my.token.txt", b"nothing\nof it\n", r"my\.token\.txt is of no known layout"),
        ("captions.csv", b"file,caption\ngone.png,a\n", r"nothing to train on: 1 missing picture \(gone\.png\)"),
        ("captions.csv", b"file,caption,split\np0.png,a,test\n", r"nothing to train on: no picture is of its split"),
        ("other.csv", b"", r"other\.csv has no column 'file' .* it has none; say which it is by config\.data\.columns"),
        ("other.xyz", b"", r"has no captions that are known by their names: set config\.data\.captions"),
    ],
)
def test_damaged_files_are_told_in_one_line(tmp_path, name, content, message):
    root = folder(tmp_path, 1)
    (root / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        captioned_images.source("train", path=str(root))
    assert "\n" not in str(caught.value)


def test_mistakes_are_named(tmp_path):
    root = folder(tmp_path, 2)
    write(root, "p0.png,a,train")
    for options, message in (
        ({"path": ""}, "config.data.path='' is not a folder"),
        ({"path": str(tmp_path / "gone")}, "gone' is not a folder: it must be one of pictures"),
        ({"fit": "stretch"}, "config.data.fit 'stretch' is unknown: choose crop, squash, pad"),
        ({"size": 0}, "config.data.size=0"),
        ({"test": 1.5}, "are shares"),
        ({"captions": ("gone.json",)}, "config.data.captions: there is no file .*gone.json"),
    ):
        with pytest.raises(UserError, match=message):
            captioned_images.source("train", **{"path": str(root), **options})
    with pytest.raises(UserError, match="has no split 'test': it has train"):
        captioned_images.source("test", path=str(root), validation=0, test=0)
