"""Text to numbers: word2vec's vocabulary, subsampling and sentences, in pieces, and every kind of bad text."""

import bz2
import functools
import gzip
import lzma
import pathlib
import shutil
import sys
import tarfile
import zipfile

import numpy as np
import pytest

from mmjax import data
from mmjax.data.files import text_corpus, text_files
from mmjax.data.sets import text
from mmjax.data.tokens import counting
from mmjax.errors import UserError
from mmjax.text import vocabulary


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path / "cache"))
    text.corpus.cache_clear()


def write(tmp_path, content, name="a.txt"):
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return str(tmp_path / name)


def sentences(encoded):
    """Back to words, a list a sentence."""
    out = []
    for value in encoded.tokens:
        if value & 1:
            out.append([])
        out[-1].append(encoded.words[value >> 1])
    return out


def test_vocabulary_and_encoding_by_hand(tmp_path):
    path = write(tmp_path, "The cat, the dog.\nA cat!\n\nrare CAT the\n")
    encoded = text.corpus(path, min_count=2)
    assert encoded.words == ["the", "cat"]  # equal counts: the one met first, first
    assert encoded.counts.tolist() == [3, 3]
    assert sentences(encoded) == [["the", "cat", "the"], ["cat"], ["cat", "the"]]
    assert text.corpus(path, min_count=1).words == ["the", "cat", "dog", "a", "rare"]
    assert text.corpus(path, min_count=1, max_words=1).words == ["the"]
    assert text.corpus(path, min_count=1, splitter="whitespace").words[0] == "the"
    assert "cat," in text.corpus(path, min_count=1, splitter="whitespace").words


def test_sentences_are_cut_at_a_thousand_words_of_the_vocabulary(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "PASS", 300)
    path = write(tmp_path, "a b " * 1250 + "\n" + "b " * 5)  # 2,500 words without a line end, then 5
    assert [len(s) for s in sentences(text.corpus(path))] == [1000, 1000, 500, 5]


def test_folders_and_packed_files(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write(tmp_path / "in", "one two", "b.txt")
    write(tmp_path / "in" / "deep", gzip.compress(b"three one"), "a.gz")
    write(tmp_path / "in", b"\xff\xfe", "picture.png")  # no text by its ending
    encoded = text.corpus(str(tmp_path / "in"), min_count=1)
    assert sentences(encoded) == [["one", "two"], ["three", "one"]]  # a file's last line ends with it


def test_letters_keep_their_marks_and_runs_from_before_their_words(tmp_path):
    path = write(tmp_path, "हिन्दी भाषा, ภาษาไทย Cafe\u0301 CAFÉ m² ❤️ don't 3x\n")
    words = ["café", "हिन्दी", "भाषा", "ภาษาไทย", "m²", "don", "t", "x"]
    assert text.corpus(path, min_count=1).words == words
    before = text.corpus(path, min_count=1, splitter="words").words
    assert {"ह", "cafe", "ภาษาไทย"} <= set(before)
    assert "हिन्दी" not in before


def test_shards_are_text_and_what_tells_of_them_is_not(tmp_path, capsys):
    names = ["news.en-00001-of-00100", "AA/wiki_00", "part.0002", "wiki.train.tokens", "train.de", "b.txt", "c"]
    for number, name in enumerate(names):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / "in", f"both word{chr(97 + number)}", name)
    for name in ("README", "LICENSE.md", "x.json", "y.json", "z.tfrecord-00000-of-00001", "README_de.txt"):
        write(tmp_path / "in", "about this corpus", name)
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere", "both wordh", "wiki_01")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "zz").symlink_to(tmp_path / "in" / "AA")
    (tmp_path / "in" / "AA" / "loop").symlink_to(tmp_path / "in")
    encoded = text.corpus(str(tmp_path / "in"), min_count=1)
    assert sorted(encoded.words) == ["both", *(f"word{letter}" for letter in "abcdefgh")]
    assert encoded.counts[0] == 8  # the linked folder is read as well, and a second name of one that was read is not
    told = capsys.readouterr().err
    assert "8 read, left out: 2 link that leads back (AA/loop, zz/loop), 3 of README and licence (LICENSE.md" in told
    assert "1 under another name once (zz/wiki_00)" in told
    assert "2 .json, 1 without a suffix" in told or "2 .json, 1 .tfrecord" in told
    (tmp_path / "alone").mkdir()
    write(tmp_path / "alone", "only this", "README")
    assert text.corpus(str(tmp_path / "alone"), min_count=1).words == ["only", "this"]


