"""Skip-gram with negative sampling: word2vec, its pairs scored a block at a time.

Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality". What differs from
word2vec.c is the schedule, not the objective: one micro-step takes a block of `block` words from each text of the
batch, the noise words of a block are shared by its centres (weighted so that the expectation is the same), and a row
that occurs several times in a micro-step moves by the sum.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from mmjax import errors
from mmjax.errors import OptionError
from mmjax.losses import skipgram as losses
from mmjax.metrics import words
from mmjax.models.text.skipgram import Sampling, SkipGram, draw, noise_table, score
from mmjax.task import Batch, Constants, Figures, Rows, Task, Update, Variables, bind
from mmjax.text import asking

NEIGHBOURS = 8  # of each word that is shown


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, sampling and evaluation."""
    with errors.section("config.sampling"):
        sampling = Sampling(**config.sampling)
    if config.model.dim < 1:
        raise OptionError("config.model.dim", f"is {config.model.dim}: it must be at least 1")
    if config.batch_size % sampling.replicas:
        wrong = f"does not divide by the {sampling.replicas} copies of config.sampling.replicas"
        raise OptionError("config.batch_size", f"is {config.batch_size}, which {wrong}")
    rows = Rows(bind(cut, sampling), bind(pick, sampling), sampling.replicas)
    return Task(
        fields=("tokens", "sentence", "index"),
        init=bind(init, sampling, **config.model),
        updates=(Update("tables", bind(loss, sampling), rows),),
        metrics=bind(metrics, sampling, **config.evaluation),
        predict=predict,
        predicts_from=("index",),
        also_from=(("tokens",),),  # any word of the vocabulary
        answers=("text/words", "text/neighbours", "embedding/words"),
        ask=ask,
        modalities={"words": ("tokens",)},
        headline=("wordsim*", "simlex*", "questions*", "kinds"),
    )


def init(sampling: Sampling, key: Array, batch: Batch, *, dim: int) -> dict[str, Any]:
    """Fresh tables; the vocabulary, the noise table and the judgements come with the data set."""
    counts = batch["word_counts"]
    model = SkipGram(counts.shape[0], dim)
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


def _part(batch: Batch, part: str) -> dict[str, Array]:
    """{"wordsim353": ...} from the constants "pairs/wordsim353"."""
    return {k.split("/", 1)[1]: jnp.asarray(v) for k, v in batch.items() if k.startswith(f"{part}/")}


