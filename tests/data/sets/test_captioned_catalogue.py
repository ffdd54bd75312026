"""Captions of the user's for pictures of the catalogue: found by name, in both layouts, and what is left out."""

import dataclasses
import io
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mmjax import data
from mmjax.data.files import prepared
from mmjax.data.sets import captioned_catalogue
from mmjax.errors import UserError


class Flowers(tfds.core.GeneratorBasedBuilder):
    """Features as oxford_flowers102 has them; picture k is of colour 40 k, wider than high."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["rose", "tulip"]),
            "file_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(4)), "test": self._generate_examples(range(4, 6))}

    def _generate_examples(self, numbers):
        for k in numbers:
            image = io.BytesIO()
            Image.fromarray(np.full((20, 30, 3), 40 * k, np.uint8)).save(image, "png")
            image.seek(0)
            yield k, {"image": image, "label": k % 2, "file_name": f"image_{k:05d}.jpg"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    prepared.prepare(Flowers(data_dir=str(root), file_format="array_record"))
    return root


def test_text_files_are_found_by_the_pictures_names(root, tmp_path, capsys):
    for k in (0, 1, 3, 5):
        (tmp_path / f"class_{k % 2}").mkdir(exist_ok=True)
        (tmp_path / f"class_{k % 2}" / f"image_{k:05d}.txt").write_text(f"flower {k}\n\nnumber {k}\n")
    (tmp_path / "class_0" / "image_00002.txt").write_text("\n")  # nothing is said
    options = {"of": "flowers", "captions": str(tmp_path), "data_dir": str(root), "size": 8}
    opened = data.open("train", captioned_catalogue.FIELDS, "captioned_catalogue", **options)
    assert "1 of 4 train pictures have no caption" in capsys.readouterr().err
    assert set(opened.prints) == set(captioned_catalogue.FIELDS) - {"index"}
    assert len(opened.prints["captions"].examples) == 3
    for change in ({"size": 9}, {"fit": "pad"}):
        other = dataclasses.replace(opened, **change).prints
        assert [f for f in other if other[f].content != opened.prints[f].content] == ["image"]
    by_name = {example["group"]: example for example in pickle.loads(pickle.dumps(opened))}
    assert set(by_name) == {"image_00000.jpg", "image_00001.jpg", "image_00003.jpg"}
    for k, example in ((0, by_name["image_00000.jpg"]), (3, by_name["image_00003.jpg"])):
        assert example["captions"] == (f"flower {k}", f"number {k}")
        assert example["caption"] == f"flower {k}"
        assert example["label"] == k % 2
        np.testing.assert_array_equal(example["image"], np.full((8, 8, 3), 40 * k, np.uint8))
    tokens = {"kind": "words", "min_count": 1, "max_words": 100, "length": 4}
    cut = data.open("test", ("image", "caption_tokens"), "captioned_catalogue", tokens=tokens, **options)
    assert len(cut) == 1
    assert cut[0]["caption_tokens"].shape == (4,)


def test_a_table_of_captions_does_as_well(root, tmp_path):
    (tmp_path / "said.csv").write_text("file,caption\nphotos/image_00002.png,a rose\nimage_00002.png,red\n")
    opened = captioned_catalogue.source(
        "train", ("captions", "index"), of="flowers", captions=str(tmp_path / "said.csv"), data_dir=str(root)
    )
    assert len(opened) == 1
    assert opened[0] == {"captions": ("a rose", "red"), "index": 0}


def test_captions_of_two_pictures_of_one_name_are_nobodys(root, tmp_path, capsys):
    options = {"of": "flowers", "data_dir": str(root)}
    for name, said in (("a/image_00001", "a rose"), ("b/image_00001", "a tree"), ("a/image_00002", "a lily")):
        (tmp_path / "links" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "links" / f"{name}.txt").write_bytes(said.encode() + b"\ncaf\xe9\n")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "here").symlink_to(tmp_path / "links")
    table = "file,caption\na/image_00001.jpg,a rose\nb/image_00001.jpg,a tree\nimage_00002.jpg,a lily\n"
    (tmp_path / "said.csv").write_text(table)
    for captions, place in (("text", "here/"), ("said.csv", "")):
        opened = captioned_catalogue.source("train", ("captions",), captions=str(tmp_path / captions), **options)
        assert list(opened) == [{"captions": ("a lily",)}]
        told = capsys.readouterr().err
        suffix = ".txt" if place else ".jpg"
        assert f"2 of an ambiguous name ({place}a/image_00001{suffix}, {place}b/image_00001{suffix})" in told
        assert ("3 not UTF-8 (here/a/image_00001.txt, line 2, " in told) == bool(place)


def test_mistakes_have_one_line(root, tmp_path):
    where = {"of": "flowers", "data_dir": str(root)}
    with pytest.raises(UserError, match=r"config\.data\.captions='' is neither"):
        captioned_catalogue.source("train", **where)
    (tmp_path / "rose.txt").write_text("a rose")
    with pytest.raises(UserError, match="pictures like 'rose', and they are called 'image_0000"):
        captioned_catalogue.source("train", captions=str(tmp_path), **where)
    with pytest.raises(UserError, match=r"config\.data\.fit"):
        captioned_catalogue.source("train", captions=str(tmp_path), fit="stretch", **where)
