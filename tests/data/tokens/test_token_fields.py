"""From text columns to token arrays: vocabularies by hand, from the training split alone, through the loader."""

import collections
import json
import pickle
import types
from concurrent import futures

import numpy as np
import pytest
from PIL import Image

from mmjax import data
from mmjax.data import pipeline, spec
from mmjax.data.tokens import token_fields, token_tables
from mmjax.engine import config as configs
from mmjax.engine import prepare, probes
from mmjax.errors import UserError
from mmjax.text import vocabulary

SCENES = {"name": "sounding_scenes", "examples": 64, "objects": (1, 2)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path / "cache"))
    token_tables._KEPT.clear()


class Toy:
    """A source of examples written down; counts how often it was read."""

    def __init__(self, *examples):
        self.examples, self.reads = examples, collections.Counter()

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        self.reads[index] += 1
        return dict(self.examples[index])


TRAIN = Toy(
    {"captions": ("A red bell.", "the red bell, on a hill"), "question": "Is it red?", "answer": "Yes "},
    {"captions": ("a dog's bell",), "question": "is it a dog?", "answer": "no"},
    {"captions": ("A red dog!",), "question": "what is it?", "answer": "dog"},
    {"captions": ("",), "question": "is it red?", "answer": "yes"},
)
MADE = ("caption_tokens", "question_tokens", "answer_label")


def wrap(source=TRAIN, fields=MADE, made=MADE, training=TRAIN, about="toy", **options):
    return token_fields.wrap(source, fields, made, token_fields.options(options), lambda: training, about)


def words(source, name):
    return vocabulary.words_of(source.constants[f"{name}_vocabulary"])


def test_vocabularies_and_arrays_by_hand(capsys):
    source = wrap(length=5, answers=2)
    # a 4; bell, red 3; dog 2; then 's, hill, on, the 1 each: by count, then by spelling
    assert words(source, "caption") == [*vocabulary.SPECIAL, "a", "bell", "red", "dog", "'s", "hill", "on", "the"]
    assert words(source, "question") == [*vocabulary.SPECIAL, "?", "is", "it", "red", "a", "dog", "what"]
    assert words(source, "answer") == ["yes", "dog"]  # "dog" and "no" once each: d before n
    assert spec.unspelt(source.constants["answer_label_names"]) == ("yes", "dog")
    example = source[0]
    assert set(example) == {*MADE, "caption_tokens_length", "question_tokens_length"}
    np.testing.assert_array_equal(example["caption_tokens"], [4, 6, 5, 2, 0])
    np.testing.assert_array_equal(example["question_tokens"], [5, 6, 7, 4, 0])
    assert (example["caption_tokens_length"], example["question_tokens_length"]) == (4, 4)
    assert [source[i]["answer_label"] for i in range(4)] == [0, -1, 1, 0]
    assert all(v.dtype == np.int32 for v in example.values())
    np.testing.assert_array_equal(source[3]["caption_tokens"], [2, 0, 0, 0, 0])  # an empty caption only ends
    said = capsys.readouterr().err
    # 6 words do not fit beside <end> into 5: one caption is cut
    assert "12 words from 5 training captions; 0.00% of their words are <unk>, 1 captions are cut to 4" in said
    assert "answer_label: 2 answers; 25.00% of 4 training answers are others" in said
    wrap(length=5, answers=2)
    assert not capsys.readouterr().err  # said once


def test_types_of_questions_are_classes_of_their_own():
    """All of them, however few answers are asked for; "question_vocabulary" is of the words."""
    train = Toy(*({"question_type": kind, "answer": "yes"} for kind in ("sound", "what color is", "sound")))
    fields = ("question_type_label", "answer_label")
    source = wrap(train, fields, fields, train, about="types", answers=1)
    assert words(source, "question_type") == ["sound", "what color is"]
    assert [source[i]["question_type_label"] for i in range(3)] == [0, 1, 0]
    classes = {"question_type_label_names", "answer_label_names"}
    assert set(source.constants) == {"question_type_vocabulary", "answer_vocabulary", *classes}
    other = wrap(Toy({"question_type": "count", "answer": "yes"}), fields, fields, train, about="types", answers=1)
    assert other[0]["question_type_label"] == -1


