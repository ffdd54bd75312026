"""Folders of speakers: who is in which split, which utterances are paired, and what is said of those left out."""

import numpy as np
import pytest
import soundfile

from mmjax import data
from mmjax.errors import UserError

RATE = 22_050


def write(path, seconds, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(round(seconds * RATE), value, np.int16), RATE)


@pytest.fixture
def folder(tmp_path):
    """12 speakers of four utterances, each of a value of its own."""
    for speaker in range(12):
        for number in range(4):
            write(tmp_path / f"s{speaker:02d}" / "chapter" / f"{number}.wav", 1.5, 1000 * (speaker + 1) + number)
    return tmp_path


def opened(folder, split, **options):
    return data.open(split, ("speech", "speech_other", "group", "id"), name="speakers", path=str(folder), **options)


def test_no_speaker_is_in_two_splits_and_pairs_are_of_one(folder):
    sources = {split: opened(folder, split, seconds=2.0) for split in ("train", "validation", "test")}
    groups = {split: {source[i]["group"] for i in range(len(source))} for split, source in sources.items()}
    assert sorted(name for several in groups.values() for name in several) == [f"s{i:02d}" for i in range(12)]
    assert [len(groups[split]) for split in sources] == [10, 1, 1]
    assert [len(source) for source in sources.values()] == [40, 2, 2]
    for split, source in sources.items():
        for i in range(len(source)):
            e = source[i]
            value, other = int(e["speech"][5]), int(e["speech_other"][5])
            assert value // 1000 == other // 1000 == int(e["group"][1:]) + 1
            assert (other - value) % 4 == 2  # two utterances on
            assert split == "train" or value % 1000 < 2 <= other % 1000
            assert e["id"] == f"{e['group']}/chapter/{value % 1000}.wav"
            assert e["speech_length"] == e["speech_other_length"] == round(1.5 * RATE)
            assert e["speech"].shape == (2 * RATE,)
            assert not e["speech"][e["speech_length"] :].any()


def test_folders_of_splits_are_kept_and_what_they_lack_is_dealt(folder):
    for i in range(12):
        part = folder / ("test" if i < 4 else "train")
        part.mkdir(exist_ok=True)
        (folder / f"s{i:02d}").rename(part / f"s{i:02d}")
    test = opened(folder, "test", seconds=1.0)
    assert sorted({test[i]["group"] for i in range(len(test))}) == ["s00", "s01", "s02", "s03"]
    assert test[0]["speech"].shape == (RATE,)
    assert test[0]["speech_length"] == RATE  # cut
    assert len(opened(folder, "validation")) == 2
    assert len(opened(folder, "train")) == 28
    for number in range(2):
        write(folder / "train" / "s00" / f"{number}.wav", 1.5, 77)
    with pytest.raises(UserError, match="speaker s00 is in test and in train"):
        opened(folder, "train", shortest=0.9)


def test_what_cannot_be_used_is_left_out_and_named(folder, capsys):
    write(folder / "s00" / "short.wav", 0.2, 5)
    (folder / "s01" / "text.wav").write_text("no sound")
    write(folder / "alone" / "one.wav", 1.5, 5)
    before = opened(folder, "train").prints["speech"].content
    said = capsys.readouterr().err
    assert "1 shorter than 1 s (s00/short.wav) left out" in said
    assert "1 unreadable (s01/text.wav) left out" in said
    assert "speakers with fewer than two utterances (alone) left out" in said
    write(folder / "s03" / "chapter" / "9.wav", 1.5, 5)
    assert opened(folder, "train", shortest=0.8).prints["speech"].content != before
    for options, wrong in (
        ({"shortest": 7.0}, "config.data.shortest=7.0"),
        ({"test": 0.6, "validation": 0.5}, "below 1 together"),
    ):
        with pytest.raises(UserError, match=wrong):
            opened(folder, "train", **options)
    with pytest.raises(UserError, match="no such folder; give one with a sub-folder for each speaker"):
        opened(folder / "nowhere", "train")
    with pytest.raises(UserError, match="has no split 'dev'"):
        opened(folder, "dev")


def test_held_out_utterances_are_of_speakers_who_train_as_well(folder):
    (folder / "test").mkdir()
    (folder / "train").mkdir()
    for i in range(12):
        (folder / f"s{i:02d}").rename(folder / ("test" if i < 4 else "train") / f"s{i:02d}")
        write(folder / "train" / f"s{i:02d}" / "fifth.wav", 1.5, 1000 * (i + 1) + 4)  # of a speaker in both folders
    fields, shares = ("speech", "speech_other", "label", "id"), {"validation": 0.4, "test": 0.4}
    with pytest.raises(UserError, match="too little for a split 'test'"):
        data.open("test", fields, name="speakers", path=str(folder), held_out="utterances")  # one of five, and no other
    heard = {}
    for split in ("validation", "test"):
        source = data.open(split, fields, name="speakers", path=str(folder), held_out="utterances", **shares)
        assert len(source) == 24
        values = [(int(e["speech"][5]), int(e["speech_other"][5])) for e in map(source.__getitem__, range(24))]
        assert all(a != b and a // 1000 == b // 1000 for a, b in values)
        assert [a // 1000 - 1 for a, _ in values] == [source[i]["label"] for i in range(24)]
        assert source.constants["label_names"].shape == (12, 3)
        heard[split] = {a for a, _ in values}
        assert heard[split] == {b for _, b in values}  # each is found, and each tells of another
    assert not heard["validation"] & heard["test"]
    with pytest.raises(UserError, match="held_out='people': choose one of speakers, utterances"):
        opened(folder, "train", held_out="people")


def test_training_hears_another_stretch_at_each_visit(folder):
    ramp = (np.arange(3 * RATE) // 3).astype(np.int16)
    for number in range(4):
        soundfile.write(folder / "s00" / "chapter" / f"{number}.wav", ramp, RATE)
    how = {"name": "speakers", "path": str(folder), "seconds": 2.0, "piece": 0.5, "held_out": "utterances"}
    source = data.open("train", ("speech", "speech_other"), **how)
    long = next(i for i in range(len(source)) if source[i]["speech_other_length"] == 2 * RATE)  # of the first speaker
    assert source[long]["speech"][0] == 0  # its beginning
    pieces = [3 * source.draw(long, np.random.default_rng(seed))["speech"].astype(int) for seed in range(40)]
    assert all(piece[-1] - piece[0] == pytest.approx(RATE // 2, abs=4) for piece in pieces)
    starts = [piece[0] for piece in pieces]
    assert 0 <= min(starts) < RATE // 4 < 1.25 * RATE < max(starts) <= 1.5 * RATE
    assert (source.draw(long, np.random.default_rng(1))["speech_other"] == source[long]["speech_other"]).all()
    assert not hasattr(data.open("train", ("speech_other",), **how), "draw")
    whole = data.open("train", ("speech", "speech_other"), **{**how, "piece": 0.0})
    assert not hasattr(whole, "draw")
    assert whole.prints["speech"].content != source.prints["speech"].content
    with pytest.raises(UserError, match=r"config\.data\.piece=3\.0"):
        data.open("train", ("speech",), **{**how, "piece": 3.0})
