"""One's own text as pictures: what reaches the network, what is written, and what is refused, in one line."""

import json

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from ml_collections import ConfigDict
from PIL import Image

from mmjax import tools
from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.task import Task
from mmjax.tools import sample

SIDE = 4


def predict(variables, batch, key):
    """Grey pictures: a code each, and in the first row of pixels the letters of the text."""
    code = jax.random.randint(key, (len(batch["question"]), 1, 1, 1), 20, 255).astype(jnp.uint8)
    picture = jnp.broadcast_to(code, (len(batch["question"]), SIDE, SIDE, 3))
    return {"image/generated": picture.at[:, 0].set(batch["question"][:, :SIDE, None])}


def ask(text, variables, constants):
    """The first letters of a text; a system that reads no x."""
    if set(text) == {"x"}:
        raise UserError(f"{text!r}: no letter but x")
    letters = np.frombuffer(text.encode().ljust(SIDE)[:SIDE], np.uint8)[None]
    return {"question": letters + variables["frozen"] + constants["shift"]}, ("has an x",) if "x" in text else ()


def fake(step=7, predictor=predict, reads=ask):
    """A trained system that draws."""
    task = Task(("question",), lambda *_: {}, (), lambda *_: {}, predictor, ask=reads, predicts_from=("question",))
    constants = {"shift": np.uint8(2)}
    return restore.Restored(ConfigDict({"system": "letters"}), task, {"frozen": np.uint8(1)}, step, constants)


def test_what_the_system_makes_of_a_text_reaches_its_network():
    pictures, notes = sample.draw(fake(), "abcde", count=3, seed=5)
    assert pictures.shape == (3, SIDE, SIDE, 3)
    assert pictures.dtype == np.uint8
    assert notes == ()
    for picture in pictures:
        np.testing.assert_array_equal(picture[0, :, 0], [ord(letter) + 3 for letter in "abcd"])
    assert sample.draw(fake(), "ax", 1)[1] == ("has an x",)
    with pytest.raises(UserError, match="'xx': no letter but x"):
        sample.draw(fake(), "xx")


def test_pictures_have_codes_of_their_own_which_the_seed_alone_decides():
    one, _ = sample.draw(fake(), "red", 8, seed=1)
    again, _ = sample.draw(fake(), "red", 8, seed=1)
    other, _ = sample.draw(fake(), "red", 8, seed=2)
    blue, _ = sample.draw(fake(), "blue", 8, seed=1)
    np.testing.assert_array_equal(one, again)
    assert len(set(one[:, 3, 3, 0].tolist())) > 4
    assert (one != other).any()
    np.testing.assert_array_equal(one[:, 1:], blue[:, 1:])  # the same codes
    assert (one[:, 0] != blue[:, 0]).any()


def test_a_system_that_does_not_draw_is_told_what_would():
    said = "this is a run of letters, which does not draw what a text says: give the workdir of a system that "
    for run in (fake(reads=None), fake(predictor=lambda *_: {"scores/letter": jnp.ones((8, 3))})):
        with pytest.raises(UserError, match=f"^{said}reads a text and predicts image/generated$"):
            sample.draw(run, "a")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"count": 0}, "-n 0: it must be 1 to 256"),
        ({"count": 257}, "-n 257: it must be"),
        ({"seed": -1}, "--seed -1: it must be"),
        ({"seed": 2**31}, "--seed 2147483648"),
        ({"text": " "}, "--text is empty"),
    ],
)
def test_what_cannot_be_drawn(arguments, said):
    with pytest.raises(UserError, match=said):
        sample.draw(fake(), **{"text": "a bell", **arguments})


def test_a_sheet_puts_each_sentence_on_a_new_line():
    rows = [np.full((3, 2, 4, 3), value, np.uint8) for value in (10, 20)]
    found = sample.sheet(rows, columns=2)
    assert found.shape == (4 * 2 + 3 * sample.GAP, 2 * 4 + sample.GAP, 3)
    assert (found[:2, :4] == 10).all()
    assert (found[:, 4 : 4 + sample.GAP] == 255).all()
    assert (found[4:6, :4] == 10).all()
    assert (found[4:6, 6:] == 255).all()  # of three pictures, the last line has one
    assert (found[8:10, 6:] == 20).all()
    assert sample.sheet(rows[:1], columns=8).shape == (2, 3 * 4 + 2 * sample.GAP, 3)


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A trained run, as far as `restore` goes."""
    (tmp_path / "config.json").write_text(json.dumps({"system": "letters", "steps": 9}))
    monkeypatch.setattr(restore, "restore", lambda path, step=None: fake())
    return tmp_path


def test_the_command_writes_one_picture_and_says_what_it_is(workdir, capsys):
    target = workdir / "out.png"
    words = [
        "sample",
        str(workdir),
        "--text",
        "a red bell",
        "an xylophone",
        "--seed",
        "3",
        "-n",
        "2",
        "-o",
        str(target),
    ]
    assert tools.command(words) == 0
    said = capsys.readouterr()
    assert said.err == "'an xylophone': has an x\n"
    about = "'a red bell' / 'an xylophone', seed 3, step 7"
    assert said.out == f"{target}: 4 pictures of 4 x 4 pixels of {about}\n"
    first = target.read_bytes()
    with Image.open(target) as picture:
        assert picture.size == (2 * SIDE + sample.GAP,) * 2
        assert picture.text["Description"] == about
        pixels = np.asarray(picture)
    np.testing.assert_array_equal(pixels[:SIDE, :SIDE], sample.draw(fake(), "a red bell", 2, 3)[0][0])
    assert tools.command(words) == 0
    assert target.read_bytes() == first


def test_many_pictures_of_one_sentence_make_a_square(workdir):
    target = workdir / "out.png"
    assert tools.command(["sample", str(workdir), "--text", "a bell", "-n", "16", "-o", str(target)]) == 0
    with Image.open(target) as picture:
        assert picture.size == (4 * SIDE + 3 * sample.GAP,) * 2


def refused(capsys, *arguments):
    """The one line of a refusal."""
    assert tools.command(["sample", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_refusals_are_one_line(workdir, capsys, monkeypatch):
    text = ("--text", "a bell")
    target = ("-o", workdir / "out.png")
    assert "-n 0: it must be 1 to 256" in refused(capsys, workdir, *text, "-n", "0", *target)
    assert "'xx'" in refused(capsys, workdir, "--text", "xx", *target)
    assert "the name must end in .png" in refused(capsys, workdir, *text, "-o", workdir / "out.jpg")
    assert "cannot be written" in refused(capsys, workdir, *text, "-o", workdir / "nowhere" / "out.png")
    assert "has no config.json" in refused(capsys, workdir / "nowhere", *text, *target)
    monkeypatch.setattr(restore, "restore", lambda path, step=None: fake(step=0))
    assert "no trained weights" in refused(capsys, workdir, *text, *target)
    monkeypatch.setattr(restore, "restore", lambda path, step=None: fake(reads=None))
    assert "is a run of letters, which does not draw" in refused(capsys, workdir, *text, *target)
    assert not (workdir / "out.png").exists()


def test_a_run_that_never_started_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"system": "text_to_image", "steps": 9}))
    said = refused(capsys, tmp_path, "--text", "a bell", "-o", tmp_path / "out.png")
    assert "the run never started" in said
