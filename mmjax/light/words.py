"""What `mmjax light` found, as text of at most 120 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = 4  # figures; all are in the JSON


def show(found: Mapping[str, Any]) -> str:
    """The table, what the runs reached, and how much smaller the others are than the first."""
    sizes = found["batches"]
    head = ["run", "weights", "runtime", "parameters", "MB", "M mult-adds"]
    head += [text for size in sizes for text in (f"ms at {size}", "95 %")] + ["peak MB", "same"]
    lines = table([head, *(_line(row, sizes) for row in found["rows"])])
    notes = ["peak MB: XLA's plan for the largest batch; same: examples with the answer of the first row of its run"]
    if any(row["memory"] for row in found["rows"] if row["runtime"] == "ONNX Runtime"):
        notes.append("peak MB of ONNX: what a process grows by that opens the file and runs the largest batch")
    if any(row.get("open_loops") for row in found["rows"]):
        notes.append("* has loops whose turns the data decide: each is counted as one turn")
    if any(row["one_by_one"] for row in found["rows"]):
        notes.append("+ is of one batch size: a larger batch goes through it in pieces")
    busy = f", load {found['load']:.1f} at the start" if found["load"] > 0.5 else ""
    notes.append(f"{found['device']}, {found['threads']} threads each{busy}; medians over all rounds, rows in turns")
    return "\n".join([*lines, *notes, *_figures(found["figures"]), *_ratios(found), *_training(found["training"])])


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines: the first three columns from the left, numbers from the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if at < 3 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _line(row: Mapping[str, Any], sizes: Sequence[int]) -> list[str]:
    name = " ".join(filter(None, (row["run"], row["part"]))) + "+" * row["one_by_one"]
    name = name if len(name) <= 28 else f"..{name[-26:]}"
    count = "-" if "multiply_adds" not in row else number(row["multiply_adds"] / 1e6) + "*" * bool(row["open_loops"])
    cells = [name, row["precision"], row["runtime"].removesuffix(" Runtime")]
    cells += ["-" if row["parameters"] is None else f"{row['parameters']:,}", number(row["bytes"] / 1e6), count]
    for size in sizes:
        cells += [number(row["latency"][size]["median_ms"]), number(row["latency"][size]["p95_ms"])]
    memory = row["memory"].get(max(sizes))
    return [*cells, "-" if memory is None else number(memory / 1e6), _same(row.get("against_float32"))]


def _same(compared: Mapping[str, Mapping[str, float]] | None) -> str:
    """The share of examples with the same answer, of the answer that differs most; "" of what is compared with."""
    if compared is None:
        return ""
    told = ("scores/", "text/", "label/")  # a sound that is rounded elsewhere is no other answer
    shares = [of["same"] for name, of in compared.items() if "same" in of and name.startswith(told)]
    return f"{min(shares):.1%}" if shares else f"±{max(of['largest'] for of in compared.values()):.1g}"


def number(value: float) -> str:
    """Three digits, and none behind the point from a hundred on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _figures(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """The first figures of each run, a line each."""
    lines = []
    for run, own in figures.items():
        told = []
        for name, of in list(own.items())[:SHOWN]:
            span = f" ({of['low']:.3g} to {of['high']:.3g})" if "low" in of else ""
            told.append(f"{name} {of['value']:.4g}{span}")
        if told:
            lines.append(f"{run}: {', '.join(told)}")
    return ["", *lines] if lines else []


def _training(training: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How fast each run trained, by its own record; a dash where that says nothing."""
    known = next((own for own in training.values() if "target" in own), None)
    target = f"to {known['figure']} {known['target']:.4g}" if known else "to the best"
    rows = [["run", "", "", "steps", "steps/s", "minutes", target]]
    for run, own in training.items():
        steps = f"{own['steps']:,}" if own else "-"
        more = [own.get(name) for name in ("steps_per_second", "minutes", "minutes_to_target")]
        rows.append([run, "", "", steps, *("-" if value is None else number(value) for value in more)])
    if not any(training.values()):
        return []
    notes = ["of training alone, without compilation, evaluation and saving, on whatever each run was trained on"]
    if known:
        notes.append("to: minutes until the validation split's figure was as good as the last of these runs became")
    return ["", *table(rows), *notes]


def _ratios(found: Mapping[str, Any]) -> list[str]:
    """How much of the first run's parameters, multiply-adds and latency the other runs need, part by part."""
    rows = [row for row in found["rows"] if row["runtime"] == "XLA" and row["precision"] == "float32"]
    first = {row["part"]: row for row in rows if row["run"] == rows[0]["run"]}
    lines = []
    for row in rows:
        whole = first.get(row["part"])
        if whole is None or row["run"] == whole["run"]:
            continue
        shares = [("parameters", row["parameters"] / max(whole["parameters"], 1))]
        shares.append(("multiply-adds", row["multiply_adds"] / max(whole["multiply_adds"], 1)))
        for size in found["batches"]:
            times = (one["latency"][size]["median_ms"] for one in (row, whole))
            shares.append((f"time at {size}", next(times) / next(times)))
        told = ", ".join(f"{what} x {share:.3g}" for what, share in shares)
        lines.append(f"{' '.join(filter(None, (row['run'], row['part'])))} beside {whole['run']}: {told}")
    return ["", *lines] if lines else []
