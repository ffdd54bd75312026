#!/usr/bin/env bash
# JAX on CPUs: one product of few rows with a large matrix takes up to twenty times as long, by how it is written.
#
# Eight rows x [m k] and a matrix of 25 MB, float32. XLA is given the matrix as [k n] or [n k] and asked for the result
# as [m n] or [n m]: four spellings of one product. The fastest, [n k] and [n m], is also what a layer's weights in
# PyTorch's order times a column of states would be. The slowest, [k n] and [n m], takes about twenty times as long: the
# matrix is copied into the other order at every call, however few the rows are, and that takes longer than the product.
# And the fastest cannot be had by turning its result: where the program goes on with (w x^T)^T, the simplifier makes
# x w^T of it, [n k] and [m n], which takes about twice as long. An optimization_barrier in between keeps it.
# Neither is told anywhere; the four agree in what they compute.
#
# Who meets it: whoever writes a recurrent network or a decoder with the batch last, or an einsum whose output has the
# features first ("mk,kn->nm"); whoever takes gradients of a recurrent network: those of the states are x w^T.
#
# What helps: the matrix laid out once before the loop, and a barrier behind the product (mmjax/ops/few_rows.py).
#
# Below: each product as a program of its own, by turns, the minimum of ROUNDS; and the compiled text of (w x^T)^T.
#
# Seen on 2026-12-03 with jax 0.10.2, jaxlib 0.10.2, Python 3.11, Linux x86-64 (AMD EPYC, 2 cores, busy otherwise, too):
#   [m k] [k n] -> [m n]   2.2 ms
#   [m k] [k n] -> [n m]  26.5 ms
#   [m k] [n k] -> [m n]   2.6 ms
#   [m k] [n k] -> [n m]   1.4 ms
# jaxlib 0.10.0: the same. With --xla_cpu_experimental_ynn_fusion_type= (no YNNPACK) x w^T took 19 ms as well.
#
# Exits 0 as long as [k n] -> [n m] takes five times and [n k] -> [m n] a fifth more than [n k] -> [n m], and the turned
# product is turned back; 1 if not. Half a minute, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat >"$folder/products.py" <<'PYTHON'
import re
import sys
import time

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

ROUNDS = 40
ROWS, INTO, OUT = 8, 1536, 4096
SPELLINGS = ("mk,kn->mn", "mk,kn->nm", "mk,nk->mn", "mk,nk->nm")

random = np.random.RandomState(0)
x = jnp.asarray(random.randn(ROWS, INTO), jnp.float32)
w = jnp.asarray(random.randn(INTO, OUT), jnp.float32)
matrices = {"kn": w, "nk": jnp.asarray(np.ascontiguousarray(np.asarray(w).T))}
programs = {one: jax.jit(lambda x, w, one=one: jnp.einsum(one, x, w)) for one in SPELLINGS}
wanted = np.asarray(x) @ np.asarray(w)
best = dict.fromkeys(SPELLINGS, float("inf"))
for turn in range(ROUNDS + 1):
    for one, program in programs.items():
        began = time.perf_counter()
        found = program(x, matrices[one[3:5]]).block_until_ready()
        if turn:
            best[one] = min(best[one], 1e3 * (time.perf_counter() - began))
        else:
            found = np.asarray(found).T if one.endswith("nm") else np.asarray(found)
            np.testing.assert_allclose(found, wanted, atol=1e-2)
for one, took in best.items():
    print(f"{one}: {took:5.1f} ms")


def shapes(function):
    """Of the results of the products in a compiled program."""
    text = jax.jit(function).lower(x, matrices["nk"]).compile().as_text()
    return re.findall(r"(f32\[[0-9,]*\])\S* dot\(", text)


turned = shapes(lambda x, w: jnp.tanh((w @ x.T).T))
kept = shapes(lambda x, w: jnp.tanh(lax.optimization_barrier(w @ x.T).T))
print(f"(w x^T)^T is computed as {', '.join(turned)}, with a barrier as {', '.join(kept)}")
good = best["mk,kn->nm"] >= 5 * best["mk,nk->nm"] and best["mk,nk->mn"] >= 1.2 * best["mk,nk->nm"]
good &= turned == [f"f32[{ROWS},{OUT}]"] and kept == [f"f32[{OUT},{ROWS}]"]
sys.exit(0 if good else "the behaviour has changed")
PYTHON
JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/products.py"
