"""A whole training step of GAN-CLS, mmjax against PyTorch, alternating step by step in one run.

    python benchmarks/gan_step.py [--quick] [--device cpu|gpu] [--features 32] [--batch 32] ...

A step is the discriminator's update and then the generator's: pictures drawn from codes and texts, real pictures with
their own and with wrong texts, drawn pictures with theirs (Reed et al. 2016, algorithm 1), cross-entropy, the backward
passes, BatchNorm by each batch, and Adam (2e-4, beta1 0.5), in float32, on one device with all its cores. Ours is
mmjax.engine.step.train_step as every system runs it, gradient norms included, on the networks of
mmjax.models.drawing.reed; no data is loaded and no sentence is read (the texts are vectors of 1024 numbers, as the
paper's code had them). The default sizes suit two cores: 32 channels where the paper has 128 and 64. Both sides start
from the same weights, see the same batch and codes, and must agree on both losses of the first two steps before the
clock starts.

The PyTorch peer has the same networks written as its users write them (nn.ConvTranspose2d, nn.Conv2d, nn.BatchNorm2d,
fused Adam) and sees the real pictures once, laying both texts beside them, as mmjax does; in both memory formats, eager
and compiled, of which the fastest is the peer of the last line. As in the original, a picture is drawn once a step and
the discriminator sees three batches, real, real with wrong texts, drawn; that is a peer of its own, eager, in the
faster of both formats. Ours writes the drawing down in both updates, from the same codes and weights; whether XLA
computes it once was not looked into.

Judge the ratio on an idle machine only: PyTorch's threads wait for each other by spinning, and lose to whatever else
runs. So results/gan_step.json is written only by a full run at the default sizes that began with half a core
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
import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from _step_peers import OURS
from torch import nn
from torch.nn import functional as F

from mmjax.engine import memory
from mmjax.engine import step as steps
from mmjax.losses import adversarial
from mmjax.models.drawing.reed import ReedDiscriminator, ReedGenerator
from mmjax.task import Task, Update

RESULT = pathlib.Path(__file__).parent / "results" / "gan_step.json"
RATE, BETAS = 2e-4, (0.5, 0.999)  # the paper's
SIZES = {"features": 32, "batch": 32, "code": 100, "sentence": 1024, "text": 128}
TWICE = "torch, real pictures seen twice"


def main() -> None:
    """The command line."""
    options = arguments()
    options.load = side_by_side.load()  # before our own work counts
    memory.keep()  # as train.py does, and for both sides
    if options.device:
        jax.config.update("jax_platforms", {"cpu": "cpu", "gpu": "cuda"}[options.device])
    torch.set_num_threads(os.cpu_count() or 1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as JAX does by default
    networks = {
        "gen": ReedGenerator(options.features, options.text),
        "disc": ReedDiscriminator(options.features, options.text),
    }
    batch = data(options)
    initial = start(networks, batch)
    peer = functools.partial(torch_step, initial, batch)
    sides = {OURS: mmjax_step(networks, initial, batch), **peers.every_peer(functools.partial(peer, True))}
    sides |= {f"{TWICE}, {form}": peer(False, layout, False) for form, layout in peers.LAYOUTS.items()}
    peers.agree(sides, 2, 2e-2)
    report(options, side_by_side.alternate(sides, options.rounds, options.limit))


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = side_by_side.parser(__doc__, SIZES)
    parser.add_argument("--device", choices=("cpu", "gpu"), help="default: what JAX finds")
    options = parser.parse_args()
    options.rounds, options.limit = (7, 20.0) if options.quick else (31, 100.0)
    return options


def data(options):
    """Pictures of noise, texts and codes; the wrong text of a picture is its neighbour's."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (options.batch, 64, 64, 3)).astype(np.uint8)
    text = rng.normal(size=(options.batch, options.sentence)).astype(np.float32)
    code = rng.normal(size=(options.batch, options.code)).astype(np.float32)
    return {"image": image, "text": text, "wrong": np.roll(text, 1, axis=0), "code": code}


def start(networks, batch):
    """The variables that all sides start from, NumPy."""
    keys = jax.random.split(jax.random.key(0))
    image = np.zeros((2, 64, 64, 3), np.float32)
    pair = {"gen": (batch["code"][:2], batch["text"][:2]), "disc": (image, [batch["text"][:2]])}
    made = {
        name: jax.jit(functools.partial(networks[name].init, train=True))(key, *pair[name])
        for name, key in zip(networks, keys)
    }
    return jax.tree.map(np.array, made)


# -- mmjax -------------------------------------------------------------------------------------------------------------


def applied(networks, variables, name, *inputs):
    """What a network gives in training, and its new BatchNorm statistics."""
    own = {"params": variables["params"][name], "state": variables["state"][name]}
    out, new = networks[name].apply(own, *inputs, train=True, mutable=["state"])
    return out, new["state"]


