"""What networks of voices are asked, and what Looking to Listen is made of: mixtures of voices, faces as numbers, and a
complex mask for each face."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.known import encoders, face_parts, speaker
from mmjax.known.network import Network
from mmjax.models.joint.looking_to_listen import LookingToListen
from mmjax.models.sound import speaker_encoder
from mmjax.models.vision.face_network import FaceEmbedding
from mmjax.ops.sound import complex_masks
from mmjax.systems.separation import listening
from mmjax.systems.separation.listening import GIVEN, Mixing, Mixture, Sound
from mmjax.systems.separation.networks import GROUP
from mmjax.task import Batch, Variables

PICTURES = 25  # a second
FACES, VOICES = "face_frames", "speech"
FILM = "faces_frames"  # the faces of a user's film
NETWORKS = ("looking_to_listen", "voices_only")
QUIET = 0.01  # of a compressed magnitude, below which its logarithm no longer falls


@dataclasses.dataclass(frozen=True)
class Separator(abc.ABC):
    """Networks that pick voices out of mixtures; hashable, and equal by value.

    Attributes:
      sound: how voices are heard.
      mixing: of clips.
      seconds: of a clip, from its beginning.
    """

    sound: Sound
    mixing: Mixing
    seconds: float

    @property
    @abc.abstractmethod
    def fields(self) -> tuple[str, ...]:
        """Of a batch, without its index."""

    @property
    @abc.abstractmethod
    def sees(self) -> tuple[str, ...]:
        """The fields of what is seen; () for a network that only hears."""

    @abc.abstractmethod
    def init(self, key: Array, batch: Batch) -> dict[str, Any]:
        """Fresh networks; NaN where published weights belong."""

    @abc.abstractmethod
    def asked(self, variables: Variables, batch: Batch, mixture: Mixture) -> dict[str, Float[Array, "g n v d"]]:
        """{whose: what is seen of each voice of a mixture}.

        "right"; "frozen_face" (each face's first picture, for as long as the clip lasts), "swapped_face" (that of
        another voice of the mixture), "absent_face" (those of the next mixture) and "black_face".
        """

    @abc.abstractmethod
    def shown(self, batch: Batch) -> dict[str, Array]:
        """{key: prediction} of what tells of each speaker, for whoever looks at the answers."""

    @abc.abstractmethod
    def compressed(self, waveform: Float[Array, "*b time"]) -> Complex[Array, "*b f t"]:
        """The spectrum that masks are of."""

    @abc.abstractmethod
    def masks(
        self,
        variables: Variables,
        whole: Complex[Array, "g f t"],
        faces: Float[Array, "g n v d"],
        where: Bool[Array, "g t"],
        train: bool = False,
    ) -> tuple[Complex[Array, "g n f t"], Any]:
        """The mask of each face, of what `compressed` gives and without a bound, and the new statistics."""

    @abc.abstractmethod
    def waveform(self, compressed: Complex[Array, "*b f t"], time: int) -> Float[Array, "*b time"]:
        """Each voice as what it adds to the mixture, from its masked spectrum."""

    @abc.abstractmethod
    def shares(self, masks: Complex[Array, "*b f t"]) -> Float[Array, "*b f t"]:
        """What masks leave of a mixture's magnitude."""

    # -- what goes in ------------------------------------------------------------------------------------------------

    def clips(self, batch: Batch) -> dict[str, Array]:
        """The batch as `listening` has clips: the beginning of each voice, and of what is behind it."""
        samples = round(self.seconds * GIVEN)
        found = {"waveform": batch[VOICES][:, :samples], "valid": batch["valid"]}
        return found | ({"noise": batch["ambience"][:, :samples]} if self.mixing.noise_db else {})

    def listed(self, batch: Batch, first_db: float | Array = 0.0) -> Mixture:
        return listening.listed(self.sound, self.mixing, self.clips(batch), first_db)

    def lasts(self, batch: Batch, mixture: Mixture) -> Bool[Array, "g t"]:
        """Which frames of a mixture are real: those whose windows begin before its last voice ends."""
        seconds = batch[f"{VOICES}_length"].astype(jnp.float32) / GIVEN
        longest = jnp.max(jnp.minimum(seconds, self.seconds)[mixture.places], 1, keepdims=True)  # g 1
        return self.begins(mixture.sound.shape[-1])[None] < longest

    def begins(self, time: int) -> Float[Array, " t"]:
        """When the window of each frame begins, in seconds."""
        frames = 1 + (time + self.sound.n_fft // 2) // self.sound.hop
        starts = jnp.arange(frames, dtype=jnp.float32) * self.sound.hop - self.sound.length / 2
        return starts / self.sound.rate


def controls(
    own: Float[Array, "g n v d"], frozen: Float[Array, "g n v d"], black: Float[Array, "1 v d"]
) -> dict[str, Float[Array, "g n v d"]]:
    """What `Separator.asked` gives, of the right faces, of what a face is that does not move, and of darkness."""
    found = {
        "right": own,
        "frozen_face": frozen,
        "swapped_face": jnp.roll(own, 1, 1),
        "absent_face": jnp.roll(own, -1, 0),
        "black_face": jnp.broadcast_to(black[None], own.shape),
    }
    for axis, name in ((0, "absent_face"), (1, "swapped_face")):
        if own.shape[axis] == 1:  # there is no other, and the right one would come back
            del found[name]
    return found


@dataclasses.dataclass(frozen=True)
class Speakers(Separator):
    """Looking to Listen.

    Attributes:
      model: hears, and makes masks.
      faces: makes `width` numbers of each picture of a face; None for the network that only hears: it has the same
        layers, and zeros where the others' faces are.
      width: of a face.
      power: of the compression of its spectra: masks and loss are of compressed ones.
      magnitude: whether the network hears log |z| of the compressed mixture, too, beside its parts.
      order_free: share of the loss, 0 to 1, that does not mind which mask is whose.
      classes: the field of speakers, of whom no two clips are mixed; "" for none.
    """

    model: LookingToListen
    faces: Network | None
    width: int
    power: float
    magnitude: bool = False
    order_free: float = 0.0
    classes: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        seen = () if self.faces is None else (FACES, f"{FACES}_length")
        return (*seen, VOICES, f"{VOICES}_length", *(("ambience",) if self.mixing.noise_db else ()), *self._kinds)

    @property
    def sees(self) -> tuple[str, ...]:
        return () if self.faces is None else (FACES,)

    @property
    def _kinds(self) -> tuple[str, ...]:
        return (self.classes,) if self.classes else ()

    # -- variables ---------------------------------------------------------------------------------------------------

    def init(self, key: Array, batch: Batch) -> dict[str, Any]:
        of_model, of_faces = jax.random.split(key)
        sound = jnp.zeros((1, 4, self.sound.bins, 2 + self.magnitude))
        faces = jnp.zeros((1, self.mixing.sources, 2, self.width))
        made = self.model.init(of_model, sound, faces)
        fresh = {"params": {GROUP: {"listener": made["params"]}}, "state": {"listener": made["state"]}, "frozen": {}}
        if self.faces is None:
            return fresh
        with errors.section("config.faces"):
            return encoders.placed(fresh, GROUP, self.faces.init(of_faces, self.one(batch)))

    # -- what goes in ------------------------------------------------------------------------------------------------

    def clips(self, batch: Batch) -> dict[str, Array]:
        return {**super().clips(batch), **{name: batch[name] for name in self._kinds}}

    def one(self, batch: Batch) -> Array:
        """What goes into `faces` once."""
        return batch[FACES][:1, 0]

    def see(self, variables: Variables, batch: Batch, train: bool = False) -> tuple[Float[Array, "b v d"], Any]:
        """The numbers of the faces of each clip, the last of them to the clip's end, and the new state."""
        assert self.faces is not None
        pictures = min(round(self.seconds * PICTURES), batch[FACES].shape[1])
        last = jnp.clip(batch[f"{FACES}_length"], 1, pictures)[:, None] - 1
        at = jnp.minimum(jnp.arange(pictures, dtype=jnp.int32)[None], last)
        frames = jnp.take_along_axis(batch[FACES], at[:, :, None, None, None], 1)
        flat = frames.reshape(-1, *frames.shape[2:])
        vectors, state = self.faces(encoders.parts(variables, GROUP), flat, train=train)
        return vectors.reshape(*frames.shape[:2], -1).astype(jnp.float32), encoders.beside(state)

    def see_film(self, variables: Variables, faces: Array, start: Array, pictures: int) -> Float[Array, "b n v d"]:
        """The numbers of faces [b n f h w 3] in so many pictures from `start` on, the last of them for what follows."""
        assert self.faces is not None
        at = jnp.minimum(start + jnp.arange(pictures, dtype=jnp.int32), faces.shape[2] - 1)
        frames = faces[:, :, at]
        vectors, _ = self.faces(encoders.parts(variables, GROUP), frames.reshape(-1, *frames.shape[3:]))
        return vectors.reshape(*frames.shape[:3], -1).astype(jnp.float32)

    def unseen(self, mixtures: int) -> Float[Array, "g n v d"]:
        """What the network that only hears has in the place of faces."""
        return jnp.zeros((mixtures, self.mixing.sources, round(self.seconds * PICTURES), self.width))

    def asked(self, variables: Variables, batch: Batch, mixture: Mixture) -> dict[str, Float[Array, "g n v d"]]:
        vectors, _ = self.see(variables, batch)
        dark = {FACES: jnp.zeros_like(batch[FACES][:1]), f"{FACES}_length": batch[f"{FACES}_length"][:1]}
        own = vectors[mixture.places]
        return controls(own, jnp.broadcast_to(own[:, :, :1], own.shape), self.see(variables, dark)[0])

    def shown(self, batch: Batch) -> dict[str, Array]:
        return {"image/picture": batch[FACES][:, 0]}

    # -- what comes out ----------------------------------------------------------------------------------------------

    def compressed(self, waveform: Float[Array, "*b time"]) -> Complex[Array, "*b f t"]:
        return complex_masks.power_law(self.sound.spectrum(waveform), self.power)

    def heard(self, whole: Complex[Array, "g f t"]) -> Float[Array, "g f t c"]:
        """What the network hears of a mixture: two channels, or three with its `magnitude`."""
        parts = complex_masks.parts(whole)
        if not self.magnitude:
            return parts
        return jnp.concatenate([parts, jnp.log(jnp.abs(whole) + QUIET)[..., None]], -1)

    def masks(
        self,
        variables: Variables,
        whole: Complex[Array, "g f t"],
        faces: Float[Array, "g n v d"],
        where: Bool[Array, "g t"],
        train: bool = False,
    ) -> tuple[Complex[Array, "g n f t"], Any]:
        own = {"params": variables["params"][GROUP]["listener"], "state": variables["state"]["listener"]}
        given = (self.heard(whole).swapaxes(1, 2), faces, where)
        if train:
            found, updated = self.model.apply(own, *given, train=True, mutable=["state"])
            state = updated["state"]
        else:
            found, state = self.model.apply(own, *given), own["state"]
        mask = complex_masks.joined(found.swapaxes(2, 3))
        return complex_masks.expanded(mask, self.model.bound), state

    def waveform(self, compressed: Complex[Array, "*b f t"], time: int) -> Float[Array, "*b time"]:
        return self.sound.waveform(complex_masks.from_power_law(compressed, self.power), time)

    def shares(self, masks: Complex[Array, "*b f t"]) -> Float[Array, "*b f t"]:
        return jnp.abs(complex_masks.from_power_law(masks, self.power))


def make(config: ConfigDict) -> Speakers:
    """The networks of a config. Raises OptionError for what there is none of, or does not go together."""
    with errors.section("config.sound"):
        sound = Sound(**config.sound)
    with errors.section("config.mixing"):
        mixing = Mixing(**config.mixing)
    if config.seconds <= 0:
        raise OptionError("config.seconds", f"is {config.seconds}: it must be above 0")
    if not 0 < config.power <= 1:
        raise OptionError("config.power", f"is {config.power}: it must be above 0 and at most 1")
    bound = config.model.bound or None
    how = {**config.model, "bound": bound, "ratio": sound.rate / sound.hop / PICTURES, "centre": 0.0}
    faces, width = _faces(config)
    order_free = float(config.get("order_free", 0.0))  # runs of before have neither this nor a magnitude
    if not 0 <= order_free <= 1:
        raise OptionError("config.order_free", f"is {order_free}: it must be from 0 to 1")
    return Speakers(
        sound,
        mixing,
        config.seconds,
        model=LookingToListen(**how),
        faces=None if config.network == "voices_only" else faces,
        width=width,
        power=config.power,
        magnitude=bool(config.get("magnitude", False)),
        order_free=order_free,
        classes=config.get("classes", "") if mixing.unlike else "",
    )


def _faces(config: ConfigDict) -> tuple[Network | None, int]:
    """What makes numbers of a face, or of the recording that stands in its place; and how many."""
    if named := config.get("voice", ""):
        return speaker.encoder(named, "config.voice"), speaker_encoder.UNITS
    if config.faces.weights:
        face = face_parts.face(config.faces.weights, config.faces.dtype, "config.faces.weights")
        if face.kind != "face":
            raise OptionError("config.faces.weights", f"={config.faces.weights!r} is no face network")
        return face.network, face.size
    own = {name: value for name, value in config.faces.items() if name != "weights"}
    return Network(FaceEmbedding(**own)), config.faces.features
