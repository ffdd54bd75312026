"""What the TensorFlow Datasets builders of mmjax share: where a prepared copy lives, preparing it once, reading it.

TensorFlow itself is never needed. A copy is prepared under an `incomplete.*` name and renamed when it is whole, so a
killed preparation is never taken for a finished one; a lock makes the processes of one machine prepare it once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import io
import json
import os
import pathlib
import resource
import shutil
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from unittest import mock

import absl.logging
import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_data_source
from tensorflow_datasets.core import shuffle as tfds_shuffle
from tensorflow_datasets.core.utils import tqdm_utils

from mmjax.data import fingerprints, spec
from mmjax.data.files import digests
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

_AUDIO = "tensorflow_datasets.core.features.audio_feature.Audio"
_TENSOR = "tensorflow_datasets.core.features.tensor_feature.Tensor"


def cache_dir(data_dir: str | None) -> pathlib.Path:
    """Where prepared copies live: `data_dir`, else $MMJAX_DATA, else ~/.cache/mmjax."""
    return pathlib.Path(data_dir or os.environ.get("MMJAX_DATA") or "~/.cache/mmjax").expanduser().resolve()


def fingerprint(*parts: Any) -> str:
    """Twelve hexadecimal digits that change when any of the JSON-serialisable parts does."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def assign_splits(names: Iterable[str], validation: float, test: float) -> dict[str, str]:
    """Assigns each name to "train", "validation" or "test" by a hash of itself alone.

    A name stays where it is when others come or go. Only where a split would be left empty (a handful of names) does
    the order of the hashes decide: one name goes to test from two names on, one to validation from three on.

    Args:
      names: what is to stay on one side: video paths, captions, speakers.
      validation: the share of the names for validation, in [0, 1).
      test: the share for test, in [0, 1); validation + test < 1.

    Raises:
      UserError: for shares outside these ranges.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise UserError(
            f"config.data.validation={validation} and config.data.test={test} are shares: each at least 0, below 1 "
            "together"
        )
    place = {name: int(hashlib.sha256(name.encode()).hexdigest()[:15], 16) / 16**15 for name in names}
    ordered = sorted(place, key=lambda name: (place[name], name))
    count = len(ordered)
    tests = max(sum(place[name] < test for name in ordered), int(test > 0 and count >= 2))
    tests = min(tests, max(count - 1, 0))
    validations = sum(place[name] < test + validation for name in ordered) - tests
    validations = max(validations, int(validation > 0 and count >= 3))
    validations = min(validations, max(count - 1 - tests, 0))
    splits = ["test"] * tests + ["validation"] * validations + ["train"] * (count - tests - validations)
    return dict(zip(ordered, splits, strict=True))


def is_prepared(directory: pathlib.Path) -> bool:
    """Whether `directory` holds a whole prepared data set."""
    return (directory / "dataset_info.json").exists()


def build(cls: Any, config: tfds.core.BuilderConfig, root: pathlib.Path) -> tfds.core.DatasetBuilder:
    """Constructs one of our builders, which TFDS would announce as a custom configuration."""
    with _quiet():
        return cls(config=config, data_dir=str(root), file_format="array_record")


def prepare(builder: tfds.core.DatasetBuilder, **options: Any) -> bool:
    """Prepares `builder` as array_record unless a whole copy is there; returns whether it had to.

    Args:
      builder: any builder; `options` go to its download_and_prepare.

    Raises:
      UserError: when the cache cannot be written.
    """
    directory = pathlib.Path(builder.data_dir)
    if is_prepared(directory):
        return False
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        lock = open(directory.parent / ".lock", "w")  # noqa: SIM115  (held by the with statement below)
    except OSError as error:
        raise UserError(
            f"cannot write the prepared data to {directory.parent} ({error.strerror}): "
            "set config.data.data_dir or $MMJAX_DATA"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_prepared(directory):  # another process prepared it while this one waited
            return False
        for stale in directory.parent.glob("incomplete.*"):  # whoever wrote it is dead: it would hold the lock
            shutil.rmtree(stale, ignore_errors=True)
        with _quiet(), _without_tensorflow():
            builder.download_and_prepare(file_format="array_record", **options)
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences TFDS's own bars and banners: ours count what the user knows, videos and stamps."""
    verbosity, bars = absl.logging.get_verbosity(), tqdm_utils._active
    absl.logging.set_verbosity(absl.logging.ERROR)
    tqdm_utils.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl.logging.set_verbosity(verbosity)
        tqdm_utils.display_progress_bar(bars)


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Lets TFDS shuffle more than 1 GB without TensorFlow.

    Beyond that size it keeps examples in up to 1,000 bucket files, which it opens through tf.io.gfile; on a local disk
    Python's own functions are the same.
    """
    if importlib.util.find_spec("tensorflow") is not None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    gfile = types.SimpleNamespace(GFile=open, exists=os.path.exists, remove=os.remove)
    # An error class that nothing raises: the limit on open files was lifted above.
    errors = types.SimpleNamespace(ResourceExhaustedError=type("ResourceExhaustedError", (Exception,), {}))
    stand_in = types.SimpleNamespace(io=types.SimpleNamespace(gfile=gfile), errors=errors)
    with mock.patch.object(tfds_shuffle, "tf", stand_in):
        yield


def read_info(directory: pathlib.Path) -> dict[str, Any]:
    """The prepared data set's dataset_info.json: name, splits, file format."""
    return json.loads((directory / "dataset_info.json").read_text())


