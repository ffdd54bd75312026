"""Training steps of the networks that separate sounds, mmjax against PyTorch, alternating step by step in one run.

    python benchmarks/separation_step.py [--quick] [--side 256] [--unet-batch 16] [--frames 298] [--voices-batch 1]

* Sound of Pixels' U-Net: seven levels, 32 maps, one vector of a picture for each spectrogram, binary cross-entropy, SGD
  with momentum. 30,274,210 parameters, side x side.
* Looking to Listen: two faces of 1024 numbers, the squared error of its masks, Adam. 17,393,924 parameters; 298 frames
  are the paper's 3 s. One mixture, not the paper's six: six are eight million million operations a step, a minute of
  two cores for each side and round (--voices-batch 6 does it).

Ours are mmjax.engine.step.train_step of the very modules that the systems run, gradient norm included. Peers are the
networks as PyTorch users write them, the U-Net as the official code nests it, in float32, eager and compiled by
torch.compile (Inductor; left out, with a line, where that does not work), each in both memory formats: four peers, of
which the fastest counts. Both sides begin with the same weights, and the losses of two steps must agree before the
clock starts.

results/separation_step.json is written only by a full run at the default sizes that began at a load of at most 0.5, or
with --busy by one that had the machine's priority; any other run prints why it was not.
"""

from __future__ import annotations

import argparse
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
from torch import nn
from torch.nn import functional as F

from mmjax.engine import memory
from mmjax.models.joint.looking_to_listen import NARROW, VISUAL, LookingToListen, audio_layers
from mmjax.models.sound.unet import UNet
from mmjax.weights import sound_of_pixels, torch_layout

RESULT = pathlib.Path(__file__).parent / "results" / "separation_step.json"
SIZES = {"side": 256, "unet_batch": 16, "frames": 298, "voices_batch": 1}
QUICK = {"unet_batch": 2, "frames": 50, "voices_batch": 1}
LEVELS, WIDTH, MAPS = 7, 64, 32
BINS, FACE, SPEAKERS, UNITS = 257, 1024, 2, 400


def main() -> None:
    """The command line."""
    options = arguments()
    options.load = side_by_side.load()  # before our own work counts
    memory.keep()  # as train.py does, and for both sides
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    figures = {}
    for name, make in {"unet": unet, "looking_to_listen": looking_to_listen}.items():
        sides = make(options)
        peers.agree(sides, 2, 2e-2)
        found = side_by_side.alternate(sides, options.rounds, options.limit)
        figures[name] = measured(name, {side: values[1:] for side, values in found.items()})
    report(options, figures)


def arguments() -> argparse.Namespace:
    """The flags."""
    options = side_by_side.parser(__doc__, SIZES).parse_args()
    options.rounds, options.limit = (4, 20.0) if options.quick else (6, 100.0)
    if options.quick:
        for name, size in QUICK.items():
            setattr(options, name, min(getattr(options, name), size))
    return options


def measured(what: str, sides: Mapping[str, list[float]]) -> dict[str, Any]:
    """Medians and the ratio to the fastest peer of one network, printed as soon as they are known."""
    print(f"{what}:")
    seconds, ratios = peers.medians(sides), peers.ratios(sides)
    best = min(ratios, key=seconds.__getitem__)
    print(f"ratio {ratios[best]:.2f} {what} training step: mmjax over PyTorch {torch.__version__}, {best}", flush=True)
    return {"seconds_per_step": peers.rounded(seconds), "strongest_peer": best, "ratio": round(ratios[best], 3)}


def report(options: Any, networks: Mapping[str, Any]) -> None:
    """The file, if this run may write it."""
    settings = peers.settings(options, SIZES)
    figures = {"device": side_by_side.device_name(), "versions": peers.versions(), "settings": settings, **networks}
    figures["load_before"] = round(options.load, 2)
    side_by_side.keep(figures, RESULT, side_by_side.unwritten(options, settings == SIZES))


# -- Sound of Pixels' U-Net --------------------------------------------------------------------------------------------


