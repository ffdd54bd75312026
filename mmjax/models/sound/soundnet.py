"""SoundNet: a convolutional network on the raw waveform (Aytar, Vondrick and Torralba 2016, tables 1 and 2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.errors import OptionError, UserError
from mmjax.models.blocks.convolution_1d import channels_alone1d, conv1d, conv_pool_moments, max_pool1d, steps_out
from mmjax.models.blocks.norm import BatchNorm, merge, moments, of_batch
from mmjax.ops import platform


@dataclasses.dataclass(frozen=True)
class Layer:
    """A row of the paper's table: a convolution, and the window of the max-pooling after it (1: none)."""

    out: int
    kernel: int
    stride: int
    pad: int
    pool: int = 1


TRUNK: dict[int, tuple[Layer, ...]] = {
    8: (
        Layer(16, 64, 2, 32, pool=8),
        Layer(32, 32, 2, 16, pool=8),
        Layer(64, 16, 2, 8),
        Layer(128, 8, 2, 4),
        Layer(256, 4, 2, 2, pool=4),
        Layer(512, 4, 2, 2),
        Layer(1024, 4, 2, 2),
    ),
    5: (
        Layer(32, 64, 2, 32, pool=8),
        Layer(64, 32, 2, 16, pool=8),
        Layer(128, 16, 2, 8, pool=8),
        Layer(256, 8, 2, 4),
    ),
}
FORMS = ("auto", "accelerator", "cpu")  # in which convolutions are computed
HEAD: dict[int, Layer] = {8: Layer(0, 8, 2, 0), 5: Layer(0, 16, 12, 4)}  # as many outputs as there are classes


def _table(depth: int) -> tuple[Layer, ...]:
    if depth not in TRUNK:
        raise OptionError("depth", f"is {depth!r}: SoundNet has 5 or 8 layers")
    return (*TRUNK[depth], HEAD[depth])


def layer_names(depth: int) -> tuple[str, ...]:
    """What `SoundNet.features` can return, from the input upwards: conv1, pool1, conv2, ..."""
    names = []
    for i, layer in enumerate(_table(depth), 1):
        names += [f"conv{i}"] + [f"pool{i}"] * (layer.pool > 1)
    return tuple(names)


def output_steps(samples, depth: int, layer: str | None = None):
    """Time steps of a layer (default: of the heads) for so many input samples, an int or an integer array."""
    names = layer_names(depth)
    if layer not in (None, *names):
        raise UserError(f"no layer {layer!r}: the {depth}-layer SoundNet has {', '.join(names)}")
    steps = samples
    for i, row in enumerate(_table(depth), 1):
        steps = steps_out(steps, row.kernel, row.stride, row.pad)
        if layer == f"conv{i}":
            break
        steps = steps // row.pool
        if layer == f"pool{i}":
            break
    return steps


def minimum(depth: int) -> int:
    """The shortest input, in samples, that gives one output step: 209,374 (9.5 s) for 8 layers, 56,798 for 5.

    Six seconds, often quoted, give the 8-layer network's conv8 (kernel 8) an input of 5 steps only.
    """
    steps = 1
    for row in reversed(_table(depth)):
        steps = (steps * row.pool - 1) * row.stride + row.kernel - 2 * row.pad
    return steps


def scale(waveform: Int[Array, "b t"]) -> Float[Array, "b t"]:
    """The input scale that SoundNet was trained with: int16 full scale becomes [-256, 256), float32."""
    return waveform.astype(jnp.float32) * jnp.float32(256 / 32768)


