"""The sides of a joint embedding: a network for pictures, sentences or sounds, and the head that ends in the space.

A tower takes the fields of its side and returns one vector an example. Both kinds have the same three methods:

* init(key, *fields) -> parts, see `known.network`: fresh values, traceable
* fill(parts, spelled) -> parts: what stands in files, read once
* __call__(parts, *fields, train) -> (vectors [n f], the state after it)
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from mmjax.errors import OptionError, section
from mmjax.known import encoders, soundnet_run, word_table
from mmjax.known.network import Network, Parts
from mmjax.models.joint import clip
from mmjax.models.joint.joint_embedding import GRUText, Head, MeanText
from mmjax.models.sound.soundnet import layer_names, scale
from mmjax.models.text.text_transformer import TextTransformer
from mmjax.ops.vectors import unit
from mmjax.text.vocabulary import Spelled
from mmjax.weights import clip as published

TEXTS: dict[str, type[nn.Module]] = {"gru": GRUText, "mean": MeanText, "transformer": TextTransformer}


def _same(x: Array) -> Array:
    return x


@dataclasses.dataclass(frozen=True)
class Tower:
    """A known network for pictures or sounds, the mean of its layer over places or time.

    Attributes:
      network: its layer is a map [b i j f], a sequence [b u f] or a vector [b f].
      prepare: what the network is given of the first field.
      normalise: divide the vectors by their length (VSE++).
    """

    network: Network
    prepare: Callable[[Array], Array] = _same
    normalise: bool = False

    def init(self, key: Key[Array, ""], first: Array, *more: Array) -> dict[str, Any]:
        return self._kept(self.network.init(key, self.prepare(first), *more))

    def fill(self, parts: Parts, spelled: Spelled | None) -> dict[str, Any]:
        del spelled
        return self._kept(self.network.fill(parts))

    def __call__(
        self, parts: Parts, first: Array, *more: Array, train: bool = False
    ) -> tuple[Float[Array, "b f"], dict[str, Any]]:
        layer, state = self.network(parts, self.prepare(first), *more, train=train)
        flat = jnp.mean(layer, tuple(range(1, layer.ndim - 1))) if layer.ndim > 2 else layer
        return (unit(flat.astype(jnp.float32)) if self.normalise else flat), state

    def _kept(self, parts: Parts) -> dict[str, Any]:
        """The parts in the places where runs of this system keep them: of a trained network nothing is frozen, and
        of a frozen one the state stands there, even an empty one."""
        frozen = dict(parts["frozen"])
        if self.network.trained:
            return {"params": parts["params"], "state": parts["state"] or frozen.pop("state", {}), "frozen": frozen}
        return {**parts, "frozen": {"state": {}, **frozen}}


@dataclasses.dataclass(frozen=True)
class TextTower:
    """A reader of sentences, which the vocabulary sizes.

    Attributes:
      model: of TEXTS.
      trained: whether its parameters are.
      words: a skip-gram workdir or a file of word vectors to start from; "" for none.
      weights: path of CLIP's published weights; "" for none.
      project: whether a linear layer leads from the network into the space (im2recipe), or its output is the point
        (VSE++).
    """

    model: nn.Module
    trained: bool
    words: str = ""
    weights: str = ""
    project: bool = True

    def sized(self, vocabulary: int) -> TextTower:
        """The tower for so many words."""
        return dataclasses.replace(self, model=self.model.clone(vocabulary=vocabulary))

    def init(self, key: Key[Array, ""], tokens: Int[Array, "n t"], length: Int[Array, " n"]) -> dict[str, Any]:
        return self._parted(self.model.init(key, tokens, length)["params"])

    def fill(self, parts: Parts, spelled: Spelled | None) -> dict[str, Any]:
        params = _params(parts)
        if self.weights and spelled is not None:
            return self._parted(published.caption(self.weights, self.sized(len(spelled)).model, spelled)["params"])
        if self.words and spelled is not None:
            params = {**params, "words": word_table.fill(params["words"], spelled, self.words)}
        return self._parted(params)

    def __call__(
        self, parts: Parts, tokens: Int[Array, "n t"], length: Int[Array, " n"], train: bool = False
    ) -> tuple[Float[Array, "n f"], dict[str, Any]]:
        del train
        params = _params(parts)
        found: Any = self.sized(len(params["words"])).model.apply({"params": params}, tokens, length)
        return found, parts["state"]

    def _parted(self, params: Any) -> dict[str, Any]:
        if self.trained:
            return {"params": params, "state": {}, "frozen": {}}
        return {"params": {}, "state": {}, "frozen": {"params": params, "state": {}}}


def _params(parts: Parts) -> Any:
    return parts["params"] or parts["frozen"]["params"]


@dataclasses.dataclass(frozen=True)
class Side:
    """A tower and the head that leads it into the space: a function of {"tower": parts, "head": variables}."""

    tower: Tower | TextTower
    head: Head

    def check(self) -> None:
        """Raises UserError where something is missing that the tower's `fill` cannot do without."""
        if isinstance(self.tower, Tower):
            self.tower.network.check()

    def sized(self, vocabulary: int) -> Side:
        """A side of sentences for so many words."""
        assert isinstance(self.tower, TextTower)
        return dataclasses.replace(self, tower=self.tower.sized(vocabulary))

    def init(self, key: Key[Array, ""], *fields: Array) -> dict[str, Any]:
        of_tower, of_head = jax.random.split(key)
        parts = self.tower.init(of_tower, *fields)
        features, _ = jax.eval_shape(self.tower, parts, *fields)
        head = self.head.init(of_head, jnp.zeros((1, features.shape[-1])))
        return {"tower": parts, "head": {"params": head.get("params", {})}}

    def __call__(
        self, own: Mapping[str, Any], *fields: Array, train: bool = False
    ) -> tuple[Float[Array, "n d"], Float[Array, "n d"] | None, dict[str, Any]]:
        """(points, log-variances or None, the tower's state)."""
        tower: Any = self.tower  # each kind takes its own fields
        features, state = tower(own["tower"], *fields, train=train)
        return *self.lead(own, features), state

    def lead(
        self, own: Mapping[str, Any], features: Float[Array, "n f"]
    ) -> tuple[Float[Array, "n d"], Float[Array, "n d"] | None]:
        """(points, log-variances or None) of what the tower gave."""
        found: Any = self.head.apply(own["head"], features)
        return found


