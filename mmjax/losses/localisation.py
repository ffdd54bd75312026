"""Losses of sound source localisation: Senocak et al. 2018, LVS, EZ-VSL and SLAVC, one value per example.

Places and sounds are of unit length, so that a score is a cosine; the losses do not normalise them. Where other
examples of the batch are negatives, these are the examples of all devices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax, nn
from jaxtyping import Array, Bool, Float

from mmjax.losses import pairs
from mmjax.ops import maximum

EPSILON = 1e-6  # what torch.nn.functional.pairwise_distance adds to each difference


def _scores(places: Float[Array, "b h w d"], sounds: Float[Array, "m d"]) -> Float[Array, "b m p"]:
    """The score of each sound at each place of each picture, full float32 on every device."""
    flat = places.reshape(len(places), -1, places.shape[-1])
    return jnp.einsum("npd,md->nmp", flat, sounds, precision=lax.Precision.HIGHEST)


def _ratio(logits: Float[Array, "b m"], own: pairs.Side, columns: pairs.Side) -> Float[Array, " b"]:
    """-log of the softmax over the columns at each row's own column."""
    at_own = columns.number[None] == own.number[:, None]
    logits = jnp.where(columns.where[None] | at_own, logits, pairs.NOTHING)
    right = jnp.sum(jnp.where(at_own, logits, 0.0), 1)
    return pairs.keep(nn.logsumexp(logits, 1) - right, own.where)


# -- Senocak et al. 2018 -----------------------------------------------------------------------------------------------


def senocak_unsupervised(
    attended: Float[Array, "b n"],
    sound: Float[Array, "b n"],
    other: Float[Array, "b n"],
    where: Bool[Array, " b"] | None = None,
) -> Float[Array, " b"]:
    """Half of |softmax(d+, d-) - (0, 1)|^2, where d+ and d- are the distances to the own sound and to another one's.

    Senocak et al. 2018, "Learning to Localize Sound Source in Visual Scenes", eq. 6 (UnsupervisedLoss of the official
    code, whose mean is over both entries). No gradient flows into the sounds.

    Args:
      attended: what the picture's attended feature says of the sound.
      sound, other: features of the own sound and of a clip drawn at random, raw: not rectified as the attention's are.
      where: False for examples that do not count, whatever they hold.

    Returns:
      [b], float32, in 0..1: 0.25 where both are as far; 0 for examples that do not count.
    """
    own, right = pairs.sides(attended, lax.stop_gradient(sound), where=where)
    wrong = pairs.keep(lax.stop_gradient(other).astype(jnp.float32), own.where)
    nearer, farther = (jnp.sqrt(jnp.sum(jnp.square(own.z - z + EPSILON), 1)) for z in (right.z, wrong))
    # Both entries of the softmax miss by the same: d+ has 0 to be and 1 - p, d- has 1 and p.
    return pairs.keep(jnp.square(nn.sigmoid(nearer - farther)), own.where)


def attention_cross_entropy(
    log_attention: Float[Array, "b h w"], inside: Float[Array, "b h w"], where: Bool[Array, " b"] | None = None
) -> Float[Array, " b"]:
    """-sum over places of g log a: Senocak et al. 2018, eq. 7 (SupervisedLoss of the official code).

    Args:
      log_attention: log of an attention that adds up to 1 over places.
      inside: g, 0 or 1 there, not normalised, so that a large box weighs more; or a distribution.
      where: False for examples without boxes.

    Returns:
      [b], float32, >= 0; 0 for examples that do not count.
    """
    log_a, g = pairs.sides(log_attention, inside, where=where)
    return -jnp.sum(jnp.where(g.z > 0, g.z * log_a.z, 0.0), (1, 2))


def senocak_semi_supervised(
    unsupervised: Float[Array, " b"], supervised: Float[Array, " b"], has_boxes: Bool[Array, " b"], weight: float = 1.0
) -> Float[Array, " b"]:
    """The sum of both, the supervised one where there are boxes: Senocak et al. 2018, eq. 8, lambda 0 or 1."""
    return unsupervised + weight * pairs.keep(supervised, has_boxes)


# -- LVS ---------------------------------------------------------------------------------------------------------------


def lvs(
    places: Float[Array, "b h w d"],
    sounds: Float[Array, "b d"],
    where: Bool[Array, " b"] | None = None,
    *,
    positive: float = 0.65,
    negative: float = 0.4,
    sharpness: float = 0.03,
    temperature: float = 0.07,
) -> Float[Array, " b"]:
    """-log of P / (P + N): the mean score over likely places, against those of other sounds and of unlikely places.

    Chen et al. 2021, "Localizing Visual Sounds the Hard Way", eq. 4 to 7, and the logits of its official code: the
    tri-map leaves out what lies between both thresholds. There the own pair is struck from the negatives by a factor
    of -99; here it is left out.

    Args:
      places, sounds: of unit length; row i of one belongs to row i of the other.
      where: False for pairs that do not count, whatever they hold.
      positive, negative: the cosines above which a place is likely and below which it is unlikely.
      sharpness: of the two sigmoids.
      temperature: of the softmax.

    Returns:
      [b], float32, >= 0; 0 for pairs that do not count.
    """
    pictures, heard = pairs.sides(places, sounds, where=where)
    everyone = pairs.everyone(heard)
    scores = _scores(pictures.z, everyone.z)  # b m p
    likely = nn.sigmoid((scores - positive) / sharpness)
    easy = jnp.sum(likely * scores, 2) / jnp.maximum(jnp.sum(likely, 2), 1e-30)  # b m: each sound's likely places
    own = jnp.take_along_axis(scores, pictures.number[:, None, None], 1)[:, 0]  # b p
    unlikely = 1 - nn.sigmoid((own - negative) / sharpness)
    hard = jnp.sum(unlikely * own, 1) / jnp.maximum(jnp.sum(unlikely, 1), 1e-30)
    logits = jnp.concatenate([easy, hard[:, None]], 1) / temperature
    return _ratio(logits, pictures, _with_columns(everyone, 1))


