"""The sides of a joint embedding: a network for pictures, sentences or sounds, with its weights where it has some.

A tower takes the fields of its side and returns one vector an example. All three kinds have the same two methods:

* init(key, *fields) -> {"params": trained, "state": changing without a gradient, "frozen": never changing}
* __call__(parts, *fields, train) -> (vectors [n f], state): `parts` is that dict.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from mmjax.errors import UserError
from mmjax.known import encoders, soundnet_run, word_table
from mmjax.models.joint import clip
from mmjax.models.joint.joint_embedding import GRUText, Head, MeanText
from mmjax.models.sound import soundnet
from mmjax.models.sound.soundnet import SoundNet
from mmjax.models.text.text_transformer import TextTransformer
from mmjax.ops.vectors import unit

Parts = Mapping[str, Any]
TEXTS: dict[str, type[nn.Module]] = {"gru": GRUText, "mean": MeanText, "transformer": TextTransformer}


def parted(made: Mapping[str, Any], trained: bool) -> dict[str, Any]:
    """A network's variables, {"params": ..., "state": ...}, as a tower's parts."""
    made = {**made, "state": made.get("state", {})}
    if trained:
        return {"params": made["params"], "state": made["state"], "frozen": {}}
    return {"params": {}, "state": {}, "frozen": made}


def _whole(parts: Parts) -> dict[str, Any]:
    if parts["frozen"]:
        return parts["frozen"]
    return {"params": parts["params"], "state": parts["state"]}


@dataclasses.dataclass(frozen=True)
class ImageTower:
    """A picture encoder, the mean of its map where the layer is one.

    Attributes:
      encoder: of `encoders.make`.
      trained: whether its parameters are.
      statistics: of its BatchNorm while it is trained: "batch", or "running", as they came with the weights.
      normalise: divide the features by their length (VSE++).
    """

    encoder: encoders.Encoder
    trained: bool
    statistics: str = "batch"
    normalise: bool = False

    def init(self, key: Array, image: UInt8[Array, "b h w 3"]) -> dict[str, Any]:
        made = self.encoder.variables or self.encoder.model.init(key, image)
        return parted(jax.tree.map(jnp.asarray, dict(made)), self.trained)

    def __call__(
        self, parts: Parts, image: UInt8[Array, "b h w 3"], train: bool = False
    ) -> tuple[Float[Array, "b f"], Any]:
        follows = train and self.trained and self.statistics == "batch" and parts["state"]
        if follows:
            layer, updated = self.encoder.train(_whole(parts), image)
            return self._read(layer), updated["state"]
        return self._read(self.encoder(_whole(parts), image)), parts["state"]

    def _read(self, layer: Array) -> Array:
        flat = jnp.mean(layer, (1, 2)) if layer.ndim == 4 else layer
        return unit(flat.astype(jnp.float32)) if self.normalise else flat


@dataclasses.dataclass(frozen=True)
class CLIPImageTower:
    """One of CLIP's networks for pictures, trained from scratch or from published weights.

    Attributes:
      model: a network of `clip.KINDS`.
      trained: whether its parameters are.
    """

    model: nn.Module
    trained: bool = True

    def init(self, key: Array, image: UInt8[Array, "b h w 3"]) -> dict[str, Any]:
        return parted(dict(self.model.init(key, image)), self.trained)

    def __call__(
        self, parts: Parts, image: UInt8[Array, "b h w 3"], train: bool = False
    ) -> tuple[Float[Array, "b f"], Any]:
        if not (train and parts["state"] and self.trained):
            found: Any = self.model.apply(_whole(parts), image)
            return found, parts["state"]
        found, updated = self.model.apply(_whole(parts), image, train=True, mutable=["state"])
        return found, updated["state"]


@dataclasses.dataclass(frozen=True)
class TextTower:
    """A reader of sentences, sized by the vocabulary.

    Attributes:
      network: a key of TEXTS.
      options: of that network, without the vocabulary.
      words: a skip-gram workdir or a file of word vectors to start from; "" for none.
      trained: whether its parameters are.
      project: whether a linear layer leads from the network into the space (im2recipe), or its output is the point
        (VSE++).
    """

    network: str
    options: Mapping[str, Any]
    words: str
    trained: bool
    project: bool = True

    def init(self, key: Array, spelled: Any, tokens: Int[Array, "n t"], length: Int[Array, " n"]) -> dict[str, Any]:
        made = dict(self.model(len(spelled)).init(key, tokens, length))
        if self.words:
            table = word_table.fill(made["params"]["words"], spelled, self.words)
            made["params"] = {**made["params"], "words": table}
        return parted(made, self.trained)

    def model(self, vocabulary: int) -> nn.Module:
        """The network for so many words."""
        return TEXTS[self.network](vocabulary, **self.options)

    def __call__(
        self, parts: Parts, tokens: Int[Array, "n t"], length: Int[Array, " n"], train: bool = False
    ) -> tuple[Float[Array, "n f"], Any]:
        del train
        whole = _whole(parts)
        size = len(jax.tree.leaves(whole["params"]["words"])[0])
        found: Any = self.model(size).apply({"params": whole["params"]}, tokens, length)
        return found, parts["state"]


@dataclasses.dataclass(frozen=True)
class SoundTower:
    """SoundNet's trunk up to a layer, averaged over time.

    Attributes:
      model: the network; what lies above the layer is not used and has no parameters here.
      layer: pool5 of 8 layers.
      variables: its weights, or None to train it from scratch.
      trained: whether its parameters are.
    """

    model: SoundNet
    layer: str
    variables: Mapping[str, Any] | None
    trained: bool

    def init(self, key: Array, waveform: Int[Array, "b t"], length: Int[Array, " b"]) -> dict[str, Any]:
        scaled = soundnet.scale(jnp.asarray(waveform))
        own = self.model.init(key, scaled, length, layer=self.layer, method="features")
        if self.variables is None:
            return parted(own, self.trained)
        # What lies above the layer is not carried along.
        below = jax.tree.map_with_path(lambda path, _: jnp.asarray(_at(self.variables, path)), dict(own))
        return parted(below, self.trained)

    def __call__(
        self, parts: Parts, waveform: Int[Array, "b t"], length: Int[Array, " b"], train: bool = False
    ) -> tuple[Float[Array, "b f"], Any]:
        scaled, own = soundnet.scale(waveform), _whole(parts)
        if train and self.trained:
            heard, updated = self.model.apply(
                own, scaled, length, layer=self.layer, train=True, method="features", mutable=["state"]
            )
            return jnp.mean(heard, 1), updated["state"]
        found: Any = self.model.apply(own, scaled, length, layer=self.layer, method="features")
        return jnp.mean(found, 1), parts["state"]


def image(name: str, trained: bool, **options: Any) -> ImageTower | CLIPImageTower:
    """The tower of config.image: a kind of CLIP's with its options, or an encoder with `statistics`, `normalise` and
    the other arguments of `encoders.make`."""
    if name in clip.KINDS:
        _check("image", clip.KINDS[name], name, options)
        return CLIPImageTower(clip.KINDS[name](**options), trained)
    return _encoder(trained, name=name, **options)


def _encoder(trained: bool, statistics: str, normalise: bool, **encoder: Any) -> ImageTower:
    if statistics not in ("batch", "running"):
        raise UserError(f"config.image.statistics is {statistics!r}: choose 'batch' or 'running'")
    try:
        made = encoders.make(**encoder)
    except UserError as error:
        raise UserError(str(error).replace("config.encoder.", "config.image.")) from None
    if made.variables is None and not trained:
        raise UserError(f"config.image.name {encoder['name']!r} has no weights: set config.image.trained")
    return ImageTower(made, trained, statistics, normalise)


def text(network: str, trained: bool, words: str, project: bool = True, **options: Any) -> TextTower:
    """The tower of config.caption: `network`, `trained`, `words`, `project` and the network's own options."""
    if network not in TEXTS:
        raise UserError(f"config.caption.network {network!r} is unknown: choose one of {', '.join(TEXTS)}")
    if not trained and not words and network != "transformer":
        raise UserError("config.caption.words is empty and config.caption.trained False: nothing would be learned")
    _check("caption", TEXTS[network], network, options)
    return TextTower(network, options, words, trained, project)


