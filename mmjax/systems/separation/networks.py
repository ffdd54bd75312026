"""What Sound of Pixels is made of: a network that hears, one that sees, and what they make of a mixture together."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.known import encoders
from mmjax.known.network import Network
from mmjax.models.joint.sound_of_pixels import FrameHead, Synthesiser
from mmjax.models.sound.unet import UNet
from mmjax.ops.sound import source_masks
from mmjax.systems.separation.listening import Mixing, Sound
from mmjax.task import Batch, Variables

GROUP = "separator"
NETWORKS = ("sound_of_pixels", "audio_only")
VISIONS = ("image", "frames")
WEIGHTS = ("none", "log", "magnitude")
PENALTIES = {"binary": ("bce",), "ratio": ("l1", "l2", "bce")}


@dataclasses.dataclass(frozen=True)
class Networks:
    """The networks and what they are told; hashable, and equal by value.

    Attributes:
      unet: hears.
      encoder: sees; None for the network that only hears.
      sound: how sounds are heard.
      mixing: of clips.
      vision: the field of pictures.
      classes: the field of classes, "" for none.
      mask: "binary" or "ratio": what is learned.
      penalty: "bce", "l1" or "l2", of each place of the mask.
      weight: how much each place counts, see `source_masks.weights`.
      threshold: at which a mask is cut for an estimate; 0 leaves the network's probabilities as they are.
    """

    unet: UNet
    encoder: Network | None
    sound: Sound
    mixing: Mixing
    vision: str
    classes: str
    mask: str
    penalty: str
    weight: str
    threshold: float

    @property
    def head(self) -> FrameHead:
        return FrameHead(self.unet.maps, self.unet.dtype)

    @property
    def sees(self) -> tuple[str, ...]:
        """The field of pictures, where there is one."""
        return () if self.encoder is None else (self.vision,)

    def init(self, key: Array, batch: Batch) -> dict[str, Any]:
        """Fresh networks; NaN where published weights belong."""
        of_sound, of_encoder, of_head, of_mask = jax.random.split(key, 4)
        made = self.unet.init(of_sound, jnp.zeros((1, 2**self.unet.levels, 2**self.unet.levels)))
        params = {"sound": made["params"]}
        fresh = {"params": {GROUP: params}, "state": {"sound": made["state"]}, "frozen": {}}
        if self.encoder is None:
            return fresh
        pictures = self.frames(batch)[0]
        with errors.section("config.encoder"):
            parts = self.encoder.init(of_encoder, pictures)
            layer = jax.eval_shape(lambda: self.encoder(parts, pictures)[0])  # type: ignore[misc]
        if layer.ndim != 4:
            raise OptionError("config.encoder.layer", f"{self.encoder.layer!r} has no places: choose a map")
        maps = jnp.zeros((1, *layer.shape))
        params["head"] = self.head.init(of_head, maps)["params"]
        heard, seen = jnp.zeros((1, 1, 1, self.unet.maps)), jnp.zeros((1, 1, self.unet.maps))
        params["synthesiser"] = Synthesiser().init(of_mask, heard, seen)["params"]
        return encoders.placed(fresh, GROUP, parts)

    def frames(self, batch: Batch) -> Array:
        """The pictures of a batch as [b f h w 3]."""
        pictures = batch[self.vision]
        return pictures if pictures.ndim == 5 else pictures[:, None]

    def hear(self, variables: Variables, magnitude: Float[Array, "g f t"], train: bool = False) -> tuple[Array, Any]:
        """The U-Net's maps [g f t k] of mixtures on its own axis of frequency, and its new statistics."""
        own = {"params": variables["params"][GROUP]["sound"], "state": variables["state"]["sound"]}
        x = jnp.log(magnitude + source_masks.TINY)
        if not train:
            return self.unet.apply(own, x), own["state"]  # type: ignore[return-value]
        maps, updated = self.unet.apply(own, x, train=True, mutable=["state"])
        return maps, updated["state"]  # type: ignore[return-value]

    def see(self, variables: Variables, batch: Batch, train: bool = False) -> tuple[Float[Array, "b k"], Any]:
        """The vector of each clip of a batch, by its pictures or what was made of them before, and the new state."""
        assert self.encoder is not None
        state: Any = {}
        if f"{self.vision}_features" in batch:
            maps = batch[f"{self.vision}_features"][:, None]
        else:
            frames = self.frames(batch)
            flat = frames.reshape(-1, *frames.shape[2:])
            layer, state = self.encoder(encoders.parts(variables, GROUP), flat, train=train)
            maps = layer.reshape(*frames.shape[:2], *layer.shape[1:])
        own = {"params": variables["params"][GROUP]["head"]}
        return self.head.apply(own, maps), encoders.beside(state)  # type: ignore[return-value]

    def ask(self, variables: Variables, maps: Array, vectors: Float[Array, "g n k"]) -> Float[Array, "g n f t"]:
        """The logits of the masks for n vectors of each mixture; without pictures, those of the network's own order."""
        if self.encoder is None:
            return jnp.moveaxis(maps.astype(jnp.float32), -1, 1)
        own = {"params": variables["params"][GROUP]["synthesiser"]}
        return Synthesiser().apply(own, maps, vectors)  # type: ignore[return-value]

    def masks(self, logits: Float[Array, "*b"]) -> Float[Array, "*b"]:
        """Logits as masks of an estimate."""
        masks = jax.nn.sigmoid(logits)
        return (masks > self.threshold).astype(masks.dtype) if self.threshold else masks


def make(config: ConfigDict) -> Networks:
    """The networks of a config. Raises OptionError for what there is none of, or does not go together."""
    with errors.section("config.sound"):
        sound = Sound(**config.sound)
    with errors.section("config.mixing"):
        mixing = Mixing(**config.mixing)
    known_networks = (*NETWORKS, "looking_to_listen", "voices_only", "visual_voice")
    if config.network not in known_networks:  # said first: a config of another one has no section of these
        raise OptionError("config.network", f"is {config.network!r}: choose one of {', '.join(known_networks)}")
    for name, value, known in (
        ("config.vision", config.vision, VISIONS),
        ("config.loss.mask", config.loss.mask, tuple(PENALTIES)),
        ("config.loss.weight", config.loss.weight, WEIGHTS),
        ("config.loss.penalty", config.loss.penalty, PENALTIES.get(config.loss.mask, ())),
    ):
        if value not in known:
            raise OptionError(name, f"is {value!r}: choose one of {', '.join(known)}")
    if config.model.levels < 2 or config.model.maps < 1 or config.model.width < 1:
        raise OptionError("config.model", "needs levels of at least 2, and maps and width of at least 1")
    if not 0 <= config.loss.threshold < 1:
        raise OptionError("config.loss.threshold", f"is {config.loss.threshold}: it must be at least 0, below 1")
    encoder, maps = None, mixing.sources
    if config.network == "sound_of_pixels":
        maps = config.model.maps
        with errors.section("config.encoder", statistics="config.encoder_statistics"):
            more = {"trained": config.train_encoder, "statistics": config.encoder_statistics}
            encoder = encoders.make(**config.encoder, **more)
    unet = UNet(maps, config.model.levels, config.model.width, config.model.dtype)
    loss = config.loss
    about = (config.vision, config.classes, loss.mask, loss.penalty, loss.weight, float(loss.threshold))
    return Networks(unet, encoder, sound, mixing, *about)