def test_archives_give_the_text_in_them_and_never_their_headers(tmp_path):
    (tmp_path / "src").mkdir()
    write(tmp_path / "src", "the cat sat\n", "a.txt")
    write(tmp_path / "src", b"\xff\x00", "a.jpg")
    write(tmp_path / "src", "no corpus", "README")
    for kind in ("tar", "gztar", "bztar", "xztar", "zip"):  # no "zstdtar" before Python 3.14
        path = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "src")
        assert text.corpus(path, min_count=1).words == ["the", "cat", "sat"], path
        pathlib.Path(path).rename(tmp_path / "misnamed")  # what it is, its bytes say
        assert text.corpus(str(tmp_path / "misnamed"), min_count=1).words == ["the", "cat", "sat"], path
        text.corpus.cache_clear()
    packers = {"a.bz2": bz2.compress, "a.txt.xz": lzma.compress}
    zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    packers |= {"a.zst": zstd.compress, "a.de.zst": lambda raw: zstd.compress(raw[:3]) + zstd.compress(raw[3:])}
    packers["misnamed.txt"] = zstd.compress
    for name, pack in packers.items():
        assert text.corpus(write(tmp_path, pack(b"one two"), name), min_count=1).words == ["one", "two"]
    (tmp_path / "src" / "a.txt").unlink()
    with pytest.raises(UserError, match=r"an archive without text files; it has 1 without a suffix, 1 .jpg"):
        text.corpus(shutil.make_archive(str(tmp_path / "bare"), "gztar", tmp_path / "src"))
    whole = pathlib.Path(shutil.make_archive(str(tmp_path / "cut"), "gztar", tmp_path / "src")).read_bytes()
    with pytest.raises(UserError, match="cannot be read"):
        text.corpus(write(tmp_path, whole[:-30], "cut.tgz"))


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress, "zstd"])
def test_a_packed_file_that_was_cut_off_is_told(tmp_path, packed, rng):
    zstd = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    if packed == "zstd":
        zstd = pytest.importorskip(zstd)
        packed = functools.partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1})  # as zstd does
    whole = packed(rng.integers(97, 122, 9000, np.uint8).tobytes())
    middle = len(whole) // 2
    for content in (whole[:-40], whole[:middle] + bytes(20) + whole[middle + 20 :]):
        with pytest.raises(UserError, match=r"a\.txt\.gz cannot be read"):
            text.corpus(write(tmp_path, content, "a.txt.gz"), min_count=1)


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_a_damaged_stream_among_several_is_no_end(tmp_path, pack):
    parts = [pack(f"words of {i} \n".encode() * 50) for i in "abc"]
    assert text.corpus(write(tmp_path, b"".join(parts), "a.xz"), min_count=1).counts.sum() == 3 * 50 * 3
    for spoilt in (b"x" + parts[1][1:], parts[1][:20] + b"\0\0\0" + parts[1][23:], parts[1][:-30]):
        with pytest.raises(UserError, match=r"b\.xz cannot be read"):
            text.corpus(write(tmp_path, parts[0] + spoilt + parts[2], "b.xz"), min_count=1)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.tar.bz2", "a.txt.gz"])
@pytest.mark.parametrize("content", [b"", b"P", b"<html>404 the page is gone</html>", bytes(10_240)])
def test_what_is_none_of_its_name_is_not_taken_for_words(tmp_path, name, content):
    with pytest.raises(UserError, match=r"a\.\w+.* cannot be read: it is no .*, whatever its name says"):
        text.corpus(write(tmp_path, content, name), min_count=1)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.xz", "a.zip"])
def test_a_pointer_is_no_text(tmp_path, name):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n"
    with pytest.raises(UserError, match=r"is a pointer of Git LFS, not the file itself: `git lfs pull`"):
        text.corpus(write(tmp_path, pointer, name), min_count=1)


def test_a_tar_that_was_cut_off_or_joined_is_told_wherever_it_ends(tmp_path):
    (tmp_path / "src").mkdir()
    for name in ("a.txt", "b.txt"):
        write(tmp_path / "src", f"words of {name[0]}\n" * 9, name)
    with tarfile.open(tmp_path / "whole.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("a.txt", "b.txt"):
            tar.add(tmp_path / "src" / name, name)
    whole = (tmp_path / "whole.tar").read_bytes()
    assert text.corpus(str(tmp_path / "whole.tar"), min_count=1).counts.sum() == 2 * 9 * 3
    second = whole.index(b"b.txt")
    spoilt = whole[:second] + b"x" * 512 + whole[second + 512 :]
    joined = whole[:second] + bytes(1024) + whole[second:]
    for content in (whole[:second], whole[: second + 100], whole[: second + 600], spoilt, joined):
        for pack in (bytes, gzip.compress):
            with pytest.raises(UserError, match=r"cut\.tar cannot be read: .*(byte|unexpected end of data)"):
                text.corpus(write(tmp_path, pack(content), "cut.tar"), min_count=1)


def test_packed_text_that_needs_a_package_says_which(tmp_path, monkeypatch):
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"a\.zst.* needs the extra `text`: pip"):
        text.corpus(write(tmp_path, b"\x28\xb5\x2f\xfd", "a.zst"), min_count=1)


