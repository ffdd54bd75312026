"""Which captions of a real folder are read, and whose they are; nothing is prepared here."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from mmjax.data.files import captioned_folder
from mmjax.data.files.captioned_folder import Item
from mmjax.errors import UserError

UNREAD = "file of captions not read"


def lay(root, names, said=None):
    """Small pictures of one colour, and files of text or JSON."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name)
    for name, content in (said or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content))


def coco(*names):
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    said = [{"image_id": number, "caption": f"{name[-6:-4]} in {len(names)}"} for number, name in enumerate(names)]
    return {"images": images, "annotations": said}


def karpathy(**splits):
    return {
        "images": [{"filename": f"{n}.jpg", "split": s, "sentences": [{"raw": f"a {n}"}]} for n, s in splits.items()]
    }


def found(root, **options):
    """{path: (captions, split)}, {(path, kind)} of faults and of remarks."""
    items, faults, remarks, _ = captioned_folder.find(root, validation=0, test=0, **options)
    told = [{(os.path.basename(fault.path), fault.kind) for fault in faults} for faults in (faults, remarks)]
    return {item.path: (item.captions, item.split) for item in items}, *told


def test_flickr8k_is_read_once(tmp_path):
    token = "".join(f"1.jpg#{i}\tA dog is running {i} .\n" for i in range(5))
    lemma = token.replace("A dog is running", "a dog be run")
    said = {"Flickr8k.lemma.token.txt": lemma, "Flickr8k.token.txt": token, "._Flickr8k.token.txt": "no captions"}
    lay(tmp_path / "flat", ["1.jpg", "2.jpg"], said)
    lay(tmp_path / "folders", ["Images/1.jpg"], {f"Flickr8k_text/{name}": text for name, text in said.items()})
    for layout, path in (("flat", "1.jpg"), ("folders", "Images/1.jpg")):
        items, faults, remarks = found(tmp_path / layout)
        assert items == {path: (tuple(f"A dog is running {i} ." for i in range(5)), "train")}
        assert (faults, remarks) == ({("Flickr8k.lemma.token.txt", UNREAD)}, set())
    lay(tmp_path, [], {"flat/Flickr_8k.trainImages.txt": "1.jpg\n", "flat/Flickr_8k.testImages.txt": "1.jpg\n"})
    items, _, remarks = found(tmp_path / "flat")
    assert items["1.jpg"][1] == "test"
    assert remarks == {("1.jpg", "of two splits, in the held-out one")}
    (tmp_path / "flat" / "Flickr_8k.trainImages.txt").unlink()
    for encoding in ("utf-8-sig", "utf-16"):  # as their tables may be
        (tmp_path / "flat" / "Flickr_8k.testImages.txt").write_text("1.jpg\n", encoding=encoding)
        assert found(tmp_path / "flat")[0] == {"1.jpg": (items["1.jpg"][0], "test")}


def test_coco_of_two_years(tmp_path):
    """391895 is in val2014 and in train2017. Of 2014 and 2017 that is read of which more pictures are there."""
    both = {
        "annotations/captions_train2014.json": coco("COCO_train2014_000000000009.jpg"),
        "annotations/captions_val2014.json": coco("COCO_val2014_000000391895.jpg", "COCO_val2014_000000000042.jpg"),
        "annotations/captions_train2017.json": coco("000000391895.jpg", "000000000009.jpg"),
        "annotations/captions_val2017.json": coco("000000000042.jpg"),
        "annotations/instances_val2017.json": coco("000000000042.jpg"),
        "annotations/captions_val2014_fakecap_results.json": [{"image_id": 1, "caption": "a"}],
    }
    of_2014 = ["train2014/COCO_train2014_000000000009.jpg"]
    of_2014 += [f"val2014/COCO_val2014_000000{number}.jpg" for number in ("391895", "000042")]
    of_2017 = ["train2017/000000391895.jpg", "train2017/000000000009.jpg", "val2017/000000000042.jpg"]
    for name, there, year in (("old", of_2014, 2014), ("new", of_2017, 2017), ("both", of_2014 + of_2017, 2017)):
        lay(tmp_path / name, there, both)
        items, faults, remarks = found(tmp_path / name)
        held = {"391895", "000042"} if year == 2014 else {"000042"}
        assert {path[-10:-4] for path, (_, split) in items.items() if split == "test"} == held
        assert {path[-10:-4] for path, (_, split) in items.items() if split == "train"} == {
            "000009",
            "391895",
            "000042",
        } - held
        assert all(len(captions) == 1 for captions, _ in items.values())
        others = {f"captions_{subset}{4031 - year}.json" for subset in ("train", "val")}
        assert faults == {(file, UNREAD) for file in (*others, "captions_val2014_fakecap_results.json")}
        assert not remarks
    named = ("annotations/captions_val2014.json", "annotations/captions_train2017.json")
    items, _, remarks = found(tmp_path / "both", captions=named)
    assert items["val2014/COCO_val2014_000000391895.jpg"] == (("95 in 2",), "test")  # once, and held out
    assert "train2017/000000391895.jpg" not in items
    assert ("000000391895.jpg", "under another name once") in remarks
    assert ("COCO_val2014_000000391895.jpg", "of two splits, in the held-out one") in remarks