class Block(nn.Module):
    """A level of the U-Net with all levels below it."""

    def __init__(self, level: int, inputs: int):
        super().__init__()
        inner = WIDTH * min(2**level, 8)
        down = nn.Conv2d(inputs, inner, 4, 2, 1, bias=False)
        grown = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.outermost = level == 0
        if level == LEVELS - 1:
            up = nn.Conv2d(inner, inputs, 3, padding=1, bias=False)
            layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), grown, up, nn.BatchNorm2d(inputs)]
        elif level == 0:
            layers = [down, Block(1, inner), nn.ReLU(True), grown, nn.Conv2d(2 * inner, MAPS, 3, padding=1)]
        else:
            up = nn.Conv2d(2 * inner, inputs, 3, padding=1, bias=False)
            layers = [nn.LeakyReLU(0.2, True), down, nn.BatchNorm2d(inner), Block(level + 1, inner)]
            layers += [nn.ReLU(True), grown, up, nn.BatchNorm2d(inputs)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class PeerUNet(nn.Module):
    """[b 1 f t] -> [b maps f t]."""

    def __init__(self) -> None:
        super().__init__()
        self.bn0, self.unet_block = nn.BatchNorm2d(1), Block(0, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.unet_block(self.bn0(x))


def unet(options: Any) -> dict[str, Callable[[], Any]]:
    """A step of each side."""
    rng, side = np.random.default_rng(0), options.side
    sound = rng.normal(size=(options.unet_batch, side, side)).astype(np.float32)
    picture = rng.normal(size=(options.unet_batch, MAPS)).astype(np.float32)
    target = rng.integers(0, 2, sound.shape).astype(np.float32)
    initial = PeerUNet().state_dict()
    theirs = {name: value.numpy().copy() for name, value in initial.items()}
    model = UNet(MAPS, LEVELS, WIDTH)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 2**LEVELS, 2**LEVELS)))
    made = torch_layout.assemble(theirs, sound_of_pixels.sound_layers(LEVELS), model, "the peer", shapes)

    def loss(variables, batch, key):
        own = {"params": variables["params"]["net"], "state": variables["state"]}
        maps, new = model.apply(own, batch["sound"], train=True, mutable=["state"])
        logits = jnp.einsum("bftk,bk->bft", maps, batch["picture"])
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, batch["target"])), (new["state"], {})

    batch = {"sound": sound, "picture": picture, "target": target}
    made = jax.tree.map(jnp.array, made)
    sides: dict[str, Callable[[], Any]] = {peers.OURS: peers.mmjax_step(made, loss, optax.sgd(1e-3, 0.9), batch)}
    return sides | peers.every_peer(functools.partial(torch_unet, initial, batch))


def torch_unet(initial, batch, layout, compiled) -> Callable[[], float]:
    """The same closure for PyTorch."""
    network = PeerUNet()
    network.load_state_dict(initial)
    network = network.to(memory_format=layout).train()
    optimiser = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
    sound, picture, target = (torch.from_numpy(batch[name]) for name in ("sound", "picture", "target"))

    def of(sound):
        logits = torch.einsum("bkft,bk->bft", network(sound), picture)
        return F.binary_cross_entropy_with_logits(logits, target)

    given = sound[:, None].contiguous(memory_format=layout)
    return peers.torch_step(optimiser, torch.compile(of) if compiled else of, given)


# -- Looking to Listen -------------------------------------------------------------------------------------------------


