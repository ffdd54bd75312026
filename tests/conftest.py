"""Strict settings for the whole suite: 8 virtual devices, no silent promotion, warnings are errors."""

import os

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
from xdist.scheduler import LoadScopeScheduling

from mmjax.engine import prepare

prepare.ONCE = {}  # fresh values, too, with the few passes that are asked for above
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The environment of child processes that share what they compile: each program is compiled once a session.

    Like the suite, with few passes: for tests of what a run does, and not of how fast.
    """
    folder = str(tmp_path_factory.mktemp("compiled"))
    return {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


@pytest.fixture
def rng():
    """NumPy randomness with a fixed seed: fixed shapes, random values."""
    return np.random.default_rng(0)


class Files(LoadScopeScheduling):
    """Hands out whole files, so that what a file prepares is prepared once; of the contract, whole configs."""

    def _split_scope(self, nodeid):
        file, _, test = nodeid.partition("::")
        if not file.endswith("test_contract.py"):
            return file
        return f"{file}::{test.partition('[')[2].rstrip(']').split('-')[0]}"


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
