"""What is left out, in lines that stay short."""

from mmjax.data.files.faults import Fault, by_path, by_suffix, listed


def test_lines_name_the_first_of_each_kind():
    faults = [*(Fault(f"p{i}", "missing picture") for i in range(4)), Fault("q", "empty caption", "line 3")]
    assert listed(faults) == ["1 empty caption (q)", "4 missing picture (p0, p1, p2, ...)"]


def test_suffixes_by_their_number():
    assert by_suffix({".md": 1, "": 3, ".txt": 1200}) == "1,200 .txt, 3 without a suffix, 1 .md"
    assert by_suffix({}) == ""


def test_faults_are_told_by_name_in_whatever_order_they_were_found():
    found = [Fault("b", "unreadable picture"), Fault("a", "unreadable picture"), Fault("c", "empty caption")]
    assert [fault.path for fault in by_path(found)] == ["a", "b", "c"] == [fault.path for fault in by_path(found[::-1])]
    assert listed(by_path(found)) == ["1 empty caption (c)", "2 unreadable picture (a, b)"]
