"""Released weights of LVS, EZ-VSL and SLAVC: the maps of an independent forward pass, and clear refusals."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.errors import UserError
from mmjax.models.joint.localiser import Localiser, heat
from mmjax.models.vision.resnet import MEAN, STD
from mmjax.weights import localisers

NAMES = {"lvs": 0, "ez_vsl": 1, "slavc": 2}
SECONDS = 1.0


def model_of(name):
    projections = NAMES[name]
    return Localiser("resnet18", 512, projections, last_stride=1 if projections == 0 else 2)


def random_weights(rng, name):
    """A state dict in the official names and shapes, written out here and not taken from the importer."""
    weights = {}

    def tower(at, first):
        def conv(name, out, inside, kernel):
            scale = np.float32((2 / (inside * kernel**2)) ** 0.5)
            weights[f"{at}.{name}.weight"] = rng.normal(size=(out, inside, kernel, kernel)).astype(np.float32) * scale

        def norm(name, width):
            for leaf, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
                weights[f"{at}.{name}.{leaf}"] = rng.uniform(low, low + 1, width).astype(np.float32)
            weights[f"{at}.{name}.num_batches_tracked"] = np.int64(3)

        for layer, channels in first.items():
            conv(layer, 64, channels, 7)
        norm("bn1", 64)
        inside = 64
        for stage in range(1, 5):
            width = 32 * 2**stage
            for block in range(2):
                here = f"layer{stage}.{block}"
                conv(f"{here}.conv1", width, inside, 3)
                norm(f"{here}.bn1", width)
                conv(f"{here}.conv2", width, width, 3)
                norm(f"{here}.bn2", width)
                if inside != width:
                    conv(f"{here}.downsample.0", width, inside, 1)
                    norm(f"{here}.downsample.1", width)
                inside = width

    for prefix in ("", "momentum_") if name == "slavc" else ("",):
        both = {"conv1_a": 1, "conv1": 3, "conv1_flow": 6}
        tower(f"{prefix}imgnet", both if name == "lvs" else {"conv1": 3})
        tower(f"{prefix}audnet", both if name == "lvs" else {"conv1": 1})
        for number in {"lvs": (), "ez_vsl": ("",), "slavc": ("1", "2")}[name]:
            for at, shape in (("img_proj", (512, 512, 1, 1)), ("aud_proj", (512, 512))):
                weights[f"{prefix}{at}{number}.weight"] = rng.normal(size=shape).astype(np.float32) * np.float32(0.05)
                weights[f"{prefix}{at}{number}.bias"] = rng.normal(size=512).astype(np.float32) * np.float32(0.1)
    if name == "lvs":
        for at in ("imgnet", "audnet"):
            weights[f"{at}.fc.weight"], weights[f"{at}.fc.bias"] = np.zeros((1000, 512), np.float32), np.zeros(1000)
    return weights


def reference(torch, weights, name, image, spectrum, prefix=""):
    """The official networks' cosines in plain torch functions: [b h w], of one pair of projections after the other."""
    f = torch.nn.functional
    w = {key: torch.from_numpy(np.array(value)) for key, value in weights.items()}

    def layer(x, conv, norm, stride):
        kernel = w[f"{conv}.weight"]
        x = f.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        return f.batch_norm(x, *(w[f"{norm}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")))

    def tower(x, at, first):
        x = f.max_pool2d(f.relu(layer(x, f"{at}.{first}", f"{at}.bn1", 2)), 3, 2, 1)
        for stage in range(1, 5):
            for block in range(2):
                last = 1 if name == "lvs" and stage == 4 else 2
                here, stride = f"{at}.layer{stage}.{block}", last if stage > 1 and block == 0 else 1
                y = f.relu(layer(x, f"{here}.conv1", f"{here}.bn1", stride))
                y = layer(y, f"{here}.conv2", f"{here}.bn2", 1)
                if f"{here}.downsample.0.weight" in w:
                    x = layer(x, f"{here}.downsample.0", f"{here}.downsample.1", stride)
                x = f.relu(x + y)
        return x

    pixels = (torch.from_numpy(image).float() - torch.tensor(MEAN)) / torch.tensor(STD)
    places = tower(pixels.permute(0, 3, 1, 2), f"{prefix}imgnet", "conv1")
    sound = torch.from_numpy(np.ascontiguousarray(spectrum))[:, None].float()
    sound = tower(sound, f"{prefix}audnet", "conv1_a" if name == "lvs" else "conv1").amax((2, 3))
    found = []
    for number in {"lvs": (None,), "ez_vsl": ("",), "slavc": ("1", "2")}[name]:
        p, s = places, sound
        if number is not None:
            p = f.conv2d(p, w[f"{prefix}img_proj{number}.weight"], w[f"{prefix}img_proj{number}.bias"])
            s = f.linear(s, w[f"{prefix}aud_proj{number}.weight"], w[f"{prefix}aud_proj{number}.bias"])
        found.append(torch.einsum("nchw,nc->nhw", f.normalize(p, dim=1), f.normalize(s, dim=1)))
    return torch.stack(found).mean(0).numpy()


