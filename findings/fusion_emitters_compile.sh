#!/usr/bin/env bash
# JAX on CPUs: a large part of the time that small programs take to compile is one flag, --xla_cpu_use_fusion_emitters.
#
# XLA's CPU back end writes the code of its fusions (loops over elements) in MLIR dialects, lowers these pass by pass to
# LLVM's, and only then has LLVM compile them. The older way, LLVM code at once, is still there:
# XLA_FLAGS=--xla_cpu_use_fusion_emitters=false. One would take code generation for a trifle beside LLVM's optimisation,
# and xla_backend_optimization_level=0 for the way to compile fast in tests. But of small programs, of which test suites
# are full, the detour takes a third of all the CPU time by default, and nearly two thirds of what is left at level 0.
#
# Below: 30 small functions of two arrays with gradients (10 kinds at 3 shapes), compiled and run in fresh processes,
# ROUNDS times each way, in turns. CPU seconds in user mode of all threads, compilation alone (after tracing and
# lowering), so that what else the machine does hardly counts. "Run small" is 100 times each of the 30, where dispatch
# is most of it; "run large" is the 10 kinds at 256 x 256, 10 times each.
#
# Who meets it: who waits for tests or for a first step on CPUs, with much compiled and little computed. The price is in
# the column "run large": without the emitters the programs take 1.4 times as long, so it is nothing for computation.
# XLA ends a process that sets a flag which it does not know, as this one may become: tests/children.py, quick_flags,
# looks for the names first. (There the test suite sets it; the library itself never does.)
#
# Seen on 2026-11-29 with jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, Python 3.11, Linux x86-64 (two cores, AMD EPYC):
#   median (range) of 4                    compile             run small             run large
#   default, emitters on       4.85 (4.74 to 4.97)   0.19 (0.19 to 0.30)   0.33 (0.32 to 0.42)
#   default, emitters off      3.37 (3.33 to 3.45)   0.19 (0.19 to 0.28)   0.47 (0.47 to 0.47)
#   default, on / off          1.42 (1.41 to 1.49)   0.98 (0.96 to 1.06)   0.71 (0.67 to 0.91)
#   level 0, emitters on       2.73 (2.58 to 2.74)   0.24 (0.21 to 0.25)   0.90 (0.89 to 0.92)
#   level 0, emitters off      0.92 (0.90 to 0.99)   0.24 (0.22 to 0.30)   1.21 (1.20 to 1.23)
#   level 0, on / off          2.91 (2.76 to 2.98)   0.94 (0.85 to 1.04)   0.74 (0.73 to 0.75)
#   losses of all agree to 4e-07
#
# Seconds and ratios vary with the machine and its load. Exits 0 as long as both median ratios of compilation are at
# least 1.25, and 1 if not. Some three minutes, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat >"$folder/programs.py" <<'PYTHON'
"""Compiles and runs the functions; prints the CPU seconds of each, and the losses."""
import json
import resource

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp


def layer_norm(x, p):
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p[0]


def dense(x, p):
    return jnp.tanh(x @ p)


def attention(x, p):
    return jax.nn.softmax((x @ p) @ (x @ p.T).T / len(p)) @ x


def recurrent(x, p):
    return lax.scan(lambda state, row: (jnp.tanh(state @ p / len(p) + row),) * 2, x[0], x)[1]


def gated(x, p):
    return jax.nn.sigmoid(x @ p) * jax.nn.gelu(x)


def convolution(x, p):
    return lax.conv_general_dilated(x[None, None], p[None, None, :3, :3], (1, 1), "SAME")[0, 0]


def in_order(x, p):
    return jnp.sort(x * p[0], 0)


def looked_up(x, p):
    return p[jnp.arange(len(x)) % 3] * x


def log_spectrum(x, p):
    return jnp.log1p(jnp.abs(jnp.fft.rfft(x)) ** 2) @ p[: x.shape[1] // 2 + 1]


def pooled(x, p):
    return lax.reduce_window(x * p[0], -jnp.inf, lax.max, (2, 2), (2, 2), "VALID")


KINDS = (layer_norm, dense, attention, recurrent, gated, convolution, in_order, looked_up, log_spectrum, pooled)


def spent():
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def measure(shapes, times):
    """CPU seconds of compiling and of running each so many times; the losses."""
    rng, programs, compiling = np.random.default_rng(0), [], 0.0
    for kind in KINDS:
        for shape in shapes:
            inputs = [jnp.asarray(rng.normal(size=size), jnp.float32) for size in (shape, (shape[1], shape[1]))]
            loss = jax.value_and_grad(lambda x, p, kind=kind: jnp.mean(kind(x, p) ** 2), (0, 1))
            lowered = jax.jit(loss).lower(*inputs)
            start = spent()
            compiled = lowered.compile()
            compiling += spent() - start
            programs.append((compiled, inputs))
    losses = [float(compiled(*inputs)[0]) for compiled, inputs in programs]
    start = spent()
    for compiled, inputs in programs:
        for _ in range(times):
            jax.block_until_ready(compiled(*inputs))
    return compiling, spent() - start, losses


jax.jit(lambda x: x + 1).lower(1.0).compile()  # what is done once
compiling, run_small, losses = measure(((8, 16), (12, 24), (32, 32)), 100)
_, run_large, more = measure(((256, 256),), 10)
print(json.dumps({"compile": compiling, "run small": run_small, "run large": run_large, "losses": losses + more}))
PYTHON

cat >"$folder/compare.py" <<'PYTHON'
import json
import os
import re
import statistics
import subprocess
import sys

ROUNDS, LEAST = 4, 1.25
WAYS = {"default": "", "level 0": "--xla_backend_optimization_level=0"}
OFF = "--xla_cpu_use_fusion_emitters=false"
COLUMNS = ("compile", "run small", "run large")


def measured(flags):
    environment = {k: v for k, v in os.environ.items() if not re.match("JAX_|XLA_", k)}
    environment |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command = [sys.executable, "programs.py"]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout)


def middle(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def row(title, cells):
    print(f"{title:24}", *(f"{cell:>21}" for cell in cells), flush=True)


found = {(way, off): [] for way in WAYS for off in (False, True)}
for number in range(ROUNDS):
    for way, off in list(found)[:: -1 if number % 2 else 1]:
        found[way, off].append(measured(f"{WAYS[way]} {OFF if off else ''}".strip()))
row(f"median (range) of {ROUNDS}", COLUMNS)
ratios = {}
for way in WAYS:
    for off in (False, True):
        row(f"{way}, emitters {'off' if off else 'on'}", [middle([one[c] for one in found[way, off]]) for c in COLUMNS])
    pairs = list(zip(found[way, False], found[way, True]))
    ratios[way] = [[on[column] / off[column] for on, off in pairs] for column in COLUMNS]
    row(f"{way}, on / off", [middle(values) for values in ratios[way]])
losses = [one["losses"] for runs in found.values() for one in runs]
apart = max(abs(a / b - 1) for other in losses for a, b in zip(other, losses[0]))
print(f"losses of all agree to {apart:.0e}")
assert apart < 1e-3, "the programs differ"
sys.exit(0 if all(statistics.median(ratios[way][0]) >= LEAST for way in WAYS) else "the behaviour has changed")
PYTHON
cd "$folder"
venv/bin/python compare.py
