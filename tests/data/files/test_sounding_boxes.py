"""Published annotation: both layouts, negatives, and everything that can be wrong with them, named and counted."""

import json

import numpy as np
import pytest

from mmjax.data.files import sounding_boxes
from mmjax.errors import UserError


def xml(*boxes):
    """Flickr-SoundNet's layout: one annotator for each list of boxes, whose first child says something else."""
    of_one = "<bbox><name>x</name><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bbox>"
    annotators = "".join(f"<annotator>{''.join(of_one.format(*box) for box in own)}</annotator>" for own in boxes)
    return f"<annotation>{annotators}</annotation>"


def kinds(found):
    return sorted((fault.path, fault.kind) for fault in found.faults)


def test_three_annotators_of_flickr_soundnet(tmp_path):
    (tmp_path / "12.xml").write_text(xml([(64, 32, 128, 256)], [(0, 0, 256, 128)], [(64, 32, 128, 256)]))
    (tmp_path / "13.xml").write_text(xml([(200, 10, 100, 20)], [(0, 0, 300, 128)]))
    (tmp_path / "14.xml").write_text("<annotation><object><box/></object></annotation>")
    (tmp_path / "15.xml").write_text("<annotation><a><bbox><x>1</x><y>2</y></bbox></a></annotation>")
    (tmp_path / "16.xml").write_text("no XML")
    (tmp_path / "notes.txt").write_text("not looked at")
    found = sounding_boxes.read(str(tmp_path))
    one = (32 / 256, 64 / 256, 1.0, 0.5)
    assert found.clips == {"12": (one, (0.0, 0.0, 0.5, 1.0), one), "13": ((0.0, 0.0, 0.5, 1.0),)}
    assert found.without == {"14", "15", "16"}  # of a test, too
    assert kinds(found) == [
        ("13", "box beyond the picture's edge, cut there"),
        ("13", "box whose ends are in the wrong order"),
        ("14", "annotation without a box"),
        ("15.xml", sounding_boxes.OTHER),
        ("16.xml", sounding_boxes.OTHER),
    ]


def test_vgg_ss(tmp_path):
    rows = [
        {"file": "abc_000030", "class": "bell", "bbox": [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 1, 1]]},
        {"file": "out_000000", "bbox": [[1.2, 0.1, 1.4, 0.5], [0.1, 0.1, 0.1, 0.9], [0.1, "x", 1, 1], [0, 0, 1]]},
        {"file": "none_000000", "bbox": []},
        {"file": "abc_000030.mp4", "bbox": [[0, 0, 1, 1]]},
        {"clip": "x"},
        "y",
        {"file": "no_000000", "bbox": None},
    ]
    (tmp_path / "v.json").write_text(json.dumps(rows))
    found = sounding_boxes.read(str(tmp_path / "v.json"))
    assert found.clips == {"abc_000030": ((0.2, 0.1, 0.4, 0.3), (0.5, 0.5, 1.0, 1.0))}
    assert kinds(found) == [
        ("abc_000030.mp4", "annotated twice, of which the first counts"),
        ("none_000000", "annotation without a box"),
        ("out_000000", "annotation without a box"),
        ("out_000000", "box outside the picture or without an area"),
        ("out_000000", "box outside the picture or without an area"),
        ("out_000000", "box that is not four numbers"),
        ("out_000000", "box that is not four numbers"),
        ("v.json, entry 5", sounding_boxes.OTHER),
        ("v.json, entry 6", sounding_boxes.OTHER),
        ("v.json, entry 7", sounding_boxes.OTHER),
    ]
    assert found.without == {"out_000000", "none_000000", "no_000000"}
    boxes, there = sounding_boxes.padded(found.clips["abc_000030"], 3)
    np.testing.assert_allclose(boxes, [[0.2, 0.1, 0.4, 0.3], [0.5, 0.5, 1, 1], [0, 0, 0, 0]])
    assert there.tolist() == [True, True, False]


def test_an_annotator_without_a_box_and_files_of_one_clip(tmp_path):
    whole = ((0.0, 0.0, 1.0, 1.0),)
    (tmp_path / "a.xml").write_text(xml([(0, 0, 256, 256)], []))
    (tmp_path / "b.1.xml").write_text(xml([(0, 0, 256, 256)]))
    (tmp_path / "b.xml").write_text(xml([(0, 0, 128, 128)]))
    (tmp_path / "c.xml").write_text("<?xml version='1.0' encoding='x-none'?>" + xml([(0, 0, 128, 128)]))
    (tmp_path / "d.xml").write_text(xml([]))
    found = sounding_boxes.read(str(tmp_path))
    assert found.clips == {"a": whole, "b": whole}
    assert kinds(found) == [
        ("b.xml", sounding_boxes.TWICE),
        ("c.xml", sounding_boxes.OTHER),
        ("d", "annotation without a box"),
    ]


def test_numbers_and_cells_beyond_all_bounds(tmp_path):
    file = tmp_path / "v.json"
    file.write_text(f'[{{"file": "a", "bbox": [[0, 0, 1, 1], [0, 0, {"9" * 400}, 1], [0, 0, NaN, 1]]}}]')
    found = sounding_boxes.read(str(file))
    assert found.clips == {"a": ((0.0, 0.0, 1.0, 1.0),)}
    assert kinds(found) == [("a", "box that is not four numbers")] * 2
    file = tmp_path / "n.csv"
    file.write_text(f"a,{'b' * 200_000},non-sounding\na,b,non-sounding\n")
    pairs, _, faults = sounding_boxes.negatives(str(file))
    assert pairs == [("a", "b")]
    assert [(fault.path, fault.kind) for fault in faults] == [("line 1", "row that is not video,audio,label")]


def test_negatives_of_slavc(tmp_path):
    file = tmp_path / "n.csv"
    file.write_text("a,a,sounding\na,b.wav,non-sounding\nbroken,row\n\nc, d ,non-sounding\n")
    found, named, faults = sounding_boxes.negatives(str(file))
    assert found == [("a", "b"), ("c", "d")]
    assert named == set("abcd")
    assert [(fault.path, fault.kind) for fault in faults] == [("line 3", "row that is not video,audio,label")]


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", "[1, 2]", "has no box, but must be a list of"),
        ("a.json", "[]", "has no box"),
        ("b.json", None, "neither a folder"),
        ("n.csv", "a,b,sounding\n", "has no row"),
        ("m.csv", None, "cannot be read"),
    ],
)
def test_files_that_are_none_are_one_line(tmp_path, name, content, wrong):
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    read = sounding_boxes.negatives if name.endswith("csv") else sounding_boxes.read
    with pytest.raises(UserError, match=wrong) as caught:
        read(str(file))
    assert "\n" not in str(caught.value)
