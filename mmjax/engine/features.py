"""What a frozen network makes of the training split, computed once, before the first step, and kept on disk.

A store is named by a digest of all that its content depends on: the program that computes it (network, layer, sizes),
its weights, the fingerprint of the field, the options of the data and of the loader, and the kind of device. So it
need not be told when it is out of date, runs may share a folder, and what is found there is what would be computed.
Held-out splits are not stored: their pictures are needed for probes and to be shown, and a look at them is short.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tqdm
from ml_collections import ConfigDict

from mmjax import data
from mmjax import workdir as files
from mmjax.data import pipeline
from mmjax.data.fingerprints import Print
from mmjax.data.stored_features import Featured, Rows, Store
from mmjax.engine import config as configs
from mmjax.engine import mesh
from mmjax.engine import step as steps
from mmjax.errors import UserError
from mmjax.task import Batch, Features, Task

SHARE = 0.5  # of the free space, at most, is taken
# Options of the data that leave pictures as they are.
NOT_CONTENT = ("tokens", *(name.removeprefix("data.") for name in configs.FREE if name.startswith("data.")))


def training(
    task: Task,
    config: ConfigDict,
    workdir: Path,
    source: data.Source,
    known: Mapping[str, Print],
    batch: Batch,
    state: steps.TrainState,
    placement: mesh.Jitted,
    say: Callable[[str], None],
) -> data.Source:
    """The training split as the losses may see it: with stored features in the place of the field of `task.features`,
    or beside it.

    Args:
      task, config, workdir: of the run.
      source: the training split.
      known: its fingerprints.
      batch: its first examples.
      state: whose frozen weights are used.
      placement: of the state.
      say: prints a line for the user.

    Returns:
      The source as it was given where nothing is to be gained: no network is frozen, config.feature_cache is "", or no
      example would be seen twice.

    Raises:
      UserError: the folder cannot be written.
    """
    features = task.features
    if features is None or not config.feature_cache or features.field not in known:
        return source
    if config.steps * config.batch_size <= len(source):  # of all steps: a run that goes on sees what it saw
        return source
    field = features.field
    several = jax.process_count() > 1
    pictures = None if several else _opened(config, (field, "index"))
    if pictures is None or hasattr(pictures, "draw"):
        why = "there are several processes" if several else "each visit draws another"
        say(f"note: {field} features are computed anew at every step: {why}")
        return source
    # Of examples that are known to have the same picture one row is kept.
    same = known[field].examples
    _, first, row_of = np.unique(np.arange(len(source)) if same is None else same, True, True)
    weights = features.weights(state.variables)
    own = config.feature_cache == "workdir"
    folder = workdir / files.FEATURES if own else Path(config.feature_cache).expanduser()
    name = _name(features, weights, batch, config, known[field])
    store = Store(folder / name, _row(features, weights, batch), len(first), config.batch_size)
    if own:
        _tidy(folder, name)
    if not _complete(store, features, weights, Rows(pictures, first), config, placement, say):
        return source
    rest = tuple(one for one in task.fields if one != field or features.beside)
    return Featured(_opened(config, rest), store, first, row_of, field)


def _complete(
    store: Store,
    features: Features,
    weights: Any,
    examples: Rows,
    config: ConfigDict,
    placement: mesh.Jitted,
    say: Callable[[str], None],
) -> bool:
    """Computes the rows that the store lacks, and says so beforehand; False where there is no room for them."""
    store.clean()
    missing = list(store.missing())
    about = f"{features.field} features of {store.rows:,} examples, {_size(store.size)}, in {store.folder}"
    if not missing:
        say(f"{about}: found there")
        return True
    free = _free(store.folder)
    if sum(map(len, missing)) * store.row.itemsize > free * SHARE:
        say(f"note: {about}, would take more than half of the {_size(free)} that are free: computed anew at every step")
        return False
    say(f"{about}: computed once; with --config.feature_cache= at every step")
    _fill(store, missing, features, weights, examples, config, placement)
    return True


def _opened(config: ConfigDict, fields: tuple[str, ...]) -> data.Source:
    return data.open(config.train_split, fields, train_split=config.train_split, **config.data)


def _size(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def _free(folder: Path) -> int:
    """Bytes that are free where a folder is or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def _tidy(folder: Path, name: str) -> None:
    """Removes from the run's own folder what was computed of other weights or data."""
    for other in folder.glob("*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)


def _shapes(features: Features, weights: Any, batch: Batch, rows: int) -> tuple[Any, jax.ShapeDtypeStruct]:
    """What `compute` takes, without values or places."""
    one = batch[features.field]
    plain = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), weights)
    return plain, jax.ShapeDtypeStruct((rows, *one.shape[1:]), one.dtype)


def _row(features: Features, weights: Any, batch: Batch) -> np.dtype:
    """What is stored of an example: its features, and which example it was."""
    found = jax.eval_shape(features.compute, *_shapes(features, weights, batch, 1))
    columns: list[Any] = [(name, value.dtype, value.shape[1:]) for name, value in found.items()]
    return np.dtype([*columns, ("index", np.int64)], align=True)


def _name(features: Features, weights: Any, batch: Batch, config: ConfigDict, known: Print) -> str:
    """The digest of all that the features depend on."""
    program = jax.jit(features.compute).lower(*_shapes(features, weights, batch, config.batch_size)).as_text()
    options = {name: value for name, value in config.data.to_dict().items() if name not in NOT_CONTENT}
    chosen = [known.content, config.train_split, options, config.loader.pixels, jax.default_backend()]
    state = hashlib.blake2b(digest_size=16)
    state.update(json.dumps([program, chosen], sort_keys=True, default=str).encode())
    for path, leaf in jax.tree.leaves_with_path(weights):
        array = np.ascontiguousarray(mesh.gather(leaf))
        state.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}:".encode())
        state.update(array.reshape(-1).view(np.uint8).data)
    return state.hexdigest()


def _fill(
    store: Store,
    missing: list[range],
    features: Features,
    weights: Any,
    examples: Rows,
    config: ConfigDict,
    placement: mesh.Jitted,
) -> None:
    """One pass over the examples of the rows that are missing."""
    compute = jax.jit(features.compute, out_shardings=placement.replicated)
    with tqdm.tqdm(total=sum(map(len, missing)), desc="features", unit="example", disable=None) as bar:
        for rows in missing:
            values, at = np.zeros(len(rows), store.row), 0
            part = Rows(examples.inner, examples.positions[rows.start : rows.stop])
            for batch in pipeline.eval_batches(part, config.batch_size, **config.loader):
                there = slice(at, at + int(batch["valid"].sum()))
                placed = placement.put({features.field: batch[features.field]})[features.field]
                found = {"index": batch["index"], **mesh.gather(compute(weights, placed))}
                for name, value in found.items():
                    values[name][there] = value[: there.stop - at]
                bar.update(there.stop - at)
                at = there.stop
            try:
                store.write(rows.start, values)
            except OSError as error:
                raise UserError(f"config.feature_cache={config.feature_cache!r}: {error}") from None
