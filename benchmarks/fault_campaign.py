"""What becomes of runs that are killed, of files that are damaged, of disks that are full, and of pods that break.

    python benchmarks/fault_campaign.py [--parts kills sigterm pictures sounds videos writes pod] [--share 1.0]

Nothing is timed: this counts. A whole campaign (an hour on two cores) is

- kills: 200 kills -9 at random moments of tiny runs of two systems, half of them within a save. A run is hit up to five
  times and then left to end; its checkpoint, predictions, figures and records must be those of a run that nobody
  interrupted, bit for bit, no checkpoint may be lost, and none of its child processes may outlive it;
- sigterm: 30 of SIGTERM, the same way; the exit status must be 0, but for a signal before train.py listens;
- pictures, sounds, videos: 500 files made from valid ones by seeded damage, each kind in a folder that a run trains on;
  every file must be used, or named and left out, no undamaged one may be, and the run must end well;
- writes: a full and a read-only disk at each kind of file of a workdir, as an error at its opening and as a limit on
  the size of files, which cuts it within; the run must go on, or end with one line and no traceback, and the same
  command afterwards end where an undisturbed run does;
- pod: four processes of two devices each, of which one is killed; the others must end within two minutes, with a status
  that is not 0 and a line of ours, and the run go on with four, two and one processes.

What is counted is printed, and every fault in words; a whole campaign writes results/fault_campaign.json. Damaged files
are made in a temporary folder and go with it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import pathlib
import random
import signal
import sys
import tempfile
import time

import _fault_media
import _fault_runs
import _fault_writes
from _fault_runs import Tally
from _side_by_side import device_name

RESULTS = pathlib.Path(__file__).parent / "results" / "fault_campaign.json"
HITS = 5  # signals a run
SIGNALS = {"kills": (signal.SIGKILL, 200), "sigterm": (signal.SIGTERM, 30)}
PARTS = (*SIGNALS, *_fault_media.KINDS, "writes", "pod")


def signals(part: str, work: pathlib.Path, share: float, rng: random.Random, tally: Tally) -> None:
    """Runs of both systems until so many signals were sent."""
    number, wanted = SIGNALS[part]
    for system, flags in _fault_runs.SYSTEMS.items():
        here = work / f"{part}-{system}"
        here.mkdir()
        (here / "expected.json").write_text(json.dumps(_fault_runs.straight(flags, here)))
        # The cheap run is hit three times as often as the one with pictures.
        left, run = max(1, round(share * wanted * (0.75 if system == "skip-gram" else 0.25))), 0
        while left > 0:
            hits = _fault_runs.interrupted(run, flags, here, min(HITS, left), number, rng, tally)
            left, run = left - hits, run + 1
            print(f"  {system}: {left} signals left, {len(tally.faults)} faults", flush=True)


def campaign(part: str, work: pathlib.Path, share: float, seed: int) -> Tally:
    """One part; its counts and its faults."""
    tally, rng = Tally(), random.Random(f"{part} {seed}")
    if part in SIGNALS:
        signals(part, work, share, rng, tally)
    elif part in _fault_media.KINDS:
        _fault_media.campaign(part, work, share, rng, tally)
    elif part == "writes":
        _fault_writes.campaign(work, tally, quick=share < 1)
    else:
        _fault_runs.pod(work, rng, tally)
    return tally


def main() -> int:
    """The exit status: 0 where nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--share", type=float, default=1.0, help="of a whole campaign")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts:
            print(part, flush=True)
            began = time.monotonic()
            work = pathlib.Path(folder) / part
            work.mkdir()
            tally = campaign(part, work, options.share, options.seed)
            for what, count in sorted(tally.counts.items()):
                print(f"  {count:5} {what}")
            print(f"  {len(tally.faults):5} faults, in {time.monotonic() - began:.0f} s", flush=True)
            faults += len(tally.faults)
            if options.share == 1:
                about = {"date": f"{datetime.date.today()}", "device": device_name(), "seed": options.seed}
                results[part] = {**about, "counts": dict(sorted(tally.counts.items())), "faults": tally.faults}
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if options.share != 1:
        print("nothing was written: this was a part of a campaign")
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
