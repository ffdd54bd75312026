"""Files of VisualVoice's lip-motion and attribute networks in the official names, and their passes in plain NumPy."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Written(dict):
    """A state dict in the official names and shapes, written out here and not taken from the reader."""

    def __init__(self, seed):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def weight(self, name, *shape):
        scale = (2 / np.prod(shape[1:])) ** 0.5
        self[f"{name}.weight"] = (self.rng.normal(size=shape) * scale).astype(np.float32)

    def bias(self, name, width):
        self[f"{name}.bias"] = (0.1 * self.rng.normal(size=width)).astype(np.float32)

    def norm(self, name, width):
        for leaf, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
            self[f"{name}.{leaf}"] = self.rng.uniform(low, low + 1, width).astype(np.float32)
        self[f"{name}.num_batches_tracked"] = np.asarray(3)

    def slope(self, name, width):
        self[f"{name}.weight"] = self.rng.uniform(-0.5, 0.5, width).astype(np.float32)


def lips(front, widths, depths, last, features, layers, words, seed=0):
    """The lip-motion network; each layer over time is there under two names, as PyTorch saves it."""
    w = Written(seed)
    w.weight("frontend3D.0", front, 1, 5, 7, 7)
    w.norm("frontend3D.1", front)
    w.slope("frontend3D.2", front)
    inside, at = front, 0
    for width, depth in zip(widths, depths):
        for i in range(depth):
            half, name = width // 2, f"trunk.0.{at}"
            if i == 0:
                w.weight(f"{name}.banch1.0", inside, 1, 3, 3)
                w.norm(f"{name}.banch1.1", inside)
                w.weight(f"{name}.banch1.2", half, inside, 1, 1)
                w.norm(f"{name}.banch1.3", half)
            w.weight(f"{name}.banch2.0", half, half if i else inside, 1, 1)
            w.norm(f"{name}.banch2.1", half)
            w.weight(f"{name}.banch2.3", half, 1, 3, 3)
            w.norm(f"{name}.banch2.4", half)
            w.weight(f"{name}.banch2.5", half, half, 1, 1)
            w.norm(f"{name}.banch2.6", half)
            inside, at = width, at + 1
    w.weight("trunk.1.0", last, inside, 1, 1)
    w.norm("trunk.1.1", last)
    inside = last
    for i in range(layers):
        name = f"tcn.tcn_trunk.network.{i}"
        for j in (1, 2):
            w.weight(f"{name}.conv{j}", features, inside if j == 1 else features, 3)
            w.bias(f"{name}.conv{j}", features)
            w.norm(f"{name}.batchnorm{j}", features)
            w.slope(f"{name}.relu{j}", features)
            for leaf in ("weight", "bias"):
                w[f"{name}.net.{5 * j - 5}.{leaf}"] = w[f"{name}.conv{j}.{leaf}"]
        if inside != features:
            w.weight(f"{name}.downsample", features, inside, 1)
            w.bias(f"{name}.downsample", features)
        w.slope(f"{name}.relu", features)
        inside = features
    w.weight("tcn.tcn_output", words, features)
    w.bias("tcn.tcn_output", words)
    return w


def attributes(channels, width, features, seed=0):
    """The network of a face or of a voice, its first layer under two names."""
    w = Written(seed)
    w.weight("feature_extraction.0", width, channels, 7, 7)
    w["conv1.weight"] = w["feature_extraction.0.weight"]
    w.norm("feature_extraction.1", width)
    inside = width
    for stage in range(4):
        out = width * 2**stage
        for block in range(2):
            name = f"feature_extraction.{stage + 4}.{block}"
            w.weight(f"{name}.conv1", out, inside, 3, 3)
            w.norm(f"{name}.bn1", out)
            w.weight(f"{name}.conv2", out, out, 3, 3)
            w.norm(f"{name}.bn2", out)
            if inside != out:
                w.weight(f"{name}.downsample.0", out, inside, 1, 1)
                w.norm(f"{name}.downsample.1", out)
            inside = out
    w.weight("fc", features, inside)
    w.bias("fc", features)
    return w


# -- the passes, channels first as in the official code ----------------------------------------------------------------


def padded(x, pad, value=0.0):
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(pad, pad)] * 2, constant_values=value)


def conv(x, kernel, stride=1, pad=0):
    """x [n c h w] by kernel [o c/g h w]; of as many groups as the kernel has too few channels."""
    windows = sliding_window_view(padded(x, pad), kernel.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    if kernel.shape[1] == 1 and x.shape[1] > 1:
        return np.einsum("nchwij,cij->nchw", windows, kernel[:, 0])
    return np.einsum("nchwij,ocij->nohw", windows, kernel, optimize=True)


def norm(w, x, name):
    scale, bias, mean, var = (w[f"{name}.{k}"] for k in ("weight", "bias", "running_mean", "running_var"))
    lead = (-1,) + (1,) * (x.ndim - 2)
    return ((x.swapaxes(0, 1) - mean.reshape(lead)[:, None]) / np.sqrt(var.reshape(lead)[:, None] + 1e-5)
            * scale.reshape(lead)[:, None] + bias.reshape(lead)[:, None]).swapaxes(0, 1)  # fmt: skip


def prelu(w, x, name):
    slope = w[f"{name}.weight"].reshape((1, -1) + (1,) * (x.ndim - 2))
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


def pool(x):
    return sliding_window_view(padded(x, 1, -np.inf), (3, 3), (2, 3))[:, :, ::2, ::2].max((-2, -1))


def unit(w, x, name, stride):
    def through(x, branch, at, **how):
        return norm(w, conv(x, w[f"{name}.{branch}.{at}.weight"], **how), f"{name}.{branch}.{at + 1}")

    left, right = (x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]) if stride == 1 else (x, x)
    if stride == 2:
        left = np.maximum(through(through(left, "banch1", 0, stride=2, pad=1), "banch1", 2), 0)
    right = np.maximum(through(right, "banch2", 0), 0)
    right = through(right, "banch2", 3, stride=stride, pad=1)
    right = np.maximum(through(right, "banch2", 5), 0)
    both = np.concatenate([left, right], 1)
    n, c, h, wide = both.shape
    return both.reshape(n, 2, c // 2, h, wide).swapaxes(1, 2).reshape(n, c, h, wide)


def temporal(w, x, name, dilation):
    """x [b c f]."""

    def over_time(x, layer):
        kernel = w[f"{name}.{layer}.weight"]
        side = dilation * (kernel.shape[2] // 2)
        wide, frames = np.pad(x, ((0, 0), (0, 0), (side, side))), x.shape[2]
        taps = [wide[:, :, i * dilation : i * dilation + frames] for i in range(kernel.shape[2])]
        return sum(np.einsum("bcf,oc->bof", t, kernel[:, :, i]) for i, t in enumerate(taps)) + w[
            f"{name}.{layer}.bias"
        ].reshape(1, -1, 1)

    y = x
    for j in (1, 2):
        y = prelu(w, norm(w, over_time(y, f"conv{j}"), f"{name}.batchnorm{j}"), f"{name}.relu{j}")
    x = over_time(x, "downsample") if f"{name}.downsample.weight" in w else x
    return prelu(w, x + y, f"{name}.relu")


def of_lips(weights, mouth, depths, layers):
    """mouth [b f h w] of 0..255 -> [b f d], in double precision."""
    w = {k: np.asarray(v, np.float64) for k, v in weights.items()}
    x = (mouth.astype(np.float64) / 255 - 0.421) / 0.165
    (b, f, _, _), kernel = x.shape, w["frontend3D.0.weight"]
    x = np.pad(x, ((0, 0), (2, 2), (0, 0), (0, 0)))
    x = sum(conv(x[:, i : i + f].reshape(b * f, 1, *x.shape[2:]), kernel[:, :, i], 2, 3) for i in range(5))
    x = pool(prelu(w, norm(w, x, "frontend3D.1"), "frontend3D.2"))
    for at, stride in enumerate(1 if i else 2 for depth in depths for i in range(depth)):
        x = unit(w, x, f"trunk.0.{at}", stride)
    x = np.maximum(norm(w, conv(x, w["trunk.1.0.weight"]), "trunk.1.1"), 0)
    x = x.mean((2, 3)).reshape(b, f, -1).swapaxes(1, 2)
    for i in range(layers):
        x = temporal(w, x, f"tcn.tcn_trunk.network.{i}", 2**i)
    return x.swapaxes(1, 2)


def of_attributes(weights, x):
    """x [b c h w] -> [b d], in double precision."""
    w = {k: np.asarray(v, np.float64) for k, v in weights.items()}
    x = pool(np.maximum(norm(w, conv(x, w["feature_extraction.0.weight"], 2, 3), "feature_extraction.1"), 0))
    for stage in range(4):
        for block in range(2):
            at, stride = f"feature_extraction.{stage + 4}.{block}", 2 if stage and not block else 1
            y = np.maximum(norm(w, conv(x, w[f"{at}.conv1.weight"], stride, 1), f"{at}.bn1"), 0)
            y = norm(w, conv(y, w[f"{at}.conv2.weight"], 1, 1), f"{at}.bn2")
            if f"{at}.downsample.0.weight" in w:
                x = norm(w, conv(x, w[f"{at}.downsample.0.weight"], stride), f"{at}.downsample.1")
            x = np.maximum(x + y, 0)
    return x.max((2, 3)) @ w["fc.weight"].T + w["fc.bias"]
