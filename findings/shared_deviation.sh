#!/usr/bin/env bash
# JAX on CPUs: a mean and a variance about one shift cost over twice as much in one program as one after the other.
#
# Sums of x - s and of (x - s)^2, one s per channel: alone, each is one pass over x, and the subtraction is part of it.
# In one program the subtraction has two users. Then XLA's CPU back end makes it once, writes the whole array to memory,
# and both sums read it there: an array as large as x more, written and read twice. No message tells. One variadic
# lax.reduce with both sums, which looks like the cure, is slower still.
#
# Who meets it: everybody who writes batch normalisation, or any moments about a shift, for numerical safety. Below the
# largest layer of a ResNet-18: 32 pictures of 112 x 112 x 64.
#
# What helps: the second sum's shift behind lax.optimization_barrier. The subtractions are then two, each inside its
# sum. A derivative that keeps the deviation brings it back, so the moments need one that makes it again from x. mmjax
# does both (mmjax/models/blocks/norm.py).
#
# Below: the program's text says whether an array of x's size is made; the medians of ROUNDS by turns are printed only.
#
# Seen on 2026-12-02 with Python 3.11, Linux x86-64 (AMD EPYC without AVX-512, 2 cores):
#   jax 0.10.2, jaxlib 0.10.2
#   first        5.3 ms, arrays of x's size: 0
#   second       5.4 ms, arrays of x's size: 0
#   shared      27.2 ms, arrays of x's size: 1
#   apart       13.1 ms, arrays of x's size: 0
#   variadic    77.8 ms, arrays of x's size: 0
#   shared and apart give the same sums within 8e-08 of the largest
#
# Exits 0 as long as the shared deviation is made as an array, and with the barrier is not; 1 if not. Half a minute, and
# a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat >"$folder/sums.py" <<'PYTHON'
import statistics
import sys
import time

import jax
from jax import lax
from jax import numpy as jnp

ROUNDS, SHAPE, AXES = 15, (32, 112, 112, 64), (0, 1, 2)
WHOLE = "f32[32,112,112,64]"


def shift(x):
    return jnp.mean(x[:1], AXES)


def first(x):
    return jnp.sum(x - shift(x), AXES)


def second(x):
    return jnp.sum(jnp.square(x - shift(x)), AXES)


def shared(x):
    deviation = x - shift(x)
    return jnp.sum(deviation, AXES), jnp.sum(jnp.square(deviation), AXES)


def apart(x):
    own = shift(x)
    return jnp.sum(x - own, AXES), jnp.sum(jnp.square(x - lax.optimization_barrier(own)), AXES)


def variadic(x):
    deviation, zero = x - shift(x), jnp.float32(0)
    return lax.reduce((deviation, deviation**2), (zero, zero), lambda a, b: (a[0] + b[0], a[1] + b[1]), AXES)


x = jax.random.normal(jax.random.key(0), SHAPE) + 3
made = {one.__name__: jax.jit(one).lower(x).compile() for one in (first, second, shared, apart, variadic)}
times = {name: [] for name in made}
for _ in range(ROUNDS):
    for name, run in made.items():
        begun = time.perf_counter()
        jax.block_until_ready(run(x))
        times[name].append(time.perf_counter() - begun)


def arrays(run):
    """How many arrays of x's size the program makes."""
    entry = run.as_text().partition("\nENTRY ")[2]
    return sum(f"= {WHOLE}" in line and " parameter(" not in line for line in entry.splitlines())


print(f"jax {jax.__version__}, jaxlib {jax.lib.__version__}")
for name, run in made.items():
    print(f"  {name:9} {statistics.median(times[name]) * 1000:6.1f} ms, arrays of x's size: {arrays(run)}")
off = max(float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(a))) for a, b in zip(made["shared"](x), made["apart"](x)))
print(f"  shared and apart give the same sums within {off:.1g} of the largest")
sys.exit(not (arrays(made["shared"]) > 0 == arrays(made["apart"]) == arrays(made["first"]) == arrays(made["second"])))
PYTHON
"$folder/venv/bin/python" "$folder/sums.py"
