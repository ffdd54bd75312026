"""Any data set of the TensorFlow Datasets catalogue that has the fields, its features renamed to the glossary's.

    source("train", ("waveform", "label"), name="speech_commands")

Reading never needs TensorFlow. Preparing some data sets does, once and on any machine, because TFDS decodes their audio
or unpacks their archives with it; the copy is then found by its name under data_dir.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import io
import pathlib
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mmjax import data
from mmjax.data import spec
from mmjax.data.files import media, pictures
from mmjax.data.files import prepared as builders
from mmjax.errors import UserError

Mapping_ = tuple[tuple[str, str], ...]
FIT = "native"

# Our field: the catalogue's names for it, best first.
GUESSES: dict[str, tuple[str, ...]] = {
    "image": ("image", "images"),
    "waveform": ("audio", "waveform", "mixture_audio", "speech"),
    "speech": ("speech", "audio"),
    "label": ("label", "labels"),
    "caption": ("caption", "captions", "text", "title"),
    "captions": ("captions", "caption"),
    "question": ("question",),
    "answer": ("answer",),
    "text": ("text", "transcript"),
    "group": ("speaker", "speaker_id", "image/filename", "file_name", "id"),
}
# Hz, of data sets whose Audio features do not state their rate.
RATES: dict[str, int] = {
    "crema_d": 16_000,
    "fuss": 16_000,
    "groove": 16_000,
    "librispeech": 16_000,
    "libritts": 24_000,
    "ljspeech": 22_050,
    "nsynth": 16_000,
    "speech_commands": 16_000,
    "spoken_digit": 8_000,
    "vctk": 48_000,
    "voxceleb": 16_000,
    "yes_no": 8_000,
}
_SOUNDS = ("waveform", "speech")
_CLASSES = ("label", "scene")  # one class an example
_TEXTS = tuple(name for name, field in spec.FIELDS.items() if field.dtype == "str" and field.shape == "")


def fields(
    *, name: str, mapping: Mapping_ = (), data_dir: str | None = None, download: bool = True, **_: Any
) -> tuple[str, ...]:
    """Our fields that data set `name` offers under `mapping`; see `source`."""
    features, _rates = builders.read_features(prepared(name, data_dir, download))
    return (*_renaming(features, mapping, name), "index")


def label_names(
    *, name: str, mapping: Mapping_ = (), data_dir: str | None = None, download: bool = True, **_: Any
) -> tuple[str, ...]:
    """The names of the classes of `label`, () where the data set does not name them."""
    features, _rates = builders.read_features(prepared(name, data_dir, download))
    column = _renaming(features, mapping, name).get("label")
    return _class_names(features[column]) if column else ()


def source(
    split: str,
    fields: tuple[str, ...] | None = None,
    *,
    name: str,
    mapping: Mapping_ = (),
    data_dir: str | None = None,
    download: bool = True,
    rate: int | None = None,
) -> builders.Source:
    """Opens a split of a catalogue data set, downloading and preparing it first where that was not done.

    Args:
      split: one of the data set's, or a slice such as "train[:90%]".
      fields: of fields(name=..., mapping=...); all where None.
      name: as in the catalogue, e.g. "speech_commands", "wit" or "name/configuration:version".
      mapping: pairs (our field, its feature), e.g. (("waveform", "audio"),); usual names are guessed. "sequence/part"
        is a part of one element of a sequence, the same element for all fields that name it: drawn anew at each visit
        in training, and by the example's position elsewhere.
      data_dir: where TFDS keeps its data; $MMJAX_DATA or ~/.cache/mmjax where None.
      download: whether a data set that is not there may be downloaded.
      rate: of its sound in Hz, where neither the data set nor this module knows it.

    Returns:
      Random access to dicts of the glossary's types: sound as int16 mono at 22,050 Hz, pictures as RGB, text as str.

    Raises:
      UserError: for an unknown name or split, missing fields, or a data set that cannot be prepared here.
    """
    directory = prepared(name, data_dir, download)
    features, rates = builders.read_features(directory)
    renaming = _renaming(features, mapping, name)
    fields = (*renaming, "index") if fields is None else tuple(fields)
    spec.check(fields, (*renaming, "index"), name)
    stored = {field: renaming[field] for field in fields if field != "index"}
    # With nothing stored asked for (only `index`), the first column still gives the length.
    columns = {_whole(features, column) for column in stored.values()} or {next(iter(features))}
    converters = {}
    for field, column in stored.items():
        hertz = rate or rates.get(column) or RATES.get(name.split("/")[0].split(":")[0])
        whole = _whole(features, column)
        convert = _converter(field, _feature(features, column), hertz, name)
        converters[field] = (whole, column[len(whole) + 1 :], convert)
    records = builders.Records(directory, split, {column: features[column] for column in columns})
    classes = {field: _class_names(_feature(features, stored[field])) for field in _CLASSES if field in stored}
    names = {field: own for field, own in classes.items() if own}
    kind = Drawing if any(part for _, part, _ in converters.values()) else builders.Source
    # A version of a catalogue set does not change: its name, and how much each split holds, tell what is in it.
    info = builders.read_info(directory)
    content = builders.fingerprint(info["name"], *directory.parts[-2:], info["splits"], split)
    return kind(records, functools.partial(_decode, fields, converters), names, stored, content)


class Drawing(builders.Source):
    """A source of examples that hold several, one of which is drawn at each visit in training."""

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Example `index` with an element of `rng`'s choice."""
        return self._decode(self._records[int(index)], int(index), rng)  # type: ignore[call-arg]


