"""The lip-motion network: the sizes of the released one, what a picture sees, dropout, and that mirroring is seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import OptionError
from mmjax.models.vision.lip_motion import LipMotion, PReLU

SMALL = {"front": 4, "widths": (4, 6, 8), "depths": (2, 1, 1), "last": 5, "features": 6, "layers": 1}


def test_sizes_are_those_of_the_released_network():
    mouth = jax.ShapeDtypeStruct((2, 64, 88, 88), jnp.uint8)
    out, variables = jax.eval_shape(lambda x: LipMotion().init_with_output(jax.random.key(0), x), mouth)
    assert out.shape == (2, 64, 512)
    size = sum(x.size for x in jax.tree.leaves(variables["params"]))
    assert size == 8_879_980
    assert size + 512 * 500 + 500 == 9_136_480  # as the official code counts: with a layer that it does not ask


def test_a_slope_for_each_channel():
    x = jnp.asarray([[-2.0, -2.0, 3.0]])
    found = PReLU().apply({"params": {"slope": jnp.asarray([0.5, -1.0, 9.0])}}, x)
    np.testing.assert_array_equal(found, [[-1, 2, 3]])


def test_a_picture_is_seen_from_two_before_to_two_after_and_as_far_as_the_layers_over_time_reach(rng):
    model = LipMotion(**SMALL)
    mouth = rng.integers(0, 256, (1, 15, 24, 24)).astype(np.uint8)
    variables = jax.jit(model.init)(jax.random.key(0), mouth)
    run = jax.jit(model.apply)
    before = run(variables, mouth)
    mouth[0, 7] = 255 - mouth[0, 7]
    apart = np.abs(np.asarray(run(variables, mouth) - before)).max(-1)[0]
    # Two pictures of the first layer, and one of each of two convolutions without dilation.
    assert (apart[3:12] > 1e-6).all()
    assert not apart[:3].any()
    assert not apart[12:].any()


def test_dropout_is_of_training_alone(rng):
    model = LipMotion(**SMALL, dropout=0.5)
    mouth = rng.integers(0, 256, (2, 3, 24, 24)).astype(np.uint8)
    variables = jax.jit(model.init)(jax.random.key(0), mouth)

    @jax.jit
    def trained(key):
        return model.apply(variables, mouth, train=True, mutable=["state"], rngs={"dropout": key})

    one, again, other = (trained(jax.random.key(i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(one[0], again[0])
    assert np.abs(one[0] - other[0]).max() > 1e-3
    before, after = jax.device_get((variables["state"], one[1]["state"]))
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, after)
    assert all(value > 0 for value in jax.tree.leaves(moved))


def test_as_many_depths_as_widths():
    with pytest.raises(OptionError, match="depths"):
        LipMotion(depths=(1, 1))
