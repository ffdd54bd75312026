"""Seeing and asking: the head by hand, masks by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.models.joint.sound_of_pixels import FrameHead, Synthesiser
from mmjax.models.vision.resnet import ResNet


def test_a_vector_is_the_maximum_over_places_and_frames():
    head = FrameHead(2)
    maps = np.zeros((1, 3, 4, 4, 1), np.float32)
    maps[0, 2, 1, 1, 0] = 5.0
    params = head.init(jax.random.key(0), maps)["params"]
    kernel = np.zeros((3, 3, 1, 2), np.float32)
    kernel[1, 1, 0] = [1, -1]
    params = {"fc": {"kernel": kernel, "bias": np.array([0.0, 1.0], np.float32)}}
    found = head.apply({"params": params}, jnp.asarray(maps))
    np.testing.assert_allclose(found, 1 / (1 + np.exp([[-5.0, -1.0]])), rtol=1e-5)


def test_masks_by_hand(rng):
    sound, picture = rng.normal(size=(2, 3, 4, 5)).astype(np.float32), rng.normal(size=(2, 6, 5)).astype(np.float32)
    scale, bias = rng.normal(size=5).astype(np.float32), np.array([0.3], np.float32)
    found = jax.jit(Synthesiser().apply)({"params": {"scale": scale, "bias": bias}}, sound, picture)
    by_hand = np.zeros((2, 6, 3, 4))
    for b, n in np.ndindex(2, 6):
        by_hand[b, n] = (sound[b] * scale * picture[b, n]).sum(-1) + 0.3
    np.testing.assert_allclose(found, by_hand, rtol=1e-4, atol=1e-5)


def test_the_dilated_network_has_a_sixteenth_of_the_picture():
    model = ResNet(18, 0, dilated=True)
    made = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    assert sum(x.size for x in jax.tree.leaves(made["params"])) == 11_176_512  # ResNet-18 without its classes
    out = jax.eval_shape(model.apply, made, jnp.zeros((1, 224, 224, 3)))
    assert out["stage4"].shape == (1, 14, 14, 512)
    assert "logits" not in out
