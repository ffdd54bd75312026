"""A whole training step of EZ-VSL, mmjax against PyTorch, alternating step by step in one run.

    python benchmarks/localisation_step.py [--quick] [--devices 1] [--side 224] [--batch 32]

Two ResNet-18 from the same fresh weights, pictures of noise and 3 s of noise as sound, the best place of each pair,
both cross-entropies, the backward pass, BatchNorm by each batch, and Adam (1e-4), in float32. Ours is
mmjax.engine.step.train_step as the system of configs/sound_localisation.py:ezvsl runs it, gradient norm included, from
the waveform on; the peer is handed its spectrogram ready made.

The peer is torchvision's networks joined as EZ-VSL's paper says, eager and compiled by torch.compile (Inductor; left
out, with a line, where that does not work), each in both memory formats: four peers, of which the fastest counts.
Losses of the first three steps must agree before the clock starts.

results/localisation_step.json is written only by a full run at the default sizes that began at a load average of at
most 0.5, or with --busy by one that had the machine's priority; any other run prints why it was not.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import platform
import statistics
from collections.abc import Callable

import _side_by_side as side_by_side
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torchvision
from torch.nn import functional as F

from mmjax.engine import mesh
from mmjax.engine import step as steps
from mmjax.losses import localisation as losses
from mmjax.models.joint.localiser import RATE, SCALE, Localiser
from mmjax.models.vision import resnet
from mmjax.ops import collective
from mmjax.ops.sound.power_spectrum import log_density
from mmjax.task import Task, Update
from mmjax.weights import localisers

RESULT = pathlib.Path(__file__).parent / "results" / "localisation_step.json"
SIZES = {"side": 224, "batch": 32}
OURS = "mmjax"
LEARNING_RATE, TEMPERATURE, SECONDS, WIDTH = 1e-4, 0.03, 3.0, 512


class Network(torch.nn.Module):
    """Both towers of EZ-VSL (Mo and Morgado 2022, section 3), under the names of its released weights."""

    def __init__(self) -> None:
        super().__init__()
        self.imgnet, self.audnet = torchvision.models.resnet18(), torchvision.models.resnet18()
        self.audnet.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        self.img_proj, self.aud_proj = torch.nn.Conv2d(512, WIDTH, 1), torch.nn.Linear(512, WIDTH)

    @staticmethod
    def tower(net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        return net.layer4(net.layer3(net.layer2(net.layer1(x))))

    def forward(self, image: torch.Tensor, spectrum: torch.Tensor) -> torch.Tensor:
        places = F.normalize(self.img_proj(self.tower(self.imgnet, image)), dim=1)
        sounds = F.normalize(self.aud_proj(self.tower(self.audnet, spectrum).amax((2, 3))), dim=1)
        scores = torch.einsum("nchw,mc->nmhw", places, sounds).flatten(2).amax(2) / TEMPERATURE
        own = torch.arange(len(scores))
        return F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)


def main() -> None:
    """The command line."""
    options = arguments()
    options.load = os.getloadavg()[0]  # before our own work counts
    if options.devices > 1:
        jax.config.update("jax_num_cpu_devices", options.devices)
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    initial = Network().state_dict()
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (options.batch, options.side, options.side, 3)).astype(np.uint8),
        "waveform": rng.integers(-9000, 9000, (options.batch, round(SECONDS * RATE))).astype(np.int16),
    }
    sides = {OURS: mmjax_step(initial, batch)}
    for form in ("contiguous", "channels last"):
        for compiled in (False, True):
            name = f"torch, {form}, {'compiled' if compiled else 'eager'}"
            sides[name] = torch_step(initial, batch, form, compiled)
    agree(sides)
    report(options, side_by_side.alternate(sides, options.rounds, options.limit))


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = side_by_side.parser(__doc__, SIZES)
    parser.add_argument("--devices", type=int, default=1, help="that a CPU counts as for ours: config.cpu_devices")
    options = parser.parse_args()
    options.rounds, options.limit = (4, 30.0) if options.quick else (9, 180.0)
    return options


def mmjax_step(initial, batch) -> Callable[[], float]:
    """A closure that takes one step, waits for it, and returns the loss."""
    model = Localiser("resnet18", WIDTH, 1)
    made = jax.tree.map(jnp.array, localisers.convert(theirs(initial), model, "the peer"))

    def init(key, batch):
        return {"params": {"net": made["params"]}, "state": made["state"], "frozen": {}}

    def loss(variables, batch, key):
        own = {"params": variables["params"]["net"], "state": variables["state"]}
        (places, sounds), new = model.apply(own, batch["image"], batch["waveform"], train=True, mutable=["state"])
        values = losses.ez_vsl(places[..., 0, :], sounds[:, 0], temperature=TEMPERATURE)
        return collective.mean_where(values, jnp.ones(len(values), bool)), (new["state"], {})

    task = Task((), init, (Update("net", loss),), metrics=lambda *_: {}, predict=lambda *_: {})
    optimisers = {"net": optax.adam(LEARNING_RATE)}
    key = jax.random.key(0)
    placement = mesh.make("jit")
    state = placement.place(steps.create(task, optimisers, key, batch))
    compiled = placement.compile(functools.partial(steps.train_step, task, optimisers), state)
    batch = placement.put(batch)

    def once() -> float:
        nonlocal state
        state, logs = compiled(state, batch, key)
        jax.block_until_ready(state)
        return float(logs["loss/net"])

    return once


def theirs(initial) -> dict[str, np.ndarray]:
    """The peer's weights by name, as a file of released ones would hold them."""
    return {name: value.numpy().copy() for name, value in initial.items()}


