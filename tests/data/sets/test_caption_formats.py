"""The same captioned pictures in every layout: the same examples, and what is wrong with one is named."""

import bz2
import json
import sys
import tarfile

import caption_writer as writer
import numpy as np
import pyarrow as pa
import pytest
from caption_writer import SAID, picture, put, tar

from mmjax.data.files import captioned_folder, columns, held_pictures
from mmjax.data.sets import captioned_images
from mmjax.errors import UserError

pytestmark = pytest.mark.usefixtures("one_child")
SIZE = 16


def found(root, *named, captions=(), separator=""):
    """({path: (captions, split)}, {(path, kind)} of faults); in order."""
    said = captioned_folder.find(root, captions, 0, 0, columns.chosen(named, separator))
    return {item.path: (item.captions, item.split) for item in said.items}, {(f.path, f.kind) for f in said.faults}


def wanted(place, whole):
    """What is to be found of all pictures, `place` being the path of a key and its split."""
    return {place(key, split): (texts if whole else texts[:1], split) for key, texts, split in SAID}


PLACES = {
    "coco": lambda key, split: f"{'train' if split == 'train' else 'val'}2014/{key}.png",
    "img2dataset": lambda key, split: f"{split}/0000{int(split == 'test')}/{key}.png",
    "webdataset": lambda key, split: f"cc-{split}-000000.tar/{key}.png",
    "webdataset.gz": lambda key, split: f"cc-{split}-000000.tar.gz/{key}.png",
    **dict.fromkeys(
        ("imagefolder csv", "imagefolder jsonl", "imagefolder parquet"), lambda key, split: f"{split}/{key}.png"
    ),
    "hub parquet": lambda key, split: f"data/{split}-00000-of-00001.parquet/{key}.png",
    "img2dataset parquet": lambda key, split: f"{split}/0000{int(split == 'test')}.parquet/{int(key) % 10}",
    **dict.fromkeys(("open_clip", "conceptual"), lambda key, split: f"images/{key}.png"),
    "utf-16": lambda key, split: f"{key}.png",
}


@pytest.mark.parametrize("layout", writer.LAYOUTS)
def test_each_layout_says_whose_captions_are_whose(tmp_path, layout):
    whole = writer.LAYOUTS[layout](tmp_path)
    said, faults = found(tmp_path)
    assert said == wanted(PLACES[layout], whole)
    for split in ("train", "test"):  # in the order of the files; that of a split's shards is theirs
        mine = [int(path.rpartition("/")[2].partition(".")[0]) for path in said if said[path][1] == split]
        backwards = split == "test" and layout.startswith("webdataset")
        assert mine == sorted(mine, reverse=backwards)
    assert faults == set()


def test_all_layouts_give_the_same_examples(tmp_path, monkeypatch, capsys):
    """Pixels to the bit, captions and splits; and files that were copied are known again by their fingerprints."""
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path / "data"))
    seen = {}
    for layout, write in writer.LAYOUTS.items():
        whole = write(tmp_path / layout)
        for split in ("train", "test"):
            options = {"path": str(tmp_path / layout), "size": SIZE, "validation": 0}
            opened = captioned_images.source(split, ("image", "captions"), **options)
            examples = {
                e["captions"][0]: (e["captions"] if whole else (), e["image"])
                for e in map(opened.__getitem__, range(len(opened)))
            }
            assert set(examples) == {texts[0] for _, texts, of in SAID if of == split}
            for name, (texts, pixels) in examples.items():
                first = seen.setdefault(name, (texts, pixels))
                assert texts in ((), first[0])
                np.testing.assert_array_equal(pixels, first[1])
    assert "left out" not in capsys.readouterr().err


def test_shards_packed_by_zstd_and_in_one_word(tmp_path):
    zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    for suffix, pack in {"tar.zst": zstd.compress, "tbz2": bz2.compress}.items():
        writer.webdataset(tmp_path / "plain")
        for file in (tmp_path / "plain").iterdir():
            put(tmp_path / suffix / f"{file.stem}.{suffix}", pack(file.read_bytes()))
        said = captioned_folder.find(tmp_path / suffix, (), 0, 0)
        assert said.faults == []
        read = dict(held_pictures.each([(item.path, item.held) for item in said.items]))
        assert read == {f"cc-{split}-000000.{suffix}/{key}.png": picture(key) for key, _, split in SAID}


