"""Where arrays live: the only file that names a mesh, a sharding or pmap.

Both placements have the same five functions, and the loop does not know which one it holds.

* `Jitted`: one program over a mesh with axes "data" and "model". Arrays are global: batches are split over "data",
  parameters are replicated or, with `fsdp` or a model axis, large ones are split. Runs unchanged on one CPU, eight
  GPUs or the hosts of a pod.
* `Replicated`: jax.pmap, a copy of the state on every device, gradients averaged by `ops.collective`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec, Sharding

from mmjax.engine.step import TrainState
from mmjax.errors import UserError
from mmjax.ops.collective import AXIS
from mmjax.task import bind

LARGE = 2**16  # elements; splitting smaller arrays costs more in latency than it saves in memory


def make(parallel: str, model_axis: int = 1, fsdp: bool = False) -> Jitted | Replicated:
    """The placement that config.parallel names."""
    if parallel == "jit":
        return Jitted(model_axis, fsdp)
    if parallel != "pmap":
        raise UserError(f"config.parallel is {parallel!r}: choose 'jit' or 'pmap'")
    if fsdp or model_axis != 1:
        raise UserError("config.parallel='pmap' replicates everything: fsdp and model_axis need 'jit'")
    return Replicated()


def numeric(batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The columns that can go to a device; text stays on the host."""
    return {name: value for name, value in batch.items() if _is_number(np.asarray(value).dtype)}


def _is_number(dtype: np.dtype) -> bool:
    return dtype.kind in "biuf" or jax.dtypes.issubdtype(dtype, np.inexact)  # bfloat16 is of NumPy's kind V


def devices() -> list[jax.Device]:
    """What a run spreads over: all devices of all processes."""
    return jax.devices()


