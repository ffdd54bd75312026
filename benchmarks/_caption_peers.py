"""Show, Attend and Tell in PyTorch with the parameters of mmjax: as the popular port writes it, and as care would.

`Port` and `caption` are the port's: one picture at a time, its hypotheses a batch that shrinks as they end, features
copied for each of them and their half of the attention computed anew at every step. `Careful` and `captions` are what
a user writes who has thought about it: that half computed once, all pictures in one call, a beam of fixed width, the
logits of a training step in one product after the loop.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

START, END = 1, 2


class Port(nn.Module):
    """The decoder of the port, with its names; parameters are loaded from mmjax's."""

    def __init__(self, w: dict[str, np.ndarray]):
        super().__init__()
        n = w["lstm_hidden"].shape[0]
        self.embedding = nn.Embedding.from_pretrained(_tensor(w["words"]).clone(), freeze=False)
        self.encoder_att = _linear(w, "attend_features")
        self.decoder_att = _linear(w, "attend_hidden", bias=False)
        self.full_att = _linear(w, "attend_score")
        self.f_beta = _linear(w, "gate")
        self.init_h, self.init_c = _linear(w, "initial_hidden"), _linear(w, "initial_memory")
        self.fc = _linear(w, "logits")
        self.lstm = nn.LSTMCell(w["lstm_word"].shape[0] + w["lstm_context"].shape[0], n)
        # Ours: gates i f o g, one bias. PyTorch: i f g o, two biases.
        order = np.concatenate([np.arange(k * n, (k + 1) * n) for k in (0, 1, 3, 2)])
        into = np.concatenate([w["lstm_word"], w["lstm_context"]])
        with torch.no_grad():
            self.lstm.weight_ih.copy_(_tensor(into[:, order].T))
            self.lstm.weight_hh.copy_(_tensor(w["lstm_hidden"][:, order].T))
            self.lstm.bias_ih.copy_(_tensor(w["lstm_bias"][order]))
            self.lstm.bias_hh.zero_()

    def initial(self, features):
        mean = features.mean(dim=1)
        return self.init_h(mean), self.init_c(mean)

    def attend(self, features, h):
        inner = self.encoder_att(features) + self.decoder_att(h).unsqueeze(1)
        alpha = torch.softmax(self.full_att(torch.relu(inner)).squeeze(2), dim=1)
        return (features * alpha.unsqueeze(2)).sum(dim=1), alpha

    def forward(self, features, state, words):
        """One step: logits, state, attention."""
        context, alpha = self.attend(features, state[0])
        context = torch.sigmoid(self.f_beta(state[0])) * context
        state = self.lstm(torch.cat([self.embedding(words), context], dim=1), state)
        return self.fc(state[0]), state, alpha

    def loss(self, features, tokens):
        """Teacher forcing, step by step, as the port does: cross-entropy and the penalty on the attention."""
        state = self.initial(features)
        logits, maps = [], []
        for word in _before(tokens).unbind(1):
            out, state, alpha = self(features, state, word)
            logits.append(out)
            maps.append(alpha)
        return _loss(torch.stack(logits, dim=1), torch.stack(maps, dim=1), tokens)


class Careful(Port):
    """The same network without what need not be computed again.

    Attributes of the class:
      cell: whether the LSTM is PyTorch's own cell or written out, the words' half of its gates outside the loop.
    """

    cell = False

    def look(self, features, keys, h):
        """Of n hypotheses a picture, [b n d] and [b n p]; `h` is [b n d]."""
        inner = torch.relu(keys.unsqueeze(1) + self.decoder_att(h).unsqueeze(2))  # b n p a
        alpha = torch.softmax(self.full_att(inner).squeeze(3), dim=2)
        return torch.bmm(alpha, features), alpha

    def parts(self):
        """The words' and the context's half of the matrix of the gates."""
        return self.lstm.weight_ih.tensor_split([self.embedding.embedding_dim], dim=1)

    def recur(self, features, keys, into, state, words):
        """One step; `words` are vectors, or with the cell written out their half of the gates, and `into` the other."""
        h, c = state
        b = len(features)
        context, alpha = self.look(features, keys, h.unflatten(0, (b, -1)))
        context = torch.sigmoid(self.f_beta(h)) * context.flatten(0, 1)
        if self.cell:
            state = self.lstm(torch.cat([words, context], dim=1), state)
        else:
            gates = torch.addmm(words, context, into.T) + F.linear(h, self.lstm.weight_hh)
            i, f, g, o = gates.chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            state = torch.sigmoid(o) * torch.tanh(c), c
        return state, alpha

    def read(self, words, into):
        vectors = self.embedding(words)
        if self.cell:
            return vectors
        return F.linear(vectors, into, self.lstm.bias_ih + self.lstm.bias_hh)

    def loss(self, features, tokens):
        keys, state = self.encoder_att(features), self.initial(features)
        of_words, of_context = self.parts()
        hidden, maps = [], []
        for words in self.read(_before(tokens), of_words).unbind(1):
            state, alpha = self.recur(features, keys, of_context, state, words)
            hidden.append(state[0])
            maps.append(alpha.squeeze(1))
        return _loss(self.fc(torch.stack(hidden, dim=1)), torch.stack(maps, dim=1), tokens)

    def step(self, features, keys, h, c, scores, left, words):
        """One step of a beam of fixed width n; [b n] but for features, keys and states.

        Args:
          scores: log-probabilities of the live hypotheses, -inf for none.
          left: hypotheses of each picture that have not ended, [b 1]: the beam is as wide.

        Returns:
          states, and of the n best candidates score, source and word; and their attention [b n p].
        """
        b, n = scores.shape
        of_words, of_context = self.parts()
        words = self.read(words.flatten(), of_words)
        (h, c), alpha = self.recur(features, keys, of_context, (h, c), words)
        logits = self.fc(h)
        total = (scores.flatten() - logits.logsumexp(1)).unsqueeze(1) + logits
        best, flat = total.view(b, -1).topk(n)
        source, words = flat // logits.shape[1], flat % logits.shape[1]
        rows = (source + n * torch.arange(b).unsqueeze(1)).flatten()
        best = best.masked_fill(torch.arange(n) >= left, -torch.inf)
        return h[rows], c[rows], best, source, words, alpha


