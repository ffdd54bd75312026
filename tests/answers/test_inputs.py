"""What is asked: which media a task takes, files and folders, every question of every file, and published lists."""

import io
import json

import pytest
from PIL import Image

from mmjax.answers import inputs
from mmjax.errors import UserError

SEE = inputs.ways([("image",)], False)
HEAR = inputs.ways([("waveform", "waveform_length")], False)
ASK = inputs.ways([("image", "question_tokens")], False)
FIND = inputs.ways([("image",), ("captions_tokens", "captions_tokens_length")], False)


@pytest.mark.parametrize(
    ("fields", "asks", "media"),
    [
        (("image",), False, [{"picture": "image"}]),
        (("waveform", "waveform_length"), False, [{"sound": "waveform"}]),
        (("image", "question_tokens"), False, [{"picture": "image", "text": "question_tokens"}]),
        (("label",), True, [{"text": "label"}]),
        (("label",), False, []),  # nobody can type what the task does not read
        (("index",), True, []),
        (("frames",), False, []),
        (("image", "waveform"), False, [{"picture": "image", "sound": "waveform"}]),
    ],
)
def test_the_ways_in_which_a_task_can_be_asked(fields, asks, media):
    assert [way.media for way in inputs.ways([fields], asks)] == media


@pytest.mark.parametrize(
    ("name", "media", "kind"),
    [
        ("a.JPG", {"picture"}, "picture"),
        ("a.mp4", {"picture"}, "video"),
        ("a.mp4", {"sound"}, "sound"),
        ("a.webm", {"picture", "sound"}, "video"),
        ("a.mp3", {"sound"}, "sound"),
        ("a.mp3", {"picture"}, ""),
        ("a.pdf", {"picture", "sound"}, ""),
    ],
)
def test_a_file_is_read_as_its_suffix_says(name, media, kind):
    assert inputs.kind(name, media) == kind


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("b.png", "deep/a.jpg", "notes.pdf"):
        (tmp_path / "in" / name).write_bytes(b"0")
    return tmp_path / "in"


def test_folders_are_searched_and_what_cannot_be_used_is_named(folder):
    items, faults = inputs.items(SEE, [str(folder), str(folder / "b.png"), "nothing.jpg", str(folder / "notes.pdf")])
    assert [item.told for item in items] == [{"file": f"{folder}/b.png"}, {"file": f"{folder}/deep/a.jpg"}]
    assert [(fault.path, fault.kind) for fault in faults] == [
        ("nothing.jpg", "missing"),
        (f"{folder}/notes.pdf", "of a kind that is not read"),
    ]
    items, faults = inputs.items(HEAR, [str(folder)])
    assert not items
    assert faults[0].kind == "a folder without a sound"