def test_flickr30k_of_both_kinds(tmp_path):
    """Kaggle's: results.csv with bars and one row without its second, in doubled folders; and captions.txt."""
    names = writer.pictures(tmp_path / "bars", "flickr30k_images/flickr30k_images")
    rows = [f"{key}.png| {n}| {text}" for key, captions, _ in SAID for n, text in enumerate(captions)]
    broken = "000000001.png| 4   A dog runs across the grass ."
    text = "\n".join(["image_name| comment_number| comment", *rows, broken])
    put(tmp_path / "bars" / "flickr30k_images" / "results.csv", text)
    said, faults = found(tmp_path / "bars")
    assert said == {names[key]: (captions, "train") for key, captions, _ in SAID}
    assert faults == {(f"results.csv, line {len(rows) + 2}", "row that does not fit its heading")}
    for kind, heading in (("six", "image,caption"), ("seven", "image_name,comment_number,comment")):
        names = writer.pictures(tmp_path / kind, "Images")
        middle = ", 0, " if kind == "seven" else ","
        rows = [f"{key}.png{middle}{text}" for key, captions, _ in SAID for text in captions]
        put(tmp_path / kind / "captions.txt", "\n".join([heading, *rows]))
        assert found(tmp_path / kind) == ({names[key]: (captions, "train") for key, captions, _ in SAID}, set())