def torch_step(initial, batch, form, compiled) -> Callable[[], float]:
    """The same closure for PyTorch."""
    layout = torch.channels_last if form == "channels last" else torch.contiguous_format
    network = Network()
    network.load_state_dict(initial)
    network = network.to(memory_format=layout).train()
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (resnet.MEAN, resnet.STD))
    image = torch.from_numpy(batch["image"])
    heard = log_density(jnp.asarray(batch["waveform"], jnp.float32) / 32_768, RATE) / SCALE
    spectrum = torch.from_numpy(np.array(heard))[:, None].contiguous(memory_format=layout)

    def of(image, spectrum):
        x = (image.permute(0, 3, 1, 2).float() - mean) / std
        return network(x.contiguous(memory_format=layout), spectrum)

    of = torch.compile(of) if compiled else of

    def once() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = of(image, spectrum)
        loss.backward()
        optimiser.step()
        return loss.item()

    return once


def agree(sides) -> None:
    """All take three steps from the same weights; a compiled side that does not work is left out, with a line."""
    found = {OURS: [sides[OURS]() for _ in range(3)]}
    for name in [name for name in sides if name != OURS]:
        try:
            found[name] = [sides[name]() for _ in range(3)]
        except (RuntimeError, ImportError, OSError, torch._dynamo.exc.TorchDynamoException) as error:
            if "compiled" not in name:
                raise
            print(f"{name} is left out: {type(error).__name__}: {str(error).strip().splitlines()[0]:.100}", flush=True)
            del sides[name]
    for name, values in found.items():
        print(f"losses of three steps, {name}: " + " ".join(f"{value:.6f}" for value in values), flush=True)
        np.testing.assert_allclose(values[0], found[OURS][0], rtol=1e-4)
        np.testing.assert_allclose(values, found[OURS], rtol=5e-2)


def report(options, times) -> None:
    """Prints the medians and, unless something speaks against it, writes them down; the last line is the ratio."""
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    best = min((name for name in medians if name != OURS), key=medians.__getitem__)
    ratio = statistics.median(b / a for a, b in zip(times[OURS][1:], times[best][1:], strict=True))
    figures = {
        "device": side_by_side.device_name(),
        "versions": {"jax": jax.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "settings": {**{name: getattr(options, name) for name in SIZES}, "devices": options.devices},
        "strongest_peer": best,
        "seconds_per_step": {name: round(value, 4) for name, value in medians.items()},
        "all_seconds": {name: [round(value, 4) for value in values] for name, values in times.items()},
        "load_average_before": round(options.load, 2),
        "ratio": round(ratio, 3),
    }
    for name, value in medians.items():
        print(f"{name:<32} {value:.3f} s a step, median of {len(times[name]) - 1}")
    own = {name: getattr(options, name) for name in SIZES} == SIZES and jax.default_backend() == "cpu"
    side_by_side.keep(figures, RESULT, side_by_side.unwritten(options, own))
    what = f"EZ-VSL training step, {options.side} pixels, batch {options.batch}, {options.devices} device(s)"
    print(f"ratio {ratio:.2f} {what}: mmjax over PyTorch {torch.__version__}, {best}")


if __name__ == "__main__":
    main()
