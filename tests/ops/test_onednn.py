"""Convolutions by oneDNN against XLA's own: which they are, their numbers and derivatives, and who keeps XLA's."""

import concurrent.futures
import dataclasses
import functools
import os
import types
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.interpreters import mlir

from mmjax.ops import onednn, onednn_plan, platform

NHWC, NWC = ("NHWC", "HWIO", "NHWC"), ("NWC", "WIO", "NWC")
needs = pytest.mark.skipif(not onednn.installed(), reason="pip install 'mmjax[onednn]'")
pytestmark = pytest.mark.usefixtures("all_sizes")


@pytest.fixture
def all_sizes(monkeypatch):
    """Small ones take its forms, too."""
    monkeypatch.setattr(onednn_plan, "_LEAST", 1)


def text(function, *arrays):
    return jax.jit(function).lower(*arrays).as_text()


GRID = {
    "same": ((2, 6, 7, 3), (3, 3, 3, 4), (1, 1), "SAME", (1, 1), NHWC),
    "valid": ((2, 6, 7, 3), (3, 2, 3, 4), (1, 1), "VALID", (1, 1), NHWC),
    "one pixel, strided": ((2, 5, 5, 17), (1, 1, 17, 5), (2, 2), "VALID", (1, 1), NHWC),
    "to one channel": ((2, 6, 6, 5), (3, 3, 5, 1), (1, 1), "SAME", (1, 1), NHWC),
    "kernel as wide as the picture": ((2, 17, 17, 4), (17, 17, 4, 8), (1, 1), ((4, 4), (3, 5)), (1, 1), NHWC),
    "turned pictures": ((2, 6, 7, 3), (3, 3, 3, 4), (1, 1), "SAME", (1, 1), ("NWHC", "HWIO", "NWHC")),
    "stride two": ((2, 8, 8, 4), (4, 4, 4, 8), (2, 2), ((1, 1), (1, 1)), (1, 1), NHWC),
    "rows behind the last place": ((2, 9, 8, 4), (3, 3, 4, 2), (2, 3), "VALID", (1, 1), NHWC),
    "zeros on one side": ((3, 8, 10, 2), (3, 4, 2, 16), (3, 2), ((2, 1), (0, 2)), (1, 1), NHWC),
    "dilated": ((2, 9, 9, 3), (3, 3, 3, 4), (1, 1), ((2, 2), (1, 0)), (2, 2), NHWC),
    "dilated and strided": ((2, 11, 12, 3), (3, 2, 3, 4), (2, 2), "SAME", (2, 3), NHWC),
    "cut off": ((2, 8, 9, 3), (3, 3, 3, 4), (1, 1), ((-1, 1), (1, -1)), (1, 1), NHWC),
    "one channel": ((2, 8, 8, 1), (3, 3, 1, 4), (2, 2), "SAME", (1, 1), NHWC),
    "wide": ((2, 7, 7, 64), (3, 3, 64, 48), (1, 1), "SAME", (1, 1), NHWC),
    "transposed": ((2, 5, 4, 6), (4, 4, 6, 3), (1, 1), ((2, 2), (2, 2)), (1, 1), NHWC, (2, 2)),
    "transposed, one side longer": ((2, 5, 4, 2), (3, 4, 2, 5), (1, 1), ((1, 2), (2, 3)), (1, 1), NHWC, (2, 3)),
    "transposed and dilated": ((2, 5, 4, 2), (3, 2, 2, 5), (1, 1), ((2, 2), (1, 1)), (2, 1), NHWC, (2, 2)),
    "sound": ((2, 50, 3), (8, 3, 5), (2,), ((3, 3),), (1,), NWC),
    "channels first": ((2, 3, 6, 7), (4, 3, 3, 3), (1, 1), "SAME", (1, 1), ("NCHW", "OIHW", "NCHW")),
}


def everything(x, kernel, strides, padding, dilation, numbers, apart=None):
    """Value, gradients of something curved in both inputs, and the gradient of a squared gradient (R1)."""
    conv = functools.partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=padding,
        rhs_dilation=dilation,
        lhs_dilation=apart,
        dimension_numbers=numbers,
    )

    def value(x, kernel):
        return jnp.sum(jnp.sin(conv(x, kernel)))

    def penalty(x, kernel):
        return jnp.sum(jnp.square(jax.grad(value)(x, kernel)))

    return conv(x, kernel), *jax.grad(value, (0, 1))(x, kernel), *jax.grad(penalty, (0, 1))(x, kernel)


