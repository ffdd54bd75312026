"""Visual teachers: frames -> log-probabilities of objects and scenes, each at its network's own input size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from mmjax.ops.pictures import resize

Heads = dict[str, Float[Array, "b f c"]]


@dataclasses.dataclass(frozen=True)
class Teacher:
    """Pretrained recognition networks as one function of the frames.

    Attributes:
      variables: their weights, a tree of NumPy arrays; put it into a task's `frozen`.
      apply: (variables, frames uint8 [b f h w 3]) -> {"object": [b f c], "scene": [b f d]}, log-probabilities,
        float32; a head that no network has is absent.
      names: the classes of each head that is there.
      notes: what the user should know, e.g. that a head is missing.
    """

    variables: Mapping[str, Any]
    apply: Callable[[Mapping[str, Any], UInt8[Array, "b f h w 3"]], Heads]
    names: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of a teacher.

    Attributes:
      model: takes pictures [b h w 3] of 0..255 and returns a dict of logits.
      size: the side of the square that it was trained on.
      heads: {head of the teacher: name of the logits}.
    """

    model: nn.Module
    size: int
    heads: Mapping[str, str]


def look(networks: Mapping[str, Network], variables: Mapping[str, Any], frames: UInt8[Array, "b f h w 3"]) -> Heads:
    """Asks each network for its heads.

    Args:
      networks: by the name of their weights in `variables`.
      variables: {network: its variables}.
      frames: [b f h w 3], 0..255.

    Returns:
      {head: [b f c]}, log-probabilities, float32.
    """
    flat = frames.reshape(-1, *frames.shape[2:])  # b f h w 3 -> n h w 3
    out = {}
    for name, network in networks.items():
        logits: Any = network.model.apply(variables[name], resize(flat, network.size))
        for head, key in network.heads.items():
            log_probs = jax.nn.log_softmax(logits[key].astype(jnp.float32))
            out[head] = log_probs.reshape(*frames.shape[:2], -1)  # n c -> b f c
    return out
