"""The encoder that is trained with the captioner: its map, its parameters, and that it knows where things are."""

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.models.vision.scene_encoder import SceneEncoder, with_coordinates


def test_map_and_parameters():
    model = SceneEncoder()
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 112, 112, 3), jnp.uint8))
    # kernel and BatchNorm's gain and offset of each block: the stem sees 2 x 2 pixels, the last stage coordinates
    wanted = sum(9 * i * o + 2 * o for i, o in ((12, 32), (32, 32), (32, 64), (64, 64), (66, 96), (96, 96)))
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == wanted == 208_704
    layers = jax.eval_shape(model.apply, variables, jnp.zeros((2, 112, 112, 3), jnp.uint8))
    assert layers["map"].shape == (2, 14, 14, 96)
    assert layers["features"].shape == (2, 192)


def test_features_are_mean_and_maximum_of_the_map(rng):
    model = SceneEncoder((4, 4, 4), (1, 1, 1))
    image = jnp.asarray(rng.integers(0, 256, (2, 16, 16, 3)), jnp.uint8)
    layers = model.apply(model.init(jax.random.key(0), image), image)
    mean, most = np.split(np.asarray(layers["features"]), 2, -1)
    places = np.asarray(layers["map"]).reshape(2, 4, 4)
    np.testing.assert_allclose(mean, places.mean(1), rtol=1e-6)
    np.testing.assert_array_equal(most, places.max(1))


def test_coordinates_run_from_minus_one_to_one():
    out = with_coordinates(jnp.ones((2, 3, 5, 4)))
    assert out.shape == (2, 3, 5, 6)
    np.testing.assert_allclose(out[1, :, 2, 4], [-1, 0, 1])
    np.testing.assert_allclose(out[0, 1, :, 5], [-1, -0.5, 0, 0.5, 1])