def test_markup_of_a_wiki_is_no_words_but_for_runs_from_before(tmp_path):
    page = "<mediawiki><page><ns>0</ns><text>A [[bell|ring]]</text></page></mediawiki>"
    path = write(tmp_path, page, "enwiki-pages-articles.xml")
    assert sentences(text.corpus(path, min_count=1)) == [["a", "ring"]]
    assert "mediawiki" in text.corpus(path, min_count=1, markup="words").words
    assert text.source("train", path=path, min_count=1, markup="words").encoded.words[0] == "mediawiki"
    with pytest.raises(UserError, match=r"config\.data\.markup 'no' is unknown: choose plain or words"):
        text.source("train", path=path, min_count=1, markup="no")


def test_an_archive_with_nothing_says_so(tmp_path):
    zipfile.ZipFile(tmp_path / "a.zip", "w").close()
    with pytest.raises(UserError, match="an archive without text files; it has nothing"):
        text.corpus(str(tmp_path / "a.zip"), min_count=1)


def test_what_is_in_an_archive_beside_its_text(tmp_path, capsys):
    members = {"x/a.txt": b"the cat\n", "x/._a.txt": b"no text", "__MACOSX/a.txt": b"no text", "./b.en": b"sat on\n"}
    members |= {"x/c.txt.gz": gzip.compress(b"packed"), "x/.git/a.txt": b"no text", "README": b"no text"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert text.corpus(str(tmp_path / "a.zip"), min_count=1).words == ["the", "cat", "sat", "on"]
    assert capsys.readouterr().err == f"{tmp_path}/a.zip: 2 read, left out: 1 without a suffix, 1 .gz\n"


def test_a_tar_from_before_tars_said_so(tmp_path):
    header = tarfile.TarInfo("cat.txt")
    header.size = 12
    old = bytearray(header.tobuf(tarfile.USTAR_FORMAT))
    old[257:265], old[148:156] = bytes(8), b" " * 8
    old[148:156] = b"%06o\0 " % sum(old)
    path = write(tmp_path, bytes(old) + b"the dog sat\n".ljust(512, b"\0") + bytes(1024), "a.tar")
    assert text.corpus(path, min_count=1).words == ["the", "dog", "sat"]


def test_subsampling_keeps_what_word2vec_keeps():
    counts = np.array([900_000, 99_000, 900, 100])
    keep = text.keep_probability(counts, 1e-3)
    threshold = 1e-3 * 1_000_000
    expected = [(np.sqrt(c / threshold) + 1) * threshold / c for c in counts]
    np.testing.assert_allclose(keep, np.minimum(expected, 1), rtol=1e-6)
    assert keep[0] == pytest.approx(0.0344444, rel=1e-4)
    assert keep[2] == 1
    assert (text.keep_probability(counts, 0) == 1).all()


def corpus_file(tmp_path, many=4000):
    rng = np.random.default_rng(1)
    chances = 1 / np.arange(1, 201)
    words = np.array([f"w{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(200)])
    lines = [" ".join(rng.choice(words, 20, p=chances / chances.sum())) for _ in range(many)]
    return write(tmp_path, "\n".join(lines))


def test_chunks_cover_the_text_once_and_keep_about_as_many_words(tmp_path):
    path = corpus_file(tmp_path)
    whole = text.source("train", path=path, sample=0, tokens=500, held_out=False)
    back = np.concatenate([whole[i]["tokens"][whole[i]["sentence"] >= 0] for i in range(len(whole))])
    np.testing.assert_array_equal(back, whole.encoded.tokens >> 1)
    thinned = text.source("train", path=path, sample=1e-3, tokens=500, held_out=False)
    kept = [np.sum(thinned[i]["sentence"] >= 0) for i in range(len(thinned) - 1)]
    assert 0.8 < np.mean(kept) / 500 <= 1
    assert np.mean(np.array(kept) == 500) < 0.05  # few are cut off


def test_sentences_keep_their_bounds_in_an_example(tmp_path):
    path = corpus_file(tmp_path, 300)
    example = text.source("train", path=path, min_count=1, sample=0, tokens=500, held_out=False)[0]
    full = example["sentence"][example["sentence"] >= 0]
    assert np.all(np.diff(np.flatnonzero(np.diff(full))) == 20)


def test_splits_share_no_text_and_visits_differ_only_by_their_draw(tmp_path):
    path = corpus_file(tmp_path)
    opened = {split: text.source(split, path=path, tokens=256) for split in text.SPLITS}
    mine = [set(source.mine.tolist()) for source in opened.values()]
    assert not mine[0] & (mine[1] | mine[2])
    assert not mine[1] & mine[2]
    assert sum(map(len, mine)) == len(opened["train"].chunks) - 1
    train = opened["train"]
    one, same, other = (train.draw(3, np.random.default_rng(n)) for n in (0, 0, 1))
    np.testing.assert_array_equal(one["tokens"], same["tokens"])
    assert (one["tokens"] != other["tokens"]).any()
    parts = [opened["test"][i]["tokens"] for i in range(2)]
    assert {part.shape for part in parts} == {(32,)}
    assert opened["test"][1]["index"] == 1


def test_constants_hold_vocabulary_and_judgements(tmp_path):
    path = write(tmp_path, "grün rot grün rot grün blau blau\n" * 3)
    pairs = write(tmp_path, "# by people\nWord 1\tWord 2\tHuman\nGrün\trot\t7.5\nrot\tabsent\t1\n", "p.tsv")
    asked = write(tmp_path, ": colours\ngrün rot blau rot\nrot rot rot none\n", "q.txt")
    options = {"path": path, "shown": ("rot",), "pairs": (pairs, ""), "questions": (asked,)}
    found = text.source("train", **options).constants
    assert found["word_counts"].tolist() == [9, 6, 6]
    assert bytes(found["word_spelling"][0]).rstrip(b"\0").decode() == "grün"
    assert found["shown"].tolist() == [1, 0, 2]
    assert found["pairs/p"].tolist() == [[0, 1], [1, -1]]
    np.testing.assert_allclose(found["judged/p"], [7.5, 1])
    assert found["questions/q"].tolist() == [[0, 1, 2, 1], [1, 1, 1, -1]]
    assert len(found["pairs/kinds"]) == len(found["judged/kinds"]) > 500


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("SimLex-999", "word1\tword2\tPOS\tSimLex999\tconc(w1)\tconc(w2)\tconcQ\nred\tblue\tA\t1.58\t2.72\t2.81\t2"),
        ("SimVerb-3500", "red\tblue\tV\t1.58\tSYNONYMS\nblue\tred\tV\t0\tNONE"),
        ("combined", "Word 1,Word 2,Human (mean)\nred,blue,1.58"),
        ("set1", "Word 1,Word 2,Human (mean),1,2,3\nred,blue,1.58,9,8,7"),
        ("wordsim_goldstandard", "Red\tblue\t1.58"),
        ("MEN_natural", "red blue 1.580000"),
        ("MEN_lemma", "red-j blue-n 1.580000"),
        ("rw", "red\tblue\t1.58\t5\t7\t9"),
        ("rg65", "red;blue;1.58"),
        ("gensim", "# comment\n# and more\nred\tblue\t1.58"),
    ],
)
def test_judgements_are_read_as_they_are_published(tmp_path, name, content):
    pairs = write(tmp_path, content, f"{name}.txt")
    found = text.source("train", path=write(tmp_path, "red blue red green\n" * 5), pairs=(pairs,)).constants
    assert found[f"pairs/{name}"][0].tolist() == [0, 1]
    np.testing.assert_allclose(found[f"judged/{name}"][0], 1.58)
    assert len(found[f"judged/{name}"]) == (2 if "V" in content else 1)


def test_words_asked_for_keep_their_case_where_the_vocabulary_does(tmp_path):
    path = write(tmp_path, "Turkey turkey turkey Ankara café\n" * 5)
    pairs = write(tmp_path, "Turkey\tturkey\t1\nANKARA\tAnkara\t2\ncafe\u0301\tCAFE\u0301\t3\n", "p.tsv")
    asked = write(tmp_path, "Turkey Ankara turkey Ankara\n", "q.txt")
    options = {"path": path, "pairs": (pairs,), "questions": (asked,)}
    cased = text.source("train", splitter="whitespace", shown=("Turkey",), **options).constants
    assert cased["pairs/p"].tolist() == [[1, 0], [-1, 2], [3, 3]]
    assert cased["questions/q"].tolist() == [[1, 2, 0, 2]]
    assert cased["shown"][0] == 1
    lower = text.source("train", shown=("Turkey",), **options).constants
    assert lower["pairs/p"].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert lower["questions/q"].tolist() == [[0, 1, 0, 1]]


def test_long_words_of_any_script_keep_their_spelling(tmp_path):
    long = ["достопримечательность", "достопримечательности"]  # 42 bytes each, the first 40 of them the same
    found = text.source("train", path=write(tmp_path, f"{long[0]} {long[1]}\n" * 9)).constants
    assert vocabulary.words_of(found["word_spelling"]) == long
    thai = "ภาษาไทย" * 6  # 126 bytes without white space: cut between two letters
    found = text.source("train", path=write(tmp_path, f"{thai} a\n" * 9, "thai.txt")).constants
    assert vocabulary.words_of(found["word_spelling"])[0] == thai[:33]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "a.txt has no words"),
        ("12 34 --\n", {}, "has no words"),
        ("one two three\n", {}, "no word occurs 5 times .the most frequent occurs 1 times"),
        (b"caf\xe9 au lait " * 9, {}, "not UTF-8 text: byte 3"),
        (b"fine text " * 9 + b"\xc3", {}, "ends within a character"),
        ("a b c " * 9, {"splitter": "spaces"}, "choose unicode or words or whitespace"),
        ("a b c " * 9, {"shown": ("d",)}, "'d' is not in the vocabulary"),
        ("a b c " * 9, {"pairs": ("absent.tsv",)}, "absent.tsv cannot be read"),
        ("a b c " * 9, {"tokens": 4}, "at least 16"),
        ("a b c " * 9, {"min_count": 0}, "at least 1"),
        ("a b c " * 9, {"max_words": -1}, "config.data.max_words is -1"),
        ("word\nlist\n" * 9, {}, "no line has two words of the vocabulary"),
    ],
)
def test_bad_input_is_told_in_words(tmp_path, content, options, message):
    with pytest.raises(UserError, match=message):
        _ = data.open("train", text.FIELDS, name="text", path=write(tmp_path, content), **options).constants
    assert not list((tmp_path / "cache").rglob("raw"))  # nothing half made


