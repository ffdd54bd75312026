"""Gradients of two-dimensional convolutions on a CPU: mmjax.ops.convolution against XLA's own, by turns in one run.

    python benchmarks/convolutions.py [--quick] [--batch 32]

One line for each shape of a network of ours, or of a U-Net's: the forward pass and both gradients of one convolution of
float32 pictures, as one program a side, which must agree but for rounding. XLA's forward pass alone stands beside them:
what both gradients would cost at best is three times that. With the extra `onednn` nearly all of ours is computed by
that library; without it, where ours has no form of its own the program is the same, and the ratio shows the noise of
the machine. `ratio N.NN` is XLA's time over ours, the minimum of each over the rounds: on a busy machine the minimum is
what others disturbed least.

With the extra a second table follows: the gradient of a kernel alone, by oneDNN from pictures as they lie, channels
last, and from blocks of channels, copies included; `ratio` is the first over the second. What is used by default
depends on the processor (mmjax/ops/onednn.py, BLOCKS).
"""

from __future__ import annotations

import argparse
import functools

import _side_by_side as side_by_side
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mmjax.engine import memory
from mmjax.ops import onednn, platform
from mmjax.ops.convolution import convolve

# name: side, channels in, channels out, kernel, stride, zeros around
SHAPES = {
    "ResNet-50, 1x1": (56, 64, 256, 1, 1, 0),
    "ResNet-50, 1x1 shortcut": (56, 256, 512, 1, 2, 0),
    "EfficientNet, expansion": (56, 24, 144, 1, 1, 0),
    "EfficientNet, projection": (14, 672, 112, 1, 1, 0),
    "ResNet-18, 1x1 shortcut": (28, 64, 128, 1, 2, 0),
    "U-Net, 4x4 of stride 2": (64, 32, 64, 4, 2, 1),
    "U-Net, 4x4 of stride 2, deeper": (32, 64, 128, 4, 2, 1),
    "GAN, 2x2 over blocks": (17, 128, 64, 2, 1, 0),
    "GAN, 2x2 over blocks, deeper": (9, 256, 128, 2, 1, 0),
    "GAN, 2x2 that draws": (18, 64, 128, 2, 1, 0),
    "ResNet-18, 3x3 of stride 2": (28, 64, 128, 3, 2, 1),
    "ResNet-18, 3x3 of stride 2, deeper": (14, 128, 256, 3, 2, 1),
    "ResNet-18, 3x3": (28, 64, 64, 3, 1, 1),
    "64 x 64, 3x3": (64, 32, 32, 3, 1, 1),
    "ResNet-18 at 224 pixels, 3x3": (56, 64, 64, 3, 1, 1),
    "ResNet-18 at 224 pixels, deeper": (28, 128, 128, 3, 1, 1),
    "ResNet-18 at 224 pixels, deeper yet": (14, 256, 256, 3, 1, 1),
    "ResNet-18 at 224 pixels, last": (7, 512, 512, 3, 1, 1),
    "ResNet-18 at 224 pixels, stride 2": (56, 64, 128, 3, 2, 1),
}
# Of which oneDNN's two forms alone are compared: sums over so many places are apart from XLA's by more than 1e-5.
LARGE = {
    "voice encoder, 4x4": (128, 32, 32, 4, 1, 0),
    "U-Net at 256 pixels, 4x4 of stride 2": (128, 64, 128, 4, 2, 1),
}
NHWC = ("NHWC", "HWIO", "NHWC")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: ends within a minute")
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    memory.keep()  # as train.py does: otherwise every copy pays for fresh pages
    by = "oneDNN" if onednn.used() else "XLA: pip install 'mmjax[onednn]' for the other"
    print(
        f"ours by {by}; {side_by_side.device_name()}, jax {jax.__version__}, batches of {options.batch}, milliseconds"
    )
    for name, shape in SHAPES.items():
        times = measured(shape, options.batch, 5 if options.quick else 25)
        print(
            f"ratio {times['xla'] / times['ours']:.2f} {name:<34} {shape}: both passes {times['ours']:.1f}, "
            f"XLA's own {times['xla']:.1f}, its forward pass alone {times['forward']:.1f}",
            flush=True,
        )
    if not onednn.used():
        return
    print("gradient of the kernel alone, milliseconds")
    for name, shape in (SHAPES | LARGE).items():
        if min(shape[1:3]) >= 16 and shape[3] > 1:
            times = kernels(shape, options.batch, 5 if options.quick else 15)
            print(
                f"ratio {times['last'] / times['blocks']:.2f} {name:<34} {shape}: "
                f"channels last {times['last']:.1f}, blocks {times['blocks']:.1f}",
                flush=True,
            )


