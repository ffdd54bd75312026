"""Sums over all devices that read the same in both forms of parallelism.

Under `jit` with a sharded batch every array is already global and these functions return their argument.
Under `pmap` each device sees its own slice, and they reduce over the mapped axis. So a loss, a batch norm or a
metric is written once, and no axis name appears outside this file and `mesh.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import UserError
from mmjax.ops import adasum

AXIS = "data"


def mapped() -> bool:
    """True while tracing inside the data-parallel pmap."""
    try:
        lax.axis_index(AXIS)
    except NameError:
        return False
    return True


def alone() -> bool:
    """True while tracing for one device."""
    mesh = jax.sharding.get_abstract_mesh()
    return not mapped() and (mesh.empty or mesh.size == 1)


def mean(tree: Any) -> Any:
    """The mean over devices of every leaf; the identity under jit."""
    return lax.pmean(tree, AXIS) if mapped() else tree


def total(tree: Any) -> Any:
    """The sum over devices of every leaf; the identity under jit."""
    return lax.psum(tree, AXIS) if mapped() else tree


def mean_where(values: Float[Array, " b"], where: Bool[Array, " b"]) -> Float[Array, ""]:
    """The mean [] of the values [b] that count, wherever they lie; 0 if there are none.

    Each device divides by the mean count of all devices, so that the mean over devices is the mean over examples.
    """
    count = mean(jnp.sum(where, dtype=jnp.float32))  # under pmap a fraction, where less than one each
    return jnp.sum(values, where=where) / jnp.maximum(count, 1e-9)


def gather(tree: Any) -> Any:
    """The batch axis of all devices, [b/d ...] -> [b ...]; the identity under jit. Gradients flow back."""
    if not mapped():
        return tree
    return jax.tree.map(lambda x: lax.all_gather(x, AXIS, axis=0, tiled=True), tree)


def everywhere(tree: Any) -> Any:
    """All rows on every device: gathered under pmap, replicated under jit with a mesh. Gradients flow back."""
    if mapped():
        return gather(tree)
    if jax.sharding.get_abstract_mesh().empty:
        return tree
    return lax.with_sharding_constraint(tree, PartitionSpec())


def numbers(count: int) -> Int[Array, " b"]:
    """The places, int32 [b], of this device's `count` rows among those of all devices; 0..b-1 under jit."""
    own = jnp.arange(count, dtype=jnp.int32)
    return own + count * lax.axis_index(AXIS) if mapped() else own


def local_key(key: Array) -> Array:
    """A key that differs between devices under pmap, so that dropout masks do; the key itself under jit."""
    return jax.random.fold_in(key, lax.axis_index(AXIS)) if mapped() else key


def apart(run: Callable, start: Any, batch: Any, replicas: int) -> tuple[Any, Any, Any]:
    """Lets `replicas` workers start from the same values, each on its share of the batch, and reconciles them.

    The workers are spread evenly over the devices; a device with several runs them one after another, so that the
    result does not depend on the number of devices.

    Args:
      run: (start, number of the worker, its part of the batch) -> (rows, sums, means): trees of changes to rows
        [... d], reconciled by `ops.adasum`, of changes to be added up, and of figures to be averaged.
      start: what every worker starts from.
      batch: arrays [b ...].
      replicas: a power of two, and a multiple of the number of devices along the data axis.

    Returns:
      (rows, sums, means) of all workers, equal on every device.

    Raises:
      UserError: so many workers cannot be spread over the devices.
    """
    mesh = jax.sharding.get_abstract_mesh()
    devices = jax.lax.axis_size(AXIS) if mapped() else 1 if mesh.empty else mesh.shape[AXIS]
    if replicas % devices or replicas & (replicas - 1):
        raise UserError(
            f"{replicas} replicas on {devices} devices: let replicas be 1, or a power of two that is a multiple of "
            "the devices"
        )
    if not mapped() and not mesh.empty and mesh.size > devices:
        raise UserError("replicas train on whole tables: the mesh must have no model axis")

    def here(start, batch):
        several = replicas // devices
        first = lax.axis_index(AXIS) * several if devices > 1 else 0
        parts = jax.tree.map(lambda x: x.reshape(several, x.shape[0] // several, *x.shape[1:]), batch)
        numbers = first + jnp.arange(several)
        rows, sums, means = lax.map(lambda numbered: run(start, *numbered), (numbers, parts))
        rows = jax.tree.map(lambda x: _over_devices(adasum.tree(x), devices), rows)
        sums = jax.tree.map(lambda x: jnp.sum(x, 0), sums)
        means = jax.tree.map(lambda x: jnp.mean(x, 0), means)
        return (rows, lax.psum(sums, AXIS), lax.pmean(means, AXIS)) if devices > 1 else (rows, sums, means)

    if devices == 1 or mapped():
        return here(start, batch)
    everyone, own = PartitionSpec(), PartitionSpec(AXIS)
    return jax.shard_map(here, in_specs=(everyone, own), out_specs=everyone, check_vma=False)(start, batch)


def _over_devices(change: jax.Array, devices: int) -> jax.Array:
    """Reconciles every device's change [v d]. Each reconciles its share of the rows, then all shares are gathered."""
    if devices == 1:
        return change
    share = -(-len(change) // devices)
    if share * devices - len(change) >= share:  # a table with fewer rows than devices
        return adasum.tree(lax.all_gather(change, AXIS))
    starts = [min(i * share, len(change) - share) for i in range(devices)]  # the last share may overlap the one before
    sent = jnp.stack([change[at : at + share] for at in starts])
    mine = adasum.tree(lax.all_to_all(sent, AXIS, 0, 0))
    shares = lax.all_gather(mine, AXIS)
    return jnp.concatenate([*shares[:-1], shares[-1][devices * share - len(change) :]])
