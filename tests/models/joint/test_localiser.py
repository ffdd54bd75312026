"""Networks of localisation: sizes, Senocak's attention against plain NumPy, and what each place and sound becomes."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import OptionError
from mmjax.models.joint.localiser import Attention, Localiser, heat
from mmjax.models.vision import vgg

SMALL = {"dimension": 6, "widths": (4, 4, 4), "depths": (1, 1, 1), "sound_widths": (4, 4), "mels": 16}


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("projections", "stride", "count"), [(0, 1, 22_346_752), (1, 2, 22_872_064), (2, 2, 23_397_376)]
)
def test_parameters_of_the_published_sizes(projections, stride, count):
    model = Localiser("resnet18", 512, projections, stride)
    inputs = jnp.zeros((1, 64, 64, 3), jnp.uint8), jnp.zeros((1, 22_050), jnp.int16)
    assert size(jax.eval_shape(model.init, jax.random.key(0), *inputs)["params"]) == count


def test_senocak_at_the_papers_sizes():
    trunk, image = vgg.Trunk(16), jax.ShapeDtypeStruct((2, 320, 320, 3), jnp.uint8)
    variables = jax.eval_shape(trunk.init, jax.random.key(0), image)
    assert size(variables) == 14_714_688
    places = jax.eval_shape(trunk.apply, variables, image)
    assert places.shape == (2, 20, 20, 512)
    net, sound = Attention(), jax.ShapeDtypeStruct((2, 1000), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), places, sound)
    assert size(variables) == 2_289_168
    log_a, said = jax.eval_shape(net.apply, variables, places, sound)
    assert (log_a.shape, said.shape) == ((2, 20, 20), (2, 1000))


def test_the_map_before_the_last_relu(rng):
    """Of either sign, and what VGG has behind its ReLU; one of no network is negative everywhere."""
    image = rng.integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    sizes = {"channels": (4, 4, 4, 4, 4)}
    whole, trunk = vgg.VGG(16, 3, hidden=4, **sizes), vgg.Trunk(16, **sizes)
    variables = jax.jit(whole.init)(jax.random.key(0), image)
    own = {"params": {k: v for k, v in variables["params"].items() if k.startswith("conv")}}
    found, behind = jax.jit(lambda: (trunk.apply(own, image), whole.apply(variables, image)["conv5"]))()
    assert found.min() < 0
    np.testing.assert_array_equal(np.maximum(found, 0), behind)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_attention_equals_plain_numpy(rng, temperature):
    """The forward pass of ardasnck/learning_to_localize_sound_source: network.py, in float64."""
    places, sound = rng.normal(size=(2, 3, 4, 6)), rng.normal(size=(2, 7))
    net = Attention(channels=6, features=7, hidden=5, temperature=temperature)
    variables = jax.jit(net.init)(jax.random.key(0), *(jnp.asarray(x, jnp.float32) for x in (places, sound)))
    w = jax.tree.map(np.float64, variables["params"])

    def layer(name, x):
        return x @ w[name]["affine"]["kernel"] + w[name]["affine"]["bias"]

    def length_one(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    h = length_one(layer("second", np.maximum(layer("first", np.maximum(sound, 0)), 0)))
    cosines = np.einsum("bpc,bc->bp", length_one(places).reshape(2, 12, 6), h)
    attention = np.exp(np.maximum(cosines, 0) / temperature)
    attention /= attention.sum(1, keepdims=True)
    z = np.maximum(np.einsum("bpc,bp->bc", places.reshape(2, 12, 6), attention), 0)
    wanted = layer("last", np.maximum(layer("third", z), 0))
    log_a, said = jax.jit(net.apply)(variables, *(jnp.asarray(x, jnp.float32) for x in (places, sound)))
    np.testing.assert_allclose(np.exp(log_a).reshape(2, 12), attention, atol=1e-5)
    np.testing.assert_allclose(said, wanted, atol=1e-5)
    if temperature == 1:  # as flat as the official code's
        assert attention.max() / attention.min() <= np.e


def test_a_score_is_the_mean_cosine_with_the_sound(rng):
    image = rng.integers(0, 256, (2, 32, 48, 3)).astype(np.uint8)
    sound = rng.integers(-9000, 9000, (3, 6000)).astype(np.int16)
    model = Localiser(**SMALL, projections=2)
    variables = jax.jit(model.init)(jax.random.key(0), image, sound)

    @jax.jit
    def asked(variables):
        both = model.apply(variables, image, sound)
        return *both, heat(both[0], both[1][:2]), model.apply(variables, image, method="see")

    places, points, warm, seen = asked(variables)
    heard = jax.jit(lambda v: model.apply(v, sound, method="hear"))(variables)
    assert (places.shape, points.shape) == ((2, 4, 6, 2, 6), (3, 2, 6))  # at stride 8; more sounds than pictures
    np.testing.assert_allclose(np.linalg.norm(places, axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 1, rtol=1e-5)
    wanted = np.einsum("bhwkd,bkd->bhw", places, points[:2]) / 2
    np.testing.assert_allclose(warm, wanted, atol=1e-6)
    np.testing.assert_allclose(seen, places, atol=1e-6)
    np.testing.assert_allclose(heard, points, atol=1e-6)


def test_padding_is_not_heard(rng):
    model = Localiser(**SMALL)
    sound = rng.integers(-9000, 9000, (1, 4000)).astype(np.int16)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    # Louder than the sound: of what is quieter the maximum over time says nothing.
    padded = np.concatenate([sound, rng.integers(-32_000, 32_000, (1, 4000)).astype(np.int16)], 1)
    variables = jax.jit(model.init)(jax.random.key(0), image, padded)
    hear = jax.jit(functools.partial(model.apply, method="hear"))
    twice = hear(variables, np.tile(sound, (1, 2)))
    np.testing.assert_allclose(hear(variables, padded, np.array([4000])), twice, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"), [({"trunk": "vgg"}, "trunk is 'vgg'"), ({"projections": 3}, "projections")]
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(OptionError, match=said):
        Localiser(**{**SMALL, **options}).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), jnp.zeros((1, 2048)))
