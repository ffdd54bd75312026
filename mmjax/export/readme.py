"""README.md of an exported folder: what goes in, what comes out, and the lines that run it without this library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmjax.export import onnx_file, parts, stablehlo
from mmjax.export.exported import APART, INT8

_ONNX = """import json, pathlib, numpy, onnxruntime
about = json.loads(pathlib.Path("export.json").read_text())["files"]["{name}"]
batch = {{name: numpy.zeros(({size}, *shape), dtype) for name, (dtype, *shape) in about["inputs"].items()}}  # yours
network = onnxruntime.InferenceSession("{name}")
answers = dict(zip([one.name for one in network.get_outputs()], network.run(None, batch)))
print({{name: answer.shape for name, answer in answers.items()}})
"""
_STABLEHLO = """import json, pathlib, numpy, jax.export
about = json.loads(pathlib.Path("export.json").read_text())["files"]["{name}"]
batch = {{name: numpy.zeros(({size}, *shape), dtype) for name, (dtype, *shape) in about["inputs"].items()}}  # yours
network = jax.export.deserialize(bytearray(pathlib.Path("{name}").read_bytes()))
answers = network.call(batch, numpy.uint32(0))  # a seed, for what is drawn
print({{name: answer.shape for name, answer in answers.items()}})
"""
_ONNX_LOOP = """import json, pathlib, numpy, onnxruntime, loop
def network(name):
    session = onnxruntime.InferenceSession(name)
    names = [one.name for one in session.get_outputs()]
    return lambda batch: dict(zip(names, session.run(names, batch)))
"""
_STABLEHLO_LOOP = """import json, pathlib, numpy, jax.export, loop
def network(name):
    call = jax.jit(jax.export.deserialize(bytearray(pathlib.Path(name).read_bytes())).call)
    return lambda batch: {name: numpy.asarray(value) for name, value in call(batch, numpy.uint32(0)).items()}
"""
_LOOP = """start, step = network("{start}"), network("{step}")
about = json.loads(pathlib.Path("export.json").read_text())
inputs = about["files"]["{start}"]["inputs"].items()
batch = {{name: numpy.zeros((1, *shape), dtype) for name, (dtype, *shape) in inputs}}  # one example, yours
tokens = loop.beam(step, start(batch), **about["writing"]["search"])
print(*(about["vocabularies"][about["writing"]["vocabulary"]][token] for token in tokens))
"""
_SPEAK = """start, step, end = network("{start}"), network("{step}"), network("{end}")
about = json.loads(pathlib.Path("export.json").read_text())
speaking, inputs = about["speaking"], about["files"]["{start}"]["inputs"].items()
batch = {{name: numpy.ones((1, *shape), dtype) for name, (dtype, *shape) in inputs}}  # one sentence, yours
kept = loop.draw(speaking["shares"], speaking["steps"], seed=0)
limits = {{name: speaking[name] for name in ("steps", "threshold", "bands")}}
found = loop.speak(start, step, end, batch, kept, **limits)
print({{name: answer.shape for name, answer in found.items()}}, found["frames"], found["fired"])
"""
ONE = {onnx_file.SUFFIX: _ONNX, stablehlo.SUFFIX: _STABLEHLO}
LOOP = {onnx_file.SUFFIX: _ONNX_LOOP, stablehlo.SUFFIX: _STABLEHLO_LOOP}


def of(name: str, about: Mapping[str, Any]) -> str:
    """The text, of a folder of this name and its export.json."""
    lines = [f"# {name}: {about['system']}, step {about['step']:,}\n"]
    for file, described in about["files"].items():
        lines.append(f"## {file}\n")
        if Path(file).stem.endswith(INT8):
            lines.append("As the file without 8 bits a weight, in and out.\n")
            continue
        lines += _tables(described)
        if described.get("part") in APART:
            continue
        size = 1 if described["batch"] == "any" else described["batch"]
        lines.append(f"```python\n{ONE[Path(file).suffix].format(name=file, size=size)}```\n")
    lines += _loops(about)
    lines.append(
        "`export.json` has the names of classes (`names`, by head) and the words behind numbers (`vocabularies`); a "
        'text is bytes: `bytes(row).rstrip(b"\\0").decode()`. Pictures and sounds go in as they are: what the network '
        f"subtracts and divides by is inside the file. `mmjax predict {name} FILES` reads them as training did.\n"
    )
    return "\n".join(lines)


def _tables(described: Mapping[str, Any]) -> Iterator[str]:
    size = "b" if described["batch"] == "any" else str(described["batch"])
    for title, way in (("goes in", "inputs"), ("comes out", "outputs")):
        yield f"| {title} | | |\n|---|---|---|"
        for name, (dtype, *shape) in described[way].items():
            yield f"| `{name}` | {dtype} [{' '.join(map(str, [size, *shape]))}] | {parts.meaning(name)} |"
        yield ""


def _loops(about: Mapping[str, Any]) -> Iterator[str]:
    """The lines that write an answer token by token, of each format in which both files are there."""
    for suffix, head in LOOP.items():
        pair = {
            of["part"]: file
            for file, of in about["files"].items()
            if of.get("part") in APART and file.endswith(suffix) and not Path(file).stem.endswith(INT8)
        }
        if len(pair) == 3:
            yield f"## Speaking by {', '.join(pair.values())}\n"
            yield (
                "Dropout stays on while a sentence is spoken (Shen et al. 2018, section 2.2), so what each step keeps "
                "of its units goes in as `kept/...`. `loop.draw` draws it, 0 or 1, alike for all sentences of a batch; "
                "`mmjax predict` draws what the run itself draws of the same `--seed`.\n"
            )
            for name, value in about["speaking"]["otherwise"].items():
                yield f"`{name}` says who speaks; {value} everywhere is the middle of all voices.\n"
            yield f"```python\n{head}{_SPEAK.format(**pair)}```\n"
        elif len(pair) == 2 and "writing" in about:
            yield f"## {about['writing']['answer']} by {' and '.join(pair.values())}\n"
            yield f"```python\n{head}{_LOOP.format(**pair)}```\n"