@needs
@pytest.mark.parametrize("name", GRID)
def test_values_and_derivatives_are_those_of_xla(rng, name):
    size, kernel, *rest = GRID[name]
    arrays = [rng.normal(size=s).astype(np.float32) for s in (size, kernel)]
    arrays[1] /= np.sqrt(kernel[-2] * 9)  # values near one: sines of large ones would tell roundings apart
    function = functools.partial(everything, **dict(zip(("strides", "padding", "dilation", "numbers", "apart"), rest)))
    with platform.any_platform():
        want = jax.jit(function)(*arrays)
    got = jax.jit(lambda *a: function(*a))(*arrays)
    for ours, own in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-5 * np.abs(own).max())


@needs
@pytest.mark.parametrize("options", [{"window_strides": (2, 2)}, {"window_strides": (1, 1), "lhs_dilation": (2, 2)}])
def test_each_of_the_three_passes_is_its(rng, options):
    x, k = rng.normal(size=(2, 8, 8, 4)).astype(np.float32), rng.normal(size=(4, 4, 4, 8)).astype(np.float32)

    def value(x, k):
        return jnp.sum(lax.conv_general_dilated(x, k, padding=((1, 1), (1, 1)), dimension_numbers=NHWC, **options) ** 2)

    written = text(jax.grad(value, (0, 1)), x, k)
    assert written.count(f"@{onednn.TARGET}") == 3
    assert "stablehlo.convolution" not in written
    with platform.any_platform():
        assert onednn.TARGET not in text(jax.grad(lambda *a: value(*a), (0, 1)), x, k)


@needs
@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize(("inside", "outside", "stride"), [(16, 16, 1), (19, 37, 2), (40, 18, 1)])
def test_a_kernels_gradient_is_the_same_from_blocks_of_channels(rng, monkeypatch, blocks, inside, outside, stride):
    monkeypatch.setattr(onednn, "BLOCKS", blocks)
    monkeypatch.setattr(onednn, "_made", {})
    x = rng.normal(size=(3, 11, 14, inside)).astype(np.float32)
    k = rng.normal(size=(3, 4, inside, outside)).astype(np.float32)

    def value(k, x):
        y = lax.conv_general_dilated(x, k, (stride, stride), ((0, 1), (2, 1)), dimension_numbers=NHWC)
        return jnp.sum(jnp.sin(y * 0.1))

    with platform.any_platform():
        want = jax.jit(jax.grad(value))(k, x)
    got = jax.jit(jax.grad(lambda *a: value(*a)))(k, x)
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())
    rows = [onednn._table[list(onednn._table[:, 0]).index(key)] for key in onednn._made]
    assert any(row[16] and row[19] for row in rows) == blocks


@pytest.mark.parametrize(
    ("processor", "change", "expected"),
    [
        (0x07, {}, True),  # AVX2
        (0x0F, {}, True),  # AVX-VNNI
        (0x27, {}, False),  # AVX-512
        (0x07, {"kind": "input"}, False),
        (0x07, {"kind": "forward"}, False),
        (0x07, {"picture": (64, 15, 100, 100)}, False),
        (0x07, {"result": (64, 15, 100, 100)}, False),
        (0x07, {"dilation": (1, 2)}, False),
        (0x07, {"result": (32, 16, 100, 100)}, False),  # too little to do
    ],
)
def test_which_gradients_are_made_from_blocks(monkeypatch, processor, change, expected):
    library = types.SimpleNamespace(dnnl_get_effective_cpu_isa=lambda: processor)
    monkeypatch.setattr(onednn, "_loaded", lambda: (library, None))
    shape, step = (64, 16, 100, 100), (160_000, 10_000, 100, 1)
    kernel = ((16, 16, 3, 3), (144, 9, 3, 1))
    conv = onednn_plan.Convolution("kernel", shape, step, *kernel, shape, step, (1, 1), (1, 1), (1, 1), (1, 1))
    assert onednn._blocks(dataclasses.replace(conv, **change)) == expected


def numbers_of(*spec):
    return lax.conv_dimension_numbers((2, 8, 8, 4), (4, 4, 4, 8), spec)