def read_features(directory: pathlib.Path) -> tuple[tfds.features.FeaturesDict, dict[str, int]]:
    """The features of a prepared data set, and the sample rate of each Audio feature that states one.

    TFDS cannot construct features.Audio without TensorFlow, but stores it as the plain tensor that it is read as here.

    Returns:
      The FeaturesDict, with every Audio replaced by its Tensor; {feature: sample rate in Hz}.
    """
    tree = json.loads((directory / "features.json").read_text())
    rates: dict[str, int] = {}
    for name, feature in tree["featuresDict"]["features"].items():
        if feature["pythonClassName"] != _AUDIO:
            continue
        audio = feature.pop("audio")
        if audio.get("lazyDecode"):
            raise UserError(f"{directory} keeps {name!r} as undecoded files: prepare it with lazy_decode=False")
        if audio.get("sampleRate"):
            rates[name] = int(float(audio["sampleRate"]))
        feature["pythonClassName"] = _TENSOR
        feature["tensor"] = {
            "shape": audio.get("shape", {"dimensions": ["-1"]}),
            "dtype": audio.get("dtype", "int64"),
            "encoding": audio.get("encoding", "none").lower(),
        }
    features = tfds.features.FeatureConnector.from_json(tree)
    features.load_metadata(str(directory), feature_name=None)
    return features, rates


class Records:
    """One split of a prepared data set: random access to dicts of what TFDS stored, for the features named only.

    Args:
      directory: of the prepared copy.
      split: a split's name, or a slice of one such as "train[:90%]".
      features: what to parse and decode; keys must be on disk.

    Raises:
      UserError: for a split that the data set does not have.
    """

    def __init__(self, directory: pathlib.Path, split: str, features: Mapping[str, Any]):
        self._directory, self._split = directory, split
        self._features = tfds.features.FeaturesDict(dict(features))
        info = read_info(directory)
        self._sizes = {entry["name"]: sum(map(int, entry.get("shardLengths", ()))) for entry in info["splits"]}
        self._files = _file_instructions(directory, info, split)
        self._reader: Any = None

    def __len__(self) -> int:
        return sum(file.take if file.take >= 0 else file.examples_in_shard for file in self._files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        if self._reader is None:  # opened on first use, so that each process has its own
            self._reader = array_record_data_source.ArrayRecordDataSource(self._files)
        return self._features.deserialize_example_np(self._reader[index])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}

    def digests(self, columns: Iterable[str]) -> dict[str, np.ndarray]:
        """{column: a digest of each example's stored value, uint64 [n]}, made once and kept beside the copy."""
        columns = sorted(set(columns))
        found: dict[str, list[np.ndarray]] = {column: [] for column in columns}
        for file in self._files:
            whole = digests.of_file(self._directory, file, {column: self._features[column] for column in columns})
            for column in columns:
                found[column].append(whole[column][file.skip : file.skip + file.take])
        return {column: np.concatenate(parts) for column, parts in found.items()}


def _file_instructions(directory: pathlib.Path, info: dict[str, Any], split: str) -> list[Any]:
    file_format = info.get("fileFormat", "tfrecord")
    if file_format != "array_record":
        raise UserError(
            f"{directory} is prepared as {file_format}, which has no random access: prepare it anew with "
            "file_format=array_record, or choose another config.data.data_dir"
        )
    template = tfds.core.ShardedFileTemplate(
        data_dir=str(directory), dataset_name=info["name"], filetype_suffix=file_format
    )
    infos = [
        tfds.core.SplitInfo(
            name=entry["name"],
            shard_lengths=[int(length) for length in entry.get("shardLengths", ())],
            num_bytes=int(entry.get("numBytes", 0)),
            filename_template=template.replace(split=entry["name"], template=entry.get("filepathTemplate")),
        )
        for entry in info["splits"]
    ]
    try:
        return tfds.core.splits.SplitDict(infos)[split].file_instructions
    except (KeyError, ValueError) as error:
        offered = ", ".join(f"{entry.name} ({entry.num_examples})" for entry in infos)
        raise UserError(f"{info['name']} has no split {split!r}: it has {offered}") from error


class Source:
    """Random access to examples in the glossary's terms: `decode(record, index)` of each of `records`.

    Both parts are picklable, so worker processes can have their own copy.

    Args:
      records: what is stored.
      decode: of a record and its position.
      names: of the classes of fields, in order, e.g. {"label": ("bell", "drum")}; they become constants "label_names".
      columns: {field: the column of `records` that it is made from}, for its fingerprint.
      content: what tells the content of all columns, for data that cannot change under its name; "" reads it.
    """

    def __init__(
        self,
        records: Records,
        decode: Callable[[dict[str, Any], int], dict[str, Any]],
        names: Mapping[str, Iterable[str]] = types.MappingProxyType({}),
        columns: Mapping[str, str] = types.MappingProxyType({}),
        content: str = "",
    ):
        self._records, self._decode = records, decode
        self._names, self._columns, self._content = dict(names), dict(columns), content
        self.constants = {f"{field}_names": spec.spelt(own) for field, own in names.items()}

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._decode(self._records[int(index)], int(index))

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints of the fields whose column is known."""
        named = {field: tuple(self._names.get(field, ())) for field in self._columns}
        if self._content:
            return {f: fingerprints.whole(self._content, c, meanings=named[f]) for f, c in self._columns.items()}
        stored = self._records.digests(self._columns.values())
        return {field: fingerprints.of_digests(stored[column], named[field]) for field, column in self._columns.items()}


def text(value: Any) -> str:
    """A stored Text as Python str."""
    return value.decode() if isinstance(value, bytes) else str(value)


def encoded(many: bool = False) -> Any:
    """The reading feature for a stored picture (or `many`) left encoded, so that only those asked for are decoded."""
    return tfds.features.Sequence(tfds.features.Text()) if many else tfds.features.Text()


def sound() -> tfds.features.Tensor:
    """The stored form of a waveform: raw int16, a third of the size of a list of integers, parsed 8 times faster."""
    return tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes")
