#!/usr/bin/env bash
# JAX on CPUs: jaxlib 0.10.1 made convolutions up to six times slower, and without zeros around slower than with them.
#
# From jaxlib 0.10.1 on XLA's CPU back end hands convolutions of float32 to YNNPACK (a custom call "__ynn_fusion" in
# the compiled program), as it does products and sums, which gain by it. Convolutions lose, with the channels and sizes
# of picture networks: without zeros around the picture (padding VALID) they take four to six times as long as before,
# and four times as long as with zeros (SAME), though there is less to compute; the gradient of the kernel, which is a
# convolution with a picture for its kernel, two to four times. No message tells, the results are right, and a profile
# blames the network.
#
# Who meets it: everybody who trains a picture network, a U-Net or a spectrogram network with JAX on a processor; who
# compares JAX with PyTorch there (ResNet-18 at 112 pixels: 0.53 of PyTorch's speed, 0.81 with the flag below); who
# looks for the fault in kernels' gradients and rewrites them, as we did.
#
# What helps: XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=-individual_convolution, before XLA is first used. The
# help text of the flag names dot, eltwise and reduce as its types, not this one. mmjax sets it (mmjax/ops/compiler.py).
#
# Below: each program in a process with jaxlib's own choice and in one with the flag, by turns; the minimum of ROUNDS.
#
# Seen on 2026-11-30 with jax 0.10.2, jaxlib 0.10.2, Python 3.11, Linux x86-64 (Intel Xeon, 2 cores):
#   32 x 56 x 56, 64 to 64, 3 x 3: SAME                    46 ms, with the flag    27: 1.7 times
#   32 x 56 x 56, 64 to 64, 3 x 3: VALID                  151 ms, with the flag    24: 6.2 times
#   32 x 56 x 56, 64 to 64, 3 x 3: kernel's gradient      211 ms, with the flag    56: 3.8 times
#   8 x 294 x 248, 32 to 32, 4 x 4: SAME                   94 ms, with the flag    93: 1.0 times
#   8 x 294 x 248, 32 to 32, 4 x 4: VALID                 380 ms, with the flag    88: 4.3 times
#   8 x 294 x 248, 32 to 32, 4 x 4: kernel's gradient     483 ms, with the flag   187: 2.6 times
#
# Exits 0 as long as VALID and the kernel's gradient of both shapes take half as long again without the flag; 1 if not.
# Two minutes, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat >"$folder/convolutions.py" <<'PYTHON'
import json
import os
import subprocess
import sys
import time

ROUNDS = 5
NUMBERS = ("NHWC", "HWIO", "NHWC")
SHAPES = {  # batch, height, width, channels in and out, kernel
    "32 x 56 x 56, 64 to 64, 3 x 3": (32, 56, 56, 64, 64, 3),
    "8 x 294 x 248, 32 to 32, 4 x 4": (8, 294, 248, 32, 32, 4),
}
FLAG = "--xla_cpu_experimental_ynn_fusion_type=-individual_convolution"


def measure():
    import jax
    import numpy as np
    from jax import lax
    from jax import numpy as jnp

    found = {}
    for name, (batch, high, wide, channels, out, side) in SHAPES.items():
        random = np.random.RandomState(0)
        x = jnp.asarray(random.randn(batch, high, wide, channels), jnp.float32)
        kernel = jnp.asarray(random.randn(side, side, channels, out), jnp.float32)

        def convolve(x, kernel, padding):
            return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=NUMBERS)

        y = convolve(x, kernel, "SAME")
        programs = {
            "SAME": (jax.jit(lambda x, k, y: convolve(x, k, "SAME"))),
            "VALID": (jax.jit(lambda x, k, y: convolve(x, k, "VALID"))),
            "kernel's gradient": jax.jit(
                lambda x, k, y: jax.linear_transpose(lambda k: convolve(x, k, "SAME"), k)(y)[0]
            ),
        }
        for what, program in programs.items():
            program(x, kernel, y).block_until_ready()
            best = float("inf")
            for _ in range(ROUNDS):
                began = time.perf_counter()
                program(x, kernel, y).block_until_ready()
                best = min(best, time.perf_counter() - began)
            found[f"{name}: {what}"] = 1e3 * best
    print(json.dumps(found))


def child(flags):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, __file__, "measure"], env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


if sys.argv[1:]:
    measure()
    sys.exit()
turns = [(child(""), child(FLAG)) for _ in range(2)]
good = True
for name in turns[0][0]:
    own, told = (min(turn[side][name] for turn in turns) for side in (0, 1))
    print(f"{name:50} {own:6.0f} ms, with the flag {told:5.0f}: {own / told:.1f} times")
    good &= own >= 1.5 * told or "SAME" in name
sys.exit(0 if good else "the behaviour has changed")
PYTHON
"$folder/venv/bin/python" "$folder/convolutions.py"
