"""ResDAVEnet-VQ and ABX: mmjax against PyTorch and against the plain loop, alternating in one run.

    python benchmarks/units_step.py [--quick] [--part step|abx] [--batch 16] [--frames 1024] [--triples 2000] ...

step: a training step at the official script's sizes (widths 128, 256, 256, 512, 1024, kernel 9, position 3 quantised
with 1,024 codes) in float32: forward, the codebook's moving averages, semi-hard triplets with given points of pictures
and the commitment, backward, Adam with its weight decay. PyTorch's network is written here after the official one, as
two-dimensional convolutions over (1, time), in both memory formats, eager and compiled; both start from the same
weights, have no jitter, and must agree in their losses before the clock counts.
abx: triples of utterances of 50 to --longest steps, whose distances are mean angles along the best path of dynamic time
warping: all at once in batches of --at-once, against one pair after the other with NumPy's angles and a loop in Python
over the cells, of which a few triples are taken and the time of all is told. Both must give the same margins.

results/units_step.json is written only by a full run at the default sizes that began on a machine with at most half a
core busy; any other run prints why it was not.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import time

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
from mmjax.metrics import abx
from mmjax.models.sound.resdavenet_vq import ResDavenetVQ

RESULT = pathlib.Path(__file__).parent / "results" / "units_step.json"
SIZES = {"batch": 16, "frames": 1024, "triples": 2000, "longest": 110, "at_once": 100, "width": 64}
PARTS = ("step", "abx")
WIDTHS, CODES, POSITION = (128, 256, 256, 512, 1024), 1024, 3
RATE, DECAY, KEEP, ONE_BY_ONE = 2e-4, 5e-7, 0.99, 4


def main() -> None:
    """The command line."""
    parser = side_by_side.parser(__doc__, SIZES)
    parser.add_argument("--part", choices=PARTS, default="", help="one of the two alone")
    options = parser.parse_args()
    options.load = side_by_side.load()
    memory.keep()
    torch.set_num_threads(os.cpu_count() or 1)
    options.rounds, options.limit = (3, 10.0) if options.quick else (8, 60.0)
    figures = {part: globals()[f"{part}_part"](options) for part in PARTS if options.part in ("", part)}
    settings = peers.settings(options, SIZES)
    own = not options.part and settings == SIZES
    about = {"versions": peers.versions(), "settings": settings}
    found = {**about, "cores_busy_before": round(options.load, 2), **figures}
    side_by_side.keep_of_device(found, RESULT, side_by_side.unwritten(options, own))
    for part, figure in figures.items():
        for peer, ratio in figure["ratios"].items():
            print(f"ratio {ratio:.2f} {part}: mmjax over {peer}")


# -- a training step ---------------------------------------------------------------------------------------------------


class Block(nn.Module):
    """Two convolutions and what is added to them."""

    def __init__(self, given: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(given, width, (1, 9), (1, stride), (0, 4), bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, (1, 9), 1, (0, 4), bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.beside = None
        if stride > 1 or given != width:
            self.beside = nn.Sequential(nn.Conv2d(given, width, 1, (1, stride), bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + (x if self.beside is None else self.beside(x)))


class Theirs(nn.Module):
    """The network with one quantiser, whose codebook follows what it quantises."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = nn.Conv2d(1, WIDTHS[0], (40, 1), bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        pairs = itertools.pairwise(WIDTHS)
        self.stages = nn.ModuleList(nn.Sequential(Block(a, b, 2), Block(b, b, 1)) for a, b in pairs)
        for name, value in (("book", torch.zeros(CODES, WIDTHS[POSITION - 1])), ("counts", torch.ones(CODES))):
            self.register_buffer(name, value)
        self.register_buffer("sums", torch.zeros_like(self.book))

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.relu(self.norm(self.bands(mel)))
        for number, stage in enumerate(self.stages, 2):
            x = stage(x)
            if number == POSITION:
                x, commitment = self.quantised(x)
        return x.mean((2, 3)), commitment

    def quantised(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
        with torch.no_grad():
            codes = (self.book.square().sum(1)[None] - 2 * flat @ self.book.T).argmin(1)
        found = self.book[codes]
        commitment = (found - flat).square().mean()
        with torch.no_grad():
            hot = F.one_hot(codes, CODES).to(flat.dtype)
            self.counts.mul_(KEEP).add_(hot.sum(0), alpha=1 - KEEP)
            mass = self.counts.sum()
            self.counts.copy_((self.counts + 1e-8) / (mass + CODES * 1e-8) * mass)
            self.sums.mul_(KEEP).add_((1 - KEEP) * (hot.T @ flat))  # findings/compiled_add_alpha.sh
            self.book.copy_(self.sums / self.counts[:, None])
        through = flat + (found - flat).detach()
        b, c, h, t = x.shape
        return through.reshape(b, h, t, c).permute(0, 3, 1, 2), commitment


def placed(network: Theirs, variables: dict) -> Theirs:
    """PyTorch's network with our numbers."""
    params, state = variables["params"], variables["state"]

    def put(tensor: torch.Tensor, value: np.ndarray) -> None:
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(np.array(value)).reshape(tensor.shape))

    def norm(module: nn.BatchNorm2d, own: dict) -> None:
        put(module.weight, own["scale"])
        put(module.bias, own["bias"])

    put(network.bands.weight, params["bands"]["kernel"].T)
    norm(network.norm, params["norm"])
    for number, stage in enumerate(network.stages, 1):
        for i, block in enumerate(stage):
            own = params[f"stage{number}_block{i}"]
            for name in ("1", "2"):
                put(getattr(block, f"conv{name}").weight, np.transpose(own[f"conv{name}"]["kernel"], (2, 1, 0)))
                norm(getattr(block, f"norm{name}"), own[f"norm{name}"])
            if block.beside is not None:
                put(block.beside[0].weight, own["project"]["kernel"].T)
                norm(block.beside[1], own["norm_project"])
    own = state[f"quantiser{POSITION}"]
    for buffer, name in ((network.book, "codebook"), (network.sums, "sums"), (network.counts, "counts")):
        put(buffer, own[name])
    return network