def judge_loss(networks, variables, batch, key):
    """The discriminator's loss; its statistics follow the real and the drawn pictures."""
    drawn, _ = applied(networks, variables, "gen", batch["code"], batch["text"])
    real = batch["image"].astype(jnp.float32) / 127.5 - 1.0
    (logits, _), state = applied(networks, variables, "disc", real, [batch["text"], batch["wrong"]])
    (own,), (wrong,) = logits
    seen = {**variables, "state": {**variables["state"], "disc": state}}
    (((fake,),), _), state = applied(networks, seen, "disc", jax.lax.stop_gradient(drawn), [batch["text"]])
    value = jnp.mean(adversarial.discriminator(own[:, 0], fake[:, 0], wrong[:, 0]))
    return value, ({**variables["state"], "disc": state}, {})


def draw_loss(networks, variables, batch, key):
    """The generator's loss; its own statistics follow what it draws."""
    drawn, state = applied(networks, variables, "gen", batch["code"], batch["text"])
    (((fake,),), _), _ = applied(networks, variables, "disc", drawn, [batch["text"]])
    return jnp.mean(adversarial.generator(fake[:, 0])), ({**variables["state"], "gen": state}, {})


def mmjax_step(networks, initial, batch) -> Callable[[], tuple[float, float]]:
    """A closure that takes one step, waits for it, and returns both losses."""

    def init(key, batch):
        kinds = ("params", "state")
        found = {kind: {name: jax.tree.map(jnp.array, made[kind]) for name, made in initial.items()} for kind in kinds}
        return {**found, "frozen": {}}

    updates = tuple(
        Update(name, functools.partial(loss, networks)) for name, loss in (("disc", judge_loss), ("gen", draw_loss))
    )
    task = Task((), init, updates, metrics=lambda *_: {}, predict=lambda *_: {})
    optimisers = {name: optax.adam(RATE, *BETAS) for name in networks}
    key = jax.random.key(0)
    state = steps.create(task, optimisers, key, batch)
    compiled = jax.jit(functools.partial(steps.train_step, task, optimisers), donate_argnums=0)
    batch = jax.tree.map(jnp.asarray, batch)

    def once() -> tuple[float, float]:
        nonlocal state
        state, logs = compiled(state, batch, key)
        jax.block_until_ready(state)
        return float(logs["loss/disc"]), float(logs["loss/gen"])

    return once


# -- PyTorch -----------------------------------------------------------------------------------------------------------


def filled(layer, values):
    """A layer of PyTorch with our weights."""
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(torch.from_numpy(np.array(value)))
    return layer


def conv(made, padding=0):
    kernel = made["kernel"].transpose(3, 2, 0, 1)
    return filled(nn.Conv2d(*kernel.shape[1::-1], kernel.shape[2], 1, padding, bias=False), {"weight": kernel})


