"""The word vectors of a skip-gram run for other tools, and a look at their neighbours.

mmjax words runs/skipgram vectors.bin       .txt .vec .bin (word2vec), .safetensors, or a TensorBoard folder
mmjax words vectors.bin vectors.txt         from one format to another
mmjax words runs/skipgram --near red blue   the nearest words of each
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmjax.errors import UserError
from mmjax.text import asking
from mmjax.tools import Parser
from mmjax.weights import word_vectors


def load(path: str) -> word_vectors.Vectors:
    """(words, vectors) of a workdir or of a file that `word_vectors.read` knows."""
    return word_vectors.read(path)


def near(words: Sequence[str], vectors: np.ndarray, word: str, count: int = 8) -> list[tuple[str, float]]:
    """The nearest words by cosine similarity. Raises UserError for an unknown word."""
    at = asking.word(word, words)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    scores = unit @ unit[at]
    scores[at] = -np.inf
    return [(words[i], float(scores[i])) for i in np.argsort(-scores)[: min(count, len(words) - 1)]]


def main(arguments: Sequence[str], typed: str) -> None:
    """Writes, or prints neighbours. Raises UserError for a mistake."""
    parser = Parser(typed, __doc__)
    parser.add_argument("source", help="the workdir of a skip-gram run, or a file of vectors")
    parser.add_argument("target", nargs="?", help="the file or folder to write")
    parser.add_argument("--near", nargs="+", default=[], metavar="WORD", help="show the nearest words")
    options = parser.parse_args(arguments)
    if not options.target and not options.near:
        raise UserError("say what to do: give a file or folder to write, or --near WORD")
    words, vectors = load(options.source)
    if options.target:
        print(f"{word_vectors.write(options.target, words, vectors)}: {vectors.shape[0]:,} x {vectors.shape[1]}")
    for word in options.near:
        print(f"{word}: " + ", ".join(f"{other} {score:.2f}" for other, score in near(words, vectors, word)))
