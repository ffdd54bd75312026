"""Another example for each one."""

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.ops.partners import partners


def test_partners_are_other_valid_examples():
    valid = jnp.array([True, False, True, True, False, True, True])
    for seed in range(20):
        other = np.asarray(partners(valid, jax.random.key(seed)))
        kept = np.flatnonzero(valid)
        assert sorted(other[kept]) == kept.tolist()
        assert (other[kept] != kept).all()
    drawn = {np.asarray(partners(valid, jax.random.key(seed))).tobytes() for seed in range(20)}
    assert len(drawn) > 10
    assert np.asarray(partners(jnp.array([True, False]), jax.random.key(0)))[0] == 0  # alone
