"""Multiply-adds of a traced program: of its matrix products and convolutions, in loops as often as they turn."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class Count:
    """Multiply-adds.

    Attributes:
      total: of one call.
      open_loops: loops inside whose number of turns only the data decide, each counted as one turn.
    """

    total: int = 0
    open_loops: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.total + other.total, self.open_loops + other.open_loops)

    def __mul__(self, turns: int) -> Count:
        return Count(self.total * turns, self.open_loops)


def of(jaxpr: Any) -> Count:
    """The multiply-adds of a program whose shapes are numbers.

    A convolution's products with the zeros that pad its input are counted, as usual; those with zeros between the
    pixels of a transposed one are not. Of the branches of a condition the dearer one counts. Sums, maxima, and all
    that goes number by number are left out.
    """
    found = Count()
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        found = found + _of_equation(equation)
    return found


def _of_equation(equation: Any) -> Count:
    name, given = equation.primitive.name, equation.params
    if name == "dot_general":
        return Count(_product(equation))
    if name == "conv_general_dilated":
        return Count(_convolution(equation))
    if name == "cond":
        return max((of(branch) for branch in given["branches"]), key=lambda count: count.total)
    if name == "while":
        return of(given["cond_jaxpr"]) + of(given["body_jaxpr"]) + Count(0, 1)
    if name == "scan":
        return of(given["jaxpr"]) * given["length"]
    return sum(map(of, inner(equation)), Count())


def inner(equation: Any) -> Iterator[Any]:
    """The programs that an equation calls."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else [value]:
            if hasattr(getattr(part, "jaxpr", part), "eqns"):
                yield part


def _product(equation: Any) -> int:
    (summed, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in summed)


def _convolution(equation: Any) -> int:
    left, kernel = (atom.aval.shape for atom in equation.invars)
    out_axis, in_axis, *window = equation.params["dimension_numbers"].rhs_spec
    taps = math.prod(kernel[axis] for axis in window)
    if any(step > 1 for step in equation.params["lhs_dilation"]):  # each input meets each tap of each of its outputs
        return math.prod(left) * taps * kernel[out_axis] // equation.params["feature_group_count"]
    return math.prod(equation.outvars[0].aval.shape) * taps * kernel[in_axis]
