"""Memory that is kept: large blocks come back without a new page, and who has chosen otherwise is left alone."""

import platform

import children
import pytest

# Twice a block of 64 MB is asked for and touched, in a thread that is not the first; prints the second time's faults.
SCRIPT = """
import ctypes, resource, threading
from mmjax.engine import memory
print(memory.keep())
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def touch():
    block = libc.malloc(ctypes.c_size_t(64 << 20))
    ctypes.memset(block, 1, 64 << 20)
    libc.free(block)
def work():
    touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    touch()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
@pytest.mark.parametrize("chosen", [{}, {"MALLOC_ARENA_MAX": "2"}], ids=["kept", "the user's own settings"])
def test_what_is_given_back_is_not_mapped_anew(chosen, monkeypatch):
    for name in ("GLIBC_TUNABLES", "MALLOC_ARENA_MAX", *chosen):
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    done = children.python("-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    kept, faults = done.stdout.split()
    assert kept == str(not chosen)
    assert (int(faults) < 100) == (not chosen), faults  # 64 MB are 16,384 pages
