"""Scoring 5,158 maps under both protocols: mmjax against the loop of published evaluators in NumPy, in one run.

    python benchmarks/localisation_scores.py [--quick] [--maps 5158] [--side 14]

As many pictures as VGG-SS has, with boxes like its own, and smooth random maps of 14 x 14. The peer follows the
definition of hche11/Localizing-Visual-Sounds-the-Hard-Way and kaistmm/SSLalignment map by map: the truth is drawn from
its boxes, the map is resized bilinearly to 224 x 224 and brought to 0..1, its pixels are sorted for the median and once
more for the truth's area, and cIoU is counted from whole arrays in float64, as their code does. Their progress lines,
object prior and files are left out. mmjax draws, resizes and scores batches of 16 in one jitted call each.

cIoU and AUC of both protocols must agree to a hundredth of a percent. results/localisation_scores.json is written by a
run at the default sizes on an idle machine only. The peer's sort is NumPy's, which has its own code for AVX-512.
"""

from __future__ import annotations

import pathlib
import statistics

import _side_by_side as side_by_side
import jax
import numpy as np

from mmjax.metrics.localisation import grid, protocols

RESULT = pathlib.Path(__file__).parent / "results" / "localisation_scores.json"
BATCH = 16  # maps whose pixels stay in the cache
SIZES = {"maps": 5_158, "side": 14, "rounds": 5}


def data(maps: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps [n h w], boxes [n 2 4] ymin, xmin, ymax, xmax, and which of them there are: one, of each tenth two."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((maps, side + 2, side + 2)).astype(np.float32)
    smooth = sum(noise[:, i : i + side, j : j + side] for i in range(3) for j in range(3)) / 9
    centre, half = rng.uniform(0.3, 0.7, (maps, 2, 2)), rng.uniform(0.08, 0.5, (maps, 2, 2))
    boxes = np.clip(np.concatenate([centre - half, centre + half], -1), 0, 1).astype(np.float32)
    return smooth, boxes, np.stack([np.ones(maps, bool), rng.random(maps) < 0.1], 1)


# -- the peer ----------------------------------------------------------------------------------------------------------


def peer_truth(boxes: np.ndarray) -> np.ndarray:
    """Ones inside any box."""
    total = np.zeros((224, 224))
    for top, left, bottom, right in boxes:
        one = np.zeros((224, 224))
        one[int(224 * max(top, 0)) : int(224 * max(bottom, 0)), int(224 * max(left, 0)) : int(224 * max(right, 0))] = 1
        total += one
    total[total > 0] = 1
    return total


def peer_ciou(pixels: np.ndarray, truth: np.ndarray, marked: np.ndarray) -> float:
    """From whole arrays in float64."""
    inferred = np.zeros((224, 224))
    inferred[marked] = 1
    return float(np.sum(inferred * truth) / (np.sum(truth) + np.sum(inferred * (truth == 0))))


def peer_resized(values: np.ndarray) -> np.ndarray:
    """224 x 224, corners on corners; no product of matrices, whose threads would wait for each other."""
    for _ in range(2):
        at = np.arange(224, dtype=np.float32) * np.float32((values.shape[0] - 1) / 223)
        first = np.minimum(at.astype(int), values.shape[0] - 2)
        part = (at - first)[:, None]
        values = ((1 - part) * values[first] + part * values[first + 1]).T  # the second turns it back
    return values


def peer(maps: np.ndarray, boxes: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """cIoU [n] at the median and adaptive."""
    found = []
    for values, own, there in zip(maps, boxes, where, strict=True):
        truth = peer_truth(own[there])
        pixels = peer_resized(values)
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) / (high - low)
        median = np.sort(pixels.flatten())[int(224 * 224 * 0.5)]
        area = int((truth != 0).sum())
        limit = np.sort(pixels.flatten())[224 * 224 - area]
        found.append((peer_ciou(pixels, truth, pixels >= median), peer_ciou(pixels, truth, pixels > limit)))
    return tuple(np.array(found).T)


def peer_figures(found: tuple[np.ndarray, np.ndarray]) -> list[float]:
    """cIoU and AUC of both."""
    figures = []
    for values in found:
        shares = [np.sum(values >= 0.05 * i) / len(values) for i in range(21)]
        figures += [np.mean(values >= 0.5), np.trapezoid(shares, dx=0.05)]
    return figures


# -- mmjax -------------------------------------------------------------------------------------------------------------


@jax.jit
def scored(maps, boxes, where, valid):
    """(total, count) of each figure of a batch."""
    truth = grid.union(boxes, where)
    return protocols.figures(protocols.scores(maps, truth, ap=False), valid)


def own(maps: np.ndarray, boxes: np.ndarray, where: np.ndarray) -> list[float]:
    """cIoU and AUC of both protocols; all batches are under way before the first is looked at."""
    under_way = []
    for start in range(0, len(maps), BATCH):
        parts = [x[start : start + BATCH] for x in (maps, boxes, where)]
        short = BATCH - len(parts[0])
        parts = [np.concatenate([x, x[-1:].repeat(short, 0)]) for x in parts] if short else parts
        under_way.append(scored(*parts, np.arange(BATCH) < BATCH - short))
    sums = jax.tree.map(lambda *values: np.sum([float(x) for x in values]), *under_way)
    return [sums[name][0] / sums[name][1] for name in ("ciou", "auc", "ciou_adaptive", "auc_adaptive")]


def main() -> None:
    """The command line."""
    options = side_by_side.parser(__doc__, SIZES).parse_args()
    if options.quick:
        options.maps, options.rounds = 512, 3
    default = all(getattr(options, name) == size for name, size in SIZES.items())
    options.load = side_by_side.load()
    given = data(options.maps, options.side)
    found = {"mmjax": own(*given), "NumPy": peer_figures(peer(*given))}
    apart = np.abs(np.subtract(*found.values()))
    assert apart.max() < 1e-4, f"figures differ by {apart.max():.1e}: {found}"
    sides = {"mmjax": lambda: own(*given), "NumPy": lambda: peer_figures(peer(*given))}
    times = side_by_side.alternate(sides, options.rounds, 240)
    ratios = [b / a for a, b in zip(times["mmjax"], times["NumPy"], strict=True)]
    seconds = {name: statistics.median(values) for name, values in times.items()}
    what = f"{options.maps:,} maps of {options.side} x {options.side}, both protocols"
    content = {
        "what": what,
        "versions": {"jax": jax.__version__, "numpy": np.__version__},
        "load": options.load,
        "median_seconds": seconds,
        "ratios": ratios,
        "figures": found,
        "figures_apart": float(apart.max()),
    }
    side_by_side.keep_of_device(content, RESULT, side_by_side.unwritten(options, default))
    print(", ".join(f"{name}: {value:.2f} s" for name, value in seconds.items()))
    print(f"ratio {statistics.median(ratios):.2f} {what}: mmjax over the published evaluators' loop in NumPy")


if __name__ == "__main__":
    main()