def test_what_is_asked_for():
    plain = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "dimension_numbers": numbers_of(*NHWC)}
    made = onednn_plan.plan(
        (2, 9, 8, 4), (3, 3, 4, 16), (2, 4, 4, 16), window_strides=(2, 2), padding=((0, 1), (1, 1)), **plain
    )
    assert made.kind == "forward"
    assert (made.picture, made.picture_strides) == ((2, 4, 9, 8), (288, 1, 32, 4))
    assert (made.kernel, made.kernel_strides) == ((16, 4, 3, 3), (1, 16, 192, 64))
    assert (made.low, made.high) == ((0, 1), (0, 0))  # the last column of zeros is under no kernel
    assert made.products == 2 * 4 * 4 * 16 * 9 * 4
    same = onednn_plan.plan(
        (2, 9, 8, 4), (3, 3, 4, 16), (2, 4, 4, 16), window_strides=(2, 2), padding=((0, 1), (1, 1)), **plain
    )
    assert same.key == made.key > 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"padding": ((-1, 1), (0, 0))}, "rows are cut off"),
        ({"padding": ((3, 0), (0, 0))}, "a kernel that sees zeros alone"),
        ({"lhs_dilation": (2, 2), "window_strides": (2, 2)}, "no pass of a convolution"),
        ({"dimension_numbers": ("NWHC", "HWIO", "NWHC")}, "pictures lie across"),
        ({"dimension_numbers": ("NHWC", "HWIO", "NCHW")}, "channels do not come last"),
    ],
)
def test_what_it_has_no_form_for(change, why):
    options = {
        "window_strides": (1, 1),
        "padding": ((1, 1), (1, 1)),
        "lhs_dilation": (1, 1),
        "rhs_dilation": (1, 1),
        "dimension_numbers": NHWC,
        **change,
    }
    shape = jax.eval_shape(
        functools.partial(lax.conv_general_dilated, **options),
        *(jax.ShapeDtypeStruct(s, np.float32) for s in ((2, 8, 8, 4), (3, 3, 4, 8))),
    ).shape
    options["dimension_numbers"] = numbers_of(*options["dimension_numbers"])
    assert onednn_plan.plan((2, 8, 8, 4), (3, 3, 4, 8), shape, **options) is None, why


@needs
def test_a_slow_form_of_its_is_not_taken(rng):
    """It has none but a plain loop for the gradient of a kernel as wide as this."""
    x, k = rng.normal(size=(2, 56, 56, 8)).astype(np.float32), rng.normal(size=(17, 17, 8, 16)).astype(np.float32)

    def value(x, k):
        return jnp.sum(lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC) ** 2)

    assert text(value, x, k).count(f"@{onednn.TARGET}") == 1
    assert text(jax.grad(value, 1), x, k).count(f"@{onednn.TARGET}") == 1  # the forward pass


@needs
def test_small_ones_groups_and_other_types_stay(rng, monkeypatch):
    x, k = rng.normal(size=(2, 8, 8, 4)).astype(np.float32), rng.normal(size=(3, 3, 4, 8)).astype(np.float32)
    conv = functools.partial(lax.conv_general_dilated, window_strides=(1, 1), padding="SAME", dimension_numbers=NHWC)
    assert onednn.TARGET in text(lambda x, k: conv(x, k), x, k)
    assert onednn.TARGET not in text(lambda x, k: conv(x, k[:, :, :2], feature_group_count=2), x, k)
    assert onednn.TARGET not in text(lambda x, k: conv(x, k), x.astype(jnp.bfloat16), k.astype(jnp.bfloat16))
    monkeypatch.setattr(onednn_plan, "_LEAST", 10**6)
    assert onednn.TARGET not in text(lambda x, k: conv(x, k) + 1, x, k)


def layers(x, kernels):
    """Two layers in a scan with checkpoints, whose kernels differ."""

    def layer(x, kernel):
        y = lax.conv_general_dilated(jnp.sin(x), kernel, (1, 1), "SAME", dimension_numbers=NHWC)
        return y, None

    return jnp.sum(jnp.square(lax.scan(jax.checkpoint(layer), x, kernels)[0]))


TRANSFORMS = {
    "gradient": lambda f: jax.grad(f, (0, 1)),
    "vmap over pictures": lambda f: jax.vmap(jax.grad(lambda x, k: f(x[None], k), (0, 1)), (0, None)),
    "vmap over kernels": lambda f: lambda x, k: jax.vmap(jax.grad(f), (None, 1))(x, jnp.stack([k, -k], 1)),
    "forward over backward": lambda f: lambda x, k: jax.jvp(jax.grad(f), (x, k), (x, k)),
}


@needs
@pytest.mark.parametrize("name", TRANSFORMS)
def test_under_transformations(rng, name):
    arrays = rng.normal(size=(4, 6, 6, 3)).astype(np.float32), rng.normal(size=(2, 3, 3, 3, 3)).astype(np.float32)
    got = jax.jit(TRANSFORMS[name](layers))(*arrays)
    with platform.any_platform():
        want = jax.jit(TRANSFORMS[name](lambda *a: layers(*a)))(*arrays)
    for ours, own in zip(*map(jax.tree.leaves, (got, want)), strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-5 * np.abs(own).max())


