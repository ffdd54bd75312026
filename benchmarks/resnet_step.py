"""A whole training step of ResNet-18, mmjax against PyTorch, alternating step by step in one run.

    python benchmarks/resnet_step.py [--quick] [--devices 1] [--side 112] [--batch 32]

Both sides take the same pictures of noise and 1,000 classes: cross-entropy, the backward pass, BatchNorm by each batch,
and SGD (0.05, momentum 0.9), in float32. Ours is mmjax.engine.step.train_step as every system runs it, gradient norm
included, on mmjax.models.vision.resnet. `--devices` is config.cpu_devices: how many devices a CPU counts as.

The peer is torchvision's own network, whose fresh weights both sides start from, eager and compiled by torch.compile
(Inductor; left out, with a line, where that does not work), each in both memory formats: four peers, of which the
fastest counts. Losses of the first three steps must agree before the clock starts.

results/resnet_step.json is written only by a full run at the default sizes that began with half a core
busy at most, or with --busy by one that had the machine's priority; any other run prints why it was not.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import tempfile
from collections.abc import Callable

import _side_by_side as side_by_side
import _step_peers as peers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torchvision
from torch.nn import functional as F

from mmjax.engine import memory
from mmjax.losses import classification
from mmjax.models.vision import resnet
from mmjax.weights import resnet as weights

RESULT = pathlib.Path(__file__).parent / "results" / "resnet_step.json"
SIZES = {"side": 112, "batch": 32}
RATE, MOMENTUM = 0.05, 0.9


def main() -> None:
    """The command line."""
    options = arguments()
    options.load = side_by_side.load()  # before our own work counts
    memory.keep()  # as train.py does, and for both sides
    if options.devices > 1:
        jax.config.update("jax_num_cpu_devices", options.devices)
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    initial = torchvision.models.resnet18().state_dict()
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (options.batch, options.side, options.side, 3)).astype(np.uint8),
        "label": rng.integers(0, 1000, options.batch).astype(np.int32),
    }
    sides = {peers.OURS: mmjax_step(initial, batch)}
    sides |= peers.every_peer(functools.partial(torch_step, initial, batch))
    peers.agree(sides, 3, 2e-2)
    times = side_by_side.alternate(sides, options.rounds, options.limit)
    what = f"ResNet-18 training step, {options.side} pixels, batch {options.batch}, {options.devices} device(s)"
    peers.report(options, times, SIZES, RESULT, what)


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = side_by_side.parser(__doc__, SIZES)
    parser.add_argument("--devices", type=int, default=1, help="that a CPU counts as for ours: config.cpu_devices")
    options = parser.parse_args()
    options.rounds, options.limit = (5, 20.0) if options.quick else (21, 60.0)
    return options


def mmjax_step(initial, batch) -> Callable[[], float]:
    """A closure that takes one step, waits for it, and returns the loss."""
    model = resnet.ResNet()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "resnet18.pth"
        torch.save(initial, path)
        made = jax.tree.map(jnp.array, weights.load(path))

    def loss(variables, batch, key):
        own = {"params": variables["params"]["net"], "state": variables["state"]}
        out, new = model.apply(own, batch["image"], train=True, mutable=["state"])
        return jnp.mean(classification.cross_entropy(out["logits"], batch["label"])), (new["state"], {})

    return peers.mmjax_step(made, loss, optax.sgd(RATE, MOMENTUM), batch)


def torch_step(initial, batch, layout, compiled) -> Callable[[], float]:
    """The same closure for PyTorch."""
    network = torchvision.models.resnet18()
    network.load_state_dict(initial)
    network = network.to(memory_format=layout).train()
    optimiser = torch.optim.SGD(network.parameters(), RATE, MOMENTUM, fused=True)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (resnet.MEAN, resnet.STD))
    image, label = torch.from_numpy(batch["image"]), torch.from_numpy(batch["label"]).long()

    def of(image):
        x = (image.permute(0, 3, 1, 2).float() - mean) / std
        return F.cross_entropy(network(x.contiguous(memory_format=layout)), label)

    return peers.torch_step(optimiser, torch.compile(of) if compiled else of, image)


if __name__ == "__main__":
    main()