def spectra(waveform):
    """scipy's own, as the official loaders call it, divided by 12."""
    signal = pytest.importorskip("scipy.signal")
    _, _, found = signal.spectrogram(waveform / np.float32(32_768), 22_050, nperseg=512, noverlap=274)
    return np.log(found + 1e-7) / 12


@pytest.mark.parametrize("name", NAMES)
def test_maps_equal_an_independent_forward_pass(tmp_path, rng, name):
    torch = pytest.importorskip("torch")
    weights = random_weights(rng, name)
    image = rng.integers(0, 256, (2, 96, 64, 3)).astype(np.uint8)
    waveform = rng.integers(-9000, 9000, (2, int(SECONDS * 22_050))).astype(np.int16)
    wrapped = {f"module.{key}": torch.from_numpy(np.array(value)) for key, value in weights.items()}
    path = tmp_path / "best.pth"
    torch.save({"model_state_dict" if name == "lvs" else "model": wrapped, "epoch": 3}, path)
    model = model_of(name)
    found = localisers.load(path, model)
    momentum = found.pop("momentum", None)
    assert (momentum is not None) == (name == "slavc")
    for prefix, variables in {"": found, **({"momentum_": momentum} if momentum else {})}.items():
        ours = heat(*jax.jit(model.apply)(variables, image, waveform))
        np.testing.assert_allclose(ours, reference(torch, weights, name, image, spectra(waveform), prefix), atol=1e-5)


@pytest.mark.parametrize(("name", "count"), [("lvs", 22_346_752), ("ez_vsl", 22_872_064), ("slavc", 23_397_376)])
def test_every_tensor_is_read_and_no_other(rng, name, count):
    weights = random_weights(rng, name)
    found = localisers.convert(weights, model_of(name), "here")
    assert sum(x.size for x in jax.tree.leaves(found["params"])) == count
    np.testing.assert_array_equal(
        found["params"]["sound"]["stem"]["kernel"][:, :, 0, 5],
        weights["audnet.conv1_a.weight" if name == "lvs" else "audnet.conv1.weight"][5, 0],
    )
    missing = {key: value for key, value in weights.items() if key != "imgnet.bn1.bias"}
    with pytest.raises(UserError, match=r"here: .*missing: imgnet.bn1.bias"):
        localisers.convert(missing, model_of(name), "here")
    with pytest.raises(UserError, match="these are not the weights of this network"):
        localisers.convert(weights, model_of("slavc" if name == "ez_vsl" else "ez_vsl"), "here")
    with pytest.raises(UserError, match="not of the trunk 'light'"):
        localisers.convert(weights, Localiser("light"), "here")


def test_shapes_at_the_published_sizes():
    image = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.uint8)
    for name, side in (("lvs", 14), ("ez_vsl", 7), ("slavc", 7)):
        model, k = model_of(name), max(1, NAMES[name])
        waveform = jax.ShapeDtypeStruct((2, (10 if name == "lvs" else 3) * 22_050), jnp.int16)
        (places, sounds), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), image, waveform)
        assert (places.shape, sounds.shape) == ((2, side, side, k, 512), (2, k, 512))
