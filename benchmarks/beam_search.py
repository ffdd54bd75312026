"""Beam search and a training step of Show, Attend and Tell: mmjax against PyTorch, alternating in one run.

    python benchmarks/beam_search.py [--quick] [--busy] [--eager] [--images 32] [--beam 5] [--steps 20]

The network is the popular PyTorch port's: 196 x 2048 features, 512 units everywhere, ReLU attention, a vector gate,
10,000 words; random weights, the same in all. Two peers, see `_caption_peers.py`. "careful" is what a user writes who
has thought about it: all pictures in one call, the features' half of the attention computed once, a beam of fixed
width; eager and under torch.compile, and the ratios are over the faster of the two. "port" is the code that most people
copy: one picture at a time, its beam shrinking, the features' half computed anew at every step. Both must find the
captions that mmjax finds: their number is printed, and any other must be a tie within rounding.

Two loads: the end word made so unlikely that every caption takes all steps, and made so likely that captions end on
the way. The ratio is the first's. The training step is teacher forcing over captions of --steps words without padding,
cross-entropy and the port's attention penalty, backward pass and Adam; no dropout, so that the losses can be compared.

A processor without AVX-512 is imitated by XLA_FLAGS=--xla_cpu_max_isa=AVX2 with ATEN_CPU_CAPABILITY=avx2,
DNNL_MAX_CPU_ISA=AVX2 and MKL_ENABLE_INSTRUCTIONS=AVX2. It is imitated badly: most of jax 0.10's products are
YNNPACK's, which asks the processor itself, so that they keep their speed (348 GFLOP/s against 329), while PyTorch's
products lose theirs; of ours only those that contract over rows are halved. Both kinds stand in
results/beam_search.json, which is written only by a full run at the default sizes that began with half a core
busy at most, or with --busy by one that had the machine's priority.

Where mmjax's time goes at the default sizes with AVX-512 (ms of 310 for the captions): the logits 82, the context's
half of the gates 63, what the state is multiplied by 50, the features' half of the attention 37, the words' half of the
gates 33, mixing the features 30, the scores of the attention 18. These products run at 210 to 400 GFLOP/s: what is left
to gain is little without smaller arithmetic.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import pathlib
import statistics
from collections.abc import Callable

import _caption_peers as peers
import _side_by_side as side_by_side
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from mmjax import decode
from mmjax.models.text.show_attend_tell import PRESETS, ShowAttendTell

RESULT = pathlib.Path(__file__).parent / "results" / "beam_search.json"
PLACES, CHANNELS, WORDS = 196, 2048, 10_000
START, END = peers.START, peers.END
RATE = 4e-4
OURS, EAGER, COMPILED, PORT = "mmjax", "careful, eager", "careful, compiled", "port"


def our_loss(model: ShowAttendTell, params, features, tokens):
    """The same loss."""
    out = model.apply({"params": params}, features, tokens)
    cross = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(out["logits"], tokens))
    return cross + jnp.mean((1 - jnp.sum(out["attention"], 1)) ** 2)


def captioner(model: ShowAttendTell, size: int, steps: int) -> Callable:
    """(variables, features) -> `Decoded`, compiled."""

    def run(variables, features):
        memory, carry = model.apply(variables, features, method="start")
        step = functools.partial(model.apply, variables, memory, method="step")
        return decode.beam(step, carry, START, END, steps, size=size)

    return jax.jit(run)


def decoding(model, w, features, options, end_bias: float) -> dict:
    """Captions per second, all sides in turn; the port a share of the pictures at a time."""
    w = {**w, "logits_bias": w["logits_bias"].copy()}
    w["logits_bias"][END] = end_bias
    variables = {"params": {name: jnp.asarray(value) for name, value in w.items()}}
    port, careful, run = peers.Port(w), peers.Careful(w), captioner(model, options.beam, options.steps)
    ours, theirs = jnp.asarray(features), torch.from_numpy(features)
    found: dict[str, dict] = {}

    def mmjax():
        found[OURS] = jax.block_until_ready(run(variables, ours))

    def batched(name, step):
        found[name] = dict(enumerate(peers.captions(careful, step, theirs, options.beam, options.steps)))

    pictures = itertools.cycle(range(len(features)))  # the first calls only warm up, and are not counted

    def one_by_one():
        for i in itertools.islice(pictures, options.share):
            found.setdefault(PORT, {})[i] = peers.caption(port, theirs[i : i + 1], options.beam, options.steps)

    sides = {OURS: mmjax, EAGER: functools.partial(batched, EAGER, careful.step)}
    if not options.eager:
        sides[COMPILED] = functools.partial(batched, COMPILED, torch.compile(careful.step, dynamic=False))
    for _ in range(2):
        for side in sides.values():
            side()  # compiles
    times = side_by_side.alternate({**sides, PORT: one_by_one}, options.compared // options.share, 120.0)
    rates = {
        name: (options.share if name == PORT else len(features)) / statistics.median(values)
        for name, values in times.items()
    }
    mine = jax.device_get(found[OURS])
    same = {name: compare(mine, captions) for name, captions in found.items() if name != OURS}
    return {"captions_per_second": rates, "identical": same, "mean_tokens": float(np.mean(mine.lengths[:, 0]))}


def compare(out, found) -> str:
    """How many captions are identical; any other must be a tie within rounding."""
    same = 0
    for i, (tokens, score) in found.items():
        mine = out.tokens[i, 0, : out.lengths[i, 0] + out.finished[i, 0]].tolist()
        same += mine == tokens
        assert abs(score - out.scores[i, 0]) < 1e-3, f"picture {i}: {mine} and {tokens} differ by more than rounding"
    return f"{same} of {len(found)}"


def training(model, w, features, options) -> dict:
    """Seconds of a training step of all sides in turn, after their first two losses have agreed."""
    tokens = np.random.default_rng(1).integers(4, WORDS, (len(features), options.steps))
    x, y = torch.from_numpy(features), torch.from_numpy(tokens)
    ours_x, ours_y = jnp.asarray(features), jnp.asarray(tokens, jnp.int32)
    step, params, state = our_step(model, w)

    def mmjax() -> float:
        nonlocal params, state
        params, state, loss = step(params, state, ours_x, ours_y)
        jax.block_until_ready(params)
        return float(loss)

    def theirs(port, compiled=False):
        optimiser = torch.optim.Adam(port.parameters(), lr=RATE, fused=True)
        run = torch.compile(port.loss) if compiled else port.loss

        def once() -> float:
            optimiser.zero_grad(set_to_none=True)
            loss = run(x, y)
            loss.backward()
            optimiser.step()
            return loss.item()

        return once

    written = peers.Careful(w)
    written.cell = True  # the faster way in eager PyTorch
    sides = {OURS: mmjax, EAGER: theirs(written)}
    if not options.eager:
        sides[COMPILED] = theirs(peers.Careful(w), compiled=True)
    sides[PORT] = theirs(peers.Port(w))
    for _ in range(2):
        losses = {name: once() for name, once in sides.items()}
        np.testing.assert_allclose(list(losses.values()), losses[OURS], rtol=1e-3, err_msg=str(losses))
    times = side_by_side.alternate({n: s for n, s in sides.items() if n != PORT}, options.rounds, 60.0)
    times |= side_by_side.alternate({PORT: sides[PORT]}, min(options.rounds, 3), 20.0)
    return {"step_ms": {name: 1e3 * statistics.median(values) for name, values in times.items()}}


def our_step(model, w):
    """(compiled step, parameters, optimiser state)."""
    adam = optax.adam(RATE)
    params = {name: jnp.asarray(value) for name, value in w.items()}

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, features, tokens):
        loss, gradient = jax.value_and_grad(functools.partial(our_loss, model))(params, features, tokens)
        change, state = adam.update(gradient, state, params)
        return optax.apply_updates(params, change), state, loss

    return step, params, adam.init(params)


def weights(model: ShowAttendTell, features: np.ndarray) -> dict[str, np.ndarray]:
    """Random ones; the logits are scaled up so that distributions are as peaked as a trained network's."""
    variables = jax.jit(model.init)(jax.random.key(0), features[:1], jnp.zeros((1, 2), jnp.int32))
    w = {name: np.array(value) for name, value in variables["params"].items()}
    w["logits"] *= 8
    w["words"] *= 8
    return w


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer pictures and rounds: ends within a minute")
    parser.add_argument("--busy", action="store_true", help="write the result whatever the load average")
    parser.add_argument("--eager", action="store_true", help="without torch.compile, which needs a C++ compiler")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--share", type=int, default=4, help="pictures of the port between two calls of the others")
    parser.add_argument("--rounds", type=int, default=9, help="training steps")
    options = parser.parse_args()
    default = [options.images, options.beam, options.steps] == [32, 5, 20]
    if options.quick:
        options.share, options.rounds = 8, 1
    options.compared = options.images // 2 if options.quick else options.images
    options.load = side_by_side.load()
    torch.set_num_threads(os.cpu_count() or 1)
    if torch.backends.cpu.get_cpu_capability() == "AVX2":
        torch._inductor.config.cpp.simdlen = 256  # what is compiled does not read the variable
    model = ShowAttendTell(WORDS, CHANNELS, **PRESETS["sgrvinod"])
    rng = np.random.default_rng(0)  # as after a ReLU: half of them zero
    features = np.maximum(rng.standard_normal((options.images, PLACES, CHANNELS), np.float32), 0)
    w = weights(model, features)
    report: dict = {}
    for name, bias in (("all steps", -1e4), ("captions end", 4.0)):
        report[name] = row = decoding(model, w, features, options, bias)
        rates = ", ".join(f"{side} {rate:.2f}" for side, rate in row["captions_per_second"].items())
        same = ", ".join(f"{side} {number}" for side, number in row["identical"].items())
        print(f"{name}, {row['mean_tokens']:.1f} words, captions/s: {rates}; identical: {same}", flush=True)
    report["training"] = row = training(model, w, features, options)
    print("training step: " + ", ".join(f"{name} {ms:.0f} ms" for name, ms in row["step_ms"].items()))
    finish(report, options, default)


