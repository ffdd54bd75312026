"""Frames, their sum, and the chunks of time that a CPU works in."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.ops.sound import framing

SIZES = [(5, 2), (4, 4), (3, 5), (8, 1), (70, 2)]  # overlapping, touching, apart, dense, by gather


@pytest.mark.parametrize(("length", "hop"), SIZES)
def test_frame_is_slices(rng, length, hop):
    x = rng.standard_normal((2, 3, 83)).astype(np.float32)
    wanted = np.stack([x[..., i : i + length] for i in range(0, 83 - length + 1, hop)], axis=-2)
    np.testing.assert_array_equal(jax.jit(framing.frame, static_argnums=(1, 2))(x, length, hop), wanted)


@pytest.mark.parametrize(("length", "hop"), SIZES)
def test_overlap_add_is_the_sum_and_the_transpose_of_frame(rng, length, hop):
    frames = rng.standard_normal((2, 6, length)).astype(np.float32)
    wanted = np.zeros((2, length + hop * 5))
    for i in range(6):
        wanted[:, i * hop : i * hop + length] += frames[:, i]
    found = framing.overlap_add(frames, hop)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    x = rng.standard_normal(wanted.shape).astype(np.float32)
    np.testing.assert_allclose(np.sum(framing.frame(x, length, hop) * frames), np.sum(x * found), rtol=1e-4)


def test_one_frame_exactly():
    np.testing.assert_array_equal(framing.frame(jnp.arange(4.0), 4, 3), [[0, 1, 2, 3]])


# Whole hops in a frame, part of one, frames apart, each at every sample, and more hops than are taken one by one.
@pytest.mark.parametrize(
    ("frames", "length", "hop"), [(40, 8, 4), (41, 8, 4), (41, 8, 3), (17, 8, 12), (33, 8, 1), (40, 20, 2)]
)
def test_chunks_of_time_change_nothing(rng, monkeypatch, frames, length, hop):
    monkeypatch.setattr(framing, "CHUNK", 1)  # so that every chunk is the shortest: 8 frames
    x = rng.standard_normal((3, length + hop * (frames - 1) + min(2, hop - 1))).astype(np.float32)

    def energies(frames):
        return jnp.stack([jnp.sum(frames**2, axis=-1), frames[..., 0]], axis=-1)

    def chunked(x):
        return framing.map_frames(energies, x, length, hop)

    def whole(x):
        return energies(framing.frame(x, length, hop))

    wanted = jax.jit(whole)(x)
    np.testing.assert_allclose(jax.jit(chunked)(x), wanted, rtol=1e-6)
    weights = jnp.asarray(rng.standard_normal((3, frames, 2)), jnp.float32)
    slopes = [jax.jit(jax.grad(lambda x, f=f: jnp.sum(weights * f(x))))(x) for f in (chunked, whole)]
    np.testing.assert_allclose(*slopes, rtol=1e-5, atol=1e-5)
    assert "while" in jax.jit(chunked).lower(x).as_text()  # or the test has tested nothing
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda x: chunked(x[None])[0]))(x), wanted, rtol=1e-6)


def test_chunks_keep_a_sharded_batch_in_place(rng, monkeypatch):
    monkeypatch.setattr(framing, "CHUNK", 1)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    x = jax.device_put(rng.standard_normal((8, 300)).astype(np.float32), rows)
    run = jax.jit(lambda x: framing.map_frames(lambda frames: frames[..., :2] * 2, x, 8, 4))
    text = run.lower(x).compile().as_text()
    assert "while" in text
    assert not any(word in text for word in ("all-gather", "all-to-all", "collective-permute", "all-reduce"))
    assert run(x).sharding.is_equivalent_to(rows, 3)


def test_refusals():
    with pytest.raises(UserError, match="3 samples are fewer than one frame of 4"):
        framing.frame(jnp.zeros(3), 4, 2)
    with pytest.raises(UserError, match="at least 1"):
        framing.frame(jnp.zeros(3), 2, 0)
    with pytest.raises(UserError, match="reflect"):
        framing.padded(jnp.zeros(3), 3, "reflect")


@pytest.mark.parametrize(("length", "hop"), [(8, 3), (8, 4)])
def test_a_program_for_any_number_of_sounds_gives_what_one_for_so_many_gives(rng, monkeypatch, length, hop):
    monkeypatch.setattr(framing, "CHUNK", 1)
    x = rng.standard_normal((3, 60 * length)).astype(np.float32)
    run = jax.jit(lambda x: framing.map_frames(lambda frames: jnp.sum(frames, -1, keepdims=True), x, length, hop))
    (size,) = jax.export.symbolic_shape("b")
    made = jax.export.export(run)(jax.ShapeDtypeStruct((size, x.shape[1]), x.dtype))
    np.testing.assert_allclose(made.call(x), run(x), atol=1e-5)
