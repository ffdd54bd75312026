"""EfficientNet-Lite: sizes against the published ones, padding and depthwise convolution against plain NumPy."""

import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.models.vision import efficientnet
from mmjax.models.vision.efficientnet import EfficientNetLite


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("size", "parameters"),
    # TensorFlow's page gives 4.7, 5.4, 6.1, 8.2 and 13.0 million; lite0 is also counted in the published file.
    [("lite0", 4_652_008), ("lite1", 5_416_680), ("lite2", 6_092_072), ("lite3", 8_197_096), ("lite4", 13_006_568)],
)
def test_parameter_counts(size, parameters):
    side = efficientnet.SIZES[size][2]
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.uint8)
    variables = jax.eval_shape(EfficientNetLite(size).init, jax.random.key(0), image)
    assert count(variables["params"]) == parameters


def test_shapes_at_the_published_size():
    image = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.uint8)
    out, variables = jax.eval_shape(EfficientNetLite().init_with_output, jax.random.key(0), image)
    assert {name: value.shape for name, value in out.items()} == {
        "stem": (2, 112, 112, 32),
        "stage1": (2, 112, 112, 16),
        "stage2": (2, 56, 56, 24),
        "stage3": (2, 28, 28, 40),
        "stage4": (2, 14, 14, 80),
        "stage5": (2, 14, 14, 112),
        "stage6": (2, 7, 7, 192),
        "stage7": (2, 7, 7, 320),
        "head": (2, 7, 7, 1280),
        "pooled": (2, 1280),
        "logits": (2, 1000),
    }
    half = jax.eval_shape(EfficientNetLite(dtype=jnp.bfloat16).apply, variables, image)
    assert half["stage5"].dtype == jnp.bfloat16
    assert half["logits"].dtype == jnp.float32


def naive_depthwise(x, kernel, stride):
    """One output value at a time; padding as TensorFlow's SAME: the odd pixel goes to the end."""
    b, h, w, c = x.shape
    k = kernel.shape[0]
    oh, ow = -(-h // stride), -(-w // stride)
    top, left = (max((o - 1) * stride + k - n, 0) // 2 for o, n in ((oh, h), (ow, w)))
    y = np.zeros((b, oh, ow, c))
    for i, j, di, dj in np.ndindex(oh, ow, k, k):
        row, column = i * stride + di - top, j * stride + dj - left
        if 0 <= row < h and 0 <= column < w:
            y[:, i, j] += x[:, row, column] * kernel[di, dj, 0]
    return y


@pytest.mark.parametrize(
    ("kernel", "stride", "shape"), [(3, 1, (5, 6)), (3, 2, (6, 7)), (5, 2, (8, 5)), (5, 1, (2, 3))]
)
def test_both_depthwise_forms_equal_the_definition(rng, kernel, stride, shape):
    x = rng.normal(size=(2, *shape, 3)).astype(np.float32)
    weight = rng.normal(size=(kernel, kernel, 1, 3)).astype(np.float32)
    expected = naive_depthwise(x, weight, stride)
    seen = rng.normal(size=expected.shape).astype(np.float32)
    gradients = []
    for form in (efficientnet.shifted_sum, efficientnet.grouped_convolution):

        @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
        def both(x, w, form=form):
            found = form(x, w, stride)
            return jnp.sum(found * seen), found

        (_, found), slopes = jax.jit(both)(x, weight)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        gradients.append(slopes)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), *gradients)


def test_channels_are_rounded_to_multiples_of_eight_and_not_below_nine_tenths():
    # Lite2 (1.1) and Lite4 (1.4), by hand: 24*1.1 = 26.4 -> 24; 40*1.1 = 44 -> 48; 16*1.4 = 22.4 -> 24.
    assert [efficientnet.round_channels(c, 1.1) for c in (16, 24, 40, 80)] == [16, 24, 48, 88]
    assert [efficientnet.round_channels(c, 1.4) for c in (16, 24, 40, 80)] == [24, 32, 56, 112]
    assert efficientnet.round_channels(10, 1.0) == 16  # 8 would lose a fifth


def test_block_skips_only_between_equal_shapes_and_learns_statistics(rng):
    x = jnp.asarray(rng.normal(size=(2, 6, 6, 8)), jnp.float32)
    block = efficientnet.InvertedResidual(3, 1, 6, 8, jnp.float32)
    run = jax.jit(lambda block, variables: block.apply(variables, x, train=False), static_argnums=0)
    begin = jax.jit(lambda block: block.init(jax.random.key(0), x, train=False), static_argnums=0)
    variables = jax.device_get(begin(block))
    silent = jax.tree.map(np.zeros_like, variables["params"]["project_norm"])
    variables["params"]["project_norm"] = silent
    np.testing.assert_array_equal(run(block, variables), x)
    for other in (
        efficientnet.InvertedResidual(3, 2, 6, 8, jnp.float32),
        efficientnet.InvertedResidual(3, 1, 6, 16, jnp.float32),
    ):
        variables = jax.device_get(begin(other))
        variables["params"]["project_norm"]["scale"] = np.zeros_like(variables["params"]["project_norm"]["scale"])
        assert not np.any(run(other, variables))
    _, state = jax.device_get(jax.jit(lambda v: other.apply(v, x, train=True, mutable=["state"]))(variables))
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), variables["state"], state["state"])
    assert min(jax.tree.leaves(moved)) > 0


def test_training_wants_a_dropout_key():
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.uint8)
    model = EfficientNetLite(classes=5)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    train = functools.partial(model.apply, train=True, mutable=["state"])
    out, _ = jax.eval_shape(lambda v, x, key: train(v, x, rngs={"dropout": key}), variables, image, jax.random.key(1))
    assert out["logits"].shape == (1, 5)
    with pytest.raises(flax.errors.InvalidRngError, match="dropout"):
        jax.eval_shape(train, variables, image)
