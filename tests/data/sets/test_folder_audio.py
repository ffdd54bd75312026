"""folder_audio: folds that keep recordings together, ESC-50's layout, and every kind of bad file by name."""

import csv
import functools
import json
import os
import shutil

import deadly_decoder
import numpy as np
import pytest
import soundfile

from mmjax import data
from mmjax.data import spec
from mmjax.data.files import child_processes, media, sound_file
from mmjax.data.sets import folder_audio
from mmjax.errors import UserError


def sine(hertz, rate, seconds=0.3, loud=0.5):
    return loud * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def write(path, samples, rate=22_050, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **options)
    return path


@pytest.fixture(autouse=True)
def in_this_process(request, monkeypatch):
    """A child process costs a second: one test has them."""
    if "child" not in request.node.name:
        monkeypatch.setattr(child_processes, "each", lambda work, items, workers: ((i, work(i)) for i in items))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Three classes of 10, 5 and 4 files; four of the last class's are of two recordings."""
    root = tmp_path_factory.mktemp("sounds")
    for i in range(10):
        write(root / f"bell/{i}.wav", sine(300 + 10 * i, 22_050))
    for i in range(5):
        write(root / f"drum/{i}.flac", sine(100 + 10 * i, 44_100), 44_100)
    for i in range(4):
        write(root / f"flute/tape{i // 2}/{i}.ogg", sine(900 + 10 * i, 22_050))
    (root / "notes.txt").write_text("no sound")
    write(root / ".hidden/x.wav", sine(100, 22_050))
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


def test_folds(tree, cache):
    def groups(split, fold=1, **options):
        opened = folder_audio.source(split, ("group", "label"), path=str(tree), data_dir=cache, fold=fold, **options)
        return [(example["group"], int(example["label"])) for example in opened]

    everything = groups("all")
    assert len(everything) == 19
    tests = [groups("test", fold) for fold in range(1, 6)]
    assert sorted(example for part in tests for example in part) == sorted(everything)
    assert [sum(label == 0 for _, label in part) for part in tests] == [2] * 5  # each class is dealt evenly
    assert [sum(label == 1 for _, label in part) for part in tests] == [1] * 5
    parts = [{group for group, _ in groups(split, 2)} for split in ("train", "validation", "test")]
    assert len(parts[0] | parts[1] | parts[2]) == sum(map(len, parts))  # no recording in two of them
    assert {group for group, _ in groups("validation", 5)} == {group for group, _ in tests[0]}
    both = groups("train", 2, validate=False)
    assert len(both) + len(tests[1]) == 19
    assert {"flute/tape0", "flute/tape1"} < {group for group, _ in everything}


def test_examples(tree, cache):
    opened = data.open("all", folder_audio.FIELDS, "folder_audio", path=str(tree), data_dir=cache)
    assert spec.unspelt(opened.constants["label_names"]) == folder_audio.labels(str(tree)) == ("bell", "drum", "flute")
    for i, example in enumerate(opened):
        assert example["index"] == i
        assert example["waveform"].dtype == np.int16
        assert len(example["waveform"]) == round(0.3 * 22_050)
        hertz = np.argmax(np.abs(np.fft.rfft(example["waveform"]))) / 0.3
        name = folder_audio.labels(str(tree))[example["label"]]
        assert {"bell": 295, "drum": 95, "flute": 895}[name] < hertz < {"bell": 400, "drum": 150, "flute": 950}[name]


def test_prepared_once(tree, cache, capsys):
    folder_audio.source("train", path=str(tree), data_dir=cache)
    capsys.readouterr()
    folder_audio.source("test", path=str(tree), data_dir=cache, fold=3)
    assert capsys.readouterr().err == ""


# -- kinds of file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
@pytest.mark.parametrize("rate", [8_000, 22_050, 192_000])
def test_widths_and_rates(tmp_path, subtype, rate):
    path = write(tmp_path / "x.wav", sine(440, rate), rate, subtype=subtype)
    waveform, damage = sound_file.read(path)
    assert damage == ""
    assert waveform.dtype == np.int16
    wanted = sine(440, 22_050) * 32_767
    middle = slice(500, -500)  # away from the ends, where the signal starts from nothing
    tolerance = {"PCM_U8": 400, "ULAW": 800}.get(subtype, 40)
    np.testing.assert_allclose(waveform[middle], wanted[middle], atol=tolerance)


