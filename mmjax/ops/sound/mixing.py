"""Mixtures of clips: who is mixed with whom, drawn from a key, and the sum at given levels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from mmjax.errors import UserError

TINY = 1e-12


def level_db(sound: Float[Array, "*b time"]) -> Float[Array, "*b"]:
    """Root mean square in dB of full scale, -120 at least."""
    return 10 * jnp.log10(jnp.mean(jnp.square(sound.astype(jnp.float32)), -1) + TINY)


def groups(
    key: Key[Array, ""],
    audible: Bool[Array, " b"],
    sources: int,
    classes: Int[Array, " b"] | None = None,
) -> tuple[Int[Array, "b n"], Bool[Array, " b"]]:
    """For each clip others to be mixed with it: never itself, never one clip twice, never a silent one.

    Args:
      key: what is drawn, is drawn from it.
      audible: which clips may be used.
      sources: n, clips of a mixture, 1 to 4.
      classes: where given, clips of one class are never mixed; a negative number is no class, and goes with any.

    Returns:
      (places of the clips of each mixture, its own first; whether the mixture is one: every clip of it is audible and
      there were enough others).

    Raises:
      UserError: another number of sources.
    """
    if not 1 <= sources <= 4:
        raise UserError(f"{sources} clips of a mixture: it must be 1 to 4")
    count = len(audible)
    same = jnp.eye(count, dtype=bool)
    if classes is not None:
        known = classes >= 0
        same |= (classes[:, None] == classes[None]) & known[:, None] & known[None]
    drawn = jax.random.uniform(key, (count, count))

    def choose(state, _):
        free, there = state
        score = jnp.where(free, drawn, -1.0)
        other = jnp.argmax(score, -1).astype(jnp.int32)
        there &= jnp.any(free, -1)
        return (free & ~same[other], there), other

    start = ((~same) & audible[None], audible)
    (_, there), others = lax.scan(choose, start, None, length=sources - 1)
    own = jnp.arange(count, dtype=jnp.int32)
    return jnp.concatenate([own[:, None], others.T], 1), there


def mixed(
    sounds: Float[Array, "*b n time"], gains_db: Float[Array, "*b n"], level: float = 0.1
) -> tuple[Float[Array, "*b time"], Float[Array, "*b n time"]]:
    """The mixture, and what each sound adds to it: all at one root mean square, then their gains, then a mean.

    Args:
      sounds: of which none is silent; one that is stays silent, with no sample that is not finite.
      gains_db: of each, after all are made equally loud.
      level: root mean square of a sound at 0 dB, before the mean over n.

    Returns:
      (mixture, sources): the sources add up to the mixture.
    """
    rms = jnp.sqrt(jnp.mean(jnp.square(sounds), -1) + TINY)
    factor = level * 10 ** (gains_db / 20) / rms / sounds.shape[-2]
    parts = sounds * jnp.where(rms > 2 * TINY**0.5, factor, 0)[..., None]
    return jnp.sum(parts, -2), parts


def gains(key: Key[Array, ""], shape: tuple[int, ...], spread_db: float) -> Float[Array, "*b"]:
    """Gains in dB, evenly from -spread_db to spread_db."""
    return jax.random.uniform(key, shape, minval=-spread_db, maxval=spread_db)


def noise_at(
    mixture: Float[Array, "*b time"], noise: Float[Array, "*b time"], ratio_db: Float[Array, "*#b"]
) -> Float[Array, "*b time"]:
    """The noise at a level at which the mixture is so many dB above it, in root mean square; silence stays silence."""
    power = [jnp.mean(jnp.square(x), -1) for x in (mixture, noise)]
    factor = jnp.sqrt(power[0] / jnp.maximum(power[1], TINY)) * 10 ** (-ratio_db / 20)
    return noise * jnp.where(power[1] > 2 * TINY, factor, 0)[..., None]
