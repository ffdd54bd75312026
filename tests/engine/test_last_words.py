"""Processes of one run end together, each with a line."""

import contextlib
import os

import jax
import pytest

from mmjax.engine import last_words
from mmjax.errors import UserError


class Ended(BaseException):
    """In place of the end of this process."""


@pytest.fixture
def of_two(monkeypatch):
    """() -> ends this process of two as the kernel does: nothing is said to the shell beside it any more."""
    opened, leave = [], last_words._left_with
    monkeypatch.setattr(last_words, "_left_with", lambda words: opened.append(leave(words)) or opened[-1])

    def end(status=-9):
        os.write(2, b"*** a stack trace ***\n")  # of C++, which meets the same
        opened[-1].stdin.close()
        opened[-1].wait()
        raise Ended(status)

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(os, "_exit", end)
    return end


def test_an_error_of_one_process_ends_it_with_a_line(of_two, capfd):
    with pytest.raises(Ended) as ended, last_words.spoken("train.py"):
        raise ValueError("  gloo \\n\nand more")
    assert ended.value.args == (1,)
    _, said = capfd.readouterr().err.splitlines()  # below whatever else was printed, and nothing else
    start = r"train.py: process 1 of 2 failed: ValueError: gloo \n; the same command on all of them goes on"
    assert said.startswith(start)


def test_what_all_processes_meet_is_raised_and_a_good_end_is_silent(of_two, capfd):
    with pytest.raises(UserError), last_words.spoken("train.py"):
        raise UserError("a typo")
    with last_words.spoken("train.py"):
        pass
    assert capfd.readouterr().err == ""
    assert last_words.alone(ValueError())
    assert not last_words.alone(UserError())


def test_an_end_from_outside_is_told(of_two, capfd):
    with contextlib.suppress(Ended), last_words.spoken("train.py"):
        of_two()
    _, said = capfd.readouterr().err.splitlines()
    assert said.startswith("train.py: process 1 of 2 was ended, by a signal or because another one")


def test_alone_nothing_is_left_with_a_shell(monkeypatch):
    monkeypatch.setattr(last_words, "_left_with", None)
    with pytest.raises(ValueError, match="as it is"), last_words.spoken("train.py"):
        raise ValueError("as it is")
    assert not last_words.alone(ValueError())
