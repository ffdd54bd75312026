"""A whole training step of SoundNet, mmjax against PyTorch, alternating step by step in one run.

    python benchmarks/soundnet_step.py [--quick] [--device cpu|gpu] [--depth 8] [--batch 32] [--seconds 10] ...

A step is the network's: the forward pass, two KL heads against given teacher distributions, the backward pass and
Adam, in float32, on one device with all its cores. It is not mmjax.engine.step.train_step: no teacher runs, no
gradient norm and no prior are computed, and no data is loaded. Both networks are the paper's, convolution biases
included, start from the same weights, see the same batch, and must agree on the loss of the first two steps before the
clock starts.
The PyTorch peer is written as its users write it (nn.Conv, nn.BatchNorm, nn.ReLU, nn.MaxPool, eager), in the faster of
its two common forms, Conv1d or Conv2d with kernels (k, 1), with PyTorch's own fused Adam; which one was faster is
printed.

What a profile of our step on two AMD cores (AVX-512) shows, in ms of both cores at the default sizes: first block 213,
second block 82, blocks three to seven 43, heads 2, Adam 12. With the plain convolutions (conv="accelerator") it is
252, 194, 42, 16 and 13. The arithmetic is the smaller part: the first convolution's output is 226 MB, and merely
writing an array of that size costs 50 ms, most of it page faults, against 6 ms for reading one. Hence a first block
that is computed row by row in the cache, and again for the gradient; pooling before the affine map; a pooling
gradient in one pass. The second block's gain is its input gradient, 25 ms instead of 248 once the stride is folded
into the channels. Judge the ratio on an idle machine only: PyTorch's threads wait for each other by spinning, and
lose several times over, not by a share, to whatever else runs. So results/soundnet_step.json is written only by a full
run at the default sizes that began at a load average of at most 0.5; any other run prints why it was not.
"""

from __future__ import annotations

import argparse
import functools
import gc
import os
import pathlib
import platform
import statistics
from collections.abc import Callable

import _side_by_side as side_by_side
import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import nn
from torch.nn import functional as F

from mmjax.losses.divergence import kl
from mmjax.models.sound import soundnet

RESULT = pathlib.Path(__file__).parent / "results" / "soundnet_step.json"
SIZES = {"depth": 8, "width": 1.0, "batch": 32, "seconds": 10.0, "objects": 1000, "scenes": 401}
RATE = 1e-3


def main() -> None:
    """The command line."""
    options = arguments()
    options.load = os.getloadavg()[0]  # before our own work counts
    if options.device:
        jax.config.update("jax_platforms", {"cpu": "cpu", "gpu": "cuda"}[options.device])
    torch.set_num_threads(os.cpu_count() or 1)
    torch.backends.cuda.matmul.allow_tf32 = True  # as JAX does by default
    heads = {name: n for name, n in (("object", options.objects), ("scene", options.scenes)) if n}
    model = soundnet.SoundNet(options.depth, options.objects, options.scenes, width=options.width, conv_bias=True)
    wave, teacher = data(options, heads)
    initial = jax.jit(model.init)(jax.random.key(0), wave[:1])
    initial = jax.tree.map(np.array, initial["params"])

    ours = mmjax_step(model, initial, wave, teacher)
    peers = {
        name: functools.partial(torch_step, options.depth, two, initial, wave, teacher)
        for name, two in (("Conv1d", False), ("Conv2d", True))
    }
    peer, theirs = faster(peers)
    agree(ours, theirs)
    times = side_by_side.alternate({"mmjax": ours, "torch": theirs}, options.pairs, options.limit)
    report(options, peer, times)


def arguments() -> argparse.Namespace:
    """The flags; --quick ends within a minute on an idle laptop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer steps: ends within a minute")
    parser.add_argument("--device", choices=("cpu", "gpu"), help="default: what JAX finds")
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip; short ones are tiled by mmjax")
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--scenes", type=int, default=401)
    options = parser.parse_args()
    options.pairs, options.limit = (9, 20.0) if options.quick else (31, 300.0)
    return options


def data(options, heads):
    """A batch of noise at SoundNet's scale, [b t], and a teacher distribution per head, log-probabilities [b 1 c]."""
    rng = np.random.default_rng(0)
    samples = max(round(options.seconds * 22_050), soundnet.minimum(options.depth))
    wave = (30 * rng.normal(size=(options.batch, samples))).astype(np.float32)
    raw = {name: 2 * rng.normal(size=(options.batch, 1, n)).astype(np.float32) for name, n in heads.items()}
    return wave, {name: np.array(jax.nn.log_softmax(x)) for name, x in raw.items()}


def mmjax_step(model, initial, wave, teacher) -> Callable[[], float]:
    """A closure that takes one step, waits for it, and returns the loss."""
    optimiser = optax.adam(RATE)

    def loss(params, state, wave, teacher):
        out, new = model.apply({"params": params, "state": state}, wave, train=True, mutable=["state"])
        terms = [jnp.mean(kl(target, out[name], out["where"])) for name, target in teacher.items()]
        return sum(terms), new["state"]

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry, wave, teacher):
        params, state, moments = carry
        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(params, state, wave, teacher)
        change, moments = optimiser.update(gradient, moments, params)
        return (optax.apply_updates(params, change), state, moments), value

    params = jax.tree.map(jnp.array, initial)
    state = jax.jit(model.init)(jax.random.key(0), wave[:1])["state"]
    carry = (params, state, optimiser.init(params))
    wave, teacher = jax.tree.map(jnp.asarray, (wave, teacher))

    def once() -> float:
        nonlocal carry
        carry, value = step(carry, wave, teacher)
        jax.block_until_ready(carry)
        return float(value)

    return once