def _decode(
    fields: tuple[str, ...],
    converters: Mapping[str, tuple[str, str, Callable[[Any], Any]]],
    record: dict[str, Any],
    index: int,
    rng: np.random.Generator | None = None,
) -> dict[str, Any]:
    example: dict[str, Any] = {}
    chosen: dict[str, int] = {}  # of each sequence: its fields come from one element
    for field in fields:
        if field == "index":
            example[field] = np.int32(index)
            continue
        column, part, convert = converters[field]
        value = record[column][part] if part else record[column]
        if part and column not in chosen:
            several = max(len(value), 1)
            chosen[column] = index % several if rng is None else int(rng.integers(several))
        example[field] = convert(value[chosen[column]] if part else value)
    return example


def _whole(features: Mapping[str, Any], column: str) -> str:
    """The feature that a column is or lies in: "question_answer" of "question_answer/answer"."""
    return column if column in features else column.split("/", 1)[0]


def _feature(features: Mapping[str, Any], column: str) -> Any:
    """What a column holds; None where there is no such column."""
    if column in features:
        return features[column]
    whole, _, part = column.partition("/")
    inside = getattr(features[whole], "feature", None) if whole in features else None
    return inside[part] if isinstance(inside, tfds.features.FeaturesDict) and part in inside else None


def _renaming(features: Mapping[str, Any], mapping: Mapping_, name: str) -> dict[str, str]:
    """Our field -> its feature: the user's pairs, then the glossary's own names, then the guesses."""
    renaming = dict(mapping)
    spec.check(renaming, spec.FIELDS, name)
    absent = [f"{field}={column!r}" for field, column in renaming.items() if _feature(features, column) is None]
    if absent:
        raise UserError(
            f"config.data.mapping: {name} has no {', '.join(absent)}; its features are {', '.join(features)}"
        )
    for field in spec.FIELDS:
        candidates = GUESSES.get(field, ())
        found = next((column for column in candidates if column in features), None)
        if field not in renaming and found is not None and _fits(field, features[found]):
            renaming[field] = found
    return renaming


def _fits(field: str, feature: Any) -> bool:
    """Whether a guessed feature can be the field: `captions` wants several, `caption` and others any one value."""
    several = isinstance(feature, tfds.features.Sequence)
    if field == "captions":
        return True
    if field in _SOUNDS:
        return isinstance(feature, tfds.features.Tensor) and len(feature.shape) in (1, 2)
    if field == "label":
        return isinstance(feature, tfds.features.Tensor) and feature.shape == ()
    return not several or field == "caption"


# -- from what TFDS stores to the glossary's types ---------------------------------------------------------------------


def _converter(field: str, feature: Any, rate: int | None, name: str) -> Callable[[Any], Any]:
    if field in _SOUNDS:
        if not rate:
            raise UserError(f"data set {name!r} does not say its sample rate: set config.data.rate, in Hz")
        return functools.partial(_to_sound, rate=rate)
    if field == "captions":
        return _to_texts
    if field in _TEXTS:
        return functools.partial(_to_text, names=_class_names(feature))
    if field in ("image", "frames", "face"):
        return _to_rgb
    return functools.partial(np.asarray, dtype=spec.FIELDS[field].dtype)


def _class_names(feature: Any) -> tuple[str, ...]:
    return tuple(feature.names or ()) if isinstance(feature, tfds.features.ClassLabel) else ()


def _to_sound(samples: Any, rate: int) -> np.ndarray:
    return media.to_int16_mono(np.asarray(samples), rate)


