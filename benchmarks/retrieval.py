"""Retrieval among 25,000 captions and 5,000 pictures both ways: mmjax against NumPy's argsort loop, in one run.

    python benchmarks/retrieval.py [--quick] [--images 5000] [--captions 5] [--dimensions 1024] [--queries 250]

COCO's 5K protocol: five captions a picture, R@1/5/10, median and mean rank of both directions. The strongest peer is
what a careful user of PyTorch writes: blocks of 256 pictures against all captions, one product for both directions, and
ranks counted by comparison, nothing sorted. Its ratio is the last line; without PyTorch it is left out.

The other peer evaluates as public code does (VSE++'s and what descends from it): picture by picture one product with
the whole gallery, a full argsort of each query's similarities, and a search of the relevant items in that order, on
vectors in float64, which that code makes by NumPy's default; the same loop in float32 is given beside it. mmjax
computes what is right by chance as well, and is timed with the split alone and with the five folds of the 1K protocol,
which the peer does not compute.

This one takes minutes, and is a loop whose turns are alike: it is timed on --queries random pictures (with all their
captions), a share after each call of mmjax, and scaled to all pictures; the result says so. --queries 0 runs it whole.
All ranks that both found must be mmjax's: the vectors are a random picture's and noise around it, and tie nowhere.
results/retrieval.json is written by a run at the default sizes only.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import time

import _side_by_side as side_by_side
import jax
import numpy as np

from mmjax.metrics import ranking

try:
    import torch
except ModuleNotFoundError:
    torch = None

RESULT = pathlib.Path(__file__).parent / "results" / "retrieval.json"
NAMES = ("image", "caption")
TORCH = "torch, counted by blocks"
IDLE = 0.5  # load above which a ratio is not to be quoted: NumPy's spinning threads suffer more than ours
PAUSE = 0.05  # seconds between the two, for the other's idle threads to stop spinning


def vectors(images: int, captions: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [n d] and [n c d], so noisy that ranks spread over three decades."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((images, dimensions), np.float32)
    b = 0.1 * a[:, None] + rng.standard_normal((images, captions, dimensions), np.float32)
    return tuple(x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))


def peer_to_caption(a: np.ndarray, flat: np.ndarray, captions: int, n: int) -> int:
    """The rank of the best caption of picture n among all captions."""
    order = np.argsort(flat @ a[n])[::-1]
    return min(int(np.where(order == own)[0][0]) for own in range(captions * n, captions * (n + 1))) + 1


def peer_to_image(a: np.ndarray, flat: np.ndarray, captions: int, n: int) -> list[int]:
    """The rank of picture n among all pictures, by each of its captions."""
    similarity = flat[captions * n : captions * (n + 1)] @ a.T
    return [int(np.where(np.argsort(row)[::-1] == n)[0][0]) + 1 for row in similarity]


def run_peer(a, flat, captions, share) -> tuple[float, dict[int, tuple]]:
    """Seconds for a share of the pictures, and the ranks of each."""
    began = time.perf_counter()
    found = {n: (peer_to_caption(a, flat, captions, n), peer_to_image(a, flat, captions, n)) for n in share}
    return time.perf_counter() - began, found


def torch_ranks(a, flat, captions: int, block: int = 256):
    """The best caption's rank for each picture [n], and the picture's for each caption [n c], by blocks of pictures."""
    own = torch.einsum("nd,ncd->nc", a, flat.view(len(a), captions, -1))
    best, flat_own = own.max(1).values, own.flatten()
    there, back = [], torch.zeros(len(flat), dtype=torch.int64)
    for start in range(0, len(a), block):
        rows = a[start : start + block]
        similarity = rows @ flat.T
        index = torch.arange(len(rows))[:, None]
        similarity[index, (start + index) * captions + torch.arange(captions)] = -torch.inf  # never above themselves
        there.append((similarity > best[start : start + block, None]).sum(1))
        back += (similarity > flat_own).sum(0)
    return torch.cat(there) + 1, back.view(-1, captions) + 1


def torch_figures(a, flat, captions: int) -> dict[str, float]:
    """Recalls and ranks of both directions."""
    figures = {}
    for name, ranks in zip(("there", "back"), torch_ranks(a, flat, captions), strict=True):
        ranks = ranks.flatten().double()
        figures |= {f"{name}_r@{k}": float((ranks <= k).double().mean()) for k in (1, 5, 10)}
        figures |= {f"{name}_median": float(ranks.median()), f"{name}_mean": float(ranks.mean())}
    return figures


def check(a, b, ids, found) -> int:
    """How many ranks were compared with the loop's, all of them equal."""
    flat, flat_ids = b.reshape(-1, b.shape[-1]), ids.reshape(-1, 1)
    there, back = (found.rank for found in ranking.ranked(a, flat, ids, flat_ids))
    back = back.reshape(ids.shape)
    for n, (to_caption, to_image) in found.items():
        assert there[n] == to_caption, f"picture {n}: rank {there[n]}, the peer's {to_caption}"
        assert back[n].tolist() == to_image, f"captions of picture {n}: {back[n]}, the peer's {to_image}"
    if torch is not None:
        other = torch_ranks(torch.from_numpy(a), torch.from_numpy(flat), ids.shape[1])
        for mine, theirs in zip((there, back), other, strict=True):
            # Each library rounds its products its own way, and two captions may be as far to the last bit.
            apart = np.abs(np.asarray(mine, np.int64) - np.asarray(theirs))
            assert apart.max() <= 1, f"ranks differ by up to {apart.max()}"
            assert np.mean(apart > 0) < 1e-3, f"{np.mean(apart > 0):.4f} of the ranks differ"
    return len(found) * (1 + ids.shape[1])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 pictures: ends within a minute, writes nothing")
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--captions", type=int, default=5)
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=250, help="pictures that the peer is timed on; 0: all")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    default = [options.images, options.captions, options.dimensions] == [5_000, 5, 1024] and not options.quick
    if options.quick:
        options.images, options.rounds = 1_000, 3
    load = side_by_side.load()
    a, b = vectors(options.images, options.captions, options.dimensions)
    ids = np.arange(b.shape[0] * b.shape[1]).reshape(b.shape[:2])
    flat = b.reshape(-1, b.shape[-1])
    turns = np.random.default_rng(1).permutation(options.images)[: options.queries or None]
    some = slice(min(options.images, 4_999))  # one picture fewer than would add the 1K folds: the peer has none
    calls = {
        "mmjax": lambda: ranking.both_ways(NAMES, a[some], b[some], ids[some]),
        "mmjax, folds as well": lambda: ranking.both_ways(NAMES, a, b, ids),
    }
    if torch is not None:
        torch.set_num_threads(os.cpu_count() or 1)
        tensors = torch.from_numpy(a[some]), torch.from_numpy(b[some].reshape(-1, b.shape[-1]))
        calls[TORCH] = lambda: torch_figures(*tensors, options.captions)
    doubles = a.astype(np.float64), flat.astype(np.float64)
    times: dict[str, list[float]] = {name: [] for name in (*calls, "numpy", "numpy, float64")}
    found: dict[int, tuple] = {}
    for call in calls.values():
        call()  # compiles
    for share in np.array_split(turns, options.rounds):
        for name, call in calls.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
        for name, sides in {"numpy, float64": doubles, "numpy": (a, flat)}.items():
            time.sleep(PAUSE)
            seconds, ranks = run_peer(*sides, options.captions, share.tolist())
            times[name].append(seconds * options.images / len(share))
        found |= ranks
    compared = check(a, b, ids, found)
    report(options, default, load, times, compared)


