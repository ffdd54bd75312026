"""Vocabulary and encoding in one pass: alike whatever the pieces, and never the whole text in memory."""

import tracemalloc

import numpy as np
import pytest

from mmjax.data.files import text_corpus, text_files
from mmjax.data.tokens import counting


def write(tmp_path, content):
    (tmp_path / "a.txt").write_text(content)
    return str(tmp_path / "a.txt")


def sentences(encoded):
    """Back to words, a list a sentence."""
    out = []
    for value in encoded.tokens:
        if value & 1:
            out.append([])
        out[-1].append(encoded.words[value >> 1])
    return out


@pytest.mark.parametrize("size", [1, 3, 7, 64])
@pytest.mark.parametrize("splitter", text_corpus.SPLITTERS)
def test_the_size_of_the_pieces_does_not_matter(tmp_path, rng, monkeypatch, size, splitter):
    words = np.array(["grün", "red", "blue", "naïve", "x"])
    lines = [" ".join(rng.choice(words, rng.integers(0, 9))) for _ in range(40)]
    path = write(tmp_path, "\n".join(lines))
    monkeypatch.setattr(counting, "PASS", size)
    folder = tmp_path / "small"
    counting.encode(folder, text_corpus.read(text_files.find(path).files, size), text_corpus.splitter(splitter), 1)
    assert sentences(counting.load(folder)) == [line.split() for line in lines if line]


def test_the_text_is_never_held_whole(tmp_path):
    rng = np.random.default_rng(0)
    line = " ".join(f"w{n}" for n in rng.integers(0, 300, 2000))
    path = write(tmp_path, f"{line}\n" * 3000)  # 6 million words, 29 MB; as numbers 24 MB
    tracemalloc.start()
    texts = text_corpus.read(text_files.find(path).files, 2**16)
    small = counting
    old, small.PASS = small.PASS, 2**16
    try:
        counting.encode(tmp_path / "big", texts, text_corpus.splitter("whitespace"), 1)
    finally:
        small.PASS = old
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(counting.load(tmp_path / "big").tokens) == 6_000_000
    assert peak < 5e6