def looking_to_listen(options: Any) -> dict[str, Callable[[], Any]]:
    """A step of each side."""
    rng, pictures = np.random.default_rng(0), -(-options.frames // 4)
    sound = rng.normal(size=(options.voices_batch, options.frames, BINS, 2)).astype(np.float32)
    faces = rng.normal(size=(options.voices_batch, SPEAKERS, pictures, FACE)).astype(np.float32)
    target = rng.normal(size=(options.voices_batch, SPEAKERS, options.frames, BINS, 2)).astype(np.float32)
    model = LookingToListen(units=UNITS)
    fresh = jax.jit(model.init)(jax.random.key(0), sound[:1, :8], faces[:1, :, :2])
    made = jax.tree.map(jnp.array, dict(fresh))
    initial = jax.tree.map(np.array, fresh["params"])

    def loss(variables, batch, key):
        own = {"params": variables["params"]["net"], "state": variables["state"]}
        masks, new = model.apply(own, batch["sound"], batch["faces"], train=True, mutable=["state"])
        return jnp.mean(jnp.square(masks - batch["target"])), (new["state"], {})

    batch = {"sound": sound, "faces": faces, "target": target}
    sides: dict[str, Callable[[], Any]] = {peers.OURS: peers.mmjax_step(made, loss, optax.adam(3e-5), batch)}
    return sides | peers.every_peer(functools.partial(torch_voices, initial, batch))


class PeerVoices(nn.Module):
    """[b 2 t f] and [b s v d] -> [b s t f 2]."""

    def __init__(self, initial: Mapping[str, Any], frames: int):
        super().__init__()
        audio = [*((layer, 96) for layer in audio_layers()), (((1, 1), (1, 1)), NARROW)]
        visual = [(((kernel, 1), (dilation, 1)), 256) for kernel, dilation in VISUAL]
        self.audio, self.visual = self.stream(initial["audio"], audio, 2), self.stream(initial["visual"], visual, FACE)
        self.lstm = nn.LSTM(BINS * NARROW + SPEAKERS * 256, UNITS, batch_first=True, bidirectional=True)
        of, weights = initial["lstm"], dict(self.lstm.named_parameters())
        # Theirs: input, forget, cell, output; ours has the output third.
        order = np.concatenate([np.arange(UNITS) + UNITS * gate for gate in (0, 1, 3, 2)])
        for direction, end in (("forward", ""), ("backward", "_reverse")):
            for name, ours in (("weight_ih", "input"), ("weight_hh", "hidden"), ("bias_ih", "bias")):
                weights[f"{name}_l0{end}"].data = torch.from_numpy(of[f"{direction}_{ours}"].T[order].copy())
            weights[f"bias_hh_l0{end}"].data.zero_()
            weights[f"bias_hh_l0{end}"].requires_grad = False  # one bias, as in Keras
        layers = []
        for name in ("dense1", "dense2", "dense3", "mask"):
            inside, out = initial[name]["kernel"].shape
            dense = nn.Linear(inside, out)
            dense.weight.data = torch.from_numpy(initial[name]["kernel"].T.copy())
            dense.bias.data = torch.from_numpy(initial[name]["bias"].copy())
            layers += [dense, nn.ReLU(True)]
        self.dense = nn.Sequential(*layers[:-1])
        at = np.minimum(((np.arange(frames) + 1.25) / 4).astype(int), -(-frames // 4) - 1)
        self.register_buffer("at", torch.from_numpy(at))

    @staticmethod
    def stream(initial: Mapping[str, Any], layers: Any, inputs: int) -> nn.Sequential:
        made: list[nn.Module] = []
        for i, ((kernel, dilation), channels) in enumerate(layers, start=1):
            pads = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation, strict=True))
            conv = nn.Conv2d(inputs, channels, kernel, padding=pads, dilation=dilation)
            conv.weight.data = torch.from_numpy(initial[f"conv{i}"]["kernel"].transpose(3, 2, 0, 1).copy())
            conv.bias.data = torch.from_numpy(initial[f"conv{i}"]["bias"].copy())
            made += [conv, nn.BatchNorm2d(channels), nn.ReLU(True)]
            inputs = channels
        return nn.Sequential(*made)

    def forward(self, sound: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
        b, s, v, d = faces.shape
        heard = self.audio(sound).permute(0, 2, 3, 1).flatten(2)  # b t (f c)
        looks = self.visual(faces.reshape(b * s, v, d).transpose(1, 2)[..., None])[..., 0]
        looks = looks.reshape(b, s, -1, v)[..., self.at].permute(0, 3, 1, 2).flatten(2)  # b t (s c)
        x = self.lstm(torch.cat([heard, looks], -1))[0]
        x = self.dense(x[..., :UNITS] + x[..., UNITS:])
        return x.reshape(b, -1, s, BINS, 2).transpose(1, 2)


def torch_voices(initial, batch, layout, compiled) -> Callable[[], float]:
    """The same closure for PyTorch."""
    sound, faces, target = (torch.from_numpy(batch[name]) for name in ("sound", "faces", "target"))
    network = PeerVoices(initial, sound.shape[1]).to(memory_format=layout).train()
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-5, fused=True)

    def of(sound):
        return torch.mean(torch.square(network(sound, faces) - target))

    given = sound.permute(0, 3, 1, 2).contiguous(memory_format=layout)
    return peers.torch_step(optimiser, torch.compile(of) if compiled else of, given)


if __name__ == "__main__":
    main()