def tile(waveform: Float[Array, "b t"], length: Int[Array, " b"] | None, to: int) -> Float[Array, "b u"]:
    """Repeats each row's own first `length` samples over the whole row, which grows to at least `to` samples.

    Padding is overwritten by sound, so that no silence that was never recorded enters the batch statistics.

    Args:
      waveform: [b t], any dtype.
      length: samples of each row that are sound, 1..t; None for all t. A row of length 0 repeats its first sample.
      to: samples wanted; rows already longer keep their width.
    """
    samples = waveform.shape[1]
    width = max(samples, to)
    if length is None:
        return jnp.tile(waveform, (1, -(-width // samples)))[:, :width]
    length = jnp.clip(length, 1, samples)
    index = jnp.arange(width, dtype=length.dtype)[None] % length[:, None]
    return jnp.take_along_axis(waveform, index, axis=1, mode="promise_in_bounds")


class SoundNet(nn.Module):
    """The 8- or the 5-layer SoundNet with an object head and a scene head over each output step.

    Every convolution of the trunk is followed by batch normalisation, ReLU and, where the table says so,
    max-pooling. Initialisation is the original's: kernels N(0, .01), gains N(1, .02), biases 0.

    Attributes:
      depth: 8 or 5.
      objects: classes of the object head; 0 leaves the head out.
      scenes: classes of the scene head; 0 leaves the head out.
      width: multiplies the channels of the trunk; 1 is the paper's.
      conv_bias: gives the trunk's convolutions the biases of the original and of its published weights (14,352,713
        parameters for 8 layers). Off by default: batch normalisation takes a bias away again, so that it has no
        gradient but rounding noise, which Adam amplifies.
      dtype: of the computation; parameters, statistics and logits stay float32.
      conv: "accelerator" or "cpu", the form in which convolutions are computed; "auto" asks JAX where it runs.
      separable: whether the trunk's convolutions after the first are of each channel alone and then of a step, as
        MobileNet's are over places (Howard et al. 2017), without an activation in between.
      stem: multiplies the channels of the first convolution, half of the paper's multiply-adds; 0 = as `width`.
    """

    depth: int = 8
    objects: int = 1000
    scenes: int = 401
    width: float = 1.0
    conv_bias: bool = False
    dtype: Any = "float32"
    conv: str = "auto"
    separable: bool = False
    stem: float = 0.0

    def checked(self) -> SoundNet:
        """Itself; raises OptionError for a depth or a form of convolution that there is not."""
        _table(self.depth)
        if self.conv not in FORMS:
            raise OptionError("conv", f"is {self.conv!r}: choose {', '.join(FORMS)}")
        return self

    def channels(self, params: str, state: str) -> tuple[dict[str, tuple[tuple[int, ...], int]], ...]:
        """What stands or falls together, `task.Channels`, layer by layer of the trunk.

        Args:
          params, state: where the network's own lie.
        """
        found: list[dict[str, tuple[tuple[int, ...], int]]] = []
        last = len(_table(self.depth)) - 1
        heads = [name for name, classes in (("object", self.objects), ("scene", self.scenes)) if classes]
        for i in range(1, last + 1):
            own = [f"{params}/norm{i}/scale", f"{params}/norm{i}/bias", f"{state}/norm{i}/mean", f"{state}/norm{i}/var"]
            own += [f"{params}/conv{i}/bias"] if self.conv_bias else []
            readers = [f"alone{i + 1}"] if self.separable and i < last else []
            readers += [f"conv{i + 1}/kernel"] if i < last else [f"{head}/kernel" for head in heads]
            group = {f"{params}/conv{i}/kernel": ((2,), 1), **dict.fromkeys(own, ((0,), 1))}
            found.append({**group, **{f"{params}/{reader}": ((1,), 1) for reader in readers}})
        return tuple(found)

    def __call__(
        self, waveform: Float[Array, "b t"], length: Int[Array, " b"] | None = None, *, train: bool = False
    ) -> dict[str, Array]:
        """Logits of each output step.

        Args:
          waveform: [b t] in [-256, 256] at 22,050 Hz, see `scale`; tiled to `minimum(depth)` where shorter.
          length: [b], samples of each row that are sound; None for all. Rows are tiled over their padding.
          train: normalise by the batch and update the collection "state", which must then be mutable.

        Returns:
          "object": [b s objects] and "scene": [b s scenes], float32, each absent when it has no classes;
          "where": bool [b s], True for the steps that the row's own (tiled) length gives, at least one.
        """
        logits = self._run(waveform, length, train, ())
        samples = jnp.int32(waveform.shape[1]) if length is None else length
        own = output_steps(jnp.maximum(samples, minimum(self.depth)), self.depth)
        steps = jnp.arange(next(iter(logits.values())).shape[1], dtype=own.dtype)
        where = jnp.broadcast_to(steps[None] < own.reshape(-1, 1), (waveform.shape[0], steps.size))
        return {**logits, "where": where}

    def features(
        self,
        waveform: Float[Array, "b t"],
        length: Int[Array, " b"] | None = None,
        *,
        layer: str = "pool5",
        train: bool = False,
    ) -> Float[Array, "b u c"]:
        """Activations [b u c] of a layer: convN after normalisation and ReLU, poolN after pooling, the last conv
        as the logits of both heads, objects first. Arguments as for `__call__`; u is `output_steps(t, depth, layer)`.

        Use: `model.apply(variables, waveform, layer="conv7", method="features")`.
        """
        return self.activations(waveform, length, layers=(layer,), train=train)[layer]

    def activations(
        self,
        waveform: Float[Array, "b t"],
        length: Int[Array, " b"] | None = None,
        *,
        layers: Sequence[str],
        train: bool = False,
    ) -> dict[str, Float[Array, "b u c"]]:
        """{layer: activations [b u c]} of several layers in one pass; each as `features` gives it."""
        for layer in layers:
            output_steps(0, self.depth, layer)  # refuses a layer that is not there
        return self._run(waveform, length, train, tuple(layers))

    @nn.compact
    def _run(self, waveform, length, train, wanted):
        """The layers that are `wanted`, and nothing beyond the last of them; the logits as a dict where that is ()."""
        *trunk, last = _table(self.depth)
        found = {}
        if self.objects + self.scenes == 0:
            raise UserError("objects and scenes are both 0: SoundNet needs at least one head")
        x = tile(waveform, length, minimum(self.depth))[..., None].astype(self.dtype)  # [b t 1]
        for i, row in enumerate(trunk, 1):
            whole = f"conv{i}" in wanted
            x = self._block(i, row, x, train, keep_steps=whole)
            if whole:
                found[f"conv{i}"] = x
                x = max_pool1d(x, row.pool) if row.pool > 1 and set(wanted) - set(found) else x
            found |= {f"pool{i}": x} if f"pool{i}" in wanted else {}
            if wanted and not set(wanted) - set(found):
                return found
        heads = {"object": self.objects, "scene": self.scenes}
        logits = {name: self._head(name, last, x, classes) for name, classes in heads.items() if classes}
        both = {f"conv{len(trunk) + 1}": jnp.concatenate(list(logits.values()), axis=-1)}
        return found | both if wanted else logits

    def _block(self, i, row, x, train, keep_steps):
        """Convolution, batch norm, ReLU and max-pooling (left out if `keep_steps`), pooling before the affine map.

        max over a window of relu(gain y + offset) is relu(|gain| max(sign(gain) y) + offset), exactly and for gains
        of either sign; so normalisation and ReLU see an eighth of the steps. The sign goes into the kernel.
        """
        out = max(1, round(row.out * (self.stem if i == 1 and self.stem else self.width)))
        pool = 1 if keep_steps else row.pool
        if self.separable and i > 1:
            alone = self.param(f"alone{i}", nn.initializers.normal(0.1), (row.kernel, x.shape[-1]), jnp.float32)
            x = channels_alone1d(x, alone.astype(self.dtype), row.stride, row.pad, cpu=self._cpu)
            row = Layer(row.out, 1, 1, 0, row.pool)
        kernel, bias = Weights(out, row.kernel, self.conv_bias, name=f"conv{i}")(x.shape[-1])
        by_batch = train or of_batch()
        norm = BatchNorm(scale_init=_around_one, name=f"norm{i}")
        sign = jnp.where(norm.affine(out)[0] < 0, jnp.float32(-1), jnp.float32(1))
        kernel = (kernel * sign[None, None]).astype(self.dtype)
        batch: Any
        if self._cpu and pool > 1 and x.shape[-1] == 1:
            y, (mean, var, n) = conv_pool_moments(x, kernel, row.stride, row.pad, pool)
            batch = merge(mean, var, n)
        else:
            y = conv1d(x, kernel, row.stride, row.pad, cpu=self._cpu)
            batch = moments(y) if by_batch else None
            y = max_pool1d(y, pool) if pool > 1 else y
        if by_batch:
            mean, var, n = batch
            batch = (mean * sign + bias, var, n)
        gain, offset = norm.affine(out, batch if by_batch else None)
        y = y.astype(jnp.float32) * (gain * sign)[None, None] + (offset + bias * gain)[None, None]
        return nn.relu(y).astype(self.dtype)

    def _head(self, name, row, x, classes):
        kernel, bias = Weights(classes, row.kernel, True, name=name)(x.shape[-1])
        y = conv1d(x, kernel.astype(self.dtype), row.stride, row.pad, cpu=self._cpu)
        return y.astype(jnp.float32) + bias[None, None]

    @property
    def _cpu(self) -> bool:
        return self.checked().conv == "cpu" or (self.conv == "auto" and platform.cpu())


def _around_one(key, shape, dtype=jnp.float32):
    """The original's gains: N(1, .02)."""
    return 1.0 + nn.initializers.normal(0.02)(key, shape, dtype)


class Weights(nn.Module):
    """The parameters of a convolution over time: kernel [k c o] from N(0, .01) and bias [o], 0 where there is none."""

    out: int
    kernel: int
    use_bias: bool

    @nn.compact
    def __call__(self, channels: int) -> tuple[Float[Array, "k c o"], Float[Array, " o"]]:
        shape = (self.kernel, channels, self.out)
        kernel = self.param("kernel", nn.initializers.normal(0.01), shape, jnp.float32)
        if not self.use_bias:
            return kernel, jnp.zeros((self.out,), jnp.float32)
        return kernel, self.param("bias", nn.initializers.zeros, (self.out,), jnp.float32)
