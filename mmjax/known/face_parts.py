"""The frozen parts of Speech2Face by what the user says: a face network, a face decoder, a network of landmarks.

Each is "shipped", the workdir of a run of configs/speech2face.py:faces or :decoder, or a file: one that
`mmjax export-part` wrote, or, for the face network, VGG-Face's weights or face-api's folder. "shipped_talking" is one
that was asked how the mouth is open, too. In the place of the face network a speaker encoder will do, whose features
are of another utterance of the same speaker.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.known import runs, speaker
from mmjax.known.network import Network
from mmjax.models.drawing import face_decoder
from mmjax.models.drawing.face_decoder import FaceDecoder
from mmjax.models.sound.speaker_encoder import UNITS
from mmjax.models.vision import face_api as face_api_networks
from mmjax.models.vision import vgg
from mmjax.models.vision.face_network import FaceNetwork
from mmjax.weights import face_api, safetensors_file, tfjs_file, vgg_face

SYSTEM = "speech2face"
PARTS = ("face_network", "face_decoder")
NAMES = {"shipped": "", "shipped_talking": "talking_"}  # what the files of each begin with
SHIPPED = {name: Path(__file__).with_name(f"{name}.safetensors") for name in (*PARTS, "talking_face_network")}
OF_LANDMARKS = "landmarks"  # of what is frozen in a run of a decoder; the face network's collections lie beside it


@dataclasses.dataclass(frozen=True)
class Face:
    """A face network, or a speaker encoder, that is trained no further; hashable, and equal by value.

    Attributes:
      network: pictures of 0..255, or sounds -> a dict of layers, or a layer.
      layer: the feature.
      size: d, its length.
      last: the name of the layer that tells identities apart from the feature alone; "" where there is none.
      identities: how many.
      field: of a batch, what the network looks at or listens to.
    """

    network: Network
    layer: str
    size: int
    last: str = ""
    identities: int = 0
    field: str = "face"

    @property
    def kind(self) -> str:
        """What it tells apart: "face" or "speaker"."""
        return "face" if self.field == "face" else "speaker"

    def init(self, face: Num[Array, b * shape]) -> dict[str, Any]:
        """The tree of its weights before `load` brings their values."""
        return self.network.init(jax.random.key(0), face)["frozen"]

    def load(self, fresh: Mapping[str, Any]) -> dict[str, Any]:
        """The weights in the tree of `init`, NumPy arrays. Raises UserError for a file that is missing or no such."""
        with errors.file_of("config.parts.face"):
            return self.network.fill({"params": {}, "state": {}, "frozen": fresh})["frozen"]

    def feature(self, weights: Mapping[str, Any], face: Num[Array, b * shape]) -> Float[Array, "b d"]:
        """The feature of faces, or of utterances, float32; gradients flow back to the pictures."""
        return self.network({"params": {}, "state": {}, "frozen": weights}, face)[0].astype(jnp.float32)

    def identity(self, weights: Mapping[str, Any], feature: Float[Array, "b d"]) -> Float[Array, "b c"]:
        """Logits of the identities, which the last layer makes of features."""
        if not self.last:
            raise OptionError("config.loss.distillation", "needs a face network with identities: set it to 0")
        layer = weights["params"][self.last]
        logits: Any = nn.Dense(self.identities).apply({"params": layer}, feature)
        return logits


@dataclasses.dataclass(frozen=True)
class Decoder:
    """A face decoder that is trained no further.

    Attributes:
      model: the network.
      source: where its weights are.
    """

    model: FaceDecoder
    source: str

    def init(self, features: int) -> dict[str, Any]:
        """The tree of its weights before `load` brings their values: {"params", "template" [n 2]}."""
        shapes = jax.eval_shape(self.model.init, jax.random.key(0), jnp.zeros((1, features)))
        fresh = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), shapes["params"])
        return {"params": fresh, "template": jnp.full((self.model.points, 2), jnp.nan, jnp.float32)}

    def load(self, fresh: Mapping[str, Any], face: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The weights in the tree of `init`.

        Args:
          face: the weights of the face network whose features it is to decode; None: not compared.

        Raises:
          OptionError: the decoder was trained on the features of another network.
        """
        found = _weights(self.source, "face_decoder", "config.parts.decoder")
        for name, ours in fresh["params"]["first"].items():
            theirs = np.shape(found["params"]["first"][name])
            if theirs != ours.shape:
                wanted = f"decodes features of {theirs[0]}, and the face network has {ours.shape[0]}"
                raise OptionError("config.parts.decoder", f"={self.source!r} {wanted}")
        own = self._trained_on() if face is not None else ""
        if own and face is not None and own != fingerprint(face):
            wanted = "decodes the features of another face network than config.parts.face"
            raise OptionError("config.parts.decoder", f"={self.source!r} {wanted}: they are as long, but mean others")
        return {"params": found["params"], "template": found["state"]["template"]}

    def _trained_on(self) -> str:
        """The fingerprint of its face network; "" where neither file nor run says it."""
        path = Path(self.source).expanduser()
        if not (path / "config.json").is_file():
            return _file(self.source, "face_decoder", "config.parts.decoder")[1].get("face", "")
        kept = path / runs.FROZEN  # as it was when that run began, wherever its part lies now
        return fingerprint(runs.frozen(path, lambda tree: tree)) if kept.is_dir() else ""

    def __call__(self, weights: Mapping[str, Any], feature: Float[Array, "b d"]) -> dict[str, Array]:
        """What the decoder makes of features, see `FaceDecoder`; "landmarks" and "face" [b side side 3]."""
        found: Any = self.model.apply({"params": weights["params"]}, feature)
        landmarks, face = face_decoder.joined(found, weights["template"])
        return {**found, "landmarks": landmarks, "face": face}


