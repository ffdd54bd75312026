"""Windows of a second as eval_esc50.lua cuts them, sound features against librosa, and the layer of classes."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import OptionError
from mmjax.models.sound import sound_tagger, soundnet
from mmjax.models.sound.sound_tagger import Features
from mmjax.models.sound.soundnet import SoundNet

RATE = 22_050


def test_windows_are_the_papers():
    """eval_esc50.lua: ceil(u / 10) steps a window, u - that + 1 windows; u of 10 s is 27, 14, 8 and 1."""
    features = Features(("pool5",))
    for steps, width in ((27, 3), (22, 3), (14, 2), (8, 1), (1, 1)):
        assert features.width(steps, 10 * RATE) == width == -(-steps // 10)
    assert features.width(3, RATE // 2) == 3  # a clip shorter than the window is one window
    x = np.arange(2 * 5 * 2, dtype=np.float32).reshape(2, 5, 2)
    found = np.asarray(sound_tagger.windows(x, 3))
    assert found.shape == (2, 3, 6)
    np.testing.assert_array_equal(found[1, 2], x[1, 2:5].ravel())
    np.testing.assert_array_equal(sound_tagger.windows(x, 1), x)


def test_averages_of_runs():
    x = np.arange(11, dtype=np.float32)[None, :, None]
    found = sound_tagger.averaged(x, 4)  # runs of 3, 3, 3 and 2
    np.testing.assert_allclose(found[0, :, 0], [1, 4, 7, 9.5])
    np.testing.assert_array_equal(sound_tagger.averaged(x, 11), x)
    np.testing.assert_allclose(sound_tagger.averaged(x, 6)[0, :, 0], [0.5, 2.5, 4.5, 6.5, 8.5, 10])
    for steps in (110_251, 6891, 431, 216, 109, 53, 28):
        assert 14 <= sound_tagger.averaged(jnp.zeros((1, steps, 1)), 27).shape[1] <= 27


def test_moments(rng):
    x = rng.normal(size=(2, 6, 5, 3))  # 6 steps of 5 frames
    steps = np.concatenate([x.mean(2), x.var(2)], -1).astype(np.float32)
    found = np.asarray(sound_tagger.moments(steps, 4))
    assert found.shape == (2, 3, 6)
    seen = x[0, 1:5].reshape(-1, 3)
    np.testing.assert_allclose(found[0, 1], [*seen.mean(0), *seen.std(0)], rtol=1e-4, atol=1e-5)


def test_a_coefficient_far_from_zero_keeps_its_deviation(rng, monkeypatch):
    """-600 +- 0.1: as the mean square less the squared mean float32 gives anything from 0 to 0.35."""
    mfcc = (0.1 * rng.normal(size=(1, 2, 52)) + [[[-600.0], [600.0]]]).astype(np.float32)
    monkeypatch.setattr(sound_tagger, "spectra", lambda features, waveform: {"mel": mfcc, "mfcc": mfcc})
    wave, features = np.zeros((1, RATE), np.int16), Features((), steps=13)
    steps = sound_tagger.of_sound(features, wave, np.array([RATE], np.int32))["mfcc"]  # of four frames
    found = np.asarray(sound_tagger.moments(steps, 5))
    wanted = np.stack([mfcc[0, :, 4 * i : 4 * i + 20].astype(np.float64).std(1) for i in range(9)])
    np.testing.assert_allclose(found[0, :, 2:], wanted, rtol=2e-3)


def test_sound_features_are_librosas_of_the_repeated_sound(rng):
    librosa = pytest.importorskip("librosa")
    wave = np.zeros((1, RATE), np.int16)
    wave[0, : RATE // 2] = rng.integers(-9000, 9000, RATE // 2)
    features = Features((), steps=50, n_fft=512, hop=256, n_mels=40, n_mfcc=13)
    found = jax.jit(sound_tagger.of_sound, static_argnums=0)(features, wave, np.array([RATE // 2], np.int32))
    tiled = np.tile(wave[0, : RATE // 2], 2) / np.float32(32_768)
    mel = librosa.power_to_db(librosa.feature.melspectrogram(y=tiled, sr=RATE, n_fft=512, hop_length=256, n_mels=40))
    mfcc = librosa.feature.mfcc(S=mel, n_mfcc=13)
    for name, theirs in (("log_mel", mel), ("mfcc", mfcc)):
        frames = theirs.shape[1]  # 87: runs of 2
        mean = np.stack([theirs[:, i : i + 2].mean(1) for i in range(0, frames, 2)])
        var = np.stack([theirs[:, i : i + 2].var(1) for i in range(0, frames, 2)])  # the last run is of one frame: 0
        np.testing.assert_allclose(found[name][0, :, : len(theirs)], mean, rtol=1e-3, atol=2e-3)
        np.testing.assert_allclose(found[name][0, :, len(theirs) :], var, rtol=2e-3, atol=2e-2)
        assert found[name].shape == (1, 44, 2 * len(theirs))


def test_layers_of_the_network(rng):
    model = SoundNet(depth=5, objects=3, scenes=2, width=0.0625)
    wave, length = rng.integers(-9000, 9000, (2, 60_000), np.int16), np.array([60_000, 30_000], np.int32)
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 60_000)))
    features = Features(("conv1", "pool3", "heads"), steps=10).check(5)
    found = jax.jit(sound_tagger.of_network, static_argnums=(0, 2))(model, variables, features, wave, length)
    scaled = soundnet.scale(jnp.asarray(wave))
    whole = jax.jit(functools.partial(model.apply, layer="conv1", method="features"))(variables, scaled, length)
    np.testing.assert_allclose(found["conv1"], sound_tagger.averaged(whole, 10), rtol=1e-4, atol=1e-6)
    logits = jax.jit(model.apply)(variables, scaled, length)
    both = np.concatenate([logits["object"], logits["scene"]], -1)
    np.testing.assert_allclose(found["heads"], both, rtol=1e-3, atol=1e-5)
    assert found["pool3"].shape == (2, 7, 8)  # 14 steps, 128 channels / 16
    for wrong, message in (
        (Features(("conv9",)), "layers has 'conv9': SoundNet-5 has conv1, pool1"),
        (Features(("conv5",)), "layers has 'conv5'"),
        (Features(("conv1",), steps=0), "steps is 0"),
    ):
        with pytest.raises(OptionError, match=message):
            wrong.check(5)


def test_the_class_layer_is_a_convolution_averaged_over_time(rng):
    assert [sound_tagger.top(depth) for depth in (8, 5)] == ["conv7", "conv4"]
    head = jax.eval_shape(lambda: sound_tagger.fresh_head(jax.random.key(0), SoundNet(), 10 * RATE, 50))
    assert head["kernel"].shape == (4, 1024, 50)  # main_finetune.lua: SpatialConvolution(1024, nClasses, 1, 4)
    short = sound_tagger.fresh_head(jax.random.key(0), SoundNet(depth=5, width=0.125), 57_330, 3)
    assert short["kernel"].shape == (8, 32, 3)  # by hand: 28,666, 3583, 1792, 224, 113, 14, 8 steps
    assert 0.9 / (8 * 32) ** 0.5 < np.abs(short["kernel"]).max() <= 1 / (8 * 32) ** 0.5
    x = rng.normal(size=(2, 6, 5)).astype(np.float32)
    head = {"kernel": rng.normal(size=(4, 5, 3)).astype(np.float32), "bias": np.float32([1, 2, 3])}
    naive = [
        np.mean([np.tensordot(row[t : t + 4], head["kernel"], 2) for t in range(3)], 0) + head["bias"] for row in x
    ]
    np.testing.assert_allclose(sound_tagger.logits(head, x), naive, rtol=1e-4, atol=1e-5)
