"""Which modalities each parameter meets: a parameter that meets one alone belongs to its tower, before any fusion.

Read off the traced loss: no system says where its towers end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.extend import core

Names = frozenset[str]
NONE: Names = frozenset()


class _Met:
    """What is known of a value: the modalities that it is made of, or, where none is, the parameters."""

    __slots__ = ("modalities", "parameters")

    def __init__(self, modalities: Names = NONE, parameters: frozenset[int] = frozenset()):
        self.modalities = modalities
        self.parameters = frozenset() if modalities else parameters

    def __or__(self, other: _Met) -> _Met:
        return _Met(self.modalities | other.modalities, self.parameters | other.parameters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Met) and (self.modalities, self.parameters) == (other.modalities, other.parameters)

    __hash__ = None  # type: ignore[assignment]


def met(loss: Any, params: Any, batch: Mapping[str, Any], owner: Mapping[str, str]) -> Any:
    """For each parameter the modalities that it meets, as a tree like `params` of frozensets.

    Args:
      loss: (params, batch) -> anything; traced.
      params: of arrays or of what describes them.
      batch: likewise.
      owner: {field of the batch: its modality}; the others, such as the right answer, have none.
    """
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (params, dict(batch)))
    closed = jax.make_jaxpr(loss)(*abstract)
    leaves, structure = jax.tree.flatten(params)
    found: list[set[str]] = [set() for _ in leaves]
    given = [_Met(NONE, frozenset({number})) for number in range(len(leaves))]
    given += [_Met(frozenset({owner[name]})) if name in owner else _Met() for name in sorted(batch)]
    _follow(closed.jaxpr, given, found)
    return jax.tree.unflatten(structure, list(map(frozenset, found)))


def _follow(jaxpr: Any, given: Sequence[_Met], found: list[set[str]]) -> list[_Met]:
    """What a program's results are made of; the meetings on the way are added to `found`."""
    known: dict[Any, _Met] = dict(zip(jaxpr.invars, given, strict=True))

    def of(atom: Any) -> _Met:
        return _Met() if isinstance(atom, core.Literal) else known.get(atom, _Met())

    for equation in jaxpr.eqns:
        inside = [of(atom) for atom in equation.invars]
        results = _through(equation, inside, found)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [of(atom) for atom in jaxpr.outvars]


def _through(equation: Any, inside: list[_Met], found: list[set[str]]) -> list[_Met]:
    """What one equation's results are made of."""
    programs: list[Any] = [
        getattr(part, "jaxpr", part)
        for value in equation.params.values()
        for part in (value if isinstance(value, tuple | list) else [value])
        if hasattr(getattr(part, "jaxpr", part), "eqns")
    ]
    name, many = equation.primitive.name, len(equation.outvars)
    if name == "scan":
        fixed = equation.params["num_consts"]
        return _turns(programs[0], inside, fixed, equation.params["num_carry"], found)
    if name == "while":
        before = equation.params["cond_nconsts"]
        fixed = equation.params["body_nconsts"]
        return _turns(equation.params["body_jaxpr"].jaxpr, inside[before:], fixed, many, found)
    if name == "cond":
        several = [_follow(program, inside[1:], found) for program in programs]
        return [_all([*branches, inside[0]], found) for branches in zip(*several, strict=True)]
    if programs and len(programs[0].invars) == len(inside) and len(programs[0].outvars) == many:
        return _follow(programs[0], inside, found)
    return [_all(inside, found)] * many


def _turns(program: Any, inside: list[_Met], fixed: int, carried: int, found: list[set[str]]) -> list[_Met]:
    """A loop whose carry becomes what it is made of in the end."""
    while True:
        results = _follow(program, inside, found)
        carry = [old | new for old, new in zip(inside[fixed : fixed + carried], results, strict=False)]
        if carry == inside[fixed : fixed + carried]:
            return [*carry, *results[carried:]]
        inside = [*inside[:fixed], *carry, *inside[fixed + carried :]]


def _all(several: Sequence[_Met], found: list[set[str]]) -> _Met:
    """What is made of several values at once: the parameters among them meet the modalities."""
    whole = _Met()
    parameters: frozenset[int] = frozenset()
    for one in several:
        whole, parameters = whole | one, parameters | one.parameters
    if whole.modalities:
        for number in parameters:
            found[number] |= whole.modalities
    return _Met(whole.modalities, parameters)
