"""Which modality carries the figures of a trained run, how sure that is, and what if one fails.

mmjax audit runs/vqa                               a table, sentences, and a section of the run's page
mmjax audit runs/vqa --accident shift=reverse      the same where the data no longer keep what was leaned on
mmjax audit runs/vqa --modality words --figure accuracy_colour
mmjax audit runs/vqa --retrain --seeds 3           trains each side alone, and two more runs, in runs/vqa/audit
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from mmjax import typed as typing
from mmjax import workdir
from mmjax.audit import auditing, words
from mmjax.errors import UserError
from mmjax.report import page
from mmjax.tools import Parser


def main(arguments: Sequence[str], typed: str) -> None:
    """Audits, prints, and writes WORKDIR/audit.json and the page. Raises UserError for a mistake."""
    options = _parser(typed).parse_args(arguments)
    for name, least in (("examples", 0), ("permutations", 19), ("seed", 0), ("seeds", 1)):
        if getattr(options, name) < least:
            raise UserError(f"--{name} {getattr(options, name)}: it must be at least {least}")
    if not all(0 < rate < math.inf for rate in options.rates):
        raise UserError("--rates: each is a factor of the run's learning rates, above 0 and finite")
    if options.rates != [1.0] and not options.retrain:
        raise UserError("--rates: they are of --retrain, which is not asked")
    if options.step.isdigit() and options.seeds > 1:
        raise UserError(f"--step {options.step}: runs from --seeds may not have kept it; write best, or leave it out")
    folder = Path(options.workdir).expanduser()
    asked = auditing.Options(
        examples=options.examples,
        modalities=tuple(options.modality),
        figure=options.figure,
        group=options.group,
        accident=tuple(_changed(text) for text in options.accident),
        bits=options.bits,
        permutations=options.permutations,
        seed=options.seed,
        step=int(options.step) if options.step.isdigit() else options.step or None,
        retrain=options.retrain,
        rates=tuple(options.rates),
        seeds=options.seeds,
    )
    found = auditing.audit(folder, asked, lambda line: print(line, flush=True))
    workdir.write_json(folder / workdir.AUDIT, found)
    print(f"\n{words.show(found)}\n\nreport: {page.write(folder)}")


def _changed(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UserError(f"--accident {text}: write OPTION=VALUE, an option of the data set such as shift=reverse")
    return name, typing.value(value, None)


def _parser(typed: str) -> Parser:
    parser = Parser(typed, __doc__)
    parser.add_argument("workdir", help="of a run that ended, such as runs/vqa")
    parser.add_argument("--modality", nargs="+", default=[], metavar="NAME", help="only these are taken away")
    parser.add_argument("--figure", default="", help="that the sentences are about (default: what chose the best step)")
    parser.add_argument("--group", default="", metavar="FIELD", help="the field that tells the class of an example")
    parser.add_argument(
        "--accident",
        nargs="+",
        default=[],
        metavar="OPTION=VALUE",
        help="of the data set: the figures where it is so, beside the ordinary ones",
    )
    parser.add_argument("--bits", action="store_true", help="refuse a system that gives no distribution over classes")
    parser.add_argument("--examples", type=int, default=0, metavar="N", help="at most (default: as the run's own test)")
    parser.add_argument("--permutations", type=int, default=200, metavar="N", help="of the p-values (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of whatever is drawn")
    parser.add_argument(
        "--retrain", action="store_true", help="train the system's network with each modality alone: WORKDIR/audit"
    )
    parser.add_argument(
        "--rates",
        nargs="+",
        type=float,
        default=[1.0],
        metavar="FACTOR",
        help="of --retrain: the learning rates that are tried, as factors of the run's; the validation split chooses",
    )
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="runs, the given one among them: intervals over these, too"
    )
    parser.add_argument("--step", default="", help="a saved step, or best (default: the newest)")
    return parser
