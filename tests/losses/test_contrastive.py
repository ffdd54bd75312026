"""CLIP's and SigLIP's losses: by hand, against loops in NumPy, in blocks, and on one device as on eight."""

import functools

import jax
import numpy as np
import pairs_reference as reference
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from mmjax.engine import mesh
from mmjax.errors import UserError
from mmjax.losses import contrastive, pairs

SCALE, BIAS = jnp.float32(3.0), jnp.float32(-1.5)
LOSSES = {
    "clip": lambda a, b, **options: contrastive.clip(a, b, SCALE, **options),
    "siglip": lambda a, b, **options: contrastive.siglip(a, b, SCALE, BIAS, **options),
}
NAMES = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture
def batch(rng):
    return reference.batch(rng)


def naive(name, a, b, group, where):
    """One value per pair, by loops."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (np.float64(a), np.float64(b)))
    found, rows = np.zeros(len(a)), np.flatnonzero(where)
    for i in rows:
        if name == "siglip":
            for j in rows:
                sign = 1 if group[i] == group[j] else -1
                found[i] += np.log(1 + np.exp(-sign * (3 * a[i] @ b[j] - 1.5)))
            continue
        for x, y in ((a, b), (b, a)):
            rivals = [j for j in rows if j == i or group[i] != group[j]]
            p = np.exp(3 * x[i] @ y[i]) / sum(np.exp(3 * x[i] @ y[j]) for j in rivals)
            found[i] -= 0.5 * np.log(p)
    return found


def test_clip_by_hand():
    # Cosines [[1, 0], [0.6, 0.8]], scale ln 2: scores 2^cos. image 0: ln(1 + 2^-1); text 0: ln(1 + 2^-0.4); ...
    image, text = jnp.asarray([[1.0, 0.0], [0.6, 0.8]]), jnp.eye(2)
    found = jax.jit(contrastive.clip)(image, text, jnp.float32(np.log(2)))
    rows = np.log([1 + 2**-1.0, 1 + 2**-0.2])
    columns = np.log([1 + 2**-0.4, 1 + 2**-0.8])
    np.testing.assert_allclose(found, (rows + columns) / 2, rtol=1e-6)


def test_foils_are_rivals_of_their_own_image(rng):
    image, text = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 4, 3)))
    foils = rng.normal(size=(4, 2, 3))
    foils /= np.linalg.norm(foils, axis=2, keepdims=True)
    foiled = np.array([[True, True], [True, False], [False, False], [True, True]])
    arrays = (jnp.asarray(x, jnp.float32) for x in (image, text, foils))
    one, two, three = arrays
    found = jax.jit(contrastive.clip)(one, two, SCALE, foils=three, foiled=jnp.asarray(foiled))
    for i in range(4):
        down = np.exp(3 * image[i] @ text.T).sum() + sum(
            np.exp(3 * image[i] @ foil) for foil, counts in zip(foils[i], foiled[i]) if counts
        )
        across = np.exp(3 * image @ text[i]).sum()
        want = -3 * image[i] @ text[i] + 0.5 * (np.log(down) + np.log(across))
        np.testing.assert_allclose(found[i], want, rtol=1e-5)
    none = contrastive.clip(one, two, SCALE, foils=three, foiled=jnp.zeros((4, 2), bool))
    np.testing.assert_allclose(none, contrastive.clip(one, two, SCALE), rtol=1e-6)


def test_siglip_by_hand():
    image, text = jnp.asarray([[1.0, 0.0], [0.6, 0.8]]), jnp.eye(2)
    found = jax.jit(contrastive.siglip)(image, text, jnp.float32(10.0), jnp.float32(-10.0))
    # Scores [[0, -10], [-4, -2]]: ln(1 + e^0) + ln(1 + e^-10); ln(1 + e^-4) + ln(1 + e^2)
    np.testing.assert_allclose(found, [np.log(2) + 4.5399e-5, 0.0181499 + 2.1269280], rtol=1e-5)


def test_all_alike_is_the_logarithm_of_the_batch():
    alike = jnp.tile(jnp.asarray([[0.6, 0.8]]), (8, 1))
    apply = jax.jit(contrastive.clip)
    np.testing.assert_allclose(apply(alike, alike, 100.0), np.log(8), rtol=1e-6)
    # Two captions each of four images: three other images and the pair itself.
    found = apply(alike, alike, 100.0, np.repeat(np.arange(4), 2))
    np.testing.assert_allclose(found, np.log(7), rtol=1e-6)


@NAMES
@pytest.mark.parametrize("block", [None, 5])
def test_against_loops(batch, name, block):
    a, b = reference.unit(batch["a"]), reference.unit(batch["b"])
    found = jax.jit(functools.partial(LOSSES[name], block=block))(a, b, group=batch["group"], where=batch["where"])
    np.testing.assert_allclose(found, naive(name, **batch), rtol=2e-5, atol=1e-6)
    alone = jax.jit(functools.partial(LOSSES[name], block=block))(a, b)
    np.testing.assert_allclose(
        alone, naive(name, batch["a"], batch["b"], np.arange(16), np.ones(16, bool)), rtol=2e-5, atol=1e-6
    )


@NAMES
def test_captions_of_one_image_are_no_false_negatives(name):
    """The second caption of an image pulls where it would push: never away from its own image."""
    image = reference.unit(jnp.asarray([[1.0, 0.2], [1.0, 0.2], [-0.3, 1.0]]))
    text = reference.unit(jnp.asarray([[1.0, 0.1], [0.9, 0.3], [0.0, 1.0]]))

    def first(text, group):
        return LOSSES[name](image, text, group=group)[0]

    slope = jax.jit(jax.grad(first))
    alone = np.asarray(slope(text, np.arange(3))[1])
    grouped = np.asarray(slope(text, np.array([0, 0, 2]))[1])
    assert alone @ np.asarray(image[0]) > 1e-3  # descent would part them
    assert grouped @ np.asarray(image[0]) <= 0


@NAMES
@pytest.mark.parametrize("block", [None, 8])
def test_padding_counts_nothing_whatever_it_holds(batch, name, block):
    where = batch["where"]
    a, b = (np.where(where[:, None], reference.unit(batch[k]), fill) for k, fill in (("a", np.nan), ("b", np.inf)))

    def total(a, b):
        values = LOSSES[name](a, b, group=batch["group"], where=where, block=block)
        return jnp.sum(values), values

    (_, values), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(a, b)
    np.testing.assert_allclose(values, naive(name, **batch), rtol=2e-5, atol=1e-6)
    assert not values[~where].any()
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert not gradient[~where].any()
        assert np.abs(gradient[where]).max(1).min() > 0


@NAMES
def test_blocks_do_not_change_the_gradient(batch, name):
    a, b = reference.unit(batch["a"]), reference.unit(batch["b"])
    weight = jnp.asarray(np.linspace(0.5, 2, 16), jnp.float32)

    def total(a, b, block):
        return jnp.sum(weight * LOSSES[name](a, b, group=batch["group"], where=batch["where"], block=block))

    gradient = jax.jit(jax.grad(total, argnums=(0, 1)), static_argnums=2)
    for found, expected in zip(gradient(a, b, 5), gradient(a, b, None)):  # 16 = 5 + 5 + 5 + 1
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@NAMES
def test_gradients(batch, name):
    def total(a, b, scale, bias):
        options = {"group": batch["group"][:4], "block": 3}
        if name == "clip":
            return contrastive.clip(a, b, scale, **options)
        return contrastive.siglip(a, b, scale, bias, **options)

    numbers = (batch["a"][:4], batch["b"][:4], SCALE, BIAS)
    check_grads(jax.jit(total), numbers, order=1, modes=["rev"], rtol=2e-2, atol=1e-2)


@NAMES
@pytest.mark.parametrize(("block", "grouped"), [(None, True), (3, False)])
def test_eight_devices_agree_with_one(rng, batch, name, block, grouped):
    params = {"a": rng.normal(size=(4, 3)), "b": rng.normal(size=(4, 3)), "scale": 0.5, "bias": -1.0}
    params = jax.tree.map(jnp.float32, params)
    if name == "clip":
        del params["bias"]

    def loss(params, data):
        a, b = (reference.unit(jnp.dot(data[k], params[k])) for k in "ab")
        options = {"group": data["group"] if grouped else None, "where": data["where"], "block": block}
        if name == "clip":
            return contrastive.clip(a, b, contrastive.scale(params["scale"]), **options)
        return contrastive.siglip(a, b, jnp.exp(params["scale"]), params["bias"], **options)

    reference.check_devices(loss, params, batch)


def test_the_scale_stops_at_its_bound_and_comes_back():
    step = jax.jit(jax.value_and_grad(lambda t, slope: slope * contrastive.scale(t)))
    bound = np.float32(np.log(100))
    np.testing.assert_allclose(step(jnp.float32(1.0), -2.0), (-2 * np.e, -2 * np.e), rtol=1e-6)
    for beyond in (bound + 0.01, np.float32(50), np.float32(1000)):  # exp(1000) overflows
        value, gradient = step(beyond, -2.0)
        np.testing.assert_allclose(value, -200)
        assert gradient == 0  # descent would raise it
        np.testing.assert_allclose(step(beyond, 2.0)[1], 200)  # descent lowers it
    check_grads(contrastive.scale, (jnp.float32(0.7),), order=1, modes=["rev"], rtol=1e-2)
    # Two devices that disagree: all drop the gradient or none.
    data = {"a": np.r_[np.full(8, -3.0), np.ones(8)].astype(np.float32), "where": np.ones(16, bool)}
    for sign in (1.0, -1.0):
        loss = lambda t, data, sign=sign: sign * data["a"] * contrastive.scale(t)  # noqa: E731
        found = [float(gradient) for _, gradient in reference.ways(loss, bound + 1, data)]
        np.testing.assert_allclose(found, [0 if sign > 0 else 100] * 3, rtol=1e-5)


def test_half_precision_is_computed_in_full(batch):
    a, b = (jnp.asarray(reference.unit(batch[k]), jnp.bfloat16) for k in "ab")
    for loss in LOSSES.values():
        value = jax.jit(loss)(a, b)
        assert value.dtype == jnp.float32
        full = (np.asarray(x).astype(np.float32) for x in (a, b))
        np.testing.assert_allclose(value, jax.jit(loss)(*full), rtol=1e-6)


def test_a_block_of_nothing_is_refused(batch):
    with pytest.raises(UserError, match=r"^block is 0: it must be 1 or more"):
        contrastive.clip(batch["a"], batch["b"], SCALE, block=0)


def memory(name, size, block, placement=None):
    """Bytes that a device needs beside inputs and outputs, for value and gradient."""

    def step(params, data, key):
        del key
        return jax.value_and_grad(lambda p: jnp.mean(LOSSES[name](p["w"] * data["a"], data["b"], block=block)))(params)

    params = {"w": jnp.float32(1.0)}
    if placement is None:
        data = {k: jax.ShapeDtypeStruct((size, 64), jnp.float32) for k in "ab"}
        return jax.jit(step).lower(params, data, 0).compile().memory_analysis().temp_size_in_bytes
    sharding = jax.sharding.NamedSharding(placement.mesh, jax.sharding.PartitionSpec("data"))
    data = {k: jax.ShapeDtypeStruct((size, 64), jnp.float32, sharding=sharding) for k in "ab"}
    call = placement.compile(lambda *given: step(*given)[::-1], params, donate=False)
    lowered = call.lower(placement.place(params), data, jnp.zeros(()))
    return lowered.compile().memory_analysis().temp_size_in_bytes


@NAMES
def test_a_batch_of_32k_fits(name):
    size, block = 32_768, 256
    matrix, strip = size * size * 4, size * block * 4
    assert memory(name, size, None) > matrix
    assert memory(name, size, block) < 5 * strip
    assert memory(name, size, block, mesh.Jitted()) < 5 * strip / 3  # rows are split, columns on every device


def test_the_hardest_negative_is_the_first_of_equals():
    z = jnp.asarray([[1.0, 0.0], [0.5, 0.0], [0.9, 0.0], [0.9, 0.0], [0.9, 0.0], [2.0, 0.0]])
    group = jnp.asarray([0, 1, 0, 2, 3, 4])
    where = jnp.asarray([True] * 5 + [False])
    search = jax.jit(lambda block, *given: pairs.hardest(*pairs.sides(z, z, *given), block), static_argnums=0)
    for block in (None, 1, 4):
        at, any_ = search(block, group, where)
        np.testing.assert_array_equal(at[:5], [3, 0, 3, 0, 0])
        assert any_[:5].all()
    assert not search(None, jnp.zeros(6, jnp.int32), where)[1].any()