def test_other_files_of_such_names(tmp_path):
    table = "file_name,text\n1.jpg,x\n"
    lay(tmp_path, ["1.jpg"], {"metadata.csv": table, "dataset_infos.json": {}, "dataset.json": {"images": 3}})
    assert found(tmp_path) == (
        {"1.jpg": (("x",), "train")},
        {("dataset_infos.json", UNREAD), ("dataset.json", UNREAD)},
        set(),
    )
    lay(tmp_path, [], {"dataset_coco.json": karpathy(a="train"), "dataset_flickr8k.json": karpathy(**{"1": "train"})})
    items, faults, _ = found(tmp_path)
    assert items == {"1.jpg": (("a 1",), "train")}
    assert {("dataset_coco.json", UNREAD), ("metadata.csv", UNREAD)} <= faults
    lay(tmp_path / "b", [], {"dataset_infos.json": {}})
    with pytest.raises(UserError, match=r"dataset_infos\.json is of no known layout"):
        found(tmp_path / "b")


def test_hugging_face_has_a_table_or_a_folder_a_split(tmp_path):
    said = {
        f"{split}/metadata.csv": f"file_name,text\n1.png,a {split}\n2.png,b {split}\n" for split in ("train", "test")
    }
    lay(tmp_path, ["train/1.png", "test/1.png", "train/2.png"], said)
    items, faults, _ = found(tmp_path)
    assert items == {
        "train/1.png": (("a train",), "train"),
        "train/2.png": (("b train",), "train"),
        "test/1.png": (("a test",), "test"),
    }
    assert faults == {("2.png", "missing picture")}
    rows = [f"{split}/{number}.png,one" for split in ("train", "test") for number in (1, 2)]
    lay(tmp_path, [], {"metadata.csv": "\n".join(["file_name,text", *rows])})
    items, faults, _ = found(tmp_path)
    assert {path: split for path, (_, split) in items.items()} == {p: p.split("/")[0] for p in items}
    assert faults >= {("2.png", "missing picture")}


def test_a_missing_picture_lends_its_caption_to_none(tmp_path):
    rows = ["file,caption,split", "train/1.jpg,a red square,train", "val/1.jpg,a green square,val"]
    rows += ["val/2.jpg,nobody,train", "1.jpg,nobody,train", "3.jpg,deep,train", "photos\\4.jpg,slash,train"]
    rows += ["./deep/5.jpg,five,train", f"{tmp_path.name}/6.jpg,six,train", "7.xyz,other,train"]
    lay(tmp_path, ["train/1.jpg", "train/2.jpg", "deep/3.jpg", "photos/4.jpg", "deep/5.jpg", "6.jpg"])
    lay(tmp_path, [], {"captions.csv": "\n".join(rows), "7.xyz": "x"})
    items, faults, _ = found(tmp_path)
    paths = {"train/1.jpg": "a red square", "deep/3.jpg": "deep", "photos/4.jpg": "slash"}
    paths |= {"deep/5.jpg": "five", "6.jpg": "six"}
    assert items == {path: ((caption,), "train") for path, caption in paths.items()}
    assert faults == {
        ("1.jpg", "missing picture"),
        ("2.jpg", "missing picture"),
        ("1.jpg", "of an ambiguous name"),
        ("7.xyz", "of a kind that is not read"),
    }


