"""Sums over all devices that read the same in both forms of parallelism.

Under `jit` with a sharded batch every array is already global and these functions return their argument.
Under `pmap` each device sees its own slice, and they reduce over the mapped axis. So a loss, a batch norm or a
metric is written once, and no axis name appears outside this file and `mesh.py`.
"""

from __future__ import annotations

import jax
from jax import lax
from jax import numpy as jnp

AXIS = "data"


def mapped() -> bool:
    """True while tracing inside the data-parallel pmap."""
    try:
        lax.axis_index(AXIS)
    except NameError:
        return False
    return True


def mean(tree):
    """The mean over devices of every leaf; the identity under jit."""
    return lax.pmean(tree, AXIS) if mapped() else tree


def total(tree):
    """The sum over devices of every leaf; the identity under jit."""
    return lax.psum(tree, AXIS) if mapped() else tree


def mean_where(values, where):
    """The mean [] of the values [b] that count, wherever they lie; 0 if there are none.

    Each device divides by the mean count of all devices, so that the mean over devices is the mean over examples.
    """
    count = mean(jnp.sum(where, dtype=jnp.float32))  # under pmap a fraction, where less than one each
    return jnp.sum(values, where=where) / jnp.maximum(count, 1e-9)


def gather(tree):
    """The batch axis of all devices, [b/d ...] -> [b ...]; the identity under jit. Gradients flow back."""
    if not mapped():
        return tree
    return jax.tree.map(lambda x: lax.all_gather(x, AXIS, axis=0, tiled=True), tree)


def everywhere(tree):
    """All rows on every device: gathered under pmap, replicated under jit with a mesh. Carries no gradient."""
    if mapped():
        return gather(tree)
    if jax.sharding.get_abstract_mesh().empty:
        return tree
    return lax.with_sharding_constraint(tree, jax.sharding.PartitionSpec())


def local_key(key):
    """A key that differs between devices under pmap, so that dropout masks do; the key itself under jit."""
    return jax.random.fold_in(key, lax.axis_index(AXIS)) if mapped() else key