def meet() -> None:
    """Has every device of every process add a number to one sum, right after the processes have joined.

    CPUs have 30 s to find each other at the first exchange of a group of devices, and then half an hour for each: so
    the first is here, where all have just met, and not where one may still read its data or compile. Other groups than
    all devices, those of config.model_axis, are connected when they first exchange (`findings/gloo_first_exchange.sh`).
    """
    everyone = jax.make_mesh((len(devices()),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices())
    split, whole = (NamedSharding(everyone, PartitionSpec(*axes)) for axes in ((AXIS,), ()))
    ones = jax.make_array_from_callback((len(devices()),), split, lambda index: np.ones(1, np.float32))
    jax.block_until_ready(jax.jit(jnp.sum, out_shardings=whole)(ones))


def check_batch_size(batch_size: int, field: str) -> None:
    """Raises UserError unless a global batch splits evenly over all devices."""
    if batch_size % len(devices()):
        raise UserError(f"{field} is {batch_size}, which does not divide by the {len(devices())} devices")


class Jitted:
    """Global arrays under jit."""

    def __init__(self, model_axis: int = 1, fsdp: bool = False):
        if len(devices()) % model_axis:
            raise UserError(f"config.model_axis is {model_axis}, but there are {len(devices())} devices")
        if jax.process_count() > 1 and jax.local_device_count() % model_axis:
            raise UserError(
                f"config.model_axis is {model_axis}: it must divide a host's {jax.local_device_count()} devices"
            )
        shape = (len(devices()) // model_axis, model_axis)
        # Auto: jax.make_mesh would choose Explicit axes, under which Linen modules do not trace.
        self.mesh = jax.make_mesh(shape, (AXIS, "model"), axis_types=(AxisType.Auto,) * 2, devices=devices())
        self.fsdp = fsdp
        self.replicated = NamedSharding(self.mesh, PartitionSpec())

    def shardings(self, tree: Any) -> Any:
        """A sharding for every leaf: large arrays split along their longest axes, the rest replicated."""
        return jax.tree.map(lambda x: NamedSharding(self.mesh, self._spec(x)), tree)

    def _spec(self, x: Any) -> PartitionSpec:
        sizes = {"model": self.mesh.shape["model"], AXIS: self.mesh.shape[AXIS] if self.fsdp else 1}
        names: list[str | None] = [None] * len(x.shape)
        if np.prod(x.shape, dtype=np.int64) < LARGE:
            return PartitionSpec()
        for name, size in sizes.items():
            free = [i for i in np.argsort(x.shape)[::-1] if names[i] is None and x.shape[i] % size == 0]
            if size > 1 and free:
                names[free[0]] = name
        return PartitionSpec(*names)

    def lay(self, tree: Any) -> Any:
        """Arrays of the host as global ones, the same on every device."""
        return jax.tree.map(lambda x: self._globalise(x, self.replicated), tree)

    def fill(self, old: Any, new: Any) -> Any:
        """The tree `new` laid out as `old` is, whose shapes and dtypes it must have; what is the same object stays.

        Raises TypeError, naming the place, where it is another tree.
        """
        made: Any = jax.tree.structure(old)
        filled: Any = jax.tree.structure(new)
        if made != filled:
            raise TypeError(f"filled variables are another tree: {filled}")
        return jax.tree.map_with_path(self._filled, old, new)

    def _filled(self, path: Any, old: jax.Array, new: Any) -> jax.Array:
        if new is old:
            return old
        if new.shape != old.shape or new.dtype != old.dtype:
            where = jax.tree_util.keystr(path)
            raise TypeError(f"filled {where} is {new.dtype} {new.shape}, where {old.dtype} {old.shape} was made")
        placed = self._globalise(new, old.sharding)
        # A step consumes each array of a state, and what stands in two places it cannot consume twice.
        return jnp.copy(placed) if placed is new else placed

    def place(self, state: TrainState) -> TrainState:
        """The same state, laid out over the devices."""
        return jax.tree.map(self._globalise, state, self.shardings(state))

    def _globalise(self, x: Any, sharding: Sharding) -> jax.Array:
        if isinstance(x, jax.Array) and x.sharding.is_equivalent_to(sharding, x.ndim):
            return x
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            return jax.device_put(x, sharding)
        host = np.asarray(x)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    def rows(self, stacked: bool = False) -> Sharding:
        """How `put` lays the arrays of a batch."""
        return NamedSharding(self.mesh, PartitionSpec(None, AXIS) if stacked else PartitionSpec(AXIS))

    def put(self, batch: Mapping[str, Any], stacked: bool = False) -> dict[str, jax.Array]:
        """This process's rows of a batch -> global arrays split over "data" (behind the step axis if stacked)."""
        sharding = self.rows(stacked)
        return {k: jax.make_array_from_process_local_data(sharding, np.asarray(v)) for k, v in numeric(batch).items()}

    def compile(self, step: Callable, state: TrainState, donate: bool = True) -> Callable:
        """(state, batch, key) -> (state, logs), compiled; the given state is consumed if `donate`."""
        outputs = (self.shardings(state), self.replicated)
        traced = bind(_under, self.mesh.abstract_mesh, step)
        return jax.jit(traced, donate_argnums=(0,) if donate else (), out_shardings=outputs)

    def single(self, state: TrainState) -> TrainState:
        """The one logical state, as saved and evaluated."""
        return state


def _under(mesh: Any, step: Callable, state: TrainState, batch: Any, key: Any) -> Any:
    with jax.sharding.use_abstract_mesh(mesh):  # for `collective.everywhere`
        return step(state, batch, key)


class Replicated:
    """One copy per device under pmap."""

    def place(self, state: TrainState) -> TrainState:
        """The same state, copied to every local device behind a leading device axis."""
        devices = jnp.arange(jax.local_device_count())
        host = jax.tree.map(_local, state)
        return jax.pmap(lambda _, x: x, axis_name=AXIS, in_axes=(0, None))(devices, host)

    def put(self, batch: Mapping[str, Any], stacked: bool = False) -> dict[str, np.ndarray]:
        """This process's rows [b ...] -> [device b/device ...] (or [device step b/device ...] if stacked)."""
        return {k: _split(np.asarray(v), 1 if stacked else 0) for k, v in numeric(batch).items()}

    def compile(self, step: Callable, state: TrainState, donate: bool = True) -> Callable:
        """(state, batch, key) -> (state, logs), compiled; the given state is consumed if `donate`."""
        del state
        mapped = jax.pmap(step, axis_name=AXIS, in_axes=(0, 0, None), donate_argnums=(0,) if donate else ())

        def call(state, batch, key):
            state, logs = mapped(state, batch, key)
            return state, jax.tree.map(_first, logs)

        return call

    def single(self, state: TrainState) -> TrainState:
        """The one logical state: the copies are equal, so the first local one."""
        return jax.tree.map(_first, state)


def _split(x: np.ndarray, axis: int) -> np.ndarray:
    n = jax.local_device_count()
    x = x.reshape(*x.shape[:axis], n, x.shape[axis] // n, *x.shape[axis + 1 :])
    return np.moveaxis(x, axis, 0)


def _first(x: jax.Array) -> np.ndarray:
    return np.asarray(x.addressable_shards[0].data)[0]


def _local(x: Any) -> Any:
    return np.asarray(x.addressable_shards[0].data) if isinstance(x, jax.Array) else x


def gather(tree: Any) -> Any:
    """Global arrays -> NumPy on every process."""
    if jax.process_count() == 1:
        return jax.tree.map(np.asarray, tree)
    from jax.experimental import multihost_utils

    return jax.tree.map(lambda x: np.asarray(multihost_utils.process_allgather(x, tiled=True)), tree)
