"""What benchmarks share: when the clock starts, and how sides alternate."""

import importlib.util
import types

import children
import pytest


@pytest.fixture
def shared():
    """The module, which no package holds."""
    path = children.ROOT / "benchmarks" / "_side_by_side.py"
    spec = importlib.util.spec_from_file_location("_side_by_side", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Machine:
    """A clock and a count of page faults that only steps move."""

    def __init__(self, module, monkeypatch, touched):
        self.now, self.faults, self.order = 0.0, 0, []
        self.touched = list(touched)  # pages that each step touches for the first time; afterwards none
        usage = types.SimpleNamespace(getrusage=lambda who: types.SimpleNamespace(ru_minflt=self.faults), RUSAGE_SELF=0)
        clock = types.SimpleNamespace(perf_counter=lambda: self.now, sleep=lambda seconds: None)
        monkeypatch.setattr(module, "resource", usage)
        monkeypatch.setattr(module, "time", clock)

    def step(self, name):
        """A step of one second, and one more for each thousand pages."""
        pages = self.touched.pop(0) if self.touched else 0
        self.order.append(name)
        self.faults += pages
        self.now += 1 + pages / 1000

    def sides(self):
        return {name: lambda name=name: self.step(name) for name in "ab"}


@pytest.mark.parametrize(
    ("touched", "limit", "rounds"),
    [
        ([], 100, 1),  # nothing new: the first round tells
        ([5000, 0, 1500, 1500, 900, 1000], 100, 3),  # 5,000, 3,000 and then 1,900 in a round
        ([9000] * 40, 1000, 10),  # one that never settles
        ([9000] * 40, 30, 2),  # a round is twenty seconds
    ],
)
def test_untimed_rounds_go_on_until_nothing_new_is_touched(shared, monkeypatch, touched, limit, rounds):
    machine = Machine(shared, monkeypatch, touched)
    shared.settle(machine.sides(), limit)
    assert machine.order == ["a", "b"] * rounds


def test_the_clock_starts_when_memory_has_settled(shared, monkeypatch):
    machine = Machine(shared, monkeypatch, [5000, 5000, 4000])
    times = shared.alternate(machine.sides(), 4, 60)
    assert times == {"a": [1, 1, 1, 1], "b": [1, 1, 1, 1]}  # not 6 and 5
    assert machine.order == ["a", "b"] * (3 + 4)


def test_a_slow_benchmark_keeps_three_rounds(shared, monkeypatch):
    machine = Machine(shared, monkeypatch, [])
    assert shared.alternate(machine.sides(), 9, 0.5) == {"a": [1, 1, 1], "b": [1, 1, 1]}
