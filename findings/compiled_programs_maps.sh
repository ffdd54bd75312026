#!/usr/bin/env bash
# JAX on CPUs: a compiled program holds memory maps of its process as long as jax remembers it; Linux counts them.
#
# What XLA compiles for a CPU is machine code in memory that is mapped for it: three maps for each program, even for an
# addition. jax remembers a program as long as its function lives, and those of its own operations (jnp.add of another
# shape is another program) until `jax.clear_caches()`, whatever the user lets go of. Linux grants a process
# vm.max_map_count maps, 65,530 unless somebody raised it. A process that comes near them has gigabytes of memory left,
# and nothing warns: it ended with a segmentation fault inside the compiler, whose message names neither memory nor
# maps. (Not shown here: this script stays far below.)
#
# Who meets it: long sessions in one process that meet many shapes or many models: notebooks, sweeps, test suites. Ours
# did with some 4,000 tests in two processes; pytest-xdist then waited for ever for what the lost worker had begun.
# tests/conftest.py forgets programs from 20,000 maps on.
#
# Below: the maps of /proc/self/maps that PROGRAMS functions of one line add, what is left when the functions are gone,
# and when jax was told to forget; and the same for one operation of jax.numpy at PROGRAMS shapes, whose programs no
# variable of the user's holds.
#
# Seen on 2026-11-30 with jax 0.10.2, jaxlib 0.10.2, Python 3.11, Linux x86-64:
#   300 functions of the user's: 898 maps, 7 when no variable holds them, 4 after jax.clear_caches()
#   300 shapes of one operation: 891 maps, 891 when no variable holds them, 0 after jax.clear_caches()
#   of 65530 that a process may have
#
# Exits 0 as long as a program holds two maps or more and jax.clear_caches() gives nine tenths of them back; 1 if not.
# A minute, and a download.
set -euo pipefail

if [ ! -e /proc/self/maps ]; then
    echo "skipped: this system has no /proc/self/maps"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat >"$folder/maps.py" <<'PYTHON'
import gc
import sys

import jax
import numpy as np
from jax import numpy as jnp

PROGRAMS = 300


def maps():
    gc.collect()
    with open("/proc/self/maps") as file:
        return sum(1 for _ in file)


def functions():
    made = [jax.jit(lambda x, k=k: jnp.sin(x) * k) for k in range(PROGRAMS)]
    for one in made:
        one(np.ones(8, np.float32)).block_until_ready()
    return made


def shapes():
    for n in range(1, PROGRAMS + 1):
        jnp.add(np.ones(n, np.float32), np.float32(1)).block_until_ready()


jnp.add(np.ones(1000, np.float32), np.float32(1)).block_until_ready()  # the threads and the compiler itself
good = True
for name, work in (("functions of the user's", functions), ("shapes of one operation", shapes)):
    before = maps()
    made = work()
    held = maps() - before
    del made
    dropped = maps() - before
    jax.clear_caches()
    cleared = maps() - before
    print(f"{PROGRAMS} {name}: {held} maps, {dropped} when no variable holds them, {cleared} after jax.clear_caches()")
    good &= held >= 2 * PROGRAMS and cleared < held / 10
with open("/proc/sys/vm/max_map_count") as file:
    print(f"of {int(file.read())} that a process may have")
sys.exit(0 if good else "the behaviour has changed")
PYTHON
cd "$folder"
JAX_PLATFORMS=cpu XLA_FLAGS= venv/bin/python maps.py
