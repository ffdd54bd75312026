"""BLEU, ROUGE-L and CIDEr-D by hand, and against pycocoevalcap's scorers on the same tokens."""

import contextlib
import io
import math
import shutil

import numpy as np
import pytest

from mmjax.data.sets import sounding_scenes
from mmjax.errors import UserError
from mmjax.metrics import caption, caption_java
from mmjax.text import tokenise


def words(*texts):
    return [text.split() for text in texts]


def test_bleu_by_hand():
    # 3 of 3 words, 2 of 2 bigrams, 1 of 1 trigrams; a word short of the reference; no 4-gram is possible
    found = caption.bleu(words("the cat sat"), [words("the cat sat down")])
    np.testing.assert_allclose(found[:3], [math.exp(1 - 4 / 3)] * 3, rtol=1e-6)
    assert found[3] < 0.04
    # "the" counts as often as one reference has it (2, not 3); of lengths 2 and 4, both 1 away from 3, the 2 is taken
    clipped = caption.bleu(words("the the the"), [words("the the", "the cat is here")])
    np.testing.assert_allclose(clipped[:2], [2 / 3, math.sqrt(2 / 3 * 1 / 2)], rtol=1e-6)
    # sums over the corpus, not a mean: (2 + 1) of (2 + 2) words
    both = caption.bleu(words("a b", "a x"), [words("a b"), words("a c")])
    assert both[0] == pytest.approx(3 / 4)


def test_rouge_l_by_hand():
    value = (1 + 1.2**2) * 0.75 * 1 / (1 + 1.2**2 * 0.75)  # "a c d" of 4 words, all 3 of the reference
    assert caption.rouge_l(words("a b c d"), [words("a c d")])[0] == pytest.approx(value)
    # precision from the first reference (2/2), recall from the second (1/1)
    assert caption.rouge_l(words("a b"), [words("a x b y", "b")])[0] == pytest.approx(1)
    assert caption.rouge_l([[]], [words("a b")])[0] == 0


def test_longest_common_subsequence_as_the_table_says(rng):
    def naive(a, b):
        table = np.zeros((len(a) + 1, len(b) + 1), int)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
        return table[-1, -1]

    for _ in range(200):
        a, b = ([str(w) for w in rng.integers(0, 4, rng.integers(0, 14))] for _ in range(2))
        assert caption.longest_common(a, b) == naive(a, b)


def test_cider_d_by_hand():
    # two images, no word in both: every n-gram weighs log 2. The first caption is its reference: the cosines of 1- and
    # 2-grams are 1, there are no longer ones: 10 (1 + 1 + 0 + 0) / 4
    np.testing.assert_allclose(caption.cider_d(words("a b", "a b"), [words("a b"), words("c d")]), [5, 0])
    # "a b" against "a b c": one bigram less; unigrams 2 / (sqrt 2 sqrt 3), bigrams 1 / sqrt 2
    expected = 10 / 4 * math.exp(-1 / 72) * (2 / math.sqrt(6) + 1 / math.sqrt(2))
    assert caption.cider_d(words("a b", "x"), [words("a b c"), words("d")])[0] == pytest.approx(expected)
    # saying a word twice gains nothing over its reference: min(2, 1) 1 / (2 * 1) of the unigram, and one bigram more
    twice = caption.cider_d(words("a a", "x"), [words("a"), words("d")])[0]
    assert twice == pytest.approx(10 / 4 * math.exp(-1 / 72) * 1 / 2)
    # a word of both images' references weighs nothing
    np.testing.assert_allclose(caption.cider_d(words("a", "a"), [words("a"), words("a")]), [0, 0])


def test_one_image_alone_has_no_cider():
    assert caption.scores(["a red bell"], [["a red bell"]])["cider_d"] == 0


def corpus(rng, size=120):
    """Captions of scenes, mutilated; an empty caption, an empty reference, several numbers of references."""
    source = sounding_scenes.source("test", ("captions",), examples=size)
    references = [source[i]["captions"][: 1 + i % 5] for i in range(size)]
    hypotheses = []
    for i in range(size):
        text = references[i if rng.random() < 0.5 else (i + 1) % size][0]
        hypotheses.append(" ".join(word for word in text.split() if rng.random() > 0.2))
    hypotheses[3], references[4] = "", ["", "A cat's t-shirt (red)!"]
    return hypotheses, references


