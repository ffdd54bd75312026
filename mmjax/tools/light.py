"""What a trained run weighs, beside lighter ones: parameters, multiply-adds, latency, memory.

mmjax light runs/recognition                                         one table: weights in 32, 16 and 8 bits
mmjax light runs/recognition runs/recognition-light                  a second run beside it
mmjax light runs/recognition shipped/recognition --json light.json   and an export of it: ONNX, int8, StableHLO

Programs are compiled for each batch size, run warm and in turns, on as many threads as there are processors for this
process (`taskset -c 0 mmjax light ...` for one). What is counted and timed is what answers a user, from pictures and
sounds as they are to answers, without controls and baselines; of captions also the start and a step apart. How long
each run trained, and until which figure, is read off its own record.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmjax import workdir
from mmjax.errors import UserError
from mmjax.export import folder
from mmjax.light import weighing, words
from mmjax.tools import Parser


def main(arguments: Sequence[str], typed: str) -> None:
    """Weighs, and prints the table. Raises UserError for a mistake."""
    parser = Parser(typed, __doc__)
    parser.add_argument("places", type=Path, nargs="+", metavar="WORKDIR", help="of a run, or an exported folder")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32], metavar="N", help="sizes (default 1 32)")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="of 5 timed calls each (default 20)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="at most for the rounds of one size (default 60)"
    )
    parser.examples(folder.EXAMPLES, "on which precisions are compared, their figures among it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, as JSON")
    options = parser.parse_args(arguments)
    for name, values in (
        ("batch", options.batch),
        ("rounds", [options.rounds]),
        ("seconds", [options.seconds]),
        ("examples", [options.examples]),
    ):
        if not min(values) >= (0 if name == "seconds" else 1):  # nor is NaN
            raise UserError(f"--{name} {min(values)}: it must be at least {0 if name == 'seconds' else 1}")
    asked = weighing.Options(tuple(dict.fromkeys(options.batch)), options.rounds, options.seconds, options.examples)
    places = [place.expanduser() for place in options.places]
    found = weighing.weigh(places, asked, lambda line: print(line, flush=True))
    print(f"\n{words.show(found)}", flush=True)  # before a file that cannot be written
    if options.json:
        workdir.write_json(options.json.expanduser(), found)
