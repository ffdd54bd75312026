"""What an audit found, in plain words: sentences, warnings, and the tables of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmjax.audit.replacing import KINDS

SURE = 0.05  # a p-value above it shows nothing
FEWEST = 6  # units whose permutations can have a p-value below SURE at all: 2 / 2^6
ALONE = 0.9  # of the figure, by one modality
NOTHING = 1e-7  # below it a number is rounding


def told(found: dict[str, Any]) -> dict[str, Any]:
    """The same with its sentences and warnings."""
    if "controls" in found:
        only = found["modalities"][0]
        line = f"{found['system']} takes one modality, {only}: there is no share to divide; what its own controls show:"
        return {**found, "sentences": [line, *_several(found)], "warnings": [], "table": []}
    sentences = [
        *_figure(found),
        *_several(found),
        *_retrained(found),
        *_bits(found),
        *_accident(found),
        *_seeds(found),
    ]
    return {**found, "sentences": sentences, "warnings": [*_warnings(found)], "table": table(found)}


def number(value: float) -> str:
    """Three digits; 0 for what is left where equal sums are subtracted in float32."""
    return "0" if abs(value) < NOTHING else f"{value:.3g}"


def within(span: Mapping[str, float], percent: bool = False) -> str:
    """A value and its interval: "0.75 (0.73 to 0.77)"; or "75 % (73 to 77)"."""
    if percent:
        value, low, high = (_whole(span[end]) for end in ("value", "low", "high"))
        return f"{value} % ({low} to {high})"
    return f"{number(span['value'])} ({number(span['low'])} to {number(span['high'])})"


def _figure(found: Mapping[str, Any]) -> Iterator[str]:
    """Of the main figure: what each carries, what only both, how sure, and what if one failed."""
    name, others = found["figure"], found["figures"][found["figure"]]
    by = others["replaced"]["other"]
    stays = found.get("stays", ())
    gone = " and ".join(by["share"]) if stays else "every modality"
    yield (
        f"{name} is {within(others)} on {found['examples']:,} examples of {found['split']}; with {gone} "
        f"another example's it is {number(by['nothing']['value'])}."
    )
    if stays:
        yield f"{' and '.join(stays)} stayed in place, so {name} is not divided among the modalities."
    elif any(share is None for share in by["share"].values()):
        yield f"That is no sure difference: nothing in {name} can be divided among the modalities."
    else:
        parts = " and ".join(f"{m} carries {within(share, True)}" for m, share in by["share"].items())
        yield f"Of the difference {parts} (Shapley values)."
        yield _together(by, name)
    for m, there in by["without"].items():
        rest = ", ".join(
            f"{KINDS[kind].replace('class', found['group'])} {number(of['without'][m]['value'])}"
            for kind, of in others["replaced"].items()
            if kind != "other"
        )
        rest = f"; {rest}" if rest else ""
        none = "no difference is shown"
        if others["number"] < FEWEST:
            none = f"{others['units']} by {others['units']}, of which {others['number']} are too few to show anything"
        sure = f"p = {number(there['p'])}" + (f": {none}" if there["p"] > SURE else "")
        sure += f"; perceptual score {number(by['perceptual'][m])}"
        yield (
            f"If {m} failed and another example's came in its place, {name} would be {within(there)} ({sure}{rest})."
        )


def _several(found: Mapping[str, Any]) -> Iterator[str]:
    """One to many."""
    name = found.get("several_of") or found.get("figure")
    for what, rows in found.get("several", {}).items():
        every = ", ".join(f"{count}: {within(row)}" for count, row in rows.items())
        among = f", among {next(iter(rows.values()))['examples']:,} examples each" if found.get("several_alike") else ""
        yield f"{name} by the number of {what}{among}: {every}."


def _retrained(found: Mapping[str, Any]) -> Iterator[str]:
    for m, span in found.get("retrained", {}).items():
        rate = "" if span["rate"] == 1 else f", at {number(span['rate'])} times the learning rate"
        yield f"Trained with {m} alone{rate}, the same network has {found['figure']} {within(span)}."


def _seeds(found: Mapping[str, Any]) -> Iterator[str]:
    if "seeds" in found:
        every = ", ".join(f"{name} {within(span)}" for name, span in found["seeds"]["spans"].items())
        yield f"Over {found['seeds']['runs']} runs from other seeds (Student's intervals): {every}."


def _together(by: Mapping[str, Any], name: str) -> str:
    together = by["together"]
    if together["low"] > 0 or together["high"] < 0:
        gains = together["value"] * (1 if _gain(by) >= 0 else -1) > 0
        what = "is there only where all are there at once" if gains else "each has that the others have, too"
        return f"{within(together)} of {name} {what}."
    return f"Nothing of {name} is shown to be only in all together, or in each of them again: {within(together)}."


def _gain(by: Mapping[str, Any]) -> float:
    return sum(earned["value"] for earned in by["shapley"].values())


def _bits(found: Mapping[str, Any]) -> Iterator[str]:
    of = found["bits"]
    if "refused" in of:
        yield f"No bits: {of['refused']}."
        return
    error, answer = of["calibration"][""], "answer" + (f" ({of['of']})" if of.get("of") else "")
    yield (
        f"Its probabilities of the {answer} are off by {number(error['after'])} on the average (calibration error; "
        f"{number(error['before'])} as trained)."
    )
    tells = {f"{who} alone" if who else "the system": within(span) for who, span in of["tells"].items()}
    every = ", ".join(f"{who} {span}" for who, span in tells.items())
    yield f"The {answer} holds {number(of['prior']['value'])} bits for whoever sees nothing; of these tells {every}."
    right = ", ".join(f"{who or 'the system'} {within(span[''], True)}" for who, span in of["right"].items())
    yield f"Right are, each from what it sees: {right}."
    batch = of["batch_parts"]
    if "refused" not in batch:
        rare = ", rare answers as one" if batch["answers"] < of["classes"] else ""
        every = ", ".join(f"{name} {within(span)}" for name, span in batch["bits"].items())
        yield f"By the batch estimator, on {batch['batches']} x {batch['size']} examples, in bits{rare}: {every}."
    parts = of["parts"]
    if "refused" in parts:
        yield f"Redundant, unique and synergistic parts are not given from a table: {parts['refused']}."
        return
    cells = " x ".join(map(str, parts["cells"]))
    rare = ", rare answers as one" if parts["cells"][-1] < of["classes"] else ""
    claimed = [f"{name} {within(span)}" for name, span in parts["bits"].items() if span["claimed"]]
    every = ", ".join(claimed) if claimed else "no part is shown to be there"
    yield f"In a table of {cells} cells, in bits{rare}: {every}."


def _accident(found: Mapping[str, Any]) -> Iterator[str]:
    if "accident" in found:
        there, name = found["accident"], found["figure"]
        both = {n: (of, found["figures"][n]) for n, of in there["figures"].items() if n in found["figures"]}
        if name in both:
            now, before = both[name]
            yield f"Where {there['options']}, {name} is {within(now)} instead of {within(before)}."
        else:  # as where nothing sounds, of which nothing can be pointed at
            has = "; ".join(f"{n} is {within(now)} instead of {within(before)}" for n, (now, before) in both.items())
            yield f"Where {there['options']}, no example has {name}; {has or 'nor any other figure'}."
        if both and all(now["value"] == before["value"] for now, before in both.values()):
            yield "No figure differs there: does that change anything of the data of this run?"


def _warnings(found: Mapping[str, Any]) -> Iterator[str]:
    name = found["figure"]
    main = found["figures"][name]
    by = main["replaced"]["other"]
    if not found.get("stays") and any(share is None for share in by["share"].values()):
        return  # the sentences say so
    for m, there in by["without"].items():
        if there["p"] > SURE and main["number"] >= FEWEST:
            yield f"{m} contributes nothing to {name} that {found['examples']:,} examples could show"
    for m, share in by["alone_share"].items() if not found.get("stays") else ():
        if share["value"] > ALONE:
            yield f"{m} alone explains {within(share, True)} of {name}: where it stops agreeing, the system fails"


def table(found: Mapping[str, Any], every: bool = True) -> list[list[str]]:
    """Cells, the titles first: each figure with everything, without each modality, by every replacement, and shares.

    Args:
      found: of an audit of several modalities.
      every: whether all replacements have a column, or another example's alone.
    """
    players = found["modalities"]
    kinds = [k for k in KINDS if any(k in of["replaced"] for of in found["figures"].values())] if every else ["other"]
    shown = {kind: KINDS[kind].replace("class", found["group"]) for kind in kinds}
    titles = [f"without {m}" + (f": {shown[kind]}" if every else "") for m in players for kind in kinds]
    there = found.get("accident")
    where = [f"where {there['options']}"] if there else []
    stays = found.get("stays")  # the share of some is not of the whole figure
    divided = [] if stays else [*(f"share of {m}" for m in players), "only together"]
    rows = [["figure", "whole", *where, *titles, *divided]]
    for name, of in found["figures"].items():
        ways = of["replaced"]
        cells = [_give(ways[kind]["without"][m]) if kind in ways else "—" for m in players for kind in kinds]
        if not stays:
            cells += [_percent(ways["other"]["share"][m]) for m in players] + [_give(ways["other"]["together"])]
        changed = [_give(there["figures"][name]) if name in there["figures"] else "—"] if there else []
        rows.append([name, _give(of), *changed, *cells])
    return rows


def show(found: Mapping[str, Any]) -> str:
    """The table, the sentences and the warnings as text."""
    if "controls" in found:
        lines = [found["sentences"][0]]
        for name, values in found["controls"].items():
            beside = ", ".join(f"{k} {number(v)}" for k, v in values.items() if k)
            lines.append(f"{name:<28}{number(values['']):>10}   {beside}")
        return "\n".join([*lines, *found["sentences"][1:]])
    rows = table(found, every=False)
    wide = [max(map(len, column)) + 2 for column in zip(*rows)]
    lines = [row[0].ljust(wide[0]) + "".join(cell.rjust(w) for cell, w in zip(row[1:], wide[1:])) for row in rows]
    return "\n".join([*lines, "", *found["sentences"], *(f"warning: {line}" for line in found["warnings"])])


def _half(span: Mapping[str, float]) -> float:
    return (span["high"] - span["low"]) / 2


def _give(span: Mapping[str, float]) -> str:
    half = _half(span)
    return f"{number(span['value'])} ± {'0' if half < NOTHING else f'{half:.2g}'}"


def _percent(span: Mapping[str, float] | None) -> str:
    return "—" if span is None else f"{_whole(span['value'])} % ± {_whole(_half(span))}"


def _whole(share: float) -> str:
    """Percent without digits behind the point, and 0 without a sign."""
    return f"{round(100 * share) + 0:d}"
