"""What two sides tell of an answer, from what predictors say of the examples of a batch and not from a table of counts.

The batch estimator of Liang et al. 2023, "Quantifying & Modeling Multimodal Interactions", section 4.2: each example of
a batch is a value of its own of either side, and the predictors say q(y | x1) and q(y | x2), which are the marginals
that Bertschinger's programme keeps. There a network, scaled by Sinkhorn's steps, learns the q in between; of a batch
the programme is small enough to be solved itself, by the turns of `decomposition`.

Nothing is counted, so independent sides show no synergy and nothing needs to be subtracted. What is wrong in the
predictors' probabilities is wrong here: calibrate them first.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from mmjax.metrics.information import decomposition, trust

SIZE = 128  # examples of a batch: the programme has their square times the classes unknowns
ROUNDS = 60  # within some thousandths of a bit of the minimum with ten classes


@dataclasses.dataclass(frozen=True)
class Batches:
    """The parts of each batch.

    Attributes:
      parts: bits of each of `decomposition.PARTS`, [batches 4].
    """

    parts: Float[np.ndarray, "k 4"]

    @property
    def value(self) -> Float[np.ndarray, " 4"]:
        """The mean over batches."""
        return self.parts.mean(0)

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The lower and the upper ends, by the batches' spread."""
        _, low, high = trust.over_runs(self.parts)
        return low, high


def parts(
    one: Float[np.ndarray, "n c"], two: Float[np.ndarray, "n c"], both: Float[np.ndarray, "n c"], size: int = SIZE
) -> Batches:
    """Redundant, unique to each side, and synergy, in the order of `decomposition.PARTS`, batch by batch.

    Args:
      one, two, both: probabilities of the classes, calibrated, of n examples in no order that says anything of them.
      size: examples of a batch; those of a last one that is not full are left out, unless it is the only one.
    """
    n = len(one)
    k, rows = (n // size, size) if n >= size else (1, n)
    found = []
    for number in range(k):
        at = slice(number * rows, (number + 1) * rows)
        found.append(_of_batch(one[at], two[at], both[at]))
    return Batches(np.stack(found))


def _of_batch(one: np.ndarray, two: np.ndarray, both: np.ndarray) -> np.ndarray:
    answer = both.mean(0)  # who sees both knows best how often each class is in this batch
    sides = [matched(side, answer) for side in (one, two)]
    told = [decomposition.information(side / len(side)) for side in (*sides, both)]
    first, second, together = map(float, told)
    share = np.where(answer > 0, answer, 1) * len(one)
    given = [side.T / share[:, None] for side in sides]
    least = decomposition.least_between(answer, given[0], given[1], ROUNDS, 1e-5)
    bound = max(float(least), first, second)
    return np.array([first + second - bound, bound - second, bound - first, together - bound])


def matched(
    said: Float[np.ndarray, "n c"], answer: Float[np.ndarray, " c"], rounds: int = 100
) -> Float[np.ndarray, "n c"]:
    """Probabilities whose mean is `answer`, each class by its own factor (Sinkhorn): the sides must agree on the prior.

    Args:
      said: probabilities of n examples.
      answer: those that are to be their mean.
      rounds: of scaling.
    """
    for _ in range(rounds):
        mean = said.mean(0)
        said = said * np.divide(answer, mean, out=np.zeros_like(answer), where=mean > 0)
        said = said / said.sum(1, keepdims=True)
    return said
