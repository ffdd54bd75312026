"""What word vectors know: similarity of pairs against people's judgements, analogies, neighbours.

The protocols are those of gensim and of word2vec.c: cosine similarity, Spearman's rank correlation over the pairs whose
words are both known, 3CosAdd over the most frequent words without the three words of the question.
"""

from __future__ import annotations

from collections.abc import Mapping

from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.ops.vectors import unit


def ranks(values: Float[Array, " n"], where: Bool[Array, " n"]) -> Float[Array, " n"]:
    """Ranks from 0 among the entries of `where`, equal values sharing their mean rank; others get no meaning."""
    ordered = jnp.sort(jnp.where(where, values, jnp.inf))
    left = jnp.searchsorted(ordered, values, side="left")
    right = jnp.searchsorted(ordered, values, side="right")
    return (left + right - 1).astype(jnp.float32) / 2


def spearman(x: Float[Array, " n"], y: Float[Array, " n"], where: Bool[Array, " n"]) -> Float[Array, ""]:
    """Spearman's rank correlation over the entries of `where`; 0 where one side is constant."""
    count = jnp.maximum(jnp.sum(where, dtype=jnp.float32), 1)
    x, y = (r - jnp.sum(r, where=where) / count for r in (ranks(x, where), ranks(y, where)))
    scale = jnp.sqrt(jnp.sum(x * x, where=where) * jnp.sum(y * y, where=where))
    return jnp.where(scale > 0, jnp.sum(x * y, where=where) / jnp.maximum(scale, 1e-12), jnp.float32(0))


def pair_correlation(
    table: Float[Array, "v d"], pairs: Int[Array, "n 2"], judged: Float[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Spearman's correlation of cosine similarity with people's judgement, and the share of pairs that count.

    Args:
      table: of vectors.
      pairs: the two words; -1 for a word outside the vocabulary, whose pair is left out.
      judged: similarity by people.
    """
    known = jnp.all(pairs >= 0, -1)
    first, second = unit(table[pairs[:, 0]]), unit(table[pairs[:, 1]])
    return spearman(jnp.sum(first * second, -1), judged, known), jnp.mean(known, dtype=jnp.float32)


def analogy_accuracy(
    table: Float[Array, "v d"], questions: Int[Array, "n 4"], most: int = 30_000, chunk: int = 256
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """3CosAdd: the share of "a is to b as c is to ?" answered right, and the share of questions that count.

    The answer is the word nearest to unit(b) - unit(a) + unit(c), a, b and c excluded.

    Args:
      table: of vectors, in order of frequency.
      questions: a, b, c and the answer; -1 for a word outside the vocabulary.
      most: only the most frequent words are candidates, and questions with any other word are left out.
      chunk: questions in one matrix product.
    """
    table = unit(table[:most])
    known = jnp.all((questions >= 0) & (questions < table.shape[0]), -1)

    def right(question):
        a, b, c, answer = jnp.moveaxis(jnp.where(question >= 0, question, 0) % table.shape[0], -1, 0)
        scores = (table[b] - table[a] + table[c]) @ table.T
        rows = jnp.arange(len(question))
        for asked in (a, b, c):
            scores = scores.at[rows, asked].set(-jnp.inf)
        return jnp.argmax(scores, -1) == answer

    short = -len(questions) % chunk
    stacked = jnp.pad(questions, ((0, short), (0, 0))).reshape(-1, chunk, 4)
    hits = lax.map(right, stacked).reshape(-1)[: len(questions)] & known
    counted = jnp.sum(known, dtype=jnp.float32)
    return jnp.sum(hits, dtype=jnp.float32) / jnp.maximum(counted, 1), jnp.mean(known, dtype=jnp.float32)


def neighbours(table: Float[Array, "v d"], words: Int[Array, " n"], count: int) -> Int[Array, "n k"]:
    """The `count` words of largest cosine similarity to each of `words`, nearest first, itself excluded."""
    table = unit(table)
    scores = table[words] @ table.T
    scores = scores.at[jnp.arange(words.shape[0]), words].set(-jnp.inf)
    return lax.top_k(scores, count)[1]


def knowledge(
    table: Float[Array, "v d"],
    pairs: Mapping[str, Int[Array, "n 2"]],
    judged: Mapping[str, Float[Array, " n"]],
    questions: Mapping[str, Int[Array, "n 4"]],
    most: int,
) -> dict[str, Float[Array, ""]]:
    """{figure: value} of all pair and question files: beside chance, and each with the share that was covered.

    Args:
      table: of vectors, in order of frequency.
      pairs: {file: its pairs}, as for `pair_correlation`.
      judged: {file: the judgements of its pairs}.
      questions: {file: its questions}, as for `analogy_accuracy`.
      most: as for `analogy_accuracy`.
    """
    figures: dict[str, Array] = {}
    for name, words in pairs.items():
        value, covered = pair_correlation(table, words, judged[name])
        figures |= {name: value, f"{name}/chance": jnp.float32(0)}
        figures |= {f"{name}_coverage": covered, f"{name}_coverage/complete": jnp.float32(1)}
    for name, asked in questions.items():
        value, covered = analogy_accuracy(table, asked, most)
        chance = 1 / max(min(most, table.shape[0]) - 3, 1)
        figures |= {name: value, f"{name}/chance": jnp.float32(chance)}
        figures |= {f"{name}_coverage": covered, f"{name}_coverage/complete": jnp.float32(1)}
    return figures
