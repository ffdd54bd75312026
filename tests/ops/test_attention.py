"""Attention against a naive loop: values, masks, gradients, dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from mmjax.ops.attention import attend


def draw(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def naive(q, k, v, where):
    out = np.zeros((*q.shape[:3], v.shape[3]))
    for b, h, i in np.ndindex(*q.shape[:3]):
        scores = np.array([q[b, h, i] @ k[b, h, j] / np.sqrt(q.shape[-1]) for j in range(k.shape[2])])
        weights = np.exp(scores) * where[b, h, i]
        out[b, h, i] = weights @ v[b, h] / weights.sum()
    return out


def test_equals_a_loop_and_sees_only_what_it_may(rng):
    q, k, v = draw(rng, 2, 3, 4, 5), draw(rng, 2, 3, 6, 5), draw(rng, 2, 3, 6, 7)
    where = rng.random((2, 1, 4, 6)) < 0.5
    where[..., 0] = True
    whole = np.broadcast_to(where, (2, 3, 4, 6))
    args = [np.float64(x) for x in (q, k, v)]
    np.testing.assert_allclose(jax.jit(attend)(q, k, v, where), naive(*args, whole), atol=1e-6)
    np.testing.assert_allclose(attend(q, k, v), naive(*args, np.ones_like(whole)), atol=1e-6)


def test_golden_values():
    # One query, two keys of scores 0 and ln 3: weights 1/4 and 3/4.
    q, k = jnp.ones((1, 1, 1, 1)), jnp.asarray([0.0, np.log(3)], jnp.float32).reshape(1, 1, 2, 1)
    v = jnp.asarray([4.0, 8.0]).reshape(1, 1, 2, 1)
    np.testing.assert_allclose(attend(q, k, v).item(), 7.0, rtol=1e-6)
    np.testing.assert_allclose(attend(q, k, v, jnp.asarray([True, False])[None, None, None]).item(), 4.0, rtol=1e-6)


def test_gradients(rng):
    where = jnp.tril(jnp.ones((4, 4), bool))[None, None]
    args = tuple(draw(rng, 2, 2, 4, 3) for _ in range(3))
    check_grads(jax.jit(lambda *a: attend(*a, where)), args, order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


def test_half_precision_normalises_in_full(rng):
    q, k, v = (draw(rng, 1, 1, 64, 8).astype(jnp.bfloat16) for _ in range(3))
    out = attend(q, k, v)
    assert out.dtype == jnp.bfloat16
    full = attend(*(x.astype(jnp.float32) for x in (q, k, v)))
    np.testing.assert_allclose(np.float32(out), full, atol=0.02)
