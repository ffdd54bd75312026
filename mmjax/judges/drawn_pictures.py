"""What drawn pictures are measured with: our recognition network, and colours that are learned from real pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.known import recogniser
from mmjax.known.recogniser import Trained
from mmjax.metrics import generation
from mmjax.ops import linear_svm
from mmjax.ops.pictures import resize
from mmjax.weights import inception

SEEN = 112  # the side of the pictures that the recognition network was trained on
BINS = 6  # of each of red, green and blue


def see(judge: Trained, variables: Any, picture: Any) -> dict[str, Any]:
    """The recognition network's layers for pictures of 0..255 of any size, laid out at the size that it knows."""
    return dict(judge.model.apply(variables, resize(picture, SEEN)))  # type: ignore[arg-type]


class Eyes(NamedTuple):
    """The networks whose features pictures are compared by.

    Attributes:
      judge: our recognition network.
      inception: FID's network with its variables where the user has its weights, or None.
    """

    judge: Trained
    inception: Any

    def frozen(self) -> dict[str, Any]:
        """Their weights, for a task's frozen variables."""
        known = {"recogniser": self.judge.variables}
        if self.inception is not None:
            known["inception"] = self.inception[1]
        return jax.tree.map(jnp.asarray, known)

    def features(self, frozen: Mapping[str, Any], picture: Any) -> dict[str, Any]:
        """{"features": the recognition network's [b d], "inception": [b 2048]} of pictures of 0..255."""
        found = {"features": see(self.judge, frozen["recogniser"], picture)["features"]}
        if self.inception is not None:
            found["inception"] = self.inception[0].apply(frozen["inception"], picture)
        return found

    def compared(self, variables: Mapping[str, Any], key: Any, real: Any, drawn: Any, second: Any) -> dict[str, Any]:
        """What `distances` and `diversity` are made of: features of real pictures, of drawn ones, of the mean picture.

        And of training pictures, as many as there are, where variables["fitted"] has them.
        """
        rows, frozen = len(real), variables["frozen"]
        mean = jnp.round(variables["state"]["mean"]).astype(jnp.uint8)[None]
        out = {"number/features_second": see(self.judge, frozen["recogniser"], second)["features"]}
        for which, pictures in (("drawn", drawn), ("real", real), ("mean", mean)):
            for kind, found in self.features(frozen, pictures).items():
                out[f"number/{kind}_{which}"] = jnp.repeat(found, rows, 0) if which == "mean" else found
        for kind in KINDS if "fitted" in variables else ():
            if kind in variables["fitted"]:
                known = jnp.asarray(variables["fitted"][kind])
                out[f"number/{kind}_train"] = known[jax.random.randint(key, (rows,), 0, len(known))]
        return out


# The features that distances are of, and the name that stands before them: never another network's.
KINDS = {"features": "recogniser", "inception": "inception"}


def eyes(path: str) -> Eyes:
    """The recognition network, and FID's Inception from `path`, config.inception, or ""."""
    return Eyes(recogniser.load(), inception.load(path) if path else None)


def histogram(picture: Any) -> Any:
    """The roots of the shares of each of 6 x 6 x 6 colours, [b 216], of pictures uint8 [b h w 3]: of unit length."""
    level = picture.astype(jnp.int32) * BINS // 256
    place = (level[..., 0] * BINS + level[..., 1]) * BINS + level[..., 2]
    place = place.reshape(len(place), -1)
    counts = jax.vmap(lambda row: jnp.zeros(BINS**3).at[row].add(1.0))(place)
    return jnp.sqrt(counts / place.shape[1])


def fit_colours(histograms: Any, colours: np.ndarray, classes: int) -> dict[str, Any]:
    """Planes that tell the colour of a picture's only object by `histogram`: colours [n k], -1 where there is none.

    Pictures of several objects teach nothing: which of them has the colour is not known.
    """
    single = np.sum(colours >= 0, 1) == 1
    label = np.maximum(np.max(colours, 1), 0)
    planes = linear_svm.fit(jnp.asarray(histograms), jnp.asarray(label), classes, 100.0, where=jnp.asarray(single))
    return {"weights": np.asarray(planes.weights), "bias": np.asarray(planes.bias)}


def colours_of(planes: Mapping[str, Any], picture: Any) -> Any:
    """The score of each colour, [b c]."""
    return linear_svm.LinearSVM(planes["weights"], planes["bias"]).scores(histogram(picture))


