"""Scoring 5,158 maps under both protocols: mmjax against the loop of a published evaluator, in one run.

    python benchmarks/localisation_scores.py [--quick] [--maps 5158] [--side 14]

As many pictures as VGG-SS has, with boxes like its own, and smooth random maps of 14 x 14. The peer is the one public
loop that prints both protocols (kaistmm/SSLalignment: test.py, utils.py), picture by picture: the truth is drawn from
its boxes in float64; the map, float32, is resized to 224 x 224, turned over, brought to 0..1 and turned back; its
pixels are sorted for the median and once more for the truth's area; cIoU is counted from whole arrays in float64, at
the median with the two sums of it that `cal_CIOU` returns once more and nobody reads. Its object prior, names and files
are left out. Maps are resized by PyTorch, corners on corners, and the pixel at the median is marked, both as EZ-VSL has
it; the loop itself takes OpenCV and leaves that pixel out. Its sort is NumPy's, which has its own code for AVX-512, and
all of it runs in one thread. mmjax is `metrics.localisation.on_host`, in NumPy as well: on one core, and in a child
process for each core, which has been started before.

cIoU and AUC of both protocols must agree to a hundredth of a percent. results/localisation_scores.json is written by a
run at the default sizes on an idle machine only.
"""

from __future__ import annotations

import os
import pathlib
import statistics

import _side_by_side as side_by_side
import jax
import numpy as np
import torch

from mmjax.data.files import child_processes
from mmjax.metrics.localisation import on_host, protocols

RESULT = pathlib.Path(__file__).parent / "results" / "localisation_scores.json"
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


def peer_ciou(inferred: np.ndarray, truth: np.ndarray) -> float:
    """From whole arrays in float64."""
    return float(np.sum(inferred * truth) / (np.sum(truth) + np.sum(inferred * (truth == 0))))


def peer_unread(inferred: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """What `cal_CIOU` returns beside it."""
    return np.sum(inferred * truth), np.sum(truth) + np.sum(inferred * (truth == 0))


def stretched(values: np.ndarray) -> np.ndarray:
    """0..1."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high != low else values


def peer(maps: np.ndarray, boxes: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """cIoU [n] at the median and adaptive."""
    found = []
    for values, own, there in zip(maps, boxes, where, strict=True):
        truth = peer_truth(own[there])
        given = torch.from_numpy(values)[None, None]
        large = torch.nn.functional.interpolate(given, (224, 224), mode="bilinear", align_corners=True)
        pixels = 1 - stretched(-large.numpy()[0, 0])
        median = np.sort(pixels.flatten())[int(224 * 224 / 2)]
        inferred = np.zeros((224, 224))
        inferred[pixels >= median] = 1
        at_median = peer_ciou(inferred, truth)
        peer_unread(inferred, truth)
        area = int((truth != 0).sum())
        limit = np.sort(pixels.flatten())[224 * 224 - area]
        inferred = np.zeros((224, 224))
        inferred[pixels > limit] = 1
        found.append((at_median, peer_ciou(inferred, truth)))
    return tuple(np.array(found).T)


def peer_figures(found: tuple[np.ndarray, np.ndarray]) -> list[float]:
    """cIoU and AUC of both."""
    figures = []
    for values in found:
        shares = [np.sum(values >= 0.05 * i) / len(values) for i in range(21)]
        figures += [np.mean(values >= 0.5), np.trapezoid(shares, dx=0.05)]
    return figures


# -- mmjax -------------------------------------------------------------------------------------------------------------


def own(
    maps: np.ndarray, boxes: np.ndarray, where: np.ndarray, children: child_processes.Children | None = None
) -> list[float]:
    """cIoU and AUC of both protocols, on one core or on those of child processes."""

    def each(work, parts):
        found = {id(part): result for part, result in children.each(work, parts)}
        return [found[id(part)] for part in parts]

    found = on_host.scores(maps, boxes, where, each=map if children is None else each)
    sums = protocols.figures(found, np.ones(len(maps), bool))
    return [float(sums[name][0] / sums[name][1]) for name in ("ciou", "auc", "ciou_adaptive", "auc_adaptive")]


def main() -> None:
    """The command line."""
    options = side_by_side.parser(__doc__, SIZES).parse_args()
    if options.quick:
        options.maps, options.rounds = 512, 3
    default = all(getattr(options, name) == size for name, size in SIZES.items())
    torch.set_num_threads(1)  # two would wait for each other at every map
    options.load = side_by_side.load()
    given = data(options.maps, options.side)
    with child_processes.Children(os.cpu_count() or 1) as children:
        sides = {
            "mmjax": lambda: own(*given, children),
            "mmjax, one core": lambda: own(*given),
            "published loop": lambda: peer_figures(peer(*given)),
        }
        found = {name: side() for name, side in sides.items()}
        apart = np.max([np.abs(np.subtract(values, found["published loop"])) for values in found.values()])
        assert apart < 1e-4, f"figures differ by {apart:.1e}: {found}"
        times = side_by_side.alternate(sides, options.rounds, 240)
    ratios = {
        name: [b / a for a, b in zip(seconds, times["published loop"], strict=True)]
        for name, seconds in times.items()
        if name != "published loop"
    }
    seconds = {name: statistics.median(values) for name, values in times.items()}
    what = f"{options.maps:,} maps of {options.side} x {options.side}, both protocols"
    content = {
        "what": what,
        "versions": {"jax": jax.__version__, "numpy": np.__version__, "torch": torch.__version__},
        "load": options.load,
        "median_seconds": seconds,
        "ratios": ratios,
        "figures": found,
        "figures_apart": float(apart),
    }
    side_by_side.keep_of_device(content, RESULT, side_by_side.unwritten(options, default))
    print(", ".join(f"{name}: {value:.2f} s" for name, value in seconds.items()))
    for name, values in ratios.items():
        print(f"ratio {statistics.median(values):.2f} {what}: {name} over the published loop")


if __name__ == "__main__":
    main()
