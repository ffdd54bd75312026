"""The voice encoder: the paper's sizes and counts, parity with a forward pass of its own, and every length."""

import flax.linen as nn
import jax
import numpy as np
import pytest
import scipy.signal
from jax import numpy as jnp

from mmjax.errors import OptionError, UserError
from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.sound import voice_encoder
from mmjax.models.sound.voice_encoder import LAYERS, MINIMUM, Folded, Hearing, VoiceEncoder


def shapes(model, frames, bins):
    sound = jax.ShapeDtypeStruct((1, frames, bins, 2), np.float32)
    return jax.eval_shape(model.init, jax.random.key(0), sound)


def test_the_papers_sizes_and_parameters():
    hearing = Hearing().checked()
    speech = jax.ShapeDtypeStruct((1, 6 * 22_050), np.int16)
    heard = jax.eval_shape(hearing, speech, jax.ShapeDtypeStruct((1,), np.int32))
    assert heard.shape == (1, 598, 257, 2) == (1, hearing.frames, 257, 2)
    params = shapes(VoiceEncoder(), 598, 257)["params"]
    count = {name: sum(x.size for x in jax.tree.leaves(params[name])) for name in params}
    assert sum(count[name] for name in count if name.startswith("conv")) == 11_735_296
    assert sum(count[name] for name in count if name.startswith("norm")) == 4_608
    assert sum(count.values()) == 148_062_976
    assert params["fc1"]["kernel"].shape == (57 * 512, 4096)
    assert voice_encoder.steps(598) == 6
    assert [voice_encoder.steps(n) for n in (MINIMUM - 1, MINIMUM)] == [0, 1]
    assert MINIMUM == 259