def test_columns_that_are_called_otherwise(tmp_path):
    writer.pictures(tmp_path)
    rows = [f"{key}.png;{captions[0]};{captions[-1]};{split}" for key, captions, split in SAID]
    put(tmp_path / "list.csv", "\n".join(["Bild;Titel;Alt;Fold", *rows]))
    both = ("file=bild", "caption=Titel", "caption=Alt", "split=fold")
    for separator in ("", ";"):
        said, faults = found(tmp_path, *both, separator=separator)
        assert said == {f"{k}.png": (c if len(c) == 2 else c * 2, split) for k, c, split in SAID}
        assert not faults
    assert found(tmp_path, *both[:2])[0]["000000011.png"] == (("a tree",), "train")
    for options, message in (
        ((), r"list\.csv has no column 'file' \(or image, .*\): it has bild, titel, alt, fold; say which it is by "
             r"config\.data\.columns=file=NAME, .* config\.data\.separator"),
        (both[1:3], r"list\.csv has no column 'file'"),
        (("file=Bild",), r"list\.csv has no column 'caption'"),
        (("file=Bild", "caption=Text"), r"config\.data\.columns: .*list\.csv has no column 'Text': it has bild, titel"),
        (("picture=Bild",), r"config\.data\.columns: 'picture=Bild' is none of file=NAME"),
        (("file=a", "file=b"), "names file twice: a, b"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            found(tmp_path, *options)
    with pytest.raises(UserError, match=r"config\.data\.separator='::': it must be one character"):
        found(tmp_path, separator="::")
    with pytest.raises(UserError, match="it has bild;titel;alt;fold"):
        found(tmp_path, *both, separator="tab")
    # The same names in JSON lines, in a sample's JSON and in Parquet.
    meta = [{"Bild": f"{key}.png", "Titel": captions[0], "Alt": captions[-1]} for key, captions, _ in SAID]
    put(tmp_path / "list.csv", "")
    put(tmp_path / "metadata.jsonl", "\n".join(map(json.dumps, meta)))
    assert found(tmp_path, *both[:3])[0]["000000001.png"] == (SAID[1][1] * 2, "train")
    with pytest.raises(UserError, match=r"metadata\.jsonl has no column 'file' .* it has Bild, Titel, Alt; say"):
        found(tmp_path)
    members = [(f"{k}.png", picture(k)) for k, _, _ in SAID] + [(f"{k}.mask.png", picture(k)) for k, _, _ in SAID]
    members += [(f"{row['Bild'][:-4]}.json", json.dumps(row).encode()) for row in meta]
    tar(tmp_path / "shards" / "0.tar", [*members, ("000000001.txt", b"unasked")])
    assert found(tmp_path / "shards", "caption=alt")[0]["0.tar/000000001.png"] == (SAID[1][1], "train")
    masks = found(tmp_path / "shards", "caption=alt", "file=mask.png")[0]
    assert list(masks) == [f"0.tar/{key}.mask.png" for key, _, _ in SAID]


def test_addresses_of_the_web_are_no_files(tmp_path):
    """CC3M as it is published: what was not downloaded is counted by name."""
    names = writer.pictures(tmp_path)
    rows = [f"{captions[0]}\t{names[key]}" for key, captions, _ in SAID]
    rows += ["a bird\thttp://a.com/000000001.png?w=3", "a fish\thttps://b.com/x.jpg", "a hole\tgone.png"]
    put(tmp_path / "Train_GCC-training.tsv", "\n".join(rows))
    said, faults = found(tmp_path)
    assert said == {names[key]: (captions[:1], "train") for key, captions, _ in SAID}
    web = "address on the web, and no file"
    assert faults == {(rows[-3].split("\t")[1], web), (rows[-2].split("\t")[1], web), ("gone.png", "missing picture")}
    put(tmp_path / "more" / "list.tsv", "\n".join(rows[-3:-1]))
    writer.pictures(tmp_path / "more")
    assert found(tmp_path / "more") == ({}, {(f, k) for f, k in faults if k == web})


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("list.tsv", ["0.png\t0.31\ta dog", "1.png\t0.7\ta cat"]),  # what the number means nobody knows
        ("list.csv", ["0.png,0,a dog, running", "0.png,1,a cat"]),
    ],
)
def test_a_column_between_the_two_of_a_table_without_a_heading_is_no_caption(tmp_path, name, rows):
    put(tmp_path / "0.png", picture("0"))
    put(tmp_path / "1.png", picture("1"))
    put(tmp_path / name, "\n".join(rows))
    with pytest.raises(UserError, match=rf"{name} has no column 'file'"):
        found(tmp_path)
    put(tmp_path / name, "0.png,a dog, running\n1.png ,a cat, a tree, a hill\n")
    assert found(tmp_path)[0]["1.png"] == (("a cat, a tree, a hill",), "train")