@needs
def test_a_copy_per_device_is_its_and_a_program_cut_by_xla_is_not(rng):
    x, k = rng.normal(size=(8, 6, 6, 3)).astype(np.float32), rng.normal(size=(3, 3, 3, 4)).astype(np.float32)

    def conv(x, k):
        return lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC)

    want = conv(x, k)
    mapped = jax.pmap(conv, in_axes=(0, None))
    assert onednn.TARGET in mapped.lower(x[:, None], k).as_text()
    np.testing.assert_allclose(mapped(x[:, None], k)[:, 0], want, atol=1e-5)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    spread = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    assert onednn.TARGET not in jax.jit(lambda x, k: conv(x, k)).lower(spread, k).as_text()
    np.testing.assert_allclose(jax.jit(conv)(spread, k), want, atol=1e-5)


@needs
def test_within_a_mesh_that_is_abstract():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)).abstract_mesh
    axes = mlir.SPMDAxisContext(mesh, frozenset({"data"}))
    found = onednn._threads(types.SimpleNamespace(module_context=types.SimpleNamespace(axis_context=axes)))
    assert found == max(1, len(os.sched_getaffinity(0)) // 8)


@pytest.mark.parametrize(("most", "limit", "threads"), [(4, 2**31 - 1, 4), (4, 2, 2), (1, 1, 1)])
def test_no_more_threads_than_openmp_gives(most, limit, threads):
    library = types.SimpleNamespace(omp_get_max_threads=lambda: most, omp_get_thread_limit=lambda: limit)
    assert onednn._most.__wrapped__(library) == threads


@needs
def test_what_is_exported_is_xlas(rng):
    x, k = rng.normal(size=(2, 6, 6, 3)).astype(np.float32), rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
    conv = jax.jit(lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC))
    want = conv(x, k)
    exported = jax.export.export(conv)(x, k)
    assert onednn.TARGET not in exported.mlir_module()
    np.testing.assert_allclose(exported.call(x, k), want, atol=1e-5)


@needs
def test_one_convolution_on_many_threads(rng):
    k = rng.normal(size=(3, 3, 8, 8)).astype(np.float32)
    conv = jax.jit(lambda x: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC))
    pictures = rng.normal(size=(16, 4, 24, 24, 8)).astype(np.float32)
    want = [np.asarray(conv(x)) for x in pictures]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            for got, one in zip(pool.map(lambda x: np.asarray(conv(x)), pictures), want, strict=True):
                np.testing.assert_array_equal(got, one)  # nothing is shared, and the same sums in the same order


@needs
def test_a_row_that_is_gone_is_an_error_and_no_number(rng, monkeypatch):
    x, k = rng.normal(size=(3, 5, 5, 3)).astype(np.float32), rng.normal(size=(3, 3, 3, 5)).astype(np.float32)
    conv = jax.jit(lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC))
    want = conv(x, k)
    rows = np.flatnonzero(onednn._table[:, 0])
    kept = onednn._table[rows, 0].copy()
    try:
        onednn._table[rows, 0] = -1
        with pytest.raises((ValueError, RuntimeError), match="MMJAX_ONEDNN=0"):
            jax.block_until_ready(conv(x, k))
    finally:
        onednn._table[rows, 0] = kept
    np.testing.assert_array_equal(conv(x, k), want)


def test_the_environment_turns_it_off(monkeypatch):
    monkeypatch.setenv(onednn.OFF, "0")
    assert not onednn.installed()
    assert not onednn.install()


def unfit():
    raise SystemError("initialization of a module failed")


@needs
@pytest.mark.parametrize("broken", [lambda: "no such file", unfit])
def test_it_is_added_once_and_a_broken_library_leaves_convolutions_to_xla(rng, monkeypatch, broken):
    assert onednn.install()
    assert onednn.used()
    monkeypatch.setattr(onednn, "_failed", False)
    monkeypatch.setattr(onednn, "_made", {})
    monkeypatch.setattr(onednn, "library", broken)
    monkeypatch.setattr(onednn, "_loaded", onednn._loaded.__wrapped__)
    x, k = rng.normal(size=(1, 4, 4, 2)).astype(np.float32), rng.normal(size=(3, 3, 2, 7)).astype(np.float32)
    with pytest.warns(UserWarning, match="convolutions stay XLA's"):
        written = text(lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC), x, k)
    assert onednn.TARGET not in written
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text(lambda x, k: 1 + lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC), x, k)