def kernels(shape: tuple[int, ...], batch: int, rounds: int) -> dict[str, float]:
    """Milliseconds, the minimum of the rounds, of "last" and "blocks"."""
    side, channels, out, size, stride, pad = shape
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(batch, side, side, channels)), jnp.float32)
    kernel = jnp.zeros((size, size, channels, out), jnp.float32)
    conv = functools.partial(
        convolve, window_strides=(stride, stride), padding=((pad, pad), (pad, pad)), dimension_numbers=NHWC
    )
    slope = jnp.asarray(rng.normal(size=jax.eval_shape(conv, x, kernel).shape), jnp.float32)
    before, sides = onednn.BLOCKS, {}
    try:
        for name in ("last", "blocks"):
            onednn.BLOCKS = name == "blocks"
            one = jax.jit(lambda x, slope: jax.vjp(lambda kernel: conv(x, kernel), kernel)[1](slope)[0])
            one(x, slope)
            sides[name] = functools.partial(lambda one: jax.block_until_ready(one(x, slope)), one)
    finally:
        onednn.BLOCKS = before
    last, blocks = (np.asarray(side()) for side in sides.values())
    agree(blocks, last, batch * slope.shape[1] ** 2)
    return {name: 1e3 * min(t) for name, t in side_by_side.alternate(sides, rounds, 20.0).items()}


def agree(found: jax.Array, wanted: jax.Array, products: int) -> None:
    """Both are sums of so many random products, each in its own order: their partial sums grow with the root of the
    number, and so does what rounding them adds up to; six of its standard deviations are let pass."""
    off = 6 * 2**-24 * products**0.5 * float(jnp.std(wanted))
    np.testing.assert_allclose(found, wanted, atol=off, rtol=1e-5)


def measured(shape: tuple[int, ...], batch: int, rounds: int) -> dict[str, float]:
    """Milliseconds, the minimum of the rounds, of "xla", "ours" and "forward"."""
    side, channels, out, size, stride, pad = shape
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(batch, side, side, channels)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(size, size, channels, out)), jnp.float32)
    options = {"window_strides": (stride, stride), "padding": ((pad, pad), (pad, pad)), "dimension_numbers": NHWC}
    forward = jax.jit(functools.partial(lax.conv_general_dilated, **options))
    turned = jnp.asarray(rng.normal(size=jax.eval_shape(forward, x, kernel).shape), jnp.float32)

    def passes(conv):
        def run(x, kernel, turned):
            value, back = jax.vjp(functools.partial(conv, **options), x, kernel)
            return value, *back(turned)

        return functools.partial(jax.jit(run), x, kernel, turned)

    sides = {"xla": passes(lax.conv_general_dilated), "ours": passes(convolve)}
    with platform.any_platform():  # compiled as XLA has it, whatever it was told at mmjax's import
        sides["xla"](), forward(x, kernel)
    products = (size**2 * channels, size**2 * out, batch * turned.shape[1] ** 2)  # in a sum, at most
    for ours, own, number in zip(sides["ours"](), sides["xla"](), products, strict=True):
        agree(ours, own, number)
    sides["forward"] = functools.partial(forward, x, kernel)
    waiting = {name: functools.partial(lambda run: jax.block_until_ready(run()), run) for name, run in sides.items()}
    return {name: 1e3 * min(t) for name, t in side_by_side.alternate(waiting, rounds, 60.0).items()}


if __name__ == "__main__":
    main()
