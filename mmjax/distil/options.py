"""The section `config.distil`: which run teaches, and what of its answers."""

from __future__ import annotations

import dataclasses

from mmjax.errors import OptionError

OF = ("logits", "embeddings", "maps")


@dataclasses.dataclass(frozen=True)
class Distil:
    """The section `config.distil`.

    Attributes:
      workdir: of the run that teaches, of the same system and data; "" = none.
      of: what is learned of its answers: "logits", its distributions over classes (Hinton et al. 2015); "embeddings",
        how alike it finds the examples of a batch (Tung and Mori 2019); "maps", its heatmaps.
      weight: of what is learned from it; the system's own loss has 1.
      temperature: by which both sides' logits are divided.
    """

    workdir: str = ""
    of: str = "logits"
    weight: float = 1.0
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if self.of not in OF:
            raise OptionError("of", f"{self.of!r} is unknown: choose one of {', '.join(OF)}")
        if self.temperature <= 0:
            raise OptionError("temperature", f"{self.temperature} must be above 0")
        if self.weight < 0:
            raise OptionError("weight", f"{self.weight} must be at least 0")
