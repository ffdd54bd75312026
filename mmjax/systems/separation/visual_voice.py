"""What VisualVoice is made of (Gao and Grauman 2021): lips that move and a face pick a voice out of a mixture.

Spectra are not compressed. Their frames are centred on multiples of the hop with silence around the clip, where the
authors' code mirrors the first and last 16 ms; and there are one or two more than four a picture, which have the mask
of the last one.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Key
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.models.joint.visual_voice import Attributes, VisualVoiceUNet
from mmjax.models.vision.lip_motion import LipMotion
from mmjax.models.vision.resnet import standardised
from mmjax.ops import collective, pictures
from mmjax.ops.sound import complex_masks
from mmjax.systems.separation.listening import Mixing, Mixture, Sound
from mmjax.systems.separation.networks import GROUP
from mmjax.systems.separation.speakers import PICTURES, VOICES, Separator, controls
from mmjax.task import Batch, Variables

NETWORK = "visual_voice"
FACE, LIPS = "face", "mouth_frames"
OTHER = "_other"  # of the same speaker's other clip
PARTS = ("mask", "lips", "face", "voice")
A_PICTURE = 4  # frames of sound
BINS = 256  # of the spectrum, the last one left out: the network halves them eight times
SHAKEN = (0.7, 1.3)  # by how much brightness and colour of a face are multiplied in training


@dataclasses.dataclass(frozen=True)
class Loss:
    """How much each term counts: config.loss.

    Attributes:
      cross_modal: of a voice that is to be nearer to its own face than to the other.
      consistency: of a voice that is to be nearer to its speaker's other clip than to the other speaker's.
      margin: of both.
      truth: the share of steps in which these terms are of true voices, and not of separated ones.
    """

    cross_modal: float = 0.01
    consistency: float = 0.01
    margin: float = 0.5
    truth: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.truth <= 1:
            raise OptionError("truth", f"is {self.truth}: it is a share, 0 to 1")
        for name in ("cross_modal", "consistency", "margin"):
            if getattr(self, name) < 0:
                raise OptionError(name, f"is {getattr(self, name)}: it must be at least 0")


@dataclasses.dataclass(frozen=True)
class VisualVoice(Separator):
    """Four networks, each a part of the group: what hears and masks, and what lips, a face and a voice tell.

    Attributes:
      model: hears, and makes masks.
      lips: of each picture of a mouth.
      attributes: of a face; and, of its own weights, of a voice.
      loss: see `Loss`.
      side: of the pictures of a mouth in pixels: cut out of the middle of what is given, in training of anywhere.
      augment: whether training mirrors mouths and faces, and changes the colours of these.
      classes: the field of speakers, of whom no two clips are mixed; "" for none.
    """

    model: VisualVoiceUNet
    lips: LipMotion
    attributes: Attributes
    loss: Loss
    side: int
    augment: bool
    classes: str

    @property
    def fields(self) -> tuple[str, ...]:
        kinds = (self.classes,) if self.classes else ()
        return (*self.sees, f"{LIPS}{OTHER}", VOICES, f"{VOICES}_length", f"{VOICES}{OTHER}", *kinds)

    @property
    def sees(self) -> tuple[str, ...]:
        return (FACE, LIPS)

    def init(self, key: Array, batch: Batch) -> dict[str, Any]:
        keys = dict(zip(PARTS, jax.random.split(key, len(PARTS)), strict=True))
        features = self.lips.features + self.attributes.features
        mouth, heard = jnp.zeros((1, 1, self.side, self.side), jnp.uint8), jnp.zeros((1, BINS + 1, A_PICTURE, 2))
        made = {
            "mask": self.model.init(keys["mask"], heard, jnp.zeros((1, 1, features))),
            "lips": self.lips.init(keys["lips"], mouth),
            "face": self.attributes.init(keys["face"], jnp.zeros((1, *batch[FACE].shape[1:]))),
            "voice": self.attributes.init(keys["voice"], jnp.zeros((1, BINS, A_PICTURE, 2))),
        }
        params = {part: own["params"] for part, own in made.items()}
        state = {part: own["state"] for part, own in made.items()}
        return {"params": {GROUP: params}, "state": state, "frozen": {}}

    def run(
        self, part: str, variables: Variables, *inputs: Array, train: bool, key: Key[Array, ""] | None = None
    ) -> tuple[Array, Any]:
        """What one of the networks says, and its new statistics; `key` is for what training leaves out."""
        network: Any = {"mask": self.model, "lips": self.lips}.get(part, self.attributes)
        own = {"params": variables["params"][GROUP][part], "state": variables["state"][part]}
        if not train:
            return network.apply(own, *inputs), own["state"]
        more = {} if key is None else {"rngs": {"dropout": collective.local_key(key)}}
        found, updated = network.apply(own, *inputs, train=True, mutable=["state"], **more)
        return found, updated["state"]

    # -- what goes in ------------------------------------------------------------------------------------------------

    def mouths(self, films: Array, key: Key[Array, ""] | None = None) -> Array:
        """The pictures of each clip [b f s s], its first ones; pieces of them are drawn with a key."""
        films = films[:, : round(self.seconds * PICTURES)]
        return pictures.middle(films, self.side) if key is None else pictures.drawn_pieces(key, films, self.side)

    def faces(self, face: Array, key: Key[Array, ""] | None = None) -> Array:
        return standardised(face if key is None else pictures.shaken(key, face, *SHAKEN))

    def see(self, variables: Variables, batch: Batch) -> Float[Array, "b v d"]:
        """The numbers of face and lips at each picture of a clip."""
        lips, _ = self.run("lips", variables, self.mouths(batch[LIPS]), train=False)
        face, _ = self.run("face", variables, self.faces(batch[FACE]), train=False)
        return together(face, lips)

    def asked(self, variables: Variables, batch: Batch, mixture: Mixture) -> dict[str, Float[Array, "g n v d"]]:
        still = {**batch, LIPS: jnp.broadcast_to(batch[LIPS][:, :1], batch[LIPS].shape)}
        dark = {name: jnp.zeros_like(batch[name][:1]) for name in self.sees}
        right, frozen = (self.see(variables, one)[mixture.places] for one in (batch, still))
        return controls(right, frozen, self.see(variables, dark))

    def shown(self, batch: Batch) -> dict[str, Array]:
        return {"image/picture": batch[FACE]}

    # -- what comes out ----------------------------------------------------------------------------------------------

    def compressed(self, waveform: Float[Array, "*b time"]) -> Complex[Array, "*b f t"]:
        return self.sound.spectrum(waveform)

    def masks(
        self,
        variables: Variables,
        whole: Complex[Array, "g f t"],
        faces: Float[Array, "g n v d"],
        where: Bool[Array, "g t"],
        train: bool = False,
    ) -> tuple[Complex[Array, "g n f t"], Any]:
        del where  # the network has no other notion of an end than silence
        (g, n, v, _), frames = faces.shape, whole.shape[-1]
        heard = complex_masks.parts(whole[..., : A_PICTURE * v])
        heard = jnp.repeat(heard, n, 0)
        found, state = self.run("mask", variables, heard, faces.reshape(g * n, v, -1), train=train)
        mask = complex_masks.joined(found).reshape(g, n, *whole.shape[1:-1], -1)
        rest = jnp.broadcast_to(mask[..., -1:], (*mask.shape[:-1], frames - mask.shape[-1]))
        return jnp.concatenate([mask, rest], -1), state

    def waveform(self, compressed: Complex[Array, "*b f t"], time: int) -> Float[Array, "*b time"]:
        return self.sound.waveform(compressed / self.mixing.sources, time)

    def shares(self, masks: Complex[Array, "*b f t"]) -> Float[Array, "*b f t"]:
        return jnp.abs(masks) / self.mixing.sources


def together(face: Float[Array, "*b d"], lips: Float[Array, "*b v e"]) -> Float[Array, "*b v de"]:
    """Face and lips at each picture, the face's numbers first and always the same."""
    still = jnp.broadcast_to(face[..., None, :], (*lips.shape[:-1], face.shape[-1]))
    return jnp.concatenate([still, lips], -1)


def make(config: ConfigDict) -> VisualVoice:
    """The networks of a config. Raises OptionError for what does not go together."""
    with errors.section("config.sound"):
        sound = Sound(**config.sound)
        if sound.bins != BINS + 1 or sound.rate != A_PICTURE * PICTURES * sound.hop:
            raise OptionError("n_fft", f"must be {2 * BINS}, and rate / hop {A_PICTURE * PICTURES}, for this network")
    with errors.section("config.mixing"):
        mixing = Mixing(**config.mixing)
        if mixing.sources != 2 or mixing.noise_db:
            raise OptionError("sources", "must be 2, without noise: two speakers and another clip of one are compared")
    with errors.section("config.lips"):
        lips = LipMotion(**config.lips)
    with errors.section("config.loss"):
        loss = Loss(**config.loss)
    if round(config.seconds * PICTURES) < 1:
        raise OptionError("config.seconds", f"is {config.seconds}: it must be at least {1 / PICTURES}")
    model, attributes = VisualVoiceUNet(**config.model), Attributes(**config.attributes)
    classes = config.classes if mixing.unlike else ""
    about = (model, lips, attributes, loss, config.side, config.augment, classes)
    return VisualVoice(sound, mixing, config.seconds, *about)
