"""The networks of sound localisation as functions of a task's variables: two towers, or Senocak's attention.

Both kinds have the same methods:

* init(key, batch) -> variables: what is trained in the group "net", what follows the batches, what never changes
* fill(variables) -> variables: what stands in files
* see(variables, image) -> places [b h w k d], hear(variables, waveform, length) -> sounds [b k d]: `localiser.heat`
  makes scores of them
* train(variables, batch, key) -> Found: what the losses are made of
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8
from ml_collections import ConfigDict

from mmjax.errors import OptionError, section
from mmjax.known import localisers
from mmjax.known.network import Network
from mmjax.losses import localisation as losses
from mmjax.models.joint.localiser import Attention, Localiser, heat
from mmjax.ops import collective
from mmjax.ops.vectors import unit
from mmjax.task import Batch, Variables

METHODS = ("ez_vsl", "lvs", "slavc", "senocak")
POOLINGS = ("max", "sum")


@dataclasses.dataclass(frozen=True)
class Loss:
    """What is learnt from: config.loss.

    Attributes:
      method: "ez_vsl", "lvs", "slavc" or "senocak": what pictures and their sounds teach without boxes.
      unsupervised, supervised: weights of that, and of the boxes.
      temperature: by which cosines are divided.
      pooling: how EZ-VSL's pairs are scored: by the "max" over places, or the "sum" of their exponentials.
      silence: whether silence is a further negative, which belongs to no picture; LVS has none but where boxes teach.
      momentum: of SLAVC's second encoder.
      normalised: whether the places of each picture's boxes add up to 1; without, large boxes weigh more, as in
        Senocak's official code.
    """

    method: str = "ez_vsl"
    unsupervised: float = 1.0
    supervised: float = 0.0
    temperature: float = 0.07
    pooling: str = "max"
    silence: bool = True
    momentum: float = 0.999
    normalised: bool = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError("method", f"is {self.method!r}: choose {', '.join(METHODS)}")
        if self.pooling not in POOLINGS:
            raise OptionError("pooling", f"is {self.pooling!r}: choose {' or '.join(map(repr, POOLINGS))}")
        if self.pooling != "max" and self.method in ("lvs", "slavc"):
            raise OptionError("pooling", f"is {self.pooling!r}, which only ez_vsl knows: for {self.method} it is 'max'")
        if self.silence and (self.method == "senocak" or (self.method == "lvs" and not self.supervised)):
            raise OptionError("silence", f"is True, but teaches {self.method} nothing: set it to False")
        if not 0 < self.temperature < math.inf:
            raise OptionError("temperature", f"is {self.temperature}: it must be above 0, and finite")
        for name in ("unsupervised", "supervised"):
            if not 0 <= getattr(self, name) < math.inf:
                raise OptionError(name, f"is {getattr(self, name)}: a weight is 0 or more, and finite")
        if not 0 <= self.momentum <= 1:
            raise OptionError("momentum", f"is {self.momentum}: it must be from 0 to 1")
        if not (self.unsupervised or self.supervised):
            raise OptionError("supervised", "and unsupervised are both 0: there is nothing to learn from")


class Found(NamedTuple):
    """What a network makes of a training batch.

    Attributes:
      unsupervised: [b], the loss that needs no boxes.
      log_attention: [b h w], of a distribution over places and, where silence is known, nowhere.
      log_nowhere: [b], of silence's probability to be nowhere in the picture; None without.
      state: after the batch.
    """

    unsupervised: Float[Array, " b"]
    log_attention: Float[Array, "b h w"]
    log_nowhere: Float[Array, " b"] | None
    state: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class TwoTowers:
    """LVS, EZ-VSL, SLAVC, and the light network that learns as they do.

    Attributes:
      model: the towers.
      loss: what they learn from.
      imagenet: path of torchvision's ResNet-18, from which the picture's tower begins; "" draws it.
      released: path of the authors' weights; "" for none.
    """

    model: Localiser
    loss: Loss
    imagenet: str = ""
    released: str = ""

    def checked(self) -> TwoTowers:
        """Itself; raises OptionError for options that do not go together."""
        wanted = {"lvs": (0, 1), "ez_vsl": (1,), "slavc": (2,)}[self.loss.method]
        if self.model.projections not in wanted:
            several = " or ".join(map(str, wanted))
            raise OptionError("projections", f"is {self.model.projections}: {self.loss.method} has {several}")
        if self.imagenet and self.model.trunk != "resnet18":
            raise OptionError("imagenet", f"={self.imagenet!r} is for the trunk resnet18, not {self.model.trunk!r}")
        return self

    def check(self) -> None:
        for name in ("imagenet", "released"):
            path = getattr(self, name)
            if path and not Path(path).expanduser().exists():
                raise OptionError(name, f"={path!r}: no such file")

    def init(self, key: Key[Array, ""], batch: Batch) -> Variables:
        high, wide = batch["image"].shape[1:3]
        if self.model.trunk == "light" and (high % 2 or wide % 2):
            even = "the trunk 'light' wants an even number each way, see image_size, or size of videos"
            raise OptionError("config.data", f"gives pictures of {high} x {wide} pixels: {even}")
        made: Any = self.model.init(key, batch["image"], batch["waveform"])
        state = {"net": made["state"]}
        if self.loss.method == "slavc":
            copy = jax.tree.map(jnp.copy, made)
            state["momentum"] = {"params": copy["params"], "state": copy["state"]}
        return {"params": {"net": made["params"]}, "state": state, "frozen": {}}

    def fill(self, variables: Variables) -> Variables:
        params, state = variables["params"]["net"], variables["state"]["net"]
        momentum = None
        if self.imagenet:
            found = localisers.imagenet(self.imagenet)
            params, state = {**params, "picture": found["params"]}, {**state, "picture": found["state"]}
        if self.released:
            found = localisers.released(self.released, self.model)
            params, state, momentum = found["params"], found["state"], found.get("momentum")
        states = {**variables["state"], "net": state}
        if "momentum" in states:
            states["momentum"] = momentum or {"params": params, "state": state}
        return {**variables, "params": {"net": params}, "state": states}

    def _own(self, variables: Variables) -> dict[str, Any]:
        """The encoder that is asked: SLAVC's is the momentum encoder."""
        if self.loss.method == "slavc":
            return dict(variables["state"]["momentum"])
        return {"params": variables["params"]["net"], "state": variables["state"]["net"]}

    def see(self, variables: Variables, image: UInt8[Array, "b h w 3"]) -> Float[Array, "b i j k d"]:
        found: Any = self.model.apply(self._own(variables), image, method="see")
        return found

    def hear(
        self, variables: Variables, waveform: Int[Array, "b t"], length: Int[Array, " b"]
    ) -> Float[Array, "b k d"]:
        found: Any = self.model.apply(self._own(variables), waveform, length, method="hear")
        return found

    def train(self, variables: Variables, batch: Batch, key: Key[Array, ""]) -> Found:
        inputs = (batch["image"], batch["waveform"], batch["waveform_length"])
        of_net, of_momentum = jax.random.split(collective.local_key(key))
        state, own = variables["state"], variables["params"]["net"]
        current = {"params": own, "state": state["net"]}
        (places, sounds), after = self._run(current, inputs, of_net)
        nowhere = self._silence(current, batch) if self.loss.silence else None
        new, tau = {**state, "net": after}, self.loss.temperature
        if self.loss.method == "slavc":
            followed = losses.follow(self.loss.momentum, state["momentum"]["params"], own)
            target = {"params": followed, "state": state["momentum"]["state"]}
            found, momentum = self._run(target, inputs, of_momentum)
            new["momentum"] = {"params": followed, "state": momentum}
            silent = _both(self._silence(target, batch)) if self.loss.silence else None
            own_pair, target_pair = (_both(places), _both(sounds)), (_both(found[0]), _both(found[1]))
            values = losses.slavc(*own_pair, *target_pair, temperature=tau, nowhere=silent)
        elif self.loss.method == "lvs":
            values = losses.lvs(places[..., 0, :], sounds[:, 0], temperature=tau)
        else:
            one, pooling = None if nowhere is None else nowhere[:, 0], self.loss.pooling
            values = losses.ez_vsl(places[..., 0, :], sounds[:, 0], temperature=tau, pooling=pooling, nowhere=one)
        return Found(values, *self._attention(places, sounds, nowhere), new)

    def _silence(self, variables: Any, batch: Batch) -> Float[Array, "1 k d"]:
        """What silence is heard as, by the running statistics: it has no part in those of the batch."""
        found: Any = self.model.apply(variables, jnp.zeros_like(batch["waveform"][:1]), method="hear")
        return found

    def _run(self, variables: Any, inputs: tuple[Array, ...], key: Key[Array, ""]) -> tuple[Any, Any]:
        found, after = self.model.apply(variables, *inputs, train=True, mutable=["state"], rngs={"dropout": key})
        return found, after["state"]

    def _attention(
        self, places: Float[Array, "b h w k d"], sounds: Float[Array, "b k d"], nowhere: Float[Array, "1 k d"] | None
    ) -> tuple[Float[Array, "b h w"], Float[Array, " b"] | None]:
        """Log of a softmax over places; with silence, over places and nowhere, whose score is 0."""
        scores = heat(places, sounds) / self.loss.temperature
        flat = scores.reshape(len(scores), -1)
        if nowhere is None:
            return jax.nn.log_softmax(flat).reshape(scores.shape), None
        zero = jnp.zeros((len(flat), 1))
        log_a = jax.nn.log_softmax(jnp.concatenate([flat, zero], 1))[:, :-1]
        silent = heat(places, jnp.repeat(nowhere, len(places), 0)) / self.loss.temperature
        log_nowhere = -jnp.logaddexp(0.0, jax.nn.logsumexp(silent, (1, 2)))
        return log_a.reshape(scores.shape), log_nowhere