# -- of a config -------------------------------------------------------------------------------------------------------


def make(config: Mapping[str, Any], side: str) -> Side:
    """A side of a run of configs/joint_embedding.py or configs/clip.py: its own section, `model`, `method`, `weights`.

    Raises:
      OptionError: an option that is unknown, or that does not go with another.
    """
    options = {name: tuple(x) if isinstance(x, list) else x for name, x in dict(config[side]).items()}
    with section(f"config.{side}"):
        tower = MAKE[side](config["weights"], **options)
    with section("config.model"):
        return Side(tower, head(config["method"], side, tower, **config["model"]))


def image(clip_weights: str, *, name: str, trained: bool, normalise: bool = False, **options: Any) -> Tower:
    """The tower of config.image: a kind of CLIP's with its options and published weights, or "", or an encoder with
    `normalise` and the other arguments of `encoders.make`."""
    if name not in (*clip.IMAGE_NETWORKS, *encoders.NAMES):
        known = ", ".join((*clip.IMAGE_NETWORKS, *encoders.NAMES))
        raise OptionError("name", f"{name!r} is unknown: choose one of {known}")
    if name in encoders.NAMES:
        _known(options, inspect.signature(encoders.make).parameters, name)
        return Tower(encoders.make(name, trained=trained, **options), normalise=normalise)
    model = _model(clip.IMAGE_NETWORKS[name], name, options)
    if not clip_weights:
        if not trained:
            raise OptionError(
                "trained", f"is False, but {name!r} has no weights: give CLIP's in config.weights, or train"
            )
        return Tower(Network(model, trained=trained))
    return Tower(Network(model, load=published.image, source=(clip_weights, model), trained=trained))


def text(
    clip_weights: str, *, network: str, trained: bool, words: str, project: bool = True, **options: Any
) -> TextTower:
    """The tower of config.caption: `network`, `trained`, `words`, `project` and the network's own options."""
    if network not in TEXTS:
        raise OptionError("network", f"{network!r} is unknown: choose one of {', '.join(TEXTS)}")
    if not (trained or words or clip_weights):
        raise OptionError("words", "is empty and nothing trained: there would be nothing to read sentences with")
    model = _model(TEXTS[network], network, {**options, "vocabulary": 0})
    return TextTower(model, trained, words, clip_weights, project)


def sound(clip_weights: str, *, soundnet: str, layer: str, trained: bool, **sizes: Any) -> Tower:
    """The tower of config.waveform: a SoundNet workdir or weight file, or "" and the sizes of a fresh one."""
    del clip_weights
    if not (soundnet or trained):
        raise OptionError("soundnet", "is empty: give the workdir of a SoundNet or set trained")
    model, known = soundnet_run.make(soundnet=soundnet, **sizes)
    if layer not in layer_names(model.depth):
        raise OptionError("layer", f"{layer!r} is unknown: choose one of {', '.join(layer_names(model.depth))}")
    weights: dict[str, Any] = {"load": soundnet_run.weights, "source": (soundnet,)} if known else {}
    return Tower(Network(model, layer, trained=trained, method="features", **weights), scale)


def _model(kind: type[nn.Module], name: str, options: Mapping[str, Any]) -> nn.Module:
    _known(options, kind.__dataclass_fields__, name)
    return kind(**options)


def _known(options: Mapping[str, Any], known: Collection[str], name: str) -> None:
    """Raises OptionError for an option that a network has not."""
    strange = next((option for option in options if option not in known), None)
    if strange is not None:
        raise OptionError(strange, f"is no option of {name!r}: start from a variant that has it")


def head(method: str, side: str, tower: Tower | TextTower, **options: Any) -> Head:
    """What leads a side into the space: config.model's `Head`, with a spread where the method is of Gaussians.

    DeViSE leaves the words where skip-gram put them, and pictures come among them as long as they are.
    """
    if isinstance(tower, TextTower) and not tower.project:
        options = {**options, "dimension": 0}
    if method == "devise":
        return Head(**{**options, "unit": False}) if side == "image" else Head(0)
    return Head(**options, gaussian=method == "gaussian")


def scalars(weights: str) -> dict[str, np.float32]:
    """What CLIP's published weights hold beside the towers: "log_scale" and, of the sigmoid loss, "bias"."""
    return published.scalars(weights)


MAKE: dict[str, Callable[..., Tower | TextTower]] = {"image": image, "caption": text, "waveform": sound}
