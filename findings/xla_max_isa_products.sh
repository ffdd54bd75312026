#!/usr/bin/env bash
# JAX on CPUs: --xla_cpu_max_isa does not hold matrix products; a machine with AVX-512 cannot imitate one without it so.
#
# XLA_FLAGS=--xla_cpu_max_isa=AVX2 is to limit the instruction set, but limits only code that XLA generates (fusions,
# loops over elements). Matrix products and convolutions are mostly calls of libraries linked into jaxlib (YNNPACK,
# Eigen), which ask the processor itself what it can, and go on with AVX-512. And generated code hardly loses, since XLA
# has LLVM prefer vectors of 256 bits on processors with AVX-512 as well. So the flag with AVX2 changes next to nothing;
# with SSE4_2 loops are slower and products are not.
#
# Who meets it: who wants to know how a program runs on processors without AVX-512, or compares with PyTorch, whose
# ATEN_CPU_CAPABILITY=avx2, DNNL_MAX_CPU_ISA=AVX2 and MKL_ENABLE_INSTRUCTIONS=AVX2 do slow its products down: the
# comparison is then of AVX-512 with AVX2. benchmarks/_side_by_side.py names such a device so.
#
# Below: y @ x of 1024 x 1024 float32, and a chain of additions and multiplications over 16 KB, in fresh processes under
# each flag, in turns, medians of ROUNDS; beside them NumPy's product (OpenBLAS) with the kernels for AVX-512
# (OPENBLAS_CORETYPE=SkylakeX) and for AVX2 (Haswell): what a library that is held to AVX2 reaches.
#
# Seen on 2026-11-29 with jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, Python 3.11, Linux x86-64 (two cores, AMD EPYC):
#   XLA, no flag                   product  494 GFLOP/s   loop   46
#   XLA, --xla_cpu_max_isa=AVX2    product  501 GFLOP/s   loop   47
#   XLA, --xla_cpu_max_isa=SSE4_2  product  498 GFLOP/s   loop   26
#   NumPy, OpenBLAS for SkylakeX   product  487 GFLOP/s
#   NumPy, OpenBLAS for Haswell    product  261 GFLOP/s
#   products keep their speed: True   they are beyond AVX2: True   loops are held: True
#
# Figures vary with the machine and its load. Exits 0 as long as the product keeps its speed under both limits (within
# 15 percent), is under AVX2 more than 1.3 times as fast as OpenBLAS with its kernels for AVX2, and the loop takes more
# than 1.3 times as long under SSE4_2; 1 if not. Without AVX-512, or where OpenBLAS gains less than 1.3 by it, there is
# nothing to see: it says so and exits 0. Under a minute, and a download.
set -euo pipefail

if ! grep -qw avx512f /proc/cpuinfo; then
    echo "skipped: this processor has no AVX-512"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat >"$folder/rates.py" <<'PYTHON'
"""Prints the GFLOP/s of NumPy's product, or of JAX's product and loop."""
import json
import sys
import time

import numpy as np

SIZE, TIMES = 1024, 8
square = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)


def fastest(function):
    """The shortest of 12 calls, in seconds, after a first one."""
    function()
    seconds = []
    for _ in range(12):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def with_numpy():
    return {"product": 2 * SIZE**3 / fastest(lambda: square @ square) / 1e9}


def with_jax():
    import jax
    from jax import lax
    from jax import numpy as jnp

    def product(x):
        return lax.fori_loop(0, TIMES, lambda _, y: y @ x * 0.03, x)

    def loop(x):
        def chain(_, y):
            for _ in range(8):
                y = y * 0.99 + x
            return y

        return lax.fori_loop(0, 8000, chain, x)

    x, few = jnp.asarray(square), jnp.asarray(square.ravel()[: 1 << 12])
    work = {product: (x, TIMES * 2 * SIZE**3), loop: (few, 8000 * 8 * 2 * few.size)}
    rates = {}
    for function, (value, operations) in work.items():
        compiled = jax.jit(function).lower(value).compile()
        rates[function.__name__] = operations / fastest(lambda: jax.block_until_ready(compiled(value))) / 1e9
    return rates


print(json.dumps(with_numpy() if sys.argv[1:] == ["numpy"] else with_jax()))
PYTHON

cat >"$folder/compare.py" <<'PYTHON'
import json
import os
import re
import statistics
import subprocess
import sys

ROUNDS = 5
FLAG = "--xla_cpu_max_isa="
JAX = {name: {"XLA_FLAGS": FLAG + name if name else ""} for name in ("", "AVX2", "SSE4_2")}
BLAS = {name: {"OPENBLAS_CORETYPE": name} for name in ("SkylakeX", "Haswell")}


def measured(variables, *arguments):
    environment = {k: v for k, v in os.environ.items() if not re.match("JAX_|XLA_|OPENBLAS_", k)}
    environment |= {"JAX_PLATFORMS": "cpu", **variables}
    command = [sys.executable, "rates.py", *arguments]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout)


found = {name: [] for name in (*JAX, *BLAS)}
for _ in range(ROUNDS):
    for name, variables in JAX.items():
        found[name].append(measured(variables))
    for name, variables in BLAS.items():
        found[name].append(measured(variables, "numpy"))
product, loop = (
    {name: statistics.median(one[kind] for one in runs) for name, runs in found.items() if kind in runs[0]}
    for kind in ("product", "loop")
)
for name in JAX:
    print(f"XLA, {FLAG + name if name else 'no flag':25} product {product[name]:4.0f} GFLOP/s   loop {loop[name]:4.0f}")
for name in BLAS:
    print(f"NumPy, OpenBLAS for {name:10} product {product[name]:4.0f} GFLOP/s")
if product["SkylakeX"] < 1.3 * product["Haswell"]:
    sys.exit(print("skipped: AVX-512 gains too little on this processor"))
kept = all(abs(product[name] / product[""] - 1) < 0.15 for name in JAX)
beyond = product["AVX2"] > 1.3 * product["Haswell"]
held = loop[""] > 1.3 * loop["SSE4_2"]
print(f"products keep their speed: {kept}   they are beyond AVX2: {beyond}   loops are held: {held}")
sys.exit(0 if kept and beyond and held else "the behaviour has changed")
PYTHON
cd "$folder"
venv/bin/python compare.py
