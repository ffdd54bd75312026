#!/usr/bin/env bash
# JAX on CPUs: a depthwise convolution takes several times as long as the full one that it was to make lighter.
#
# A depthwise convolution (feature_group_count = channels; MobileNet, EfficientNet, any "light" network) has a small
# share of the arithmetic of a full one, 1/32 to 1/256 below, which is why such networks are chosen for CPUs. XLA's CPU
# back end runs it so slowly that the full convolution is two to eight times as fast, whichever library convolutions go
# to; a network made light on paper trains and answers more slowly than the one it replaces, and no message tells.
# Written as nine shifted products, added up, the same numbers come out some forty times faster: the compiler makes one
# loop of them. (In its gradient each sum computes all that lies behind it anew, unless a
# jax.lax.optimization_barrier stands between.)
#
# Who meets it: anybody who makes a picture or sound network light by separable convolutions, in JAX, on a processor.
# mmjax computes such convolutions as sums there (mmjax/ops/convolution.py, `_alone`).
#
# Below: pictures [batch, side, side, channels], a 3 x 3 kernel, float32; the minimum of ROUNDS runs of each form in
# turns; sum and depthwise agree to 1e-5.
#
# Seen on 2026-11-30 with jax 0.10.2, jaxlib 0.10.2, Python 3.11, Linux x86-64 (Intel Xeon, 2 cores):
#   8 x 112 x 112 x 32: depthwise 86.5 ms, sum 2.5 ms, full 11.0 ms; 34.6 times the sum's, apart by 3e-06
#   8 x 56 x 56 x 128: depthwise 85.4 ms, sum 2.1 ms, full 24.1 ms; 40.2 times the sum's, apart by 3e-06
#   8 x 28 x 28 x 256: depthwise 42.8 ms, sum 1.1 ms, full 24.1 ms; 39.6 times the sum's, apart by 3e-06
#
# Exits 0 as long as the depthwise form takes longer than the full one and five times as long as the sum, 1 if not. A
# minute, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat >"$folder/depthwise.py" <<'PYTHON'
import sys
import time

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

ROUNDS = 7
NUMBERS = ("NHWC", "HWIO", "NHWC")


def grouped(x, kernel):
    channels = x.shape[-1]
    return lax.conv_general_dilated(
        x, kernel[:, :, None], (1, 1), "SAME", dimension_numbers=NUMBERS, feature_group_count=channels
    )


def full(x, kernel):
    dense = jnp.broadcast_to(kernel[:, :, None], (3, 3, x.shape[-1], x.shape[-1]))
    return lax.conv_general_dilated(x, dense, (1, 1), "SAME", dimension_numbers=NUMBERS)


def summed(x, kernel):
    high, wide = x.shape[1:3]
    around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(around[:, i : i + high, j : j + wide] * kernel[i, j] for i in range(3) for j in range(3))


good = True
for batch, side, channels in ((8, 112, 32), (8, 56, 128), (8, 28, 256)):
    random = np.random.RandomState(0)
    x = jnp.asarray(random.randn(batch, side, side, channels), jnp.float32)
    kernel = jnp.asarray(random.randn(3, 3, channels), jnp.float32)
    forms = {"depthwise": jax.jit(grouped), "sum": jax.jit(summed), "full": jax.jit(full)}
    values = {name: np.asarray(form(x, kernel)) for name, form in forms.items()}
    worst = np.abs(values["depthwise"] - values["sum"]).max()
    times = dict.fromkeys(forms, float("inf"))
    for _ in range(ROUNDS):
        for name, form in forms.items():
            began = time.perf_counter()
            form(x, kernel).block_until_ready()
            times[name] = min(times[name], time.perf_counter() - began)
    line = ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in times.items())
    ratio = times["depthwise"] / times["sum"]
    print(f"{batch} x {side} x {side} x {channels}: {line}; {ratio:.1f} times the sum's, apart by {worst:.0e}")
    good &= ratio >= 5 and times["depthwise"] > times["full"] and worst < 1e-5
sys.exit(0 if good else "the behaviour has changed")
PYTHON
cd "$folder"
JAX_PLATFORMS=cpu XLA_FLAGS= venv/bin/python depthwise.py
