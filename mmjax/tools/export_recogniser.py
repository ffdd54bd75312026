"""The weights of a recogniser as a file, such as those that ship: of pictures, or of speech.

mmjax train --config=configs/recognition.py --workdir=runs/recognition
mmjax export-recogniser runs/recognition               over the shipped file
mmjax export-recogniser runs/recognition FILE          to another
mmjax train --config=configs/speech_recognition.py --workdir=runs/listener
mmjax export-recogniser runs/listener                  over the shipped file of the judge `listener`
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmjax import workdir as files
from mmjax.engine.restore import Restored
from mmjax.errors import UserError
from mmjax.known import recogniser, speech_recogniser
from mmjax.tools import Parser, export_part

RUNS = "configs/recognition.py or configs/speech_recognition.py"


def export(workdir: Path, path: Path | None = None) -> Path:
    """Writes the weights of a finished run, by default over the shipped ones; returns the file: `export_part.write`.

    Raises:
      UserError: not a finished run, or not of these systems.
    """
    workdir = workdir.expanduser()
    return export_part.write(workdir, path or _shipped(workdir), RUNS, functools.partial(_recogniser, workdir))


def _shipped(workdir: Path) -> Path:
    config = files.read_json(workdir / files.CONFIG) or {}
    return speech_recogniser.SHIPPED if config.get("system") == speech_recogniser.SYSTEM else recogniser.SHIPPED


def _recogniser(workdir: Path, trained: Restored) -> tuple[Any, dict[str, str], str]:
    config, variables = trained.config, trained.variables
    if config.system == speech_recogniser.SYSTEM:
        own = {"params": variables["params"]["listener"], "state": variables["state"]["net"]}
        return own, speech_recogniser.described(config, variables["frozen"]), "configs/speech_recognition.py"
    if config.system != "recognition":
        raise UserError(f"{workdir} belongs to the system {config.system!r}; give a run of {RUNS}")
    metadata = {
        "names": json.dumps({head: config.names[head] for head in recogniser.HEADS}),
        "model": json.dumps(config.model.to_dict()),
    }
    own = {"params": variables["params"]["net"], "state": variables["state"]["net"]}
    return own, metadata, "configs/recognition.py"


def main(arguments: Sequence[str], typed: str) -> None:
    """Writes the file and prints the figures. Raises UserError for a mistake."""
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", type=Path, help=f"of a finished run of {RUNS}")
    parser.add_argument("file", type=Path, nargs="?", help="default: the shipped one")
    options = parser.parse_args(arguments)
    path = export(options.workdir, options.file)
    export_part.show(path, str(path))