def named(tokens: Any, length: Any, words: Any) -> Any:
    """Which classes a caption names, bool [b c]: tokens [b t], the number of each class's word [c], -1 for none."""
    where = jnp.arange(tokens.shape[1])[None] < length[:, None]
    same = (tokens[:, :, None] == words[None, None]) & where[..., None] & (words >= 0)[None, None]
    return jnp.any(same, 1)


def right(scores: Any, wanted: Any) -> Any:
    """Whether the k classes that are wanted [b c] are those of the k largest scores [b c]: bool [b]; ties are wrong."""
    rank = jnp.sum(scores[:, None] >= scores[:, :, None], -1)  # 1 is the first
    count = jnp.sum(wanted, 1, keepdims=True)
    return jnp.all((rank <= count) | ~wanted, 1) & (count[:, 0] > 0)


def chance(wanted: Any) -> Any:
    """What random scores expect of `right`: 1 / C(c, k), float32 [b]."""
    classes = wanted.shape[1]
    table = jnp.asarray([1.0 / math.comb(classes, k) for k in range(classes + 1)], jnp.float32)
    return table[jnp.sum(wanted, 1)]


def beside(
    name: str, scores: Mapping[str, Any], wanted: Mapping[str, Any], where: Any, valid: Any
) -> dict[str, tuple[Any, Any]]:
    """{figure: (total, count)} of what pictures show against what their captions name, with its baselines.

    Args:
      name: of the figure.
      scores: {"drawn", "real"} of each head: {head: {which: [b c]}}.
      wanted: {head: bool [b c]}; an example is right if it is for each head.
      where: bool [b], whose captions name something of each head.
      valid: bool [b], no padding.
    """

    def hits(which, rolled):
        own = {head: jnp.roll(rows, rolled, 0) for head, rows in wanted.items()}
        return _all([right(scores[head][which], own[head]) for head in wanted])

    shuffled = where & valid & jnp.roll(where & valid, 1, 0)
    expected = math.prod([chance(rows) for rows in wanted.values()], start=jnp.float32(1))
    values = {
        name: (hits("drawn", 0), where & valid),
        f"{name}/shuffled_captions": (hits("drawn", 1), shuffled),
        f"{name}/chance": (expected, where & valid),
        f"{name}/real_pictures": (hits("real", 0), where & valid),
    }
    sums = {k: jnp.sum(v, where=counted, dtype=jnp.float32) for k, (v, counted) in values.items()}
    return {k: (sums[k], jnp.sum(counted, dtype=jnp.float32)) for k, (_, counted) in values.items()}


def _all(rows: Sequence[Any]) -> Any:
    return jnp.all(jnp.stack(rows), 0)


def distances(predictions: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Distances of drawn from real pictures by our recognition network's features and, where known, by Inception's.

    Beside those of real training pictures, the least that can be asked for, and of the mean picture drawn each time.
    """
    found = {}
    beside_it = {"": "drawn", "/real_training_pictures": "train", "/mean_picture": "mean"}
    for kind, name in KINDS.items():
        real = predictions.get(f"number/{kind}_real")
        for suffix, which in beside_it.items():
            rows = predictions.get(f"number/{kind}_{which}")
            if real is None or rows is None or len(real) < 2:
                continue
            found[f"{name}_fid{suffix}"] = generation.frechet_distance(real, rows)
            found[f"{name}_kid{suffix}"] = generation.kernel_distance(real, rows)
    return found


def diversity(predictions: Mapping[str, np.ndarray]) -> dict[str, float]:
    """How far two pictures of one caption, or class, lie apart in the recognition network's features.

    Beside two real pictures of different ones, and 0, which is what a generator has that ignores its code.
    """
    real = predictions["number/features_real"]
    pairs = np.stack([predictions[f"number/features_{which}"] for which in ("drawn", "second")], 1)
    return {
        "diversity": generation.pairwise_distance(pairs),
        "diversity/one_picture_each": 0.0,
        "diversity/different_real_pictures": generation.pairwise_distance(np.stack([real, np.roll(real, 1, 0)], 1)),
    }


def strip(pictures: Any) -> Any:
    """Pictures [b k h w 3] side by side, [b h k*w 3]."""
    b, k, h, w, c = pictures.shape
    return pictures.transpose(0, 2, 1, 3, 4).reshape(b, h, k * w, c)
