"""How drawn pictures are judged: which networks a config chooses, their features among the predictions, the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from mmjax import judges
from mmjax.judges import recogniser
from mmjax.judges.measuring import FeatureJudge
from mmjax.metrics import generation
from mmjax.task import Variables

Judges = tuple[FeatureJudge, ...]
RECOGNISER = recogniser.judge().name
# The suffix of a distance, and which pictures it is of; real training pictures are the least that can be asked for.
COMPARED = {"": "drawn", "/real_training_pictures": "train", "/mean_picture": "mean"}


def chosen(config: ConfigDict) -> tuple[Judges, tuple[str, ...]]:
    """(the judges of config.eval.judges, lines for the user)."""
    # Runs from before there was the field were judged by our recognition network.
    names = tuple(config.eval.get("judges", (RECOGNISER,)))
    old = config.get("inception", "")
    if not old:
        return judges.chosen(names), ()
    names += (f"inception:{old}",)
    return judges.chosen(names), (f"config.inception is now config.eval.judges={names!r}: say it so from now on",)


def present(chosen: Judges, variables: Variables) -> Judges:
    """Those whose weights are there: a restored run has none."""
    return tuple(judge for judge in chosen if judge.name in variables.get("judges", {}))


def layers(chosen: Judges, variables: Variables, *pictures: UInt8[Array, "b h w 3"]) -> list[dict[str, Array]]:
    """The recognition network's layers of each of several batches of pictures, by one call; [] without it."""
    if RECOGNISER not in [judge.name for judge in present(chosen, variables)]:
        return []
    found = recogniser.layers(variables["judges"][RECOGNISER], jnp.concatenate(pictures))
    return [{name: found[name][rows] for name in found} for rows in _rows(pictures)]


def features(chosen: Judges, variables: Variables, picture: UInt8[Array, "b h w 3"]) -> dict[str, Float[Array, "b d"]]:
    """{judge: its features} of pictures, of the judges that are there."""
    return {
        judge.name: judge.features(variables["judges"][judge.name], picture) for judge in present(chosen, variables)
    }


def compared(
    chosen: Judges,
    variables: Variables,
    key: Array,
    real: UInt8[Array, "b h w 3"],
    drawn: UInt8[Array, "b h w 3"],
    second: UInt8[Array, "b h w 3"],
) -> dict[str, Float[Array, "b d"]]:
    """The predictions that `figures` is made of: features of real and of drawn pictures, and of the mean picture.

    And of training pictures, as many as there are, where variables["fitted"] has them.
    """
    rows, out = len(real), {}
    mean = jnp.round(variables["state"]["mean"]).astype(jnp.uint8)[None]
    pictures = {"real": real, "drawn": drawn, "mean": mean}
    for judge in present(chosen, variables):
        several = {**pictures, "second": second} if judge.name == RECOGNISER else pictures
        found = judge.features(variables["judges"][judge.name], jnp.concatenate(list(several.values())))
        for which, own in zip(several, _rows(list(several.values())), strict=True):
            of = found[own]
            out[f"number/{judge.name}_{which}"] = jnp.repeat(of, rows, 0) if which == "mean" else of
        if judge.name in variables.get("fitted", {}):
            known = jnp.asarray(variables["fitted"][judge.name])
            out[f"number/{judge.name}_train"] = known[jax.random.randint(key, (rows,), 0, len(known))]
    return out


def _rows(pictures: Sequence[Array]) -> list[slice]:
    """Where each of several batches lies among all."""
    ends = np.cumsum([len(x) for x in pictures]).tolist()
    return [slice(end - len(x), end) for end, x in zip(ends, pictures, strict=True)]


def figures(chosen: Judges, predictions: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Distances by each judge that was there, never another network's under its name; and diversity over codes."""
    found: dict[str, float] = {}
    for judge in chosen:
        real = predictions.get(f"number/{judge.name}_real")
        if real is None or len(real) < 2:
            continue
        others = {suffix: predictions.get(f"number/{judge.name}_{which}") for suffix, which in COMPARED.items()}
        found |= generation.distances(judge.name, real, {k: rows for k, rows in others.items() if rows is not None})
    names = [f"number/{RECOGNISER}_{which}" for which in ("real", "drawn", "second")]
    if all(name in predictions for name in names):
        found |= generation.diversity(*(predictions[name] for name in names))
    return found
