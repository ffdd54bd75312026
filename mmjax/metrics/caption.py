"""How good captions are, as coco-caption counts it: BLEU, ROUGE-L and CIDEr-D over Penn Treebank tokens, without Java.

The figures equal those of pycocoevalcap's scorers on the same tokens, quirks included; each quirk is named where it is.
A whole split is scored at once, on the host: BLEU is a ratio of sums over it, and CIDEr-D's weights are counted in it.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mmjax.errors import UserError
from mmjax.metrics import caption_java
from mmjax.text import tokenise

ORDERS = 4  # n-grams of 1 to 4 words
SIGMA = 6.0  # of CIDEr-D's penalty on a length that differs, in bigrams
BETA = 1.2  # of ROUGE-L: how much more recall weighs than precision
NAMES = (*(f"bleu{n}" for n in range(1, ORDERS + 1)), "rouge_l", "cider_d")

Words = Sequence[str]
Grams = Mapping[tuple[str, ...], int]


def scores(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    java: Sequence[str] = (),
    rules: str = "unicode",
) -> dict[str, float]:
    """All figures of a split.

    Args:
      hypotheses: one caption an image, as text.
      references: the captions that people wrote for each of these images, at least one.
      java: "meteor" and "spice" where these are wanted: they need pycocoevalcap and Java.
      rules: by which the captioner's sentences were cut, config.data.tokens.rules; see `tokenise`.

    Returns:
      {"bleu1": .., "bleu2": .., "bleu3": .., "bleu4": .., "rouge_l": ..}, 0..1; "cider_d", 0..10; and those of `java`,
      0..1. Papers write all of them times 100.

    Raises:
      UserError: the two differ in length, there is no image, an image has no reference, or Java is not there.
    """
    _check(hypotheses, references)
    said = [tokenise.caption(text, rules) for text in hypotheses]
    wanted = [[tokenise.caption(text, rules) for text in texts] for texts in references]
    figures = {f"bleu{n + 1}": value for n, value in enumerate(bleu(said, wanted))}
    figures["rouge_l"] = float(np.mean(rouge_l(said, wanted)))
    figures["cider_d"] = float(np.mean(cider_d(said, wanted)))
    return figures | caption_java.scores(said, wanted, java)


def _check(hypotheses: Sequence, references: Sequence[Sequence]) -> None:
    if len(hypotheses) != len(references):
        raise UserError(f"{len(hypotheses)} captions cannot be scored against the references of {len(references)}")
    if not len(hypotheses):
        raise UserError("there is no caption to score: the split is empty")
    bare = next((number for number, texts in enumerate(references) if not len(texts)), None)
    if bare is not None:
        raise UserError(f"image {bare} has no reference caption to score against")


def grams(words: Words) -> collections.Counter[tuple[str, ...]]:
    """How often each n-gram of 1 to 4 words occurs."""
    words = tuple(words)
    return collections.Counter(words[at : at + n] for n in range(1, ORDERS + 1) for at in range(len(words) - n + 1))


def bleu(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """BLEU-1 to BLEU-4 of a corpus (Papineni et al. 2002), 0..1.

    The length that is wanted is the closest reference's, of two equally close ones the shorter. As in coco-caption
    1e-15 is added to the matches and 1e-9 to the n-grams, so that a corpus without any match scores nearly 0, not 0.

    Args:
      hypotheses: one list of words an image.
      references: several lists of words an image.
    """
    matches, total = [0] * ORDERS, [0] * ORDERS
    long = wanted = 0
    for words, texts in zip(hypotheses, references, strict=True):
        length = len(words)
        long += length
        wanted += min((abs(len(text) - length), len(text)) for text in texts)[1]
        most: collections.Counter[tuple[str, ...]] = collections.Counter()
        for text in texts:
            most |= grams(text)  # the largest count in any one reference
        for gram, count in grams(words).items():
            matches[len(gram) - 1] += min(count, most[gram])
        for n in range(ORDERS):
            total[n] += max(length - n, 0)
    ratio = (long + 1e-15) / (wanted + 1e-9)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    out, product = [], 1.0
    for n in range(ORDERS):
        product *= (matches[n] + 1e-15) / (total[n] + 1e-9)
        out.append(product ** (1 / (n + 1)) * brevity)
    return out


def rouge_l(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> Float[np.ndarray, " n"]:
    """ROUGE-L of each image (Lin 2004), 0..1: the F-measure, beta 1.2, of the longest common subsequence.

    As in coco-caption precision and recall are each the best over the references, not both of the same one.
    """
    out = np.zeros(len(hypotheses))
    for image, (words, texts) in enumerate(zip(hypotheses, references, strict=True)):
        own = words or ("",)  # coco-caption's split of an empty caption: one empty word
        common = [(longest_common(own, text or ("",)), len(text) or 1) for text in texts]
        precision = max(length for length, _ in common) / len(own)
        recall = max(length / many for length, many in common)
        if precision and recall:
            out[image] = (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)
    return out


def longest_common(a: Words, b: Words) -> int:
    """Words of the longest common subsequence; a row of the table is one integer's bits (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for at, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << at
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        hit = row & places.get(word, 0)
        row = ((row + hit) | (row - hit)) & full
    return len(a) - row.bit_count()


def cider_d(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> Float[np.ndarray, " n"]:
    """CIDEr-D of each image (Vedantam et al. 2015, eq. 5 to 7), 0..10.

    An n-gram weighs log(images / images whose references have it), counted in these very references: the figures of
    two splits do not compare, and where there is one image only every weight, and so every score, is 0. As in
    coco-caption the lengths that the penalty compares are numbers of bigrams.
    """
    cooked = [[grams(text) for text in texts] for texts in references]
    seen: collections.Counter[tuple[str, ...]] = collections.Counter()
    for texts in cooked:
        seen.update(set().union(*texts))
    images = math.log(len(references))
    weight = {gram: images - math.log(count) for gram, count in seen.items()}
    out = np.zeros(len(hypotheses))
    for image, (words, texts) in enumerate(zip(hypotheses, cooked, strict=True)):
        own, lengths, bigrams = _weighted(grams(words), weight, images)
        total = 0.0
        for text in texts:
            other, other_lengths, other_bigrams = _weighted(text, weight, images)
            penalty = math.exp(-((bigrams - other_bigrams) ** 2) / (2 * SIGMA**2))
            total += penalty * _clipped_cosine(own, other, lengths, other_lengths)
        out[image] = 10 * total / (ORDERS * len(texts))
    return out


Vector = dict[tuple[str, ...], float]


def _weighted(counts: Grams, weight: Mapping[tuple[str, ...], float], unseen: float) -> tuple[Vector, list[float], int]:
    """({n-gram: weighted count}, the Euclidean length for each n, number of bigrams)."""
    vector = {gram: count * weight.get(gram, unseen) for gram, count in counts.items()}
    squares, bigrams = [0.0] * ORDERS, 0
    for gram, value in vector.items():
        squares[len(gram) - 1] += value * value
        if len(gram) == 2:
            bigrams += counts[gram]
    return vector, [math.sqrt(square) for square in squares], bigrams


def _clipped_cosine(own: Vector, other: Vector, lengths: Sequence[float], other_lengths: Sequence[float]) -> float:
    """The sum over n of the cosine, in which repeating a word gains nothing: CIDEr-D's min."""
    products = [0.0] * ORDERS
    for gram in own.keys() & other.keys():
        products[len(gram) - 1] += min(own[gram], other[gram]) * other[gram]
    return sum(p / (a * b) for p, a, b in zip(products, lengths, other_lengths, strict=True) if a and b)
