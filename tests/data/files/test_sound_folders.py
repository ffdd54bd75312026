"""Which folders are classes: known collections by their files, splits and folds by name, nobody on two sides."""

import collections
import os

import pytest

from mmjax.data.files import sound_folders, sound_tables
from mmjax.data.files.sound_tables import Clip
from mmjax.errors import UserError

URBAN_CLASSES = ("air_conditioner", "car_horn", "children_playing")


def made(folder, *paths, **texts):
    """Files that are there; what is in them is not looked at."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def found(folder, folds=0, **options):
    layout = sound_folders.dealt(sound_folders.read(folder, **options), folds)
    return layout, {clip.path: (layout.names[clip.labels[0]], clip.part) for clip in layout.clips}


def urban(folder, flat=False):
    """UrbanSound8K in small: ten folds of a clip a class."""
    rows, paths = ["slice_file_name,fsID,start,end,salience,fold,classID,class"], []
    for fold in range(1, 11):
        for number, name in enumerate(URBAN_CLASSES):
            file = f"{100 * fold + number}-{number}-0-{fold}.wav"
            rows.append(f"{file},{100 * fold + number},0.0,4.0,1,{fold},{number},{name}")
            paths.append(f"{'' if flat else 'audio/'}fold{fold}/{file}")
    text = {"UrbanSound8K.csv" if flat else "metadata/UrbanSound8K.csv": "\n".join(rows)}
    return made(folder, *paths, **text)


@pytest.mark.parametrize(("flat", "inside"), [(False, ""), (False, "audio"), (True, "")])
def test_urbansound8k(tmp_path, flat, inside):
    """By its own table, also where its folder of folds is given, and as Kaggle has it."""
    folder = urban(tmp_path / "US8K", flat)
    layout, clips = found(folder / inside)
    assert layout.names == URBAN_CLASSES
    front = "" if flat else "audio/"
    assert clips[f"{front}fold3/301-1-0-3.wav"] == ("car_horn", "fold3")
    assert collections.Counter(part for _, part in clips.values()) == {f"fold{i}": 3 for i in range(1, 11)}
    assert {clip.group for clip in layout.clips} == {str(100 * f + n) for f in range(1, 11) for n in range(3)}
    assert set(layout.stats) == set(clips)
    line = sound_folders.about(layout)
    assert line == f"UrbanSound8K, 3 classes in its own 10 folds, by {'' if flat else 'metadata/'}UrbanSound8K.csv"
    with pytest.raises(UserError, match=r"UrbanSound8K has its own 10 folds: --config.data.folds=10"):
        sound_folders.dealt(layout, 5)
    assert sound_folders.dealt(layout, 10) == layout


def test_a_collection_above_beside_and_without_its_table(tmp_path):
    folder = urban(tmp_path / "above/UrbanSound8K")
    with pytest.raises(UserError, match=r"holds UrbanSound8K's folder: give '.*UrbanSound8K' itself"):
        sound_folders.read(tmp_path / "above")
    made(folder, "audio/fold1/stranger.wav", "audio/fold1/.DS_Store", "audio/readme.txt")
    layout, _ = found(folder)
    assert [(fault.path, fault.kind) for fault in layout.faults] == [
        ("audio/fold1/stranger.wav", "not listed in metadata/UrbanSound8K.csv")
    ]
    assert layout.ignored == {".txt": 1}
    table = folder / "metadata/UrbanSound8K.csv"
    whole = table.read_text()
    for text, message in [
        (whole.splitlines()[0], "lists no clip"),
        (whole + "\n" + whole.splitlines()[1], "lists audio/fold1/100-0-0-1.wav more than once"),
        (whole.replace("classID", "number"), "has no column classID: UrbanSound8K's has slice_file_name, fsID, fold"),
        (whole.replace(",car_horn", ",gun_shot", 1), "line 6: classID 1 must have one class, not 'gun_shot'"),
    ]:
        table.write_text(text)
        with pytest.raises(UserError, match=message):
            sound_folders.read(folder)
    table.write_text("\ufeff" + whole)  # as a spreadsheet saves it
    assert len(found(folder)[1]) == 30
    table.unlink()
    with pytest.raises(
        UserError, match=r"the folders fold1, fold10, .* are folds and no classes: each must have a sub-"
    ):
        sound_folders.read(folder / "audio")


@pytest.fixture
def fsd50k(tmp_path):
    folder = tmp_path / "FSD50K"
    truth = {
        "FSD50K.ground_truth/vocabulary.csv": "0,Bark,/m/05tny_\n1,Dog,/m/0bt9lr\n2,Rain,/m/06mb1\n",
        "FSD50K.ground_truth/dev.csv": "fname,labels,mids,split\n"
        '10,"Bark,Dog","/m/05tny_,/m/0bt9lr",train\n11,Rain,/m/06mb1,val\n12,Dog,/m/0bt9lr,train\n',
        "FSD50K.ground_truth/eval.csv": 'fname,labels,mids\n20,"Dog,Bark","/m/0bt9lr,/m/05tny_"\n',
    }
    dev = [f"FSD50K.dev_audio/{i}.wav" for i in (10, 11, 12)]
    return made(folder, *dev, "FSD50K.eval_audio/20.wav", "FSD50K.doc/README.md", **truth)


def test_fsd50k(fsd50k):
    layout, _ = found(fsd50k)
    assert layout.many
    assert layout.names == ("Bark", "Dog", "Rain")
    dev, test = sound_tables.FSD50K.FOLDERS
    assert layout.clips == (
        Clip(f"{dev}/10.wav", (0, 1), f"{dev}/10.wav", "train"),
        Clip(f"{dev}/11.wav", (2,), f"{dev}/11.wav", "validation"),
        Clip(f"{dev}/12.wav", (1,), f"{dev}/12.wav", "train"),
        Clip(f"{test}/20.wav", (1, 0), f"{test}/20.wav", "test"),
    )
    with pytest.raises(UserError, match=r"FSD50K has its own splits train, validation, test and no folds: .*folds=0"):
        sound_folders.dealt(layout, 5)
    with pytest.raises(UserError, match=r"FSD50K\.dev_audio' is a part of FSD50K's folder: give '.*/FSD50K' itself"):
        sound_folders.read(fsd50k / dev)
    (fsd50k / "FSD50K.ground_truth/vocabulary.csv").write_text("0,Bark,/m/05tny_\n1,Dog,/m/0bt9lr\n")
    with pytest.raises(UserError, match=r"dev\.csv, line 3: 'Rain' is no class of .*vocabulary\.csv"):
        sound_folders.read(fsd50k)
    (fsd50k / "FSD50K.ground_truth/vocabulary.csv").unlink()
    with pytest.raises(UserError, match=r"FSD50K\.dev_audio, FSD50K\.eval_audio are splits and no classes"):
        sound_folders.read(fsd50k)


SPEAKERS = ("aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff")


def words(folder, lists=True):
    paths = [f"{word}/{speaker}_nohash_{i}.wav" for word in ("yes", "no") for speaker in SPEAKERS for i in range(2)]
    texts = {"validation_list.txt": "yes/bbbb_nohash_0.wav\nyes/bbbb_nohash_1.wav\nno/bbbb_nohash_0.wav\r\n"}
    texts["testing_list.txt"] = "no/cccc_nohash_0.wav\n\nabsent/zzzz_nohash_0.wav\n"
    return made(folder, *paths, "_background_noise_/pink_noise.wav", "LICENSE", **(texts if lists else {}))


@pytest.mark.parametrize("inside", ["", "audio"])
def test_speech_commands_by_its_lists(tmp_path, inside):
    folder = words(tmp_path / "speech")
    if inside:  # as Kaggle has it
        made(tmp_path, "other/audio/x")
        os.rename(folder, tmp_path / "other/audio/words")
        for name in ("validation_list.txt", "testing_list.txt"):
            os.rename(tmp_path / "other/audio/words" / name, tmp_path / "other/audio" / name)
        folder = tmp_path / "other/audio/words"
    layout, clips = found(folder)
    assert layout.names == ("no", "yes")
    assert {path for path, (_, part) in clips.items() if part == "validation"} == {
        *(f"yes/bbbb_nohash_{i}.wav" for i in range(2)),
        "no/bbbb_nohash_0.wav",
    }
    assert {path for path, (_, part) in clips.items() if part == "test"} == {"no/cccc_nohash_0.wav"}
    assert collections.Counter(part for _, part in clips.values()) == {"train": 20, "validation": 3, "test": 1}
    assert {clip.group for clip in layout.clips} == set(SPEAKERS)
    assert [fault.path for fault in layout.faults] == ["_background_noise_/pink_noise.wav"]
    assert sound_folders.about(layout) == (
        "Speech Commands, 2 classes in its own splits train, validation, test, by validation_list.txt and "
        "testing_list.txt; 2 speakers or recordings are in more than one of them"
    )


def test_a_speaker_is_in_one_fold(tmp_path):
    layout, clips = found(words(tmp_path, lists=False), 3)
    assert layout.names == ("no", "yes")
    assert len(clips) == 24
    places = collections.defaultdict(set)
    for clip in layout.clips:
        places[clip.group].add(clip.part)
    assert [len(parts) for parts in places.values()] == [1] * 6
    assert collections.Counter(part for parts in places.values() for part in parts) == dict.fromkeys(
        ("fold1", "fold2", "fold3"), 2
    )


@pytest.mark.parametrize(
    ("pattern", "folders", "wanted"),
    [
        ("{0}/{1}/x.wav", ("train", "val", "test"), ["train", "validation", "test"]),
        ("{0}/{1}/x.wav", ("Train", "Testing"), ["train", "test"]),
        ("{0}/{1}/x.wav", ("train", "dev", "eval"), ["train", "validation", "test"]),
        ("{0}/{1}/x.wav", ("dev_audio", "eval_audio"), ["train", "test"]),
        ("{1}/{0}/x.wav", ("train", "test"), ["train", "test"]),
        ("{0}/{1}/x.wav", ("fold0", "fold1", "fold10"), ["fold1", "fold2", "fold3"]),
        ("{0}/{1}/x.wav", ("train", "bus"), ["", ""]),  # a class of ESC-50
        ("{0}/{1}/x.wav", ("test_tone", "train_horn"), ["", ""]),
    ],
)
def test_folders_that_are_splits_or_folds(tmp_path, pattern, folders, wanted):
    classes = ("cat", "dog")
    layout = sound_folders.read(made(tmp_path, *(pattern.format(f, c) for f in folders for c in classes)))
    if wanted[0]:
        assert layout.names == classes
        parts = {clip.path: clip.part for clip in layout.clips}
        assert parts == {pattern.format(f, c): w for f, w in zip(folders, wanted, strict=True) for c in classes}
    else:
        assert layout.names == tuple(sorted(folders))
        assert {clip.part for clip in layout.clips} == {""}


def test_splits_beside_classes_are_refused(tmp_path):
    made(tmp_path, "train/cat/x.wav", "test/cat/x.wav", "dog/x.wav")
    with pytest.raises(
        UserError, match=r"the folders test, train are splits and no classes: move .* \(dog\) or rename"
    ):
        sound_folders.read(tmp_path)


def test_links_and_what_is_no_sound(tmp_path):
    made(tmp_path, "cat/1.WAV", "cat/2.m4a", "cat/3.webm", "cat/notes.txt", "top.wav", "metadata.json", "out/4.wav")
    os.rename(tmp_path / "out", tmp_path.parent / "elsewhere")
    os.symlink(tmp_path.parent / "elsewhere", tmp_path / "dog")
    os.symlink(tmp_path, tmp_path / "cat/loop")
    (tmp_path / os.fsdecode(b"cat/caf\xe9.wav")).touch()
    layout, clips = found(tmp_path)
    assert {path: name for path, (name, _) in clips.items()} == {
        "cat/1.WAV": "cat",
        "cat/2.m4a": "cat",
        "cat/3.webm": "cat",
        "dog/4.wav": "dog",
    }
    assert {(fault.path, fault.kind) for fault in layout.faults} == {
        ("cat/caf\\xe9.wav", "name that is not UTF-8"),
        ("cat/loop", "link that leads back"),
        ("top.wav", "in no class folder"),
    }
    assert layout.ignored == {".txt": 1, ".json": 1}


def test_a_file_in_several_classes_is_in_one_fold(tmp_path):
    """By links, as one who makes subsets of a collection has them; twice in one class it is used once."""
    made(tmp_path, *[f"dog/{i}.wav" for i in range(8)], *[f"cat/rec/{i}.wav" for i in range(3)], "cat/9.wav")
    os.symlink(tmp_path / "dog", tmp_path / "fox")
    os.symlink(tmp_path / "dog/0.wav", tmp_path / "dog/again.wav")
    os.symlink(tmp_path / "dog/5.wav", tmp_path / "cat/rec/z.wav")
    layout, clips = found(tmp_path, 4)
    assert [(fault.path, fault.kind) for fault in layout.faults] == [
        ("dog/again.wav", "under another name once"),
        ("fox/again.wav", "under another name once"),
    ]
    assert len(clips) == 8 + 8 + 5
    assert all(clips[f"dog/{i}.wav"] == ("dog", clips[f"fox/{i}.wav"][1]) for i in range(8))
    assert {clips[f"{path}.wav"][1] for path in ("dog/5", "fox/5", "cat/rec/z", "cat/rec/0")} == {clips["dog/5.wav"][1]}


def test_no_sound_says_what_there_is(tmp_path):
    made(tmp_path, "cat/1.mid", "cat/2.mid", "3.wav")
    with pytest.raises(
        UserError, match=r"has no CLASS/NAME with one of \.wav.*; it has 1 sounds in no sub-folder, 2 \.mid"
    ):
        sound_folders.read(tmp_path)