def fingerprint(weights: Mapping[str, Any]) -> str:
    """By which a decoder knows the face network that it was trained on, from its weights in half precision, in which
    parts travel; from all that is frozen in a run of a decoder as well."""
    found = hashlib.sha256()
    own = {name: tree for name, tree in weights.items() if name != OF_LANDMARKS}
    for path, leaf in jax.tree_util.tree_leaves_with_path(own):
        array = np.asarray(leaf).astype(np.float16)
        found.update(f"{jax.tree_util.keystr(path)} {array.shape}".encode() + array.tobytes())
    return found.hexdigest()[:16]


def face(source: str, dtype: str = "float32", option: str = "config.parts.face") -> Face:
    """A face network by where its weights are.

    Args:
      source: "shipped" or "shipped_talking"; the workdir of a run of :faces or :talking_faces; what `mmjax export-part`
        wrote; face-api's folder `model` or its manifest; "resemblyzer", the speaker encoder of the installed package,
        or "resemblyzer:FILE" by its file; else VGG-Face's weights, see `weights.vgg_face.load`.
      dtype: compute dtype of the published networks.
      option: what the user said it by.

    Raises:
      OptionError: nothing there, or a file or a run of something else.
    """
    if not source:
        raise OptionError(option, "is '': say which, VGG-Face's weights or the folder of face-api's, or 'shipped'")
    if speaker.named(source):
        return Face(speaker.encoder(source, option), "features", UNITS, field="speech_other")
    if source not in NAMES and not Path(source).expanduser().exists():
        raise OptionError(option, f"={source!r}: no such file or folder; 'shipped' is our own")
    with errors.file_of(option):
        ours = _is_part(source)
    if ours:
        where = (source, "face_network", option)
        model = FaceNetwork(**_options(*where))
        network = Network(model, "features", _side(*where), _weights, where, found=_options, trained=False)
        return Face(network, "features", model.features, "identity", model.identities)
    path = Path(source).expanduser()
    if path.is_dir() or path.name.endswith(tfjs_file.SUFFIX):
        with errors.file_of(option):
            face_api.manifest(path, face_api.DESCRIPTOR)
        described = face_api_networks.FaceDescriptor(dtype=dtype)
        size = face_api_networks.DESCRIPTOR_SIDE
        network = Network(described, "features", size, face_api.descriptor, (source,), trained=False)
        return Face(network, "features", 128)
    published = vgg.vgg_face(dtype=dtype)
    network = Network(published, "fc7", 224, vgg_face.load, (source,), trained=False)
    return Face(network, "fc7", published.hidden, "classifier", published.classes)


@dataclasses.dataclass(frozen=True)
class Landmarks:
    """A network that finds the landmarks of faces, trained no further; hashable, and equal by value.

    Attributes:
      network: pictures of 0..255 -> 68 points in shares of the picture.
    """

    network: Network

    def init(self, face: Num[Array, "b h w 3"]) -> dict[str, Any]:
        """The tree of its weights before `load` brings their values."""
        return self.network.init(jax.random.key(0), face)["frozen"]

    def load(self, fresh: Mapping[str, Any]) -> dict[str, Any]:
        """The weights in the tree of `init`. Raises UserError for a file that is missing or no such."""
        with errors.file_of("config.parts.landmarks"):
            return self.network.fill({"params": {}, "state": {}, "frozen": fresh})["frozen"]

    def __call__(self, weights: Mapping[str, Any], face: Num[Array, "b h w 3"]) -> Float[Array, "b 68 2"]:
        """x, y in 0..1, in the order of 300-W; no gradient flows back."""
        found = self.network({"params": {}, "state": {}, "frozen": weights}, face)[0]
        return jax.lax.stop_gradient(found)


