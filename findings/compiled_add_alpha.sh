#!/usr/bin/env bash
# PyTorch: torch.compile forgets `alpha` where a product of matrices is added, `x.add(a @ b, alpha=c)`; silently.
#
# Inductor makes one addmm of an addition and a product, and of this one it makes addmm with alpha 1: the result is
# x + a @ b. No error, no warning, float32 on a CPU, with c of any value. In place (`x.add_(a @ b, alpha=c)`) it is the
# same. `x.sub(a @ b, alpha=c)`, `x + c * (a @ b)` and `torch.addmm(x, a, b, alpha=c)` are right. (A relative, on GPUs
# and the other way round, addmm into add, is open as https://github.com/pytorch/pytorch/issues/167313.)
#
# Who meets it: running means of products, as codebooks that follow what they quantise keep them,
# `sums.mul_(0.99).add_(hot.T @ vectors, alpha=0.01)`, the usual line of VQ-VAE's ports: compiled, a codebook takes a
# hundred times the step. benchmarks/units_step.py met it in the PyTorch network beside ours: gradients and the first
# loss were right, the second loss was 2.5 where it should have been 1.3.
#
# Below: four ways to write x + c a b, eager and compiled, at three values of c.
#
# Seen on 2026-11-30 with torch 2.14.1, Python 3.11, Linux x86-64 (Intel Xeon), g++ 12:
#   added      alpha  1.0: off by   0.0000; from the same with alpha 1:   0.0000
#   added      alpha  0.5: off by  37.3137; from the same with alpha 1:   0.0000
#   added      alpha 0.01: off by  73.8812; from the same with alpha 1:   0.0000
#   subtracted alpha  1.0: off by   0.0000; from the same with alpha 1:   0.0000
#   subtracted alpha  0.5: off by   0.0000; from the same with alpha 1:  37.3137
#   subtracted alpha 0.01: off by   0.0000; from the same with alpha 1:  73.8812
#   written    alpha  1.0: off by   0.0000; from the same with alpha 1:   0.0000
#   written    alpha  0.5: off by   0.0000; from the same with alpha 1:  37.3137
#   written    alpha 0.01: off by   0.0000; from the same with alpha 1:  73.8811
#   addmm      alpha  1.0: off by   0.0000; from the same with alpha 1:   0.0000
#   addmm      alpha  0.5: off by   0.0000; from the same with alpha 1:  37.3137
#   addmm      alpha 0.01: off by   0.0000; from the same with alpha 1:  73.8812
#
# Exits 0 as long as `add` alone is wrong, and is what alpha 1 gives; 1 if not. Needs a C++ compiler, as torch.compile
# does. A few minutes, and a large download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 numpy==2.4.6

cat >"$folder/alpha.py" <<'PYTHON'
import sys
import torch

torch.manual_seed(0)


def added(x, a, b, alpha):
    return x.add(a @ b, alpha=alpha)


def subtracted(x, a, b, alpha):
    return x.sub(a @ b, alpha=alpha)


def written(x, a, b, alpha):
    return x + alpha * (a @ b)


def addmm(x, a, b, alpha):
    return torch.addmm(x, a, b, alpha=alpha)


wrong = {}
x, a, b = torch.randn(64, 16), torch.randn(64, 500), torch.randn(500, 16)
for function in (added, subtracted, written, addmm):
    for alpha in (1.0, 0.5, 0.01):
        torch._dynamo.reset()
        eager, compiled = function(x, a, b, alpha), torch.compile(function)(x, a, b, alpha)
        off = (eager - compiled).abs().max().item()
        plain = (compiled - function(x, a, b, 1.0)).abs().max().item()
        wrong[function.__name__, alpha] = off > 1e-3 and plain < 1e-3
        print(f"{function.__name__:10} alpha {alpha:4}: off by {off:8.4f}; from the same with alpha 1: {plain:8.4f}")

expected = {(name, alpha): name == "added" and alpha != 1.0 for name, alpha in wrong}
sys.exit(0 if wrong == expected else "the behaviour has changed")
PYTHON
cd "$folder"
venv/bin/python alpha.py
