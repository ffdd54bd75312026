"""Spoken captions: three published layouts, splits, partners, and what is left out by name."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmjax.data.sets import spoken_captions
from mmjax.errors import UserError

RATE = 22_050


def picture(path, colour=(200, 10, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), colour).save(path)


def sound(path, seconds=0.2, level=0.1):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(round(seconds * 16_000), level), 16_000)


def coco(folder, speakers=("ann", "bob"), texts=("a dog", "a cat")):
    """SpokenCOCO's layout: each text by each speaker."""
    for split in ("train", "val"):
        data = []
        for n, text in enumerate(texts):
            picture(folder / "images" / split / f"{split}{n}.jpg")
            captions = []
            for s, speaker in enumerate(speakers):
                sound(folder / "wavs" / split / f"{split}-{speaker}-{n}.wav", 0.2 + 0.1 * n, 0.1 * (s + 1))
                wav = f"wavs/{split}/{split}-{speaker}-{n}.wav"
                captions.append({"uttid": f"{speaker}-{n}", "text": text, "speaker": speaker, "wav": wav})
            data.append({"image": f"{split}/{split}{n}.jpg", "captions": captions})
        (folder / f"SpokenCOCO_{split}.json").write_text(json.dumps({"data": data}))


def test_spoken_coco_with_partners_and_a_voice_held_out(tmp_path):
    coco(tmp_path)
    given = {"path": str(tmp_path), "size": 16, "seconds": 1.0, "voices": ("bob",)}
    train = spoken_captions.source("train", **given)
    assert {c.speaker for c in train.captions} == {"ann"}
    held_out = spoken_captions.source("validation", **given)
    assert [(c.text, c.speaker) for c in held_out.captions] == [
        ("a dog", "ann"), ("a dog", "bob"), ("a cat", "ann"), ("a cat", "bob")
    ]  # fmt: skip
    example = held_out[1]
    assert example["image"].shape == (16, 16, 3)
    assert example["new_speaker"]
    assert not held_out[0]["new_speaker"]
    assert example["speech"].shape == (RATE,)
    lengths = [example[f"{name}_length"] for name in ("speech", "speech_same", "speech_other")]
    assert lengths == pytest.approx([0.2 * RATE, 0.2 * RATE, 0.3 * RATE], abs=2)
    levels = [np.median(example[name][1000:4000]) / 32768 for name in ("speech", "speech_same", "speech_other")]
    np.testing.assert_allclose(levels, [0.2, 0.1, 0.2], atol=0.01)  # bob, ann, bob again
    assert example["captions"] == ("a dog",)
    alone = spoken_captions.source("train", ("speech_same",), **given)[0]
    assert alone["speech_same_length"] == 0
    assert set(alone) == {"speech_same", "speech_same_length"}


def test_what_else_is_said_of_a_picture_is_of_the_captions_alone(tmp_path):
    table = tmp_path / "SpokenCOCO_train.json"
    found = []
    for text in ("a cat", "a red cat", ""):
        coco(tmp_path)
        whole = json.loads(table.read_text())
        whole["data"][0]["captions"][1]["text"] = text  # bob's, who is left out
        table.write_text(json.dumps(whole))
        spoken_captions._parts.cache_clear()
        source = spoken_captions.source("train", ("speech", "caption", "captions"), path=str(tmp_path), voices=("bob",))
        found.append({field: own.content for field, own in source.prints.items()})
        assert source[0]["captions"] == ("a dog", *filter(None, [text]))
    assert [len({one[field] for one in found}) for field in ("speech", "caption", "captions")] == [1, 1, 3]


def test_places_and_what_is_missing_is_named(tmp_path, capsys):
    data = []
    for n in range(40):
        picture(tmp_path / "pictures" / f"p{n}.jpg")
        if n != 3:
            sound(tmp_path / "audio" / f"u{n}.wav", 2.0 if n == 4 else 0.2)
        data.append({"uttid": f"u{n}", "speaker": f"s{n % 3}", "asr_text": f"text {n}", "wav": f"u{n}.wav"})
        data[-1]["image"] = f"p{n}.jpg"
    (tmp_path / "audio" / "u5.wav").write_bytes(b"no sound")
    (tmp_path / "pictures" / "p6.jpg").unlink()
    whole = {"image_base_path": "/gone/pictures", "audio_base_path": "/gone/audio", "data": data}
    (tmp_path / "metadata.json").write_text(json.dumps(whole))
    given = {"path": str(tmp_path), "seconds": 1.0, "held_out": 0.2}
    parts = {split: spoken_captions.source(split, ("speech", "id"), **given) for split in spoken_captions.SPLITS}
    assert sum(map(len, parts.values())) == 36
    assert len(parts["train"]) > len(parts["test"]) > 0
    said = capsys.readouterr().err
    for line in ("1 missing picture", "1 missing sound", "1 sound longer than 1 s", "1 unreadable sound"):
        assert line in said
    assert said.count("\n") == 4