def test_every_question_is_asked_of_every_file(folder, monkeypatch):
    (folder / "q.txt").write_text("\ufeffwho?\n\nwhere?\n", "utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("when?\n"))
    items, _ = inputs.items(ASK, [str(folder / "b.png"), str(folder / "deep"), str(folder / "q.txt"), "-"], ["what?"])
    asked = ["what?", "who?", "where?", "when?"]
    assert [item.told for item in items] == [
        {"file": str(folder / name), "question": text} for name in ("b.png", "deep/a.jpg") for text in asked
    ]


def test_sides_of_a_space_are_asked_alone(folder):
    items, _ = inputs.items(FIND, [str(folder / "b.png")], ["a dog"])
    assert [(item.way.fields, item.told) for item in items] == [
        (("image",), {"file": str(folder / "b.png")}),
        (("captions_tokens",), {"text": "a dog"}),
    ]


@pytest.mark.parametrize(
    ("ways", "paths", "texts", "said"),
    [
        (SEE, [], ["a"], "reads no text: it takes picture"),
        (ASK, ["x.jpg"], [], "give --question, or --list"),
        (ASK, [], ["a"], "say about which"),
        (FIND, ["no.txt"], [], "no.txt: No such file"),
    ],
)
def test_what_is_no_question_is_refused(ways, paths, texts, said):
    with pytest.raises(UserError, match=said):
        inputs.items(ways, paths, texts)


# -- lists -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def coco(tmp_path):
    (tmp_path / "test2015").mkdir()
    for number in (7, 42):
        Image.new("RGB", (4, 4)).save(tmp_path / "test2015" / f"COCO_test2015_{number:012d}.jpg")
    return tmp_path


def test_the_questions_of_vqas_test_set_have_no_answers(coco):
    asked = [{"image_id": n, "question": f"q{n}?", "question_id": 10 * n} for n in (42, 7, 9)]
    (coco / "q.json").write_text(json.dumps({"data_subtype": "test2015", "questions": asked}))
    items, faults = inputs.items(ASK, [str(coco)], asked=str(coco / "q.json"))
    place = coco / "test2015"
    assert [item.told for item in items] == [
        {"file": f"{place}/COCO_test2015_{n:012d}.jpg", "question": f"q{n}?", "question_id": 10 * n, "image_id": n}
        for n in (42, 7)
    ]
    assert [fault.detail for fault in faults] == ["picture and text; there is text (q.json[2], image_id 9)"]


def test_the_images_of_cocos_test_set_have_no_captions(coco):
    names = [{"id": 42, "file_name": "COCO_test2015_000000000042.jpg"}, {"id": 5, "file_name": "none.jpg"}]
    (coco / "image_info.json").write_text(json.dumps({"images": names}))
    items, faults = inputs.items(SEE, [str(coco)], asked=str(coco / "image_info.json"))
    assert [item.told["image_id"] for item in items] == [42]
    assert [fault.path for fault in faults] == ["none.jpg"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", 'file,question,id\ntest2015/COCO_test2015_000000000007.jpg,"who, me?",x1\n'),
        ("q.tsv", "image\tquestion\tid\nCOCO_test2015_000000000007.jpg\twho, me?\tx1\n"),
        ("q.jsonl", '{"file": "COCO_test2015_000000000007.jpg", "text": "who, me?", "id": "x1"}\n'),
        ("q.json", '[{"file": "test2015/COCO_test2015_000000000007.jpg", "question": "who, me?", "id": "x1"}]'),
    ],
)
def test_a_table_of_ones_own(coco, name, content):
    (coco / name).write_text(content)
    (item,), faults = inputs.items(ASK, [str(coco)], asked=str(coco / name))
    assert not faults
    assert (item.told["question"], item.told["id"], item.kind) == ("who, me?", "x1", "picture")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("\nsep=;\nfile;question;id\na.jpg;who?;007\n", [("who?", "007")]),
        ("file;question;id\na.jpg;who?;007\n", [("who?", "007")]),  # a spreadsheet's; a name that looks like a number
        (
            'File, Question ,ID\na.jpg,"who\nis it?",\u00b2\na.jpg,a\u2028b,10',
            [("who\nis it?", "\u00b2"), ("a\u2028b", 10)],
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_as_others_write_it(tmp_path, content, told, encoding):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")
    (tmp_path / "q.csv").write_text(content, encoding)
    items, faults = inputs.items(ASK, [], asked=str(tmp_path / "q.csv"))
    assert not faults
    assert [(item.told["question"], item.told["id"]) for item in items] == told


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for name in ("0.jpg", "in/x/0.jpg", "in/y/0.jpg", "in/y/1.jpg", "in/0.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    rows = ["y/0.jpg", "x/0.jpg", "elsewhere/y/0.jpg", "0.jpg", "z/0.jpg", "z/1.jpg"]
    (tmp_path / "q.csv").write_text("file\n" + "\n".join(rows))
    items, faults = inputs.items(SEE, [str(tmp_path / "in")], asked=str(tmp_path / "q.csv"))
    found = [item.file.removeprefix(f"{tmp_path}/in/") for item in items]
    assert found == ["y/0.jpg", "x/0.jpg", "y/0.jpg", "0.jpg", "y/1.jpg"]
    assert [fault.path for fault in faults] == ["z/0.jpg"]  # it could be any of three


def test_files_are_found_by_their_numbers_and_a_name_that_is_none_ends_nothing(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "123.png")
    (tmp_path / "sub").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "sub" / "a.png")
    rows = [{"image_id": 123}, {"file": "sub\\a.png"}, {"file": "x" * 5000}, {"file": "~nobody/c.png"}, {"file": "/"}]
    (tmp_path / "q.json").write_text(json.dumps([*rows, {"file": ["a.png"]}, {"file": {"path": "a.png"}}, {"id": 1}]))
    items, faults = inputs.items(SEE, [str(tmp_path)], asked=str(tmp_path / "q.json"))
    assert [item.file for item in items] == [f"{tmp_path}/123.png", f"{tmp_path}/sub/a.png"]
    assert [fault.path for fault in faults] == ["x" * 80, "~nobody/c.png", "/", *["a row"] * 3]


@pytest.mark.parametrize("ways", [FIND, SEE])
def test_a_row_with_a_file_and_a_text_asks_both_where_they_are_asked_alone(tmp_path, ways):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "q.csv").write_text("file,caption,id\na.png,a dog,7\na.png,,8\n,a cat,9\n")
    items, faults = inputs.items(ways, [], asked=str(tmp_path / "q.csv"))
    files = [{"file": "a.png", "id": 7}, {"file": "a.png", "id": 8}]
    texts = [{"text": "a dog", "id": 7}, {"text": "a cat", "id": 9}]
    assert [item.told for item in items] == ([files[0], texts[0], files[1], texts[1]] if ways is FIND else files)
    assert len(faults) == (ways is SEE)