def test_what_is_cut_still_ends_and_rare_words_are_unknown():
    source = wrap(length=4, min_count=2)
    assert words(source, "caption")[4:] == ["a", "bell", "red", "dog"]
    long = Toy({"captions": ("The red zebra on a hill",), "question": "is it a red zebra?", "answer": "zebra"})
    example = wrap(long, length=4, min_count=2)[0]
    np.testing.assert_array_equal(example["caption_tokens"], [3, 6, 3, 2])
    np.testing.assert_array_equal(example["question_tokens"], [5, 6, 3, 7])
    assert example["answer_label"] == -1
    assert words(wrap(max_words=2), "caption")[4:] == ["a", "bell"]


def test_questions_can_stand_at_the_right():
    source = wrap(length=7, align="right")
    np.testing.assert_array_equal(source[0]["question_tokens"], [0, 0, 0, 5, 6, 7, 4])
    np.testing.assert_array_equal(source[0]["caption_tokens"], [0, 0, 0, 4, 6, 5, 2])


def test_training_draws_one_of_several_captions_and_evaluation_does_not():
    source = wrap(fields=("caption", "caption_tokens"), made=("caption_tokens",), length=8)
    drawn = [source.draw(0, np.random.default_rng(seed)) for seed in range(40)]
    counts = collections.Counter(example["caption"] for example in drawn)
    assert set(counts) == set(TRAIN.examples[0]["captions"])
    assert min(counts.values()) > 8
    vocabulary_ = source.constants["caption_vocabulary"]
    for example in drawn:  # what is shown is what is learnt
        read = vocabulary.decode(example["caption_tokens"], vocabulary_)
        assert (
            read
            == {"A red bell.": "a red bell", "the red bell, on a hill": "the red bell on a hill"}[example["caption"]]
        )
    assert {source[0]["caption"] for _ in range(5)} == {"A red bell."}
    own = Toy({"caption": "a dog", "captions": ("a bell", "a dog")})  # the data set's own choice wins
    assert wrap(own, ("caption", "caption_tokens"), ("caption_tokens",))[0]["caption"] == "a dog"


def test_all_captions_of_an_example_by_hand():
    fields = ("captions_tokens", "caption_tokens")
    source = wrap(fields=fields, made=fields, length=5, captions=3)
    assert words(source, "caption") == [*vocabulary.SPECIAL, "a", "bell", "red", "dog", "'s", "hill", "on", "the"]
    example = source[0]
    assert set(example) == {*fields, "captions_tokens_length", "caption_tokens_length"}
    np.testing.assert_array_equal(example["captions_tokens"], [[4, 6, 5, 2, 0], [11, 6, 5, 10, 2], [0] * 5])
    np.testing.assert_array_equal(example["captions_tokens_length"], [4, 5, 0])
    assert example["captions_tokens"].dtype == example["captions_tokens_length"].dtype == np.int32
    np.testing.assert_array_equal(example["caption_tokens"], example["captions_tokens"][0])
    np.testing.assert_array_equal(source[3]["captions_tokens_length"], [1, 0, 0])  # an empty caption is one
    alone = ("captions_tokens",)
    first = wrap(fields=alone, made=alone, length=5, captions=1)  # more are dropped
    np.testing.assert_array_equal(first[0]["captions_tokens"], [[4, 6, 5, 2, 0]])
    assert words(first, "caption") == words(source, "caption")  # counted from all the same
    for seed in range(5):  # all are there: nothing is drawn
        drawn = first.draw(0, np.random.default_rng(seed))
        np.testing.assert_array_equal(drawn["captions_tokens"], first[0]["captions_tokens"])
    right = wrap(fields=alone, made=alone, length=5, captions=2, align="right")[0]
    np.testing.assert_array_equal(right["captions_tokens"], [[0, 4, 6, 5, 2], [11, 6, 5, 10, 2]])


def test_all_captions_and_one_share_the_cached_vocabulary(capsys, monkeypatch):
    many = [{"captions": (f"word{i}",)} for i in range(200)]
    one, several = ("caption_tokens",), ("captions_tokens",)
    before = wrap(Toy(*many), one, one, Toy(*many), captions=2)
    assert "caption_tokens: 204 words" in capsys.readouterr().err
    monkeypatch.setattr(token_tables, "_table", None)  # not counted anew: it was found
    after = wrap(Toy(*many), several, several, Toy(*many), captions=7, length=9)
    assert not capsys.readouterr().err
    np.testing.assert_array_equal(before.constants["caption_vocabulary"], after.constants["caption_vocabulary"])


def test_the_only_caption_of_a_data_set_is_all_of_them():
    train = Toy({"caption": "a dog"}, {"caption": b"a bell"})
    source = wrap(train, ("captions_tokens",), ("captions_tokens",), train, captions=2, length=4)
    np.testing.assert_array_equal(source[1]["captions_tokens"], [[4, 5, 2, 0], [0] * 4])