def finish(report: dict, options: argparse.Namespace, default: bool) -> None:
    """Writes the result of a full run beside the other kind of processor's, and prints the ratios."""
    careful = [EAGER] if options.eager else [EAGER, COMPILED]
    ratios = {}
    for name, side in (("careful", careful), ("port", [PORT])):
        rates, ms = report["all steps"]["captions_per_second"], report["training"]["step_ms"]
        ratios[f"captions, {name}"] = rates[OURS] / max(rates[x] for x in side)
        ratios[f"training step, {name}"] = min(ms[x] for x in side) / ms[OURS]
    kind = torch.backends.cpu.get_cpu_capability()
    figures = {
        "device": side_by_side.device_name(),
        "what": f"beam {options.beam}, {options.steps} steps, {options.images} pictures of {PLACES} x {CHANNELS}",
        "versions": {"jax": jax.__version__, "torch": torch.__version__},
        "load_average_before": options.load,
        "ratios": ratios,
        **report,
    }
    former = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    kept = {name: value for name, value in former.items() if name in ("AVX512", "AVX2", "DEFAULT")}
    side_by_side.keep({**kept, kind: figures}, RESULT, side_by_side.unwritten(options, default and not options.eager))
    for name, ratio in ratios.items():
        print(f"ratio {ratio:.2f} {name}: mmjax over PyTorch {torch.__version__}, {kind}")


if __name__ == "__main__":
    main()