def landmarks(source: str) -> Landmarks:
    """The landmark network of face-api by its folder `model` or its manifest. Raises OptionError: nothing there."""
    if not Path(source).expanduser().exists():
        raise OptionError(
            "config.parts.landmarks", f"={source!r}: no such file or folder; give face-api's folder model"
        )
    model, size = face_api_networks.FaceLandmarks(), face_api_networks.LANDMARK_SIDE
    return Landmarks(Network(model, "", size, face_api.landmarks, (source,), trained=False))


SIDE = 64  # pixels of the square that a face network of ours was trained on, where its data do not say


def decoder(source: str) -> Decoder:
    """A face decoder by where its weights are; `source` and errors as for `face`, without the published networks."""
    return Decoder(FaceDecoder(**_options(source, "face_decoder", "config.parts.decoder")), source)


# -- where parts lie: files and workdirs -------------------------------------------------------------------------------


def _is_part(source: str) -> bool:
    """Whether it is ours: shipped, a workdir, or a safetensors file that says so."""
    path = Path(source).expanduser()
    if source in NAMES or (path / "config.json").is_file():
        return True
    return path.suffix == ".safetensors" and "part" in safetensors_file.read(path)[1]


def face_network(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `FaceNetwork` in a run that trains one."""
    identities = config["levels"] ** len(config["factors"])
    return {**config["model"], "identities": identities, **({"mouth": True} if talking(config) else {})}


def talking(config: Mapping[str, Any]) -> bool:
    """Whether a run trains a face network that is asked how the mouth is open, too."""
    return bool(config["loss"].get("mouth", 0))


def _side(source: str, part: str, option: str) -> int:
    """Pixels of the square of the pictures that a face network was trained on."""
    path = Path(source).expanduser()
    if (path / "config.json").is_file():
        data = runs.config_of(path, SYSTEM, option)["data"]
    else:
        data = json.loads(_file(source, part, option)[1]["data"])
    return int(data.get("face_size") or SIDE)


def _options(source: str, part: str, option: str) -> dict[str, Any]:
    """The arguments of a part's module, as they were written down with its weights."""
    path = Path(source).expanduser()
    if (path / "config.json").is_file():
        config = runs.config_of(path, SYSTEM, option)
        if config["part"] != part:
            raise OptionError(option, f"={source!r} is a run of the {config['part']}, and not of the {part}")
        found = face_network(config) if part == "face_network" else dict(config["model"])
    else:
        found = json.loads(_file(source, part, option)[1]["model"])
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _file(source: str, part: str, option: str) -> tuple[dict[str, Any], dict[str, str]]:
    path = SHIPPED.get(f"{NAMES[source]}{part}", Path()) if source in NAMES else Path(source).expanduser()
    if source in NAMES and not path.name:
        raise OptionError(option, f"={source!r}: no {part} ships by this name")
    if path.is_dir():
        raise OptionError(option, f"={source!r} is no workdir: it has no config.json")
    with errors.file_of(option):
        tree, said = safetensors_file.load(path)
    if said.get("part") != part:
        raise OptionError(option, f"={source!r} is no {part}: mmjax export-part writes one from a run")
    return tree, said


def _weights(source: str, part: str, option: str) -> dict[str, Any]:
    """{"params": tree, "state": tree} of a part, NumPy arrays."""
    path = Path(source).expanduser()
    if not (path / "config.json").is_file():
        return _file(source, part, option)[0]
    return picked(runs.newest(path, lambda tree: {name: tree[name] for name in ("params", "state")}, option), part)


def picked(saved: Mapping[str, Any], part: str) -> dict[str, Any]:
    """What a part is, of the "params" and the "state" of its run, or of itself."""
    params, state = saved["params"], saved["state"]
    own = params.get(part, params)
    if part == "face_network":
        return {"params": own, "state": state.get("net", state)}
    template = state["known"]["mean"]["landmarks"] if "known" in state else state["template"]
    return {"params": own, "state": {"template": template}}
