"""A run whose data changed: what is the same goes on, other examples must be accepted, other meanings are refused."""

import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pytest
import soundfile
import toy
from jax import numpy as jnp
from ml_collections import ConfigDict
from PIL import Image
from shared import one_device

import mmjax
from mmjax import data, systems
from mmjax.data import fingerprints
from mmjax.engine import config as configs
from mmjax.engine import data_changes, data_record, loop
from mmjax.errors import UserError
from mmjax.task import Task, Update

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250), "yellow": (250, 250, 0)}


def task(config):
    """One number learns the mean of the labels, or of the words' numbers: it compiles at once."""
    field = "label" if config.data.name == "folder_audio" else "caption_tokens"
    rest = ("waveform",) if field == "label" else ("image", "caption_tokens_length")

    def error(variables, batch):
        return (
            variables["params"]["net"] - jnp.mean(batch[field].astype(jnp.float32).reshape(len(batch[field]), -1), 1)
        ) ** 2

    return Task(
        (field, *rest),
        lambda key, batch: {"params": {"net": jnp.float32(0)}, "state": {}, "frozen": {}},
        (Update("net", lambda variables, batch, key: (jnp.mean(error(variables, batch)), ({}, {}))),),
        lambda variables, batch: {
            "error": (jnp.sum(error(variables, batch), where=batch["valid"]), jnp.sum(batch["valid"]))
        },
        lambda variables, batch, key: {"embedding/error": error(variables, batch)[:, None]},
        names={"class": "label"} if field == "label" else {},
    )


@pytest.fixture(autouse=True, scope="module")
def tiny_system():
    with pytest.MonkeyPatch.context() as patch, one_device():
        patch.setattr(systems, "build", task)
        yield


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path / "prepared"))
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path / "cache"))


def config(name, steps, path, **options):
    c = toy.config(steps=steps, batch_size=2, save_every=2, log_every=2)
    c.eval.every, c.eval.batch_size, c.eval.gallery, c.loader.clip_seconds = 0, 2, 2, 0.01
    c.data = ConfigDict({"name": name, "path": str(path), **options})
    return c


def sounds(folder, classes=("bird", "dog"), each=5):
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            wave = np.random.default_rng([len(name), number]).uniform(-0.5, 0.5, 400)
            soundfile.write(folder / name / f"{number}.wav", wave, 22_050)
    return folder


def pictures(folder, captions):
    folder.mkdir(exist_ok=True)
    for number, caption in enumerate(captions):
        colour = next((rgb for name, rgb in COLOURS.items() if name in caption), (9, 9, 9))
        if not (folder / f"{number}.png").exists():
            Image.new("RGB", (8, 8), colour).save(folder / f"{number}.png")
    splits = ["train"] * (len(captions) - 2) + ["validation", "test"]
    rows = [f"{i}.png,{caption},{split}\n" for i, (caption, split) in enumerate(zip(captions, splits, strict=True))]
    (folder / "captions.csv").write_text("file,caption,split\n" + "".join(rows))
    return folder


def touch(folder):
    for path in folder.rglob("*.*"):
        os.utime(path, (1e9, 1e9))


# -- class folders: what is done to the folder, and what is said ----------------------------------------------------


def rename(folder):
    (folder / "dog").rename(folder / "cat")


def rename_in_place(folder):
    (folder / "dog").rename(folder / "door")


def add_class(folder):
    sounds(folder, ("cat",))


def add_file(folder):
    soundfile.write(folder / "dog/new.wav", np.full(400, 0.25), 22_050)


def change_file(folder):
    soundfile.write(folder / "dog/0.wav", np.full(400, 0.25), 22_050)


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """(folder of sounds, workdir of a run on it of two steps); to be copied."""
    folder = tmp_path_factory.mktemp("heard")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMJAX_DATA", str(folder / "prepared"))
        loop.run(config("folder_audio", 2, sounds(folder / "sounds")), folder / "run")
    return folder


@pytest.fixture
def folder(heard, tmp_path, monkeypatch):
    """The same at the same place, for the config binds the path: put back afterwards."""
    shutil.copytree(heard / "sounds", tmp_path / "kept")
    shutil.copytree(heard / "run", tmp_path / "run")
    yield heard / "sounds"
    shutil.rmtree(heard / "sounds")
    shutil.copytree(tmp_path / "kept", heard / "sounds")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rename, r"label 0 was 'bird', is 'bird'|label 1 was 'dog', is 'cat'"),
        (rename_in_place, "label 1 was 'dog', is 'door'"),
        (add_class, "1 class more of label: 'cat'; label 1 was 'dog', is 'cat'"),
    ],
)
def test_other_classes_are_refused_with_the_difference(folder, tmp_path, change, words):
    """Also where the examples' change is accepted, and also when a run that is done is only evaluated again."""
    change(folder)
    more = config("folder_audio", 4, folder)
    again = config("folder_audio", 2, folder)
    again.eval.test_examples = 1
    for asked in (more, again):
        asked.data_changed = "accept"
        with pytest.raises(UserError, match=words) as error:
            loop.run(asked, tmp_path / "run")
        assert "\n" not in str(error.value)
        assert "choose another --workdir" in str(error.value)


