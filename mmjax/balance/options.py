"""The section `config.balance`: which remedy, and how much of it."""

from __future__ import annotations

import dataclasses

from mmjax.errors import OptionError

NAMES = ("none", "ogm_ge", "opm", "dropout", "pmr", "blending", "only")
ALPHA = {"ogm_ge": 0.3, "opm": 1.0, "pmr": 1.0}  # BalanceBenchmark's of OGM-GE, PMR's own
PLACES = ("gradient", "update")


@dataclasses.dataclass(frozen=True)
class Balance:
    """The section `config.balance`.

    Attributes:
      name: none;
        ogm_ge: the surer modality's tower learns more slowly, with noise (Peng et al. 2022);
        opm: the surer modality is missing from some examples (Wei et al. 2024);
        dropout: each modality is missing from some examples (Neverova et al. 2016, "ModDrop");
        pmr: the less sure modality is drawn to its classes' prototypes (Fan et al. 2023);
        blending: each modality alone has a loss, weighted by how well it generalises (Wang et al. 2020);
        only: one modality is all that training sees: no remedy, but what one side can be trained to.
      alpha: the strength of ogm_ge, opm and pmr; 0 = the method's own, ALPHA.
      place: of ogm_ge: "gradient" as its code has it, which Adam undoes, for it divides the scale of a gradient out
        again; or "update": what Adam makes of it.
      convolutions: ogm_ge changes four-dimensional kernels alone, as its code does.
      noise: of ogm_ge: adds normal noise of the deviation of each tower's gradient ("GE").
      until: the step at which ogm_ge ends; 0 = never.
      rate: of opm and dropout: of examples that miss a modality.
      momentum: of pmr's prototypes, a batch.
      every: steps between blending's estimates.
      held: of blending: the share of training's examples that it keeps for its estimates; nothing is trained on them.
      modality: of "only".
    """

    name: str = "none"
    alpha: float = 0.0
    place: str = "update"
    convolutions: bool = False
    noise: bool = True
    until: int = 0
    rate: float = 0.2
    momentum: float = 0.9
    every: int = 200
    held: float = 0.1
    modality: str = ""

    def __post_init__(self) -> None:
        for option, known in (("name", NAMES), ("place", PLACES)):
            if getattr(self, option) not in known:
                raise OptionError(option, f"{getattr(self, option)!r} is unknown: choose one of {', '.join(known)}")
        for option, least, most in (("rate", 0, 1), ("momentum", 0, 1), ("held", 0, 0.5), ("alpha", 0, 100)):
            if not least <= getattr(self, option) <= most:
                raise OptionError(option, f"{getattr(self, option)} must be from {least} to {most}")
        for option, least in (("until", 0), ("every", 1)):
            if getattr(self, option) < least:
                raise OptionError(option, f"{getattr(self, option)}: it must be at least {least}")
        if self.name == "blending" and not self.held:
            raise OptionError("held", "0: blending weighs its losses on examples that it does not train on")

    @property
    def strength(self) -> float:
        """`alpha`, or the method's own."""
        return self.alpha or ALPHA.get(self.name, 0.0)
