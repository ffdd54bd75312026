"""Skip-gram with negative sampling: word2vec, its pairs scored a block at a time.

Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality". What differs from
word2vec.c is the schedule, not the objective: one micro-step takes a block of `block` words from each text of the
batch, the noise words of a block are shared by its centres (weighted so that the expectation is the same), and a row
that occurs several times in a micro-step moves by the sum.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.losses import skipgram as losses
from mmjax.metrics import words
from mmjax.models.text.skipgram import SkipGram, draw, noise_table, score
from mmjax.task import Rows, Task, Update

OBJECTIVES = ("negative_sampling", "full_softmax")
NEIGHBOURS = 8  # of each word that is shown


@dataclasses.dataclass(frozen=True)
class Sampling:
    """What is drawn for each word of the text.

    Attributes:
      objective: "negative_sampling", or "full_softmax" over all words (for vocabularies of a few thousand).
      window: the largest distance of a context; each centre draws its own from 1..window.
      negatives: noise words of one pair.
      power: of the counts in the noise distribution.
      block: consecutive centres that one matrix product scores.
      shared: noise words drawn for a block.
      overlap: whether a block reads `window` words of its neighbours, so that every pair is there once. Otherwise pairs
        are those within a block, the text is cut at a random place, and each pair is weighted by the inverse of its
        chance to be in one block: the same expectation from fewer rows.
      replicas: copies of the tables that train apart on a share of the texts and are reconciled after each step
        (`ops/adasum.py`): two keep two cores busy. A power of two, and a multiple of the number of devices.
    """

    objective: str = "negative_sampling"
    window: int = 5
    negatives: int = 5
    power: float = 0.75
    block: int = 32
    shared: int = 32
    overlap: bool = True
    replicas: int = 1

    def __post_init__(self):
        if self.objective not in OBJECTIVES:
            raise UserError(
                f"config.sampling.objective {self.objective!r} is unknown: choose {' or '.join(OBJECTIVES)}"
            )
        for field in ("window", "negatives", "block", "shared", "replicas"):
            if getattr(self, field) < 1:
                raise UserError(f"config.sampling.{field} is {getattr(self, field)}: it must be at least 1")
        if self.replicas & (self.replicas - 1):
            raise UserError(f"config.sampling.replicas is {self.replicas}: it must be a power of two")
        if not self.overlap and self.block <= self.window:
            raise UserError(f"config.sampling.block is {self.block}: without overlap it must exceed the window")

    @property
    def halo(self) -> int:
        """Words that a block reads on each side."""
        return self.window if self.overlap else 0


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, sampling and evaluation."""
    sampling = Sampling(**config.sampling)
    if config.model.dim < 1:
        raise UserError(f"config.model.dim is {config.model.dim}: it must be at least 1")
    if config.batch_size % sampling.replicas:
        raise UserError(
            f"config.batch_size is {config.batch_size}, which does not divide by the {sampling.replicas} copies of "
            "config.sampling.replicas"
        )
    rows = Rows(functools.partial(cut, sampling), functools.partial(pick, sampling), sampling.replicas)
    return Task(
        fields=("tokens", "sentence", "index"),
        init=functools.partial(init, dict(config.model), sampling),
        updates=(Update("tables", functools.partial(loss, sampling), rows),),
        metrics=functools.partial(metrics, sampling, **config.evaluation),
        predict=predict,
    )


def init(options, sampling, key, batch):
    """Fresh tables; the vocabulary, the noise table and the judgements come with the data set."""
    counts = batch["word_counts"]
    model = SkipGram(counts.shape[0], **options)
    token = jnp.zeros((1, 1), jnp.int32)
    # word2vec.c's 1e8 entries for any vocabulary; 16 a word and at least 2^20 fit the cache and err by 1e-6 at most.
    size = max(2**20, 2 ** (16 * counts.shape[0] - 1).bit_length())
    return {
        "params": {"tables": model.init(key, token, token)["params"]},
        "state": {},
        "frozen": {
            "noise": noise_table(counts, sampling.power, size),
            "counts": jnp.asarray(counts),
            "spelling": jnp.asarray(batch["word_spelling"]),
            "shown": jnp.asarray(batch["shown"]),
            **{part: _part(batch, part) for part in ("pairs", "judged", "questions")},
        },
    }


def _part(batch: Mapping, part: str) -> dict:
    """{"wordsim353": ...} from the constants "pairs/wordsim353"."""
    return {k.split("/", 1)[1]: jnp.asarray(v) for k, v in batch.items() if k.startswith(f"{part}/")}


