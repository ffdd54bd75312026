"""Losses of generative adversarial networks: two forms of the game, matching-aware discriminators, and penalties.

All take the discriminator's logits, one a picture, and return one value per example; the paper's loss is their mean.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import nn
from jax import numpy as jnp
from jaxtyping import Array, Float

from mmjax.errors import OptionError

OBJECTIVES = ("bce", "hinge")


def check(kind: str, wrong_share: float = 0.5) -> None:
    """Raises OptionError of another kind than those of OBJECTIVES, or a share outside 0..1."""
    if kind not in OBJECTIVES:
        raise OptionError("kind", f"is {kind!r}: choose {' or '.join(map(repr, OBJECTIVES))}")
    if not 0 <= wrong_share <= 1:
        raise OptionError("wrong_share", f"is {wrong_share}: it must lie in 0..1")


def judged(logits: Float[Array, " b"], real: bool, kind: str = "bce") -> Float[Array, " b"]:
    """What a logit costs the discriminator if its picture is to be called real, or not real.

    "bce": -log sigmoid(+-logit) in nats, Goodfellow et al. 2014, eq. 1. "hinge": [1 -+ logit]+, Lim and Ye 2017,
    "Geometric GAN". Any float dtype; computed in float32.
    """
    check(kind)
    signed = logits.astype(jnp.float32) if real else -logits.astype(jnp.float32)
    return nn.softplus(-signed) if kind == "bce" else nn.relu(1.0 - signed)


def discriminator(
    real: Float[Array, " b"],
    fake: Float[Array, " b"],
    wrong: Float[Array, " b"] | None = None,
    kind: str = "bce",
    wrong_share: float = 0.5,
) -> Float[Array, " b"]:
    """real + wrong_share wrong + (1 - wrong_share) fake: GAN-CLS, the matching-aware discriminator.

    Reed et al. 2016, "Generative Adversarial Text to Image Synthesis", algorithm 1: a real picture with a text that is
    not its own is to be told from a real pair just as a drawn picture is. The official code gives both halves of the
    negative side the weight cls_weight = 0.5.

    Args:
      real: logits of real pictures with their texts.
      fake: of drawn pictures with the texts that they were drawn for.
      wrong: of real pictures with texts of others; None: the plain game, where `fake` has the whole weight.
      kind: "bce" or "hinge", see `judged`.
      wrong_share: of the negative side, 0 to 1.

    Returns:
      [b], float32, >= 0; 2 ln 2 ("bce") or 2 ("hinge") where all logits are 0.

    Raises:
      OptionError: another kind, or a share outside 0..1.
    """
    check(kind, wrong_share)
    value = judged(real, True, kind)
    if wrong is None:
        return value + judged(fake, False, kind)
    return value + wrong_share * judged(wrong, False, kind) + (1.0 - wrong_share) * judged(fake, False, kind)


def generator(fake: Float[Array, " b"], kind: str = "bce") -> Float[Array, " b"]:
    """What a logit costs the generator.

    "bce": -log sigmoid(logit), Goodfellow's form that does not saturate. "hinge": -logit, which may be negative.
    """
    check(kind)
    wide = fake.astype(jnp.float32)
    return nn.softplus(-wide) if kind == "bce" else -wide


def midpoints(text: Float[Array, "b d"]) -> Float[Array, "h d"]:
    """The means of text i and text b/2 + i, h = b // 2 of them: GAN-INT's texts that nobody wrote.

    Reed et al. 2016, eq. 5 with beta = 0.5. The generator draws them too; no real picture belongs to them, so the
    discriminator judges whether drawn picture and text match, and is not trained on them.
    """
    half = len(text) // 2
    return 0.5 * (text[:half] + text[half : 2 * half])


def r1(score: Callable[[Array], Float[Array, " b"]], image: Float[Array, "b h w c"]) -> Float[Array, " b"]:
    """|d score / d image|^2 / 2 of each real picture; times gamma, the R1 penalty.

    Mescheder, Geiger and Nowozin 2018, "Which Training Methods for GANs do actually Converge?", eq. 9.

    Args:
      score: pictures -> logits [b], each of its own picture (and, through batch statistics, a little of the others').
      image: real pictures.
    """
    slope = jax.grad(lambda x: jnp.sum(score(x).astype(jnp.float32)))(image)
    return 0.5 * jnp.sum(jnp.square(slope.astype(jnp.float32)), axis=tuple(range(1, image.ndim)))


def matching_aware_penalty(
    score: Callable[[Array, Array], Float[Array, " b"]],
    image: Float[Array, "b h w c"],
    text: Float[Array, "b d"],
    weight: float = 2.0,
    power: float = 6.0,
) -> Float[Array, " b"]:
    """weight |d score / d (image, text)|^power of each real picture with its own text: DF-GAN's MA-GP.

    Tao et al. 2022, "DF-GAN: A Simple and Effective Baseline for Text-to-Image Synthesis", eq. 2, has the sum of both
    norms; the authors' code, followed here, the norm of both gradients joined. At a zero gradient its own is 0.

    Args:
      score: (pictures, texts) -> logits [b].
      image, text: real pairs.
    """
    slopes = jax.grad(lambda x, t: jnp.sum(score(x, t).astype(jnp.float32)), argnums=(0, 1))(image, text)
    squares = (jnp.sum(jnp.square(s.astype(jnp.float32)), axis=tuple(range(1, s.ndim))) for s in slopes)
    return weight * sum(squares) ** (power / 2)
