"""A whole training step of SoundNet, mmjax against PyTorch, alternating step by step in one run.

    python benchmarks/soundnet_step.py [--quick] [--device cpu|gpu] [--depth 8] [--batch 32] [--seconds 10] ...

A step is the network's: the forward pass, two KL heads against given teacher distributions, the backward pass and
Adam, in float32, on one device with all its cores. It is not mmjax.engine.step.train_step: no teacher runs, no
gradient norm and no prior are computed, and no data is loaded. Both networks are the paper's, convolution biases
included, start from the same weights, see the same batch, and must agree on the loss of the first two steps before the
clock starts.
The PyTorch peer is written as its users write it (nn.Conv, nn.BatchNorm, nn.ReLU, nn.MaxPool, with PyTorch's own fused
Adam) in its two common forms, Conv1d or Conv2d with kernels (k, 1), each eager and under torch.compile: four peers, of
which the fastest counts, in the last line. `--peers` runs them without mmjax.

Both libraries take their memory from the C library, and both keep it between steps, as train.py does
(mmjax/engine/memory.py): in a short run of the peers alone, compiled Conv1d took 0.67 s so, and 0.99 s as the C library
has it. A step's share is that of its products' and convolutions' operations per second in what its library reaches in
one large product in this run; ours computes the first block's twice, and zeros beside its kernels.

What a profile of our step on two AMD cores (AVX-512) showed before memory was kept and before the first block's maximum
and moments were one pass, in ms of both cores at the default sizes: first block 213, second block 82, blocks three to
seven 43, heads 2, Adam 12. With the plain convolutions (conv="accelerator") it was 252, 194, 42, 16 and 13. The
arithmetic was the smaller part: the first convolution's output is 226 MB, and merely writing an array of that size cost
50 ms, most of it page faults, against 6 ms for reading one. Hence a first block that is computed row by row in the
cache, and again for the gradient; pooling before the affine map; a pooling gradient in one pass. The second block's
gain is its input gradient, 25 ms instead of 248 once the stride is folded into the channels.

Judge the ratio on an idle machine only: PyTorch's threads wait for each other by spinning, and lose several times over,
not by a share, to whatever else runs. So results/soundnet_step.json is written only by a full run at the default sizes
that began on a machine with at most half a core busy; any other run prints why it was not.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
from collections.abc import Callable

import _products as products
import _side_by_side as side_by_side
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import nn
from torch.nn import functional as F

from mmjax.engine import memory
from mmjax.losses.divergence import kl
from mmjax.models.sound import soundnet

RESULT = pathlib.Path(__file__).parent / "results" / "soundnet_step.json"
SIZES = {"depth": 8, "width": 1.0, "batch": 32, "seconds": 10.0, "objects": 1000, "scenes": 401}
RATE = 1e-3
OURS = "mmjax"
PEERS = {  # two dimensions or one, compiled or not
    "torch, Conv1d, eager": (False, False),
    "torch, Conv2d, eager": (True, False),
    "torch, Conv1d, compiled": (False, True),
    "torch, Conv2d, compiled": (True, True),
}


def main() -> None:
    """The command line."""
    options = arguments()
    options.load = side_by_side.load()  # before our own work counts
    if options.device:
        jax.config.update("jax_platforms", {"cpu": "cpu", "gpu": "cuda"}[options.device])
    options.kept = memory.keep()
    torch.set_num_threads(os.cpu_count() or 1)
    side_by_side.peer_without_avx512(torch)
    torch.backends.cuda.matmul.allow_tf32 = True  # as JAX does by default
    heads = {name: n for name, n in (("object", options.objects), ("scene", options.scenes)) if n}
    model = soundnet.SoundNet(options.depth, options.objects, options.scenes, width=options.width, conv_bias=True)
    wave, teacher = data(options, heads)
    initial = jax.jit(model.init)(jax.random.key(0), wave[:1])
    initial = jax.tree.map(np.array, initial["params"])

    steps = {} if options.peers else {OURS: mmjax_step(model, initial, wave, teacher)}
    for name, (two, compiled) in PEERS.items():
        steps[name] = torch_step(options.depth, two, initial, wave, teacher, compiled)
    agree(steps)
    operations = count(steps)
    products.report(
        f"SoundNet-{options.depth} training step, {options.seconds:g} s x {options.batch}",
        options,
        operations,
        side_by_side.alternate(steps, options.rounds, options.limit),
        path=RESULT,
        own=all(getattr(options, name) == value for name, value in SIZES.items()),
        settings={name: getattr(options, name) for name in SIZES},
        peer="PyTorch, fused Adam",
    )


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = side_by_side.parser(__doc__, SIZES)
    parser.add_argument("--note", default="", help="of instructions that are masked, for the device's name")
    parser.add_argument("--peers", action="store_true", help="the peers alone")
    parser.add_argument("--device", choices=("cpu", "gpu"), help="default: what JAX finds")
    options = parser.parse_args()
    options.rounds, options.limit = (7, 20.0) if options.quick else (31, 80.0)
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

    once.operations = functools.partial(products.of_jax, step, carry, wave, teacher)
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


def torch_step(depth, two, initial, wave, teacher, compiled=False) -> Callable[[], float]:
    """The same closure for PyTorch; the whole loss is compiled, forward and backward."""
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    peer = Peer(depth, two, initial).to(device)
    optimiser = torch.optim.Adam(peer.parameters(), RATE, fused=True)
    wave = torch.from_numpy(wave).to(device)
    teacher = {name: torch.from_numpy(x).to(device).transpose(1, 2) for name, x in teacher.items()}  # [b c 1]

    def of(wave):
        loss = torch.zeros((), device=device)
        for name, logits in peer(wave).items():
            target = teacher[name].expand_as(logits)
            total = F.kl_div(F.log_softmax(logits, 1), target, reduction="sum", log_target=True)
            loss = loss + total / (logits.shape[0] * logits.shape[2])
        return loss

    of = torch.compile(of, dynamic=False) if compiled else of

    def once() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = of(wave)
        loss.backward()
        optimiser.step()
        return loss.item()

    return once


def agree(steps) -> None:
    """All take two steps from the same weights; the losses before and after the first update must be the same."""
    for number, tolerance in ((1, 1e-4), (2, 1e-2)):
        values = {name: once() for name, once in steps.items()}
        print(f"loss of step {number}: " + ", ".join(f"{name} {x:.6f}" for name, x in values.items()), flush=True)
        for value in values.values():
            np.testing.assert_allclose(value, next(iter(values.values())), rtol=tolerance)


def count(steps) -> dict[str, float]:
    """Operations of the products of each side's step; all peers have the same."""
    theirs = products.of_torch(steps["torch, Conv1d, eager"])
    return {name: steps[OURS].operations() if name == OURS else theirs for name in steps}


if __name__ == "__main__":
    main()