def sound(soundnet: str, layer: str, trained: bool, depth: int, width: float, dtype: str) -> SoundTower:
    """The tower of config.waveform: a SoundNet workdir or weight file, or "" and the sizes of a fresh one."""
    if soundnet:
        known = soundnet_run.load(soundnet, dtype)
        return SoundTower(known.model, layer, known.variables, trained)
    if not trained:
        raise UserError("config.waveform.soundnet is empty: give the workdir of a SoundNet or set trained")
    return SoundTower(SoundNet(depth, 1, 0, width, dtype=dtype), layer, None, trained)


def _check(section: str, kind: type[nn.Module], name: str, options: Mapping[str, Any]) -> None:
    strange = next((option for option in options if option not in kind.__dataclass_fields__), None)
    if strange is not None:
        raise UserError(f"config.{section}.{strange} is no option of {name!r}: start from a variant that has it")


def head(method: str, side: str, tower: Any, **options: Any) -> Head:
    """What leads a side into the space: config.model's `Head`, with a spread where the method is of Gaussians.

    DeViSE leaves the words where skip-gram put them, and pictures come among them as long as they are.
    """
    if side == "caption" and not tower.project:
        options = {**options, "dimension": 0}
    if method == "devise":
        return Head(**{**options, "unit": False}) if side == "image" else Head(0)
    return Head(**options, gaussian=method == "gaussian")


def _at(tree: Any, path: Any) -> Any:
    for key in path:
        tree = tree[key.key]
    return tree


MAKE: dict[str, Any] = {"image": image, "caption": text, "waveform": sound}