def test_the_name_of_a_file_tells_its_split_unless_it_tells_several():
    for name, split in {
        "train-00000-of-00002.parquet": "train",
        "cc12m_val_3.tar": "validation",
        "Test_GCC-test.tsv": "test",
        "train-val.csv": "",
        "contest.csv": "",
        "test/all.csv": "",  # a folder is asked elsewhere, with the picture's path
    }.items():
        assert columns.split_named(name) == split


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_what_is_wrong_in_a_shard_is_named(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path / "data"))
    root, mode = tmp_path / "root", "w:gz" if suffix == "tar.gz" else "w"
    members = [("./a/1.png", picture("1")), ("./a/1.txt", b"one"), ("a/2.png", picture("2")), ("a/2.txt", b" ")]
    members += [("a/3.png", picture("3")), ("a/3.txt", b"caf\xe9"), ("a/4.png", picture("4")), ("a/4.json", b"{")]
    members += [("a/5.png", picture("5")), ("a/6.txt", b"of none"), ("a/7.png", picture("7")[:200]), ("a/7.txt", b"x")]
    members += [("a/1.png", picture("8")), ("__MACOSX/a/._1.png", b""), ("a/.9.png", b""), ("a/9.cls", b"3")]
    members += [("b/1.png", picture("10")), ("b/1.txt", "ünder".encode("utf-16"))]
    tar(root / f"0.{suffix}", members, mode)
    put(root / f"1.{suffix}", b"no archive at all, but long enough for a header" * 20)
    tar(root / f"2.{suffix}", [("x.txt", b"no picture")], mode)
    put(root / "3.parquet", b"PAR1 nothing")
    said, faults = found(root)
    assert said == {
        f"0.{suffix}/{name}.png": ((text,), "train") for name, text in (("a/1", "one"), ("a/7", "x"), ("b/1", "ünder"))
    }
    without = "picture without a caption"
    assert faults == {
        (f"0.{suffix}/a/1.png", "of a name that is there twice"),
        (f"0.{suffix}/a/2.png", "empty caption"),
        (f"0.{suffix}/a/3.png (txt)", "not UTF-8"),
        (f"0.{suffix}/a/3.png", without),
        (f"0.{suffix}/a/4.png (json)", "broken JSON"),
        (f"0.{suffix}/a/4.png", without),
        (f"0.{suffix}/a/5.png", without),
        (f"0.{suffix}/a/6", "caption without a picture"),
        (f"1.{suffix}", "archive that is damaged"),
        (f"2.{suffix}", "archive without pictures"),
    }
    opened = captioned_images.source("train", ("caption", "group"), path=str(root), size=SIZE, validation=0, test=0)
    assert {e["caption"] for e in map(opened.__getitem__, range(len(opened)))} == {"one", "ünder"}
    (report,) = (tmp_path / "data").rglob("skipped.json")
    told = [(fault["path"], fault["kind"]) for fault in json.loads(report.read_text())["faults"]]
    assert (f"0.{suffix}/a/7.png", "unreadable picture") in told
    assert told == sorted(told, key=lambda fault: fault[0])  # in no order of child processes


def test_members_of_a_shard_that_are_no_sample_of_their_own_are_named(tmp_path):
    """Pictures of a kind that is not read; names with dots, of which all are one sample; a suffix in capitals."""
    members = [
        ("1.png", picture("1")),
        ("1.Alt", b"one"),
        ("1.json", b'{"alt": "other", "url": "http://a"}'),
        ("2.heic", b"?"),
        ("2.ALT", b"two"),
    ]
    members += [(f"3.{n}.{kind}", raw) for n in "01" for kind, raw in (("png", picture(n)), ("alt", b"three"))]
    tar(tmp_path / "0.tar", members)
    said, faults = found(tmp_path, "caption=Alt")
    assert said == {"0.tar/1.png": (("one",), "train")}
    assert faults == {
        ("0.tar/2", "caption without a picture"),
        ("0.tar/3.0.png", "picture without a caption"),
        ("0.tar/3.1.png", "beside another picture of its sample"),
    }


def test_names_and_captions_that_are_no_unicode(tmp_path, monkeypatch):
    """A tar of Latin-1, whose names are bytes; and halves of letters, as JSON can spell them: none ends a run."""
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path / "data"))
    root = tmp_path / "shards"
    members = [("caf\udce9.png", picture("1")), ("caf\udce9.txt", b"one"), ("\udce9.txt", b"of none")]
    tar(root / "0.tar", members, format=tarfile.GNU_FORMAT)
    meta = ('{"file_name": "1.png", "text": "\\ud83d a"}', '{"file_name": "\\ud83d.png", "text": "b"}')
    more = ('{"file_name": "1.png", "text": "\\ud83d\\ude00"}', "[" * 100_000)
    put(tmp_path / "table" / "metadata.jsonl", "\n".join(meta + more))
    put(tmp_path / "table" / "1.png", picture("1"))
    for folder, path, caption, kinds in (
        (root, "0.tar/caf\\xe9.png", "one", ["caption without a picture"]),
        (tmp_path / "table", "1.png", "\U0001f600", ["broken JSON", "text that is not Unicode"]),
    ):
        opened = captioned_images.source("train", ("caption", "group"), path=str(folder), size=8, validation=0, test=0)
        assert [opened[i] for i in range(len(opened))] == [{"caption": caption, "group": path}]
        assert sorted({kind for _, kind in found(folder)[1]}) == kinds
    put(tmp_path / "deep" / "captions.json", more[1])
    with pytest.raises(UserError, match=r"captions\.json is broken JSON"):
        found(tmp_path / "deep")


