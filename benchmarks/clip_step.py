"""A whole training step of CLIP, mmjax against PyTorch, alternating step by step in one run.

    python benchmarks/clip_step.py [--quick] [--device cpu|gpu] [--dtype float32|bfloat16] [--remat] [--batch 64] ...

A step is both towers' forward pass, the symmetric cross-entropy over all pairs, the backward pass and AdamW, on one
device with all its cores; no data is loaded. Both sides start from the same weights, see the same batch, and must agree
on the loss of the first two steps before the clock starts. The default sizes suit two cores: a vision transformer of
width 256 with 6 blocks on 112 x 112 pixels in patches of 16, and a text transformer of width 256 with 4 blocks.

The PyTorch peer is written as OpenAI's and open_clip's towers are, with PyTorch's fused attention
(scaled_dot_product_attention) and fused AdamW. Those compute every place of the last block and then read one; mmjax
computes the one alone, so a peer "one place" does as well. Each is run eager and under torch.compile: four peers, of
which the fastest counts, in the last line. `--peers` runs them without mmjax.

Both libraries take their memory from the C library, and both keep it between steps, as train.py does
(mmjax/engine/memory.py): pages that are mapped anew at every step cost both. A step's share is that of its products'
operations per second in what its library reaches in one large product in this run.

Judge the ratio on an idle machine only: PyTorch's threads wait for each other by spinning, and lose to whatever else
runs. So results/clip_step.json is written only by a full run at the default sizes that began on a machine with at most
half a core busy, or with --busy by one that had the machine's priority; any other run prints why it was not.
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
from torch.utils.checkpoint import checkpoint

from mmjax.engine import memory
from mmjax.losses import contrastive
from mmjax.models.joint import clip
from mmjax.models.vision.vision_transformer import MEAN, STD

RESULT = pathlib.Path(__file__).parent / "results" / "clip_step.json"
RATE, DECAY, BETAS, EPSILON = 5e-4, 0.2, (0.9, 0.98), 1e-6  # the paper's for vision transformers
SIZES = {"width": 256, "layers": 6, "text_layers": 4, "patch": 16, "size": 112, "tokens": 24, "words": 8192}
SIZES |= {"embed": 256, "batch": 64}
OURS = "mmjax"
PEERS = {  # every place or one of the last block, compiled or not
    "torch, eager": (False, False),
    "torch, one place, eager": (True, False),
    "torch, compiled": (False, True),
    "torch, one place, compiled": (True, True),
}


def main() -> None:
    """The command line."""
    options = arguments()
    options.load = side_by_side.load()  # before our own work counts
    if options.device:
        jax.config.update("jax_platforms", {"cpu": "cpu", "gpu": "cuda"}[options.device])
    options.dtype = options.dtype or ("bfloat16" if jax.default_backend() == "gpu" else "float32")
    options.kept = memory.keep()
    torch.set_num_threads(os.cpu_count() or 1)
    side_by_side.peer_without_avx512(torch)
    torch.backends.cuda.matmul.allow_tf32 = True  # as JAX does by default
    towers = make(options)
    batch = data(options)
    initial = start(towers, batch)
    steps = {} if options.peers else {OURS: mmjax_step(towers, initial, batch)}
    for name, chosen in PEERS.items():
        steps[name] = torch_step(options, chosen[0], initial, batch, chosen[1])
    agree(steps, 1e-4 if options.dtype == "float32" else 2e-2)
    operations = count(steps)
    products.report(
        f"CLIP training step, batch {options.batch}, {options.dtype}",
        options,
        operations,
        side_by_side.alternate(steps, options.rounds, options.limit),
        path=RESULT,
        own=all(getattr(options, name) == value for name, value in SIZES.items()) and not options.remat,
        settings={name: getattr(options, name) for name in (*SIZES, "dtype", "remat")},
        peer="PyTorch, scaled_dot_product_attention, fused AdamW",
    )


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = side_by_side.parser(__doc__, SIZES)
    parser.add_argument("--note", default="", help="of instructions that are masked, for the device's name")
    parser.add_argument("--peers", action="store_true", help="the peers alone")
    parser.add_argument("--device", choices=("cpu", "gpu"), help="default: what JAX finds")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: bfloat16 on a GPU")
    parser.add_argument("--remat", action="store_true", help="compute the blocks again in the backward pass")
    options = parser.parse_args()
    options.rounds, options.limit = (7, 20.0) if options.quick else (31, 80.0)
    return options


def make(options):
    """Our two towers."""
    heads, width = max(options.width // 64, 1), options.width
    image = {"kind": "vit", "width": width, "layers": options.layers, "heads": heads, "patch": options.patch}
    text = {"width": width, "layers": options.text_layers, "heads": heads, "context": options.tokens + 1}
    both = {"dtype": jnp.dtype(options.dtype), "remat": options.remat, "vocabulary": options.words}
    return clip.towers({**image, "image_size": options.size}, text, options.embed, **both)


def data(options):
    """Pictures of noise, and texts of 4 to `tokens` words; the last of each is <end>, 2."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (options.batch, options.size, options.size, 3)).astype(np.uint8)
    length = rng.integers(4, options.tokens + 1, options.batch).astype(np.int32)
    tokens = rng.integers(4, options.words, (options.batch, options.tokens)).astype(np.int32)
    place = np.arange(options.tokens)[None]
    tokens = np.where(place < length[:, None] - 1, tokens, np.where(place == length[:, None] - 1, 2, 0))
    return image, tokens.astype(np.int32), length