@pytest.mark.usefixtures("no_page")
def test_touched_and_copied_files_are_the_same(folder, tmp_path, capsys):
    touch(folder)
    loop.run(config("folder_audio", 4, folder), tmp_path / "run")
    assert "changed" not in capsys.readouterr().out
    assert json.loads((tmp_path / "run/data.json").read_text())["before"] == []


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize(
    ("change", "words"),
    [(add_file, r"example more|waveform other in"), (change_file, r"train: waveform other in 1 example")],
)
def test_other_examples_of_the_same_classes_are_to_be_accepted_once(folder, tmp_path, capsys, change, words):
    change(folder)
    again = config("folder_audio", 4, folder)
    with pytest.raises(
        UserError, match=rf"has changed since the run began: .*({words}).*--config\.data_changed=accept"
    ):
        loop.run(again, tmp_path / "run")
    again.data_changed = "accept"
    loop.run(again, tmp_path / "run")
    assert "note: the data has changed, as accepted: " in capsys.readouterr().out
    kept = json.loads((tmp_path / "run/data.json").read_text())
    [before] = kept["before"]
    assert before["until_step"] == 2
    assert before["splits"]["train"] != kept["splits"]["train"]
    assert configs.load(tmp_path / "run").data_changed == "refuse"  # this change, and not the next one
    assert mmjax.restore(tmp_path / "run").step == 4
    loop.run(config("folder_audio", 6, folder), tmp_path / "run")  # the same data is no change any more
    assert len(json.loads((tmp_path / "run/data.json").read_text())["before"]) == 1


@pytest.mark.usefixtures("no_page")
def test_a_run_from_before_is_told_and_goes_on(folder, tmp_path, capsys):
    for name in ("data.json", "data.npz"):
        (tmp_path / "run" / name).unlink()
    loop.run(config("folder_audio", 4, folder), tmp_path / "run")
    assert "from before runs kept fingerprints" in capsys.readouterr().out
    rename_in_place(folder)
    with pytest.raises(UserError, match="label 1 was 'dog', is 'door'"):  # from now on it knows
        loop.run(config("folder_audio", 6, folder), tmp_path / "run")
    (tmp_path / "run/data.json").unlink()
    loop.run(config("folder_audio", 6, folder), tmp_path / "run")
    assert "differs from what the run was trained on: label 1 was 'dog', is 'door'" in capsys.readouterr().out


def test_restored_it_compares_what_the_user_opens(folder, tmp_path):
    trained = mmjax.restore(tmp_path / "run")
    options = {"name": "folder_audio", "path": str(folder)}
    assert trained.compare(data.open("test", ("waveform", "label"), **options)) == []
    change_file(folder)
    with pytest.raises(UserError, match="knows no split 'tset': it has train, validation, test"):
        trained.compare([], "tset")
    lines = trained.compare(data.open("train", ("waveform", "label"), **options), "train")
    assert lines == ["train: waveform other in 1 example"]
    rename(folder)
    for run in (trained, dataclasses.replace(trained, data={})):  # one from before knows its names
        with pytest.raises(UserError, match="label 1 was 'dog', is 'cat'"):
            run.compare(data.open("test", ("waveform", "label"), **options))


@pytest.mark.usefixtures("no_page")
def test_a_cross_validation_is_of_one_data_set(folder, tmp_path):
    """It was stopped after its first fold, which is of two steps."""
    shutil.copytree(tmp_path / "run", tmp_path / "whole/fold1")

    def run(**changes):
        c = config("folder_audio", 2, folder)
        c.eval.folds = 2
        c.update(changes)
        loop.run(c, tmp_path / "whole")

    kept = json.loads((tmp_path / "whole/fold1/config.json").read_text())
    kept["data"]["fold"] = 1
    (tmp_path / "whole/fold1/config.json").write_text(json.dumps(kept))
    change_file(folder)
    with pytest.raises(UserError, match=r"has changed since fold1, .*: 1 example new and 1 example gone\. .*=accept"):
        run()
    rename(folder)
    with pytest.raises(UserError, match=r"not mean what it meant in fold1: label 1 was 'dog', is 'cat'"):
        run(data_changed="accept")
    (folder / "cat").rename(folder / "dog")
    run(data_changed="accept")
    assert (tmp_path / "whole/results.json").exists()


