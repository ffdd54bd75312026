"""Formats of word vectors: there and back, by hand, through gensim, and damaged ones."""

import gzip
import struct

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
