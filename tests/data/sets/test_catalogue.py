"""catalogue on tiny builders prepared here; nothing is downloaded."""

import io
import json
import pickle
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mmjax import data
from mmjax.data import spec
from mmjax.data.files import prepared
from mmjax.data.sets import catalogue
from mmjax.errors import UserError
from mmjax.text import vocabulary

WORDS = ("down", "up")


def pcm(index):
    """Half a second of 1 kHz at 16 kHz, as the 16-bit integers that TFDS keeps as int64."""
    return np.round(8000 * (index + 1) * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16_000)).astype(np.int64)


def grey(index):
    buffer = io.BytesIO()
    Image.fromarray(np.full((6, 5), 20 * index, np.uint8)).save(buffer, "png")
    return buffer.getvalue()


with tfds.core.registered.skip_registration():

    class SpokenThings(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "audio": tfds.features.Tensor(shape=(None,), dtype=np.int64),
                "image": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=WORDS),
                "text": tfds.features.Text(),
                "captions": tfds.features.Sequence(tfds.features.Text()),
                "kind": tfds.features.ClassLabel(names=WORDS),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(range(3)), "test": self._generate_examples(range(1))}

        def _generate_examples(self, indices):
            for index in indices:
                yield (
                    index,
                    {
                        "audio": pcm(index),
                        "image": grey(index),
                        "label": WORDS[index % 2],
                        "text": f"thing № {index}",
                        "captions": ["a thing", f"thing {index}"],
                        "kind": "up",
                    },
                )

    class QuestionsOfPictures(tfds.core.GeneratorBasedBuilder):
        """The features of the catalogue's clevr."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            both = {"question": tfds.features.Text(), "answer": tfds.features.Text()}
            features = {
                "image": tfds.features.Image(encoding_format="png"),
                "question_answer": tfds.features.Sequence(both),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(4)}

        def _generate_examples(self, count):
            for index in range(count):
                asked = [{"question": f"what is {index} {k}?", "answer": f"{index} {k}"} for k in range(3)]
                yield index, {"image": grey(index), "question_answer": asked}

    class NumberedCaptions(tfds.core.GeneratorBasedBuilder):
        """The features of the catalogue's coco_captions."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(encoding_format="png"),
                "captions": tfds.features.Sequence({"id": np.int64, "text": tfds.features.Text()}),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(2), "val": self._generate_examples(1)}

        def _generate_examples(self, count):
            for index in range(count):
                said = [{"id": 7, "text": f"The bell {index}."}, {"id": 8, "text": "Ein Grün!"}]
                picture = np.full((4, 4, 3), index, np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(picture).save(buffer, "png")
                yield index, {"image": buffer.getvalue(), "captions": said}


def test_captions_with_numbers_beside_them(tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path / "cache"))
    prepared.prepare(NumberedCaptions(data_dir=str(tmp_path), file_format="array_record"))
    where = {"name": "numbered_captions", "data_dir": str(tmp_path)}
    fields = ("image", "caption", "captions", "caption_tokens", "captions_tokens")
    opened = data.open("val", fields, tokens={"length": 6}, train_split="train", **where)
    example = opened[0]
    assert example["captions"] == ("The bell 0.", "Ein Grün!")
    assert example["caption"] == "The bell 0."
    words = vocabulary.words_of(opened.constants["caption_vocabulary"])
    assert set(words[4:]) == {"the", "bell", "0", "1", "ein", "grün"}
    assert vocabulary.decode(example["caption_tokens"], words) == "the bell 0"
    assert [vocabulary.decode(row, words) for row in example["captions_tokens"]] == [
        "the bell 0",
        "ein grün",
        *[""] * 3,
    ]
    assert example["captions_tokens_length"].tolist() == [4, 3, 0, 0, 0]
    with pytest.raises(UserError, match="has no question"):
        data.open("val", ("question_tokens",), **where)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two copies: as prepared here, and with the features.json that a machine with TensorFlow writes for Audio."""
    root = tmp_path_factory.mktemp("tfds")
    for name, rate in (("spoken_things", None), ("stated", 16_000)):
        builder = SpokenThings(data_dir=str(root), file_format="array_record")
        prepared.prepare(builder)
        directory = root / "spoken_things" / "1.0.0"
        path = directory / "features.json"
        tree = json.loads(path.read_text())
        audio = {"shape": {"dimensions": ["-1"]}, "dtype": "int64", "encoding": "none", "fileFormat": "wav"}
        if rate:
            audio["sampleRate"] = str(rate)
        feature = {"pythonClassName": "tensorflow_datasets.core.features.audio_feature.Audio", "audio": audio}
        tree["featuresDict"]["features"]["audio"] = feature
        path.write_text(json.dumps(tree))
        if name != "spoken_things":
            (root / "spoken_things").rename(root / name)
            prepared.prepare(SpokenThings(data_dir=str(root), file_format="array_record"))
    return root


def open_(root, fields=None, split="train", name="stated", **options):
    return catalogue.source(split, fields, name=name, data_dir=str(root), **options)


def by_text(source):
    return sorted(source, key=lambda example: example["text"])


def test_usual_names_are_guessed(root):
    offered = catalogue.fields(name="stated", data_dir=str(root))
    assert set(offered) == {"waveform", "speech", "image", "label", "caption", "captions", "text", "index"}
    assert catalogue.label_names(name="stated", data_dir=str(root)) == WORDS
    opened = catalogue.source("train", ("label",), name="stated", data_dir=str(root))
    assert spec.unspelt(opened.constants["label_names"]) == WORDS
    mapped = catalogue.source("train", ("scene",), name="stated", data_dir=str(root), mapping=(("scene", "kind"),))
    assert {name: spec.unspelt(spelt) for name, spelt in mapped.constants.items()} == {"scene_names": WORDS}


def test_values_are_of_the_glossarys_types(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # not needed, not even for Audio
    examples = by_text(open_(root))
    assert len(examples) == 3
    for index, example in enumerate(examples):
        waveform = example["waveform"]
        assert waveform.dtype == np.int16
        assert len(waveform) == 11_025  # half a second
        assert np.argmax(np.abs(np.fft.rfft(waveform))) == 500  # bins of 2 Hz
        middle = waveform[2000:-2000].astype(float)
        np.testing.assert_allclose(middle.std(), 8000 * (index + 1) / np.sqrt(2), rtol=0.01)
        assert example["image"].shape == (6, 5, 3)
        assert (example["image"] == 20 * index).all()
        assert example["label"] == index % 2
        assert example["label"].dtype == np.int32
        assert example["text"] == f"thing № {index}"
        assert example["captions"] == ("a thing", f"thing {index}")
        assert example["caption"] == "a thing"
    assert sorted(int(example["index"]) for example in examples) == [0, 1, 2]


def test_only_what_is_asked_for_in_the_asked_order(root):
    assert tuple(open_(root, ("label", "waveform"))[0]) == ("label", "waveform")
    assert tuple(open_(root, ("index",))[2]) == ("index",)


def test_mapping_renames_and_names_classes(root):
    (example,) = open_(root, ("answer", "question"), "test", mapping=(("answer", "kind"), ("question", "text")))
    assert example == {"answer": "up", "question": "thing № 0"}
    with pytest.raises(UserError, match=r"config\.data\.mapping: stated has no answer='sort'; its features are .*kind"):
        open_(root, mapping=(("answer", "sort"),))
    with pytest.raises(UserError, match="no such field sound"):
        open_(root, mapping=(("sound", "audio"),))


def test_slices_and_pickling(root):
    whole, part = open_(root, ("text",)), open_(root, ("text",), "train[1:]")
    assert [whole[1], whole[2]] == list(part)
    copy = pickle.loads(pickle.dumps(part))
    assert copy[0] == part[0]
    assert part.prints["text"].content == copy.prints["text"].content != whole.prints["text"].content
    assert open_(root, ("label", "text")).prints["text"].content == whole.prints["text"].content
    assert open_(root, ("label",)).prints["label"].meanings == WORDS
    with pytest.raises(UserError, match=r"no split 'validation': it has .*train \(3\)"):
        open_(root, ("text",), "validation")


def test_an_unstated_rate_is_asked_for(root):
    with pytest.raises(UserError, match=r"sample rate: set config\.data\.rate"):
        open_(root, ("waveform",), name="spoken_things")
    assert len(open_(root, ("waveform",), name="spoken_things", rate=8000)[0]["waveform"]) == 22_050


def test_missing_fields_are_listed(root):
    with pytest.raises(UserError, match=r"data set 'stated' has no boxes: it has .*waveform.*; the task needs boxes"):
        open_(root, ("boxes",))


def test_unknown_name_suggests_close_ones(tmp_path):
    with pytest.raises(UserError, match="did you mean speech_commands"):
        open_(tmp_path, name="speech_comands")


def test_what_cannot_be_prepared_says_how(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"config\.data\.download is off"):
        open_(tmp_path, name="mnist", download=False)
    monkeypatch.setattr(catalogue, "_has_address", lambda host: False)
    monkeypatch.setattr(catalogue.urllib.request, "getproxies", dict)
    with pytest.raises(UserError, match=r"cannot prepare 'mnist' \(no network: .*where there is a network, run"):
        open_(tmp_path, name="mnist")


def test_tensorflow_is_asked_for_only_where_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UserError, match="preparing 'spoken_digit' needs tensorflow, once"):
        open_(tmp_path, name="spoken_digit")


def test_another_file_format_is_refused(root, tmp_path):
    directory = tmp_path / "stated" / "1.0.0"
    directory.mkdir(parents=True)
    for file in (root / "stated" / "1.0.0").iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    info = json.loads((directory / "dataset_info.json").read_text())
    (directory / "dataset_info.json").write_text(json.dumps({**info, "fileFormat": "tfrecord"}))
    with pytest.raises(UserError, match="file_format=array_record"):
        open_(tmp_path, ("text",))


def test_one_of_several_questions(tmp_path):
    """CLEVR: ten questions a picture; question and answer are of one, by position, or drawn in training."""
    prepared.prepare(QuestionsOfPictures(data_dir=str(tmp_path), file_format="array_record"))
    mapping = (("question", "question_answer/question"), ("answer", "question_answer/answer"))
    options = {"name": "questions_of_pictures", "data_dir": str(tmp_path), "mapping": mapping}
    source = catalogue.source("train", ("image", "question", "answer", "index"), **options)
    numbers = []
    for i in range(4):
        example = source[i]
        assert example["question"] == f"what is {example['answer']}?"
        assert example["image"].shape == (6, 5, 3)
        numbers.append(int(example["answer"].split()[1]))
    assert numbers == [0, 1, 2, 0]
    drawn = {source.draw(1, np.random.default_rng(seed))["answer"] for seed in range(20)}
    assert len(drawn) == 3
    assert len({answer.split()[0] for answer in drawn}) == 1  # of one picture
    assert pickle.loads(pickle.dumps(source))[2]["answer"] == source[2]["answer"]
    tokens = data.open("train", ("question_tokens", "answer_label"), tokens={"length": 6}, **options)
    assert {tokens.draw(1, np.random.default_rng(seed))["answer_label"].item() for seed in range(20)} >= {-1}
    with pytest.raises(UserError, match="question_answer/kind"):
        catalogue.source("train", ("question",), **{**options, "mapping": (("question", "question_answer/kind"),)})


def test_deep_pictures_are_scaled_by_their_type():
    ramp = np.arange(0, 256, 16, dtype=np.uint8).reshape(4, 4, 1)
    for samples in (ramp, ramp.astype(np.uint16) * 257, ramp / np.float32(255)):
        np.testing.assert_array_equal(catalogue._to_rgb(samples), np.repeat(ramp, 3, 2))
    with pytest.raises(UserError, match=r"floats outside 0\.\.1, 0 to 240: full scale of floats is 1"):
        catalogue._to_rgb(ramp.astype(np.float32))