class Peer(nn.Module):
    """SoundNet as a PyTorch user writes it, from the same table: [b t] -> logits [b c s] of each head."""

    def __init__(self, depth: int, two: bool, initial):
        super().__init__()
        conv, norm, pool = (
            (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d) if two else (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d)
        )
        self.two, side = two, (lambda n, rest: (n, rest)) if two else (lambda n, rest: n)

        def layer(name, row):
            kernel = torch.from_numpy(initial[name]["kernel"].transpose(2, 1, 0).copy())  # [o c k]
            made = conv(*kernel.shape[1::-1], side(row.kernel, 1), side(row.stride, 1), side(row.pad, 0))
            made.weight.data = kernel[..., None] if two else kernel
            made.bias.data = torch.from_numpy(initial[name]["bias"].copy())
            return made

        layers = []
        for i, row in enumerate(soundnet.TRUNK[depth], 1):
            made = norm(initial[f"norm{i}"]["scale"].size)
            made.weight.data = torch.from_numpy(initial[f"norm{i}"]["scale"].copy())
            layers += [layer(f"conv{i}", row), made, nn.ReLU(inplace=True)]
            layers += [pool(side(row.pool, 1))] if row.pool > 1 else []
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({n: layer(n, soundnet.HEAD[depth]) for n in ("object", "scene") if n in initial})

    def forward(self, wave):
        x = self.trunk(wave[:, None, :, None] if self.two else wave[:, None])
        return {name: head(x).flatten(2) for name, head in self.heads.items()}


def torch_step(depth, two, initial, wave, teacher) -> Callable[[], float]:
    """The same closure for PyTorch."""
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    peer = Peer(depth, two, initial).to(device)
    optimiser = torch.optim.Adam(peer.parameters(), RATE, fused=True)
    wave = torch.from_numpy(wave).to(device)
    teacher = {name: torch.from_numpy(x).to(device).transpose(1, 2) for name, x in teacher.items()}  # [b c 1]

    def once() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=device)
        for name, logits in peer(wave).items():
            target = teacher[name].expand_as(logits)
            total = F.kl_div(F.log_softmax(logits, 1), target, reduction="sum", log_target=True)
            loss = loss + total / (logits.shape[0] * logits.shape[2])
        loss.backward()
        optimiser.step()
        return loss.item()

    return once


def faster(peers) -> tuple[str, Callable[[], float]]:
    """The form of the peer with the shortest of three steps, made afresh."""
    shortest = {}
    for name, make in peers.items():
        shortest[name] = min(side_by_side.alternate({name: make()}, 4, 30.0)[name][1:])
        gc.collect()
        print(f"PyTorch with {name}: {shortest[name]:.3f} s a step", flush=True)
    name = min(shortest, key=shortest.__getitem__)
    return name, peers[name]()


def agree(ours, theirs) -> None:
    """Both take two steps from the same weights; the losses before and after the first update must be the same."""
    for step, tolerance in ((1, 1e-4), (2, 1e-2)):
        a, b = ours(), theirs()
        print(f"loss of step {step}: mmjax {a:.6f}, PyTorch {b:.6f}", flush=True)
        np.testing.assert_allclose(a, b, rtol=tolerance)


def report(options, peer, times) -> None:
    """Prints the medians and, unless something speaks against it, writes them down; the last line is the ratio."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = statistics.median(b / a for a, b in zip(times["mmjax"], times["torch"]))
    versions = {"jax": jax.__version__, "flax": flax.__version__, "torch": torch.__version__}
    figures = {
        "device": side_by_side.device_name(),
        "versions": {**versions, "python": platform.python_version()},
        "settings": {name: getattr(options, name) for name in SIZES},
        "peer": f"PyTorch, {peer}, fused Adam",
        "seconds_per_step": {name: round(value, 4) for name, value in medians.items()},
        "all_seconds": {name: [round(value, 4) for value in values] for name, values in times.items()},
        "examples_per_second": round(options.batch / medians["mmjax"], 2),
        "load_average_before": round(options.load, 2),
        "ratio": round(ratio, 3),
    }
    for name, value in medians.items():
        print(f"{name:<6} {value:.3f} s a step, {options.batch / value:.1f} clips/s, median of {len(times[name])}")
    own = all(getattr(options, name) == value for name, value in SIZES.items())
    side_by_side.keep(figures, RESULT, side_by_side.unwritten(options, own))
    what = f"SoundNet-{options.depth} training step, {options.seconds:g} s x {options.batch}"
    print(f"ratio {ratio:.2f} {what}: mmjax over PyTorch {versions['torch']}")


if __name__ == "__main__":
    main()
