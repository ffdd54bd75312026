"""CLIP's byte pairs: a tiny vocabulary by hand, the words of a text, and the published tokeniser where it is there."""

import gzip
import importlib.util
import pickle

import numpy as np
import pytest

from mmjax.data.tokens import byte_pair_file
from mmjax.errors import UserError
from mmjax.text import byte_pairs, vocabulary

# "low" is l o w</w>: lo comes first, then low</w>; "lower" is l o w e r</w>.
PAIRS = ["l o", "e r</w>", "lo w</w>", "w er</w>", "a a", "aa a</w>"]
FILE = "\n".join(['"a header#version: 0.2', *PAIRS, ""]).encode()


@pytest.fixture
def tiny():
    return byte_pairs.BytePairs(byte_pairs.model(FILE, "tiny.txt"))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("low", ["low</w>"]),
        ("Lower  LOW", ["lo", "wer</w>", "low</w>"]),
        ("we", ["w", "e</w>"]),
        ("aaa", ["aaa</w>"]),
        ("aaaa", ["aa", "a", "a</w>"]),  # the second pair is a a</w>, which is none of the file's
        ("a", ["a</w>"]),
        ("é!", ["Ã", "©</w>", "!</w>"]),
        ("", []),
        (" \n", []),
    ],
)
def test_merges_by_hand(tiny, text, tokens):
    assert tiny(text) == tokens


def test_a_pair_is_merged_wherever_it_occurs_before_the_next():
    model = byte_pairs.model(b"x\na b\nab ab\nc ab\n", "f")
    assert byte_pairs.BytePairs(model)("abababx") == ["abab", "ab", "x</w>"]
    assert byte_pairs.BytePairs(model)("cabab") == ["cab", "a", "b</w>"]


def test_the_order_is_the_published_one(tiny):
    tokens = tiny.tokens
    assert len(tokens) == 512 + 6 == len(set(tokens))
    # Numbers of the published vocabulary that everybody has seen: "a", ",", ".", "!", "2" as words of their own.
    known = {"a</w>": 320, ",</w>": 267, ".</w>": 269, "!</w>": 256, "2</w>": 273}
    assert {token: tokens.index(token) for token in known} == known
    assert tokens[512:] == ["lo", "er</w>", "low</w>", "wer</w>", "aa", "aaa</w>"]
    assert byte_pairs.MERGES + 512 + 2 == 49_408


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's we'LL don't", "it 's we 'll don 't"),
        ("1234 x2", "1 2 3 4 x 2"),
        ("½² Ⅷ", "½ ² ⅷ"),
        ("a_b !?'s", "a _ b !?' s"),
        ("“quoted” it’s", '" quoted " it \'s'),
        ("ﬁne ｆｕｌｌ　width", "fine full width"),
        ("a &amp;amp; &lt;b&gt;", "a & < b >"),
        ("e\u0301\u200b", "é \u200b"),
        ("no\u00a0break\x07", "no break"),
    ],
)
def test_words_of_a_text(tiny, text, words):
    tokens = byte_pairs.BytePairs(byte_pairs.model(b"x\nl o\n", "f"))(text)
    assert "".join(tokens).count("</w>") == len(words.split())
    assert byte_pairs.join(tokens) == words
    assert vocabulary.join(tokens) == words


@pytest.mark.parametrize("text", ["a low 東京 🐶 naïve", "<|endoftext|>"])
def test_every_text_reads_back(tiny, text):
    assert byte_pairs.join(tiny(text)).replace(" ", "") == text.replace(" ", "")


