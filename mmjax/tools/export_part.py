"""A part of Speech2Face as a file: its face network or face decoder, such as those that ship.

mmjax train --config=configs/speech2face.py:faces --workdir=runs/faces
mmjax export-part runs/faces                           over the shipped file
mmjax train --config=configs/speech2face.py:decoder --workdir=runs/decoder
mmjax export-part runs/decoder FILE                    to another, for --config.parts.decoder=FILE
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax import workdir as files
from mmjax.engine.restore import Restored, restore
from mmjax.errors import UserError
from mmjax.known import face_parts
from mmjax.tools import Parser
from mmjax.weights import safetensors_file

RUNS = "configs/speech2face.py:faces, :talking_faces or :decoder"


def write(workdir: Path, path: Path, what: str, choose: Callable[[Restored], tuple[Any, dict[str, str], str]]) -> Path:
    """Writes weights of a finished run, in half precision, with its figures; returns the file.

    Half the size for logits that differ in the third decimal; the figures are those of the run itself.

    Args:
      workdir: of the run.
      path: of the file.
      what: the configs whose runs will do, for the message.
      choose: gives the weights, what else the file says of them, and the config that trained them; or raises UserError.

    Raises:
      UserError: not a finished run, or whatever `choose` refuses.
    """
    workdir, path = workdir.expanduser(), path.expanduser()
    results = workdir / files.RESULTS
    if not results.is_file():
        raise UserError(f"{workdir} is no finished run of {what}: it has no {files.RESULTS}")
    done = json.loads(results.read_text())
    trained = restore(workdir)
    config = trained.config
    tree, metadata, name = choose(trained)
    metadata |= {
        "figures": json.dumps(done["values"]),
        "data": json.dumps({**config.data.to_dict(), "split": done["split"], "examples": done["examples"]}),
        "trained": f"{name}, {done['step']} steps of {config.batch_size}, seed {config.seed}",
    }
    safetensors_file.save(path, jax.tree.map(lambda x: np.asarray(x).astype(np.float16), tree), metadata)
    return path


def show(path: Path, called: str) -> None:
    """Prints how large what was written is, and its figures."""
    tree, said = safetensors_file.load(path)
    count = sum(leaf.size for leaf in jax.tree.leaves(tree["params"]))
    print(f"{called}: {count:,} parameters, {path.stat().st_size:,} bytes")
    for name, value in json.loads(said["figures"]).items():
        print(f"{name:<32}{value:.4f}")


def export(workdir: Path, path: Path | None = None) -> Path:
    """Writes a part of Speech2Face; returns the file. Raises UserError: not a finished run of a part."""
    workdir = workdir.expanduser()
    return write(workdir, path or _shipped(workdir), RUNS, functools.partial(_part, workdir))


def _shipped(workdir: Path) -> Path:
    """Where the part of a run ships; any, for what is no run of a part and will be refused."""
    config = files.read_json(workdir / files.CONFIG) or {}
    part = config.get("part", "")
    if part not in face_parts.PARTS:
        return workdir
    fitting = ("faces", "talking_faces", "decoder")  # parts of other faces do not fit the default
    if config.get("variant") not in fitting:
        raise UserError(f"{workdir} is no run of {RUNS}: say which file to write, the shipped one is not for it")
    return face_parts.SHIPPED["talking_face_network" if face_parts.talking(config) else part]


def _part(workdir: Path, trained: Restored) -> tuple[Any, dict[str, str], str]:
    config = trained.config
    part = config.get("part", "")
    if part not in face_parts.PARTS:
        raise UserError(f"{workdir} trained no part that others build on: give a run of {RUNS}")
    known = config.to_dict()
    options = face_parts.face_network(known) if part == "face_network" else known["model"]
    metadata = {"part": part, "model": json.dumps(options)}
    if part == "face_decoder":
        metadata["face"] = face_parts.fingerprint(trained.variables["frozen"])
    return face_parts.picked(trained.variables, part), metadata, f"configs/speech2face.py:{config.variant}"


def main(arguments: Sequence[str], typed: str) -> None:
    """Writes the file and prints the figures. Raises UserError for a mistake."""
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", type=Path, help=f"of a finished run of {RUNS}")
    parser.add_argument("file", type=Path, nargs="?", help="default: the shipped one")
    options = parser.parse_args(arguments)
    path = export(options.workdir, options.file)
    show(path, f"{path}: {safetensors_file.load(path)[1]['part']}")
