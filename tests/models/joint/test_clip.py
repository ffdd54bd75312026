"""CLIP's networks: the published sizes, exactly, and what each part of a tower promises."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.models.blocks.transformer import Transformer, gelu, quick_gelu
from mmjax.models.joint import clip
from mmjax.models.text.text_transformer import TextTransformer
from mmjax.models.vision.modified_resnet import ModifiedResNet, mean_pool
from mmjax.models.vision.vision_transformer import MEAN, STD, VisionTransformer, patches
from mmjax.text import vocabulary

# What model.parameters() of the published models counts.
PUBLISHED = {
    "ViT-B/32": 151_277_313,
    "ViT-B/16": 149_620_737,
    "ViT-L/14": 427_616_513,
    "ViT-L/14@336px": 427_944_193,
    "RN50": 102_007_137,
    "RN101": 119_688_033,
    "RN50x4": 178_300_601,
    "RN50x16": 290_979_217,
    "RN50x64": 623_258_305,
    "ViT-H-14": 986_109_441,
    "ViT-g-14": 1_366_678_273,
    "ViT-bigG-14": 2_539_567_105,
}
VIT = VisionTransformer(16, 2, 2, 8, 12, 24)
RESNET = ModifiedResNet((1, 1), 8, 4, 12, 16)
TEXT = TextTransformer(20, 16, 2, 2, 9, 12)


def init(model, *inputs):
    """Jitted: each operation of an eager init would be compiled by itself."""
    return jax.jit(model.init)(jax.random.key(0), *inputs)


def run(model, variables, *inputs):
    return jax.jit(model.apply)(variables, *inputs)


def pictures(rng, size, b=2):
    return jnp.asarray(rng.integers(0, 256, (b, size, size, 3)), jnp.uint8)


def texts(rng, b=3, t=6):
    tokens = np.zeros((b, t), np.int32)
    length = np.asarray([t, 3, 1][:b], np.int32)
    for row, n in zip(tokens, length):
        row[:n] = [*rng.integers(4, 20, n - 1), vocabulary.END]
    return jnp.asarray(tokens), jnp.asarray(length)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    preset = clip.PRESETS[name]
    image, text = clip.towers(**preset, dtype=jnp.bfloat16, remat=True)
    size = preset["image"]["image_size"]
    shapes = [(1, size, size, 3), (1, 76), (1,)]
    of_image, tokens, length = (jax.ShapeDtypeStruct(s, d) for s, d in zip(shapes, (jnp.uint8, jnp.int32, jnp.int32)))
    z, variables = jax.eval_shape(image.init_with_output, jax.random.key(0), of_image)
    y, other = jax.eval_shape(text.init_with_output, jax.random.key(0), tokens, length)
    assert z.shape == y.shape == (1, preset["embed"])
    assert z.dtype == y.dtype == jnp.float32
    leaves = jax.tree.leaves((variables["params"], other["params"]))
    assert sum(leaf.size for leaf in leaves) + 1 == PUBLISHED[name]  # and one for the temperature
    assert {leaf.dtype for leaf in leaves} == {np.dtype("float32")}


def test_all_presets_are_counted():
    assert set(clip.PRESETS) == set(PUBLISHED)


def test_unknown_kinds_and_options_are_named():
    text = {"width": 8, "layers": 1, "heads": 1, "context": 8}
    with pytest.raises(UserError, match=r"^kind 'cnn' is unknown: choose one of vit, resnet"):
        clip.towers({"kind": "cnn"}, text, 4)
    with pytest.raises(UserError, match=r"^patch is no option of 'resnet'"):
        clip.towers({"kind": "resnet", "patch": 3}, text, 4)


def test_patches_are_squares_row_by_row(rng):
    x = rng.normal(size=(2, 7, 9, 3)).astype(np.float32)
    found = patches(jnp.asarray(x), 3)
    assert found.shape == (2, 6, 27)
    np.testing.assert_array_equal(found[1, 4], x[1, 3:6, 3:6].reshape(-1))


def test_a_patch_layer_is_a_strided_convolution(rng):
    x, kernel = draw(rng, 2, 8, 8, 3), draw(rng, 4, 4, 3, 5)
    conv = jax.lax.conv_general_dilated(x, kernel, (4, 4), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(patches(x, 4) @ kernel.reshape(48, 5), conv.reshape(2, 4, 5), atol=1e-5)


def draw(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def test_mean_pool_drops_what_is_left_over(rng):
    x = draw(rng, 1, 5, 4, 2)
    expected = np.asarray(x)[0, :4].reshape(2, 2, 2, 2, 2).mean((1, 3))
    np.testing.assert_allclose(mean_pool(x, 2)[0], expected, atol=1e-6)


def test_activations():
    x = jnp.asarray([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(gelu(x), [-0.15865526, 0.0, 1.9544997], rtol=1e-6)
    np.testing.assert_allclose(quick_gelu(x), [-1 / (1 + np.exp(1.702)), 0.0, 2 / (1 + np.exp(-3.404))], rtol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_one_place_is_the_same_as_all_and_that_place(rng, causal):
    model = Transformer(2, 2, causal=causal)
    x, place = draw(rng, 3, 5, 8), jnp.asarray([0, 4, 2])
    variables = init(model, x)
    one = run(model, variables, x, place)
    assert one.shape == (3, 1, 8)
    np.testing.assert_allclose(one[:, 0], run(model, variables, x)[jnp.arange(3), place], atol=1e-6)
    shapes = [jax.eval_shape(model.init, jax.random.key(0), x, *p) for p in ((), (place,))]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("activation", "heads", "said"), [("relu", 2, "choose one of quick_gelu"), ("gelu", 3, "heads")]
)
def test_wrong_options_of_a_transformer(activation, heads, said):
    with pytest.raises(UserError, match=said):
        Transformer(1, heads, activation).init(jax.random.key(0), jnp.zeros((1, 2, 8)))


def test_initial_deviations_are_scaled_by_depth():
    params = init(Transformer(8, 4), jnp.zeros((1, 2, 128)))["params"]["block3"]
    std = {name: float(jnp.std(params[name]["kernel"])) for name in params if "kernel" in params[name]}
    expected = {"qkv": 1, "attention_out": 1 / 4, "network_in": 2**-0.5, "network_out": 1 / 4}
    assert std == pytest.approx({name: value * 128**-0.5 for name, value in expected.items()}, rel=0.02)


def test_a_picture_of_bytes_is_one_of_numbers_and_a_mean_picture_is_zero(rng):
    image = pictures(rng, 24)
    variables = init(VIT, image)
    assert variables["params"]["patches"]["kernel"].shape == (192, 16)
    assert variables["params"]["positions"].shape == (10, 16)
    np.testing.assert_allclose(run(VIT, variables, image), run(VIT, variables, image.astype(jnp.float32)), atol=1e-6)
    np.testing.assert_allclose(np.divide(MEAN, 255), [0.48145466, 0.4578275, 0.40821073])
    np.testing.assert_allclose(np.divide(STD, 255), [0.26862954, 0.26130258, 0.27577711])
    grey = jnp.broadcast_to(jnp.asarray(MEAN, jnp.float32), (1, 24, 24, 3))
    no_patches = {**variables["params"], "patches": {"kernel": jnp.zeros((192, 16))}}
    np.testing.assert_allclose(run(VIT, variables, grey), run(VIT, {"params": no_patches}, grey), atol=1e-6)


def test_pictures_of_another_size_are_refused(rng):
    with pytest.raises(UserError, match=r"for 24 x 24 pixels \(image_size\), and the pictures have 32 x 32"):
        init(VIT, pictures(rng, 32))
    with pytest.raises(UserError, match="patch of 40"):
        VisionTransformer(16, 1, 2, 40, image_size=24).init(jax.random.key(0), pictures(rng, 24))
    with pytest.raises(UserError, match="multiple of 32"):
        ModifiedResNet(image_size=48).init(jax.random.key(0), pictures(rng, 48))


def test_what_lies_behind_the_end_changes_nothing(rng):
    tokens, length = texts(rng)
    variables = init(TEXT, tokens, length)
    out = np.asarray(run(TEXT, variables, tokens, length))
    words = np.asarray(tokens)
    behind = np.arange(6)[None] >= np.asarray(length)[:, None]
    np.testing.assert_array_equal(out, run(TEXT, variables, np.where(behind, 7, words), length))
    np.testing.assert_allclose(out[1:], run(TEXT, variables, words[1:, :3], length[1:]), atol=1e-6)  # cut short
    assert np.all(np.any(np.abs(out - run(TEXT, variables, np.where(behind, words, 7), length)) > 1e-3, 1))
    two = np.full(3, 2, np.int32)
    # A text read to its second token is the text of two tokens.
    np.testing.assert_allclose(run(TEXT, variables, tokens, two), run(TEXT, variables, tokens[:, :2], two), atol=1e-6)


def test_the_text_tower_reads_start_first(rng):
    """The same as a transformer over the embedded <start> and words, read at <end>."""
    tokens, length = texts(rng, b=1)
    params = jax.tree.map(np.asarray, init(TEXT, tokens, length)["params"])
    table = params["words"]
    x = np.concatenate([table[vocabulary.START][None], table[tokens[0]]])[None] + params["positions"][None, :7]
    x = np.asarray(run(Transformer(2, 2, causal=True), {"params": params["blocks"]}, x)[0, 6])
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    expected = x @ params["projection"]["kernel"]
    np.testing.assert_allclose(run(TEXT, {"params": params}, tokens, length)[0], expected, atol=1e-5)


def test_texts_longer_than_the_context_are_refused(rng):
    with pytest.raises(UserError, match=r"texts of 9 tokens .* do not fit into the text network's context, 9"):
        init(TEXT, jnp.zeros((1, 9), jnp.int32), jnp.ones(1, jnp.int32))


@pytest.mark.parametrize("model", [TEXT, RESNET], ids=["text", "resnet"])  # a ViT has the blocks of the text tower
def test_remat_and_half_precision_change_only_how(rng, model):
    inputs = texts(rng) if model is TEXT else (pictures(rng, model.image_size),)
    train = {} if model is TEXT else {"train": True}
    variables = init(model, *inputs)

    def loss(params, model):
        out, state = model.apply({**variables, "params": params}, *inputs, mutable=["state"], **train)
        return jnp.sum(jnp.square(out)), (out, state)

    grad = jax.jit(jax.grad(loss, has_aux=True), static_argnums=1)
    again, (out, state) = grad(variables["params"], dataclasses.replace(model, remat=True))
    if model is TEXT:
        plain, aux = grad(variables["params"], model)
        assert all(np.any(leaf) for leaf in jax.tree.leaves(plain))
    else:  # the gradient of a second residual network takes ten seconds to compile
        plain, (_, aux) = again, jax.jit(loss, static_argnums=1)(variables["params"], model)
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(near, (plain, *aux), (again, out, state))
    rough = jax.jit(functools.partial(model.clone(dtype=jnp.bfloat16).apply, mutable=["state"], **train))
    rough, _ = rough(variables, *inputs)
    assert rough.dtype == jnp.float32
    rough, out = np.asarray(rough), np.asarray(out)
    assert np.sum(rough * out) / np.linalg.norm(rough) / np.linalg.norm(out) > 0.99


def test_a_fresh_residual_block_is_its_shortcut_and_statistics_follow_the_batch(rng):
    image = pictures(rng, 16)
    variables = init(RESNET, image)
    blocks = [name for name in variables["params"] if name.startswith("stage")]
    assert len(blocks) == 2
    assert all(not np.any(variables["params"][name]["norm3"]["scale"]) for name in blocks)
    _, new = jax.jit(lambda v, x: RESNET.apply(v, x, train=True, mutable=["state"]))(variables, image)
    before, after = jax.device_get((variables["state"], new["state"]))
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, after)
    assert min(jax.tree.leaves(moved)) > 0
