"""Mouths, faces and voices of one name: which belong together, what an example is of, and what is left out."""

import shutil
import sys

import mouth_writer
import numpy as np
import pytest

from mmjax import data
from mmjax.data.files import mouth_files
from mmjax.data.sets import mouth_crops
from mmjax.errors import UserError


@pytest.fixture
def opened(tmp_path):
    folder = mouth_writer.write(tmp_path / "voices")

    def open_(split="train", fields=mouth_crops.FIELDS, **options):
        how = {"path": str(folder), "data_dir": str(tmp_path / "d"), "seconds": 0.4, "size": 16} | options
        return data.open(split, fields, name="mouth_crops", **how)

    return open_, folder


def test_an_example_is_the_beginning_of_a_clip_and_of_the_next_one_of_its_folder(opened):
    source = opened[0](validation=0.0, test=0.0)
    assert len(source) == 6
    for index, (speaker, clip) in enumerate((s, c) for s in range(3) for c in range(2)):
        example = source[index]
        assert (example["id"], example["group"]) == (f"id{speaker}/talk0/0000{clip}", f"id{speaker}/talk0")
        assert (example["label"], example["index"]) == (speaker, index)
        for field, number in (("mouth_frames", clip), ("mouth_frames_other", 1 - clip)):
            assert example[field].shape == (10, 88, 88)
            wanted = 40 * speaker + 20 * number + np.arange(10) // 4
            assert (example[field] == wanted[:, None, None]).all(), "the middle of its pictures, in order"
        np.testing.assert_array_equal(example["face"], np.full((16, 16, 3), (60 * speaker, 30 * clip, 100)))
        for field, number in (("speech", clip), ("speech_other", 1 - clip)):
            sound = example[field]
            assert sound.shape == (8820,) == (example[f"{field}_length"],)
            hertz = np.argmax(np.abs(np.fft.rfft(sound))) / 0.4
            assert abs(hertz - (100 * (speaker + 1) + 30 * number)) <= 2.5
    assert source.constants["label_names"].shape == (3, 3)


def test_training_draws_pieces_whose_mouth_and_voice_go_together(opened):
    source = opened[0](validation=0.0, test=0.0)
    rng, begins = np.random.default_rng(0), set()
    for _ in range(40):
        example = source.draw(2, rng)
        first = example["mouth_frames"][:, 40, 40].astype(int) - 40
        begins.add(int(first[0]))
        # The voice is louder from each quarter of a second on; four pictures are .16 s.
        quarter = np.abs(example["speech"][:3000]).max() / 3277  # .1 of full scale
        earliest, latest = 4 * first[0] / 25, (4 * first[0] + 3.999) / 25 + 3000 / 22_050
        assert 1 + np.floor(4 * earliest) - 0.1 <= quarter <= 1 + np.floor(4 * latest) + 0.1
        assert 60 <= example["mouth_frames_other"].min() <= 66  # of the other clip
    assert begins == {0, 1, 2, 3}  # the last piece of 10 out of 25 pictures begins with the 15th


def test_speakers_are_of_one_split(opened):
    found = [opened[0](split, ("group", "label"), validation=0.3, test=0.3) for split in mouth_crops.SPLITS]
    groups = [{source[i]["group"] for i in range(len(source))} for source in found]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 3
    assert all(groups)
    assert len({source.constants["label_names"].tobytes() for source in found}) == 1
    with pytest.raises(UserError, match="its 3 speakers are too few for a split 'test'"):
        opened[0]("test", test=0.0)


def test_kinds_of_files_may_lie_in_folders_of_their_own(opened, tmp_path):
    open_, folder = opened
    before = open_(validation=0.0, test=0.0)[3]
    for name, suffix in {"roi": ".npz", "wav": ".wav", "seen": ".png"}.items():
        for file in folder.glob(f"id*/*/*{suffix}"):
            target = tmp_path / "apart" / name / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, target)
    for file in (tmp_path / "apart" / "seen").glob("*/*/*1.png"):  # then it is that of the folder
        shutil.move(file, file.with_name("face.png"))
    places = {"path": str(tmp_path / "apart"), "mouths": "roi", "voices": "wav", "faces": "seen"}
    after = open_(validation=0.0, test=0.0, **places)[3]
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    with pytest.raises(UserError, match=r"config\.data\.mouths='rois' is no folder"):
        open_(**places | {"mouths": "rois"})


def test_what_cannot_be_used_is_named_and_kept(opened, capsys, monkeypatch):
    open_, folder = opened
    at = folder / "id0" / "talk0"
    mouth_writer.one(at / "short", 0.3, 96, 0, 100)
    mouth_writer.one(at / "small", 1.0, 80, 0, 100)
    mouth_writer.one(at / "mute", 1.0, 96, 0, 100)
    (at / "mute.wav").unlink()
    np.savez(at / "colour.npz", data=np.zeros((25, 96, 96, 3), np.uint8))
    np.savez(at / "several.npz", a=np.zeros(3), b=np.zeros(3))
    for name in ("short", "small", "colour", "several"):
        shutil.copy(at / "00000.png", at / f"{name}.png")
    for name in ("colour", "several"):
        shutil.copy(at / "00000.wav", at / f"{name}.wav")
    source = open_(validation=0.0, test=0.0)
    assert len(source) == 6
    said = capsys.readouterr().err
    for line in (
        "1 shorter than 0.4 s (id0/talk0/short)",
        "1 with a mouth below config.data.mouth, 88 pixels (id0/talk0/small)",
        "1 without a voice (id0/talk0/mute)",
        "1 whose mouth is no grey pictures (id0/talk0/colour)",
        "1 whose mouth is unreadable (id0/talk0/several)",
    ):
        assert f"mouth_crops: {line} left out" in said
    monkeypatch.setattr(mouth_crops, "_look", None)  # it is not looked for again
    assert len(open_(validation=0.0, test=0.0, mouth=80)) == 7
    with pytest.raises(UserError, match=r"has no usable clip: .*8 with a mouth below config\.data\.mouth, 97 pixels"):
        open_(mouth=97)
    with pytest.raises(UserError, match=r"config\.data\.path='' is not a folder"):
        open_(path="")


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_other_files_of_mouths(tmp_path, suffix, rng):
    wanted, path = rng.integers(0, 256, (9, 4, 5)).astype(np.uint8), tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, wanted)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["data"] = wanted
    assert mouth_files.shape(path) == (9, 4, 5)
    np.testing.assert_array_equal(mouth_files.read(path, 2, 3), wanted[2:5])


def test_without_the_extra_one_line_says_what_to_install(opened, monkeypatch):
    open_, folder = opened
    (folder / "id0" / "talk0" / "00000.npz").rename(folder / "id0" / "talk0" / "00000.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"pip install 'mmjax\[hdf5\]'"):
        open_()
