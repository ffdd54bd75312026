"""Files of captions: how what is wrong with them is told. tests/data/sets reads each layout."""

from mmjax.data.files import caption_files


def test_lines_name_the_first_of_each_kind():
    faults = [caption_files.Fault(f"p{i}", "missing picture") for i in range(4)]
    assert caption_files.listed(faults) == ["4 missing picture (p0, p1, p2, ...)"]
