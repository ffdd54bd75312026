"""ResNet in torchvision's form: exact sizes, and shapes at the published input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.models.vision import resnet
from mmjax.models.vision.resnet import ResNet


@pytest.mark.parametrize(
    ("depth", "classes", "parameters"),
    # torchvision's own counts; 365 classes: 512 x 635 weights and 635 biases fewer.
    [
        (18, 1000, 11_689_512),
        (18, 365, 11_689_512 - 635 * 513),
        (34, 1000, 21_797_672),
        (50, 1000, 25_557_032),
        (101, 1000, 44_549_160),
        (152, 1000, 60_192_808),
    ],
)
def test_parameter_counts(depth, classes, parameters):
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.uint8)
    variables = jax.eval_shape(ResNet(depth, classes).init, jax.random.key(0), image)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == parameters


@pytest.mark.parametrize(("depth", "widths"), [(18, (64, 128, 256, 512)), (50, (256, 512, 1024, 2048))])
def test_shapes_at_the_published_size(depth, widths):
    image = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.uint8)
    model = ResNet(depth, 365, dtype=jnp.bfloat16)
    out, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), image)
    shapes = {name: value.shape for name, value in out.items()}
    stages = {f"stage{i + 1}": (2, 56 >> i, 56 >> i, width) for i, width in enumerate(widths)}
    assert shapes == {"stem": (2, 56, 56, 64), **stages, "pooled": (2, widths[-1]), "logits": (2, 365)}
    assert out["stage4"].dtype == jnp.bfloat16
    assert out["logits"].dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}


def test_block_adds_its_input(rng):
    x = jnp.asarray(rng.normal(size=(2, 5, 5, 16)), jnp.float32)
    block = resnet.Residual(16, 1, False, jnp.float32)
    variables = jax.device_get(jax.jit(lambda: block.init(jax.random.key(0), x, train=False))())
    assert "shortcut" not in variables["params"]
    variables["params"]["norm2"] = jax.tree.map(np.zeros_like, variables["params"]["norm2"])
    np.testing.assert_array_equal(jax.jit(lambda v: block.apply(v, x, train=False))(variables), np.maximum(x, 0))
    _, state = jax.device_get(jax.jit(lambda v: block.apply(v, x, train=True, mutable=["state"]))(variables))
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), variables["state"], state["state"])
    assert min(jax.tree.leaves(moved)) > 0
