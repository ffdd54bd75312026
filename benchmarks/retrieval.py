"""Retrieval among 25,000 captions and 5,000 pictures both ways: mmjax against NumPy's argsort loop, in one run.

    python benchmarks/retrieval.py [--quick] [--images 5000] [--captions 5] [--dimensions 1024] [--queries 250]

COCO's 5K protocol: five captions a picture, R@1/5/10, median and mean rank of both directions. The peer evaluates as
public code does (VSE++'s and what descends from it): picture by picture one product with the whole gallery, a full
argsort of each query's similarities, and a search of the relevant items in that order, on vectors in float64, which
that code makes by NumPy's default; the same loop in float32 is given beside it. mmjax computes what is right by chance
as well, and is timed with the split alone and with the five folds of the 1K protocol, which the peer does not compute.

The peer takes minutes, and is a loop whose turns are alike: it is timed on --queries random pictures (with all their
captions), a share after each call of mmjax, and scaled to all pictures; the result says so. --queries 0 runs it whole.
All ranks that it found must be mmjax's: the vectors are a random picture's and noise around it, and tie nowhere.
results/retrieval.json is written by a run at the default sizes only.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
import time

import jax
import numpy as np

from mmjax.metrics import ranking

RESULT = pathlib.Path(__file__).parent / "results" / "retrieval.json"
NAMES = ("image", "caption")
IDLE = 0.5  # load average above which a ratio is not to be quoted: NumPy's spinning threads suffer more than ours
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


def check(a, b, ids, found) -> int:
    """How many ranks were compared, all of them equal."""
    flat, flat_ids = b.reshape(-1, b.shape[-1]), ids.reshape(-1, 1)
    there, back = (found.rank for found in ranking.ranked(a, flat, ids, flat_ids))
    back = back.reshape(ids.shape)
    for n, (to_caption, to_image) in found.items():
        assert there[n] == to_caption, f"picture {n}: rank {there[n]}, the peer's {to_caption}"
        assert back[n].tolist() == to_image, f"captions of picture {n}: {back[n]}, the peer's {to_image}"
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
    load = os.getloadavg()[0]
    a, b = vectors(options.images, options.captions, options.dimensions)
    ids = np.arange(b.shape[0] * b.shape[1]).reshape(b.shape[:2])
    flat = b.reshape(-1, b.shape[-1])
    turns = np.random.default_rng(1).permutation(options.images)[: options.queries or None]
    some = slice(min(options.images, 4_999))  # one picture fewer than would add the 1K folds: the peer has none
    calls = {
        "mmjax": lambda: ranking.both_ways(NAMES, a[some], b[some], ids[some]),
        "mmjax, folds as well": lambda: ranking.both_ways(NAMES, a, b, ids),
    }
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
    ratios = {
        name: [b / a for a, b in zip(times["mmjax"], times[name], strict=True)] for name in ("numpy", "numpy, float64")
    }
    content = {
        "what": f"{what}, {options.dimensions} dimensions",
        "machine": {"cores": os.cpu_count(), "platform": platform.machine(), "device": jax.devices()[0].device_kind},
        "versions": {"jax": jax.__version__, "numpy": np.__version__},
        "load_before_and_after": [load, os.getloadavg()[0]],
        "peer": scaled,
        "median_seconds": seconds,
        "ratios": ratios,
        "identical_ranks": compared,
    }
    if default:
        RESULT.write_text(json.dumps(content, indent=1) + "\n")
    print(", ".join(f"{name}: {value:.2f} s" for name, value in seconds.items()))
    print(f"the peer is {scaled}; {compared} ranks identical")
    if load > IDLE:
        print(f"the load average was {load:.1f} at the start: judge the ratios on an idle machine")
    print(f"ratio {statistics.median(ratios['numpy']):.1f} {what}: mmjax over that loop in float32")
    print(f"ratio {statistics.median(ratios['numpy, float64']):.1f} {what}: mmjax over NumPy's argsort loop")


if __name__ == "__main__":
    main()
