"""SoundNet: counts layer by layer, the paper's sizes, a naive NumPy forward pass, tiling, masks, features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.errors import UserError
from mmjax.losses.divergence import kl
from mmjax.models.sound import soundnet
from mmjax.models.sound.soundnet import SoundNet

# out * (in * kernel + bias) and two numbers per normalised channel, by hand from the paper's tables
COUNT_8 = (1040 + 16_416 + 32_832 + 65_664 + 131_328 + 524_800 + 2_098_176) + 11_478_393 + 2 * 2032
COUNT_5 = (2080 + 65_600 + 131_200 + 262_400) + 5_739_897 + 2 * 480
SMALL = {"objects": 5, "scenes": 3, "width": 0.125}


def _waveform(rng, rows, samples):
    return jnp.asarray(60 * rng.normal(size=(rows, samples)), jnp.float32)


def _drawn(rng, model, waveform):
    """Variables with every value drawn, so that no bias is 0 and some gains are negative."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), waveform))

    def draw(path, leaf):
        last = path[-1].key
        spread = {"kernel": 0.1, "var": 0.0}.get(last, 1.0)
        return jnp.asarray(spread * rng.normal(size=leaf.shape) + (last == "var"), jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.mark.parametrize(("depth", "count", "trunk"), [(8, COUNT_8, 2032), (5, COUNT_5, 480)])
def test_parameter_counts_of_the_paper(depth, count, trunk):
    assert {8: 14_352_713, 5: 6_202_137}[depth] == count
    for conv_bias, expected in ((True, count), (False, count - trunk)):
        model = SoundNet(depth=depth, conv_bias=conv_bias)
        shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 441_000)))
        assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == expected
        assert sum(leaf.size for leaf in jax.tree.leaves(shapes["state"])) == 2 * trunk


@pytest.mark.parametrize("depth", [8, 5])
def test_sizes_of_the_paper(depth):
    model = SoundNet(depth=depth)
    waveform = jax.ShapeDtypeStruct((2, 441_000), jnp.float32)
    out, variables = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x), waveform)
    assert (out["object"].shape, out["scene"].shape, out["where"].shape) == ((2, 4, 1000), (2, 4, 401), (2, 4))
    for layer in soundnet.layer_names(depth):
        found = jax.eval_shape(lambda v, x, n=layer: model.apply(v, x, layer=n, method="features"), variables, waveform)
        assert found.shape[1] == soundnet.output_steps(441_000, depth, layer)
    assert found.shape == (2, 4, 1401)


def test_the_least_input():
    assert [soundnet.minimum(depth) for depth in (8, 5)] == [209_374, 56_798]
    for depth in (8, 5):
        assert soundnet.output_steps(soundnet.minimum(depth), depth) == 1
        assert soundnet.output_steps(soundnet.minimum(depth) - 1, depth) == 0
    np.testing.assert_array_equal(soundnet.output_steps(jnp.array([220_500, 441_000]), 8), [1, 4])


def test_scale_and_tile():
    scaled = soundnet.scale(jnp.array([[-32768, 0, 16384, 32767]], jnp.int16))
    np.testing.assert_allclose(scaled, [[-256, 0, 128, 256 - 2**-7]])
    rows = jnp.array([[1, 2, 3, 0], [4, 5, 6, 7], [8, 0, 0, 0]])
    tiled = jax.jit(soundnet.tile, static_argnums=2)(rows, jnp.array([3, 4, 0]), 6)
    np.testing.assert_array_equal(tiled, [[1, 2, 3, 1, 2, 3], [4, 5, 6, 7, 4, 5], [8] * 6])
    np.testing.assert_array_equal(soundnet.tile(rows, None, 6)[1], [4, 5, 6, 7, 4, 5])
    np.testing.assert_array_equal(soundnet.tile(rows, jnp.array([3, 4, 1]), 2)[0], [1, 2, 3, 1])


