"""VisualVoice's networks from their published layouts: sizes, an independent forward pass, refusals, the licence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import visual_voice_writer as writer
from safetensors.numpy import save_file

from mmjax.errors import UserError
from mmjax.models.joint.visual_voice import Attributes, VisualVoiceUNet
from mmjax.models.vision.lip_motion import LipMotion
from mmjax.weights import licence, visual_voice

WIDTH, SEEN = 2, 3  # of the small network


def random_weights(rng):
    """A state dict in the published names and shapes, written out here and not taken from the importer."""
    weights = {}

    def conv(name, *shape):
        fan = shape[1] * shape[2] * shape[3]
        weights[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32) * np.float32((2 / fan) ** 0.5)
        out = shape[1] if name in ("audionet_upconvlayer7.0", "audionet_upconvlayer8.0") else shape[0]
        weights[f"{name}.bias"] = rng.normal(size=out).astype(np.float32) * np.float32(0.1)

    def norm(name, width):
        for leaf, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
            weights[f"{name}.{leaf}"] = rng.uniform(low, low + 1, width).astype(np.float32)
        weights[f"{name}.num_batches_tracked"] = np.asarray(3)

    inside = 2
    for i, times in enumerate((1, 2), start=1):
        conv(f"audionet_convlayer{i}.0", WIDTH * times, inside, 4, 4)
        norm(f"audionet_convlayer{i}.1", inside := WIDTH * times)
    for i, times in enumerate((4, 8, 8, 8, 8, 8), start=3):
        for at in (0, 3):
            conv(f"audionet_convlayer{i}.conv.{at}", WIDTH * times, inside, 3, 3)
            norm(f"audionet_convlayer{i}.conv.{at + 1}", inside := WIDTH * times)
    inside += SEEN
    for i, (times, beside) in enumerate(zip((8, 8, 8, 8, 4, 2), (8, 8, 8, 8, 4, 2)), start=1):
        conv(f"audionet_upconvlayer{i}.up.1", WIDTH * times, inside, 3, 3)
        norm(f"audionet_upconvlayer{i}.up.2", WIDTH * times)
        inside = WIDTH * (times + beside)
    conv("audionet_upconvlayer7.0", inside, WIDTH, 4, 4)
    norm("audionet_upconvlayer7.1", WIDTH)
    conv("audionet_upconvlayer8.0", 2 * WIDTH, 2, 4, 4)
    return weights


def reference(torch, weights, sound, seen):
    """The forward pass in plain torch functions."""
    f, t = torch.nn.functional, {k: torch.from_numpy(np.array(v)) for k, v in weights.items()}

    def conv(x, name, **how):
        return f.conv2d(x, t[f"{name}.weight"], t[f"{name}.bias"], padding=1, **how)

    def norm(x, name):
        return f.batch_norm(x, *(t[f"{name}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")))

    x, kept = torch.from_numpy(sound).permute(0, 3, 1, 2)[:, :, :-1], []
    for i in (1, 2):
        at = f"audionet_convlayer{i}"
        x = f.leaky_relu(norm(conv(x, f"{at}.0", stride=2), f"{at}.1"), 0.2)
        kept.append(x)
    for i in range(3, 9):
        for part in (0, 3):
            at = f"audionet_convlayer{i}.conv"
            x = f.leaky_relu(norm(conv(x, f"{at}.{part}"), f"{at}.{part + 1}"), 0.2)
        x = f.max_pool2d(x, (2, 1))
        kept.append(x)
    x = torch.cat([torch.from_numpy(seen).permute(0, 2, 1)[:, :, None], kept.pop()], 1)
    for i in range(1, 7):
        x = f.interpolate(x, scale_factor=(2.0, 1.0))
        x = f.relu(norm(conv(x, f"audionet_upconvlayer{i}.up.1"), f"audionet_upconvlayer{i}.up.2"))
        x = torch.cat([x, kept.pop()], 1)
    spread = lambda x, i: f.conv_transpose2d(  # noqa: E731
        x, t[f"audionet_upconvlayer{i}.0.weight"], t[f"audionet_upconvlayer{i}.0.bias"], stride=2, padding=1
    )
    x = torch.cat([f.relu(norm(spread(x, 7), "audionet_upconvlayer7.1")), kept.pop()], 1)
    return (5 * torch.tanh(spread(x, 8))).permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    rng = np.random.default_rng(0)
    weights = random_weights(rng)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(weights, path)
    sound = rng.standard_normal((2, 257, 16, 2)).astype(np.float32)
    seen = rng.standard_normal((2, 4, SEEN)).astype(np.float32)
    model = VisualVoiceUNet(WIDTH)
    variables = visual_voice.load(path, model, SEEN)
    return weights, path, sound, seen, np.asarray(jax.jit(model.apply)(variables, sound, seen))


def test_masks_equal_an_independent_forward_pass(small):
    torch = pytest.importorskip("torch")
    weights, _, sound, seen, found = small
    wanted = reference(torch, weights, sound, seen)
    np.testing.assert_allclose(found[:, :-1], wanted, atol=1e-4 * np.abs(wanted).max())
    assert wanted.min() < -1


def test_the_last_bin_stays_the_mixtures_and_masks_are_what_they_were(small):
    found = small[-1]
    assert found.shape == (2, 257, 16, 2)
    assert (found[:, -1] == [1, 0]).all()
    np.testing.assert_allclose(found[0, 100, :3, 0], GOLDEN, atol=1e-4)


GOLDEN = [0.2799, -0.292547, 0.466326]  # of the seeded weights and sounds above, checked against PyTorch


def test_sizes_are_those_of_the_released_network():
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 257, 256, 2), (1, 64, 640))]
    out, variables = jax.eval_shape(lambda *x: VisualVoiceUNet().init_with_output(jax.random.key(0), *x), *inputs)
    assert out.shape == (1, 257, 256, 2)
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == 46_135_682


def test_what_does_not_fit_is_named_and_the_licence_told(small, tmp_path, monkeypatch, capsys):
    with pytest.raises(UserError, match=r"wrong shape: .*upconvlayer1\.up\.1\.weight is \(16, 19, 3, 3\)"):
        visual_voice.load(small[1], VisualVoiceUNet(WIDTH), SEEN + 1)
    monkeypatch.setattr(licence, "_TOLD", set())
    licence.tell("unet_best.pth", tmp_path / "unet_best.pth", {})
    assert "CC-BY-NC-4.0" in (said := capsys.readouterr().err)
    assert "NOT FOR COMMERCIAL USE" in said


# -- lips, face and voice ----------------------------------------------------------------------------------------------

LIPS = {"front": 4, "widths": (4, 6, 8), "depths": (2, 1, 1), "last": 5, "features": 6, "layers": 2}


def test_lips_equal_an_independent_forward_pass(tmp_path, rng):
    weights = writer.lips(**LIPS, words=7)
    save_file(weights, tmp_path / "lips.safetensors")
    model = LipMotion(**LIPS)
    variables = visual_voice.load_lips(tmp_path / "lips.safetensors", model)
    mouth = rng.integers(0, 256, (2, 9, 40, 40)).astype(np.uint8)
    found = jax.jit(model.apply)(variables, mouth)
    wanted = writer.of_lips(weights, mouth, LIPS["depths"], LIPS["layers"])
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    assert np.std(wanted, 1).min() > 1e-3  # each feature changes as the lips do
    with pytest.raises(UserError, match=r"missing: trunk\.0\.4\.banch2\.0\.weight"):
        visual_voice.load_lips(tmp_path / "lips.safetensors", LipMotion(**{**LIPS, "depths": (2, 1, 2)}))


@pytest.mark.parametrize("channels", [3, 2])
def test_attributes_equal_an_independent_forward_pass(tmp_path, rng, channels):
    weights = writer.attributes(channels, 4, 5)
    save_file(weights, tmp_path / "w.safetensors")
    model = Attributes(5, 4)
    variables = visual_voice.load_attributes(tmp_path / "w.safetensors", model, channels)
    x = rng.normal(size=(2, 40, 48, channels)).astype(np.float32)
    found = jax.jit(model.apply)(variables, x)
    wanted = writer.of_attributes(weights, x.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    with pytest.raises(UserError, match=r"wrong shape: .*fc\.weight is \(5, 32\), wanted \(6, 32\)"):
        visual_voice.load_attributes(tmp_path / "w.safetensors", Attributes(6, 4), channels)


@pytest.mark.parametrize(("channels", "size"), [(3, 11_242_176), (2, 11_239_040)])
def test_attributes_have_the_released_size(channels, size):
    example = jax.ShapeDtypeStruct((2, 224, 224, channels), jnp.float32)
    out, variables = jax.eval_shape(lambda x: Attributes().init_with_output(jax.random.key(0), x), example)
    assert out.shape == (2, 128)
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == size


def test_a_folder_has_some_of_the_networks(tmp_path):
    with pytest.raises(UserError, match=r"has no weights of VisualVoice: there is none of lipreading_best\.pth"):
        visual_voice.find(tmp_path)
    for name in ("facial.pth", "unet_latest.pth", "unet_best.pth"):
        (tmp_path / name).touch()
    assert visual_voice.find(tmp_path) == {"face": tmp_path / "facial.pth", "mask": tmp_path / "unet_best.pth"}
