"""A trained run of configs/units.py by its workdir: speech as numbers of units, for what builds on them.

run = units_run.load("runs/units", "config.units")
parts = run.variables                                  # once, NumPy arrays
codes, vectors, steps = run.encoder(parts, speech, length)   # jitted as it is; codes -1 behind the last
units, length = run.units(parts, speech, length, most)       # runs of equal codes as one each
run.names                                              # what the numbers are called, uint8 [k letters]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Int, Num, UInt8

from mmjax.errors import OptionError
from mmjax.known import runs
from mmjax.models.sound.resdavenet_vq import ResDavenetVQ
from mmjax.models.sound.unit_encoder import UnitEncoder
from mmjax.ops import run_lengths
from mmjax.ops.sound.davenet_mel import DavenetMel

SYSTEM = "units"


def names(number: int) -> UInt8[np.ndarray, "k letters"]:
    """What so many units are called: "u000", "u001", ..., spelled as vocabularies are."""
    width = max(3, len(str(number - 1)))
    return np.array([f"u{i:0{width}}".encode() for i in range(number)]).view(np.uint8).reshape(number, -1)


@dataclasses.dataclass(frozen=True)
class UnitsRun:
    """Units that are trained no further; hashable, and equal by value: its files are read on demand.

    Attributes:
      path: its workdir.
      option: that named the path, for the messages.
      encoder: speech as codes.
    """

    path: str
    option: str
    encoder: UnitEncoder

    @property
    def names(self) -> UInt8[np.ndarray, "k letters"]:
        """Of the units, as the run saved them."""
        return runs.frozen(self.path, lambda tree: {"units_names": tree["units_names"]})["units_names"]

    @property
    def variables(self) -> dict[str, Any]:
        """What the encoder is a function of, as NumPy arrays of the newest checkpoint."""
        found = runs.newest(self.path, _speech, self.option)
        parts = {"params": found["params"]["units"]["speech"], "state": found["state"]["speech"]}
        if self.encoder.kind == "quantiser":
            return {**parts, "book": parts["state"][f"quantiser{self.encoder.position}"]["codebook"]}
        return {**parts, "book": self._fitted()["units"]}

    @property
    def shapes(self) -> dict[str, Any]:
        """Shapes and dtypes of `variables`."""
        found = runs.shapes(self.path, _speech, self.option)
        parts = {"params": found["params"]["units"]["speech"], "state": found["state"]["speech"]}
        if self.encoder.kind == "quantiser":
            return {**parts, "book": parts["state"][f"quantiser{self.encoder.position}"]["codebook"]}
        return {**parts, "book": self._fitted()["units"]}

    @property
    def begin(self) -> dict[str, Any]:
        """{"params": {part: tree}, "state": {part: tree}} of its networks, for a run that goes on from them."""
        saved = runs.newest(self.path, lambda tree: {"params": tree["params"], "state": tree["state"]}, self.option)
        return {"params": saved["params"]["units"], "state": saved["state"]}

    def units(
        self, parts: Mapping[str, Any], speech: Num[Array, "b time"], length: Int[Array, " b"], most: int
    ) -> tuple[Int[Array, "b n"], Int[Array, " b"]]:
        """The units of utterances, runs of equal codes as one each: see `run_lengths.collapsed`."""
        encoded = self.encoder(parts, speech, length)
        return run_lengths.collapsed(encoded.codes, encoded.steps, most)

    def _fitted(self) -> dict[str, Any]:
        found = runs.fitted(self.path, self.option)
        if not found:
            raise OptionError(self.option, f"={self.path!r} has no codebook of k-means: the run has not ended")
        return found


def _speech(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "params": {"units": {"speech": tree["params"]["units"]["speech"]}},
        "state": {"speech": tree["state"]["speech"]},
    }


def load(path: str | Path, option: str) -> UnitsRun:
    """Finds a run of configs/units.py; its weights are not read yet.

    Args:
      path: the workdir, whose newest checkpoint is taken.
      option: that named the path, for the messages.

    Raises:
      UserError: nothing there, a run of another system, or one that saved nothing yet.
    """
    config = runs.config_of(path, SYSTEM, option)
    runs.shapes(path, lambda tree: {"step": tree["step"]}, option)  # that there is one
    model: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in config["model"].items()}
    encoder = UnitEncoder(DavenetMel(**config["frames"]), ResDavenetVQ(**model), **config["codes"])
    return UnitsRun(str(path), option, encoder)
