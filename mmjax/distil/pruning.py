"""A run that begins as the channels that matter most of a wider run of its system: `config.prune`, around any Task that
says what its channels are.

How much a channel matters is the sum of the absolute gains of its BatchNorms, as in Liu et al. 2017, "Learning
Efficient Convolutional Networks through Network Slimming"; here each layer keeps as many as the narrower config has,
and training goes on from there. What is left out is gone from the arrays, so that the network is as fast as its config.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax import workdir as files
from mmjax.errors import OptionError, UserError
from mmjax.known.whole_run import WholeRun
from mmjax.task import Channels, Constants, Task, Variables, bind

OPTION = "config.prune"
GAIN = "/scale"  # how the place of a BatchNorm's gains ends


def task(plain: Task, run: WholeRun) -> Task:
    """The task whose fresh run begins with the run's channels; one that goes on does not ask for the run any more.

    Raises UserError for a system that names no channels.
    """
    if not plain.channels:
        raise UserError(f'{OPTION}: {run.system} does not say what its channels are: set ""')
    return dataclasses.replace(plain, fill=bind(_fill, plain, run), needs=(*plain.needs, bind(_there, run)))


def _there(run: WholeRun) -> None:
    """Raises UserError where nothing is there, or another system's."""
    _ = run.config


def _fill(plain: Task, run: WholeRun, variables: Variables, constants: Constants) -> Variables:
    """The plain task's values, with the run's in the place of all parameters and of the state that it has."""
    theirs = files.read_arrays(Path(run.path).expanduser() / files.CONSTANTS)
    for name in set(theirs) & set(constants):
        if not np.array_equal(theirs[name], np.asarray(constants[name])):
            raise _wrong(run, f"has another {name}: it was trained on other data, or on data cut otherwise")
    filled = plain.fill(variables, constants)
    trained = {part: filled[part] for part in ("params", "state")}
    shapes = {place: tuple(np.shape(value)) for place, value in places(trained).items()}
    try:
        found = narrowed(plain.channels, places({part: run.load()[part] for part in trained}), shapes)
    except ValueError as error:
        raise _wrong(run, str(error)) from None
    if missing := [place for place in places({"params": filled["params"]}) if place not in found]:
        raise _wrong(run, f"is of another network: it has no {missing[0]}")

    def taken(at: Any, value: Any) -> Any:
        return found.get(jax.tree_util.keystr(at, simple=True, separator="/"), value)

    return {**filled, **jax.tree_util.tree_map_with_path(taken, trained)}


def _wrong(run: WholeRun, said: str) -> OptionError:
    return OptionError(OPTION, f"={run.path!r} {said}")


def places(tree: Mapping[str, Any]) -> dict[str, Any]:
    """{place, slashes between: array} of a nested tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(at, simple=True, separator="/"): value for at, value in leaves}


def narrowed(
    groups: tuple[Channels, ...], wide: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Arrays with as many channels as the shapes have: in each group those whose gains are largest, in their order.

    Args:
      groups: of channels that stand or fall together, see `task.Channels`.
      wide: {place: array}.
      shapes: {place: shape} of the narrower network, of the arrays that it has.

    Raises:
      ValueError: it is another network, or wider somewhere; the message says where.
    """
    found = {place: np.asarray(value) for place, value in wide.items()}
    for group in groups:
        if strange := [place for place in group if place not in found or place not in shapes]:
            raise ValueError(f"is of another network: {strange[0]} is not in both")
        place, (axes, times) = next(iter(group.items()))
        had, wanted = found[place].shape[axes[0]] // times, shapes[place][axes[0]] // times
        if wanted > had:
            raise ValueError(f"has {had} channels in {place}, fewer than the {wanted} of this config")
        matter = sum(np.abs(wide[name]) for name in group if name.endswith(GAIN))
        kept = np.sort(np.argsort(-matter, kind="stable")[:wanted])
        for name, (axes, times) in group.items():
            every = np.concatenate([kept + had * copy for copy in range(times)])
            for axis in axes:
                found[name] = np.take(found[name], every, axis)
    for place, value in found.items():
        if place in shapes and value.shape != tuple(shapes[place]):
            raise ValueError(f"differs in more than channels: {place} is {value.shape}, and {shapes[place]} here")
    return found
