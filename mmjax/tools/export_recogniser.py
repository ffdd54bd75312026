"""The weights of a recognition run as a file, such as the recogniser that ships with mmjax.

mmjax train --config=configs/recognition.py --workdir=runs/recognition
mmjax export-recogniser runs/recognition               over the shipped file
mmjax export-recogniser runs/recognition FILE          to another
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from mmjax.engine.restore import restore
from mmjax.errors import UserError
from mmjax.known import recogniser
from mmjax.tools import Parser
from mmjax.weights import safetensors_file


def export(workdir: Path, path: Path = recogniser.SHIPPED) -> recogniser.TrainedRecogniser:
    """Writes the weights of a finished run of configs/recognition.py, in half precision, with its figures.

    Half the size for logits that differ in the third decimal; the figures are those of the run itself.

    Raises:
      UserError: not a finished run, or not of this system.
    """
    workdir, path = workdir.expanduser(), path.expanduser()
    results = workdir / "results.json"
    if not results.is_file():
        raise UserError(f"{workdir} is no finished run of configs/recognition.py: it has no results.json")
    done = json.loads(results.read_text())
    trained = restore(workdir)
    config, variables = trained.config, trained.variables
    if config.system != "recognition":
        raise UserError(f"{workdir} belongs to the system {config.system!r}; give a run of configs/recognition.py")
    tree = {"params": variables["params"]["net"], "state": variables["state"]["net"]}
    metadata = {
        "names": json.dumps({head: config.names[head] for head in recogniser.HEADS}),
        "model": json.dumps(config.model.to_dict()),
        "figures": json.dumps(done["values"]),
        "data": json.dumps({**config.data.to_dict(), "split": done["split"], "examples": done["examples"]}),
        "trained": f"configs/recognition.py, {done['step']} steps of {config.batch_size}, seed {config.seed}",
    }
    safetensors_file.save(path, jax.tree.map(lambda x: np.asarray(x).astype(np.float16), tree), metadata)
    return recogniser.load(path)


def main(arguments: Sequence[str], typed: str) -> None:
    """Writes the file and prints the figures. Raises UserError for a mistake."""
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", type=Path, help="of a finished run of configs/recognition.py")
    parser.add_argument("file", type=Path, nargs="?", default=recogniser.SHIPPED, help="default: the shipped one")
    options = parser.parse_args(arguments)
    trained = export(options.workdir, options.file)
    count = sum(leaf.size for leaf in jax.tree.leaves(trained.variables["params"]))
    print(f"{options.file}: {count:,} parameters, {options.file.expanduser().stat().st_size:,} bytes")
    for name, value in trained.figures.items():
        print(f"{name:<32}{value:.4f}")
