"""A trained run as a folder that runs without this library: ONNX, StableHLO, or its weights alone.

mmjax export runs/soundnet -o shipped/soundnet.onnx           for ONNX Runtime, without JAX
mmjax export runs/soundnet -o shipped/soundnet.onnx --int8    and a second file with 8 bits a weight
mmjax export runs/soundnet -o shipped/soundnet.stablehlo      for JAX on a CPU, a GPU or a TPU
mmjax export runs/soundnet -o shipped/soundnet.safetensors    the weights
mmjax predict shipped/soundnet concert.mp3                    answers as the run does

All go into the folder shipped/soundnet, with a README.md that says how they are run. What is written word by word, as a
caption is, becomes two files, start and step, and loop.py, which writes with them; what is spoken frame by frame, as
by Tacotron 2, three: start, step and end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.export import exported, folder
from mmjax.tools import Parser


def main(arguments: Sequence[str], typed: str) -> None:
    """Exports, tries what was exported, and says how far it is from the run. Raises UserError for a mistake."""
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", type=Path, help="of a trained run")
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT", help="FOLDER.onnx, and so on")
    parser.add_argument("--int8", action="store_true", help="also with 8 bits a weight, for ONNX Runtime")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="where it cannot be for any size (default 1)")
    parser.examples(folder.EXAMPLES, "that it is tried on, figures among it")
    parser.add_argument("--step", default="", help="a saved step, or best (default: the newest)")
    options = parser.parse_args(arguments)
    for name in ("batch", "examples"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} {getattr(options, name)}: it must be at least 1")
    workdir = options.workdir.expanduser()
    if exported.is_export(workdir):
        raise UserError(f"{workdir} is an export already: give the run that it was made of")
    run = restore.restore(workdir, int(options.step) if options.step.isdecimal() else options.step or None)
    made = folder.write(
        run, workdir, options.output.expanduser(), options.batch, options.int8, examples=options.examples
    )
    print(f"exported: {made}; {made / 'README.md'} says how it is run")
