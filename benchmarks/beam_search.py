"""Beam search and a training step of Show, Attend and Tell: mmjax against PyTorch, alternating in one run.

    python benchmarks/beam_search.py [--quick] [--images 32] [--beam 5] [--steps 20]

The network is the popular PyTorch port's: 196 x 2048 features, 512 units everywhere, ReLU attention, a vector gate,
10,000 words; random weights, the same in both. The peer decodes as that port's users do: one picture at a time, its
hypotheses a batch that shrinks as they end, the features copied for each of them and their half of the attention
computed anew at every step. Unlike the port it keeps what does not end, as mmjax does, because the port would fail.
mmjax decodes all pictures in one call. Both must find the same captions before the clock counts.

Two loads: the end word made so unlikely that every caption takes all steps, and made so likely that captions end on
the way. The ratio is the first's. The training step is teacher forcing over captions of --steps words without padding
(the peer loops over the time steps, as the port does), cross-entropy and the port's attention penalty, backward pass
and Adam; no dropout, so that the losses of both can be compared. results/beam_search.json is written only by a full run
at the default sizes, with the load average at its ends.

Where mmjax's time goes at the default sizes (two AMD cores with AVX-512, ms of 330): products with the weights 219, the
features' half of the attention 40, scores of the attention about 20 (76 before they were computed hypothesis by
hypothesis), mixing the features, which are read from memory at every step, 32, and the search itself, from the bias of
the logits to the reordered states, about 20. The products run at 340 GFLOP/s: what is left to gain is little without
smaller arithmetic.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import nn
from torch.nn import functional as F

from mmjax import decode
from mmjax.models.text.show_attend_tell import PRESETS, ShowAttendTell

RESULT = pathlib.Path(__file__).parent / "results" / "beam_search.json"
PLACES, CHANNELS, WORDS, START, END = 196, 2048, 10_000, 1, 2
RATE = 4e-4
IDLE = 0.5  # load average above which a ratio is not to be quoted: PyTorch's spinning threads suffer more than ours
PAUSE = 0.05  # seconds between the libraries, for the other's idle threads to stop spinning


class Port(nn.Module):
    """The decoder of the port, with its names; parameters are loaded from mmjax's."""

    def __init__(self, w: dict[str, np.ndarray]):
        super().__init__()
        n = w["lstm_hidden"].shape[0]
        self.embedding = nn.Embedding.from_pretrained(_tensor(w["words"]), freeze=False)
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