def test_a_shard_that_is_cut_short_gives_what_is_there(tmp_path):
    """Amid a picture or a header, before one, with one overwritten, and behind the end of another tar; and packed."""
    members = [
        (f"{key}.{kind}", raw) for key, c, _ in SAID for kind, raw in (("txt", c[0].encode()), ("png", picture(key)))
    ]
    tar(tmp_path / "whole.tar", members)
    whole = (tmp_path / "whole.tar").read_bytes()
    third = whole.index(b"000000002.png")
    header = bytearray(whole)
    header[third : third + 512] = b"x" * 512
    cuts = {"picture": whole[: third + 900], "header": whole[: third + 100], "between": whole[:third]}
    first, second = (whole[:third] + bytes(10_240), whole[third:])
    for name, raw in {**cuts, "spoilt": bytes(header), "joined": first + second}.items():
        put(tmp_path / name / "0.tar", raw)
        said, faults = found(tmp_path / name)
        assert list(said) == ["0.tar/000000000.png", "0.tar/000000001.png"]
        assert ("0.tar", "archive that is damaged") in faults
    tar(tmp_path / "packed.tar.gz", members, "w:gz")
    put(tmp_path / "packed" / "0.tar.gz", (tmp_path / "packed.tar.gz").read_bytes()[:-3000])
    said, faults = found(tmp_path / "packed")
    assert list(said)[:2] == ["0.tar.gz/000000000.png", "0.tar.gz/000000001.png"]
    assert len(said) < len(SAID)
    assert ("0.tar.gz", "archive that is damaged") in faults


def test_what_is_wrong_in_parquet_is_named(tmp_path):
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": picture("1"), "path": "same.png"}, {"bytes": picture("2"), "path": "same.png"}]
    cells += [{"bytes": None, "path": None}, {"bytes": None, "path": "there.png"}, None, {"bytes": picture("3")}]
    captions = ["one", "two", "three", "four", "five", None]
    writer.parquet(tmp_path / "train.parquet", image=pa.array(cells, struct), caption=captions)
    put(tmp_path / "there.png", picture("4"))
    put(tmp_path / "test.parquet", (tmp_path / "train.parquet").read_bytes()[:-9])
    writer.parquet(tmp_path / "urls.parquet", url=["http://a"], caption=["a"])
    said, faults = found(tmp_path)
    assert said == {
        "train.parquet/same.png": (("one",), "train"),
        "train.parquet/same.png, row 1": (("two",), "train"),
        "there.png": (("four",), "train"),
    }
    assert {(path.rpartition("/")[2], kind) for path, kind in faults} == {
        ("train.parquet, row 2", "row without a picture"),
        ("train.parquet, row 4", "row without a picture"),
        ("train.parquet, row 5", "picture without a caption"),
        ("test.parquet", "Parquet that is damaged"),
        ("urls.parquet", "file of captions not read"),
    }
    with pytest.raises(UserError, match=r"urls\.parquet has no column 'file' .*: it has url, caption"):
        found(tmp_path, captions=("urls.parquet",))


