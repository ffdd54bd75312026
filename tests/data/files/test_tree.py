"""The files below a folder: links, loops, names, and what is counted without being read."""

import os

from mmjax.data.files import faults, tree
from mmjax.data.files.faults import Fault


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_and_what_is_ignored(tmp_path):
    b = write(tmp_path / "b/2.WAV", "1234")
    for name in ("a.wav", "b/1.txt", "b/c.TXT", "README", "b/.hidden.wav", ".folder/x.wav", "news.en-00001-of-00100"):
        write(tmp_path / name)
    found = tree.walk(tmp_path, (".wav",))
    assert list(found.files) == ["a.wav", "b/2.WAV"]
    assert found.files["b/2.WAV"] == (4, b.stat().st_mtime_ns)
    assert found.ignored == {".txt": 2, "": 2}
    assert faults.by_suffix(found.ignored) == "2 without a suffix, 2 .txt"
    assert found.faults == ()
    assert list(tree.walk(tmp_path, lambda name: name == "README").files) == ["README"]


def test_links_are_followed_but_never_back(tmp_path):
    write(tmp_path / "data/cat/1.wav")
    write(tmp_path / "elsewhere/dog/2.wav")
    (tmp_path / "data/dog").symlink_to(tmp_path / "elsewhere/dog")
    (tmp_path / "data/fox").symlink_to(tmp_path / "data/cat")  # a second name for a folder is no loop
    (tmp_path / "data/3.wav").symlink_to(tmp_path / "data/cat/1.wav")
    (tmp_path / "elsewhere/dog/up").symlink_to(tmp_path / "data")  # through two links back to where it began
    (tmp_path / "data/gone.wav").symlink_to(tmp_path / "nowhere")
    (tmp_path / "data/gone.txt").symlink_to(tmp_path / "nowhere")
    found = tree.walk(tmp_path / "data", (".wav",))
    assert list(found.files) == ["3.wav", "cat/1.wav", "dog/2.wav", "fox/1.wav"]
    assert [(fault.path, fault.kind) for fault in found.faults] == [
        ("dog/up", "link that leads back"),
        ("gone.wav", "dangling link"),
    ]


def test_a_name_that_is_not_utf_8_and_a_pipe(tmp_path):
    write(tmp_path / "good.wav")
    with open(os.fsencode(tmp_path) + b"/caf\xe9.wav", "wb"):
        pass
    os.mkfifo(tmp_path / "pipe.wav")
    found = tree.walk(tmp_path, (".wav",))
    assert list(found.files) == ["good.wav"]
    assert found.faults == (Fault("caf\\xe9.wav", "name that is not UTF-8"),)


def test_a_file_of_several_names_is_one(tmp_path):
    write(tmp_path / "b/1.wav", "one")
    write(tmp_path / "c/2.wav", "two")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    os.link(tmp_path / "c/2.wav", tmp_path / "c/3.wav")
    write(tmp_path / "c/4.wav", "two")  # of the same content, and another file
    found = tree.once(tmp_path, tree.walk(tmp_path, (".wav",)))
    assert list(found.files) == ["a/1.wav", "c/2.wav", "c/4.wav"]
    assert found.faults == (
        Fault("b/1.wav", tree.AGAIN, "it is a/1.wav"),
        Fault("c/3.wav", tree.AGAIN, "it is c/2.wav"),
    )