def test_equals_pycocoevalcap(rng):
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu")
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    hypotheses, references = corpus(rng)
    ours = caption.scores(hypotheses, references)
    assert tuple(ours) == caption.NAMES
    said = {i: [" ".join(tokenise.caption(text))] for i, text in enumerate(hypotheses)}
    wanted = {i: [" ".join(tokenise.caption(text)) for text in texts] for i, texts in enumerate(references)}
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = [*bleu.Bleu(4).compute_score(wanted, said)[0]]
    rouge, cider = Rouge().compute_score(wanted, said), Cider().compute_score(wanted, said)
    np.testing.assert_allclose(list(ours.values()), [*theirs, rouge[0], cider[0]], rtol=1e-12)
    lists = (
        [tokenise.caption(text) for text in hypotheses],
        [[tokenise.caption(text) for text in texts] for texts in references],
    )
    np.testing.assert_allclose(caption.rouge_l(*lists), rouge[1], rtol=1e-12)
    np.testing.assert_allclose(caption.cider_d(*lists), cider[1], rtol=1e-12, atol=1e-12)


def test_the_tokeniser_equals_stanfords(rng):
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    if shutil.which("java") is None:
        pytest.skip("no Java")
    texts = corpus(rng)[0] + [
        "A man's dog doesn't like red T-shirts.",
        "I can't, won't; they've -- well... cannot gonna, he said.",
        "\"Hello\" she said: 'stop' (now)! [left]",
        "black/white and/or 1/2 1,000 people, $5 50% #1 & more",
        "Mr. Smith of the U.S. at 10:30 a.m. and 9:00am, 6 p.m.",
        "the dogs' bed, 1990s 60's 5' o'clock ma'am; rock 'n' roll",
        "“curly” ‘quotes’ don’t a–b café 日本",
        "a 3-year-old, a well-lit-room and a 24/7 shop: wow!! what?!",
        "हिन्दी भाषा में लाल। ภาษาไทย สีแดง தமிழ் மொழி שָׁלוֹם עוֹלָם مُحَمَّد cafe\u0301 tie\u0302\u0301ng co\u00adop",
    ]
    try:
        theirs = tokenizer.PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(texts)})
    except OSError as error:  # it writes beside its own code
        pytest.skip(str(error))
    composed = [tokenise.composed(theirs[i][0]) for i in range(len(texts))]  # Stanford leaves accents apart
    assert [" ".join(tokenise.caption(text)) for text in texts] == composed


def test_mistakes_are_named():
    for hypotheses, references, java, message in (
        (["a"], [["a"], ["b"]], (), "1 captions cannot be scored against the references of 2"),
        ([], [], (), "the split is empty"),
        (["a", "b"], [["a"], []], (), "image 1 has no reference caption"),
        (["a"], [["a"]], ("bertscore",), "'bertscore' is no caption metric that Java computes: choose meteor, spice"),
    ):
        with pytest.raises(UserError, match=message):
            caption.scores(hypotheses, references, java)


def test_without_java_or_its_wrapper_one_line_says_so(monkeypatch):
    monkeypatch.setattr(caption_java.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="METEOR needs Java and the extra `coco`: there is no java in the path"):
        caption.scores(["a"], [["a"]], ("meteor",))
    monkeypatch.setattr(caption_java.shutil, "which", lambda name: "/usr/bin/java")

    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(caption_java.importlib, "import_module", absent)
    with pytest.raises(UserError, match="SPICE needs Java and the extra `coco`: pip install"):
        caption.scores(["a"], [["a"]], ("spice",))


def test_a_java_program_that_fails_is_told(monkeypatch):
    class Meteor:
        def compute_score(self, wanted, said):
            assert wanted == {0: ["a cat", "b"]}
            assert said == {0: ["a cat"]}
            raise BrokenPipeError("Broken pipe")

    module = type("module", (), {"Meteor": Meteor})
    monkeypatch.setattr(caption_java.shutil, "which", lambda name: "/usr/bin/java")
    monkeypatch.setattr(caption_java.importlib, "import_module", lambda name: module)
    with pytest.raises(UserError, match="METEOR failed in Java: Broken pipe"):
        caption.scores(["A cat."], [["a cat", "b"]], ("meteor",))
    monkeypatch.setattr(Meteor, "compute_score", lambda self, wanted, said: (0.25, [0.25]))
    assert caption.scores(["A cat."], [["a cat"]], ("meteor",))["meteor"] == 0.25
