"""The weights of a recognition run as a file, such as the recogniser that ships with mmjax.

mmjax train --config=configs/recognition.py --workdir=runs/recognition
mmjax export-recogniser runs/recognition               over the shipped file
mmjax export-recogniser runs/recognition FILE          to another
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmjax.engine.restore import Restored
from mmjax.errors import UserError
from mmjax.known import recogniser
from mmjax.tools import Parser, export_part

RUNS = "configs/recognition.py"


def export(workdir: Path, path: Path = recogniser.SHIPPED) -> recogniser.TrainedRecogniser:
    """Writes the weights of a finished run of configs/recognition.py; see `export_part.write`.

    Raises:
      UserError: not a finished run, or not of this system.
    """
    path = export_part.write(workdir, path, RUNS, functools.partial(_recogniser, workdir))
    return recogniser.load(path)


def _recogniser(workdir: Path, trained: Restored) -> tuple[Any, dict[str, str], str]:
    config, variables = trained.config, trained.variables
    if config.system != "recognition":
        raise UserError(f"{workdir} belongs to the system {config.system!r}; give a run of {RUNS}")
    metadata = {
        "names": json.dumps({head: config.names[head] for head in recogniser.HEADS}),
        "model": json.dumps(config.model.to_dict()),
    }
    return {"params": variables["params"]["net"], "state": variables["state"]["net"]}, metadata, RUNS


def main(arguments: Sequence[str], typed: str) -> None:
    """Writes the file and prints the figures. Raises UserError for a mistake."""
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", type=Path, help=f"of a finished run of {RUNS}")
    parser.add_argument("file", type=Path, nargs="?", default=recogniser.SHIPPED, help="default: the shipped one")
    options = parser.parse_args(arguments)
    export(options.workdir, options.file)
    export_part.show(options.file.expanduser(), str(options.file))