def test_a_picture_is_in_one_split_under_all_its_names(tmp_path, rng):
    """A link to a file, one to a folder, a copy; what is as plain as small pictures here is no copy of another."""
    lay(tmp_path, ["a/1.png", "a/2.png", "b/plain.png"])
    for name in ("a/big.png", "a/other.png"):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "b" / "copy.png").write_bytes((tmp_path / "a" / "big.png").read_bytes())
    (tmp_path / "b" / "link.png").symlink_to(tmp_path / "a" / "1.png")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    rows = ["a/1.png,one,train", "b/link.png,one,test", "b/link.png,eins,test", "c/2.png,two,val", "a/2.png,zwei,train"]
    rows += ["a/big.png,big,train", "b/copy.png,gross,test", "a/other.png,other,train", "b/plain.png,plain,val"]
    lay(tmp_path, [], {"captions.csv": "\n".join(["file,caption,split", *rows])})
    items, faults, remarks = found(tmp_path)
    assert items == {
        "a/1.png": (("one", "eins"), "test"),
        "c/2.png": (("two", "zwei"), "validation"),
        "a/big.png": (("big", "gross"), "test"),
        "a/other.png": (("other",), "train"),
        "b/plain.png": (("plain",), "validation"),
    }
    assert not faults
    assert {name for name, kind in remarks if kind == "under another name once"} == {"link.png", "2.png", "copy.png"}
    assert {name for name, kind in remarks if kind != "under another name once"} == {"1.png", "2.png", "big.png"}
    lay(tmp_path, [], {"captions.csv": "file,caption\n1.png,one\n"})  # under two paths, but one picture
    assert list(found(tmp_path)[0]) == ["a/1.png"]


def test_names_and_suffixes_of_all_kinds(tmp_path):
    names = ["cafe\u0301.jpg", "b.jfif", "c.JPE", "d.tga"]
    lay(tmp_path, names[:1])
    for name in names[1:]:
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(raw, "wb") as file:
        file.write((tmp_path / names[0]).read_bytes())
    rows = [f"{name},x" for name in ("caf\u00e9.jpg", *names[1:])]
    lay(tmp_path, [], {"captions.csv": "\n".join(["file,caption", *rows]), "e.heic": "", "f.heic": ""})
    items, faults, _, ignored = captioned_folder.find(tmp_path, validation=0, test=0)
    assert items == [Item(name, ("x",), "train") for name in names]
    assert [(fault.path, fault.kind) for fault in faults] == [("caf\\xe9.jpg", "name that is not UTF-8")]
    assert ignored == {".heic": 2}


def test_files_of_a_layout_that_is_not_read_are_counted(tmp_path):
    """The first layout that tells of a picture is read: no file of another is passed over without a word."""
    lay(
        tmp_path, ["a.jpg", "b.jpg", "c.jpg"], {"captions.csv": "file,caption\na.jpg,a\n", "b.txt": "b", "c.json": "{}"}
    )
    lay(tmp_path, [], {"sub/test.parquet": "?", "sub/0.tar.gz": "?", "others.tsv": "filepath\ttitle\nc.jpg\tc\n"})
    said = captioned_folder.find(tmp_path, validation=0, test=0)
    assert (said.items, said.faults) == ([Item("a.jpg", ("a",), "train")], [])
    assert said.ignored == {".txt": 1, ".json": 1, ".parquet": 1, ".gz": 1, ".tsv": 1}
    (tmp_path / "captions.csv").unlink()
    (tmp_path / "sub" / "0.tar.gz").unlink()
    (tmp_path / "others.tsv").unlink()
    assert captioned_folder.find(tmp_path, validation=0, test=0).ignored == {".parquet": 1}


def test_pictures_that_differ_by_a_pixel_are_two(tmp_path):
    """Also where they are as long as each other and begin and end alike, as files without compression do."""
    pixels = np.full((40, 40, 3), 99, np.uint8)
    for name in "abc":
        Image.fromarray(pixels).save(tmp_path / f"{name}.bmp")
        pixels[20, 20] += name == "a"
    (tmp_path / "captions.csv").write_text("file,caption,split\na.bmp,a,train\nb.bmp,b,test\nc.bmp,c,train\n")
    said, _, remarks = found(tmp_path)
    assert said == {"a.bmp": (("a",), "train"), "b.bmp": (("b", "c"), "test")}
    assert remarks == {("c.bmp", "under another name once"), ("b.bmp", "of two splits, in the held-out one")}
