"""Tacotron 2: symbols become a mel spectrogram, frame by frame (Shen et al. 2018), in the form of NVIDIA's release."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from mmjax.errors import OptionError
from mmjax.models.blocks import shared_scan
from mmjax.models.blocks.recurrent import Table, affine, declare, lstm, uniform
from mmjax.models.sound import location_attention
from mmjax.models.sound.location_attention import Memory
from mmjax.models.sound.speech_blocks import Encoder, Postnet, chances, lstm_table, regularised, xavier
from mmjax.ops import few_rows

PRENET = ("prenet1", "prenet2")  # its layers


class State(NamedTuple):
    """Of the attention's LSTM after a step, with where it looked, then and altogether."""

    hidden: Float[Array, "b n"]
    memory: Float[Array, "b n"]
    context: Float[Array, "b e"]
    looked: Float[Array, "b u"]
    total: Float[Array, "b u"]


class SpeakingState(NamedTuple):
    """What changes while a sentence is spoken.

    Attributes:
      attended: of the attention's LSTM.
      hidden, memory: of the decoder's LSTM.
      frame: the frames of the last step, one behind the other, float32.
    """

    attended: State
    hidden: Float[Array, "b d"]
    memory: Float[Array, "b d"]
    frame: Float[Array, "b r*m"]


