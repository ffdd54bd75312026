"""Show, Attend and Tell: before each word the network looks at the picture anew (Xu et al. 2015)."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.errors import OptionError
from mmjax.models.blocks import shared_scan
from mmjax.models.blocks.recurrent import Table, affine, declare, drop, lstm, uniform
from mmjax.models.text.show_and_tell import START, previous
from mmjax.ops import additive_attention

# What people mean by Show, Attend and Tell. "official": the authors' capgen.py with the settings of their
# evaluate_coco.py. "sgrvinod": the PyTorch port that most later code starts from.
PRESETS: dict[str, dict[str, Any]] = {
    "official": {
        "embed": 512,
        "hidden": 1800,
        "attention": 0,
        "attention_layers": 2,
        "activation": "tanh",
        "gate": "scalar",
        "initial_state": "deep",
        "first_word": "zeros",
        "deep_output": True,
        "initialiser": "official",
    },
    "sgrvinod": {
        "embed": 512,
        "hidden": 512,
        "attention": 512,
        "attention_layers": 1,
        "activation": "relu",
        "gate": "vector",
        "initial_state": "linear",
        "first_word": "learned",
        "deep_output": False,
        "initialiser": "torch",
    },
}
CHOICES = {
    "kind": ("soft", "hard"),
    "attention_layers": (1, 2),
    "activation": ("tanh", "relu"),
    "gate": ("scalar", "vector", "none"),
    "initial_state": ("deep", "tanh", "linear"),
    "first_word": ("zeros", "learned"),
    "initialiser": ("official", "torch"),
}


class Memory(NamedTuple):
    """What a picture leaves behind: its features, and their half of the attention network, computed once."""

    features: Float[Array, "b p d"]
    keys: Float[Array, "b p a"]


class ShowAttendTell(nn.Module):
    """An LSTM with soft or hard attention over the places of a feature map (Xu et al. 2015, section 3.1).

    The defaults are those of the authors' code, which differs from the paper where it says so: the context gate is a
    scalar; a tanh stands in the deep output (eq. 7), to which the word's vector is added as it is; the word before
    the first is a vector of zeros; the features' half of the attention network has two layers.

    With 10,000 words and 512 features the official sizes have 35,333,450 parameters.

    Attributes:
      vocabulary: words, the four special ones included.
      features: channels of the feature map.
      kind: "soft", the expectation of the features under the attention (4.2), or "hard", one place that is drawn (4.1).
      embed: size of a word vector.
      hidden: units of the LSTM.
      attention: units of the attention network; 0 = as many as features, as in the official code.
      attention_layers: of the features' half of it; the second is followed by a tanh.
      activation: "tanh" or "relu", after the two halves are added.
      gate: of the context: "scalar" (section 4.2.1), "vector" (one for each channel), "none".
      initial_state: from the mean feature: "deep" (ReLU layer, then tanh), "tanh", or "linear".
      first_word: what is fed before the first word: "zeros", or the "learned" vector of <start>.
      deep_output: eq. 7; without it the logits are a linear function of the state.
      expected: in hard training, share of the captions for which the expectation is used after all (4.1).
      dropout: of the state before the output, of the deep output's and of the initial state's inner layer.
      initialiser: "official" (square matrices orthogonal, others N(0, 0.01^2)) or "torch" (U(+-1/sqrt(fan in)), words
        and logits U(+-0.1)).
      dtype: compute dtype; parameters, attention weights and logits are float32.
    """

    vocabulary: int
    features: int
    kind: str = "soft"
    embed: int = 512
    hidden: int = 1800
    attention: int = 0
    attention_layers: int = 2
    activation: str = "tanh"
    gate: str = "scalar"
    initial_state: str = "deep"
    first_word: str = "zeros"
    deep_output: bool = True
    expected: float = 0.5
    dropout: float = 0.5
    initialiser: str = "official"
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise OptionError(name, f"is {getattr(self, name)!r}: choose {' or '.join(map(repr, known))}")
        super().__post_init__()

    def setup(self) -> None:
        self.weights = declare(self, self._table())

    def _table(self) -> Table:
        """Every parameter with its initialiser and shape."""
        m, n, d, v = self.embed, self.hidden, self.features, self.vocabulary
        a, gates = self.attention or d, {"scalar": 1, "vector": d, "none": 0}[self.gate]
        shapes = {
            "words": (v, m),
            "lstm_word": (m, 4 * n),
            "lstm_hidden": (n, 4 * n),
            "lstm_context": (d, 4 * n),
            "lstm_bias": (4 * n,),
            "attend_features": (d, a),
            "attend_features_bias": (a,),
            "attend_hidden": (n, a),
            "attend_score": (a, 1),
            "attend_score_bias": (1,),
            "initial_hidden": (d, n),
            "initial_hidden_bias": (n,),
            "initial_memory": (d, n),
            "initial_memory_bias": (n,),
            "logits": (m if self.deep_output else n, v),
            "logits_bias": (v,),
        }
        if self.attention_layers == 2:
            shapes |= {"attend_second": (a, a), "attend_second_bias": (a,)}
        if self.initial_state == "deep":
            shapes |= {"initial_mean": (d, d), "initial_mean_bias": (d,)}
        if gates:
            shapes |= {"gate": (n, gates), "gate_bias": (gates,)}
        if self.deep_output:
            shapes |= {"output_hidden": (n, m), "output_hidden_bias": (m,)}
            shapes |= {"output_context": (d, m), "output_context_bias": (m,)}
        initial = official if self.initialiser == "official" else torch_default
        return {name: (initial(name, shapes), shape) for name, shape in shapes.items()}

    def __call__(
        self, features: Float[Array, "b p d"], tokens: Int[Array, "b t"], *, train: bool = False
    ) -> dict[str, Array]:
        """The scores of every word of given captions (teacher forcing).

        Args:
          features: of each place of the pictures.
          tokens: captions without <start>, ending with <end>, padded.
          train: dropout (rng "dropout") and, with hard attention, places drawn (rng "sample").

        Returns:
          "logits" [b t v], float32: those at t are of token t, given the tokens before it; "attention" [b t p],
          float32, adding up to 1 over p. In hard training also "log_place" [b t], the log-probability of the place
          drawn, and "drawn" [b], False for captions that used the expectation.
        """
        key = (lambda: self.make_rng("dropout")) if train else None
        w = self._cast()
        # Everything that does not recur is done for all steps at once: the word vectors and their half of the gates,
        # the features' half of the attention, the deep output and the logits; and the gradients of all weights.
        words = self._words(w, previous(tokens))
        memory, carry = self._see(w, features, key)
        noise, drawn = self._chance(tokens.shape, features.shape[1]) if train and self.kind == "hard" else (None, None)

        def body(use, carry, inputs):
            gates, chance = inputs
            carry, context, looked = self._recur(use, carry, gates, chance, drawn)
            return carry, (carry[0], context, looked)

        inputs = (affine(words, w["lstm_word"], w["lstm_bias"]).swapaxes(0, 1), noise)
        _, outputs = shared_scan.scan(body, self._uses(), self._shared(w, memory), carry, inputs)
        hidden, context, looked = jax.tree.map(lambda x: x.swapaxes(0, 1), outputs)  # t b ... -> b t ...
        out = {"logits": self._speak(w, hidden, context, words, key), **looked}
        return out if drawn is None else {**out, "drawn": drawn}

    def start(self, features: Float[Array, "b p d"]) -> tuple[Memory, tuple[Array, Array]]:
        """What the picture leaves behind, and the state that its mean feature sets."""
        return self._see(self._cast(), features, None)

    def step(self, memory: Memory, carry: tuple[Array, Array], token: Int[Array, " r"]) -> tuple[Any, Array, dict]:
        """The state after one more word, the logits [r v] of the next, and {"attention": [r p]} that made them.

        Hard attention looks at the most likely place; the authors' generate_caps.py uses the expectation unless told
        to sample.
        """
        w = self._cast()
        words = self._words(w, token)
        gates = affine(words, w["lstm_word"], w["lstm_bias"])
        uses, shared = self._uses(training=False), self._shared(w, memory)
        carry, context, looked = self._recur(lambda name, x: uses[name].value(shared[name], x), carry, gates)
        return carry, self._speak(w, carry[0], context, words, None), {"attention": looked["attention"]}

    def _cast(self):
        w = {name: value.astype(self.dtype) for name, value in self.weights.items()}
        # What is multiplied by the hidden state, side by side: one product a step instead of three.
        parts = ("lstm_hidden", "attend_hidden", *(("gate",) if self.gate != "none" else ()))
        return {**w, "hidden": jnp.concatenate([w[name] for name in parts], 1)}

    def _words(self, w, tokens):
        words = w["words"][tokens]
        if self.first_word == "learned":
            return words
        return jnp.where((tokens == START)[..., None], jnp.zeros((), self.dtype), words)

    def _see(self, w, features, key):
        features = features.astype(self.dtype)
        keys = affine(features, w["attend_features"], w["attend_features_bias"])
        if self.attention_layers == 2:
            keys = jnp.tanh(affine(keys, w["attend_second"], w["attend_second_bias"]))
        mean = jnp.mean(features, 1)
        if self.initial_state == "deep":
            mean = drop(nn.relu(affine(mean, w["initial_mean"], w["initial_mean_bias"])), self.dropout, key)
        carry = tuple(affine(mean, w[f"initial_{x}"], w[f"initial_{x}_bias"]) for x in ("hidden", "memory"))
        if self.initial_state != "linear":
            carry = tuple(map(jnp.tanh, carry))
        return Memory(features, keys), carry

    def _chance(self, shape, places):
        """Gumbel noise for each step's draw, [t b p], and which captions use it, [b]."""
        noise = jax.random.gumbel(self.make_rng("sample"), (shape[1], shape[0], places), jnp.float32)
        return noise, jax.random.bernoulli(self.make_rng("sample"), 1.0 - self.expected, shape[:1])

    def _shared(self, w, memory):
        """What every step uses, by the name of its use."""
        own = {"hidden": w["hidden"], "context": w["lstm_context"], "mix": memory.features}
        own["score"] = memory.keys, w["attend_score"][:, 0], w["attend_score_bias"]
        return own | ({"gate": w["gate_bias"]} if self.gate != "none" else {})

    def _uses(self, training=True):
        """How a step uses it. Beam search maps over hypotheses; nothing there has a gradient."""
        scores = additive_attention.scores if training else additive_attention.searched

        def score(shared, query):
            keys, kernel, bias = shared
            rows = query.reshape(keys.shape[0], -1, query.shape[-1])  # r a -> b k a
            return scores(keys, rows, kernel, self.activation).reshape(query.shape[0], -1) + bias[None]

        def score_gradient(shared, queries, cotangents):
            keys, kernel, _ = shared
            own = additive_attention.gradient(keys, kernel, queries, cotangents, self.activation)
            return *own, jnp.sum(cotangents)[None]

        return {
            "hidden": shared_scan.PRODUCT,
            "context": shared_scan.PRODUCT,
            "gate": shared_scan.Use(lambda bias, x: x + bias[None], lambda _, xs, dys: jnp.sum(dys, (0, 1))),
            "mix": shared_scan.Use(
                lambda features, x: _mix(x, features), lambda _, xs, dys: jnp.einsum("tbp,tbd->bpd", xs, dys)
            ),
            "score": shared_scan.Use(score, score_gradient),
        }

    def _recur(self, use, carry, gates, noise=None, drawn=None):
        """One step: where to look, given the state; then the LSTM, given the word and what was seen."""
        n, a = self.hidden, self.attention or self.features
        from_hidden = use("hidden", carry[0])
        query, gate = jnp.split(from_hidden[:, 4 * n :], [a], axis=-1)
        attention = jax.nn.softmax(use("score", query).astype(jnp.float32))  # eq. 4 and 5
        weights, looked = attention, {"attention": attention}
        if self.kind == "hard":
            weights, log_place = _pick(attention, noise, drawn)
            looked["log_place"] = log_place
        context = use("mix", weights.astype(self.dtype))
        if self.gate != "none":
            context = context * jax.nn.sigmoid(use("gate", gate))
        carry = lstm(gates + from_hidden[:, : 4 * n] + use("context", context), carry[1])
        return carry, context, looked

    def _speak(self, w, hidden, context, words, key):
        """eq. 7 with the official code's tanh, or a linear map of the state."""
        hidden = drop(hidden, self.dropout, key)
        if self.deep_output:
            hidden = affine(hidden, w["output_hidden"], w["output_hidden_bias"]) + words
            hidden = jnp.tanh(hidden + affine(context, w["output_context"], w["output_context_bias"]))
            hidden = drop(hidden, self.dropout, key)
        return affine(hidden, w["logits"], w["logits_bias"]).astype(jnp.float32)


