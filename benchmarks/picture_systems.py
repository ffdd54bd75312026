"""Steps per second of the systems that see pictures, at their default variants, beside those of another commit.

    python benchmarks/picture_systems.py OTHER [--configs recognition captioning ...] [--rounds 8] [--limit 1e-4]

OTHER is a folder with another commit of this repository: `git worktree add ../other 895b99d`. The sides take turns as
in `against_checkout.py`, whose code this is. The joint embedding is VSE++. Each config first takes `--compared` steps
on both sides, from one seed on the same batches: its line says how far the losses of any of them lie apart, and
`differ` where that is more than `--limit`. (A GAN multiplies differences of rounding from step to step.) Last line:
`ratio N.NN` of the config that gained least, above 1 = this checkout ahead. With --write the figures go to
results/picture_systems.json: on an idle machine only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import against_checkout

CONFIGS = ("recognition", "captioning", "vqa", "joint_embedding", "text_to_image", "conditional_gan")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", help="a folder with another commit")
    parser.add_argument("--configs", nargs="+", default=CONFIGS)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3, help="of a side in a round")
    parser.add_argument("--compared", type=int, default=20, help="first steps whose losses are compared")
    parser.add_argument("--limit", type=float, default=1e-4, help="relative difference of two losses that is none")
    parser.add_argument("--write", action="store_true", help="write results/picture_systems.json")
    options = parser.parse_args()
    other = Path(options.other).resolve()
    if not (other / "mmjax").is_dir():
        parser.error("give the folder of another checkout of mmjax")
    found = {}
    for name in options.configs:
        found[name] = against_checkout.compare(other, name, options.rounds, options.steps, options.compared)
        largest = found[name]["losses_apart"]["largest"]
        verdict = "agree" if largest <= options.limit else "differ"
        print(f"{name}: losses of {options.compared} steps {verdict}: at most {largest:.1e} apart", flush=True)
    if options.write:
        against_checkout.write("picture_systems", other, found)
    for name, figures in found.items():
        print(f"ratio {figures['ratio']:.2f} {name}")
    least = min(found, key=lambda name: found[name]["ratio"])
    print(f"ratio {found[least]['ratio']:.2f} training step of {least}, the least: this checkout over the other")


if __name__ == "__main__":
    main()
