"""Are probabilities as right as they say? Expected calibration error, the reliability diagram, and the repair.

Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

BINS = 15


@dataclasses.dataclass(frozen=True)
class Reliability:
    """The reliability diagram: in each bin of confidence, how sure the network was and how often it was right.

    Attributes:
      confidence: the mean probability of the likeliest class, [bins]; NaN in an empty bin.
      accuracy: the share that is right, [bins]; NaN in an empty bin.
      share: of the examples, [bins].
    """

    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    share: Float[np.ndarray, " bins"]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean over examples of |accuracy - confidence| of their bins."""
        gap = np.abs(self.accuracy - self.confidence)
        return float(np.sum(np.where(self.share > 0, gap, 0) * self.share))


def reliability(probabilities: Float[np.ndarray, "n c"], label: Int[np.ndarray, " n"], bins: int = BINS) -> Reliability:
    """The diagram of the likeliest classes, in bins of equal width over 0..1, each with its upper end."""
    probabilities = np.asarray(probabilities, np.float64)
    sure, right = probabilities.max(1), probabilities.argmax(1) == label
    at = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(at, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(at, sure, bins) / count
        accuracy = np.bincount(at, right, bins) / count
    return Reliability(confidence, accuracy, count / max(len(sure), 1))


def log_softmax(logits: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """Logarithms of the probabilities, in nats, float64."""
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.sum(np.exp(logits), -1, keepdims=True))


@dataclasses.dataclass(frozen=True)
class Calibrator:
    """Logits -> log-probabilities: softmax(slope * logits + trust * log prior).

    (1, 0) is the network as it is, (1 / T, 0) temperature scaling, (0, 1) the prior: whoever is fitted in between can
    ignore logits that say nothing, as Xu et al. 2020 ask of a family of predictors ("optional ignorance").

    Attributes:
      slope, trust: the two factors.
      prior: log-probabilities of the classes, in nats, [c].
    """

    slope: float
    trust: float
    prior: Float[np.ndarray, " c"]

    def __call__(self, logits: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
        """Log-probabilities in nats."""
        return log_softmax(self.slope * log_softmax(logits) + self.trust * self.prior)


def log_prior(label: Int[np.ndarray, " n"], classes: int) -> Float[np.ndarray, " c"]:
    """The classes' log-frequencies in nats, half an example added to each (Krichevsky and Trofimov 1981)."""
    count = np.bincount(np.asarray(label), minlength=classes) + 0.5
    return np.log(count / count.sum())


def fit(
    logits: Float[np.ndarray, "n c"], label: Int[np.ndarray, " n"], prior: Float[np.ndarray, " c"], steps: int = 50
) -> Calibrator:
    """The calibrator with the least cross-entropy on examples that the network was not trained on.

    A convex problem in two numbers, by Newton's method with halved steps. It is the prior where it is better than that
    by less than two numbers are on the average with logits that say nothing (Akaike 1974), two nats in all.

    Args:
      logits: of n held-out examples.
      label: their classes, 0 <= label < c.
      prior: see `Calibrator`.
      steps: at most.
    """
    seen = np.stack([log_softmax(logits), np.broadcast_to(prior, np.shape(logits))])  # 2 n c
    own = seen[:, np.arange(len(label)), label]  # 2 n

    def log_probabilities(factors: np.ndarray) -> np.ndarray:
        return log_softmax(np.tensordot(factors, seen, 1))

    def nats(factors: np.ndarray) -> float:
        return -float(np.mean(log_probabilities(factors)[np.arange(len(label)), label]))

    factors, value = np.array([1.0, 0.0]), np.inf
    for start in ((1.0, 0.0), (0.0, 1.0)):  # the better of the network and the prior
        if nats(np.array(start)) < value:
            factors, value = np.array(start), nats(np.array(start))
    for _ in range(steps):
        p = np.exp(log_probabilities(factors))
        mean = np.einsum("nc,inc->in", p, seen)
        slope = np.mean(mean - own, 1)
        curve = np.einsum("nc,inc,jnc->ij", p, seen, seen) / len(label) - mean @ mean.T / len(label)
        move = np.linalg.solve(curve + 1e-9 * np.eye(2), slope)
        size = 1.0
        while size > 1e-4 and not nats(factors - size * move) < value:
            size /= 2
        if size <= 1e-4:
            break
        factors = factors - size * move
        gained, value = value - nats(factors), nats(factors)
        if gained < 1e-9:
            break
    if nats(np.array([0.0, 1.0])) - value < 2 / len(label):
        factors = np.array([0.0, 1.0])
    return Calibrator(float(factors[0]), float(factors[1]), np.asarray(prior, np.float64))