def _mix(weights, features):
    """[r p] and [b p d] -> [r d]: the features of row r's picture, weighted."""
    rows = weights.reshape(features.shape[0], -1, weights.shape[-1])  # r p -> b k p
    return jnp.einsum("bkp,bpd->bkd", rows, features).reshape(weights.shape[0], -1)


def _pick(attention, noise, drawn):
    """One place a row: the most likely, or with noise a drawn one; the expectation where `drawn` is False.

    Returns:
      weights over places [r p], and the log-probability of the place [r].
    """
    log = jnp.log(jnp.maximum(attention, 1e-30))
    place = jnp.argmax(log if noise is None else log + noise, -1)
    weights = jax.nn.one_hot(place, attention.shape[-1], dtype=attention.dtype)
    if drawn is not None:
        weights = jnp.where(drawn[:, None], weights, attention)
    return weights, jnp.take_along_axis(log, place[:, None], 1)[:, 0]


def official(name: str, shapes: dict[str, tuple[int, ...]]) -> nn.initializers.Initializer:
    """capgen.py's norm_weight: square matrices orthogonal, each gate by itself; others N(0, 0.01^2); biases 0."""
    shape = shapes[name]
    if len(shape) == 1:
        return nn.initializers.zeros
    parts = 4 if name in ("lstm_word", "lstm_hidden") else 1
    if shape[0] * parts != shape[1] or name == "attend_features":
        return nn.initializers.normal(0.01)
    orthogonal = nn.initializers.orthogonal()

    def draw(key, shape, dtype=jnp.float32):
        square = (shape[0], shape[0])
        return jnp.concatenate([orthogonal(k, square, dtype) for k in jax.random.split(key, parts)], 1)

    return draw


def torch_default(name: str, shapes: dict[str, tuple[int, ...]]) -> nn.initializers.Initializer:
    """PyTorch's: U(+-1/sqrt(fan in)), of an LSTM U(+-1/sqrt(units)); the port's U(+-0.1) for words and logits."""
    if name in ("words", "logits"):
        return uniform(0.1)
    if name == "logits_bias":
        return nn.initializers.zeros
    if name.startswith("lstm"):
        return uniform(shapes["lstm_hidden"][0] ** -0.5)
    return uniform(shapes[name.removesuffix("_bias")][0] ** -0.5)