# -- captions ---------------------------------------------------------------------------------------------------------

SAID = ("a red square", "a green square", "a blue square", "a red square", "a green square", "a blue square")


@pytest.mark.usefixtures("no_page")
def test_other_words_are_refused_and_other_captions_to_be_accepted(tmp_path):
    """The vocabulary: <pad>, <start>, <end>, <unk>, a, square, red, blue, green; of four captions in training."""
    folder = pictures(tmp_path / "pictures", SAID)

    def run(steps, **changes):
        c = config("captioned_images", steps, folder, size=8)
        c.update(changes)
        loop.run(c, tmp_path / "run")

    run(2)
    touch(pictures(folder, SAID))
    run(4)
    for said, words in (
        (("a red yellow square", *SAID[1:]), "1 word more in the caption vocabulary: 'yellow'. Give"),
        (("a yellow square", *SAID[1:3], "a yellow square", *SAID[4:]), "caption word 6 was 'red', is 'yellow'. Give"),
        (
            (*SAID[:3], "a green square", *SAID[4:]),
            "caption word 6 was 'red', is 'green', caption word 8 was 'green', is",
        ),
        ((*SAID[:2], "a red square", *SAID[3:]), "1 word fewer in the caption vocabulary: 'blue'; caption word 7 was"),
    ):
        pictures(folder, said)
        with pytest.raises(UserError, match=re.escape(words)):
            run(6, data_changed="accept")
    pictures(folder, (SAID[1], SAID[0], *SAID[2:5], "a green square"))  # corrected, and the same words
    with pytest.raises(
        UserError, match="train: caption_tokens in another order; test: caption_tokens other in 1 example"
    ):
        run(6)
    run(6, data_changed="accept")
    rows = (folder / "captions.csv").read_text().replace("0.png,a green square,train", "0.png,a green square,test")
    (folder / "captions.csv").write_text(rows.replace("5.png,a green square,test", "5.png,a green square,train"))
    with pytest.raises(
        UserError, match=r"mean.*: 1 example of train is in test now; 1 example of test is in train now"
    ):
        run(8, data_changed="accept")


# -- the comparison alone ---------------------------------------------------------------------------------------------


IMAGE, OTHER = ({"image": fingerprints.whole(version)} for version in "12")


def split(*values, names=(), field="label", more=None):
    fields = {field: fingerprints.each(values, names), **(more or {})}
    return data_changes.Split(len(values), fields)


@pytest.mark.parametrize(
    ("old", "new", "examples"),
    [
        (split(1, 2), split(1, 2), []),
        (split(1, 2), split(2, 1), ["train: label in another order"]),
        (split(1, 2), split(1, 2, 3), ["train: 1 example more"]),
        (split(1, 2, 3), split(1, 4), ["train: 1 example fewer; label other in 1 example"]),
        (
            split(1, more={"image": fingerprints.whole("a")}),
            split(1, more={"image": fingerprints.whole("b")}),
            ["train: image other content"],
        ),
        (split(1), split(1, more=IMAGE), []),  # a new field changes no old one
    ],
)
def test_what_changed_is_counted(old, new, examples):
    assert data_changes.differences({"train": old}, {"train": new}) == ([], examples)


def test_names_and_numbers_are_shown_but_not_all_of_them():
    names = [f"n{i}" for i in range(9)]
    old, new = ({"train": split(1, names=own, field="tokens")} for own in (names[:8], ["n8", *names[:8]]))
    shown = "tokens 0 was 'n0', is 'n8', tokens 1 was 'n1', is 'n0', tokens 2 was 'n2', is 'n1' (and 5 others)"
    assert data_changes.differences(old, new) == (
        ["1 word more in the vocabulary: 'n8'", shown.replace("tokens", "word")],
        [],
    )


def test_a_record_is_read_as_it_was_written(tmp_path):
    now = {"train": split(1, 2, names=("a", "b\nc")), "test": split(3, names=("a", "b\nc"))}
    data_record.write(tmp_path, now)
    assert data_changes.differences(data_record.read(tmp_path), now) == ([], [])
    other = {"train": split(1, 2, names=("a", "d"))}
    assert data_changes.differences(data_record.read(tmp_path), other) == (["label 1 was 'b\\nc', is 'd'"], [])
    (tmp_path / "data.npz").unlink()  # it only names what differs
    assert data_changes.differences(data_record.read(tmp_path), now) == ([], [])
    assert data_changes.differences(data_record.read(tmp_path), other)[0]
    (tmp_path / "data.json").write_text('{"splits": {"train": 3}}')
    with pytest.raises(UserError, match=r"data\.json is damaged"):
        data_record.read(tmp_path)
