"""Units of speech without text: ResDAVEnet-VQ, which pictures teach what is said (Harwath, Hsu and Glass 2020).

A network hears an utterance, another sees its picture, and pairs are told from other pairs. One of the first network's
layers is quantised: its codes are the units. They are judged by what was truly spoken where the data knows it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.known import encoders, units_run
from mmjax.known.network import Network
from mmjax.losses import grounding
from mmjax.metrics import k_means
from mmjax.models.sound.resdavenet_vq import Heard, ResDavenetVQ
from mmjax.models.sound.unit_encoder import Encoded, UnitEncoder
from mmjax.ops import collective, run_lengths
from mmjax.ops.sound.davenet_mel import DavenetMel
from mmjax.systems.spoken import unit_figures
from mmjax.task import Batch, Constants, Figures, Fit, Task, Update, Variables, bind

GROUP = "units"
FITTED = 20_000  # vectors that k-means sees at most


@dataclasses.dataclass(frozen=True)
class Networks:
    """Who hears and who sees; hashable, and equal by value.

    Attributes:
      encoder: speech as codes.
      mel: the same by k-means of log-mel frames, as many codes: the trivial rival.
      picture: the pictures' network, whose map or vector is projected to the width of the speech network's output.
      samples: of an utterance that are heard.
      trained: whether anything is.
      cold: steps without quantisers.
    """

    encoder: UnitEncoder
    mel: UnitEncoder
    picture: Network
    samples: int
    trained: bool
    cold: int

    def speech(self, batch: Batch, suffix: str = "") -> tuple[Int[Array, "b time"], Int[Array, " b"]]:
        """The part of `speech<suffix>` that is heard, and its length."""
        sound = batch[f"speech{suffix}"][:, : self.samples]
        sound = jnp.pad(sound, ((0, 0), (0, self.samples - sound.shape[1])))
        return sound, jnp.clip(batch[f"speech{suffix}_length"], 1, self.samples)

    def parts(self, variables: Variables) -> dict[str, Any]:
        """What the encoder is a function of; without a codebook where k-means has not been fitted yet."""
        found = {"params": variables["params"][GROUP]["speech"], "state": variables["state"]["speech"]}
        if self.encoder.kind == "quantiser":
            return {**found, "book": found["state"][f"quantiser{self.encoder.position}"]["codebook"]}
        return {**found, "book": variables["fitted"]["units"]} if "fitted" in variables else found


def build(config: ConfigDict) -> Task:
    """The task of a config with sections frames, model, codes, picture, loss and fields seconds, cold, start."""
    with errors.section("config.frames"):
        frames = DavenetMel(**config.frames).checked()
    with errors.section("config.model"):
        model = ResDavenetVQ(**config.model).checked()
    with errors.section("config.codes"):
        encoder = UnitEncoder(frames, model, **config.codes).checked()
    with errors.section("config.picture", trained="config.trained"):
        picture = encoders.make(**config.picture, trained=True)
    if config.seconds <= 0 or config.cold < 0:
        raise OptionError("config.seconds", f"is {config.seconds}, config.cold {config.cold}: one cannot be")
    if config.truth not in unit_figures.REFERENCES:
        known = ", ".join(map(repr, unit_figures.REFERENCES))
        raise OptionError("config.truth", f"is {config.truth!r}: choose one of {known}")
    mel = dataclasses.replace(encoder, position=0, kind="kmeans", clusters=encoder.codes)
    networks = Networks(encoder, mel, picture, round(config.seconds * 22_050), config.trained, config.cold)
    start = units_run.load(config.start, "config.start") if config.start else None
    return Task(
        fields=("image", "speech", "speech_length"),
        modalities={"speech": ("speech",), "picture": ("image",)},
        init=bind(init, networks),
        fill=bind(fill, start, networks),
        updates=(Update(GROUP, bind(loss, networks, **config.loss)),),
        metrics=bind(metrics, networks),
        predict=bind(predict, networks),
        score=bind(unit_figures.score, encoder.seconds, mel.seconds, encoder.codes),
        references=unit_figures.REFERENCES[config.truth],
        headline=("purity", "abx_across", "abx_sentence_across", "bits_per_second", "picture_found"),
        fit=Fit(bind(observe, networks), bind(solve, networks)),
        predicts_from=("speech", "speech_length"),
        answers=("text/units",),
        whole=False,
        contrastive=True,
    )


def init(networks: Networks, key: Key[Array, ""], batch: Batch) -> Variables:
    """Fresh networks, a counter of steps, and the names of the codes."""
    of_speech, of_picture, of_head = jax.random.split(key, 3)
    speech, length = networks.speech(batch)
    mel, count = networks.encoder.frames(speech[:1], length[:1])
    heard = networks.encoder.model.init(of_speech, mel, count)
    picture = networks.picture.init(of_picture, batch["image"][:1])
    seen = networks.picture(picture, batch["image"][:1])[0]
    head = _head(networks).init(of_head, seen.astype(jnp.float32))["params"]
    return {
        "params": {GROUP: {"speech": heard["params"], "picture": picture["params"], "head": head}},
        "state": {"speech": heard["state"], "picture": picture["state"], "steps": jnp.int32(0)},
        "frozen": {"picture": picture["frozen"], "units_names": jnp.asarray(units_run.names(networks.encoder.codes))},
    }


def _head(networks: Networks) -> nn.Dense:
    """The 1 x 1 convolution behind the pictures' network."""
    return nn.Dense(networks.encoder.model.widths[-1])