def _before(tokens):
    return F.pad(tokens[:, :-1], (1, 0), value=START)


def _loss(scores, maps, tokens):
    penalty = ((1 - maps.sum(dim=1)) ** 2).mean()
    return F.cross_entropy(scores.flatten(0, 1), tokens.flatten()) + penalty


@torch.no_grad()
def caption(port: Port, features: torch.Tensor, size: int, steps: int) -> tuple[list[int], float]:
    """One picture's best caption and its log-probability: the beam shrinks as hypotheses end."""
    features = features.expand(size, -1, -1)
    state = port.initial(features)
    sequences = torch.full((size, 1), START)
    scores, maps = torch.zeros(size), torch.ones(size, 1, features.shape[1])
    ended: list[tuple[float, list[int]]] = []
    width = size
    for step in range(steps):
        logits, state, alpha = port(features, state, sequences[:, -1])
        total = scores[:, None] + F.log_softmax(logits, dim=1)
        scores, flat = (total[0] if step == 0 else total.flatten()).topk(width)
        source, words = flat // logits.shape[1], flat % logits.shape[1]
        sequences = torch.cat([sequences[source], words[:, None]], dim=1)
        maps = torch.cat([maps[source], alpha[source, None]], dim=1)
        live = words != END
        ended += [(scores[i].item(), sequences[i, 1:].tolist()) for i in (~live).nonzero()[:, 0]]
        width = int(live.sum())
        if width == 0:
            break
        state = tuple(x[source[live]] for x in state)
        features, sequences, maps, scores = features[source[live]], sequences[live], maps[live], scores[live]
    if not ended:
        ended = [(scores[i].item(), sequences[i, 1:].tolist()) for i in range(width)]
    score, best = max(ended, key=lambda hypothesis: hypothesis[0])
    return best, score


@torch.no_grad()
def captions(port: Careful, step, features: torch.Tensor, size: int, steps: int) -> list[tuple[list[int], float]]:
    """The best caption of every picture and its log-probability, by a beam of fixed width; `step` is `port.step`.

    What ends is written down and its score set to -inf; the maps follow their hypotheses, as the port's do.
    """
    b = len(features)
    keys, state = port.encoder_att(features), port.initial(features)
    h, c = (x.repeat_interleave(size, 0) for x in state)
    scores = torch.full((b, size), -torch.inf)
    scores[:, 0] = 0  # all are equal at first
    words, left = torch.full((b, size), START), torch.full((b, 1), size)
    sequences, maps = torch.zeros(b, size, 0, dtype=torch.long), torch.zeros(b, size, 0, features.shape[1])
    ended: list[list[tuple[float, list[int]]]] = [[] for _ in range(b)]
    for _ in range(steps):
        h, c, scores, source, words, alpha = step(features, keys, h, c, scores, left, words)
        at = source.unsqueeze(2)
        sequences = torch.cat([sequences.gather(1, at.expand_as(sequences)), words.unsqueeze(2)], dim=2)
        maps = torch.cat([maps, alpha.unsqueeze(2)], dim=2)
        maps = maps.gather(1, at.unsqueeze(3).expand_as(maps))
        ends = (words == END) & (scores > -torch.inf)
        if ends.any():
            for i, j in ends.nonzero().tolist():
                ended[i].append((scores[i, j].item(), sequences[i, j].tolist()))
            scores = scores.masked_fill(ends, -torch.inf)
            left = left - ends.sum(1, keepdim=True)
            if not (left > 0).any():
                break
    found = []
    for i in range(b):
        live = [(scores[i, j].item(), sequences[i, j].tolist()) for j in range(size)]
        score, best = max(ended[i] or live, key=lambda hypothesis: hypothesis[0])
        found.append((best, score))
    return found


def _tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x))


def _linear(w: dict[str, np.ndarray], name: str, bias: bool = True) -> nn.Linear:
    kernel = w[name]
    layer = nn.Linear(*kernel.shape)
    with torch.no_grad():
        layer.weight.copy_(_tensor(kernel.T))
        layer.bias.copy_(_tensor(w[f"{name}_bias"])) if bias else layer.bias.zero_()
    return layer
