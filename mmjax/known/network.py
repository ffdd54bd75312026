"""A known network: a Linen module, the layer that is read, and where its values come from: fresh or published, trained
or frozen."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from mmjax.errors import OptionError
from mmjax.models.blocks import norm
from mmjax.ops.pictures import resize

Parts = Mapping[str, Any]  # {"params": trained, "state": follows the batches, "frozen": never changes}; {} where empty
STATISTICS = ("batch", "running")


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as a function of its parts; hashable, and equal by value. It reads files in `fill` only.

    Attributes:
      model: returns a dict of layers; or, with `method`, the layer whose name it is given.
      layer: the one that is read; "" for a model that returns one value.
      size: the side of the square that pictures are resized to; 0 takes what comes as it is.
      load: (*source) -> published weights, {"params": tree} and perhaps {"state": tree}, NumPy arrays. They may hold
        more than the model has up to the layer. None for a network that is trained from scratch.
      source: what `load` is called with: paths, sizes.
      found: (*source) -> whatever; raises UserError where what `load` reads is missing, and reads nothing itself.
        Without it, a source that begins with a path must be there.
      trained: whether its parameters are.
      statistics: of its BatchNorm while it is trained: "batch", or "running", as they came with the weights.
      method: of the model, for one that computes up to a layer: method(*inputs, layer=...).

    Raises:
      OptionError: of `statistics`; of `trained`, where there is neither training nor weights; in the methods of `layer`
        and `weights`.
    """

    model: nn.Module
    layer: str = ""
    size: int = 0
    load: Callable[..., Mapping[str, Any]] | None = None
    source: tuple[Any, ...] = ()
    found: Callable[..., Any] | None = None
    trained: bool = True
    statistics: str = "batch"
    method: str = ""

    def __post_init__(self) -> None:
        if self.statistics not in STATISTICS:
            raise OptionError("statistics", f"is {self.statistics!r}: choose {' or '.join(map(repr, STATISTICS))}")
        if self.load is None and not self.trained:
            raise OptionError("trained", f"is False, but {type(self.model).__name__} has no weights: train it")

    def check(self) -> None:
        """Raises UserError where something is missing that `fill` cannot do without."""
        if self.found is not None:
            self.found(*self.source)
        elif self.source and isinstance(self.source[0], str) and not Path(self.source[0]).expanduser().exists():
            raise OptionError("weights", f"={self.source[0]!r}: no such file")

    def init(self, key: Array, *inputs: Any) -> dict[str, Any]:
        """Fresh parts, traceable; NaN where published weights belong: were these forgotten, a run would show it."""

        def create(key: Array, *inputs: Any) -> dict[str, Any]:
            return dict(self.model.init(key, *self._sized(inputs), **self._named()))

        if self.load is None:
            return self._parted(create(key, *inputs))
        shapes = jax.eval_shape(create, key, *inputs)
        return self._parted(jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), shapes))

    def fill(self, parts: Parts) -> dict[str, Any]:
        """The parts with the published weights, arrays of the host; unchanged where there are none."""
        if self.load is None:
            return dict(parts)
        weights = self.load(*self.source)
        return self._parted(jax.tree.map_with_path(lambda path, old: _at(weights, path, old), self._whole(parts)))

    def __call__(self, parts: Parts, *inputs: Any, train: bool = False) -> tuple[Array, Any]:
        """The layer and the state after it, which changes in training with the statistics of the batch."""
        inputs, variables = self._sized(inputs), self._whole(parts)
        follows = self.trained and self.statistics == "batch" and parts["state"]
        if not (train and follows):
            with contextlib.nullcontext() if follows else norm.statistics_of_batch(False):
                return self._read(self.model.apply(variables, *inputs, **self._named())), parts["state"]
        found, updated = self.model.apply(variables, *inputs, train=True, mutable=["state"], **self._named())
        return self._read(found), updated["state"]

    def _parted(self, made: Mapping[str, Any]) -> dict[str, Any]:
        """Variables by what becomes of them; statistics that follow no batch are frozen."""
        left = dict(made)
        params = left.pop("params") if self.trained else {}
        state = left.pop("state", {}) if self.trained and self.statistics == "batch" else {}
        return {"params": params, "state": state, "frozen": left}

    def _whole(self, parts: Parts) -> dict[str, Any]:
        return {**parts["frozen"], **{name: parts[name] for name in ("params", "state") if parts[name]}}

    def _named(self) -> dict[str, Any]:
        return {"method": self.method, "layer": self.layer} if self.method else {}

    def _sized(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (resize(inputs[0], self.size), *inputs[1:]) if self.size else inputs

    def _read(self, found: Any) -> Array:
        if self.method or not self.layer:
            return found
        if self.layer not in found:
            raise OptionError("layer", f"{self.layer!r} is unknown: choose one of {', '.join(found)}")
        return found[self.layer]


def _at(weights: Any, path: Any, old: Any) -> np.ndarray:
    """The array of the weights that belongs at a place of the network."""
    where = "/".join(str(key.key) for key in path)
    for key in path:
        weights = weights.get(key.key, {})
    if np.shape(weights) != old.shape:
        raise OptionError("weights", f"do not fit: {where} is {np.shape(weights)}, in the network {old.shape}")
    return np.asarray(weights, old.dtype)