def step_part(options):
    """A training step."""
    rng = np.random.default_rng(0)
    mel = rng.normal(-40, 15, (options.batch, options.frames, 40)).astype(np.float32)
    image = rng.normal(size=(options.batch, WIDTHS[-1])).astype(np.float32)
    count = np.full(options.batch, options.frames, np.int32)
    model = ResDavenetVQ(widths=WIDTHS, quantised=(POSITION,), codes=CODES, jitter=0.0)
    made = jax.tree.map(np.asarray, jax.jit(model.init)(jax.random.key(0), mel, count))
    mine = 40 * 128 + sum(p.numel() for name, p in Theirs().named_parameters() if name != "bands.weight")
    assert mine == sum(x.size for x in jax.tree.leaves(made["params"]))

    def loss(variables, batch, key):
        own = {"params": variables["params"]["net"], "state": variables["state"]}
        heard, new = model.apply(own, batch["mel"], batch["count"], train=True, mutable=["state"])
        scores = batch["image"] @ jnp.mean(heard.out, 1).T
        value = _semi_hard(jnp, scores) + _semi_hard(jnp, scores.T) + jnp.mean(heard.quantised[POSITION].commitment)
        return value, (new["state"], {})

    optimiser = optax.chain(optax.add_decayed_weights(DECAY), optax.adam(RATE))
    sides = {peers.OURS: peers.mmjax_step(made, loss, optimiser, {"mel": mel, "image": image, "count": count})}

    def theirs(layout: torch.memory_format, compiled: bool):
        network = placed(Theirs(), made).to(memory_format=layout).train()
        run = torch.compile(network) if compiled else network
        adam = torch.optim.Adam(network.parameters(), RATE, weight_decay=DECAY)
        given = torch.from_numpy(mel).transpose(1, 2)[:, None].contiguous(memory_format=layout)
        points = torch.from_numpy(image)

        def value():
            heard, commitment = run(given)
            scores = points @ heard.T
            return _semi_hard(torch, scores) + _semi_hard(torch, scores.T) + commitment

        return peers.torch_step(adam, value)

    sides |= peers.every_peer(theirs)
    peers.agree(sides, 2, 0.1)  # a code that falls otherwise moves a loss by more than rounding
    return _compared(sides, options)


