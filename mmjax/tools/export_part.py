"""A part of Speech2Face as a file: its face network or face decoder, such as those that ship.

mmjax train --config=configs/speech2face.py:faces --workdir=runs/faces
mmjax export-part runs/faces                           over the shipped file
mmjax train --config=configs/speech2face.py:decoder --workdir=runs/decoder
mmjax export-part runs/decoder FILE                    to another, for --config.parts.decoder=FILE
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from mmjax.engine.restore import restore
from mmjax.errors import UserError
from mmjax.known import face_parts
from mmjax.tools import Parser
from mmjax.weights import safetensors_file


def export(workdir: Path, path: Path | None = None) -> Path:
    """Writes the weights of a finished run, in half precision, with its figures; returns the file.

    Raises:
      UserError: not a finished run of a part.
    """
    workdir = workdir.expanduser()
    results = workdir / "results.json"
    if not results.is_file():
        raise UserError(f"{workdir} is no finished run: it has no results.json")
    done = json.loads(results.read_text())
    trained = restore(workdir)
    config = trained.config
    part = config.get("part", "")
    if part not in face_parts.SHIPPED:
        wanted = "configs/speech2face.py:faces or :decoder"
        raise UserError(f"{workdir} trained no part that others build on: give a run of {wanted}")
    path = face_parts.SHIPPED[part] if path is None else path.expanduser()
    options = config.model.to_dict()
    if part == "face_network":
        options["identities"] = config.levels ** len(config.factors)
    metadata = {
        "part": part,
        "model": json.dumps(options),
        "figures": json.dumps(done["values"]),
        "data": json.dumps({**config.data.to_dict(), "split": done["split"], "examples": done["examples"]}),
        "trained": f"configs/speech2face.py:{config.variant}, {done['step']} steps of {config.batch_size}, "
        f"seed {config.seed}",
    }
    tree = face_parts.picked(trained.variables, part)
    safetensors_file.save(path, jax.tree.map(lambda x: np.asarray(x).astype(np.float16), tree), metadata)
    return path


def main(arguments: Sequence[str], typed: str) -> None:
    """Writes the file and prints the figures. Raises UserError for a mistake."""
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", type=Path, help="of a finished run of configs/speech2face.py:faces or :decoder")
    parser.add_argument("file", type=Path, nargs="?", help="default: the shipped one")
    options = parser.parse_args(arguments)
    path = export(options.workdir, options.file)
    tree, said = safetensors_file.load(path)
    count = sum(leaf.size for leaf in jax.tree.leaves(tree["params"]))
    print(f"{path}: {said['part']}, {count:,} parameters, {path.stat().st_size:,} bytes")
    for name, value in json.loads(said["figures"]).items():
        print(f"{name:<32}{value:.4f}")
