"""VGG: the published parameter counts and the maps at the published size."""

import jax
import pytest
from jax import numpy as jnp

from mmjax.models.vision.vgg import VGG
from mmjax.weights import vgg


@pytest.mark.parametrize(("depth", "count"), [(16, 138_357_544), (19, 143_667_240)])
def test_parameters_and_maps_of_the_published_sizes(depth, count):
    model, image = VGG(depth), jnp.zeros((2, 224, 224, 3), jnp.uint8)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    assert set(variables) == {"params"}
    assert sum(x.size for x in jax.tree.leaves(variables)) == count
    layers = jax.eval_shape(model.apply, variables, image)
    assert layers["conv5"].shape == (2, 14, 14, 512)
    assert layers["fc7"].shape == (2, 4096)
    assert layers["logits"].shape == (2, 1000)
    assert len({theirs for _, theirs, _ in vgg.layers(depth)}) == depth