def _semi_hard(library, scores):
    """The mean hinge with the most similar of the less similar ones; in either library."""
    own = library.diagonal(scores)
    below = library.where(scores < own[:, None], scores, library.full_like(scores, -1e30))
    hardest = library.amax(below, 1)
    over = 1.0 - own + hardest
    return library.mean(library.where(over > 0, over, library.zeros_like(over)))


# -- ABX ---------------------------------------------------------------------------------------------------------------


def abx_part(options):
    """Margins of triples."""
    rng = np.random.default_rng(1)
    shape = (3, options.triples, options.longest, options.width)
    vectors = rng.normal(size=shape).astype(np.float32)
    steps = rng.integers(50, options.longest + 1, shape[:2]).astype(np.int32)
    margin = jax.jit(abx.margin)

    def some(first, number):
        cut = slice(first, first + number)
        return margin(*(abx.Frames(v[cut], n[cut]) for v, n in zip(vectors, steps, strict=True)))

    def ours():
        parts = [some(first, options.at_once) for first in range(0, options.triples, options.at_once)]
        return np.concatenate([np.asarray(part) for part in parts])

    def plainly(number=ONE_BY_ONE):
        return np.array([_plain(vectors[:, i], steps[:, i]) for i in range(number)])

    np.testing.assert_allclose(ours()[:ONE_BY_ONE], plainly(), atol=2e-5)
    plain = "plain loop, one pair after the other"
    return _compared({peers.OURS: ours, plain: plainly}, options, {plain: options.triples / ONE_BY_ONE})


def _plain(vectors, steps):
    x, same, other = (v[:n].astype(np.float64) for v, n in zip(vectors, steps, strict=True))
    return _warped(x, other) - _warped(x, same)


def _warped(one, two):
    """The mean angle along the best path, cell by cell, as the way back finds it."""
    one, two = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (one, two))
    costs = (np.arccos(np.clip(one @ two.T, -1, 1)) / np.pi).tolist()
    n, m = len(one), len(two)
    total = [[0.0] * m for _ in range(n)]
    for i in range(n):
        for j in range(m):
            ways = [total[i - 1][j - 1]] if i and j else []
            ways += [total[i - 1][j]] if i else []
            ways += [total[i][j - 1]] if j else []
            total[i][j] = costs[i][j] + (min(ways) if ways else 0.0)
    i, j, long = n - 1, m - 1, 1
    while i or j:
        ways = [(i - 1, j - 1)] if i and j else []
        ways += [(i - 1, j)] if i else []
        ways += [(i, j - 1)] if j else []
        i, j = min(ways, key=lambda at: total[at[0]][at[1]])
        long += 1
    return total[-1][-1] / long


def _compared(sides, options, scale=None):
    """Medians of seconds in turn, and ratios of the peers' to ours; `scale` multiplies a side's seconds."""
    began = time.perf_counter()
    times = side_by_side.alternate(sides, options.rounds, options.limit)
    times = {name: [(scale or {}).get(name, 1.0) * value for value in values] for name, values in times.items()}
    ratios = {name: round(value, 3) for name, value in peers.ratios(times).items()}
    print(f"{time.perf_counter() - began:.0f} s in all")
    return {"seconds": peers.rounded(peers.medians(times)), "ratios": ratios}


if __name__ == "__main__":
    main()
