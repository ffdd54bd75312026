"""Formats of word vectors: there and back, by hand, through gensim, and damaged ones."""

import bz2
import gzip
import lzma
import os
import pickle
import struct
import sys
import types
import zipfile

import fasttext_writer
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.weights import word_vectors

WORDS = ["red", "grün", "New\u00a0York"]  # a no-break space ends no word


@pytest.fixture
def vectors(rng):
    return rng.normal(size=(3, 4)).astype(np.float32)


@pytest.mark.parametrize("name", ["v.txt", "v.vec", "v.bin", "v.safetensors", "projector"])
def test_there_and_back(tmp_path, vectors, name):
    path = word_vectors.write(tmp_path / "new" / name, WORDS, vectors)
    words, back = word_vectors.read(path)
    assert words == WORDS
    np.testing.assert_allclose(back, vectors, rtol=0 if name != "projector" else 1e-6)
    assert back.dtype == np.float32


def test_the_bytes_of_both_word2vec_formats(tmp_path):
    vectors = np.array([[1.0, -2.5]], np.float32)
    assert word_vectors.write(tmp_path / "a.txt", ["x"], vectors).read_text() == "1 2\nx 1.0 -2.5\n"
    assert word_vectors.write(tmp_path / "a.bin", ["x"], vectors).read_bytes() == b"1 2\nx " + struct.pack(
        "<2f", 1, -2.5
    )
    # word2vec.c itself puts a line end behind each vector, and files are often packed
    (tmp_path / "c.bin.gz").write_bytes(gzip.compress(b"1 2\nx " + struct.pack("<2f", 1, -2.5) + b"\n"))
    words, back = word_vectors.read(tmp_path / "c.bin.gz")
    assert words == ["x"]
    np.testing.assert_array_equal(back, vectors)


@pytest.mark.parametrize("name", ["v.txt", "v.bin"])
def test_gensim_reads_what_we_write_and_we_read_what_it_writes(tmp_path, vectors, name):
    keyed = pytest.importorskip("gensim.models").KeyedVectors
    binary = name.endswith(".bin")
    loaded = keyed.load_word2vec_format(word_vectors.write(tmp_path / name, WORDS, vectors), binary=binary)
    assert loaded.index_to_key == WORDS
    np.testing.assert_array_equal(loaded.vectors, vectors)
    loaded.save_word2vec_format(tmp_path / f"theirs-{name}", binary=binary)
    words, back = word_vectors.read(tmp_path / f"theirs-{name}")
    assert words == WORDS
    np.testing.assert_array_equal(back, vectors)


