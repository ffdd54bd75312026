"""What more data is worth to units of speech: the same number of steps on 1, 3, 10, 30 and 100 % of 100,000 examples.

    python examples/units_curve.py OUT_DIR

Trains configs/units.py once for each size, one after the other, into OUT_DIR/1000 and so on (a run that is there goes
on, or is done), and draws purity, ABX and how often speech finds its picture over the size into OUT_DIR/curve.svg,
beside k-means of log-mel, which learns nothing of pictures. Further arguments are those of train.py.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys

from mmjax.report import style

ROOT = pathlib.Path(__file__).parents[1]
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
FIGURES = ("picture_found", "purity", "abx_across")
BESIDE = ("chance", "mel_kmeans", "mel_kmeans")  # of each figure


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir", type=pathlib.Path, help="the folder of the runs")
    options, others = parser.parse_known_args(arguments)
    values = {size: trained(options.out_dir / str(size), size, others) for size in SIZES}
    draw(values, options.out_dir / "curve.svg")
    print(f"{'examples':>10}" + "".join(f"{figure:>16}" for figure in FIGURES))
    for size, found in values.items():
        print(f"{size:>10,}" + "".join(f"{found[figure]:>16.4f}" for figure in FIGURES))
    print(options.out_dir / "curve.svg")


def trained(workdir: pathlib.Path, size: int, others: list[str]) -> dict[str, float]:
    """The figures of a run on the first `size` examples of the training split."""
    command = [sys.executable, str(ROOT / "train.py"), "--config", str(ROOT / "configs" / "units.py")]
    command += [f"--workdir={workdir}", f"--config.data.examples={size}", *others]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(f"units_curve: the run in {workdir} did not end")
    found: dict[str, float] = json.loads((workdir / "results.json").read_text())["values"]
    return found


def draw(values: dict[int, dict[str, float]], path: pathlib.Path) -> None:
    """Each figure over the number of examples, and what it stands beside."""
    with style.rows(6.0, 7.0, (1,) * len(FIGURES)) as (figure, rows):
        for axes, name, beside in zip(rows, FIGURES, BESIDE, strict=True):
            for key, label in ((name, name), (f"{name}/{beside}", beside)):
                axes.plot(list(values), [found[key] for found in values.values()], "o-", label=label)
            axes.set(xscale="log", ylabel=name)
            axes.legend()
        rows[-1].set_xlabel("training examples, at equal steps")
    figure.savefig(path)


if __name__ == "__main__":
    main()