def start(towers, batch):
    """The weights that all sides start from, NumPy."""
    image, tokens, length = batch
    keys = jax.random.split(jax.random.key(0))
    made = {
        "image": jax.jit(towers[0].init)(keys[0], image[:1])["params"],
        "text": jax.jit(towers[1].init)(keys[1], tokens[:1], length[:1])["params"],
        "log_scale": jnp.log(jnp.float32(1 / 0.07)),
    }
    return jax.tree.map(np.array, made)


# -- mmjax -------------------------------------------------------------------------------------------------------------


def unit(x):
    """Rows at length 1."""
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def mmjax_step(towers, initial, batch) -> Callable[[], float]:
    """A closure that takes one step, waits for it, and returns the loss."""
    optimiser = optax.adamw(RATE, *BETAS, EPSILON, weight_decay=DECAY)

    def loss(params, image, tokens, length):
        z = towers[0].apply({"params": params["image"]}, image)
        y = towers[1].apply({"params": params["text"]}, tokens, length)
        return jnp.mean(contrastive.clip(unit(z), unit(y), contrastive.scale(params["log_scale"])))

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry, image, tokens, length):
        params, moments = carry
        value, gradient = jax.value_and_grad(loss)(params, image, tokens, length)
        change, moments = optimiser.update(gradient, moments, params)
        return (optax.apply_updates(params, change), moments), value

    params = jax.tree.map(jnp.array, initial)
    carry = (params, optimiser.init(params))
    batch = jax.tree.map(jnp.asarray, batch)

    def once() -> float:
        nonlocal carry
        carry, value = step(carry, *batch)
        jax.block_until_ready(carry)
        return float(value)

    once.operations = functools.partial(products.of_jax, step, carry, *batch)
    return once


# -- PyTorch -----------------------------------------------------------------------------------------------------------


def filled(layer, values):
    """A layer of PyTorch with our weights."""
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(torch.from_numpy(np.array(value)))
    return layer


def linear(made):
    kernel = made["kernel"]
    layer = nn.Linear(*kernel.shape, bias="bias" in made)
    return filled(layer, {"weight": kernel.T, **({"bias": made["bias"]} if "bias" in made else {})})


def norm(made):
    return filled(nn.LayerNorm(len(made["scale"])), {"weight": made["scale"], "bias": made["bias"]})


