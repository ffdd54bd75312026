"""What ends a child process of a test, and what does not."""

import signal
import sys
import time

import children
import pytest

FAILED = pytest.fail.Exception


def test_what_it_prints_and_its_status_come_back():
    done = children.python("-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_work_and_lines_are_progress_and_a_clock_is_none():
    """A process that computes or speaks is left alone however long it takes; seconds of wall time alone end nothing."""
    worker, speaker = children.Progress(100, 5000), children.Progress(100, 5000)
    for now in range(0, 20_000, 10):
        assert not worker.stopped(now, 0.1 * now, 3)  # a tenth of a core, silent for 2,000 s of CPU
        assert not speaker.stopped(now, 0.0, now // 90)
    assert "used 5010 s of CPU without" in children.Progress(100, 5000, 3).stopped(1, 5010, 3)
    waiter = children.Progress(100, 5000)
    looks = [waiter.stopped(now, min(now, 40) + 0.01 * now, 3) for now in range(0, 300, 10)]
    assert [bool(look) for look in looks].index(True) == 22  # 101..201 s: worked in the first of the windows only
    assert looks[22] == "stood still: in 110 s it printed nothing and used 1.1 s of CPU"


def test_the_work_of_its_own_children_counts():
    code = "import time\nuntil = time.process_time() + 0.5\nwhile time.process_time() < until: pass\ninput()"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}], stdin=subprocess.PIPE).wait()"
    with children.Child(sys.executable, "-c", code) as child:
        while child._cpu() < 0.5:
            time.sleep(0.05)


def test_a_child_that_stands_still_is_ended_and_told():
    with pytest.raises(FAILED) as told:
        children.python("-c", "import time; print('before'); time.sleep(1000)", still=1.5)
    assert "time.sleep(1000)" in str(told.value)
    assert "stood still" in str(told.value)
    assert "while its end was awaited" in str(told.value)
    assert "-- stdout\nbefore\n" in str(told.value)


def test_a_child_that_turns_in_a_circle_is_ended_and_told():
    with pytest.raises(FAILED, match=r"s of CPU without printing a line"):
        children.python("-c", "while True: pass", silent=0.5, still=60)


def test_waiting_for_a_line():
    code = "import time\nfor i in range(1000):\n    print('step', i)\n    time.sleep(0.05)"
    with children.Child(sys.executable, "-c", code) as child:
        assert child.until("step 3") == "step 3\n"
        child.send(signal.SIGTERM)
        assert child.finish().returncode == -signal.SIGTERM
    with children.Child(sys.executable, "-c", "print('one')") as child, pytest.raises(FAILED, match="no line 'two'"):
        child.until("two")


def test_nothing_is_left_behind():
    grandchild = "import time; print('here', flush=True); time.sleep(1000)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    with children.Child(sys.executable, "-c", code) as child:
        child.until("here")
    left = list(child._seen)
    assert len(left) == 2
    while any(process.is_running() and process.status() != "zombie" for process in left):
        time.sleep(0.05)  # killed, and not yet gone


def test_no_other_test_has_a_limit_in_seconds():
    """It would fail on a slow machine; and a child without any limit would hold up the suite for ever."""
    words = ("timeout=", "monotonic(", "perf_counter(", "communicate(", "subprocess.", "Popen(")
    for path in (children.ROOT / "tests").rglob("*.py"):
        if path.name not in ("children.py", "test_children.py"):
            code = path.read_text(encoding="utf-8")
            assert not [word for word in words if word in code], path
