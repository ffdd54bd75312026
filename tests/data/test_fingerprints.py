"""Fingerprints: what a field holds and means, whoever else is asked for, and read once of what is prepared."""

import numpy as np
import pytest
import soundfile

from mmjax import data
from mmjax.data import fingerprints
from mmjax.data.files import digests
from mmjax.data.sets import folder_audio


def test_a_digest_is_of_the_value_its_type_and_its_shape():
    values = ["ab", "a", b"", ("ab",), ("a", "b"), ("a", ("b",)), 1, 1.0, True, np.int32(1)]
    values += [np.zeros((2, 3)), np.zeros((3, 2))]
    assert len({fingerprints.digest(value) for value in values}) == len(values)
    texts = np.array(["ab", "c"], object)
    assert fingerprints.digest("é") == fingerprints.digest("é".encode())
    assert fingerprints.digest(texts) == fingerprints.digest(["ab", "c"]) == fingerprints.digest((b"ab", b"c"))
    assert fingerprints.digest(np.zeros((4, 4))[:, ::2]) == fingerprints.digest(np.zeros((4, 2)))
    assert fingerprints.digest("a") == 0xB28099FA24630093  # in the records of runs: it must never change


def same(one, other):
    return (one.content, one.meanings) == (other.content, other.meanings)


@pytest.mark.parametrize(
    ("name", "field", "more", "change"),
    [
        ("sounding_scenes", "label", ("image", "caption_tokens"), {"seed": 1}),
        ("easy_vqa", "question_tokens", ("image", "answer_label"), {"validation": 0.2}),
        ("text", "tokens", ("sentence",), {"min_count": 10}),
    ],
)
def test_another_field_changes_none_and_other_data_does(name, field, more, change, tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path))
    if name == "easy_vqa":
        pytest.importorskip("easy_vqa")
    (tmp_path / "text.txt").write_text("a b c d e\n" * 9 + "a c e\n" * 5)
    options = {"path": str(tmp_path / "text.txt")} if name == "text" else {"tokens": {"examples": 50}}
    alone, among, other = (
        fingerprints.of(data.open("train", fields, name, **options, **extra), fields)
        for fields, extra in (((field,), {}), ((*more, field, "index"), {}), ((field,), change))
    )
    assert same(alone[field], among[field])
    assert set(among) == {field, *more}
    assert len({own.content for own in among.values()}) > 1 or name == "text"
    assert alone[field].content != other[field].content
    assert alone[field].meanings


def test_of_a_source_without_any_a_few_examples_are_read():
    class Numbers(list):
        constants = {"label_names": np.frombuffer(b"dogcat", np.uint8).reshape(2, 3)}  # noqa: RUF012

    rows = [{"label": np.int32(i), "index": np.int32(i)} for i in range(100)]
    one = fingerprints.of(Numbers(rows), ("label", "index", "label_length"))
    assert set(one) == {"label"}
    assert one["label"].meanings == ("dog", "cat")
    assert same(one["label"], fingerprints.of(Numbers(rows), ("label",))["label"])
    assert fingerprints.of(Numbers(rows[:99]), ("label",))["label"].content != one["label"].content
    rows[6] = {"label": np.int32(7)}  # the second of 16 that are read
    assert fingerprints.of(Numbers(rows), ("label",))["label"].content != one["label"].content


def test_what_is_prepared_is_read_once_and_any_slice_of_it_known(tmp_path, monkeypatch):
    for name in ("bird", "dog"):
        for number in range(6):
            (tmp_path / "sounds" / name).mkdir(parents=True, exist_ok=True)
            wave = np.random.default_rng(number).uniform(-0.5, 0.5, 300)
            soundfile.write(tmp_path / "sounds" / name / f"{number}.wav", wave, 22_050)

    def opened(split, fields=("waveform", "label")):
        return folder_audio.source(split, fields, path=str(tmp_path / "sounds"), data_dir=str(tmp_path / "data"))

    everything = opened("all").prints
    source = opened("train")
    assert everything["label"].meanings == ("bird", "dog")
    waves = [fingerprints.digest(source[i]["waveform"]) for i in range(len(source))]
    assert source.prints["waveform"].examples.tolist() == waves
    assert set(waves) < set(everything["waveform"].examples.tolist())
    monkeypatch.setattr(digests, "_read", lambda *args: pytest.fail("read again"))
    assert same(opened("all").prints["waveform"], everything["waveform"])
    assert same(opened("train", ("label",)).prints["label"], source.prints["label"])