def report(options, default, load, times, compared) -> None:
    """Writes the result of a full run and prints the ratio."""
    what = f"{options.images * options.captions:,} captions x {options.images:,} pictures, both ways"
    timed = min(options.queries or options.images, options.images)
    scaled = f"timed on {timed} of {options.images} pictures and scaled" if timed < options.images else "timed whole"
    seconds = {name: statistics.median(values) for name, values in times.items()}
    peers = [name for name in times if not name.startswith("mmjax")]
    ratios = {name: [b / a for a, b in zip(times["mmjax"], times[name], strict=True)] for name in peers}
    content = {
        "what": f"{what}, {options.dimensions} dimensions",
        "versions": {"jax": jax.__version__, "numpy": np.__version__, "torch": getattr(torch, "__version__", None)},
        "load": load,
        "peer": scaled,
        "median_seconds": seconds,
        "ratios": ratios,
        "identical_ranks": compared,
    }
    reasons = {
        "these are not the default settings": not default,
        "the strongest peer, PyTorch, is not installed": torch is None,
        f"load {load:.1f} at the start: judge the ratios on an idle machine": load > IDLE,
    }
    side_by_side.keep_of_device(content, RESULT, [reason for reason, holds in reasons.items() if holds])
    print(", ".join(f"{name}: {value:.2f} s" for name, value in seconds.items()))
    print(f"the peer is {scaled}; {compared} ranks identical")
    print(f"ratio {statistics.median(ratios['numpy']):.1f} {what}: mmjax over that loop in float32")
    print(f"ratio {statistics.median(ratios['numpy, float64']):.1f} {what}: mmjax over NumPy's argsort loop")
    if torch is not None:
        print(f"ratio {statistics.median(ratios[TORCH]):.2f} {what}: mmjax over counts by blocks in PyTorch")


if __name__ == "__main__":
    main()