def test_lengths_of_captions_move_with_them():
    few, many = {"captions": ("a red bell",)}, {"captions": ("a dog", "a bell", "the hill")}
    rows = Toy(*[few, many] * 4)
    source = wrap(rows, ("captions_tokens",), ("captions_tokens",), captions=3, length=6)
    batch = next(pipeline.eval_batches(source, 8))
    assert batch["captions_tokens"].shape == (8, 3, 6)
    np.testing.assert_array_equal(batch["captions_tokens_length"], [[4, 0, 0], [3, 3, 3]] * 4)
    moved = probes.make("shuffle:captions_tokens")(batch, 0)
    assert not np.array_equal(moved["captions_tokens"], batch["captions_tokens"])
    for name in ("captions_tokens", "captions_tokens_length"):
        assert sorted(map(bytes, moved[name])) == sorted(map(bytes, batch[name]))
    np.testing.assert_array_equal((moved["captions_tokens"] > 0).sum(2), moved["captions_tokens_length"])


def test_a_source_that_draws_goes_on_drawing():
    class Drawing(Toy):
        def draw(self, index, rng):
            return {"captions": ("a bell", "a dog"), "index": np.int32(rng.integers(10**6))}

    source = wrap(Drawing({}), ("index", "caption_tokens"), ("caption_tokens",))
    seen = [source.draw(0, np.random.default_rng(seed)) for seed in range(20)]
    assert len({int(example["index"]) for example in seen}) == 20
    assert {tuple(example["caption_tokens"][:3]) for example in seen} == {(4, 5, 2), (4, 7, 2)}


@pytest.mark.parametrize("kind", vocabulary.CUTS)
def test_every_kind_reads_back(kind, tmp_path):
    if kind == "sentencepiece":
        pytest.importorskip("sentencepiece")
    tokens = {"kind": kind, "length": 120, "max_words": 60}
    if kind == "bpe":
        tokens["path"] = str(tmp_path / "pairs.txt")
        (tmp_path / "pairs.txt").write_text("a header\nt h\nth e</w>\n")
    source = data.open("train", ("caption", "caption_tokens"), tokens=tokens, **SCENES)
    spelled, model = source.constants["caption_vocabulary"], source.constants.get("caption_model")
    assert tuple(vocabulary.words_of(spelled)[:4]) == vocabulary.SPECIAL
    for index in range(8):
        example = source[index]
        plain = example["caption"].replace(",", "" if kind == "words" else " ," if kind == "bpe" else ",")
        assert vocabulary.decode(example["caption_tokens"], spelled) == plain
        ids, unknown = vocabulary.encode(example["caption"], spelled, model=model)
        length = example["caption_tokens_length"]
        np.testing.assert_array_equal(ids, example["caption_tokens"][: length - 1])
        assert example["caption_tokens"][length - 1] == vocabulary.END
        assert not unknown
        assert not example["caption_tokens"][length:].any()


def test_other_splits_use_the_training_splits_vocabulary():
    opened = {
        split: data.open(split, ("caption_tokens", "answer_label"), tokens={"length": 25}, **SCENES)
        for split in ("test", "validation", "train")
    }
    for name in ("caption_vocabulary", "answer_vocabulary"):
        np.testing.assert_array_equal(opened["test"].constants[name], opened["train"].constants[name])
        np.testing.assert_array_equal(opened["validation"].constants[name], opened["train"].constants[name])
    texts = data.open("train", ("captions",), **SCENES)
    known = {word for i in range(64) for text in texts[i]["captions"] for word in text.replace(",", "").split()}
    assert set(words(opened["test"], "caption")[4:]) == known
    few = data.open("train", ("caption_tokens",), tokens={"examples": 2}, train_split="validation", **SCENES)
    other = data.open("validation", ("captions",), **SCENES)
    read = {word for i in (0, 32) for text in other[i]["captions"] for word in text.replace(",", "").split()}
    assert set(words(few, "caption")[4:]) == read


class Known(Toy):
    """A source that knows its text again."""

    content = "one"

    @property
    def prints(self):
        return {"captions": types.SimpleNamespace(content=self.content)}