def test_names_in_parquet_that_are_there_twice_are_of_two_pictures(tmp_path):
    """Also where a name looks like the number of a row."""
    pixels = pa.array([picture(key) for key in "1234"], pa.binary())
    writer.parquet(tmp_path / "a.parquet", image=pixels, file_name=["3", "3", None, "2"], text=list("1234"))
    said = captioned_folder.find(tmp_path, (), 0, 0)
    assert [item.captions for item in said.items] == [("1",), ("2",), ("3",), ("4",)]
    read = dict(held_pictures.each([(item.path, item.held) for item in said.items]))
    assert read == {item.path: picture(item.captions[0]) for item in said.items}


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "parquet"])
def test_a_picture_of_two_shards_is_in_one_split(tmp_path, kind):
    """Equal bytes are one picture, and it is held out."""
    for split, keys in (("train", "1234"), ("test", "25")):
        if kind == "parquet":
            pixels = pa.array([picture(key) for key in keys], pa.binary())
            writer.parquet(tmp_path / f"{split}.parquet", image=pixels, text=[f"{key} {split}" for key in keys])
        else:
            members = [
                (f"{key}.{s}", raw)
                for key in keys
                for s, raw in (("png", picture(key)), ("txt", f"{key} {split}".encode()))
            ]
            tar(tmp_path / f"{split}.{kind}", members, "w:gz" if kind == "tar.gz" else "w")
    said = captioned_folder.find(tmp_path, (), 0, 0)
    assert sorted((item.captions, item.split) for item in said.items) == [
        (("1 train",), "train"),
        (("2 test", "2 train"), "test"),
        (("3 train",), "train"),
        (("4 train",), "train"),
        (("5 test",), "test"),
    ]
    assert len(said.remarks) == 2  # under another name once; of two splits
    names = {item.path: item.held for item in said.items}
    read = dict(held_pictures.each([(path, names[path]) for path in sorted(names, reverse=True)]))  # in any order
    assert read == {item.path: picture(item.captions[0][0]) for item in said.items}


def test_a_changed_caption_beside_a_picture_is_read(tmp_path, monkeypatch):
    """And the fingerprints tell: of the captions, and of nothing else."""
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path / "data"))
    writer.img2dataset(tmp_path / "root")
    prints = []
    for text in (None, "A red, round ball .", "A blue ball"):
        if text:
            put(tmp_path / "root" / "train" / "00000" / "000000000.txt", text)
        options = {"path": str(tmp_path / "root"), "size": SIZE, "validation": 0}
        opened = captioned_images.source("train", ("image", "captions"), **options)
        prints.append({field: one.content for field, one in opened.prints.items()})
    assert prints[0] == prints[1]
    assert prints[0]["image"] == prints[2]["image"]
    assert prints[0]["captions"] != prints[2]["captions"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "json", "tar"])
def test_nothing_among_captions_costs_no_picture(tmp_path, kind):
    """Null and, as pandas writes it into JSON, NaN: in a list of captions, and in columns of several."""
    lists = {"0": ["x", None, "y"], "1": [None, "z"], "2": [None]}
    names = {key: f"{key}.png" for key in lists}
    if kind != "tar":
        for name in names.values():
            put(tmp_path / name, picture(name[0]))
    rows = [{"file_name": names[key], "text": texts} for key, texts in lists.items()]
    if kind == "jsonl":
        put(tmp_path / "metadata.jsonl", "\n".join(json.dumps(row).replace("null", "NaN") for row in rows))
    elif kind == "json":
        put(tmp_path / "metadata.json", json.dumps(rows))
    elif kind == "parquet":
        writer.parquet(tmp_path / "metadata.parquet", file_name=list(names.values()), text=list(lists.values()))
    else:
        members = [(f"{key}.{s}", x) for key, t in lists.items()
                   for s, x in (("png", picture(key)), ("json", json.dumps({"text": t}).encode()))]  # fmt: skip
        tar(tmp_path / "0.tar", members)
    said, faults = found(tmp_path)
    before = "0.tar/" if kind == "tar" else ""
    assert said == {f"{before}0.png": (("x", "y"), "train"), f"{before}1.png": (("z",), "train")}
    assert len(faults) == 1


def test_columns_of_one_name_are_several_captions(tmp_path):
    for name in ("0.png", "1.png", "2.png"):
        put(tmp_path / name, picture(name[0]))
    put(tmp_path / "captions.csv", "file,caption,Caption\n0.png,x,y\n1.png,,z\n2.png,w\n")
    wanted = {"0.png": (("x", "y"), "train"), "1.png": (("z",), "train"), "2.png": (("w",), "train")}
    assert found(tmp_path) == (wanted, set())
    put(tmp_path / "captions.csv", "file,caption_0,caption_1\n0.png,x,y\n1.png,,z\n2.png,w\n")
    assert found(tmp_path) == (wanted, set())