def test_stereo_is_the_mean(tmp_path):
    both = np.stack([sine(440, 22_050), 0.5 * sine(440, 22_050)], axis=1)
    waveform, _ = sound_file.read(write(tmp_path / "x.wav", both))
    np.testing.assert_allclose(waveform, sine(440, 22_050) * 32_767 * 0.75, atol=2)


def test_one_sample(tmp_path):
    np.testing.assert_array_equal(sound_file.read(write(tmp_path / "x.wav", [0.5]))[0], [16_384])
    assert len(sound_file.read(write(tmp_path / "y.wav", [0.5], 44_100))[0]) == 1


def test_overshoot_is_clipped(tmp_path):
    waveform, _ = sound_file.read(write(tmp_path / "x.wav", sine(440, 22_050, loud=1.5), subtype="FLOAT"))
    assert waveform.max() == 32_767
    assert waveform.min() == -32_767


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_truncated_wav_is_used_up_to_the_damage(tmp_path):
    path = halved(write(tmp_path / "x.wav", sine(440, 22_050, 1.0), subtype="PCM_16"))
    waveform, damage = sound_file.read(path)
    assert 10_000 < len(waveform) < 11_100
    assert damage == f"{22_050 - len(waveform)} frames are missing at the end"


def test_truncated_flac_is_no_whole_file(tmp_path):
    path = halved(write(tmp_path / "x.flac", sine(440, 22_050, 1.0)))
    try:
        found = sound_file.read(path)[1]
    except media.Unusable as error:  # whether a decoder gives up or gives the start is libsndfile's affair
        found = error.kind
    assert found == "unreadable" or "frames are missing at the end" in found


def test_a_stream_of_unknown_length_is_whole(tmp_path):
    path = write(tmp_path / "x.wav", sine(440, 22_050), subtype="PCM_16")
    whole = bytearray(path.read_bytes())
    at = whole.index(b"data") + 4
    whole[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(whole))
    waveform, damage = sound_file.read(path)
    assert damage == ""
    assert len(waveform) == round(0.3 * 22_050)


def bad_files(folder):
    """One file of each kind that cannot be used, {kind: name}."""
    nan, infinite = sine(440, 22_050), sine(440, 22_050)
    nan[7], infinite[9] = np.nan, np.inf
    write(folder / "nan.wav", nan, subtype="FLOAT")
    write(folder / "infinite.wav", infinite, subtype="FLOAT")
    write(folder / "silent.wav", np.zeros(5000))
    write(folder / "wide.wav", 32_767 * sine(440, 22_050), subtype="FLOAT")
    write(folder / "empty.wav", np.zeros(0))
    (folder / "text.wav").write_text("This is a text file.\n")
    (folder / "nothing.wav").write_bytes(b"")
    return {
        "nan.wav": "not finite",
        "infinite.wav": "not finite",
        "silent.wav": "silent",
        "wide.wav": "beyond full scale",
        "empty.wav": "empty",
        "text.wav": "unreadable",
        "nothing.wav": "unreadable",
    }


def test_bad_files_are_named(tmp_path, capsys):
    kinds = bad_files(tmp_path / "sounds/bad")
    for i in range(6):
        write(tmp_path / f"sounds/good/{i}.wav", sine(440, 22_050))
    path = write(tmp_path / "sounds/good/cut.wav", sine(440, 22_050), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:5000])
    opened = folder_audio.source("all", path=str(tmp_path / "sounds"), data_dir=str(tmp_path / "cache"))
    assert len(opened) == 7
    assert {int(example["label"]) for example in opened} == {1}
    report = json.loads(next((tmp_path / "cache").rglob("skipped.json")).read_text())
    found = {fault["path"]: fault["kind"] for fault in report["faults"]}
    assert found == {f"bad/{name}": kind for name, kind in kinds.items()} | {"good/cut.wav": "truncated"}
    said = capsys.readouterr().err
    assert "7 of 14 files" in said
    assert "1 silent (bad/silent.wav) skipped" in said
    assert "1 truncated (good/cut.wav) used up to the damage" in said


