"""An ONNX graph as ONNX Runtime's dynamic quantiser knows it: constants as they are multiplied, MatMul and Conv.

jax2onnx writes linear layers as Gemm and Einsum, turns the kernels of convolutions and puts an LSTM's weights together
while the network runs, and hands what a loop only reads through each of its turns. The quantiser leaves all of these
in float without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}  # what holds where a node does not say it
# The last axis of the first against the first axis of the second, all others in their order.
EINSUM = re.compile(r"(?P<rows>[a-z]*)(?P<inner>[a-z]),(?P=inner)(?P<column>[a-z])->(?P=rows)(?P=column)")


def rewrite(graph: Any) -> None:
    """Changes a graph, and those inside it, in place; what it computes stays the same."""
    for node in graph.node:
        for body in _bodies(node):
            if node.op_type == "Loop":
                _moved_in(graph, node, body)
    for node in graph.node:
        for body in _bodies(node):
            rewrite(body)
    _fold(graph)
    constant = {one.name: one for one in graph.initializer}
    for node in graph.node:
        how = _attributes(node)
        if node.op_type == "Gemm" and _adds_nothing(node.input, {**GEMM, **how}):
            del node.input[2:]
        elif not (node.op_type == "Einsum" and _is_product(how["equation"].decode(), node.input, constant)):
            continue
        node.op_type = "MatMul"
        del node.attribute[:]
    drop_unread(graph)


def drop_unread(graph: Any) -> None:
    """Takes out constants that nobody reads, of graphs inside it too: ONNX Runtime warns of each one in there."""
    for node in graph.node:
        for body in _bodies(node):
            drop_unread(body)
    read = {*_read(graph), *(one.name for one in graph.output)}
    for unread in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(unread)


def forget_shapes(graph: Any) -> None:
    """Takes out what is noted of arrays on the way."""
    del graph.value_info[:]
    for node in graph.node:
        for body in _bodies(node):
            forget_shapes(body)


def _fold(graph: Any) -> None:
    """One constant of constants that are put together, or turned."""
    from onnx import numpy_helper

    constant = {one.name: one for one in graph.initializer}
    for node in list(graph.node):
        if node.op_type not in ("Concat", "Transpose") or not set(node.input) <= set(constant):
            continue
        arrays, how = [numpy_helper.to_array(constant[name]) for name in node.input], _attributes(node)
        made = np.concatenate(arrays, how["axis"]) if node.op_type == "Concat" else arrays[0].transpose(how.get("perm"))
        folded = numpy_helper.from_array(np.ascontiguousarray(made), node.output[0])
        graph.initializer.append(folded)
        constant[folded.name] = folded
        graph.node.remove(node)


def _adds_nothing(inputs: Sequence[str], how: dict[str, Any]) -> bool:
    """Whether a Gemm is its product alone, of matrices as they are."""
    third = any(inputs[2:]) and how["beta"] != 0  # an input that is left out has no name
    return not third and {**how, "beta": GEMM["beta"]} == GEMM


def _is_product(equation: str, inputs: Sequence[str], constant: dict[str, Any]) -> bool:
    found = EINSUM.fullmatch(equation.replace(" ", ""))
    if not found or not found["rows"] or len(inputs) != 2 or inputs[1] not in constant:
        return False
    letters = found["rows"] + found["inner"] + found["column"]
    return len(set(letters)) == len(letters)  # one that comes twice picks a diagonal


def _moved_in(graph: Any, loop: Any, body: Any) -> None:
    """Constants that each turn of a loop hands on as they are stand in its body instead."""
    constant, read = {one.name: one for one in graph.initializer}, {*_read(graph)}
    same = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity"}
    results = {one.name for one in graph.output}
    for at in reversed(range(2, len(loop.input))):
        inside, after, out = body.input[at], body.output[at - 1], loop.output[at - 2]
        kept = loop.input[at] in constant and same.get(after.name) == inside.name
        if not kept or out in read | results:
            continue
        own = type(constant[loop.input[at]])()
        own.CopyFrom(constant[loop.input[at]])
        own.name = inside.name
        body.initializer.append(own)
        del loop.input[at], loop.output[at - 2], body.input[at], body.output[at - 1]
        if after.name not in {*_read(body), *(one.name for one in body.output)}:
            body.node.remove(next(node for node in body.node if after.name in node.output))


def _read(graph: Any) -> Iterator[str]:
    """The names that nodes of a graph read, and of the graphs inside it."""
    for node in graph.node:
        yield from node.input
        for body in _bodies(node):
            yield from _read(body)
            yield from (one.name for one in body.output)


def _bodies(node: Any) -> Iterator[Any]:
    from onnx import AttributeProto

    yield from (one.g for one in node.attribute if one.type == AttributeProto.GRAPH)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}
