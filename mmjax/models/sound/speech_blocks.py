"""What Tacotron 2 is made of beside its decoder: convolutions over time, a bidirectional LSTM, dropout beforehand.

Padding is zeroed before every convolution and left out of every mean, so that a short sentence beside a longer one
gives what it gives alone. (NVIDIA's and torchaudio's code lets what stands in the padding into the convolutions: there
the two differ by some per cent.)
"""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmjax.models.blocks import shared_scan
from mmjax.models.blocks.convolution_1d import conv1d
from mmjax.models.blocks.norm import BatchNorm
from mmjax.models.blocks.recurrent import Table, affine, declare, drop, lstm, uniform

GAIN = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}  # torch.nn.init.calculate_gain


def xavier(then: str = "linear") -> nn.initializers.Initializer:
    """Glorot and Bengio 2010, eq. 16, with the gain of the function that follows; [... in out], fans over what is left.

    Args:
      then: "linear", "sigmoid", "tanh" or "relu".
    """
    return nn.initializers.variance_scaling(GAIN[then] ** 2, "fan_avg", "uniform")


def lstm_table(units: int, inputs: dict[str, int], prefix: str = "") -> Table:
    """The parameters of an LSTM cell as PyTorch has them, both biases too: U(+-1/sqrt(units)).

    Args:
      units: n.
      inputs: {name: size} of what goes in: a matrix [size 4n] each. The state's is "hidden".
      prefix: of every name.
    """
    shapes = {name: (size, 4 * units) for name, size in {**inputs, "hidden": units}.items()}
    draw = uniform(units**-0.5)
    biases = {"bias": (4 * units,), "hidden_bias": (4 * units,)}
    return {f"{prefix}{name}": (draw, shape) for name, shape in {**shapes, **biases}.items()}


