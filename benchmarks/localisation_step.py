"""A whole training step of EZ-VSL, mmjax against PyTorch, alternating step by step in one run.

    python benchmarks/localisation_step.py [--quick] [--devices 1] [--side 224] [--batch 32]

Two ResNet-18 from the same fresh weights, pictures of noise and 3 s of noise as sound, the best place of each pair,
both cross-entropies, the backward pass, BatchNorm by each batch, and Adam (1e-4), in float32. Ours is
mmjax.engine.step.train_step as the system of configs/sound_localisation.py:ezvsl runs it, gradient norm included. Both
sides are given pixels and samples, and make their log spectra of them in the step.

The peer is torchvision's networks joined as EZ-VSL's paper says, eager and compiled by torch.compile (Inductor; left
out, with a line, where that does not work), each in both memory formats: four peers, of which the fastest counts.
Losses of the first three steps must agree before the clock starts.

results/localisation_step.json is written only by a full run at the default sizes that began with half a core
busy at most, or with --busy by one that had the machine's priority; any other run prints why it was not.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
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
from mmjax.losses import localisation as losses
from mmjax.models.joint.localiser import RATE, SCALE, Localiser
from mmjax.models.vision import resnet
from mmjax.ops import collective
from mmjax.ops.sound.power_spectrum import FLOOR, tukey
from mmjax.weights import localisers

RESULT = pathlib.Path(__file__).parent / "results" / "localisation_step.json"
SIZES = {"side": 224, "batch": 32}
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
    options.load = side_by_side.load()  # before our own work counts
    memory.keep()  # as train.py does, and for both sides
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
    sides = {peers.OURS: mmjax_step(initial, batch)}
    sides |= peers.every_peer(functools.partial(torch_step, initial, batch))
    peers.agree(sides, 3, 5e-2)
    times = side_by_side.alternate(sides, options.rounds, options.limit)
    what = f"EZ-VSL training step, {options.side} pixels, batch {options.batch}, {options.devices} device(s)"
    peers.report(options, times, SIZES, RESULT, what)


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

    def loss(variables, batch, key):
        own = {"params": variables["params"]["net"], "state": variables["state"]}
        (places, sounds), new = model.apply(own, batch["image"], batch["waveform"], train=True, mutable=["state"])
        values = losses.ez_vsl(places[..., 0, :], sounds[:, 0], temperature=TEMPERATURE)
        return collective.mean_where(values, jnp.ones(len(values), bool)), (new["state"], {})

    return peers.mmjax_step(made, loss, optax.adam(LEARNING_RATE), batch)


def theirs(initial) -> dict[str, np.ndarray]:
    """The peer's weights by name, as a file of released ones would hold them."""
    return {name: value.numpy().copy() for name, value in initial.items()}


def torch_step(initial, batch, layout, compiled) -> Callable[[], float]:
    """The same closure for PyTorch."""
    network = Network()
    network.load_state_dict(initial)
    network = network.to(memory_format=layout).train()
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (resnet.MEAN, resnet.STD))
    image, waveform = torch.from_numpy(batch["image"]), torch.from_numpy(batch["waveform"])

    def of(image, spectrum):
        x = (image.permute(0, 3, 1, 2).float() - mean) / std
        return network(x.contiguous(memory_format=layout), spectrum)

    forward = torch.compile(of) if compiled else of  # spectra outside: Inductor makes nothing of complex numbers

    def whole(image, waveform):
        return forward(image, log_spectrum(waveform).contiguous(memory_format=layout))

    return peers.torch_step(optimiser, whole, image, waveform)


def log_spectrum(waveform: torch.Tensor) -> torch.Tensor:
    """What scipy.signal.spectrogram makes of it in the authors' code, its logarithm, scaled, [b 1 freq frames]."""
    frames = (waveform.float() / 32_768).unfold(-1, 512, 512 - 274)
    frames = frames - frames.mean(-1, keepdim=True)
    sides = torch.full((257,), 2.0)
    sides[[0, -1]] = 1.0
    window = torch.from_numpy(tukey(512)).float()
    density = torch.fft.rfft(frames * window).abs().square() * (sides / (RATE * window.square().sum()))
    return (density + FLOOR).log().transpose(1, 2)[:, None] / SCALE


if __name__ == "__main__":
    main()