def test_encoding_with_the_vocabulary_of_a_checkpoint(tiny):
    words = [*vocabulary.SPECIAL, *tiny.tokens]
    spelled, model = vocabulary.spell(words), np.frombuffer(tiny.model, np.uint8)
    assert vocabulary.kind_of(words, model) == vocabulary.kind_of(words, tiny.model) == "bpe"
    ids, unknown = vocabulary.encode("A lower low!", spelled, model=model)
    np.testing.assert_array_equal(ids, [4 + 320, 4 + 512, 4 + 515, 4 + 514, 4 + 256])
    assert not unknown
    assert vocabulary.decode([vocabulary.START, *ids, vocabulary.END, 9], spelled) == "a lower low !"
    with pytest.raises(UserError, match="byte pairs: encoding needs their model"):
        vocabulary.encode("low", spelled)
    assert vocabulary.join(["a", "</w>"]) == "a </w>"  # a word of HTML is no byte pair


def test_a_splitter_travels_to_workers(tiny):
    tiny("lower")
    assert pickle.loads(pickle.dumps(tiny))("lower low") == tiny("lower low")


def test_files(tmp_path):
    assert byte_pairs.model(gzip.compress(FILE), "f") == byte_pairs.model(FILE, "f")
    assert byte_pairs.BytePairs(byte_pairs.model(FILE, "f", 2)).tokens[512:] == ["lo", "er</w>"]
    assert byte_pairs.model(FILE.replace(b"\n", b"\r\n"), "f") == byte_pairs.model(FILE, "f")
    with pytest.raises(UserError, match="f, line 3: a vocabulary of byte pairs wants two tokens"):
        byte_pairs.model(b"x\na b\nword\n", "f")
    with pytest.raises(UserError, match="f, line 2"):
        byte_pairs.model(b"", "f")
    for damaged in (gzip.compress(FILE)[:30], b"\x1f\x8b??", b"\xff\n\xff \xff"):
        with pytest.raises(UserError, match="f is no vocabulary of byte pairs"):
            byte_pairs.model(damaged, "f")


def installed():
    try:
        return byte_pair_file.find("")
    except UserError:
        pytest.skip("no installed package has CLIP's vocabulary")


def test_published_numbers():
    """As circulated for OpenAI's tokeniser, without <start> 49406 and <end> 49407."""
    path = installed()
    cut = byte_pairs.BytePairs(byte_pairs.model(path.read_bytes(), str(path)))
    index = {token: number for number, token in enumerate(cut.tokens)}
    assert len(index) == 49_406
    assert max(len(token.encode()) for token in index) <= vocabulary.LONGEST
    known = {
        "a diagram": [320, 22697],
        "a photo of a cat": [320, 1125, 539, 320, 2368],
        "a photo of sand and sea at the shore.": [320, 1125, 539, 5094, 537, 2102, 536, 518, 5928, 269],
        "man wearing a blue shirt": [786, 3309, 320, 1746, 2523],
        "a photo of a waterfall": [320, 1125, 539, 320, 16403],
    }
    assert {text: [index[token] for token in cut(text)] for text in known} == known


@pytest.mark.filterwarnings("ignore")
def test_equals_the_published_tokeniser():
    for package in ("ftfy", "regex"):
        pytest.importorskip(package)
    path = installed()
    source = next((p for n in ("simple_tokenizer.py", "tokenizer.py") if (p := path.with_name(n)).is_file()), None)
    if source is None or source.name != "simple_tokenizer.py":
        pytest.skip("only OpenAI's tokeniser can be imported without the rest of its package")
    spec = importlib.util.spec_from_file_location("simple_tokenizer", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theirs = module.SimpleTokenizer(str(path))
    ours = byte_pairs.BytePairs(byte_pairs.model(path.read_bytes(), str(path)))
    texts = [
        "Hello, World!!! it's the dog's 1234 ½ ² Ⅷ toys",
        "don’t “quote” me…",
        "ﬁne ｆｕｌｌ　width _a_ 東京 🐶❤️ हिन्दी",
    ]
    texts += ["x<b>y &amp;amp; z &lt;p&gt;", "ŉ Ǆ Ĳ o'clock I'LL", "tab\t\nline  a\u00a0b e\u0301 a\x01b\ufeffc ①⁵₂"]
    for text in texts:
        assert ours(text) == [theirs.decoder[number] for number in theirs.encode(text)]