def port_loss(port: Port, features: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Teacher forcing, step by step, as the port does: cross-entropy and the penalty on the attention."""
    state = port.initial(features)
    logits, maps = [], []
    before = F.pad(tokens[:, :-1], (1, 0), value=START)
    for t in range(tokens.shape[1]):
        out, state, alpha = port(features, state, before[:, t])
        logits.append(out)
        maps.append(alpha)
    scores = torch.stack(logits, dim=1)
    penalty = ((1 - torch.stack(maps, dim=1).sum(dim=1)) ** 2).mean()
    return F.cross_entropy(scores.flatten(0, 1), tokens.flatten()) + penalty


def our_loss(model: ShowAttendTell, params, features, tokens):
    """The same loss."""
    out = model.apply({"params": params}, features, tokens)
    cross = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(out["logits"], tokens))
    return cross + jnp.mean((1 - jnp.sum(out["attention"], 1)) ** 2)


def captioner(model: ShowAttendTell, size: int, steps: int) -> Callable:
    """(variables, features) -> `Decoded`, compiled."""

    def run(variables, features):
        memory, carry = model.apply(variables, features, method="start")
        step = functools.partial(model.apply, variables, memory, method="step")
        return decode.beam(step, carry, START, END, steps, size=size)

    return jax.jit(run)


def decoding(model, w, features, options, end_bias: float) -> dict:
    """Captions per second of both, alternating: a share of the pictures one by one, then all in one call."""
    w = {**w, "logits_bias": w["logits_bias"].copy()}
    w["logits_bias"][END] = end_bias
    variables = {"params": {name: jnp.asarray(value) for name, value in w.items()}}
    port, run = Port(w), captioner(model, options.beam, options.steps)
    ours, theirs = jnp.asarray(features), torch.from_numpy(features)
    jax.block_until_ready(run(variables, ours))
    with_us, with_port, found = [], [], {}
    for index in range(0, options.compared, options.share):
        time.sleep(PAUSE)
        began = time.perf_counter()
        for i in range(index, min(index + options.share, len(features))):
            found[i] = caption(port, theirs[i : i + 1], options.beam, options.steps)
        with_port.append(options.share / (time.perf_counter() - began))
        time.sleep(PAUSE)
        began = time.perf_counter()
        out = jax.block_until_ready(run(variables, ours))
        with_us.append(len(features) / (time.perf_counter() - began))
    same, words = compare(jax.device_get(out), found)
    return {
        "captions_per_second": {"mmjax": statistics.median(with_us), "torch": statistics.median(with_port)},
        "ratios": [a / b for a, b in zip(with_us, with_port)],
        "identical": same,
        "captions": len(found),
        "mean_tokens": words,
    }


def compare(out, found) -> tuple[int, float]:
    """Number of identical captions, and their mean length; any other must be a tie within rounding."""
    same, lengths = 0, []
    for i, (tokens, score) in found.items():
        mine = out.tokens[i, 0, : out.lengths[i, 0] + out.finished[i, 0]].tolist()
        same += mine == tokens
        lengths.append(len(tokens))
        assert abs(score - out.scores[i, 0]) < 1e-3, f"picture {i}: {mine} and {tokens} differ by more than rounding"
    return same, statistics.mean(lengths)


def training(model, w, features, options) -> dict:
    """Seconds of a training step of both, alternating, after their first two losses have agreed."""
    tokens = np.random.default_rng(1).integers(4, WORDS, (len(features), options.steps))
    port, (step, params, state) = Port(w), our_step(model, w)
    optimiser = torch.optim.Adam(port.parameters(), lr=RATE, fused=True)
    x, y = torch.from_numpy(features), torch.from_numpy(tokens)
    ours_x, ours_y = jnp.asarray(features), jnp.asarray(tokens, jnp.int32)
    times: dict[str, list[float]] = {"mmjax": [], "torch": []}
    for number in range(options.rounds + 2):
        time.sleep(PAUSE)
        began = time.perf_counter()
        loss = port_loss(port, x, y)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        times["torch"].append(time.perf_counter() - began)
        time.sleep(PAUSE)
        began = time.perf_counter()
        params, state, ours = step(params, state, ours_x, ours_y)
        jax.block_until_ready(params)
        times["mmjax"].append(time.perf_counter() - began)
        if number < 2:
            assert abs(float(ours) - loss.item()) < 1e-3 * loss.item(), f"losses differ: {ours} and {loss.item()}"
    times = {name: values[2:] for name, values in times.items()}
    return {
        "step_ms": {name: 1e3 * statistics.median(values) for name, values in times.items()},
        "ratios": [a / b for a, b in zip(times["torch"], times["mmjax"])],
    }


def our_step(model, w):
    """(compiled step, parameters, optimiser state)."""
    adam = optax.adam(RATE)
    params = {name: jnp.asarray(value) for name, value in w.items()}

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, features, tokens):
        loss, gradient = jax.value_and_grad(functools.partial(our_loss, model))(params, features, tokens)
        change, state = adam.update(gradient, state, params)
        return optax.apply_updates(params, change), state, loss

    return step, params, adam.init(params)


def weights(model: ShowAttendTell, features: np.ndarray) -> dict[str, np.ndarray]:
    """Random ones; the logits are scaled up so that distributions are as peaked as a trained network's."""
    variables = jax.jit(model.init)(jax.random.key(0), features[:1], jnp.zeros((1, 2), jnp.int32))
    w = {name: np.array(value) for name, value in variables["params"].items()}
    w["logits"] *= 8
    w["words"] *= 8
    return w


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer pictures and rounds: ends within a minute")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--share", type=int, default=4, help="pictures of the peer between two calls of mmjax")
    parser.add_argument("--rounds", type=int, default=9, help="training steps")
    parser.add_argument("--only", choices=("decode", "train"))
    options = parser.parse_args()
    default = [options.images, options.beam, options.steps] == [32, 5, 20] and not (options.quick or options.only)
    if options.quick:
        options.share, options.rounds = 8, 1
    options.compared = options.images // 2 if options.quick else options.images
    torch.set_num_threads(os.cpu_count() or 1)
    load = os.getloadavg()[0]
    model = ShowAttendTell(WORDS, CHANNELS, **PRESETS["sgrvinod"])
    rng = np.random.default_rng(0)  # as after a ReLU: half of them zero
    features = np.maximum(rng.standard_normal((options.images, PLACES, CHANNELS), np.float32), 0)
    w = weights(model, features)
    report: dict = {}
    if options.only != "train":
        for name, bias in (("all steps", -1e4), ("captions end", 4.0)):
            report[name] = row = decoding(model, w, features, options, bias)
            rates = row["captions_per_second"]
            print(
                f"{name}, {row['mean_tokens']:.1f} tokens: mmjax {rates['mmjax']:.1f} captions/s, torch "
                f"{rates['torch']:.2f}, {row['identical']} of {row['captions']} captions identical, "
                f"{statistics.median(row['ratios']):.1f} times",
                flush=True,
            )
    if options.only != "decode":
        report["training"] = row = training(model, w, features, options)
        print("training step: " + ", ".join(f"{name} {ms:.0f} ms" for name, ms in row["step_ms"].items()))
    finish(report, options, load, default)


def finish(report: dict, options: argparse.Namespace, load: float, default: bool) -> None:
    """Writes the result of a full run and prints the ratios."""
    content = {
        "what": f"beam {options.beam}, {options.steps} steps, {options.images} pictures of {PLACES} x {CHANNELS}",
        "machine": {"cores": os.cpu_count(), "platform": platform.machine(), "device": jax.devices()[0].device_kind},
        "versions": {"jax": jax.__version__, "torch": torch.__version__},
        "load_before_and_after": [load, os.getloadavg()[0]],
        **report,
    }
    if default:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(content, indent=1) + "\n")
    if load > IDLE:
        print(f"the load average was {load:.1f} at the start: judge the ratios on an idle machine")
    if "training" in report:
        ratio = statistics.median(report["training"]["ratios"])
        print(f"ratio {ratio:.2f} training step of the attention decoder, batch {options.images}: mmjax over torch")
    if "all steps" in report:
        ratio = statistics.median(report["all steps"]["ratios"])
        print(f"ratio {ratio:.2f} captions per second, beam {options.beam}: mmjax over torch, one picture at a time")


def _tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x))


def _linear(w: dict[str, np.ndarray], name: str, bias: bool = True) -> nn.Linear:
    kernel = w[name]
    layer = nn.Linear(*kernel.shape)
    with torch.no_grad():
        layer.weight.copy_(_tensor(kernel.T))
        layer.bias.copy_(_tensor(w[f"{name}_bias"])) if bias else layer.bias.zero_()
    return layer


if __name__ == "__main__":
    main()