def test_the_cache_spares_reading_and_notices_another_text(monkeypatch):
    many = [{"captions": (f"word{i}",)} for i in range(400)]
    first = Known(*many)
    made = ("caption_tokens",)
    before = words(wrap(first, made, made, first, max_words=0), "caption")
    assert len(before) == 404
    token_tables._KEPT.clear()
    again = Known(*many)
    assert words(wrap(again, made, made, again, max_words=0), "caption") == before
    assert not again.reads
    changed = Known(*[{"captions": (f"other{i}",)} for i in range(400)])
    changed.content = "another"
    assert words(wrap(changed, made, made, changed, max_words=0), "caption")[4].startswith("other")
    for path in token_tables.counting.cache("x").parent.glob("*/table.json"):
        path.write_text("{damaged")
    token_tables._KEPT.clear()
    assert words(wrap(again, made, made, again, max_words=0), "caption") == before
    monkeypatch.setenv("MMJAX_CACHE", "/proc/nowhere")  # cannot be written: counted anew
    token_tables._KEPT.clear()
    assert words(wrap(again, made, made, again, max_words=0), "caption") == before


def test_a_caption_corrected_anywhere_is_another_vocabulary(capsys):
    """64 examples were probed; what was corrected between them left 236 of 300 unknown, and 0.00 % said."""
    made = ("caption_tokens",)
    for changed in (None, *range(7)):
        token_tables._KEPT.clear()
        toy = Toy(*({"captions": ("a blue circle" if i == changed else "a red square",)} for i in range(300)))
        assert len(words(wrap(toy, made, made, toy), "caption")) == 7 + 2 * (changed is not None)
        assert "0.00% of their words are <unk>" in capsys.readouterr().err
    token_tables._KEPT.clear()
    wrap(toy, made, made, toy, max_words=3)
    assert "0.22% of their words are <unk>" in capsys.readouterr().err  # 2 of 900


def test_special_words_of_the_data_are_text():
    toy = Toy({"captions": ("<start> a red square <end>",)}, {"captions": ("<pad> <unk>",)})
    made = ("caption_tokens",)
    source = wrap(toy, made, made, toy, length=10)
    known = words(source, "caption")
    assert known == [*vocabulary.SPECIAL, "<", ">", "a", "end", "pad", "red", "square", "start"]
    assert [known[n] for n in source[0]["caption_tokens"]] == [
        "<",
        "start",
        ">",
        "a",
        "red",
        "square",
        "<",
        "end",
        ">",
        "<end>",
    ]
    assert source[1]["caption_tokens"].tolist() == [4, 8, 5, vocabulary.UNK, vocabulary.END, 0, 0, 0, 0, 0]


def test_through_the_loader_with_threads_and_processes():
    fields = ("image", "caption", "caption_tokens", "question_tokens", "answer_label")
    source = data.open("train", fields, tokens={"length": 25}, image_size=32, **SCENES)
    ways = [{"threads": 1}, {"threads": 4}, {"workers": 1}]
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    taken = []
    for way in ways:
        stream = pipeline.train_batches(source, 16, 3, 0, **way)
        taken.append([next(stream) for _ in range(6)])  # 96 of 64 examples: a second visit begins
    for batches in taken[1:]:
        for one, other in zip(taken[0], batches):
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])
    first = taken[0][0]
    assert first["caption_tokens"].shape == (16, 25)
    assert first["caption_tokens_length"].dtype == first["answer_label"].dtype == np.int32
    spelled = source.constants["caption_vocabulary"]
    for tokens, text in zip(first["caption_tokens"], first["caption"]):
        assert vocabulary.decode(tokens, spelled) == text.replace(",", "")
    held = next(pipeline.eval_batches(source, 4))
    np.testing.assert_array_equal(held["caption_tokens"][1], source[1]["caption_tokens"])
    assert pickle.loads(pickle.dumps(source))[5]["answer_label"] == source[5]["answer_label"]
    with futures.ThreadPoolExecutor(4) as pool:
        many = list(pool.map(lambda i: source[i]["caption_tokens"].tolist(), range(64)))
    assert many == [source[i]["caption_tokens"].tolist() for i in range(64)]


def test_init_gets_vocabularies_beside_the_first_batch():
    config = configs.engine("toy")
    with config.data.unlocked():
        config.data.tokens = {"length": 25}
        config.data.examples = 64
    opened = data.open("train", ("caption_tokens",), **config.data)
    assert prepare.example_batch(opened, config)["caption_tokens"].shape == (8, 25)
    assert vocabulary.words_of(opened.constants["caption_vocabulary"])[:4] == list(vocabulary.SPECIAL)