def cut(sampling, variables, batch, key):
    """Texts [b t] -> windows of a block and its halos, [m b w], in the order of the text; and what is drawn for each.

    Each centre has its radius and each block its noise words, all drawn at once: in small pieces they cost more.
    """
    halo, block = sampling.halo, sampling.block
    of_shift, of_radius, of_noise = jax.random.split(key, 3)
    shift = jnp.int32(0) if sampling.overlap else jax.random.randint(of_shift, (), 0, block, jnp.int32)
    steps = -(-batch["tokens"].shape[1] // block) + (not sampling.overlap)
    rest = steps * block - batch["tokens"].shape[1]
    at = (np.arange(steps)[:, None] * block + np.arange(block + 2 * halo)).astype(np.int32)

    def windows(x, fill):
        padded = jnp.pad(x, ((0, 0), (halo + block, halo + rest)), constant_values=fill)
        moved = lax.dynamic_slice_in_dim(padded, block - shift, steps * block + 2 * halo, 1)
        return jnp.moveaxis(moved[:, at], 1, 0)

    several = (steps, len(batch["tokens"]))
    bits = jax.random.bits(of_radius, (*several, block), np.uint16).astype(jnp.int32)  # 2^16 divides by 5 but for one
    micro = {
        "window": windows(batch["tokens"], 0),
        "sentence": windows(batch["sentence"], -1),
        "radius": 1 + bits % sampling.window,
    }
    if sampling.objective == "full_softmax":
        return micro
    return {**micro, "noise": draw(variables["frozen"]["noise"], of_noise, (*several, sampling.shared))}


def pick(sampling, variables, batch, key):
    """The rows that a micro-step needs: W of the block, W' of window and noise."""
    del key
    window = batch["window"]
    centre = window[:, sampling.halo : sampling.halo + sampling.block]
    if sampling.objective == "full_softmax":
        every = jnp.arange(variables["frozen"]["counts"].shape[0], dtype=jnp.int32)
        return {"words": centre, "contexts": every[None]}, batch
    return {"words": centre, "contexts": jnp.concatenate([window, batch["noise"]], 1)}, batch


def loss(sampling, variables, batch, key):
    """The sum over all pairs, as word2vec's learning rate wants it; the mean of a pair is what the curve shows."""
    del key
    total, pairs = _by_text(sampling, variables["params"]["tables"], batch)
    total, pairs = jnp.sum(total), jnp.sum(pairs)
    return total, (variables["state"], {"loss/tables": (total, pairs)})


def _by_text(sampling, rows, batch):
    """(sum of the loss, number of pairs) of each text's block, [b] each."""
    spare = rows["contexts"].shape[1] - batch["window"].shape[1] if "noise" in batch else 0
    mask = losses.contexts(batch["sentence"], batch["radius"], spare).astype(jnp.float32)
    if not sampling.overlap:
        mask = mask * np.pad(losses.seen(sampling.block), ((0, 0), (0, spare)))[None]
    pairs = jnp.sum(mask, (1, 2))
    if sampling.objective == "full_softmax":
        every = jnp.broadcast_to(rows["contexts"], (len(mask), *rows["contexts"].shape[1:]))
        return jnp.sum(losses.full_softmax(score(rows["words"], every), mask, batch["window"]), 1), pairs
    share = jnp.float32(sampling.negatives / sampling.shared)
    hits = losses.hits(batch["window"], batch["noise"])
    scores = score(rows["words"], rows["contexts"])
    return jnp.sum(losses.negative_sampling(scores, mask, hits, share), 1), pairs


def metrics(sampling, variables, batch, *, restrict_vocab):
    """The held-out loss of a pair, and what the vectors know beside chance, each with the share that was covered.

    What the vectors know does not depend on the texts: each of them repeats it, so that the mean is it.
    """
    tables, frozen, valid = variables["params"]["tables"], variables["frozen"], batch["valid"]

    def body(sums, micro):
        indices, micro = pick(sampling, variables, micro, None)
        rows = {name: tables[name][at] for name, at in indices.items()}
        return jax.tree.map(jnp.add, sums, _by_text(sampling, rows, micro)), None

    micro = cut(sampling, variables, batch, jax.random.key(0))
    zero = jnp.zeros(len(valid), jnp.float32)
    (total, pairs), _ = lax.scan(body, (zero, zero), micro)
    pairs = jnp.sum(pairs, where=valid)
    figures = {
        "pair_loss": (jnp.sum(total, where=valid), pairs),
        f"pair_loss/{_untrained(sampling, frozen)[0]}": (pairs * jnp.float32(_untrained(sampling, frozen)[1]), pairs),
    }
    texts = jnp.sum(valid, dtype=jnp.float32)
    known = _knowledge(tables["words"], frozen, restrict_vocab)
    return figures | {name: (value * texts, texts) for name, value in known.items()}


def _untrained(sampling, frozen):
    """The loss of vectors that are all zero: its name and value."""
    if sampling.objective == "full_softmax":
        return "uniform", np.log(frozen["counts"].shape[0])
    return "untrained", (1 + sampling.negatives) * np.log(2)


def _knowledge(table, frozen, restrict_vocab):
    """{figure: value} of all pair and question files."""
    figures = {}
    for name, pairs in frozen["pairs"].items():
        value, covered = words.pair_correlation(table, pairs, frozen["judged"][name])
        figures |= {name: value, f"{name}/chance": jnp.float32(0)}
        figures |= {f"{name}_coverage": covered, f"{name}_coverage/complete": jnp.float32(1)}
    for name, questions in frozen["questions"].items():
        value, covered = words.analogy_accuracy(table, questions, restrict_vocab)
        chance = 1 / max(min(restrict_vocab, table.shape[0]) - 3, 1)
        figures |= {name: value, f"{name}/chance": jnp.float32(chance)}
        figures |= {f"{name}_coverage": covered, f"{name}_coverage/complete": jnp.float32(1)}
    return figures


def predict(variables, batch, key):
    """Example i shows word i of those to show: its vector, its spelling, its neighbours."""
    del key
    frozen, table = variables["frozen"], variables["params"]["tables"]["words"]
    shown = frozen["shown"]
    word = shown[jnp.minimum(batch["index"], len(shown) - 1)]
    near = words.neighbours(table, word, min(NEIGHBOURS, table.shape[0] - 1))
    return {
        "embedding/words": table[word],
        "text/words": frozen["spelling"][word],
        "text/neighbours": frozen["spelling"][near],
    }


def vectors(variables):
    """(words, W) of trained variables, on the host, in order of frequency."""
    spelling = np.ascontiguousarray(variables["frozen"]["spelling"])
    spelt = spelling.view(f"S{spelling.shape[1]}")[:, 0]
    return [word.decode("utf-8", "ignore") for word in spelt], np.asarray(variables["params"]["tables"]["words"])
