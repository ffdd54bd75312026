"""The shipped weights of our small recogniser of speech; `mmjax export-recogniser` makes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from mmjax.errors import UserError
from mmjax.models.sound.speech_recogniser import SpeechRecogniser
from mmjax.ops.sound.speech_mel import SpeechMel
from mmjax.weights import safetensors_file

SYSTEM = "speech_recognition"
SHIPPED = Path(__file__).with_name("speech_recogniser.safetensors")


class TrainedListener(NamedTuple):
    """A recogniser of speech with its weights.

    Attributes:
      model: the network.
      spec: the frames that it hears.
      variables: {"params": tree, "state": tree} of float32 NumPy arrays.
      units: their names, in the order of the logits.
      words: their names; none of a recogniser whose units are letters.
      lexicon: units of each word, -1 behind the last, int32.
      figures: what its run reached on the test split, beside the trivial baselines.
    """

    model: SpeechRecogniser
    spec: SpeechMel
    variables: dict[str, Any]
    units: tuple[str, ...]
    words: tuple[str, ...]
    lexicon: Int[np.ndarray, "w k"]
    figures: dict[str, float]


def load(path: Path = SHIPPED) -> TrainedListener:
    """Loads the shipped recogniser, or another one that was exported. Raises UserError if it is none."""
    variables, metadata = safetensors_file.load(path)
    if metadata.get("part") != SYSTEM:
        raise UserError(f"{path}: not a recogniser of speech: export one with mmjax export-recogniser WORKDIR")
    said = {name: json.loads(metadata[name]) for name in ("model", "frames", "units", "words", "figures")}
    words = tuple(said["words"])
    lexicon = np.full((len(words), max(map(len, said["words"].values()), default=0)), -1, np.int32)
    for row, spoken in zip(lexicon, said["words"].values()):
        row[: len(spoken)] = spoken
    model, spec = SpeechRecogniser(**said["model"]), SpeechMel(**said["frames"])
    return TrainedListener(model, spec, variables, tuple(said["units"]), words, lexicon, said["figures"])


def described(config: Mapping[str, Any], frozen: Mapping[str, Any]) -> dict[str, str]:
    """What a file says beside the weights, from the config of a run and from what the run never changed."""
    words = _names(frozen["lexicon_names"]) if "lexicon_names" in frozen else []
    spoken = [[int(unit) for unit in row if unit >= 0] for row in np.asarray(frozen.get("lexicon_units", []))]
    return {
        "part": SYSTEM,
        "model": json.dumps(dict(config["model"])),
        "frames": json.dumps(dict(config["frames"])),
        "units": json.dumps(_names(frozen["units_names"])),
        "words": json.dumps(dict(zip(words, spoken, strict=True))),
    }


def _names(spelled: Any) -> list[str]:
    return [bytes(row).rstrip(b"\0").decode() for row in np.ascontiguousarray(spelled)]