class Tacotron2(nn.Module):
    """Symbols -> log-mel frames with location-sensitive attention (Chorowski et al. 2015) and a stop gate.

    The defaults are NVIDIA's released code: 28,117,377 + 512 `symbols` parameters. It differs from the paper in that
    its LSTMs have dropout in the place of zoneout, and that the gate's cross-entropy has no positive weight.

    In teacher forcing the decoder's LSTM never reaches the attention, which sees true frames: so its inputs' products
    are made for all steps at once, and its loop holds the product with its own state alone.

    Attributes:
      symbols: n; no symbol is special, padding is what `length` says.
      mels: bands of a frame.
      reduction: frames of a step, r. The next step sees all of them.
      speaker: numbers that say who speaks, put behind each symbol's vector (Jia et al. 2018); 0 for one voice.
      embed: size of a symbol's vector and of the encoder's output, even.
      encoder_layers: convolutions before the encoder's LSTM.
      kernel: of the encoder's and the postnet's convolutions, odd.
      prenet: units of both its layers.
      attention_units: of the attention's LSTM.
      decoder_units: of the decoder's LSTM.
      attention: units of the attention network.
      filters: of the convolution over where it looked.
      window: of that convolution, in symbols, odd.
      postnet_layers: convolutions.
      postnet_units: channels.
      dropout: behind the convolutions, in training.
      prenet_dropout: always on, also when it speaks: rng "prenet". Outside training all rows drop alike, so that
        nothing depends on a row's place or on the others.
      state_dropout: of both LSTMs' outputs, in training.
      zoneout: of both LSTMs; the paper's is 0.1, with state_dropout 0.
      dtype: of the products; parameters, attention weights and outputs are float32.
    """

    symbols: int
    mels: int = 80
    reduction: int = 1
    speaker: int = 0
    embed: int = 512
    encoder_layers: int = 3
    kernel: int = 5
    prenet: int = 256
    attention_units: int = 1024
    decoder_units: int = 1024
    attention: int = 128
    filters: int = 32
    window: int = 31
    postnet_layers: int = 5
    postnet_units: int = 512
    dropout: float = 0.5
    prenet_dropout: float = 0.5
    state_dropout: float = 0.1
    zoneout: float = 0.0
    dtype: Any = jnp.float32

    def checked(self) -> Tacotron2:
        """Itself; raises OptionError for sizes that there cannot be."""
        for name in ("kernel", "window"):
            if getattr(self, name) % 2 == 0:
                raise OptionError(name, f"is {getattr(self, name)}: it must be odd, to have a middle")
        if self.embed % 2:
            raise OptionError("embed", f"is {self.embed}: it must be even, half for each direction of the LSTM")
        if self.reduction < 1:
            raise OptionError("reduction", f"is {self.reduction}: a step writes at least one frame")
        return self

    def setup(self) -> None:
        self.weights = declare(self, self._table())
        self.encoder = Encoder(self.encoder_layers, self.kernel, self.dropout, self.dtype)
        self.postnet = Postnet(self.postnet_layers, self.postnet_units, self.kernel, self.dropout, self.dtype)

    def _table(self) -> Table:
        """Every parameter outside encoder and postnet, with its initialiser and shape."""
        e, p, a, d = self.embed + self.speaker, self.prenet, self.attention_units, self.decoder_units
        frames, scale = self.mels * self.reduction, (6 / (self.symbols + self.embed)) ** 0.5
        last = uniform((d + e) ** -0.5)
        return {
            "symbol": (uniform(scale), (self.symbols, self.embed)),
            "prenet1": (xavier(), (frames, p)),
            "prenet2": (xavier(), (p, p)),
            **lstm_table(a, {"frame": p, "context": e}, "attend_"),
            **lstm_table(d, {"attended": a, "context": e}, "decode_"),
            "query": (xavier("tanh"), (a, self.attention)),
            "key": (xavier("tanh"), (e, self.attention)),
            "score": (xavier(), (self.attention, 1)),
            "location_filter": (xavier(), (self.window, 2, self.filters)),
            "location": (xavier("tanh"), (self.filters, self.attention)),
            "mel": (xavier(), (d + e, frames)),
            "mel_bias": (last, (frames,)),
            "gate": (xavier("sigmoid"), (d + e, 1)),
            "gate_bias": (last, (1,)),
        }

    def __call__(
        self,
        units: Int[Array, "b u"],
        length: Int[Array, " b"],
        mel: Float[Array, "b t m"],
        frames: Int[Array, " b"],
        speaker: Float[Array, "b k"] | None = None,
        *,
        train: bool = False,
    ) -> dict[str, Array]:
        """What each step writes, given the true frames before it (teacher forcing).

        Args:
          units: symbols, 0..symbols-1; anything in the padding.
          length: symbols of each row that are real, at least 1.
          mel: the true log-mel frames; t a multiple of `reduction`.
          frames: of each row that are real.
          speaker: who speaks; None where `speaker` is 0.
          train: dropout and zoneout (rng "dropout"), normalise by the batch; "state" must then be mutable.

        Returns:
          float32: "before" and "after" [b t m], frames before and after the postnet, 0 in the padding; "gate" [b s],
          logits that a step is the last; "attention" [b s u], adding up to 1 over u; s = t / reduction.

        Raises:
          OptionError: t is no multiple of the reduction, or a speaker where there is none, or the other way round.
        """
        batch, time, _ = mel.shape
        if time % self.reduction:
            raise OptionError("reduction", f"is {self.reduction}: {time} frames are no multiple of it")
        w = self._cast()
        where = jnp.arange(time)[None] < frames[:, None]
        memory = self.read(units, length, speaker, train=train)
        real = jnp.where(where[..., None], mel, jnp.zeros((), mel.dtype)).astype(self.dtype)
        groups = real.reshape(batch, time // self.reduction, -1).swapaxes(0, 1)  # b t m -> s b (r m)
        kept = None
        if self.prenet_dropout:
            kept = self._kept(self.make_rng("prenet"), (groups.shape[0], batch if train else 1, self.prenet))
        seen = self._prenet(w, jnp.concatenate([jnp.zeros_like(groups[:1]), groups[:-1]]), kept)
        attended, context, attention = self._attended(w, memory, seen, train)
        hidden = self._decoded(w, attended, context, train)
        before, gate = self._write(w, hidden, context)
        before = before.swapaxes(0, 1).reshape(batch, time, self.mels)
        out = self._finish(before, where, train)
        return {**out, "gate": gate.T, "attention": attention.swapaxes(0, 1)}

    def speak(
        self,
        units: Int[Array, "b u"],
        length: Int[Array, " b"],
        speaker: Float[Array, "b k"] | None = None,
        *,
        steps: int = 1000,
        threshold: float = 0.5,
    ) -> dict[str, Array]:
        """Speaks a batch of sentences in one loop, which ends when all have ended or after `steps`.

        Use: `model.apply(variables, units, length, rngs={"prenet": key}, method="speak")`.

        Args:
          units, length, speaker: as for `__call__`.
          steps: at most, of `reduction` frames each.
          threshold: a row ends behind the first step whose gate is more probable.

        Returns:
          "before" and "after" [b steps*reduction m], "gate" [b steps] and "attention" [b steps u], float32, 0 behind
          each row's end; "frames" [b], int32, how many were written; "fired" [b], False where the gate never fired and
          the row ran to the limit.
        """
        w, memory = self._cast(), self.read(units, length, speaker)
        batch, key = units.shape[0], self.make_rng("prenet") if self.prenet_dropout else None
        shared = self._shared(w, memory)
        products = {name: few_rows.in_loop(kernel) for name, kernel in self._kernels(w, shared).items()}

        def step(carry):
            t, state, ended, taken, written = carry
            kept = None if key is None else self._drawn(key, t)
            state, gate = self._turn(w, shared, products, memory, state, kept)
            new = {"before": state.frame, "gate": gate, "attention": state.attended.looked}
            new = {name: jnp.where(ended.reshape(-1, *[1] * (x.ndim - 1)), 0, x) for name, x in new.items()}
            written = {k: lax.dynamic_update_index_in_dim(written[k], new[k], t, 0) for k in written}
            taken = taken + jnp.where(ended, 0, 1)
            ended = ended | (jax.nn.sigmoid(gate) > threshold)
            return t + 1, state, ended, taken, written

        def going(carry):
            return (carry[0] < steps) & ~jnp.all(carry[2])

        sizes = {"before": (self.mels * self.reduction,), "gate": (), "attention": units.shape[1:]}
        written = {name: jnp.zeros((steps, batch, *size), jnp.float32) for name, size in sizes.items()}
        ended, taken = jnp.zeros(batch, bool), jnp.zeros(batch, jnp.int32)
        carry = (jnp.int32(0), self._silent(memory), ended, taken, written)
        *_, fired, taken, written = lax.while_loop(going, step, carry)
        before = written["before"].swapaxes(0, 1).reshape(batch, -1, self.mels)
        frames = taken * self.reduction
        return {
            **self.finish(before, frames),
            "gate": written["gate"].T,
            "attention": written["attention"].swapaxes(0, 1),
            "frames": frames,
            "fired": fired,
        }

    # -- speaking, taken apart for whoever runs the loop himself -----------------------------------------------------

    def begin(
        self, units: Int[Array, "b u"], length: Int[Array, " b"], speaker: Float[Array, "b k"] | None = None
    ) -> tuple[Memory, SpeakingState]:
        """What `speak` reads of a batch, and its state before the first step; arguments as of `read`."""
        memory = self.read(units, length, speaker)
        return memory, self._silent(memory)

    def go_on(
        self, memory: Memory, state: SpeakingState, kept: Sequence[Array] | None
    ) -> tuple[SpeakingState, Float[Array, " b"]]:
        """One step of `speak`: the state behind it, with the frames that it wrote, and the gate's logit, float32.

        Args:
          memory, state: of `begin`, and of the step before.
          kept: of each layer of the prenet which units are kept, [b p] or [1 p], 1 or 0; None where `prenet_dropout`
            is 0. See `drops`.
        """
        w = self._cast()
        shared = self._shared(w, memory)
        kernels = self._kernels(w, shared)
        products = {name: functools.partial(lambda kernel, x: x @ kernel, kernel) for name, kernel in kernels.items()}
        return self._turn(w, shared, products, memory, state, kept)

    def finish(self, before: Float[Array, "b t m"], frames: Int[Array, " b"]) -> dict[str, Array]:
        """What the postnet makes of frames that were written: "before" and "after" [b t m], 0 behind each end."""
        return self._finish(before, jnp.arange(before.shape[1])[None] < frames[:, None], False)

    def drops(self, key: Key[Array, ""], steps: int) -> tuple[Bool[Array, "s p"], ...]:
        """Which units of each layer of the prenet `speak` keeps in so many steps, given this key by rng "prenet"; ()
        where none is dropped."""
        if not self.prenet_dropout:
            return ()
        own = nn.apply(lambda model: model.make_rng("prenet"), self)({}, rngs={"prenet": key})
        return tuple(kept[:, 0] for kept in jax.vmap(functools.partial(self._drawn, own))(jnp.arange(steps)))

    def read(
        self,
        units: Int[Array, "b u"],
        length: Int[Array, " b"],
        speaker: Float[Array, "b k"] | None = None,
        *,
        train: bool = False,
    ) -> Memory:
        """What the decoder attends to. Raises OptionError where a speaker is wanted and not given, or is not wanted."""
        if (speaker is not None) != bool(self.speaker):
            raise OptionError("speaker", f"is {self.speaker}: with 0 no speaker is given, and else always")
        w = self._cast()
        where = jnp.arange(units.shape[1])[None] < length[:, None]
        vectors = self.encoder(w["symbol"][jnp.where(where, units, 0)], where, train)
        if speaker is not None:
            known = jnp.where(where[..., None], speaker.astype(self.dtype)[:, None], jnp.zeros((), self.dtype))
            vectors = jnp.concatenate([vectors, known], -1)
        return Memory(vectors, vectors @ w["key"], where)

    # -- parts of a step ------------------------------------------------------------------------------------------

    def _cast(self):
        return {name: jnp.asarray(value, self.dtype) for name, value in self.weights.items()}

    def _prenet(self, w, x, kept):
        """Two layers with dropout of [... b f]; kept says of each layer which units are, None that all are."""
        for i, name in enumerate(PRENET):
            x = nn.relu(x @ w[name])
            if kept is not None:
                x = x * (kept[i].astype(x.dtype) / jnp.asarray(1 - self.prenet_dropout, x.dtype))
        return x

    def _kept(self, key, shape):
        """What `_prenet` keeps of layers of this shape."""
        share = 1 - self.prenet_dropout
        return tuple(jax.random.bernoulli(jax.random.fold_in(key, i), share, shape) for i in range(len(PRENET)))

    def _drawn(self, key, t):
        """The same of one step of `speak`: for all rows alike."""
        return self._kept(jax.random.fold_in(key, t), (1, self.prenet))

    def _silent(self, memory):
        """The state before the first step."""
        batch = memory.vectors.shape[0]
        hidden, cell = (jnp.zeros((batch, self.decoder_units), self.dtype) for _ in range(2))
        silence = jnp.zeros((batch, self.mels * self.reduction), jnp.float32)
        return SpeakingState(self._start(memory), hidden, cell, silence)

    def _turn(self, w, shared, products, memory, state, kept):
        """One step of `speak` and the gate's logit; `products` with those of `_kernels`."""
        uses = location_attention.uses(self.window)

        def use(name, x):
            return products[name](x) if name in products else uses[name].value(shared[name], x)

        seen = self._prenet(w, state.frame.astype(self.dtype), kept)
        gates = use("frame", seen) + (w["attend_bias"] + w["attend_hidden_bias"])[None]
        attended = self._attend(use, memory, state.attended, gates, None)
        old = (state.hidden, state.memory)
        gates = use("decode", jnp.concatenate([attended.hidden, attended.context, state.hidden], -1))
        gates = gates + (w["decode_bias"] + w["decode_hidden_bias"])[None]
        hidden, cell = regularised(lstm(gates, state.memory), old, 0.0, self.zoneout, None)
        frame, gate = self._write(w, hidden, attended.context)
        return SpeakingState(attended, hidden, cell, frame), gate

    def _frame_gates(self, w, seen):
        return affine(seen, w["attend_frame"], w["attend_bias"] + w["attend_hidden_bias"])

    def _decoder_gates(self, w, attended, context):
        kernel = jnp.concatenate([w["decode_attended"], w["decode_context"]])
        return affine(jnp.concatenate([attended, context], -1), kernel, w["decode_bias"] + w["decode_hidden_bias"])

    def _start(self, memory):
        batch, symbols, size = memory.vectors.shape
        units, dtype = self.attention_units, self.dtype
        sizes = ((units, dtype), (units, dtype), (size, dtype), (symbols, jnp.float32), (symbols, jnp.float32))
        # An array each: an exporter may take one that is there twice for a mistake.
        return State(*(jnp.zeros((batch, n), kind) for n, kind in sizes))

    def _attend(self, use, memory, state, gates, chance):
        """The attention's LSTM, given the last frame and context; then where to look, given where it looked before."""
        gates = gates + use("attend", jnp.concatenate([state.context, state.hidden], -1))
        old = (state.hidden, state.memory)
        hidden, cell = regularised(lstm(gates, state.memory), old, self.state_dropout, self.zoneout, chance)
        before = tuple(x.astype(self.dtype) for x in (state.looked, state.total))
        looked = location_attention.weights(use("score", (use("query", hidden), *before)), memory.where)
        return State(hidden, cell, use("mix", looked.astype(self.dtype)), looked, state.total + looked)

    def _attended(self, w, memory, seen, train):
        """All steps of the attention: its LSTM's outputs [s b n], contexts [s b e] and weights [s b u]."""
        chance = self._chances(seen.shape[:2], self.attention_units) if train else None

        def body(use, state, inputs):
            state = self._attend(use, memory, state, *inputs)
            return state, (state.hidden, state.context, state.looked)

        xs = (self._frame_gates(w, seen), chance)
        shared = self._shared(w, memory)
        uses = location_attention.uses(self.window)
        return shared_scan.scan(body, uses, shared, self._start(memory), xs)[1]

    def _decoded(self, w, attended, context, train):
        """All steps of the decoder's LSTM, [s b d]."""
        chance = self._chances(attended.shape[:2], self.decoder_units) if train else None

        def body(use, carry, inputs):
            gates, chance = inputs
            new = lstm(gates + use("hidden", carry[0]), carry[1])
            carry = regularised(new, carry, self.state_dropout, self.zoneout, chance)
            return carry, carry[0]

        zeros = jnp.zeros((attended.shape[1], self.decoder_units), self.dtype)
        xs = (self._decoder_gates(w, attended, context), chance)
        uses, shared = {"hidden": shared_scan.PRODUCT}, {"hidden": w["decode_hidden"]}
        return shared_scan.scan(body, uses, shared, (zeros, zeros), xs)[1]

    def _chances(self, steps, units):
        """What one of the LSTMs draws for all steps [s b]; None where it draws nothing."""
        if not (self.state_dropout or self.zoneout):
            return None
        return chances(self.make_rng("dropout"), (*steps, units), self.state_dropout, self.zoneout)

    def _write(self, w, hidden, context):
        """The frames [... r*m] and the gate's logit [...] of steps, float32."""
        both = jnp.concatenate([hidden, context], -1)
        frames = affine(both, w["mel"], w["mel_bias"]).astype(jnp.float32)
        return frames, affine(both, w["gate"], w["gate_bias"])[..., 0].astype(jnp.float32)

    def _finish(self, before, where, train):
        real = where[..., None]
        before = jnp.where(real, before, 0.0)
        after = before + self.postnet(before, where, train).astype(jnp.float32)
        return {"before": before, "after": jnp.where(real, after, 0.0)}

    # -- what all steps share -------------------------------------------------------------------------------------

    def _shared(self, w, memory):
        # The convolution over where it looked and the layer behind it are linear both, so they are one.
        location = jnp.einsum("kcf,fa->cka", w["location_filter"], w["location"])
        return {
            "attend": jnp.concatenate([w["attend_context"], w["attend_hidden"]]),
            "query": w["query"],
            "score": (memory.keys, location.reshape(-1, self.attention), w["score"][:, 0]),
            "mix": memory.vectors,
        }

    def _kernels(self, w, shared):
        """The matrices of a step of `speak`; two of them training uses for all steps at once."""
        decode = jnp.concatenate([w["decode_attended"], w["decode_context"], w["decode_hidden"]])
        return {**{name: shared[name] for name in ("attend", "query")}, "frame": w["attend_frame"], "decode": decode}