def test_trained_vectors_initialise_another_systems_words(tmp_path, vectors):
    path = word_vectors.write(tmp_path / "v.bin", WORDS, vectors)
    fresh = np.full((3, 4), 0.1, np.float32)
    table, share = word_vectors.initialise(fresh, ["New\u00a0York", "<pad>", "red"], str(path))
    scale = 0.1 / np.sqrt(np.mean(vectors**2))
    np.testing.assert_allclose(table[[0, 2]], vectors[[2, 0]] * scale, rtol=1e-5)
    np.testing.assert_array_equal(table[1], fresh[1])
    assert share == pytest.approx(2 / 3)
    assert word_vectors.initialise(fresh, WORDS, "")[0] is fresh
    with pytest.raises(UserError, match="4 dimensions, the embedding 5"):
        word_vectors.initialise(np.zeros((3, 5), np.float32), WORDS, str(path))
    with pytest.raises(UserError, match="not one of the 1 words"):
        word_vectors.initialise(fresh[:1], ["unseen"], str(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.txt", b"", "does not begin with a line"),
        ("v.txt", b"2 2\nx 1 2\n", "has 1 of the 2 words"),
        ("v.txt", b"1 2\nx 1 two\n", "line 2"),
        ("v.txt", b"1 3\nx 1 2\n", "line 2"),
        ("v.bin", b"2 1\nx " + struct.pack("<f", 1), "ends after 1 of 2 words"),
        ("v.bin", b"0 1\n", "0 words"),
        ("v.safetensors", b"no", "not a file of word vectors"),
    ],
)
def test_a_damaged_file_is_told_in_words(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        word_vectors.read(tmp_path / name)


def test_mistakes_are_told_in_words(tmp_path, vectors):
    with pytest.raises(UserError, match="cannot be read"):
        word_vectors.read(tmp_path / "absent.txt")
    with pytest.raises(UserError, match="neither a workdir"):
        word_vectors.read(tmp_path)
    with pytest.raises(UserError, match="2 words do not go with 3"):
        word_vectors.write(tmp_path / "a.txt", WORDS[:2], vectors)
    for name, word in {"a.txt": "a b", "a.bin": "a\nb", "a": "a\tb"}.items():
        with pytest.raises(UserError, match=r"white space that ends it in this format: \.safetensors holds it"):
            word_vectors.write(tmp_path / name, [word, "c", "d"], vectors)
    assert word_vectors.read(word_vectors.write(tmp_path / "a.safetensors", ["a b", "c", "d"], vectors))[0][0] == "a b"
    with pytest.raises(UserError, match="a word is empty"):
        word_vectors.write(tmp_path / "a.safetensors", ["", "c", "d"], vectors)
    with pytest.raises(UserError, match="safetensors"):
        word_vectors.write(tmp_path / "a.npz", WORDS, vectors)


@pytest.mark.parametrize("name", ["v.txt", "v.bin"])
def test_of_a_word_that_stands_twice_the_first_is_meant_as_in_gensim(tmp_path, vectors, name):
    path = word_vectors.write(tmp_path / name, ["red", "blue", "red"], vectors)
    words, back = word_vectors.read(path)
    assert words == ["red", "blue"]
    np.testing.assert_array_equal(back, vectors[:2])
    assert word_vectors.select(["red"], str(path), 4)[1].tolist() == vectors[:1].tolist()
    keyed = pytest.importorskip("gensim.models").KeyedVectors
    np.testing.assert_array_equal(keyed.load_word2vec_format(path, binary=name == "v.bin")["red"], vectors[0])


def test_glove_has_no_first_line(tmp_path):
    (tmp_path / "glove.txt").write_text("the 1 2 -3e-1\n, 0.5 0 1\n")
    words, vectors = word_vectors.read(tmp_path / "glove.txt")
    assert words == ["the", ","]
    np.testing.assert_allclose(vectors, [[1, 2, -0.3], [0.5, 0, 1]])
    (tmp_path / "glove.txt").write_text("the 1 2 3\na 1 2\n")
    with pytest.raises(UserError, match="line 2: 'a 1 2'"):
        word_vectors.read(tmp_path / "glove.txt")


# -- files of others ---------------------------------------------------------------------------------------------------


def test_glove_as_it_is_published(tmp_path, rng):
    """A .zip of several widths: the embedding's is taken, or the one that is named."""
    path = tmp_path / "glove.6B.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for width in (2, 20):
            numbers = rng.normal(size=width).astype(np.float32)
            archive.writestr(
                f"glove.6B.{width}d.txt", "".join(f"{w} {' '.join(map(str, numbers))}\n" for w in ("a", ","))
            )
    for source, width in ((path, 20), (path, 2), (path / "glove.6B.2d.txt", 0)):
        words, vectors = word_vectors.read(source, width)
        assert (words, vectors.shape) == (["a", ","], (2, width or 2))
        assert word_vectors.exists(str(source))
    assert word_vectors.select(["a"], str(path), 20)[1].shape == (1, 20)
    with pytest.raises(UserError, match=r"has 2 files: choose, as .*\.zip/NAME, one of glove\.6B\.2d\.txt"):
        word_vectors.read(path)
    with pytest.raises(UserError, match=r"has no 'x\.txt'"):
        word_vectors.read(path / "x.txt")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        word_vectors.read(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_text(tmp_path, vectors, pack):
    plain = word_vectors.write(tmp_path / "v.txt", WORDS, vectors).read_bytes()
    suffix = {gzip: ".gz", bz2: ".bz2", lzma: ".xz"}[sys.modules[pack.__module__]]
    (tmp_path / f"v.txt{suffix}").write_bytes(pack(plain))
    words, back = word_vectors.read(tmp_path / f"v.txt{suffix}")
    assert words == WORDS
    np.testing.assert_array_equal(back, vectors)


NGRAMS = ["the", "a", "grün", "日本", "</s>"]


def n_grams(word, shortest, longest):
    """fastText's, by its paper: of <word> between brackets, but for a bracket alone."""
    marked = f"<{word}>"
    places = [(i, i + n) for i in range(len(marked)) for n in range(shortest, longest + 1)]
    alone = [(0, 1), (len(marked) - 1, len(marked))]
    return [marked[i:j] for i, j in places if j <= len(marked) and (i, j) not in alone]


def fnv(gram):
    value = 2166136261
    for byte in gram.encode():
        value ^= byte | (0xFFFFFF00 if byte > 127 else 0)  # a byte has a sign
        value = value * 16777619 % 2**32
    return value


@pytest.mark.parametrize(("shortest", "longest"), [(3, 6), (1, 2), (0, 0)])
def test_fasttext(tmp_path, rng, shortest, longest):
    matrix = rng.normal(size=(len(NGRAMS) + 13, 4)).astype(np.float32)
    path = fasttext_writer.write(tmp_path / "cc.bin", NGRAMS, matrix, shortest, longest)
    words, vectors = word_vectors.read(path)
    assert words == NGRAMS
    for i, word in enumerate(words):
        grams = n_grams(word, max(shortest, 1), longest) if word != "</s>" else []
        rows = [i, *(len(NGRAMS) + fnv(gram) % 13 for gram in grams)]
        np.testing.assert_allclose(vectors[i], matrix[rows].mean(0), atol=1e-6, err_msg=word)
    (tmp_path / "cc.bin.gz").write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(word_vectors.read(tmp_path / "cc.bin.gz")[1], vectors)
    peer = pytest.importorskip("fasttext").load_model(str(path))
    assert peer.get_words() == words
    np.testing.assert_allclose(vectors, [peer.get_word_vector(word) for word in words], atol=1e-6)


def test_known_n_grams():
    assert n_grams("ab", 1, 3) == ["<a", "<ab", "a", "ab", "ab>", "b", "b>"]
    assert fnv("a") == 0xE40C292C  # of the FNV's own list of examples


def test_a_classifier_of_fasttext(tmp_path, rng):
    matrix = rng.normal(size=(7, 3)).astype(np.float32)
    labels = {"labels": ("__label__x",), "model": 3}
    words, vectors = word_vectors.read(fasttext_writer.write(tmp_path / "c.bin", ["b", "c"], matrix, 2, 3, **labels))
    assert words == ["b", "c"]
    assert np.abs(vectors - matrix[:2]).max() > 0.1
    old = fasttext_writer.write(tmp_path / "old.bin", ["b", "c"], matrix, 2, 3, version=11, **labels)
    np.testing.assert_array_equal(word_vectors.read(old)[1], matrix[:2])  # had none, whatever its options say


def test_damaged_fasttext(tmp_path, rng):
    path = fasttext_writer.write(tmp_path / "f.bin", NGRAMS, rng.normal(size=(9, 4)), 3, 6)
    whole = path.read_bytes()

    def refused(match):
        with pytest.raises(UserError, match=match) as error:
            word_vectors.read(path)
        assert "\n" not in str(error.value)

    for at in (4, 30, 90, 120, 160, 260):
        path.write_bytes(whole[:at])
        refused("f.bin: not a file of fastText that can be read")
    path.write_bytes(whole[:4] + struct.pack("<i", 13) + whole[8:])
    refused("of version 13 of fastText's format; 11 and 12 are read")
    fasttext_writer.write(path, NGRAMS, rng.normal(size=(9, 4)), 3, 6, quantised=True)
    refused(r"quantised \(\.ftz\)")


class KeyedVectors:
    """Stands for gensim's where it is pickled."""

    def __init__(self, **state):
        self.__dict__.update(state)


def as_gensim(path, monkeypatch, state, inside="gensim.models.keyedvectors"):
    monkeypatch.setattr(KeyedVectors, "__module__", inside)
    module = types.ModuleType(inside)
    module.KeyedVectors = KeyedVectors
    for i in range(1, inside.count(".") + 2):  # a pickle imports what it names
        monkeypatch.setitem(sys.modules, ".".join(inside.split(".")[:i]), module)
    path.write_bytes(pickle.dumps(KeyedVectors(**state), 4))
    monkeypatch.undo()
    return path


def test_gensims_own(tmp_path, vectors, monkeypatch):
    def check(path):
        words, back = word_vectors.read(path)
        assert words == WORDS
        np.testing.assert_array_equal(back, vectors)

    whole = {"index_to_key": WORDS, "vectors": vectors, "expandos": {"count": np.arange(3)}}
    check(as_gensim(tmp_path / "v.kv", monkeypatch, whole))
    check(as_gensim(tmp_path / "old", monkeypatch, {"index2word": WORDS, "syn0": vectors, "vocab": {}}))
    apart = {"index_to_key": WORDS, "__numpys": ["vectors"], "__scipys": [], "__ignoreds": []}
    path = as_gensim(tmp_path / "apart.kv", monkeypatch, apart)
    with pytest.raises(UserError, match=r"apart\.kv\.vectors\.npy: no such file; gensim puts large arrays beside"):
        word_vectors.read(path)
    np.save(tmp_path / "apart.kv.vectors.npy", vectors)
    check(path)
    model = as_gensim(tmp_path / "m.model", monkeypatch, {"wv": KeyedVectors(**apart)})
    np.save(tmp_path / "m.model.wv.vectors.npy", vectors)
    check(model)


def test_gensims_fasttext(tmp_path, rng, monkeypatch):
    matrix = rng.normal(size=(len(NGRAMS[:4]) + 13, 4)).astype(np.float32)
    state = {"index_to_key": NGRAMS[:4], "min_n": 3, "max_n": 6, "compatible_hash": True, "bucket": 13}
    state |= {"vectors_vocab": matrix[:4], "vectors_ngrams": matrix[4:]}
    words, vectors = word_vectors.read(as_gensim(tmp_path / "f.kv", monkeypatch, state, "gensim.models.fasttext"))
    same = fasttext_writer.write(tmp_path / "f.bin", words, matrix, 3, 6)
    np.testing.assert_array_equal(vectors, word_vectors.read(same)[1])


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_what_is_not_gensims(tmp_path, vectors, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refused(match):
        with pytest.raises(UserError, match=match) as error:
            word_vectors.read(path)
        assert "\n" not in str(error.value)

    path = as_gensim(tmp_path / "v.kv", monkeypatch, {"index_to_key": WORDS, "vectors": vectors, "x": Evil()})
    refused(r"refused, because it asks for (posix|nt)\.system .*save_word2vec_format")
    assert not (tmp_path / "ran").exists()
    as_gensim(path, monkeypatch, {"index_to_key": WORDS[:2], "vectors": vectors})
    refused("2 words do not go with vectors of shape")
    as_gensim(path, monkeypatch, {"lexicon": WORDS})
    refused("no list of words")
    path.write_bytes(b"\x80\x04half")
    refused("v.kv: not gensim's word vectors")


def test_gensim_writes_what_we_read(tmp_path):
    models = pytest.importorskip("gensim.models")
    sentences = [["red", "green", "blue"] * 3] * 20
    sizes = {"vector_size": 6, "min_count": 1, "epochs": 1, "workers": 1}
    for model in (models.Word2Vec(sentences, **sizes), models.FastText(sentences, bucket=50, **sizes)):
        for apart in ({}, {"sep_limit": 0}):
            model.save(str(tmp_path / "m.model"), **apart)
            model.wv.save(str(tmp_path / "v.kv"), **apart)
            for name in ("m.model", "v.kv"):
                words, vectors = word_vectors.read(tmp_path / name)
                assert words == model.wv.index_to_key
                np.testing.assert_allclose(vectors, model.wv.vectors, atol=1e-6)
