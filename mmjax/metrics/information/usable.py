"""Usable information in bits: how much better a predictor knows the answer than somebody who sees nothing.

Xu et al. 2020, "A Theory of Usable Information under Computational Constraints", equation 4: the cross-entropy of the
prior less that of a predictor, both on examples that neither was fitted on.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def bits(
    log_probabilities: Float[np.ndarray, "n c"], label: Int[np.ndarray, " n"], prior: Float[np.ndarray, " c"]
) -> Float[np.ndarray, " n"]:
    """Point-wise usable information (Ethayarajh et al. 2022): of each example; its mean is the information.

    Args:
      log_probabilities: of the predictor, in nats.
      label: the right class of each, 0 <= label < c.
      prior: log-probabilities of the classes, in nats, from other examples.

    Returns:
      bits, negative where the predictor knew less than the prior.
    """
    at = np.arange(len(label))
    return (np.asarray(log_probabilities, np.float64)[at, label] - np.asarray(prior)[label]) / np.log(2)