def _to_rgb(picture: Any) -> np.ndarray:
    """Grey, transparent or deep pictures as RGB, uint8 [... 3]."""
    try:
        picture = pictures.eight_bit(np.asarray(picture))
    except media.Unusable as error:
        raise UserError(f"a picture has {error.kind}, {error.detail}: full scale of floats is 1") from None
    if picture.shape[-1] == 1:
        return np.repeat(picture, 3, axis=-1)
    return np.ascontiguousarray(picture[..., :3])


def _to_text(value: Any, names: tuple[str, ...]) -> str:
    value = value["text"] if isinstance(value, dict) and "text" in value else value
    if isinstance(value, (list, np.ndarray)) and np.ndim(value):
        value = value[0] if len(value) else ""
    if names and isinstance(value, (int, np.integer)):
        return names[int(value)]
    return builders.text(value)


def _to_texts(value: Any) -> tuple[str, ...]:
    value = value["text"] if isinstance(value, dict) and "text" in value else value  # coco_captions: beside an id
    values = value if isinstance(value, (list, tuple, np.ndarray)) else [value]
    return tuple(builders.text(one) for one in values)


# -- finding and preparing ---------------------------------------------------------------------------------------------


def prepared(name: str, data_dir: str | None = None, download: bool = True) -> pathlib.Path:
    """The directory of data set `name` prepared as array_record, preparing it where it is not there."""
    root = builders.cache_dir(data_dir)
    found = _find_on_disk(root, name)
    if found is not None:
        return found
    known = name.split(":")[0].split("/")[0]
    catalogue = tfds.list_builders(with_community_datasets=False)
    if known not in catalogue:
        close = difflib.get_close_matches(known, [*data.names(), *catalogue], n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see tensorflow.org/datasets/catalog"
        raise UserError(f"config.data.name={name!r} is no data set of mmjax or of TensorFlow Datasets: {hint}")
    # Not `tfds build`: that program does not start without TensorFlow, even where the data set needs none.
    how = f"python -c \"from mmjax.data import catalogue; catalogue.prepared('{name}', '{root}')\""
    if not download:
        raise UserError(f"data set {name!r} is not in {root} and config.data.download is off: run `{how}`")
    return _prepare(name, root, how)


def _prepare(name: str, root: pathlib.Path, how: str) -> pathlib.Path:
    """Downloads and prepares; whatever stops it is told in one line with the way out."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS's banner on a missing TensorFlow
            builder = tfds.builder(name, data_dir=str(root), file_format="array_record", try_gcs=False)
        _check_network(builder)
        builders.prepare(builder)
    except UserError:
        raise
    except ImportError as error:
        module = _missing_module(error)
        raise UserError(
            f"preparing {name!r} needs {module}, once and on any machine: pip install {module}, then `{how}`; "
            "reading it does not"
        ) from error
    except Exception as error:  # TFDS lets through whatever its downloader, archives and parsers raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(f"cannot prepare {name!r} ({reason}): where there is a network, run `{how}`") from error
    return pathlib.Path(builder.data_dir)


def _missing_module(error: BaseException) -> str:
    """The module that an import failed for: TFDS wraps the error that names it."""
    link: BaseException | None = error
    while link is not None:
        if module := getattr(link, "name", None):
            return str(module).split(".")[0]
        link = link.__cause__
    return "tensorflow"


def _check_network(builder: tfds.core.DatasetBuilder) -> None:
    """Fails at once where no download host has an address; TFDS itself would try again for minutes."""
    hosts = sorted({urllib.parse.urlsplit(url).hostname or "" for url in builder.url_infos})
    if not hosts or urllib.request.getproxies() or any(_has_address(host) for host in hosts[:3]):
        return
    raise ConnectionError(f"no network: {hosts[0]} has no address")


def _has_address(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False


def _find_on_disk(root: pathlib.Path, name: str) -> pathlib.Path | None:
    """The newest prepared version of "name", "name/config", each with or without ":version", under `root`."""
    path, _, version = name.partition(":")
    folder = root / path
    candidates = (
        [folder / version] if version else sorted(folder.glob("*.*.*"), key=_version) if folder.is_dir() else []
    )
    if not candidates and "/" not in path and folder.is_dir():  # the only configuration there is
        configs = [entry for entry in folder.iterdir() if entry.is_dir() and list(entry.glob("*.*.*"))]
        candidates = sorted(configs[0].glob("*.*.*"), key=_version) if len(configs) == 1 else []
    whole = [candidate for candidate in candidates if builders.is_prepared(candidate)]
    return whole[-1] if whole else None


def _version(folder: pathlib.Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in folder.name.split("."))
