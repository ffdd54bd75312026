"""Both sides of each part of accelerator.py: those of the other benchmarks, their peers compiled by torch.compile."""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Callable
from typing import Any
from unittest import mock

import _caption_peers as caption_peers
import beam_search
import clip_step
import gan_step
import jax
import jax.numpy as jnp
import numpy as np
import soundnet_step
import torch
from torch.nn import functional as F

from mmjax.models.drawing.reed import ReedDiscriminator, ReedGenerator
from mmjax.models.sound import soundnet as networks
from mmjax.models.text.show_attend_tell import PRESETS, ShowAttendTell

Step = Callable[[], float]
PEER = "torch.compile"
SAME = {"soundnet": 1e-2, "captioning": 1e-2, "clip": 2e-2, "gan": 1e-2}  # sides whose first losses must agree


def fast(function: Callable) -> Callable:
    """torch.compile; a CPU, on which nothing is judged here, only captures the graphs: its compiler takes minutes."""
    return torch.compile(function, backend="inductor" if device() == "cuda" else "eager")


def device() -> str:
    """Where PyTorch's side is."""
    return "cuda" if jax.default_backend() == "gpu" else "cpu"


@contextlib.contextmanager
def compiled(module: Any, **methods: tuple[str, ...]):
    """Inside, networks of a module that are made have these methods compiled: {class: names of methods}."""
    with contextlib.ExitStack() as patches:
        for name, own in methods.items():
            kind = getattr(module, name)
            made = type(name, (kind,), {method: fast(getattr(kind, method)) for method in own})
            patches.enter_context(mock.patch.object(module, name, made))
        yield


def half(step: Step) -> Step:
    """A step of PyTorch in bfloat16 where its autocast says so."""

    def once() -> float:
        with torch.autocast(device(), torch.bfloat16):
            return step()

    return once


def soundnet(dry: bool) -> dict[str, Step]:
    """SoundNet-8 with two heads, 64 clips of 20 s, bfloat16."""
    options = argparse.Namespace(batch=2 if dry else 64, seconds=1.0 if dry else 20.0, depth=5 if dry else 8)
    heads = {"object": 1000, "scene": 401}
    width = 0.125 if dry else 1.0
    model = networks.SoundNet(options.depth, *heads.values(), width=width, conv_bias=True, dtype=jnp.bfloat16)
    wave, teacher = soundnet_step.data(options, heads)
    initial = jax.tree.map(np.array, jax.jit(model.init)(jax.random.key(0), wave[:1])["params"])
    with compiled(soundnet_step, Peer=("forward",)):
        peer = soundnet_step.torch_step(options.depth, False, initial, wave, teacher)
    return {"mmjax": soundnet_step.mmjax_step(model, initial, wave, teacher), PEER: half(peer)}


def captioning(dry: bool) -> dict[str, Step]:
    """Show, Attend and Tell on features of 196 places, 32 captions of 20 words."""
    images, steps = (2, 3) if dry else (32, 20)
    model = ShowAttendTell(beam_search.WORDS, beam_search.CHANNELS, **PRESETS["sgrvinod"])
    rng = np.random.default_rng(0)
    shape = (images, beam_search.PLACES, beam_search.CHANNELS)
    features = np.maximum(rng.standard_normal(shape, np.float32), 0)
    tokens = rng.integers(4, beam_search.WORDS, (images, steps))
    w = beam_search.weights(model, features)
    step, params, moments = beam_search.our_step(model, w)
    ours = jnp.asarray(features), jnp.asarray(tokens, jnp.int32)

    def once() -> float:
        nonlocal params, moments
        params, moments, loss = step(params, moments, *ours)
        jax.block_until_ready(params)
        return float(loss)

    port = caption_peers.Port(w).to(device())
    optimiser = torch.optim.Adam(port.parameters(), beam_search.RATE, fused=True)
    theirs = torch.from_numpy(features).to(device()), torch.from_numpy(tokens).to(device())
    loss_of = fast(port.loss)

    def peer() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(*theirs)
        loss.backward()
        optimiser.step()
        return loss.item()

    return {"mmjax": once, PEER: peer}


