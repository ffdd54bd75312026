"""The face decoder: its doubling convolution against PyTorch's numbers by hand, and a face that its warp joins."""

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.models.drawing import face_decoder
from mmjax.models.drawing.face_decoder import Doubled, FaceDecoder


def test_doubling_is_a_transposed_convolution(rng):
    """Each pixel of the input, times the kernel, added at twice its place: what lies outside is cut off."""
    x = rng.normal(size=(2, 3, 4, 2)).astype(np.float32)
    model = Doubled(3)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    kernel, bias = variables["params"]["kernel"], np.array([0.1, -0.2, 0.3], np.float32)
    wanted = np.zeros((2, 2 * 3 + 4, 2 * 4 + 4, 3))
    for i in range(3):
        for j in range(4):
            wanted[:, 2 * i : 2 * i + 5, 2 * j : 2 * j + 5] += np.einsum("bc,klcf->bklf", x[:, i, j], kernel)
    found = jax.jit(model.apply)({"params": {"kernel": kernel, "bias": bias}}, x)
    np.testing.assert_allclose(found, wanted[:, 2:-2, 2:-2] + bias[None, None, None], rtol=1e-4, atol=1e-5)


def test_landmarks_and_texture_apart_joined_by_the_warp(rng):
    model = FaceDecoder(first=8, grid=4, widths=(4, 3, 2), shape=(6,), points=5)
    assert model.side == 16
    feature = rng.normal(size=(2, 7)).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), feature)
    found = jax.jit(model.apply)(variables, feature)
    assert found["texture"].shape == (2, 16, 16, 3)
    first = face_decoder.first_layer(variables["params"], feature)
    np.testing.assert_allclose(found["first"], first, rtol=1e-5)
    template = jnp.asarray(rng.uniform(0.2, 0.8, (5, 2)).astype(np.float32))
    join = jax.jit(face_decoder.joined)
    points, face = join(found, template)
    np.testing.assert_allclose(points, template[None] + found["offsets"], rtol=1e-6)
    _, still = join({**found, "offsets": jnp.zeros((2, 5, 2))}, template)
    np.testing.assert_allclose(still, found["texture"], atol=1e-5)
    assert np.abs(np.asarray(face)).max() <= 1.0001
    # The picture moves the landmarks' layer: a gradient flows through the warp.
    slope = jax.jit(
        jax.grad(
            lambda params: jnp.sum(face_decoder.joined(model.apply({"params": params}, feature), template)[1] ** 2)
        )
    )(variables["params"])
    assert np.abs(slope["landmarks"]["kernel"]).max() > 0


def test_the_closest_port_sizes_by_shape_alone():
    model = FaceDecoder(first=1000, grid=14, widths=(256, 128, 64, 32, 32), shape=(512, 256), points=72)
    assert model.side == 224
    found = jax.eval_shape(model.init_with_output, jax.random.key(0), jax.ShapeDtypeStruct((1, 4096), np.float32))[0]
    assert found["offsets"].shape == (1, 72, 2)
    assert found["texture"].shape == (1, 224, 224, 3)