def fill(start: units_run.UnitsRun | None, networks: Networks, variables: Variables, constants: Constants) -> Variables:
    """The parameters of another run, where one is given; of its quantisers those that are this one's, too.

    Raises UserError where that run's networks are others.
    """
    del constants
    own, state = variables["params"][GROUP], variables["state"]
    published = networks.picture.fill(
        {"params": own["picture"], "state": state["picture"], "frozen": variables["frozen"]["picture"]}
    )
    own = {**own, "picture": published["params"]}
    state = {**state, "picture": published["state"]}
    frozen = {**variables["frozen"], "picture": published["frozen"]}
    if start is not None:
        found, before = start.begin, (own, state)
        speech = {name: found["state"]["speech"].get(name, value) for name, value in state["speech"].items()}
        own = {part: found["params"].get(part, value) for part, value in own.items()}
        state = {**state, "speech": speech, "picture": found["state"]["picture"] or state["picture"]}
        if _shapes((own, state)) != _shapes(before):
            raise OptionError(
                "config.start", f"={start.path!r} has networks of other sizes than config.model, .picture"
            )
    return {"params": {GROUP: own}, "state": state, "frozen": frozen}


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.shape, tree)


# -- what is learned ---------------------------------------------------------------------------------------------------


def loss(
    networks: Networks, variables: Variables, batch: Batch, key: Key[Array, ""], *, margin: float, commitment: float
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """Triplets of pooled inner products, and `commitment` x the mean of each quantiser's."""
    state = variables["state"]
    if not networks.trained:
        still = jnp.sum(jnp.stack([jnp.sum(x) for x in jax.tree.leaves(variables["params"])])) * 0.0
        return still, (state, {})
    of_loss, of_jitter, of_revival = jax.random.split(key, 3)
    speech, length = networks.speech(batch)
    mel, count = networks.encoder.frames(speech, length)
    own, cold = variables["params"][GROUP], state["steps"] < networks.cold
    heard, new = networks.encoder.model.apply(
        {"params": own["speech"], "state": state["speech"]}, mel, count, train=True, cold=cold, mutable=["state"],
        rngs={"jitter": of_jitter, "revive": of_revival},
    )  # fmt: skip
    image, seen = _seen(networks, variables, batch, train=True)
    values = grounding.triplets(image, pooled(heard), of_loss, margin, batch["valid"])
    logs: dict[str, Any] = {"triplets": collective.mean_where(values, batch["valid"])}
    value = logs["triplets"]
    for position, found in heard.quantised.items():
        where = heard.layers[position][1] & batch["valid"][:, None]
        each = collective.mean_where(found.commitment.reshape(-1), where.reshape(-1))
        logs[f"commitment{position}"] = each
        logs[f"codes{position}"] = _perplexity(found.codes, where, networks.encoder.model.codes)
        value += jnp.where(cold, 0.0, commitment * each)
    return value, ({"speech": new["state"], "picture": seen, "steps": state["steps"] + 1}, logs)


def _perplexity(codes, where, number):
    """So many codes, used equally often, would be as hard to guess."""
    used = jax.nn.one_hot(codes, number, dtype=jnp.float32)
    share = collective.total(jnp.sum(jnp.where(where[..., None], used, 0.0), (0, 1)))
    share = share / jnp.maximum(jnp.sum(share), 1.0)
    return jnp.exp(-jnp.sum(share * jnp.log(share + 1e-10)))


def _seen(networks: Networks, variables: Variables, batch: Batch, train: bool = False) -> tuple[Array, Any]:
    """The pictures' points [b d] and their network's state."""
    own = variables["params"][GROUP]
    parts = {
        "params": own["picture"],
        "state": variables["state"]["picture"],
        "frozen": variables["frozen"]["picture"],
    }
    layer, state = networks.picture(parts, batch["image"], train=train)
    layer = layer.astype(jnp.float32)
    mean = jnp.mean(layer, (1, 2)) if layer.ndim == 4 else layer  # a linear layer of a mean is the mean of its values
    point: Any = _head(networks).apply({"params": own["head"]}, mean)
    return point, state


def pooled(heard: Heard) -> Float[Array, "b d"]:
    """The mean of what was heard over the real steps."""
    total = jnp.sum(heard.out, 1, where=heard.where[..., None])
    return total / jnp.maximum(jnp.sum(heard.where, 1, dtype=jnp.float32), 1.0)[:, None]


def metrics(networks: Networks, variables: Variables, batch: Batch) -> dict[str, tuple[Array, Array]]:
    """How often an utterance finds its picture among those of the batch, beside chance."""
    speech, length = networks.speech(batch)
    mel, count = networks.encoder.frames(speech, length)
    own = {"params": variables["params"][GROUP]["speech"], "state": variables["state"]["speech"]}
    cold = variables["state"]["steps"] < networks.cold
    heard: Any = networks.encoder.model.apply(own, mel, count, cold=cold)
    image, _ = _seen(networks, variables, batch)
    valid = collective.everywhere(batch["valid"])
    scores = jnp.einsum("id,jd->ij", pooled(heard), collective.everywhere(image))
    scores = jnp.where(valid[None], scores, -jnp.inf)
    found = jnp.argmax(scores, 1) == collective.numbers(len(scores))
    total = jnp.sum(batch["valid"], dtype=jnp.float32)
    chance = total / jnp.maximum(jnp.sum(valid, dtype=jnp.float32), 1.0)
    return {
        "picture_found": (jnp.sum(found, where=batch["valid"], dtype=jnp.float32), total),
        "picture_found/chance": (chance, total),
    }


# -- units -------------------------------------------------------------------------------------------------------------


def observe(networks: Networks, variables: Variables, batch: Batch) -> dict[str, Array]:
    """Vectors for k-means: of the log-mel frames, and, where the units are k-means', of their position."""
    speech, length = networks.speech(batch)
    whose = {"mel": networks.mel}
    if networks.encoder.kind == "kmeans":
        whose["units"] = networks.encoder
    found = {}
    for name, encoder in whose.items():
        vectors, count, _ = encoder.hear(networks.parts(variables), speech, length)
        steps = jnp.arange(0, vectors.shape[1], 3)  # neighbours are alike
        found[name] = vectors[:, steps]
        found[f"{name}_real"] = steps[None] < count[:, None]
    return found


def solve(networks: Networks, variables: Variables, observed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The codebooks of k-means."""
    del variables
    found = {}
    for name in [name for name in observed if not name.endswith("_real")]:
        vectors = observed[name][observed[f"{name}_real"]]
        some = np.random.default_rng(0).permutation(len(vectors))[:FITTED]
        book = k_means.centres(jax.random.key(0), jnp.asarray(vectors[some]), networks.encoder.codes)
        found[name] = np.asarray(book)
    return found


def predict(networks: Networks, variables: Variables, batch: Batch, key: Key[Array, ""]) -> dict[str, Array]:
    """The codes of each utterance and the units that they are; beside them, where the data knows it, what was spoken,
    k-means' codes of log-mel, and ABX."""
    del key
    parts = networks.parts(variables)
    speech, length = networks.speech(batch)
    mel, _ = networks.encoder.frames(speech, length)
    out: dict[str, Array] = {
        "audio/speech": batch["speech"],
        "heatmap/mel": jnp.swapaxes(mel, 1, 2),
    }
    if "book" not in parts:
        return out
    encoded = networks.encoder(parts, speech, length)
    units, runs = run_lengths.collapsed(encoded.codes, encoded.steps, encoded.codes.shape[1])
    lasts = jnp.arange(units.shape[1])[None] < runs[:, None]
    spelled = jnp.where(lasts[..., None], variables["frozen"]["units_names"][units], jnp.uint8(0))
    lasting = jnp.full(units.shape[0], networks.encoder.seconds, jnp.float32)
    out |= {"text/units": spelled, "number/codes": encoded.codes, "number/code_seconds": lasting}
    if "fitted" not in variables:
        return out
    sides = {"": _coded(networks, variables, speech, length)}
    if others := [suffix for suffix in unit_figures.SUFFIXES if f"speech{suffix}" in batch]:
        # As one batch: the networks are compiled once for all of them. Stacked behind the rows, which may be split over
        # devices.
        many = [jnp.stack(given, 1) for given in zip(*(networks.speech(batch, suffix) for suffix in others))]
        heard = _coded(networks, variables, *(x.reshape(-1, *x.shape[2:]) for x in many))
        heard = jax.tree.map(lambda x: x.reshape(-1, len(others), *x.shape[1:]), heard)
        for i, suffix in enumerate(others):
            sides[suffix] = jax.tree.map(operator.itemgetter((slice(None), i)), heard)
    seconds = {"": networks.encoder.seconds} | dict.fromkeys(("mel_kmeans", "mel"), networks.mel.seconds)
    timed = {suffix: {who: (of, seconds[who]) for who, of in side.items()} for suffix, side in sides.items()}
    return out | unit_figures.known(timed, batch)


def _coded(
    networks: Networks, variables: Variables, speech: Int[Array, "b time"], length: Int[Array, " b"]
) -> dict[str, Encoded]:
    """Codes of utterances; log-mel frames, and k-means' codes of them."""
    vectors, count, _ = networks.mel.hear({}, speech, length)
    coded = networks.mel.encoded(variables["fitted"]["mel"], vectors, count)
    own = networks.encoder(networks.parts(variables), speech, length)
    return {"": own, "mel_kmeans": coded, "mel": coded._replace(vectors=vectors)}
