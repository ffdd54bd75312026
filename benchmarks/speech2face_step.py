"""Speech2Face's two heavy computations, mmjax against PyTorch, alternating step by step in one run.

    python benchmarks/speech2face_step.py [--quick] [--width 0.25] [--batch 8] [--faces 16] [--side 224]

The voice: a whole training step of the encoder at the paper's input, 598 x 257 x 2, at a quarter of its channels: the
forward pass with BatchNorm by the batch, the squared distance to a feature of 4,096 numbers, the backward pass and
Adam, in float32. The peer is the same network in PyTorch, eager and under torch.compile, each in both memory formats,
with PyTorch's own fused Adam: four peers, of which the fastest counts. Both start from the same weights, and the losses
of the first two steps must agree before the clock starts.

The warp: 16 faces of 224 pixels with 68 landmarks and 8 points on the edge. The peer is the formulation that is
published (TensorFlow Addons' sparse_image_warp) in PyTorch: squared distances of all pixels and points by a product of
matrices, the kernel of all of them, a product with the weights, grid_sample; eager and compiled. The pictures must
agree.

results/speech2face_step.json is written only by a full run at the default sizes that began on a machine with at most
half a core busy, or with --busy; any other run prints why it was not.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import _side_by_side as side_by_side
import _step_peers as peers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from _step_peers import OURS
from torch import nn
from torch.nn import functional as F

from mmjax.data.sets import sounding_scenes
from mmjax.engine import memory
from mmjax.models.sound import voice_encoder
from mmjax.models.sound.voice_encoder import LAYERS, VoiceEncoder
from mmjax.ops import warp

RESULT = pathlib.Path(__file__).parent / "results" / "speech2face_step.json"
SIZES = {"width": 0.25, "batch": 8, "frames": 598, "bins": 257, "faces": 16, "side": 224}
RATE, FEATURES, REGULARISATION = 1e-3, 4096, 1e-3


def main() -> None:
    """The command line."""
    options = side_by_side.parser(__doc__, SIZES).parse_args()
    options.load = side_by_side.load()  # before our own work counts
    options.kept = memory.keep()
    options.rounds, options.limit = (5, 30.0) if options.quick else (15, 150.0)
    torch.set_num_threads(os.cpu_count() or 1)
    side_by_side.peer_without_avx512(torch)
    times = {
        "voice": side_by_side.alternate(voices(options), options.rounds, options.limit),
        "warp": side_by_side.alternate(warps(options), 3 * options.rounds, options.limit),
    }
    report(options, times)


def report(options: Any, times: Mapping[str, Mapping[str, list[float]]]) -> None:
    """Medians, ratios to the fastest peer, and the file."""
    settings = peers.settings(options, SIZES)
    figures: dict[str, Any] = {"settings": settings, "versions": peers.versions()}
    for what, sides in times.items():
        print(f"{what}:")
        seconds = peers.medians(sides)
        fastest = min((name for name in seconds if name != OURS), key=seconds.__getitem__)
        figures[what] = {"seconds": seconds, "fastest_peer": fastest, "ratio": seconds[fastest] / seconds[OURS]}
        print(f"{figures[what]['ratio']:.2f} times as fast as {fastest}")
    side_by_side.keep_of_device(figures, RESULT, side_by_side.unwritten(options, settings == SIZES))


# -- the voice ---------------------------------------------------------------------------------------------------------


def voices(options: Any) -> dict[str, Callable[[], float]]:
    """A step of each side, after two in which all agreed."""
    rng = np.random.default_rng(0)
    sound = rng.normal(size=(options.batch, options.frames, options.bins, 2)).astype(np.float32)
    target = rng.normal(size=(options.batch, FEATURES)).astype(np.float32)
    model = VoiceEncoder(FEATURES, options.width)
    initial = jax.tree.map(np.array, jax.jit(model.init)(jax.random.key(0), sound[:1])["params"])
    sides = {OURS: mmjax_step(model, initial, sound, target)}
    sides |= peers.every_peer(functools.partial(torch_step, initial, sound, target))
    peers.agree(sides, 2, 2e-2)
    return sides


def mmjax_step(model, initial, sound, target) -> Callable[[], float]:
    """A closure that takes one step, waits for it, and returns the loss."""
    optimiser = optax.adam(RATE)
    state = jax.jit(model.init)(jax.random.key(0), sound[:1])["state"]
    carry = (jax.tree.map(jnp.array, initial), state, optimiser.init(initial))
    sound, target = jnp.asarray(sound), jnp.asarray(target)

    def of(params, state):
        out, new = model.apply({"params": params, "state": state}, sound, train=True, mutable=["state"])
        return jnp.mean(jnp.square(out - target)), new["state"]

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry):
        params, state, moments = carry
        (value, state), slope = jax.value_and_grad(of, has_aux=True)(params, state)
        change, moments = optimiser.update(slope, moments)
        return (optax.apply_updates(params, change), state, moments), value

    def once() -> float:
        nonlocal carry
        carry, value = step(carry)
        jax.block_until_ready(carry)
        return float(value)

    return once


class Peer(nn.Module):
    """The encoder as a PyTorch user writes it: [b 2 t f] -> [b features]."""

    def __init__(self, initial):
        super().__init__()
        layers, before = [], 2
        for i, layer in enumerate(LAYERS, 1):
            kernel = torch.from_numpy(initial[f"conv{i}"]["kernel"].transpose(3, 2, 0, 1).copy())
            made = nn.Conv2d(before, len(kernel), voice_encoder.KERNEL, layer.stride)
            made.weight.data = kernel
            made.bias.data = torch.from_numpy(initial[f"conv{i}"]["bias"].copy())
            before, norm = len(kernel), nn.BatchNorm2d(len(kernel))
            if i == len(LAYERS):
                self.last, self.norm = made, nn.BatchNorm1d(before)
            else:
                layers += [made, nn.ReLU(inplace=True), norm]
                layers += [nn.MaxPool2d((layer.pool, 1))] if layer.pool > 1 else []
        self.trunk = nn.Sequential(*layers)
        first, second = initial["fc1"], initial["fc2"]
        self.first, self.second = nn.Linear(*first["kernel"].shape), nn.Linear(*second["kernel"].shape)
        # Ours reads a map frequency by frequency, PyTorch channel by channel.
        by_channel = first["kernel"].reshape(-1, before, len(first["bias"])).transpose(1, 0, 2)
        self.first.weight.data = torch.from_numpy(by_channel.reshape(-1, len(first["bias"])).T.copy())
        self.second.weight.data = torch.from_numpy(second["kernel"].T.copy())
        self.first.bias.data, self.second.bias.data = (torch.from_numpy(x["bias"].copy()) for x in (first, second))

    def forward(self, sound):
        x = self.norm(F.relu(self.last(self.trunk(sound)).mean(2)))  # b c f
        return self.second(F.relu(self.first(x.flatten(1))))


def torch_step(initial, sound, target, layout, compiled) -> Callable[[], float]:
    """The same closure for PyTorch; the whole loss is compiled, forward and backward."""
    peer = Peer(initial).to(memory_format=layout).train()
    optimiser = torch.optim.Adam(peer.parameters(), RATE, fused=True)
    given = torch.from_numpy(sound).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    wanted = torch.from_numpy(target)

    def of(x):
        return torch.mean(torch.square(peer(x) - wanted))

    return peers.torch_step(optimiser, torch.compile(of, dynamic=False) if compiled else of, given)


# -- the warp ----------------------------------------------------------------------------------------------------------


def warps(options: Any) -> dict[str, Callable[[], Any]]:
    """A warp of each side, after one in which all agreed."""
    source = sounding_scenes.source("train", ("face", "landmarks"), face_size=options.side)
    examples = [source[i] for i in range(options.faces)]
    picture = np.stack([example["face"] for example in examples]).astype(np.float32) / 255
    points = np.stack([example["landmarks"] for example in examples])
    target = np.roll(points, 1, 0)
    ours = jax.jit(functools.partial(warp.warp, regularisation=REGULARISATION))
    arrays = [jnp.asarray(x) for x in (picture, points, target)]
    sides: dict[str, Callable[[], Any]] = {OURS: lambda: ours(*arrays).block_until_ready()}
    given = [torch.from_numpy(x) for x in (picture.transpose(0, 3, 1, 2).copy(), points, target.copy())]
    for compiled in (False, True):
        peer = torch.compile(published, dynamic=False) if compiled else published
        sides[f"torch, {'compiled' if compiled else 'eager'}"] = functools.partial(_without_slopes, peer, given)
    wanted = np.asarray(sides[OURS]())
    for name, side in sides.items():
        if name != OURS:
            np.testing.assert_allclose(side().permute(0, 2, 3, 1).numpy(), wanted, atol=0.02)
    return sides


def _without_slopes(function, arrays):
    with torch.no_grad():
        return function(*arrays)


def published(picture, source, target):
    """sparse_image_warp's formulation: [b 3 h w] and two times [b n 2] -> [b 3 h w]."""
    b, _, height, width = picture.shape
    edge = torch.from_numpy(warp.border(2))[None].expand(b, -1, -1)
    points = torch.cat([target, edge], 1)
    moved = torch.cat([target - source, torch.zeros_like(edge)], 1)
    n = points.shape[1]

    def phi(one, two):
        square = (
            (one * one).sum(-1, keepdim=True) - 2 * one @ two.transpose(1, 2) + (two * two).sum(-1)[:, None]
        ).clamp_min(1e-10)
        return 0.5 * square * torch.log(square)

    plane = torch.cat([points, torch.ones(b, n, 1)], -1)
    upper = torch.cat([phi(points, points) + REGULARISATION * torch.eye(n), plane], 2)
    lower = torch.cat([plane.transpose(1, 2), torch.zeros(b, 3, 3)], 2)
    solved = torch.linalg.solve(torch.cat([upper, lower], 1), torch.cat([moved, torch.zeros(b, 3, 2)], 1))
    at = torch.from_numpy(warp.pixels(height, width))[None].expand(b, -1, -1)
    flow = phi(at, points) @ solved[:, :n] + torch.cat([at, torch.ones(b, height * width, 1)], -1) @ solved[:, n:]
    grid = (2 * (at - flow) - 1).reshape(b, height, width, 2)
    return F.grid_sample(picture, grid, "bilinear", "border", align_corners=False)


if __name__ == "__main__":
    main()