class ConvNorm(nn.Module):
    """A convolution that keeps the length, and batch normalisation: [b t c] -> [b t out].

    Attributes:
      out: channels.
      kernel: steps, odd.
      then: what follows, for the gain of the first weights.
      dtype: of the convolution.
    """

    out: int
    kernel: int
    then: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t c"], where: Bool[Array, "b t"], train: bool) -> Float[Array, "b t o"]:
        shape = (self.kernel, x.shape[-1], self.out)
        kernel = self.param("kernel", xavier(self.then), shape, jnp.float32)
        bias = self.param("bias", uniform((self.kernel * x.shape[-1]) ** -0.5), (self.out,), jnp.float32)
        x = jnp.where(where[..., None], x, jnp.zeros((), x.dtype)).astype(self.dtype)
        y = conv1d(x, kernel.astype(self.dtype), 1, self.kernel // 2) + bias.astype(self.dtype).reshape(1, 1, -1)
        return BatchNorm(name="norm")(y, train=train, where=where)


class Bidirectional(nn.Module):
    """An LSTM in each direction over the real steps of each row; outputs side by side, 0 in the padding.

    Attributes:
      units: of each direction.
      dtype: of the products.
      summed: the outputs are added up and not side by side.
      biases: of each direction: 2, as PyTorch has them, or 1, as Keras.
    """

    units: int
    dtype: Any = jnp.float32
    summed: bool = False
    biases: int = 2

    @nn.compact
    def __call__(self, x: Float[Array, "b t c"], where: Bool[Array, "b t"]) -> Float[Array, "b t n"]:
        there = self._one("forward", x, where)
        back = self._one("backward", x[:, ::-1], where[:, ::-1])[:, ::-1]
        return there + back if self.summed else jnp.concatenate([there, back], -1)

    def _one(self, name, x, where):
        table = dict(lstm_table(self.units, {"input": x.shape[-1]}, f"{name}_"))
        if self.biases == 1:
            del table[f"{name}_hidden_bias"]
        w = {key: value.astype(self.dtype) for key, value in declare(self, table).items()}
        bias = w[f"{name}_bias"] + (w[f"{name}_hidden_bias"] if self.biases == 2 else 0)
        gates = affine(x, w[f"{name}_input"], bias)

        def body(use, carry, inputs):
            gates, real = inputs
            new = lstm(gates + use("hidden", carry[0]), carry[1])
            # Before the first real step of a reversed row, and after the last of a row, the state is 0.
            carry = tuple(jnp.where(real[:, None], value, jnp.zeros((), value.dtype)) for value in new)
            return carry, carry[0]

        zeros = jnp.zeros((x.shape[0], self.units), self.dtype)
        shared = {"hidden": w[f"{name}_hidden"]}
        uses = {"hidden": shared_scan.PRODUCT}
        xs = (gates.swapaxes(0, 1), where.T)
        return shared_scan.scan(body, uses, shared, (zeros, zeros), xs)[1].swapaxes(0, 1)  # t b n -> b t n


class Encoder(nn.Module):
    """Convolutions with ReLU and a bidirectional LSTM over the vectors of symbols (Shen et al. 2018, section 2.2).

    Attributes:
      layers: convolutions.
      kernel: of each, in symbols.
      dropout: behind each.
      dtype: of the products.
    """

    layers: int
    kernel: int
    dropout: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b u e"], where: Bool[Array, "b u"], train: bool) -> Float[Array, "b u e"]:
        width, key = x.shape[-1], (lambda: self.make_rng("dropout")) if train else None
        for i in range(self.layers):
            x = nn.relu(ConvNorm(width, self.kernel, "relu", self.dtype, name=f"conv{i}")(x, where, train))
            x = drop(x, self.dropout, key)
        return Bidirectional(width // 2, self.dtype, name="lstm")(x, where)


class Postnet(nn.Module):
    """What is to be added to a mel spectrogram that was written step by step (Shen et al. 2018, section 2.2).

    Attributes:
      layers: convolutions, of which all but the last are followed by a tanh.
      units: channels of all but the last.
      kernel: of each, in frames.
      dropout: behind each, behind the last too.
      dtype: of the convolutions.
    """

    layers: int
    units: int
    kernel: int
    dropout: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, mel: Float[Array, "b t m"], where: Bool[Array, "b t"], train: bool) -> Float[Array, "b t m"]:
        x, key = mel, (lambda: self.make_rng("dropout")) if train else None
        for i in range(self.layers):
            last = i == self.layers - 1
            out, then = (mel.shape[-1], "linear") if last else (self.units, "tanh")
            x = ConvNorm(out, self.kernel, then, self.dtype, name=f"conv{i}")(x, where, train)
            x = drop(x if last else jnp.tanh(x), self.dropout, key)
        return x


def chances(key: Array, shape: tuple[int, ...], dropout: float, zoneout: float) -> dict[str, Bool[Array, ...]]:
    """What an LSTM's regularisers draw for all steps beforehand: see `regularised`; only what has a rate is there."""
    keys = jax.random.split(key, 3)
    rates = {"kept": 1 - dropout, "same_hidden": zoneout, "same_memory": zoneout}
    given = {"kept": dropout, "same_hidden": zoneout, "same_memory": zoneout}
    return {name: jax.random.bernoulli(k, rates[name], shape) for k, (name, rate) in zip(keys, given.items()) if rate}


def regularised(
    new: tuple[Array, Array], old: tuple[Array, Array], dropout: float, zoneout: float, chance: dict | None
) -> tuple[Float[Array, "b n"], Float[Array, "b n"]]:
    """(h, c) of a step after zoneout (Krueger et al. 2017, eq. 4) and dropout of h, which also the next step sees.

    Args:
      new: (h, c) of the cell.
      old: (h, c) of the step before.
      dropout: share of h that is dropped in training.
      zoneout: share of h and of c that keeps its old value in training; else both are mixed by it.
      chance: one step of `chances`; None outside training.
    """
    hidden, memory = new
    if zoneout:
        share = jnp.asarray(zoneout, hidden.dtype)
        if chance is None:
            hidden, memory = (share * o + (1 - share) * n for o, n in zip(old, new))
        else:
            hidden = jnp.where(chance["same_hidden"], old[0], hidden)
            memory = jnp.where(chance["same_memory"], old[1], memory)
    if dropout and chance is not None:
        scaled = hidden / jnp.asarray(1 - dropout, hidden.dtype)
        hidden = jnp.where(chance["kept"], scaled, jnp.zeros((), hidden.dtype))
    return hidden, memory