def clip(dry: bool) -> dict[str, Step]:
    """ViT-B/32, 1,024 pairs, bfloat16."""
    sizes = {"width": 768, "layers": 12, "text_layers": 12, "patch": 32, "size": 224, "tokens": 76, "words": 49_408}
    sizes |= {"embed": 512, "batch": 1024}
    if dry:
        sizes |= {"width": 64, "layers": 1, "text_layers": 1, "size": 64, "words": 100, "embed": 16, "batch": 4}
    options = argparse.Namespace(**sizes, dtype="bfloat16", remat=False)
    towers, batch = clip_step.make(options), clip_step.data(options)
    initial = clip_step.start(towers, batch)
    sides = {"mmjax": clip_step.mmjax_step(towers, initial, batch)}
    for name, alone in ((PEER, False), (f"{PEER}, one place", True)):
        with compiled(clip_step, ImageTower=("forward",), TextTower=("forward",)):
            sides[name] = clip_step.torch_step(options, alone, initial, batch)
    return sides


def gan(dry: bool) -> dict[str, Step]:
    """GAN-CLS of the paper's code: 128 channels in the generator's last map, 64 in the discriminator's; 64 pictures."""
    features, batch = ((4, 4), 2) if dry else ((128, 64), 64)
    options = argparse.Namespace(batch=batch, sentence=1024, code=100)
    made = {"gen": ReedGenerator(features[0], 128), "disc": ReedDiscriminator(features[1], 128)}
    data = gan_step.data(options)
    initial = gan_step.start(made, data)
    with compiled(gan_step, Generator=("forward",), Discriminator=("see", "match")):
        peer = gan_step.torch_step(initial, data, True, "channels last")
    sides = {"mmjax": gan_step.mmjax_step(made, initial, data), PEER: peer}
    return {name: functools.partial(lambda step: float(step()[0]), step) for name, step in sides.items()}


def skipgram(dry: bool) -> tuple[Step, int]:
    """A step of word2vec's negative sampling on tables of a million words, and how many words it sees.

    Every pair has its own 15 noise words; the rows are read and their changes added by index, so that no array of a
    table's size is made; what lies between is compiled. A word has (window + 1) partners on average, as word2vec.c
    draws its windows.
    """
    vocabulary, dim, words, window, noise = (500, 16, 64, 5, 15) if dry else (1_000_000, 300, 16_384, 5, 15)
    pairs, rate = words * (window + 1), 0.025
    draw = torch.Generator(device()).manual_seed(0)
    place = {"device": device(), "generator": draw}
    centres = (torch.rand((vocabulary, dim), **place) - 0.5) / dim
    contexts = torch.zeros((vocabulary, dim), device=device())
    shapes = {"word": (pairs,), "partner": (pairs,), "noise": (pairs, noise)}
    index = {name: torch.randint(vocabulary, shape, **place) for name, shape in shapes.items()}

    @fast
    def changes(word, partner, others):
        near, far = (word * partner).sum(-1), torch.einsum("pd,pnd->pn", word, others)
        toward, away = 1 - torch.sigmoid(near), -torch.sigmoid(far)
        moved = toward[:, None] * partner + torch.einsum("pn,pnd->pd", away, others)
        loss = -F.logsigmoid(near).mean() - F.logsigmoid(-far).sum(-1).mean()
        return moved, toward[:, None] * word, away[..., None] * word[:, None], loss

    @torch.no_grad()
    def once() -> float:
        rows = centres[index["word"]], contexts[index["partner"]], contexts[index["noise"]]
        word, partner, others, loss = changes(*rows)
        centres.index_add_(0, index["word"], word, alpha=rate)
        contexts.index_add_(0, index["partner"], partner, alpha=rate)
        contexts.index_add_(0, index["noise"].flatten(), others.flatten(0, 1), alpha=rate)
        return loss.item()

    return once, words


SIDES = {"soundnet": soundnet, "captioning": captioning, "clip": clip, "gan": gan}
