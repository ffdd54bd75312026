"""Strict settings for the whole suite: 8 virtual devices, no silent promotion, warnings are errors."""

import functools
import gc
import os
import pathlib
import re
import sys

from children import PATIENT, quick_flags

# Before jax is imported anywhere: 8 CPU devices stand for a pod; the cache makes a second run start at once. Most of
# the suite is compilation, of programs that run once: XLA makes them with few passes. What users run, compiled in
# full, is run once, by a test of train.py. Of a flag that is given twice the last one counts.
os.environ["XLA_FLAGS"] = (
    f"{quick_flags()} {os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8 {PATIENT}"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(os.path.dirname(__file__), "..", ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
os.environ.setdefault("MPLBACKEND", "agg")

import jax
import numpy as np
import pytest
import shared
from xdist.scheduler import LoadScopeScheduling

from mmjax import report
from mmjax.engine import memory, prepare

prepare.ONCE = {}  # fresh values, too, with the few passes that are asked for above
memory.keep = lambda: False  # this process runs hundreds of programs: what the largest needed would stay with it
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Python looks for garbage after every 700 new objects, and tracing makes millions that live: of the contract's CPU time
# six hundredths went into looking at them, and so rarely less than two.
gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The environment of child processes that share what they compile: each program is compiled once a session.

    Like the suite, with few passes: for tests of what a run does, and not of how fast.
    """
    folder = str(tmp_path_factory.mktemp("compiled"))
    return {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


@pytest.fixture
def no_page(monkeypatch):
    """Runs write no report: to draw its curves takes longer than so small a run, and these tests do not read it."""
    monkeypatch.setattr(report, "write", lambda workdir: workdir)


@pytest.fixture
def rng():
    """NumPy randomness with a fixed seed: fixed shapes, random values."""
    return np.random.default_rng(0)


class Files(LoadScopeScheduling):
    """Hands out whole files, so that what a file prepares is prepared once; of the contract, whole configs.

    A test that looks at the tiny run of a config goes where the contract looks at it: that run is made once, too. The
    others of its file go with the first of these.
    """

    def _split_scope(self, nodeid):
        return _part(nodeid)


def _part(nodeid):
    """What a test belongs to: a config, or its file."""
    file, _, test = nodeid.partition("::")
    name, _, parameters = test.partition("[")
    if file.endswith("test_contract.py"):
        return parameters.rstrip("]").split("-")[0]
    looks = _look_at(file)
    return looks.get(name) or next(iter(looks.values()), file)


@functools.cache
def _look_at(file):
    """{function of the file: the config whose tiny run it looks at, first}, in the file's order."""
    looks = {}
    for function in re.split(r"^def ", (pathlib.Path(__file__).parent.parent / file).read_text(), flags=re.M)[1:]:
        if found := re.search(r'tiny_run\("(\w+)"\)', function):
            looks[function.partition("(")[0]] = found[1]
    return looks


# Each program that XLA compiles for CPUs holds three memory maps and more until jax forgets it. Linux grants a process
# 65,530; at the next one the compiler ends the process.
MAPS = 20_000


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    if nextitem is None or _part(nextitem.nodeid) == _part(item.nodeid):
        return
    if item.path.name == "test_contract.py" or nextitem.path != item.path:
        shared.tiny_run.cache_clear()
    held = pathlib.Path("/proc/self/maps")
    if held.exists() and len(held.read_bytes().splitlines()) > MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.hookimpl(optionalhook=True)  # -p no:xdist knows no such hook
def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False  # the longest first, see below, and not those of most tests
    return Files(config, log)


# The longest files, so that no worker begins one of them when the other has nothing left to do.
FIRST = ("test_contract.py", "/systems/", "test_front_door.py", "/engine/", "/known/")


def pytest_collection_modifyitems(items):
    def rank(item):
        return next((n for n, part in enumerate(FIRST) if part in f"/{item.path.as_posix()}"), len(FIRST))

    items.sort(key=rank)  # stable


@pytest.fixture
def own_loop():
    """`import loop` finds the loop of this test's exported folder, and leaves none to the next."""
    sys.modules.pop("loop", None)
    yield
    sys.modules.pop("loop", None)