def test_a_data_set_with_one_caption_an_example(tmp_path):
    for index in range(20):
        path = tmp_path / "stamps" / "animals" / f"s{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(path)
        path.with_suffix(".txt").write_text(f"A stamp of kind w{index}.\n")
    where = {"path": str(tmp_path / "stamps"), "data_dir": str(tmp_path / "data"), "size": 8}
    test = data.open("test", ("image", "caption", "caption_tokens"), "tux_stamps", {"length": 7}, **where)
    train = data.open("train", ("caption",), "tux_stamps", **where)
    known = {word for i in range(len(train)) for word in train[i]["caption"].lower().rstrip(".").split()}
    assert set(words(test, "caption")[4:]) == known
    assert test[0]["caption_tokens"].tolist().count(vocabulary.UNK) == 1  # the word of the test stamp itself


def test_your_own_vocabulary(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("<pad>\nbell 969108\n\nred 12\n")  # also im2txt's word_counts.txt
    source = wrap(path=str(path))
    assert words(source, "caption") == [*vocabulary.SPECIAL, "bell", "red"]
    np.testing.assert_array_equal(source[0]["caption_tokens"][:4], [3, 5, 4, 2])
    path.write_text("bell\nhill\n")  # another file of that name is another vocabulary
    assert words(wrap(path=str(path)), "caption")[4:] == ["bell", "hill"]
    for content, message in (
        (b"\n \n", "has no words"),
        (b"a\nb\na\n", "has 'a' twice"),
        (b"caf\xe9\n", "is not UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            wrap(path=str(path))
    with pytest.raises(UserError, match=r"missing\.txt cannot be read: No such file"):
        wrap(path=str(tmp_path / "missing.txt"))


def test_your_own_sentencepiece_model(tmp_path):
    module = pytest.importorskip("sentencepiece")
    text = tmp_path / "text.txt"
    text.write_text("a red bell on the hill\nthe red dog\n" * 30)
    module.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "own"), vocab_size=30, hard_vocab_limit=False, minloglevel=3
    )  # the usual numbering: <unk> 0, <s> 1, </s> 2
    source = wrap(kind="sentencepiece", path=str(tmp_path / "own.model"), length=30)
    learnt = words(source, "caption")
    assert tuple(learnt[:4]) == vocabulary.SPECIAL
    assert "<s>" not in learnt
    example = Toy({"captions": ("the red bell",), "question": "", "answer": ""})
    tokens = wrap(example, kind="sentencepiece", path=str(tmp_path / "own.model"), length=30)[0]["caption_tokens"]
    assert vocabulary.decode(tokens, learnt) == "the red bell"
    with pytest.raises(UserError, match="needs its model"):
        vocabulary.encode("the red bell", learnt)
    (tmp_path / "bad.model").write_bytes(b"no model")
    with pytest.raises(UserError, match="no SentencePiece model"):
        wrap(kind="sentencepiece", path=str(tmp_path / "bad.model"))


def test_mistakes_are_named():
    for tokens, message in (
        ({"kin": "words"}, r"config\.data\.tokens\.kin: there is no such option; it has kind, min_count"),
        ({"kind": "word"}, r"config\.data\.tokens\.kind 'word' is unknown: choose words, characters"),
        ({"align": "centre"}, r"tokens\.align 'centre' is unknown"),
        ({"captions": 0}, r"tokens\.captions is 0: it must be at least 1"),
        ({"length": 1}, r"tokens\.length is 1: it must be at least 2"),
        ({"min_count": 10**6}, r"no word of the captions occurs 1000000 times \(the most frequent occurs \d+ times\)"),
    ):
        with pytest.raises(UserError, match=message):
            data.open("train", ("caption_tokens",), tokens=tokens, **SCENES)
    with pytest.raises(UserError, match="data set 'folder_audio' has no question"):
        data.open("train", ("question_tokens",), "folder_audio", path=".")
    with pytest.raises(UserError, match="captions have no words"):
        wrap(training=Toy({"captions": ("...",), "question": "a", "answer": "a"}), about="empty")
    with pytest.raises(UserError, match="the training split is empty"):
        wrap(training=Toy())


def test_the_text_sets_own_option_of_that_name_stays_its_own(tmp_path):
    (tmp_path / "a.txt").write_text("a b c d e f g h\n" * 30)
    source = data.open("train", ("tokens",), "text", tokens=32, path=str(tmp_path / "a.txt"), min_count=1)
    assert source[0]["tokens"].shape == (32,)


def test_the_cache_is_readable_by_people():
    wrap()
    paths = list(token_tables.counting.cache("x").parent.glob("*/table.json"))
    assert {tuple(json.loads(path.read_text())["words"])[-1] for path in paths} == {"the", "what", "no"}