def test_what_is_heard_is_the_power_of_each_part_of_the_spectrum(rng):
    hearing = Hearing(rate=4000, seconds=1, window=0.016, hop=0.01, n_fft=64, bins=20)
    speech = np.round(9000 * np.sin(np.arange(30_000) * 0.1) * rng.uniform(0.5, 1, 30_000)).astype(np.int16)
    found = jax.jit(hearing)(speech[None], np.array([12_000], np.int32))
    once = np.resize(speech[:12_000].astype(float), 22_050)  # repeated to a second
    sound = scipy.signal.resample_poly(once / np.abs(once).max(), 80, 441)
    window = scipy.signal.get_window("hann", 64)
    frames = np.stack([sound[i : i + 64] * window for i in range(0, len(sound) - 63, 40)])
    spectrum = np.fft.rfft(frames)[:, :20]
    parts = np.stack([spectrum.real, spectrum.imag], -1)
    np.testing.assert_allclose(found[0], np.sign(parts) * np.abs(parts) ** 0.3, atol=2e-2)
    assert np.abs(np.asarray(found[0]) ** 3 - (np.sign(parts) * np.abs(parts) ** 0.3) ** 3).max() < 1e-4
    # Neither how loud it is nor what follows the utterance is heard.
    quiet = np.where(np.arange(30_000) < 12_000, speech // 2 * 2 // 2, 77)
    np.testing.assert_allclose(hearing(quiet[None], np.array([12_000], np.int32)), found, atol=0.1)
    later = hearing(np.roll(speech, 500)[None], np.array([12_000], np.int32), np.array([500], np.int32))
    np.testing.assert_allclose(later, found, atol=1e-5)


def naive(variables, sound):
    """The network as the paper's table says it, in NumPy and float64, of one example [t f 2]."""
    variables = jax.tree.map(np.asarray, variables)
    params, state = variables["params"], variables["state"]
    x = np.asarray(sound, float)
    for i, layer in enumerate(LAYERS, 1):
        kernel = np.asarray(params[f"conv{i}"]["kernel"], float)
        windows = np.lib.stride_tricks.sliding_window_view(x, (4, 4), (0, 1))[:: layer.stride, :: layer.stride]
        x = np.einsum("tfcij,ijco->tfo", windows, kernel) + params[f"conv{i}"]["bias"]
        x = x.mean(0) if i == len(LAYERS) else x
        norm, own = params[f"norm{i}"], state[f"norm{i}"]
        x = (np.maximum(x, 0) - own["mean"]) / np.sqrt(own["var"] + 1e-5) * norm["scale"] + norm["bias"]
        if layer.pool > 1:
            x = np.maximum(x[0 : len(x) // 2 * 2 : 2], x[1::2])
    x = np.maximum(x.ravel() @ params["fc1"]["kernel"] + params["fc1"]["bias"], 0)
    return x @ params["fc2"]["kernel"] + params["fc2"]["bias"]


def moved(variables, rng):
    """Not what it started with; gains of both signs, of which the maximum of two steps must not mix up one."""
    noisy = jax.tree.map(lambda x: x * (1 + 0.1 * rng.normal(size=x.shape).astype(np.float32)) + 0.1, variables)
    for i in (3, 5):
        scale = noisy["params"][f"norm{i}"]["scale"]
        noisy["params"][f"norm{i}"]["scale"] = scale.at[1].multiply(-1)
    return noisy


class Plain(nn.Module):
    """The same network as it is told: nine convolutions, each followed by a normalisation."""

    @nn.compact
    def __call__(self, x, *, train):
        for i, layer in enumerate(LAYERS, 1):
            out = max(1, layer.out // 32)
            x = nn.Conv(out, (4, 4), (layer.stride, layer.stride), "VALID", name=f"conv{i}")(x)
            x = nn.relu(jnp.mean(x, 1) if i == len(LAYERS) else x)
            x = BatchNorm(name=f"norm{i}")(x, train=train)
            if layer.pool > 1:
                x = nn.max_pool(x, (2, 1), (2, 1))
        x = nn.relu(nn.Dense(9, name="fc1")(x.reshape(len(x), -1)))
        return nn.Dense(5, name="fc2")(x)


@pytest.mark.parametrize("train", [True, False])
def test_its_gradients_and_statistics_are_those_of_convolutions_each_normalised(train, rng):
    sound, aim = rng.normal(size=(3, 387, 33, 2)).astype(np.float32), rng.normal(size=(3, 5)).astype(np.float32)
    model = VoiceEncoder(features=5, width=1 / 32, hidden=9)
    variables = moved(jax.jit(model.init)(jax.random.key(1), sound), rng)

    def loss(params, network):
        out, new = network.apply(variables | {"params": params}, sound, train=train, mutable=["state"])
        return jnp.mean(jnp.square(out - aim)), new["state"]

    both = [jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)(variables["params"], network)
            for network in (model, Plain())]  # fmt: skip
    assert jax.tree.structure(both[0]) == jax.tree.structure(both[1])
    for own, other in zip(jax.tree.leaves(both[0]), jax.tree.leaves(both[1]), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-4 * np.abs(other).max() + 1e-7)


def test_in_short_floats_no_sum_over_a_map_stands_still(rng):
    """As 70,000 numbers of one sign do when they are added up in bfloat16."""
    x = jnp.asarray(rng.uniform(size=(1, 267, 267, 2)), jnp.bfloat16)
    layer = Folded(2, 1, "bfloat16")
    variables = jax.jit(layer.init)(jax.random.key(0), x, (jnp.ones(2), jnp.ones(2)))

    def total(affine):
        return jnp.sum(layer.apply(variables, x, affine).astype(jnp.float32))

    own = jax.jit(jax.grad(total))((jnp.ones(2), jnp.ones(2)))
    kernel = np.asarray(variables["params"]["kernel"], np.float64)
    # The offset of a channel reaches each of 264 x 264 places through all of that channel's weights.
    close = 0.01 * np.abs(kernel).sum((0, 1, 3)) * 264**2
    assert np.all(np.abs(own[1] - kernel.sum((0, 1, 3)) * 264**2) < close)
    assert np.all(np.abs(own[0] - kernel.sum((0, 1, 3)) * 264**2 / 2) < close)  # x has a mean of one half


@pytest.mark.parametrize("frames", [MINIMUM, 387])  # one step of time is left, and three: the mean is over all
def test_it_is_an_independent_forward_pass(frames, rng):
    model = VoiceEncoder(features=5, width=1 / 32, hidden=9)
    sound = rng.normal(size=(2, frames, 33, 2)).astype(np.float32)
    assert voice_encoder.steps(frames) == (1 if frames == MINIMUM else 3)
    variables = jax.jit(model.init)(jax.random.key(1), sound)
    variables = moved(variables, rng)
    found = jax.jit(model.apply)(variables, sound)
    for own, one in zip(found, sound, strict=True):
        np.testing.assert_allclose(own, naive(variables, one), rtol=1e-5, atol=1e-5)
    assert np.std(found, 0).min() > 1e-4


def test_what_is_too_short_or_out_of_range_is_said():
    model = VoiceEncoder(2, 1 / 64, 2)
    for frames, bins, what in ((258, 40, "258 frames"), (300, 30, "30 bins")):
        with pytest.raises(UserError, match=what):
            shapes(model, frames, bins)
    for options, what in (
        ({"bins": 258}, "bins is 258"),
        ({"seconds": 2.0}, "seconds=2.0 give 198 frames"),
        ({"n_fft": 256}, "n_fft is 256: a window has 400"),
        ({"hop": 0}, "hop is 0"),
    ):
        with pytest.raises(OptionError, match=what):
            Hearing(**options).checked()
    silence = Hearing()(jnp.zeros((1, 100), jnp.int16), jnp.array([100]))
    assert not np.asarray(silence).any()
