"""The audit's p-values and shares from cached figures against the plain loop over permutations.

    python benchmarks/audit.py WORKDIR [--quick] [--examples 64] [--permutations 200] [--busy]

The plain loop is how a perceptual score is computed by the book (Gat et al. 2021): for each modality and permutation
the modality is given to other examples, the network looks at all of them again, and the figure is compared with the
whole one. The audit looks once for each set of modalities, keeps every example's figure, and permutes these. Both hold
the examples in memory and have compiled their programs before the clock starts; both look at the same examples with the
same batches. What they say of one modality is printed side by side: how much of the figure is lost without it.

Last line: `ratio N.NN`, above 1 = the audit ahead. With --whole the whole audit of the workdir (all replacements, bits,
intervals) is timed, too.

results/audit.json is written only by a full run at the default sizes that began on a machine with at most half a core
busy, or with --busy; any other run prints why it was not.
"""

from __future__ import annotations

import argparse
import pathlib
import time
from typing import Any

import _side_by_side as side_by_side
import numpy as np

from mmjax.audit import auditing, looking, shares
from mmjax.engine import evaluate, mesh, probes, restore

RESULT = pathlib.Path(__file__).resolve().parent / "results" / "audit.json"
SIZES = {"examples": 64, "permutations": 200}


def main() -> None:
    """The command line."""
    parser = side_by_side.parser(__doc__, SIZES)
    parser.add_argument("workdir", help="of a run that ended, of a system of several modalities, such as runs/vqa")
    parser.add_argument("--whole", action="store_true", help="time `mmjax audit` of the run's own test, too")
    options = parser.parse_args()
    options.load = side_by_side.load()
    options.permutations = min(options.permutations, 20) if options.quick else options.permutations
    folder = pathlib.Path(options.workdir).expanduser()
    auditing.finished(folder)
    run = restore.restore(folder)
    players, figure = tuple(run.task.modalities), run.config.best
    asked = auditing.Options(examples=options.examples)
    columns = auditing._Audit(run, folder, players, asked, print).columns(run.config.test_split)
    look = looking.Looker(run.task, run.variables, run.config.eval.batch_size)
    plain = Plain(run, columns, look.size)
    look({name: value[: look.size] for name, value in columns.items()})  # compiles
    plain.value(columns, figure)
    seconds: dict[str, float] = {}

    began = time.perf_counter()
    _, looks, _ = auditing.play(look, columns, columns, players)
    found = shares.of_figures(looks, players, options.permutations, 0)[figure]
    seconds["audit"] = time.perf_counter() - began
    began = time.perf_counter()
    lost = plain.lost(columns, figure, players, options.permutations)
    seconds["plain"] = time.perf_counter() - began
    for m in players:
        own = found["value"] - found["replaced"]["other"]["without"][m]["value"]
        print(f"{figure} lost without {m}: audit {own:.4f}, mean of the plain loop {lost[m]:.4f}")
    if options.whole:
        began = time.perf_counter()
        auditing.audit(folder, auditing.Options())
        seconds["whole"] = time.perf_counter() - began
    report(options, run.config.system, seconds)


class Plain:
    """The loop by the book: the jitted metrics of the evaluation, for every permutation anew."""

    def __init__(self, run: restore.Restored, columns: Any, size: int):
        self.size, self.variables = size, run.variables
        self.evaluator = evaluate.Evaluator(run.task, mesh.Jitted())

    def value(self, columns: Any, figure: str) -> float:
        """One figure of all examples."""
        n = looking.length(columns)
        at = [np.minimum(np.arange(start, start + self.size), n - 1) for start in range(0, n, self.size)]
        batches = ({name: np.asarray(value)[rows] for name, value in columns.items()} for rows in at)
        masked = ({**batch, "valid": np.arange(self.size) + i * self.size < n} for i, batch in enumerate(batches))
        return self.evaluator.metrics(self.variables, masked)[figure]

    def lost(self, columns: Any, figure: str, players: tuple[str, ...], permutations: int) -> dict[str, float]:
        """How much of the figure is lost without each modality, a mean over permutations."""
        whole, everyone = self.value(columns, figure), {**columns, "valid": np.ones(looking.length(columns), bool)}
        found = {}
        for player in players:
            probe = probes.make(f"shuffle:{player}", self.evaluator.task.modalities)
            values = [self.value(probe(everyone, seed), figure) for seed in range(permutations)]
            found[player] = whole - float(np.mean(values))
        return found


def report(options: argparse.Namespace, system: str, seconds: dict[str, float]) -> None:
    """Prints the ratio and, unless something speaks against it, writes it down."""
    ratio = seconds["plain"] / seconds["audit"]
    shown = ", ".join(f"{side} {value:.1f} s" for side, value in seconds.items())
    settings = {name: getattr(options, name) for name in SIZES}
    figures = {
        "device": side_by_side.device_name(),
        "system": system,
        **settings,
        "seconds": {side: round(value, 2) for side, value in seconds.items()},
        "ratio": round(ratio, 1),
        "load": round(options.load, 2),
    }
    side_by_side.keep(figures, RESULT, side_by_side.unwritten(options, settings == SIZES))
    what = f"{system}, {options.examples:,} examples, {options.permutations} permutations"
    print(f"{what}: {shown}; load {options.load:.2f}")
    print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