def _numpy_forward(variables, waveform, depth, train):
    """The network as the table says it, in float64: convolution, bias, batch norm, ReLU, pool."""
    p, state = (
        {"/".join(k): np.float64(v) for k, v in flatten_dict(variables[c]).items()} for c in ("params", "state")
    )
    x, seen = np.float64(waveform)[..., None], {}

    def conv(x, name, row):
        x = np.pad(x, ((0, 0), (row.pad, row.pad), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, row.kernel, axis=1)[:, :: row.stride]
        return np.einsum("buck,kco->buo", windows, p[f"{name}/kernel"], optimize=True) + p[f"{name}/bias"]

    for i, row in enumerate(soundnet.TRUNK[depth], 1):
        x = conv(x, f"conv{i}", row)
        seen[i] = mean, var = (
            (x.mean((0, 1)), x.var((0, 1))) if train else (state[f"norm{i}/mean"], state[f"norm{i}/var"])
        )
        x = (x - mean) / np.sqrt(var + 1e-5) * p[f"norm{i}/scale"] + p[f"norm{i}/bias"]
        x = np.maximum(x, 0)
        steps = x.shape[1] // row.pool
        x = x[:, : steps * row.pool].reshape(len(x), steps, row.pool, -1).max(2)
    return {head: conv(x, head, soundnet.HEAD[depth]) for head in ("object", "scene")}, seen


@pytest.mark.parametrize("conv", ["accelerator", "cpu"])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("depth", [8, 5])
def test_against_a_naive_forward_pass(rng, depth, train, conv):
    model = SoundNet(depth=depth, conv_bias=True, conv=conv, **SMALL)
    waveform = _waveform(rng, 2, soundnet.minimum(depth) + 20_001)
    variables = _drawn(rng, model, waveform)
    out, new = jax.jit(lambda v, x: model.apply(v, x, train=train, mutable=["state"]))(variables, waveform)
    expected, seen = _numpy_forward(variables, waveform, depth, train)
    for head, logits in expected.items():
        np.testing.assert_allclose(out[head], logits, rtol=2e-3, atol=2e-3 * np.abs(logits).max())
    assert out["where"].all()
    if train:
        old, new = variables["state"]["norm1"], new["state"]["norm1"]
        np.testing.assert_allclose(new["mean"], 0.9 * old["mean"] + 0.1 * seen[1][0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(new["var"], 0.9 * old["var"] + 0.1 * seen[1][1], rtol=1e-3)


@pytest.mark.parametrize("train", [True, False])
def test_a_separable_trunk_is_a_plain_one_with_kernels_of_rank_one(rng, train):
    slim = SoundNet(depth=8, separable=True, stem=0.25, **SMALL)
    plain = SoundNet(depth=8, stem=0.25, **SMALL)
    waveform = _waveform(rng, 2, soundnet.minimum(8))
    variables = _drawn(rng, slim, waveform)
    assert variables["params"]["conv1"]["kernel"].shape == (64, 1, 4)
    assert variables["params"]["alone2"].shape == (32, 4)
    params = dict(variables["params"])
    for i in range(2, 8):
        kernel = params.pop(f"alone{i}")[:, :, None] * params[f"conv{i}"]["kernel"]
        params[f"conv{i}"] = {**params[f"conv{i}"], "kernel": kernel}
    run = jax.jit(lambda model, v: model.apply(v, waveform, train=train, mutable=["state"]), static_argnums=0)
    both = run(slim, variables), run(plain, {**variables, "params": params})
    for ours, theirs in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3 * float(jnp.abs(theirs).max()))


def _step(model, variables, waveform, teacher):
    def loss(params):
        variables_ = {**variables, "params": params}
        out, new = model.apply(variables_, waveform, train=True, mutable=["state"])
        return jnp.mean(kl(teacher, out["object"], out["where"])), new["state"]

    return jax.value_and_grad(loss, has_aux=True)(variables["params"])


def test_both_forms_and_eight_devices_take_the_same_step(rng):
    waveform = _waveform(rng, 8, 60_000)
    teacher = jax.nn.log_softmax(jnp.asarray(3 * rng.normal(size=(8, 1, 5)), jnp.float32))
    models = [SoundNet(depth=5, conv=conv, objects=5, scenes=0, width=0.0625) for conv in ("accelerator", "cpu")]
    variables = _drawn(rng, models[0], waveform)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = [jax.device_put(a, NamedSharding(mesh, PartitionSpec("data"))) for a in (waveform, teacher)]
    step = jax.jit(_step, static_argnums=0)
    expected = step(models[0], variables, waveform, teacher)
    for found in (step(models[1], variables, waveform, teacher), step(models[1], variables, *split)):
        for theirs, ours in zip(jax.tree.leaves(expected), jax.tree.leaves(found)):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-3 * float(jnp.abs(theirs).max()))


def test_the_batch_axis_stays_split(rng):
    model = SoundNet(depth=5, conv="cpu", objects=5, scenes=0, width=0.0625)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    data = NamedSharding(mesh, PartitionSpec("data"))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((8, 60_000))))
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32, sharding=data) for shape in ((8, 60_000), (8, 1, 5))]
    assert "all-gather" not in jax.jit(_step, static_argnums=0).lower(model, variables, *shapes).compile().as_text()