@dataclasses.dataclass(frozen=True)
class Attended:
    """Senocak et al. 2018: attention over a frozen picture network's map by what a frozen SoundNet hears.

    Two things are not as in the official code, which draws both while it loads an example: the other clip of the
    unsupervised loss is one of the batch, as far along it for all; and the boxes that teach are those of all annotators
    (`sound_localisation.boxes_teach`: the share of a place that any of them covers), not of one who is drawn by lot.

    Attributes:
      picture: gives a map [b h w c].
      sound: gives the objects that a SoundNet hears, [b steps n].
      loss: what the attention learns from.
      hidden: of the layer behind the sound.
    """

    picture: Network
    sound: Network
    loss: Loss
    hidden: int = 1000

    def check(self) -> None:
        self.picture.check()
        self.sound.check()

    def _attention(self, places: Array, sound: Array) -> Attention:
        return Attention(places.shape[-1], sound.shape[-1], self.hidden, self.loss.temperature)

    def init(self, key: Key[Array, ""], batch: Batch) -> Variables:
        inputs = batch["image"], (localisers.prepared(batch["waveform"]), batch["waveform_length"])
        frozen = {
            "picture": self.picture.init(key, inputs[0])["frozen"],
            "sound": self.sound.init(key, *inputs[1])["frozen"],
        }
        of_picture, of_sound = jax.eval_shape(self._frozen, frozen, batch)
        net = self._attention(of_picture, of_sound)
        fresh: Any = net.init(key, jnp.zeros((1, *of_picture.shape[1:])), jnp.zeros((1, *of_sound.shape[1:])))
        return {"params": {"net": fresh["params"]}, "state": {"net": {}}, "frozen": frozen}

    def fill(self, variables: Variables) -> Variables:
        parts = {name: _frozen_parts(variables["frozen"][name]) for name in ("picture", "sound")}
        with section("config.model"):
            read = {name: getattr(self, name).fill(own)["frozen"] for name, own in parts.items()}
        return {**variables, "frozen": {**variables["frozen"], **read}}

    def _frozen(self, frozen: Any, batch: Batch) -> tuple[Float[Array, "b h w c"], Float[Array, "b n"]]:
        """The map, and the sound's objects as they are: the mean logits over its steps."""
        return self._map(frozen, batch["image"]), self._objects(frozen, batch["waveform"], batch["waveform_length"])

    def _map(self, frozen: Any, image: UInt8[Array, "b h w 3"]) -> Float[Array, "b i j c"]:
        return self.picture(_frozen_parts(frozen["picture"]), image)[0].astype(jnp.float32)

    def _objects(self, frozen: Any, waveform: Int[Array, "b t"], length: Int[Array, " b"]) -> Float[Array, "b n"]:
        steps, _ = self.sound(_frozen_parts(frozen["sound"]), localisers.prepared(waveform), length)
        return jnp.mean(steps.astype(jnp.float32), 1)

    def see(self, variables: Variables, image: UInt8[Array, "b h w 3"]) -> Float[Array, "b i j 1 c"]:
        return unit(self._map(variables["frozen"], image))[..., None, :]

    def hear(
        self, variables: Variables, waveform: Int[Array, "b t"], length: Int[Array, " b"]
    ) -> Float[Array, "b 1 c"]:
        objects = self._objects(variables["frozen"], waveform, length)
        own = {"params": variables["params"]["net"]}
        channels = own["params"]["second"]["affine"]["bias"].shape[0]
        found: Any = Attention(channels, objects.shape[-1], self.hidden).apply(own, objects, method="hear")
        return found

    def train(self, variables: Variables, batch: Batch, key: Key[Array, ""]) -> Found:
        places, sound = jax.lax.stop_gradient(self._frozen(variables["frozen"], batch))
        net: Any = self._attention(places, sound)
        log_a, attended = net.apply({"params": variables["params"]["net"]}, places, sound)
        everyone = collective.gather(sound)  # another clip of the batch, as far along it for all
        away = jax.random.randint(key, (), 1, max(len(everyone), 2))
        other = everyone[(collective.numbers(len(sound)) + away) % len(everyone)]
        values = losses.senocak_unsupervised(attended, sound, other)
        return Found(values, log_a, None, dict(variables["state"]))


def _frozen_parts(frozen: Any) -> dict[str, Any]:
    return {"params": {}, "state": {}, "frozen": frozen}


def _both(points: Float[Array, "... 2 d"]) -> tuple[Array, Array]:
    return points[..., 0, :], points[..., 1, :]


def make(config: ConfigDict) -> TwoTowers | Attended:
    """The networks of a config: `loss`, and `model`, whose options are those of the method's networks."""
    with section("config.loss"):
        loss = Loss(**config.loss)
    options: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in config.model.items()}
    with section("config.model"):
        if loss.method != "senocak":
            start = {name: options.pop(name, "") for name in ("imagenet", "released")}
            return TwoTowers(Localiser(**options), loss, **start).checked()
        hidden = options.pop("hidden")
        if hidden < 1:
            raise OptionError("hidden", f"is {hidden}: it must be at least 1")
        sound = localisers.listened_to(options.pop("soundnet"))
        return Attended(localisers.looked_at(**options), sound, loss, hidden)
