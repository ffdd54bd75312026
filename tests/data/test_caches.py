"""Files of caches: whole or not at all, whoever else writes, and no error where nothing can be written."""

import os

import pytest

from mmjax.data import caches


def test_what_is_kept_is_whole(tmp_path):
    path = tmp_path / "a" / "b.json"
    caches.write(path, b"one")
    caches.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["b.json"]


def test_two_that_write_at_once_do_not_meet(tmp_path, monkeypatch):
    path, replace = tmp_path / "b.json", os.replace

    def late(part, target):  # another process is through in between
        monkeypatch.setattr(os, "replace", replace)
        caches.write(path, b"theirs")
        replace(part, target)

    monkeypatch.setattr(os, "replace", late)
    caches.write(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert os.listdir(tmp_path) == ["b.json"]


def test_what_cannot_be_written_is_no_error_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    caches.write(tmp_path / "file" / "b.json", b"one")  # no folder can be there

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    caches.write(tmp_path / "b.json", b"one")
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        caches.write(tmp_path / "b.json", b"one")
    assert os.listdir(tmp_path) == ["file"]