def test_rows_of_different_length(rng):
    model = SoundNet(depth=5, **SMALL)
    waveform = _waveform(rng, 3, 200_000)
    variables = _drawn(rng, model, waveform)
    length = jnp.array([200_000, 1000, 150_000])
    out = jax.jit(model.apply)(variables, waveform, length)
    steps = soundnet.output_steps(np.array([200_000, 56_798, 150_000]), 5)
    np.testing.assert_array_equal(out["where"].sum(1), steps)
    assert len(set(steps)) > 1
    # What lies beyond a row's length is never heard.
    other = jnp.where(jnp.arange(200_000)[None] < length[:, None], waveform, 1e6)
    np.testing.assert_array_equal(jax.jit(model.apply)(variables, other, length)["object"], out["object"])
    # A row of 1000 samples is that second, over and over.
    again = jnp.tile(waveform[1:2, :1000], (1, 200))
    np.testing.assert_allclose(
        jax.jit(model.apply)(variables, again)["object"], out["object"][1:2], rtol=1e-4, atol=1e-4
    )


def test_features_are_what_the_next_layer_sees(rng):
    model = SoundNet(depth=5, **SMALL)
    waveform = _waveform(rng, 1, 60_000)
    variables = _drawn(rng, model, waveform)
    names = ("conv5", "conv1", "pool2", "pool3")

    @jax.jit  # in one program: each asks for a part of the same network
    def asked(v, x):
        layers = {n: model.apply(v, x, layer=n, method="features") for n in soundnet.layer_names(5)}
        return layers, model.apply(v, x, layers=names, method="activations"), model.apply(v, x)

    layers, several, out = jax.device_get(asked(variables, waveform))
    for i in (1, 2, 3):
        conv, pool = layers[f"conv{i}"], layers[f"pool{i}"]
        steps = conv.shape[1] // 8
        np.testing.assert_allclose(pool, conv[:, : steps * 8].reshape(1, steps, 8, -1).max(2), rtol=1e-4, atol=1e-4)
    assert set(several) == set(names)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), several, {n: layers[n] for n in names}
    )
    np.testing.assert_allclose(layers["conv5"], np.concatenate([out["object"], out["scene"]], -1), rtol=1e-4, atol=1e-3)


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32(rng):
    waveform = _waveform(rng, 2, 57_000)
    exact = SoundNet(depth=5, **SMALL)
    variables = _drawn(rng, exact, waveform)
    reference = jax.jit(lambda v, x: exact.apply(v, x, train=True, mutable=["state"]))(variables, waveform)[0]["object"]
    for conv in ("accelerator", "cpu"):
        model = SoundNet(depth=5, dtype="bfloat16", conv=conv, **SMALL)
        out, new = jax.jit(lambda v, x, m=model: m.apply(v, x, train=True, mutable=["state"]))(variables, waveform)
        assert {a.dtype for a in (out["object"], *jax.tree.leaves(new))} == {jnp.dtype("float32")}
        assert float(jnp.abs(out["object"] - reference).max() / jnp.abs(reference).max()) < 0.1


def test_a_head_without_classes_is_left_out():
    init = SoundNet(depth=5, objects=4, scenes=0, width=0.1).init_with_output
    out, variables = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 57_000)))
    assert set(out) == {"object", "where"}
    assert "scene" not in variables["params"]


def test_initial_values_are_the_originals():
    model = SoundNet(depth=5, conv_bias=True)

    @jax.jit
    def drawn(key):  # these and no others
        params = model.init(key, jnp.zeros((1, 56_798)))["params"]
        gains = [params[f"norm{i}"]["scale"] for i in (1, 2, 3, 4)]
        return params["conv3"]["kernel"], gains, [params[name]["bias"] for name in ("conv1", "norm1", "object")]

    kernel, gains, biases = jax.device_get(drawn(jax.random.key(0)))
    assert abs(np.std(kernel) - 0.01) < 2e-4
    gains = np.concatenate(gains)
    assert abs(np.mean(gains) - 1) < 5e-3
    assert abs(np.std(gains) - 0.02) < 3e-3
    assert not any(bias.any() for bias in biases)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"depth": 7}, "5 or 8"), ({"objects": 0, "scenes": 0}, "at least one head"), ({"conv": "gpu"}, "choose auto")],
)
def test_mistakes_are_named(fields, message):
    with pytest.raises(UserError, match=message):
        jax.eval_shape(SoundNet(**fields).init, jax.random.key(0), jnp.zeros((1, 10)))


def test_an_unknown_layer_is_named():
    with pytest.raises(UserError, match=r"no layer 'pool4'.*conv1, pool1"):
        soundnet.output_steps(441_000, 8, "pool4")
