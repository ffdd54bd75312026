"""A trained run by its workdir, whole: its config, and all that the functions of its task take."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from mmjax.known import runs


@dataclasses.dataclass(frozen=True)
class WholeRun:
    """A run that is trained no further; hashable, and equal by value: its files are read on demand.

    Attributes:
      path: its workdir.
      system: that it is of.
      option: that named the path, for the messages.
    """

    path: str
    system: str
    option: str

    @property
    def config(self) -> ConfigDict:
        """Its config. Raises OptionError: nothing there, or a run of another system."""
        return ConfigDict(_tuples(runs.config_of(self.path, self.system, self.option)))

    @property
    def shapes(self) -> dict[str, Any]:
        """Shapes and dtypes of what `load` reads. Raises OptionError where the run saved nothing yet."""
        found = dict(runs.shapes(self.path, _trained, self.option))
        with ocp.PyTreeCheckpointer() as reader:
            for name, folder in self._fixed().items():
                found[name] = reader.metadata(folder).item_metadata.tree
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), found)
        return {"frozen": {}, **shapes}

    def load(self) -> dict[str, Any]:
        """{"params", "state", "frozen"}, and "fitted" where it solved something: the newest, NumPy arrays."""
        found = dict(runs.newest(self.path, _trained, self.option))
        found |= {name: runs.read(folder, lambda tree: tree) for name, folder in self._fixed().items()}
        return {"frozen": {}, **found}

    @property
    def hearing(self) -> dict[str, Any]:
        """What hears its units, where they are another run's: `UnitsRun.variables`, NumPy arrays."""
        return runs.frozen(self.path, lambda tree: {"hearing": tree["hearing"]})["hearing"]

    def _fixed(self) -> dict[str, Path]:
        """Where what is in no checkpoint lies, of what there is."""
        folder = Path(self.path).expanduser().absolute()
        solved = sorted(folder.glob("fitted/*"), key=lambda found: int(found.name))
        places = {"frozen": folder / "frozen", **({"fitted": solved[-1]} if solved else {})}
        return {name: place for name, place in places.items() if place.is_dir()}


def _trained(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {"params": tree["params"], "state": tree["state"]}


def _tuples(value: Any) -> Any:
    """JSON knows only lists, a config only tuples."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