# -- EZ-VSL ------------------------------------------------------------------------------------------------------------


def ez_vsl(
    places: Float[Array, "b h w d"],
    sounds: Float[Array, "b d"],
    where: Bool[Array, " b"] | None = None,
    *,
    temperature: float = 0.03,
    nowhere: Float[Array, "k d"] | None = None,
    pooling: str = "max",
) -> Float[Array, " b"]:
    """Cross-entropy of finding the sound of a picture plus that of finding the picture of a sound, in nats.

    Mo and Morgado 2022, "Localizing Visual Sounds the Easy Way", eq. 3 to 5: the score of a pair is that of the best
    place in the picture (max_xmil_loss of the official code).

    Args:
      places, sounds: of unit length; row i of one belongs to row i of the other.
      where: False for pairs that do not count, whatever they hold.
      temperature: by which cosines are divided.
      nowhere: of unit length: sounds that belong to no picture, such as silence; further negatives of each picture.
      pooling: "max"; or "sum", of the exponentials of scores over the temperature, so that every place learns from the
        first step on, and not only the one that happens to be the best.

    Returns:
      [b], float32, >= 0; 2 ln B where all pairs score the same; 0 for pairs that do not count.
    """
    pictures, heard = pairs.sides(places, sounds, where=where)

    def best(places, sounds):
        if pooling == "max":
            return maximum.over(_scores(places, sounds), (2,)) / temperature
        return nn.logsumexp(_scores(places, sounds) / temperature, 2)

    everyone = pairs.everyone(heard)
    of_sounds = _with_nowhere(best(pictures.z, everyone.z), nowhere, lambda z: best(pictures.z, z))
    to_sound = _ratio(of_sounds, pictures, _with_columns(everyone, 0 if nowhere is None else len(nowhere)))
    others = pairs.everyone(pictures)
    to_picture = _ratio(best(others.z, heard.z).T, heard, others)
    return to_sound + to_picture


def _with_nowhere(logits, nowhere, score):
    return logits if nowhere is None else jnp.concatenate([logits, score(nowhere.astype(jnp.float32))], 1)


def _with_columns(side: pairs.Side, count: int) -> pairs.Side:
    """The side with so many columns more, which are nobody's own."""
    return side._replace(
        where=jnp.concatenate([side.where, jnp.ones(count, bool)]),
        number=jnp.concatenate([side.number, jnp.full(count, -1, side.number.dtype)]),
    )


# -- SLAVC -------------------------------------------------------------------------------------------------------------


def slavc(
    places: tuple[Float[Array, "b h w d"], Float[Array, "b h w d"]],
    sounds: tuple[Float[Array, "b d"], Float[Array, "b d"]],
    target_places: tuple[Float[Array, "b h w d"], Float[Array, "b h w d"]],
    target_sounds: tuple[Float[Array, "b d"], Float[Array, "b d"]],
    where: Bool[Array, " b"] | None = None,
    *,
    temperature: float = 0.03,
    nowhere: tuple[Float[Array, "k d"], Float[Array, "k d"]] | None = None,
) -> Float[Array, " b"]:
    """Cross-entropies over log sum over places of softmax over sounds times softmax over places, in nats.

    Mo and Morgado 2022, "A Closer Look at Weakly-Supervised Audio-Visual Source Localization", eq. 4 to 7, as the
    official code has it: one projection says which sound a place belongs to, the other where in the picture a sound
    is; both directions divide by the sum over sounds; and the cross-entropy normalises the product once more.

    Args:
      places, sounds: of unit length, by the first projection and by the second; row i of one belongs to row i of the
        other.
      target_places, target_sounds: the same by the momentum encoder. No gradient flows into them.
      where: False for pairs that do not count, whatever they hold.
      temperature: by which cosines are divided.
      nowhere: sounds that belong to no picture, of the momentum encoder; further negatives of each picture.

    Returns:
      [b], float32, >= 0; 0 for pairs that do not count.
    """
    pictures, heard = pairs.sides(places, sounds, where=where)
    target, target_heard = pairs.sides(*lax.stop_gradient((target_places, target_sounds)), where=where)
    everyone = pairs.everyone(target_heard)
    columns = _with_columns(everyone, 0 if nowhere is None else len(nowhere[0]))
    to_sound = everyone.z
    if nowhere is not None:
        still = lax.stop_gradient(nowhere)
        to_sound = tuple(jnp.concatenate([z, n.astype(jnp.float32)]) for z, n in zip(everyone.z, still, strict=True))
    own = _ratio(_joint(pictures.z, to_sound, columns.where, temperature), pictures, columns)
    others = pairs.everyone(heard)
    return own + _ratio(_joint(target.z, others.z, others.where, temperature), target, others)


def _joint(places, sounds, counted, temperature) -> Float[Array, "b m"]:
    """log over pairs: sum over places of the probability of the sound there times that of the place."""
    which = _scores(places[0], sounds[0]) / temperature
    which = nn.log_softmax(jnp.where(counted[None, :, None], which, pairs.NOTHING), 1)
    spot = nn.log_softmax(_scores(places[1], sounds[1]) / temperature, 2)
    return nn.logsumexp(which + spot, 2)


def follow(momentum: float, target: object, source: object) -> object:
    """The momentum encoder's parameters after one more step: momentum target + (1 - momentum) source."""
    return jax.tree.map(lambda old, new: old * momentum + lax.stop_gradient(new) * (1 - momentum), target, source)