def cut(sampling: Sampling, variables: Variables, batch: Batch, key: Array) -> dict[str, Array]:
    """Texts [b t] -> windows of a block and its halos, [m b w], in the order of the text; and what is drawn for each.

    Each centre has its radius and each block its noise words, all drawn at once: in small pieces they cost more.
    """
    halo, block = sampling.halo, sampling.block
    of_shift, of_radius, of_noise = jax.random.split(key, 3)
    shift = jnp.int32(0) if sampling.overlap else jax.random.randint(of_shift, (), 0, block, jnp.int32)
    steps = -(-batch["tokens"].shape[1] // block) + (not sampling.overlap)
    rest = steps * block - batch["tokens"].shape[1]
    at = (np.arange(steps)[:, None] * block + np.arange(block + 2 * halo)).astype(np.int32)

    def windows(x: Int[Array, "b t"], fill: int) -> Int[Array, "m b w"]:
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


def pick(
    sampling: Sampling, variables: Variables, batch: Batch, key: Array | None
) -> tuple[dict[str, Int[Array, "b n"]], Batch]:
    """The rows that a micro-step needs: W of the block, W' of window and noise."""
    del key
    window = batch["window"]
    centre = window[:, sampling.halo : sampling.halo + sampling.block]
    if sampling.objective == "full_softmax":
        every = jnp.arange(variables["frozen"]["counts"].shape[0], dtype=jnp.int32)
        return {"words": centre, "contexts": every[None]}, batch
    return {"words": centre, "contexts": jnp.concatenate([window, batch["noise"]], 1)}, batch


def loss(
    sampling: Sampling, variables: Variables, batch: Batch, key: Array
) -> tuple[Float[Array, ""], tuple[Any, Figures]]:
    """The sum over all pairs, as word2vec's learning rate wants it; the mean of a pair is what the curve shows."""
    del key
    total, pairs = _by_text(sampling, variables["params"]["tables"], batch)
    total, pairs = jnp.sum(total), jnp.sum(pairs)
    return total, (variables["state"], {"loss/tables": (total, pairs)})


def _by_text(sampling: Sampling, rows: dict[str, Array], batch: Batch) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """(sum of the loss, number of pairs) of each text's block."""
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


def metrics(sampling: Sampling, variables: Variables, batch: Batch, *, restrict_vocab: int) -> Figures:
    """The held-out loss of a pair, and what the vectors know beside chance, each with the share that was covered.

    What the vectors know does not depend on the texts: each of them repeats it, so that the mean is it.
    """
    tables, frozen, valid = variables["params"]["tables"], variables["frozen"], batch["valid"]

    def body(sums: Any, micro: Batch) -> tuple[Any, None]:
        indices, micro = pick(sampling, variables, micro, None)
        rows = {name: tables[name][at] for name, at in indices.items()}
        return jax.tree.map(jnp.add, sums, _by_text(sampling, rows, micro)), None

    micro = cut(sampling, variables, batch, jax.random.key(0))
    zero = jnp.zeros(len(valid), jnp.float32)
    (total, pairs), _ = lax.scan(body, (zero, zero), micro)
    pairs = jnp.sum(pairs, where=valid)
    name, value = _untrained(sampling, frozen)
    figures = {
        "pair_loss": (jnp.sum(total, where=valid), pairs),
        f"pair_loss/{name}": (pairs * jnp.float32(value), pairs),
    }
    texts = jnp.sum(valid, dtype=jnp.float32)
    about = {part: frozen[part] for part in ("pairs", "judged", "questions")}
    known = words.knowledge(tables["words"], **about, most=restrict_vocab)
    return figures | {name: (value * texts, texts) for name, value in known.items()}


def _untrained(sampling: Sampling, frozen: Any) -> tuple[str, float]:
    """The loss of vectors that are all zero: its name and value."""
    if sampling.objective == "full_softmax":
        return "uniform", np.log(frozen["counts"].shape[0])
    return "untrained", (1 + sampling.negatives) * np.log(2)


def predict(variables: Variables, batch: Batch, key: Array) -> dict[str, Array]:
    """Example i shows word i of those to show, or the first of its tokens: its vector, its spelling, its neighbours."""
    del key
    frozen, table = variables["frozen"], variables["params"]["tables"]["words"]
    shown = frozen["shown"]
    word = shown[jnp.minimum(batch["index"], len(shown) - 1)] if "index" in batch else batch["tokens"][:, 0]
    near = words.neighbours(table, word, min(NEIGHBOURS, table.shape[0] - 1))
    return {
        "embedding/words": table[word],
        "text/words": frozen["spelling"][word],
        "text/neighbours": frozen["spelling"][near],
    }


def ask(text: str, variables: Variables, constants: Constants) -> tuple[Batch, tuple[str, ...]]:
    """A word as the batch of one example; as it is spelled, else in lower case."""
    del constants
    return {"tokens": np.array([[asking.word(text, _spelt(variables))]], np.int32)}, ()


def vectors(variables: Variables) -> tuple[list[str], Float[np.ndarray, "v d"]]:
    """(words, W) of trained variables, on the host, in order of frequency."""
    return _spelt(variables), np.asarray(variables["params"]["tables"]["words"])


def _spelt(variables: Variables) -> list[str]:
    """The words in order of their numbers."""
    spelling = np.ascontiguousarray(variables["frozen"]["spelling"])
    spelt = spelling.view(f"S{spelling.shape[1]}")[:, 0]
    return [word.decode("utf-8", "ignore") for word in spelt]