def halve(made):
    kernel = made["conv"]["kernel"]  # two by two blocks of two by two pixels
    u, v, channels, features = kernel.shape
    kernel = kernel.reshape(u, v, 2, 2, channels // 4, features).transpose(5, 4, 0, 2, 1, 3)
    kernel = kernel.reshape(features, channels // 4, 4, 4)
    return filled(nn.Conv2d(channels // 4, features, 4, 2, 1, bias=False), {"weight": kernel})


def double(made):
    kernel = made["conv"]["kernel"]
    u, v, channels, features = kernel.shape
    kernel = kernel.reshape(u, v, channels, 2, 2, features // 4)[::-1, ::-1].transpose(2, 5, 0, 3, 1, 4)
    kernel = kernel.reshape(channels, features // 4, 4, 4)
    return filled(nn.ConvTranspose2d(channels, features // 4, 4, 2, 1, bias=False), {"weight": kernel})


def linear(made):
    return filled(nn.Linear(*made["kernel"].shape), {"weight": made["kernel"].T, "bias": made["bias"]})


def norm(made, kind=nn.BatchNorm2d):
    return filled(kind(len(made["scale"])), {"weight": made["scale"], "bias": made["bias"]})


class Bottleneck(nn.Module):
    """The residual branch of both networks."""

    def __init__(self, made, act):
        super().__init__()
        self.convs = nn.ModuleList(conv(made[f"conv{i}"], 0 if i == 0 else 1) for i in range(3))
        self.norms = nn.ModuleList(norm(made[f"norm{i}"]) for i in range(3))
        self.act = act

    def forward(self, x):
        y = x
        for i, (layer, normed) in enumerate(zip(self.convs, self.norms)):
            y = normed(layer(y))
            y = self.act(y) if i < 2 else y
        return self.act(x + y)


class Generator(nn.Module):
    """The generator of main_cls_int.lua."""

    def __init__(self, made):
        super().__init__()
        kernel = made["start"]["kernel"].reshape(len(made["start"]["kernel"]), 4, 4, -1).transpose(0, 3, 1, 2)
        first = nn.ConvTranspose2d(*kernel.shape[:2], 4, bias=False)
        self.text, self.start, self.norm4 = linear(made["text"]), filled(first, {"weight": kernel}), norm(made["norm4"])
        self.block4, self.block8 = (Bottleneck(made[name], F.relu) for name in ("block4", "block8"))
        self.ups = nn.ModuleList(double(made[f"up{side}"]) for side in (8, 16, 32, 64))
        self.norms = nn.ModuleList(norm(made[f"norm{side}"]) for side in (8, 16, 32))

    def forward(self, code, text):
        x = torch.cat([code, F.leaky_relu(self.text(text), 0.2)], 1)[:, :, None, None]
        x = self.block4(self.norm4(self.start(x)))
        x = self.block8(self.norms[0](self.ups[0](x)))
        for i in (1, 2):
            x = F.relu(self.norms[i](self.ups[i](x)))
        return torch.tanh(self.ups[3](x))


class Discriminator(nn.Module):
    """The discriminator of main_cls_int.lua; `see` and `match` apart, for several texts beside one picture."""

    def __init__(self, made):
        super().__init__()
        self.downs = nn.ModuleList(halve(made[f"down{side}"]) for side in (32, 16, 8, 4))
        self.norms = nn.ModuleList(norm(made[f"norm{side}"]) for side in (16, 8, 4))
        self.block4 = Bottleneck(made["block4"], functools.partial(F.leaky_relu, negative_slope=0.2))
        self.text, self.text_norm = linear(made["text"]), norm(made["text_norm"], nn.BatchNorm1d)
        self.joint, self.joint_norm, self.out = conv(made["joint"]), norm(made["joint_norm"]), conv(made["out"])

    def see(self, image):
        x = F.leaky_relu(self.downs[0](image), 0.2)
        for i, (layer, normed) in enumerate(zip(self.downs[1:], self.norms)):
            x = normed(layer(x))
            x = F.leaky_relu(x, 0.2) if i == 0 else x
        return self.block4(x)

    def match(self, x, text):
        told = F.leaky_relu(self.text_norm(self.text(text)), 0.2)
        x = torch.cat([x, told[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
        return self.out(F.leaky_relu(self.joint_norm(self.joint(x)), 0.2)).flatten()


def torch_step(initial, batch, shared, layout, compiled) -> Callable[[], tuple[float, float]]:
    """The same closure for PyTorch; `shared`: real pictures go through the discriminator once, not once a text."""
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    made = [kind(initial[name]["params"]) for name, kind in (("gen", Generator), ("disc", Discriminator))]
    generator, discriminator = (network.to(device, memory_format=layout) for network in made)
    of_gen, of_disc = (
        torch.optim.Adam(network.parameters(), RATE, BETAS, fused=True) for network in (generator, discriminator)
    )
    draw, see, match = generator, discriminator.see, discriminator.match
    if compiled:
        draw, see, match = (torch.compile(part) for part in (draw, see, match))
    image, text, wrong, code = (torch.from_numpy(batch[name]).to(device) for name in ("image", "text", "wrong", "code"))

    def bce(logits, real):
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    def once() -> tuple[float, float]:
        real = (image.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=layout)
        drawn = draw(code, text)
        of_disc.zero_grad(set_to_none=True)
        if shared:
            seen = see(real)
            own, other = match(seen, text), match(seen, wrong)
        else:
            own, other = match(see(real), text), match(see(real), wrong)
        fake = match(see(drawn.detach()), text)
        judged = bce(own, True) + 0.5 * bce(other, False) + 0.5 * bce(fake, False)
        judged.backward()
        of_disc.step()
        of_gen.zero_grad(set_to_none=True)
        fooled = bce(match(see(drawn), text), True)
        fooled.backward(inputs=list(generator.parameters()))  # the discriminator's own gradients are not needed
        of_gen.step()
        return judged.item(), fooled.item()

    return once


# -- the run -----------------------------------------------------------------------------------------------------------


def report(options, times) -> None:
    """Prints the medians and, unless something speaks against it, writes them down; the last line is the ratio."""
    medians, ratios = peers.medians(times), peers.ratios(times)
    once, twice = (
        min((name for name in ratios if name.startswith(TWICE) == second), key=medians.__getitem__)
        for second in (False, True)
    )
    settings = peers.settings(options, SIZES)
    figures = {
        "device": side_by_side.device_name(),
        "versions": peers.versions(flax=flax.__version__),
        "settings": settings,
        "strongest_peers": [once, twice],
        "seconds_per_step": peers.rounded(medians),
        "all_seconds": {name: [round(value, 4) for value in values] for name, values in times.items()},
        "pictures_per_second": round(options.batch / medians[OURS], 1),
        "load_average_before": round(options.load, 2),
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }
    own = settings == SIZES and jax.default_backend() == "cpu"
    side_by_side.keep(figures, RESULT, side_by_side.unwritten(options, own))
    what = f"GAN-CLS training step, {options.features} channels, batch {options.batch}: mmjax over PyTorch"
    print(f"ratio {ratios[twice]:.2f} {what} {torch.__version__}, {twice}")
    print(f"ratio {ratios[once]:.2f} {what} {torch.__version__}, {once}")


if __name__ == "__main__":
    main()
