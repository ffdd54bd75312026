"""Products of few rows with a matrix on a CPU: mmjax.ops.few_rows against XLA's plain products, by turns in one run.

    python benchmarks/few_rows.py [--quick]

One line for each matrix of a recurrent network of ours and each number of rows: a loop of --steps products, each of the
last one's result, forward (the matrix laid out once before the loop, which is timed, too) and as a gradient goes back
(by the matrix as it lies). Of matrices below few_rows.LARGE ours is the plain product, and the ratio shows the noise of
the machine, unless --all is given. `ratio` is the plain product's time over ours, the minimum of each over the rounds.
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
from mmjax.ops import few_rows

SHAPES = {"Tacotron 2": (1536, 4096), "captions": (512, 2048), "text encoder": (256, 1024), "laptop": (192, 768)}
ROWS = (1, 8, 16, 32, 64, 128)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: ends within a minute")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--all", action="store_true", help="ours for small matrices, too")
    options = parser.parse_args()
    few_rows.LARGE = 0 if options.all else few_rows.LARGE
    memory.keep()  # as train.py does: otherwise every copy pays for fresh pages
    print(f"{side_by_side.device_name()}, jax {jax.__version__}, {options.steps} products, milliseconds")
    for name, shape in SHAPES.items():
        for rows in ROWS[1:4:2] if options.quick else ROWS:
            times = measured(shape, rows, options.steps, 5 if options.quick else 25)
            ratios = {way: times[f"{way}, plain"] / times[f"{way}, ours"] for way in ("forward", "back")}
            said = ", ".join(f"{side} {value:.1f}" for side, value in times.items())
            print(
                f"ratio {ratios['forward']:.2f} and {ratios['back']:.2f} {name:<13} {shape} x {rows}: {said}",
                flush=True,
            )


def measured(shape: tuple[int, int], rows: int, steps: int, rounds: int) -> dict[str, float]:
    """Milliseconds, the minimum of the rounds, of both ways and both sides."""
    rng = np.random.default_rng(0)
    kernel = jnp.asarray(rng.normal(size=shape) / (2 * max(shape) ** 0.5), jnp.float32)
    into, back = (jnp.asarray(rng.normal(size=(rows, size)), jnp.float32) for size in shape)

    def loop(product, fits):
        """Products whose inputs depend on the last one's result, so that none can be left out."""

        def run(x, kernel):
            one = product(kernel)
            return lax.scan(lambda x, _: (fits(x, one(x)), None), x, None, length=steps)[0]

        return jax.jit(run)

    def gradient(times):
        """kernel -> (the gradient of a result -> that of the rows)."""
        return lambda kernel: lambda y: jax.vjp(lambda x: times(x, kernel), into)[1](y)[0]

    narrow = lambda x, y: jnp.tanh(y[:, : x.shape[1]])  # noqa: E731
    wide = lambda x, y: jnp.tanh(x + jnp.pad(y, ((0, 0), (0, x.shape[1] - y.shape[1]))))  # noqa: E731
    plain = lambda kernel: lambda x: x @ kernel  # noqa: E731
    sides = {
        "forward, plain": functools.partial(loop(plain, narrow), into, kernel),
        "forward, ours": functools.partial(loop(few_rows.in_loop, narrow), into, kernel),
        "back, plain": functools.partial(loop(gradient(jnp.matmul), wide), back, kernel),
        "back, ours": functools.partial(loop(gradient(few_rows.times), wide), back, kernel),
    }
    for way in ("forward", "back"):
        np.testing.assert_allclose(sides[f"{way}, ours"](), sides[f"{way}, plain"](), atol=1e-4)
    waiting = {name: functools.partial(lambda run: jax.block_until_ready(run()), run) for name, run in sides.items()}
    return {name: 1e3 * min(t) for name, t in side_by_side.alternate(waiting, rounds, 20.0).items()}


if __name__ == "__main__":
    main()
