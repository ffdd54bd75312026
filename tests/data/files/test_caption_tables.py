"""Tables of captions as people write them: no caption is cut, and no row swallowed."""

import pathlib

import pytest

from mmjax.data.files import caption_files, caption_tables
from mmjax.data.files.faults import Fault

MISFIT = "row that does not fit its heading"


def read(name, text):
    faults = []
    rows = caption_tables.rows(pathlib.Path(name), text.encode(), faults)
    return [tuple(row.values()) for _, row in rows], [(fault.path.split(" ")[-1], fault.kind) for fault in faults]


@pytest.mark.parametrize(
    ("name", "lines", "rows"),
    [
        ("a.csv", ["file,caption", "1.jpg,A red, round ball"], [("1.jpg", "A red, round ball")]),
        ("a.csv", ["caption,file", "A red, round ball,1.jpg"], [("A red, round ball", "1.jpg")]),
        ("a.csv", ["file,caption,split", "1.jpg,A, b, c,val"], [("1.jpg", "A, b, c", "val")]),
        ("a.csv", ["file,caption,split", "2.jpg,x,", "3.jpg,y"], [("2.jpg", "x", ""), ("3.jpg", "y", "")]),
        ("a.csv", [",file,caption", "0,1.jpg,A, b"], [("0", "1.jpg", "A, b")]),
        ("a.csv", ["file,caption,,", "1.jpg,A,,,"], [("1.jpg", "A")]),
        ("a.csv", ["file,caption", '1.jpg,"A ""red"", ball"'], [("1.jpg", 'A "red", ball')]),
        ("a.csv", ["file,caption", '1.jpg, "A, b"'], [("1.jpg", "A, b")]),
        ("a.csv", ["file,caption", '1.jpg,"A" and "B", c'], [("1.jpg", '"A" and "B", c')]),
        ("a.csv", ["file,caption", '1.jpg,"One', 'two, three"', "2.jpg,x"],
         [("1.jpg", "One\ntwo, three"), ("2.jpg", "x")]),
        ("a.csv", ["file,caption", '1.jpg,"Exit, only', '2.jpg,he said "'],
         [("1.jpg", '"Exit, only'), ("2.jpg", 'he said "')]),
        ("a.csv", ["file;caption", "1.jpg;A red, round ball"], [("1.jpg", "A red, round ball")]),
        ("a.tsv", ["file\tcaption", "1.jpg\ta dog\tand a cat"], [("1.jpg", "a dog\tand a cat")]),
        ("a.tsv", ["file\tcaption", '0.jpg\t"Exit only', "1.jpg\ta dog", '2.jpg\ta "cat'],
         [("0.jpg", '"Exit only'), ("1.jpg", "a dog"), ("2.jpg", 'a "cat')]),
        ("a.csv", ["", "  ", "file,caption", "1.jpg,x"], [("1.jpg", "x")]),
        ("a.csv", ["sep=;", "file;caption", "1.jpg;A red, round ball"], [("1.jpg", "A red, round ball")]),
        ("a.csv", ['"sep=,"', "file,caption", "1.jpg,A; red"], [("1.jpg", "A; red")]),
        ("a.csv", ["file,caption,caption", "1.jpg,x,y", "2.jpg,,z"], [("1.jpg", "x", "y"), ("2.jpg", "", "z")]),
        ("results.csv", ["image_name| comment_number| comment", '1.jpg| 0| Two "men" , here .'],
         [("1.jpg", "0", 'Two "men" , here .')]),
    ],
)  # fmt: skip
def test_captions_are_whole(name, lines, rows):
    for end in ("\n", "\r\n"):
        assert read(name, end.join([*lines, ""])) == (rows, [])


def test_broken_rows_hide_no_table_without_a_heading():
    """CC3M's: a caption, TAB, a file; a row of its first twenty may be neither."""
    rows = ["a dog\t1.jpg", "no more than this", "a cat\t2.jpg", "a\tb\t3.jpg", "a cow\t4.jpg"]
    found, faults = read("cc.tsv", "\n".join(rows))
    assert found == [("a dog", "1.jpg"), ("a cat", "2.jpg"), ("a\tb", "3.jpg"), ("a cow", "4.jpg")]
    assert faults == [("2", MISFIT)]


@pytest.mark.parametrize(
    ("heading", "line", "kind"),
    [
        ("file,caption,split", "1.jpg,A red, round ball,other", MISFIT),  # whose is the surplus?
        ("file,caption,place", "1.jpg,A red ball,Rome, Italy", MISFIT),
        ("file,caption", "1.jpg", MISFIT),
        ("file|number|caption", "1.jpg| 4 A dog runs .", MISFIT),  # Flickr30k has one such
    ],
)
def test_what_is_ambiguous_is_told(heading, line, kind):
    found, faults = read("a.csv", "\n".join([heading, line, line.replace("1.jpg", "2.jpg")]))
    assert not found
    assert faults == [("2", kind), ("3", kind)]


def test_a_row_of_no_split_is_no_caption_of_its_picture(tmp_path):
    """Of "1.jpg,A red, round ball" beside a column of splits nothing is used, for it would be cut."""
    (tmp_path / "a.csv").write_text("file,caption,split\n1.jpg,a dog,train\n1.jpg,A red, round ball\n1.jpg,b,test\n")
    (picture,), faults = caption_files.read([tmp_path / "a.csv"])
    assert (picture.captions, picture.split) == (("a dog", "b"), "test")
    assert faults == [
        Fault("1.jpg", "of an unknown split", "round ball"),
        Fault("1.jpg", caption_files.SPLITS_DIFFER, "test, train"),
    ]


def test_quotes_that_close_nothing_are_looked_at_once(tmp_path, monkeypatch):
    """100,000 rows that open a quote took minutes: each was parsed with every number of rows below it."""
    looked = []
    reader = caption_tables.csv.reader

    def counted(lines, **options):
        looked.append(len(lines))
        return reader(lines, **options)

    monkeypatch.setattr(caption_tables.csv, "reader", counted)
    raw = "file,caption\n" + "".join(f'{number},"open {number}\n' for number in range(300))
    found = list(caption_tables.rows(tmp_path / "a.csv", raw.encode(), []))
    assert [row["caption"] for _, row in found] == [f'"open {number}' for number in range(300)]
    assert sum(looked) < 10 * 300
