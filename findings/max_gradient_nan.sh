#!/usr/bin/env bash
# The gradient of jnp.max under jax.jit: NaN without compiler optimisation, silently wrong with it, on valid float32.
#
# JAX's rule is gradient * (x == max) / count(x == max). XLA's CPU back end computes x anew in each fusion that needs
# it, and LLVM makes a * b + c one rounding (vfmadd) in one fusion and two (vmulss, vaddss) in another. Where x was
# rounded otherwise than the maximum was, no place equals it:
#   - in the fusion that counts: count is 0, and the gradient 0 / 0 = NaN, or infinite;
#   - in the fusion of only one of the inputs: the count is right, and that input's gradient is too small, silently.
# Operation by operation (no jit) each value is computed once, and the gradient is right. Elementwise jnp.maximum has
# such a rule too and loses gradients on a GPU (https://github.com/jax-ml/jax/issues/40564); the mend that JAX merged
# after this release (pull request 40578) is of lax.max and lax.min, not of reductions.
#
# A user meets it as a maximum over places or steps (global max pooling) after an affine map, batch or layer norm:
#   - "loss is finite, gradient is NaN" under JAX_DISABLE_MOST_OPTIMIZATIONS=1 (xla_backend_optimization_level=0), which
#     people set to compile faster in tests;
#   - by default, wrong gradients of the gain, the offset or the input of a small layer norm whose width is not a power
#     of two, with no message. Of `centred` below, the object code has y - sum * (1 / 40) as vmulss, vsubps where the
#     maximum is taken and the equals are counted, and as vfnmadd where the gain's gradient is added up.
# What helps: a gradient by the integer place of jnp.argmax, as mmjax/ops/maximum.py has it.
#
# Seen on 2026-11-29 with jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, Python 3.11, Linux x86-64 with FMA (AMD EPYC):
#   jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, cpu
#   affine   level 0: of 40 gradients 23 NaN or infinite, 0 wrong by up to 0.00; op by op wrong by up to 7e-07
#   affine   level default: of 40 gradients 0 NaN or infinite, 0 wrong by up to 0.00; op by op wrong by up to 7e-07
#   centred  level 0: of 40 gradients 4 NaN or infinite, 0 wrong by up to 0.00; op by op wrong by up to 6e-07
#   centred  level default: of 40 gradients 0 NaN or infinite, 4 wrong by up to 2.31; op by op wrong by up to 6e-07
#   NaN at level 0: True   wrong by default: True
# No gradient was wrong by default after an affine map in float32 or bfloat16, at widths of 2^n, or at the sizes of large
# layer norms that were tried (3 to 197 places of 96 to 768 features), where other fusions are chosen.
#
# The last figures of an error may differ. Exits 0 as long as both are there, 1 if the behaviour has changed. A
# processor without fused multiply-add rounds in one way only, and shows neither. About a minute, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat >"$folder/max_gradient.py" <<'EOF'
import sys

import jax
import jaxlib
import numpy as np
from jax import numpy as jnp


def affine(y, gain):
    """Batch norm with statistics that are given: mean 0.7, bias 0.3."""
    return y * gain + (0.3 - 0.7 * gain)


def centred(y, gain):
    """Half of a layer norm."""
    return (y - jnp.mean(y, -1, keepdims=True)) * gain


def gradients(before, level):
    """d/d gain of sum(weight * max over places): op by op, compiled, and in NumPy's float64."""
    rng = np.random.default_rng(0)
    y, gain, weight = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 25, 40), (1, 1, 40), (4, 40)))

    def loss(gain, y):
        return jnp.sum(weight * jnp.max(before(y, gain), 1))

    gradient = jax.grad(loss)
    options = {} if level is None else {"xla_backend_optimization_level": level}
    compiled = jax.jit(gradient).lower(gain, y).compile(compiler_options=options)

    y, gain = y.astype(np.float64), gain.astype(np.float64)
    factor = y - 0.7 if before is affine else y - y.mean(-1, keepdims=True)  # d before / d gain
    place = (factor * gain).argmax(1)[:, None]
    truth = np.sum(weight * np.take_along_axis(factor, place, 1)[:, 0], 0)
    y, gain = y.astype(np.float32), gain.astype(np.float32)
    return np.asarray(gradient(gain, y)).ravel(), np.asarray(compiled(gain, y)).ravel(), truth


def show(before, level):
    eager, jitted, truth = gradients(before, level)
    finite = np.isfinite(jitted)
    wrong = np.sum(np.abs(jitted - truth)[finite] > 1e-3)
    error = np.max(np.abs(jitted - truth)[finite], initial=0)
    print(
        f"{before.__name__:8} level {'default' if level is None else level}: of {len(truth)} gradients "
        f"{np.sum(~finite)} NaN or infinite, {wrong} wrong by up to {error:.2f}; "
        f"op by op wrong by up to {np.max(np.abs(eager - truth)):.0e}"
    )
    assert np.max(np.abs(eager - truth)) < 1e-4, "even without jit the gradient is wrong"
    return np.isnan(jitted).any(), wrong > 0


print(f"jax {jax.__version__}, jaxlib {jaxlib.__version__}, numpy {np.__version__}, {jax.default_backend()}")
nan_without = show(affine, 0)[0]
show(affine, None)
show(centred, 0)
wrong_by_default = show(centred, None)[1]
print("NaN at level 0:", nan_without, "  wrong by default:", wrong_by_default)
sys.exit(0 if nan_without and wrong_by_default else "the behaviour has changed")
EOF
JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/max_gradient.py"
