"""What the sound allows: how often a listener who knows which objects sound agrees with the visual teacher.

SoundNet's teacher sees the picture, where objects may be silent, and names the one that looks largest. Loudness
follows size, give or take 2 dB. The oracle hears perfectly: it is told which objects sound and the exact level at which
each was mixed, and names the loudest; for the scene it is told the truth. Two more, for comparison: a listener that
also knows the true sizes of the sounding objects, which no ear can, and one that sees.

    python benchmarks/soundnet_oracle.py [--examples=2000] [--split=test]
"""

import argparse
import json
from pathlib import Path

import jax
import numpy as np

from mmjax import data
from mmjax.known import teachers


def main() -> None:
    """Prints and writes the oracle's agreement with the teacher's top classes."""
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--examples", type=int, default=2000)
    flags.add_argument("--split", default="test")
    chosen = flags.parse_args()

    teacher = teachers.make("recogniser")
    source = data.open(chosen.split, ("image", "objects", "areas", "sounding", "scene"), "sounding_scenes")
    see = jax.jit(lambda variables, image: teacher(variables, image[:, None]))
    weights = teacher.load(jax.eval_shape(teacher.init, source[0]["image"][None, None]))
    hits: dict[str, list[np.ndarray]] = {}
    for start in range(0, min(chosen.examples, len(source)), 100):
        places = range(start, min(start + 100, chosen.examples, len(source)))
        rows = [{**source[i], "levels": source.example(i).levels} for i in places]
        batch = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        top = {head: np.argmax(x[:, 0], -1) for head, x in see(weights, batch["image"]).items()}
        count = np.sum(batch["objects"] >= 0, 1)
        for name, area in {
            "loudest (the oracle)": batch["levels"],
            "largest sounding": np.where(batch["sounding"], batch["areas"], -1),
            "largest visible": batch["areas"],
        }.items():
            guess = np.take_along_axis(batch["objects"], np.argmax(area, 1)[:, None], 1)[:, 0]
            hits.setdefault(f"object, {name}", []).append(guess == top["object"])
            for n in (1, 2, 3):
                hits.setdefault(f"object, {name}, of {n}", []).append((guess == top["object"])[count == n])
        hits.setdefault("scene", []).append(batch["scene"] == top["scene"])
    figures = {name: float(np.mean(np.concatenate(rows))) for name, rows in hits.items()}
    for name, value in figures.items():
        print(f"{name:<36}{value:.3f}")
    path = Path(__file__).with_name("results") / "soundnet_oracle.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps({"split": chosen.split, "examples": chosen.examples, "agreement": figures}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