def test_no_held_out_picture_or_sentence_is_trained_on(tmp_path):
    """A test split that no file names, of pictures with two captions, some of which others have, too."""
    data, rng = [], np.random.default_rng(0)
    for n in range(40):
        picture(tmp_path / f"p{n}.jpg")
        captions = []
        for k in range(2):
            sound(tmp_path / f"u{n}_{k}.wav")
            text = f"text {rng.integers(60)}" if k else f"of {n}"
            captions.append({"text": text, "speaker": "s", "wav": f"u{n}_{k}.wav"})
        data.append({"image": f"p{n}.jpg", "captions": captions})
    (tmp_path / "all_train.json").write_text(json.dumps({"data": data}))
    parts = {s: spoken_captions.source(s, path=str(tmp_path), held_out=0.2) for s in spoken_captions.SPLITS}
    assert sum(map(len, parts.values())) == 80
    assert min(map(len, parts.values())) > 0
    for split in ("validation", "test"):
        for what in ("picture", "text"):
            held, trained = ({getattr(c, what) for c in parts[s].captions} for s in (split, "train"))
            assert not held & trained


def test_partners_where_no_text_or_no_speaker_is_known():
    one, two, three = (spoken_captions.Spoken("p", f"{n}.wav", "", "ann" if n else "", "") for n in range(3))
    assert spoken_captions._partners((one, two, three)) == ((-1, -1, -1), (-1, 2, 1))


def test_flickr8k(tmp_path):
    for n, split in enumerate(("train", "dev", "test")):
        picture(tmp_path / "Flicker8k_Dataset" / f"{n}.jpg")
        sound(tmp_path / "wavs" / f"{n}_0.wav")
        (tmp_path / f"Flickr_8k.{split}Images.txt").write_text(f"{n}.jpg\n")
    (tmp_path / "wav2capt.txt").write_text("".join(f"{n}_0.wav {n}.jpg #0\n" for n in range(3)))
    (tmp_path / "wav2spk.txt").write_text("".join(f"{n}_0.wav {n}\n" for n in range(3)))
    (tmp_path / "Flickr8k.token.txt").write_text("".join(f"{n}.jpg#0\tcaption {n} .\n" for n in range(3)))
    found = [spoken_captions.source(split, path=str(tmp_path)).captions for split in spoken_captions.SPLITS]
    assert [[(c.text, c.speaker) for c in part] for part in found] == [[(f"caption {n} .", str(n))] for n in range(3)]


def test_mistakes_are_one_line(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        spoken_captions.source("train", path="/nowhere")
    with pytest.raises(UserError, match="neither"):
        spoken_captions.source("train", path=str(tmp_path))
    (tmp_path / "train.json").write_text(json.dumps({"data": [{"image": "a.jpg", "captions": [{"text": "x"}]}]}))
    with pytest.raises(UserError, match=r"data\[0\]"):
        spoken_captions.source("train", path=str(tmp_path))


def test_stamps_are_spoken_by_every_voice(tmp_path, capsys):
    path = pathlib.Path(__file__).parents[3] / "examples" / "spoken_stamps.py"
    found = importlib.util.spec_from_file_location("spoken_stamps", path)
    spoken_stamps = importlib.util.module_from_spec(found)
    found.loader.exec_module(spoken_stamps)
    for name, text in {"animals/dog": "A dog.", "animals/dog2": "A dog.", "food/egg": "An egg."}.items():
        picture(tmp_path / "stamps" / f"{name}.png")
        (tmp_path / "stamps" / f"{name}.txt").write_text(f"{text}\nfr.utf8=Bonjour\n")
    sound(tmp_path / "said.wav")
    flite = tmp_path / "flite"  # says the same whatever it is asked, and nothing by one voice
    flite.write_text(f'#!/bin/sh\n[ "$2" = rms ] && echo "no $2" >&2 && exit 1\ncp {tmp_path}/said.wav "$6"\n')
    flite.chmod(0o755)
    out = tmp_path / "out"
    spoken_stamps.main([str(out), "--stamps", str(tmp_path / "stamps"), "--flite", str(flite)])
    said = capsys.readouterr()
    assert "9 spoken captions" in said.out
    assert said.err.count("rms does not say") == 2
    assert len(list((out / "wavs").iterdir())) == 6  # a caption of two stamps is spoken once
    captions, faults = spoken_captions.spoken_tables.find(out)
    assert not faults
    assert {(c.text, c.speaker) for c in captions} >= {("A dog.", "awb"), ("An egg.", "slt")}