def test_what_says_nothing_is_named_and_the_rest_is_asked(folder):
    items, faults = inputs.items(ASK, [str(folder / "b.png")], ["", "who?", " \t", "caf\udce9"])
    assert [item.text for item in items] == ["who?"]
    assert [(fault.path, fault.kind) for fault in faults] == [
        ("text 1", "empty"),
        ("text 3", "empty"),
        ("text 4", "text that is not Unicode"),
    ]
    assert inputs.items(SEE, ["caf\udce9.png"])[1][0].kind == "name that is not UTF-8"


# -- rows and their identities -----------------------------------------------------------------------------------------

IDENTITIES = ["007", "7", 7, 0, "x1", "12.50", 2**60, "4" * 30, 1.5, "\u00b2"]


@pytest.mark.parametrize("column", ["question_id", "image_id", "id"])
def test_identities_come_out_as_they_went_in(tmp_path, column):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    rows = [{"file": "./a.png", "question": "who?", column: one} for one in IDENTITIES]
    (tmp_path / "q.json").write_text(json.dumps(rows))
    (tmp_path / "v.json").write_text(json.dumps({"questions": rows}))
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "q.csv").write_text(f"file,question,{column}\n" + "".join(f"./a.png,who?,{x}\n" for x in IDENTITIES))
    for name in ("q.json", "v.json", "q.jsonl", "q.csv"):
        items, faults = inputs.items(ASK, [], asked=str(tmp_path / name))
        assert not faults
        assert {item.told["file"] for item in items} == {"./a.png"}
        found = [item.told[column] for item in items]
        wanted = IDENTITIES if name != "q.csv" else ["007", 7, 7, 0, "x1", "12.50", 2**60, "4" * 30, "1.5", "\u00b2"]
        assert list(zip(map(type, found), found, strict=True)) == list(zip(map(type, wanted), wanted, strict=True))


