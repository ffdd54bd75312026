"""Work in child processes: what each item gives, whatever becomes of the child."""

import os
import signal
import sys

import children
import pytest

from mmjax.data.files import child_processes
from mmjax.data.files.child_processes import Lost
from mmjax.errors import UserError


def work(item):
    print("what a library prints", file=sys.stdout)
    if item == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "exit":
        os._exit(3)
    if item == "error":
        raise ValueError("no such thing")
    if item == "user":
        raise UserError("config.data.x: that is wrong")
    return item, os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_child_that_dies_costs_its_item(workers):
    items = ["a", "kill", "b", "error", "exit", *map(str, range(30))]
    found = dict(child_processes.each(work, items, workers))
    assert found["kill"] == Lost("that ended its decoder", "by signal 9 (Killed)")
    assert found["exit"] == Lost("that ended its decoder", "with exit status 3")
    assert found["error"] == Lost("unreadable", "ValueError: no such thing")
    rest = {item: result for item, result in found.items() if not isinstance(result, Lost)}
    assert {item: result[0] for item, result in rest.items()} == {
        i: i for i in items if i not in ("kill", "exit", "error")
    }
    assert os.getpid() not in {process for _, process in rest.values()}
    assert len({process for _, process in rest.values()}) <= workers + 2  # one anew for each that died


def test_a_mistake_of_the_users_ends_it_all():
    with pytest.raises(UserError, match=r"config\.data\.x"):
        list(child_processes.each(work, ["a", "user", "b"], 2))


def test_whoever_wants_no_more_waits_for_nothing():
    found = child_processes.each(work, iter(map(str, range(10**9))), 1)
    item, result = next(found)
    assert result[0] == item
    found.close()


# A child's side, whose work comes from a file and whose answers go to a pipe that nobody reads any more.
ORPHAN = """
import os, pickle, tempfile
from mmjax.data.files import child_processes
with tempfile.TemporaryFile() as file:
    pickle.dump((len, "item"), file)
    file.seek(0)
    os.dup2(file.fileno(), 0)
read, write = os.pipe()
os.close(read)
os.dup2(write, 1)
child_processes.serve()
"""


def test_a_child_whose_parent_was_killed_ends_without_a_word():
    """It is amid its work, and cannot send what it found."""
    found = children.python("-c", ORPHAN)
    assert (found.returncode, found.stderr) == (0, "")
