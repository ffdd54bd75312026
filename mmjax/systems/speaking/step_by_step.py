"""Speaking taken apart: what a sentence leaves behind, one step, and sound of what was written (`task.Speaking`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key

from mmjax.models.sound.location_attention import Memory
from mmjax.models.sound.tacotron2 import PRENET, SpeakingState, State
from mmjax.systems.speaking import saying
from mmjax.systems.speaking.saying import Network
from mmjax.task import Batch, Speaking, Variables, bind

ATTENDED = "attend_"  # before the names of what the attention's LSTM has as the decoder's does
LOOKS = ("context", "looked", "total")


def speaking(
    network: Network, judged: Callable[..., dict[str, Any]], *, seconds: float, threshold: float, n_iter: int
) -> Speaking:
    """How a network speaks for so many seconds at most: see `saying.speak`."""
    model = network.model
    steps = saying.steps(network, seconds)
    drops = PRENET if model.prenet_dropout else ()
    return Speaking(
        start=bind(start, network),
        step=bind(step, network),
        end=bind(end, network, n_iter),
        spoken=bind(spoken, network, seconds=seconds, threshold=threshold, n_iter=n_iter),
        draws=bind(draws, network, steps),
        shares=dict.fromkeys(drops, (model.prenet, 1 - model.prenet_dropout)),
        steps=steps,
        threshold=threshold,
        bands=model.mels,
        ended="label/ended",
        judged=judged,
        otherwise=dict.fromkeys(network.who, saying.MIDDLE),
    )


def start(network: Network, variables: Variables, batch: Batch) -> tuple[dict[str, Array], dict[str, Array]]:
    """What is attended to, and the state before the first step."""
    batch = saying.listened(network, variables, batch)
    units, length = saying.said(network, batch)
    who = saying.who(network, variables, batch)
    begun: Any = network.model.apply(saying.own(variables), units, length, who, method="begin")
    memory, state = begun
    vectors, keys = (x.astype(jnp.float32) for x in (memory.vectors, memory.keys))
    return {"vectors": vectors, "keys": keys, "where": memory.where.astype(jnp.float32)}, _wide(state)


def step(
    network: Network,
    variables: Variables,
    memory: dict[str, Array],
    state: dict[str, Array],
    kept: dict[str, Array],
) -> tuple[dict[str, Array], Float[Array, " b"]]:
    """The state after one more step, and how probably it was the last."""
    dtype = network.model.dtype
    known = Memory(memory["vectors"].astype(dtype), memory["keys"].astype(dtype), memory["where"] > 0.5)
    drops = [kept[name] for name in PRENET] if kept else None
    own, before = saying.own(variables), _narrow(state, dtype)
    after: Any = network.model.apply(own, known, before, drops, method="go_on")
    return _wide(after[0]), jax.nn.sigmoid(after[1])


def end(
    network: Network, n_iter: int, variables: Variables, written: Float[Array, "b t m"], frames: Int[Array, " b"]
) -> dict[str, Array]:
    """The sound of frames as the network writes them, and the log-mel frames themselves."""
    found: Any = network.model.apply(saying.own(variables), written, frames, method="finish")
    log_mel = saying.log_mel_of(network, found["after"], frames)
    sound = saying.sound_of(network, variables, log_mel, frames, n_iter)
    return {"audio/speech": sound, "heatmap/mel": jnp.swapaxes(log_mel, 1, 2)}


def spoken(
    network: Network, variables: Variables, batch: Batch, key: Key[Array, ""], **limits: Any
) -> dict[str, Array]:
    """The same of one program."""
    batch = saying.listened(network, variables, batch)
    units, length = saying.said(network, batch)
    found = saying.speak(network, variables, units, length, saying.who(network, variables, batch), key, **limits)
    shown = {"audio/speech": found["sound"], "heatmap/mel": jnp.swapaxes(found["log_mel"], 1, 2)}
    return {**shown, **{name: found[name] for name in ("frames", "fired", "attention")}}


def draws(network: Network, steps: int, key: Key[Array, ""]) -> dict[str, Float[Array, "s p"]]:
    """What the prenet keeps of its units where `saying.speak` gets this key."""
    kept = network.model.drops(key, steps)
    return {name: of.astype(jnp.float32) for name, of in zip(PRENET, kept)}


def _wide(state: SpeakingState) -> dict[str, Array]:
    """By name; nobody's interface has halves of floats."""
    found = {f"{ATTENDED}{name}": getattr(state.attended, name) for name in ("hidden", "memory")}
    found |= {name: getattr(state.attended, name) for name in LOOKS}
    found |= {name: getattr(state, name) for name in ("hidden", "memory", "frame")}
    return {name: value.astype(jnp.float32) for name, value in found.items()}


def _narrow(state: dict[str, Array], dtype: Any) -> SpeakingState:
    """The other way round: frames and where it looked are float32 always."""
    own = {name: x if name in ("frame", "looked", "total") else x.astype(dtype) for name, x in state.items()}
    attended = State(own[f"{ATTENDED}hidden"], own[f"{ATTENDED}memory"], *(own[name] for name in LOOKS))
    return SpeakingState(attended, own["hidden"], own["memory"], own["frame"])
