"""What one process refuses, all refuse: no real processes here, see `test_processes`."""

import jax
import pytest

from mmjax.engine import agree
from mmjax.errors import UserError


@pytest.fixture
def second(monkeypatch):
    """Makes this the second of two processes; what it tells is returned, and the first tells the text that is set."""
    told = {"first": "", "own": None}

    def both(text):
        told["own"] = text
        return [told["first"], text]

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(agree, "told", both)
    return told


def test_what_the_other_refuses_is_refused_here(second):
    second["first"] = "a file is missing"
    with pytest.raises(UserError, match="a file is missing"), agree.together():
        pass
    assert second["own"] == ""


def test_what_is_refused_here_is_told_to_the_other(second):
    with pytest.raises(UserError, match="no such path"), agree.together():
        raise UserError("no such path")
    assert second["own"] == "no such path"


def test_where_none_refuses_all_go_on(second):
    with agree.together():
        pass
    assert second["own"] == ""