def test_text_without_white_space_and_missing_or_broken_files(tmp_path):
    path = write(tmp_path, "x" * 2000)
    with pytest.raises(UserError, match="no white space"):
        list(text_corpus.read(text_files.find(path).files, 100))
    with pytest.raises(UserError, match="no such file or folder"):
        text.source("train", path=str(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no text files"):
        text.source("train", path=str(tmp_path / "empty"))
    with pytest.raises(UserError, match="cannot be read"):
        text.source("train", path=write(tmp_path, b"no gzip", "b.gz"))
    bad = write(tmp_path, "a b 1\nc d\n", "p.tsv")
    judged = text.source("train", path=write(tmp_path, "a b c " * 9), pairs=(bad,))
    with pytest.raises(UserError, match="is not 'word, word, number'"):
        _ = judged.constants


def test_one_endless_line_is_read_like_any_other(tmp_path):
    path = write(tmp_path, "tick tock " * 30_000)
    encoded = text.corpus(path)
    assert encoded.counts.tolist() == [30_000, 30_000]
    assert np.sum(encoded.tokens & 1) == 60  # a thousand words each
    assert len(text.source("train", path=path, tokens=1024, sample=0)) > 10


def test_a_set_of_the_catalogue_is_text_like_any_other(tmp_path):
    import tensorflow_datasets as tfds

    from mmjax.data.files import prepared

    with tfds.core.registered.skip_registration():

        class SmallNews(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                features = {"title": tfds.features.Text(), "description": tfds.features.Text()}
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager):
                return {"train": self._generate_examples()}

            def _generate_examples(self):
                for n in range(3):
                    yield n, {"title": "no", "description": f"Rain in town {'again ' * n}"}

    prepared.prepare(SmallNews(data_dir=str(tmp_path / "sets"), file_format="array_record"))
    encoded = text.corpus(catalogue="small_news", column="description", data_dir=str(tmp_path / "sets"), min_count=3)
    assert sorted(encoded.words) == ["again", "in", "rain", "town"]
    assert encoded.counts.tolist() == [3, 3, 3, 3]
    assert np.sum(encoded.tokens & 1) == 3  # an example is a sentence