class Block(nn.Module):
    """CLIP's residual block with PyTorch's fused attention; `alone` computes one place of each row."""

    def __init__(self, made, heads, causal, alone):
        super().__init__()
        self.heads, self.causal, self.alone = heads, causal, alone
        self.qkv, self.out = linear(made["qkv"]), linear(made["attention_out"])
        self.first, self.second = linear(made["network_in"]), linear(made["network_out"])
        self.norm1, self.norm2 = norm(made["attention_norm"]), norm(made["network_norm"])

    def split(self, x, parts):
        return x.unflatten(-1, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def forward(self, x, place):
        y, mask, causal, w = self.norm1(x), None, self.causal, x.shape[-1]
        if self.alone:
            rows = torch.arange(len(x), device=x.device)
            own, x = y[rows, place][:, None], x[rows, place][:, None]
            (query,) = self.split(F.linear(own, self.qkv.weight[:w], self.qkv.bias[:w]), 1)
            key, value = self.split(F.linear(y, self.qkv.weight[w:], self.qkv.bias[w:]), 2)
            if causal:
                mask, causal = torch.arange(y.shape[1], device=x.device) <= place[:, None, None, None], False
        else:
            query, key, value = self.split(self.qkv(y), 3)
        heard = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        x = x + self.out(heard.transpose(1, 2).flatten(2))
        y = self.first(self.norm2(x))
        return x + self.second(y * torch.sigmoid(1.702 * y))


class Tower(nn.Module):
    """What both towers share: blocks, one place read, the last norm and matrix."""

    def __init__(self, made, heads, causal, options, alone):
        super().__init__()
        blocks = made["blocks"]
        self.blocks = nn.ModuleList(
            Block(blocks[f"block{i}"], heads, causal, alone and i + 1 == len(blocks)) for i in range(len(blocks))
        )
        self.positions = nn.Parameter(torch.from_numpy(made["positions"].copy()))
        self.norm, self.projection = norm(made["norm_after"]), linear(made["projection"])
        self.remat, self.patch = options.remat, options.patch

    def read(self, x, place):
        for block in self.blocks:
            x = checkpoint(block, x, place, use_reentrant=False) if self.remat else block(x, place)
        x = x[:, 0] if x.shape[1] == 1 else x[torch.arange(len(x), device=x.device), place]
        return F.normalize(self.projection(self.norm(x)).float(), dim=-1)


class ImageTower(Tower):
    """Patches by a convolution, as in the original."""

    def __init__(self, made, heads, options, alone):
        super().__init__(made, heads, False, options, alone)
        self.token = nn.Parameter(torch.from_numpy(made["class_token"].copy()))
        self.before, p = norm(made["norm_before"]), options.patch
        kernel = made["patches"]["kernel"].reshape(p, p, 3, -1).transpose(3, 2, 0, 1)
        self.patches = filled(nn.Conv2d(3, len(kernel), p, p, bias=False), {"weight": kernel})

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.to(x.dtype).expand(len(x), 1, -1), x], 1) + self.positions
        return self.read(self.before(x), torch.zeros(len(x), dtype=torch.long, device=x.device))


class TextTower(Tower):
    """<start>, 1, is put before the tokens."""

    def __init__(self, made, heads, options, alone):
        super().__init__(made, heads, True, options, alone)
        self.words = filled(nn.Embedding(*made["words"].shape), {"weight": made["words"]})

    def forward(self, tokens, length):
        return self.read(self.words(F.pad(tokens, (1, 0), value=1)) + self.positions, length)


def torch_step(options, alone, initial, batch, compiled=False) -> Callable[[], float]:
    """The same closure for PyTorch; the whole loss is compiled, forward and backward."""
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    heads = max(options.width // 64, 1)
    scale = nn.Parameter(torch.tensor(float(initial["log_scale"]), device=device))
    towers = nn.ModuleList(
        [ImageTower(initial["image"], heads, options, alone), TextTower(initial["text"], heads, options, alone)]
    ).to(device)
    parameters = [*towers.parameters(), scale]
    optimiser = torch.optim.AdamW(parameters, RATE, BETAS, EPSILON, DECAY, fused=True)
    image, tokens, length = (torch.from_numpy(x).to(device) for x in batch)
    tokens, length = tokens.long(), length.long()
    mean, std = (torch.tensor(v, device=device).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    target = torch.arange(options.batch, device=device)
    half = torch.autocast(device, torch.bfloat16, enabled=options.dtype == "bfloat16")

    def of(image, tokens, length):
        with half:
            pictures = (image.permute(0, 3, 1, 2).float() - mean) / std
            z, y = towers[0](pictures), towers[1](tokens, length)
        logits = scale.exp().clamp(max=100) * z @ y.T
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    of = torch.compile(of, dynamic=False) if compiled else of

    def once() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = of(image, tokens, length)
        loss.backward()
        optimiser.step()
        return loss.item()

    return once


# -- the run -----------------------------------------------------------------------------------------------------------


def agree(steps, tolerance) -> None:
    """All take two steps from the same weights; the losses before and after the first update must be the same."""
    for number in (1, 2):
        values = {name: once() for name, once in steps.items()}
        print(f"loss of step {number}: " + ", ".join(f"{name} {x:.6f}" for name, x in values.items()), flush=True)
        for value in values.values():
            np.testing.assert_allclose(value, next(iter(values.values())), rtol=tolerance * (1 if number == 1 else 50))


def count(steps) -> dict[str, float]:
    """Operations of the products of each side's step; what is compiled is counted as its eager form is."""
    found = {OURS: steps[OURS].operations()} if OURS in steps else {}
    eager = {alone: products.of_torch(steps[name]) for name, (alone, compiled) in PEERS.items() if not compiled}
    return found | {name: eager[alone] for name, (alone, _) in PEERS.items()}


if __name__ == "__main__":
    main()