def test_nothing_usable_is_an_error_that_names_the_files(tmp_path):
    bad_files(tmp_path / "sounds/bad")
    with pytest.raises(UserError, match=r"no usable sound: .*2 not finite \(bad/infinite.wav, bad/nan.wav\)"):
        folder_audio.source("all", ("waveform",), path=str(tmp_path / "sounds"), data_dir=str(tmp_path / "cache"))


# -- ESC-50 ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def esc50(tmp_path_factory):
    """ESC-50 in small: 5 folds x 3 classes x 2 clips of one recording."""
    root = tmp_path_factory.mktemp("ESC-50")
    (root / "meta").mkdir()
    with (root / "meta/esc50.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
        for fold in range(1, 6):
            for target, (category, esc10) in enumerate([("dog", True), ("pig", False), ("rain", True)]):
                for take in "AB":
                    name = f"{fold}-{target}{fold}-{take}-{target}.wav"
                    table.writerow([name, fold, target, category, esc10, f"{target}{fold}", take])
                    write(root / "audio" / name, sine(200 * (target + 1), 44_100), 44_100)
    return root


def test_esc50(esc50, cache):
    assert folder_audio.labels(str(esc50)) == ("dog", "pig", "rain")
    for fold in (1, 5):
        opened = {
            split: list(folder_audio.source(split, path=str(esc50), data_dir=cache, fold=fold, validate=False))
            for split in ("train", "test")
        }
        assert (len(opened["train"]), len(opened["test"])) == (24, 6)
        assert {example["group"] for example in opened["test"]} == {f"{target}{fold}" for target in range(3)}
    hertz = [np.argmax(np.abs(np.fft.rfft(example["waveform"]))) / 0.3 for example in opened["test"]]
    assert [round(h / 200) - 1 for h in hertz] == [int(example["label"]) for example in opened["test"]]


def test_esc10(esc50, cache):
    assert folder_audio.labels(str(esc50), esc10=True) == ("dog", "rain")
    opened = folder_audio.source("all", path=str(esc50), data_dir=cache, esc10=True)
    assert len(opened) == 20
    assert {int(example["label"]) for example in opened} == {0, 1}


def test_esc50_with_faults(esc50, tmp_path):
    root = shutil.copytree(esc50, tmp_path / "ESC-50")
    (root / "audio/1-01-A-0.wav").unlink()
    assert len(folder_audio.source("test", path=str(root), data_dir=str(tmp_path / "cache"))) == 5
    sheet = root / "meta/esc50.csv"
    whole = sheet.read_text()
    for old, new, message in [
        ("src_file", "source", r"esc50\.csv has no column src_file"),
        ("1-01-A-0.wav,1", "1-01-A-0.wav,one", r"esc50\.csv, line 2: fold and target must be whole numbers"),
        ("1-01-B-0.wav,1,0,dog", "1-01-B-0.wav,1,0,cat", "line 3: target 0 must have one .* not 'dog' and 'cat'"),
        ("1-01-B-0.wav,1,0,dog", "1-01-B-0.wav,1,0", "line 3: target 0 must have one .* not 'dog' and 'True'"),
    ]:
        sheet.write_text(whole.replace(old, new))
        with pytest.raises(UserError, match=message):
            folder_audio.source("test", path=str(root), data_dir=str(tmp_path / "cache"))


def test_the_folder_above_is_refused(esc50, tmp_path):
    above = tmp_path / "downloads"
    shutil.copytree(esc50, above / "ESC-50-master")
    with pytest.raises(UserError, match=r"holds ESC-50's folder: give '.*/downloads/ESC-50-master' itself"):
        folder_audio.source("train", path=str(above), data_dir=str(tmp_path / "cache"))
    (above / "ESC-50-master/meta/esc50.csv").unlink()
    with pytest.raises(UserError, match=r"has the class 'ESC-50-master' only: give the folder with a sub-folder"):
        folder_audio.source("train", path=str(above), data_dir=str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()  # refused before any file is read
    assert len(folder_audio.source("all", ("waveform",), path=str(above), data_dir=str(tmp_path / "cache"))) == 30


def test_refusals(tree, cache, tmp_path):
    for options, message in [
        ({"path": "/nowhere"}, r"config\.data\.path='/nowhere' is not a folder"),
        ({"path": str(tmp_path)}, r"has no CLASS/NAME with one of \.wav"),
        ({"path": str(tree), "fold": 6}, r"config\.data\.fold=6: the folds are 1, 2, 3, 4, 5"),
        ({"path": str(tree), "folds": 1}, r"config\.data\.folds=1"),
        ({"path": str(tree), "esc10": True}, "is not ESC-50"),
    ]:
        with pytest.raises(UserError, match=message):
            folder_audio.source("train", data_dir=cache, **options)
    with pytest.raises(UserError, match=r"no split 'validation' of 5 folds.*validate=False"):
        folder_audio.source("validation", path=str(tree), data_dir=cache, validate=False)
    with pytest.raises(UserError, match="no split 'train' of 2 folds: there are test, all, validation"):
        folder_audio.source("train", path=str(tree), data_dir=cache, folds=2)
    with pytest.raises(UserError, match="has no image"):
        data.open("train", ("image",), "folder_audio", path=str(tree), data_dir=cache)


# -- collections, and what becomes of a run ----------------------------------------------------------------------------


def test_a_child_that_dies_costs_one_file(tmp_path, monkeypatch, capsys):
    for name in ("bell/0", "bell/deadly", "drum/1", "drum/2"):
        write(tmp_path / f"sounds/{name}.wav", sine(440, 22_050))
    monkeypatch.setattr(sound_file, "save", deadly_decoder.save)
    opened = data.open("all", ("waveform",), "folder_audio", path=str(tmp_path / "sounds"), data_dir=str(tmp_path))
    assert len(opened) == 3
    said = capsys.readouterr().err
    assert "folder_audio: 3 of 4 files" in said
    with pytest.raises(UserError, match=r"no split 'fold1': it has fold2 \(1\), fold3 \(1\), fold4 \(1\)"):
        folder_audio.source("test", path=str(tmp_path / "sounds"), data_dir=str(tmp_path))
    assert "1 that ended its decoder (bell/deadly.wav) skipped" in said
    faults = json.loads(next(tmp_path.rglob("skipped.json")).read_text())["faults"]
    assert faults[0]["detail"] == "by signal 11 (Segmentation fault)"


def test_workers_are_worth_their_start(tree, tmp_path, monkeypatch):
    started = []

    def each(work, items, workers):
        started.append(workers)
        return ((item, work(item)) for item in items)

    monkeypatch.setattr(child_processes, "each", each)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    opened = functools.partial(folder_audio.source, "all", path=str(tree))
    opened(data_dir=str(tmp_path / "few"))
    monkeypatch.setattr(folder_audio, "CHILD", 5)
    opened(data_dir=str(tmp_path / "many"))
    assert started == [1, 1 + (19 + 2) // 5]  # 19 files and 0.2 MB


def test_a_run_over_what_people_have(tmp_path, capsys):
    """A name that is not UTF-8, telephony, a class folder that is a link, texts and a clip beside the classes."""
    folder = tmp_path / "sounds"
    for name in ("bell/0", "bell/1", "elsewhere/2", "top"):
        write(folder / f"{name}.wav", sine(440, 22_050))
    write(folder / "bell/phone.wav", sine(440, 8000, 1.0), 8000, subtype="GSM610")
    shutil.copy(folder / "top.wav", folder / os.fsdecode(b"bell/caf\xe9.wav"))
    (folder / "elsewhere").rename(tmp_path / "drum")
    (folder / "drum").symlink_to(tmp_path / "drum")
    for name in ("a.txt", "b.txt", "c.mid"):
        (folder / "bell" / name).touch()
    opened = data.open("all", ("group", "label"), "folder_audio", path=str(folder), data_dir=str(tmp_path / "cache"))
    assert {(example["group"], int(example["label"])) for example in opened} == {
        ("bell/0.wav", 0),
        ("bell/1.wav", 0),
        ("bell/phone.wav", 0),
        ("drum/2.wav", 1),
    }
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        "folder_audio: sounds, 2 classes in 4 folds, by a folder each",
        "folder_audio: 4 of 4 files; no sounds: 2 .txt, 1 .mid",
    ]
    assert "1 in no class folder (top.wav) skipped" in said[2]
    assert "1 name that is not UTF-8 (bell/caf\\xe9.wav) skipped" in said[3]


def test_urbansound8k_is_tested_in_its_own_folds(tmp_path):
    folder = tmp_path / "US8K"
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold in (1, 2, 10):
        for number, name in [(0, "air_conditioner"), (1, "car_horn")]:
            file = f"{fold}{number}-{number}-0-0.wav"
            write(folder / f"audio/fold{fold}/{file}", sine(200 * fold, 22_050))
            rows.append(f"{file},{fold}{number},0,4,1,{fold},{number},{name}")
    (folder / "metadata").mkdir()
    (folder / "metadata/UrbanSound8K.csv").write_text("\n".join(rows))

    def groups(split, fold):
        opened = folder_audio.source(split, path=str(folder), data_dir=str(tmp_path / "cache"), fold=fold)
        return {example["group"] for example in opened}

    assert groups("test", 10) == {"100", "101"}
    assert groups("validation", 10) == {"10", "11"}
    assert groups("train", 10) == {"20", "21"}
    with pytest.raises(UserError, match=r"config\.data\.fold=3: the folds are 1, 2, 10"):
        groups("test", 3)


def test_splits_of_its_own(tmp_path):
    folder, options = tmp_path / "sounds", {"path": str(tmp_path / "sounds"), "data_dir": str(tmp_path / "cache")}
    for i, name in enumerate(["train/bell/a", "train/drum/b", "train/drum/c", "test/bell/d"]):
        write(folder / f"{name}.wav", sine(300 + i, 22_050))
    opened = {split: folder_audio.source(split, **options, validate=False) for split in ("train", "test", "all")}
    assert {split: len(source) for split, source in opened.items()} == {"train": 3, "test": 1, "all": 4}
    assert [(e["group"], int(e["label"])) for e in opened["test"]] == [("test/bell/d.wav", 0)]
    for wrong, message in [
        ({"split": "validation"}, "no split 'validation' of sounds: it has its own train, test"),
        ({"split": "test", "fold": 2}, r"config\.data\.fold=2: sounds has its own splits train, test, no folds"),
        ({"split": "test", "folds": 5}, r"config\.data\.folds=5: .*--config\.data\.folds=0 makes one run"),
    ]:
        with pytest.raises(UserError, match=message):
            folder_audio.source(**wrong, **options)


def test_fsd50k_has_tags_and_no_label(tmp_path):
    folder, options = tmp_path / "FSD50K", {"path": str(tmp_path / "FSD50K"), "data_dir": str(tmp_path / "cache")}
    truth = folder / "FSD50K.ground_truth"
    truth.mkdir(parents=True)
    (truth / "vocabulary.csv").write_text("0,Bark,/m/1\n1,Dog,/m/2\n2,Rain,/m/3\n")
    (truth / "dev.csv").write_text('fname,labels,mids,split\n1,"Dog,Bark",x,train\n2,Rain,x,val\n')
    (truth / "eval.csv").write_text("fname,labels,mids\n3,Dog,x\n")
    for name in ("dev_audio/1", "dev_audio/2", "eval_audio/3"):
        write(folder / f"FSD50K.{name}.wav", sine(440, 22_050))
    for split, tags in [("train", [1, 0]), ("validation", [2, -1]), ("test", [1, -1])]:
        opened = data.open(split, ("waveform", "tags"), "folder_audio", **options)
        assert spec.unspelt(opened.constants["tags_names"]) == ("Bark", "Dog", "Rain")
        assert [example["tags"].tolist() for example in opened] == [tags]
        assert opened[0]["tags"].dtype == np.int32
    with pytest.raises(UserError, match="is FSD50K, whose clips have several classes: tags, no label"):
        data.open("train", ("waveform", "label"), "folder_audio", **options)
    shutil.copytree(folder / "FSD50K.dev_audio", tmp_path / "plain/dog")
    with pytest.raises(UserError, match="has no tags"):
        data.open("train", ("waveform", "tags"), "folder_audio", path=str(tmp_path / "plain"))


def test_a_missing_extra_is_told_before_any_work(tree, tmp_path, monkeypatch):
    folder = shutil.copytree(tree, tmp_path / "sounds")
    (folder / "bell/voice.m4a").touch()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"1 files \(bell/voice\.m4a\) need the extra `video`: pip install"):
        folder_audio.source("train", path=str(folder), data_dir=str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()