@pytest.mark.parametrize(
    ("name", "content", "faults"),
    [
        ("q.csv", "file,id\na.png,1\n\n , \n,,,\na.png\na.png,3,x,y\na.png,4,,\n", {"line 7": "row that does not fit"}),
        ("q.csv", 'file,id\n"a".png,1\na.png,2\n"a.png", "4"\n', {"line 2": "row that is none"}),
        (
            "q.jsonl",
            '{"file": "a.png"}\nnull\n\n[]\n{"file": "a.png"\n' + "[" * 100_000 + '\n{"file": "a.png"}',
            dict.fromkeys(("line 2", "line 4"), "row that is none")
            | dict.fromkeys(("line 5", "line 6"), "broken JSON"),
        ),
        ("q.json", '[{"file": "a.png"}, 7, {"file": "a.png", "id": "\\ud800"}]', {"[1]": "none", "[2]": "not Unicode"}),
        ("q.json", '{"images": [null, {"id": 3, "file_name": "a.png"}, {"id": 4}]}', {"[0]": "none", "[2]": "without"}),
    ],
)
def test_rows_that_are_none_cost_themselves(tmp_path, name, content, faults):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / name).write_text(content)
    items, found = inputs.items(SEE, [], asked=str(tmp_path / name))
    assert items
    assert len(found) == len(faults)
    for (place, kind), fault in zip(faults.items(), found, strict=True):
        assert f"{name}{place if place[0] == '[' else f', {place}'}" in f"{fault.path} {fault.detail}"
        assert kind in fault.kind


def test_a_list_that_names_nothing_is_one_line(tmp_path):
    (tmp_path / "q.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="its first line names no column of a file"):
        inputs.items(ASK, [], asked=str(tmp_path / "q.csv"))


def test_typed_texts_that_are_no_text_are_one_line(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="utf-8"))
    with pytest.raises(UserError, match="standard input is no utf-8 text"):
        inputs.items(FIND, ["-"])
    monkeypatch.setattr("sys.stdin", io.StringIO("a\u2028b\n"))
    assert [item.text for item in inputs.items(FIND, ["-"])[0]] == ["a\u2028b"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("q.json", '{"answers": 1}', r"q\.json is no list of what is asked \(KeyError"),
        ("q.json", '{"images": 1}', "there is no list"),
        ("q.json", "[" * 100_000, "RecursionError"),
        ("q.json", "[]", "it is empty"),
        ("q.jsonl", "what?\nwho?\n", r"q\.jsonl, line 1: broken JSON"),
        ("q.csv", "", "names no column"),
        ("q.csv", "file,question\n", "it is empty"),
        (
            "q.csv",
            'file,question\na.png,"who?\nb.png,who?\n',
            r"q\.csv, line 2: a quote that opens a cell is not closed",
        ),
    ],
)
def test_a_damaged_list_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        inputs.items(ASK, [], asked=str(tmp_path / name))


BOTH = inputs.ways([("image", "waveform", "waveform_length")], False)


def test_pictures_beside_a_sound_are_asked_with_it(tmp_path):
    for name in ("a.png", "b.jpg", "song.wav", "film.mp4"):
        (tmp_path / name).write_bytes(b"0")
    a, b, song, film = (str(tmp_path / name) for name in ("a.png", "b.jpg", "song.wav", "film.mp4"))
    items, faults = inputs.items(BOTH, [song, a, b, "none.png"])
    assert [(item.file, item.sound, item.kind) for item in items] == [(a, song, "pair"), (b, song, "pair")]
    assert items[0].told == {"file": a, "sound": song}
    assert [fault.path for fault in faults] == ["none.png"]
    items, _ = inputs.items(BOTH, [a, film])  # of a video, its sound
    assert [(item.file, item.sound) for item in items] == [(a, film)]
    assert [item.kind for item in inputs.items(BOTH, [film])[0]] == ["film"]
    assert inputs.told(items) == ("file", "sound", "start", "end")
    with pytest.raises(UserError, match="a picture needs a sound"):
        inputs.items(BOTH, [a, b])


def test_faces_and_a_voice_are_a_video_of_people_talking(tmp_path):
    ways = inputs.ways([("faces_frames", "speech", "speech_length"), ("face_frames", "speech", "index")], False)
    assert [way.reads for way in ways] == [{"talk"}]
    for name in ("a.png", "song.wav", "film.mp4"):
        (tmp_path / name).write_bytes(b"0")
    items, faults = inputs.items(ways, [str(tmp_path / "film.mp4"), str(tmp_path / "song.wav")])
    assert [item.kind for item in items] == ["talk"]
    assert inputs.told(items) == ("file", "start", "end")
    assert [fault.detail for fault in faults] == ["the run takes video of people talking"]
