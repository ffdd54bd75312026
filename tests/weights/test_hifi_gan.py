"""HiFi-GAN's generator: a naive NumPy program on a published layout, PyTorch's numbers, sizes and refusals."""

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from mmjax.errors import OptionError, UserError
from mmjax.models.sound.hifi_gan import HiFiGAN
from mmjax.weights import hifi_gan

SMALL = HiFiGAN(4, 8, (3, 2), (7, 4), (3, 5), ((1, 2), (1, 3)))
PLAIN = SMALL.clone(paired=False)


def theirs(rng, model, normalised=True):
    """A state dict in the authors' names and shapes."""
    shapes = {"conv_pre": (8, 4, 7), "conv_post": (1, 2, 7), "ups.0": (8, 4, 7), "ups.1": (4, 2, 4)}
    for block, (width, kernel) in enumerate(((4, 3), (4, 5), (2, 3), (2, 5))):
        for part in ("convs1", "convs2") if model.paired else ("convs",):
            shapes |= {f"resblocks.{block}.{part}.{k}": (width, width, kernel) for k in range(2)}
    found = {}
    for name, shape in shapes.items():
        out = shape[1] if name.startswith("ups") else shape[0]
        found[f"{name}.bias"] = rng.normal(0, 0.3, out).astype(np.float32)
        found[f"{name}.weight_v"] = rng.normal(0, 0.3, shape).astype(np.float32)
        found[f"{name}.weight_g"] = rng.uniform(0.3, 1.5, (shape[0], 1, 1)).astype(np.float32)
    return found if normalised else hifi_gan.folded(found)


def reference(weights, model, mel):
    """The authors' forward pass of [t m], in loops."""

    def weight(name):
        v = weights[f"{name}.weight_v"].astype(np.float64)
        lengths = np.array([np.linalg.norm(row) for row in v])
        return v * (weights[f"{name}.weight_g"][:, 0, 0] / lengths)[:, None, None]

    def conv(name, x, dilation=1):
        w = weight(name)
        reach = dilation * (w.shape[2] - 1) // 2
        padded = np.pad(x, ((reach, reach), (0, 0)))
        rows = [sum(w[:, :, k] @ padded[t + k * dilation] for k in range(w.shape[2])) for t in range(len(x))]
        return np.stack(rows) + weights[f"{name}.bias"]

    def longer(name, x, rate):
        w = weight(name)  # in, out, k
        pad = (w.shape[2] - rate) // 2
        whole = np.zeros(((len(x) - 1) * rate + w.shape[2], w.shape[1]))
        for t, row in enumerate(x):
            whole[t * rate : t * rate + w.shape[2]] += np.einsum("i,iok->ko", row, w)
        return whole[pad : len(whole) - pad] + weights[f"{name}.bias"]

    def leaky(x, slope=0.1):
        return np.where(x > 0, x, slope * x)

    x = conv("conv_pre", mel)
    for i, rate in enumerate(model.rates):
        x, kept = longer(f"ups.{i}", leaky(x), rate), []
        for j, dilations in enumerate(model.dilations):
            y, at = x, f"resblocks.{2 * i + j}"
            for k, dilation in enumerate(dilations):
                new = conv(f"{at}.convs{1 if model.paired else ''}.{k}", leaky(y), dilation)
                y = y + (conv(f"{at}.convs2.{k}", leaky(new)) if model.paired else new)
            kept.append(y)
        x = np.mean(kept, 0)
    return np.tanh(conv("conv_post", leaky(x, 0.01)))[:, 0]


@pytest.mark.parametrize("model", [SMALL, PLAIN])
def test_it_computes_what_a_naive_program_does(tmp_path, rng, model):
    weights = theirs(rng, model)
    save_file({f"generator.{name}": x for name, x in weights.items()}, tmp_path / "g.safetensors")
    variables = hifi_gan.load(tmp_path / "g.safetensors", model)
    mel = rng.normal(size=(2, 5, 4)).astype(np.float32)
    found = jax.jit(model.apply)(variables, mel)
    assert found.shape == (2, 5 * model.hop) == (2, 30)
    for row in range(2):
        np.testing.assert_allclose(found[row], reference(weights, model, mel[row]), atol=1e-5)


def test_it_computes_what_pytorch_does(tmp_path, rng):
    torch = pytest.importorskip("torch")
    f, weights = torch.nn.functional, theirs(rng, SMALL)
    torch.save({"generator": {k: torch.from_numpy(v) for k, v in weights.items()}}, tmp_path / "g_00000001")
    plain = {k: torch.from_numpy(v) for k, v in hifi_gan.folded(weights).items()}
    mel = rng.normal(size=(1, 6, 4)).astype(np.float32)

    def conv(name, x, dilation=1):
        w = plain[f"{name}.weight"]
        return f.conv1d(x, w, plain[f"{name}.bias"], padding=dilation * (w.shape[2] - 1) // 2, dilation=dilation)

    x = conv("conv_pre", torch.from_numpy(mel).transpose(1, 2))
    for i, (rate, kernel) in enumerate(zip(SMALL.rates, SMALL.kernels)):
        w, b = plain[f"ups.{i}.weight"], plain[f"ups.{i}.bias"]
        x, total = f.conv_transpose1d(f.leaky_relu(x, 0.1), w, b, stride=rate, padding=(kernel - rate) // 2), 0
        for j, dilations in enumerate(SMALL.dilations):
            y, at = x, f"resblocks.{2 * i + j}"
            for k, dilation in enumerate(dilations):
                new = conv(f"{at}.convs1.{k}", f.leaky_relu(y, 0.1), dilation)
                y = y + conv(f"{at}.convs2.{k}", f.leaky_relu(new, 0.1))
            total = total + y
        x = total / 2
    wanted = torch.tanh(conv("conv_post", f.leaky_relu(x)))[:, 0].numpy()
    found = SMALL.apply(hifi_gan.load(tmp_path / "g_00000001", SMALL), mel)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_plain_weights_and_the_newer_names_of_the_norm_are_read(tmp_path, rng):
    weights = theirs(rng, SMALL)
    newer = {
        name.replace(".weight_g", ".parametrizations.weight.original0").replace(
            ".weight_v", ".parametrizations.weight.original1"
        ): x
        for name, x in weights.items()
    }
    loaded = []
    for number, form in enumerate((weights, newer, hifi_gan.folded(weights))):
        save_file(form, tmp_path / f"{number}.safetensors")
        loaded.append(hifi_gan.load(tmp_path / f"{number}.safetensors", SMALL))
    jax.tree.map(np.testing.assert_array_equal, *loaded[:2])
    jax.tree.map(np.testing.assert_array_equal, *loaded[1:])


def test_the_size_of_v1_and_what_does_not_fit(tmp_path, rng):
    made = jax.eval_shape(lambda: HiFiGAN().init(jax.random.key(0), np.zeros((1, 2, 80), np.float32)))
    assert sum(x.size for x in jax.tree.leaves(made)) == 13_926_017
    assert HiFiGAN().hop == 256
    save_file(theirs(rng, PLAIN), tmp_path / "g.safetensors")
    with pytest.raises(UserError, match=r"missing: resblocks\.0\.convs1\.0\.weight"):
        hifi_gan.load(tmp_path / "g.safetensors", SMALL)
    for wrong in ({"kernels": (16, 15, 4, 4)}, {"channels": 40}, {"rates": (8, 8, 2)}):
        with pytest.raises(OptionError):
            HiFiGAN(**wrong).checked()
