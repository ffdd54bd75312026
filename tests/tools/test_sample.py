"""One's own sentence as pictures: what reaches the network, what is written, and what is refused, in one line."""

import json

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from ml_collections import ConfigDict
from PIL import Image

from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.task import Task
from mmjax.text import vocabulary
from mmjax.tools import sample

WORDS = [*vocabulary.SPECIAL, "a", "red", "blue", "bell", "drum", "above"]
SIDE = 4


def predict(variables, batch, key):
    """Grey pictures: a code each, and in the first row of pixels the tokens of the first caption."""
    tokens = batch["captions_tokens"][:, 0]
    code = jax.random.randint(key, (len(tokens), 1, 1, 1), 20, 255)
    picture = jnp.broadcast_to(code, (len(tokens), SIDE, SIDE, 3))
    picture = picture.at[:, 0].set(tokens[:, :SIDE, None]).at[:, 1, 0].set(batch["captions_tokens_length"][:, :1])
    return {"image/generated": picture.astype(jnp.uint8)}


def classes(variables, batch, key):
    shown = jnp.broadcast_to(batch["label"][:, None, None, None], (len(batch["label"]), SIDE, SIDE, 3))
    return {"image/generated": shown.astype(jnp.uint8)}


def fake(fields, predictor, step=7, names=None, align="left"):
    """A trained system whose predict is `predictor`."""
    task = Task(fields, lambda *_: {}, (), lambda *_: {}, predictor, names=names or {}, predicts_from=fields)
    system = "conditional_gan" if names else "text_to_image"
    config = ConfigDict({"system": system, "steps": 9, "classes": 3, "data": {"tokens": {"align": align}}})
    frozen = {} if names else {"caption_vocabulary": jnp.asarray(vocabulary.spell(WORDS))}
    return restore.Restored(config, task, {"params": {}, "state": {}, "frozen": frozen}, step)


def drawer(length=6, **options):
    fields = ("captions_tokens", "captions_tokens_length")
    shapes = {"captions_tokens": ["int32", 32, 3, length], "captions_tokens_length": ["int32", 32, 3]}
    return sample.Drawer(fake(fields, predict, **options), shapes)


def painter(names=("Bell", "dog", "drum kit")):
    names = {"object": names}
    return sample.Drawer(fake(("label",), classes, names=names), {"label": ["int32", 32]})


def test_a_sentence_reaches_the_network_as_the_data_spells_it():
    pictures, notes = drawer().draw("A red bell.", count=3, seed=5)
    assert pictures.shape == (3, SIDE, SIDE, 3)
    assert pictures.dtype == np.uint8
    assert notes == []
    for picture in pictures:
        np.testing.assert_array_equal(picture[0, :, 0], [4, 5, 7, vocabulary.END])
        assert picture[1, 0, 0] == 4


def test_pictures_have_codes_of_their_own_which_the_seed_alone_decides():
    one, _ = drawer().draw("a red bell", 8, seed=1)
    again, _ = drawer().draw("a red bell", 8, seed=1)
    other, _ = drawer().draw("a red bell", 8, seed=2)
    blue, _ = drawer().draw("a blue drum", 8, seed=1)
    np.testing.assert_array_equal(one, again)
    assert len(set(one[:, 3, 3, 0].tolist())) > 4
    assert (one != other).any()
    np.testing.assert_array_equal(one[:, 1:], blue[:, 1:])  # the same codes
    assert (one[:, 0] != blue[:, 0]).any()


def test_unknown_words_are_named_and_take_their_place():
    pictures, notes = drawer().draw("a purple belle", 1)
    assert notes == ["not in the vocabulary: 'purple', 'belle' (did you mean bell?)"]
    np.testing.assert_array_equal(pictures[0, 0, :, 0], [4, vocabulary.UNK, vocabulary.UNK, vocabulary.END])


@pytest.mark.parametrize("text", ["purple belle", "..."])
def test_a_sentence_of_unknown_words_is_refused(text):
    with pytest.raises(UserError, match="no word of it is in the vocabulary"):
        drawer().draw(text)


def test_a_long_sentence_is_cut_as_the_data_cuts_it_and_said_so():
    pictures, notes = drawer(length=4).draw("a red bell above a blue drum", 1)
    assert notes == ["the network reads 3 tokens: the last 4 of 7 are cut off"]
    np.testing.assert_array_equal(pictures[0, 0, :, 0], [4, 5, 7, vocabulary.END])


def test_padding_goes_where_the_run_had_it():
    pictures, _ = drawer(length=4, align="right").draw("red", 1)
    np.testing.assert_array_equal(pictures[0, 0, :, 0], [0, 0, 5, vocabulary.END])
    assert pictures[0, 1, 0, 0] == 2


def test_classes_by_name():
    pictures, notes = painter().draw("DRUM kit", 2)
    assert (pictures == 2).all()
    assert notes == []
    assert (painter().draw("1", 2)[0] == 1).all()
    assert (painter(()).draw("2", 1)[0] == 2).all()
    with pytest.raises(UserError, match=r"it has numbers, 0 to 2$"):
        painter(()).draw("bell")
    with pytest.raises(UserError, match=r"'dgo' is no class of this run; it has dog$"):
        painter().draw("dgo")
    with pytest.raises(UserError, match=r"it has Bell, dog, drum kit$"):
        painter().draw("zzz")


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
        drawer().draw(**{"text": "a bell", **arguments})


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
    made = drawer()
    (tmp_path / "config.json").write_text(json.dumps({"system": "text_to_image", "steps": 9}))
    (tmp_path / "batch.json").write_text(json.dumps(made.shapes))
    monkeypatch.setattr(restore, "restore", lambda path, step=None: made.run)
    return tmp_path


def test_the_command_writes_one_picture_and_says_what_it_is(workdir, capsys):
    target = workdir / "out.png"
    words = [str(workdir), "--text", "a red bell", "a mauve drum", "--seed", "3", "-n", "2", "-o", str(target)]
    assert sample.main(words) == 0
    said = capsys.readouterr()
    assert said.err == "'a mauve drum': not in the vocabulary: 'mauve'\n"
    about = "'a red bell' / 'a mauve drum', seed 3, step 7"
    assert said.out == f"{target}: 4 pictures of 4 x 4 pixels of {about}\n"
    first = target.read_bytes()
    with Image.open(target) as picture:
        assert picture.size == (2 * SIDE + sample.GAP,) * 2
        assert picture.text["Description"] == about
        pixels = np.asarray(picture)
    np.testing.assert_array_equal(pixels[:SIDE, :SIDE], drawer().draw("a red bell", 2, 3)[0][0])
    assert sample.main(words) == 0
    assert target.read_bytes() == first


def test_many_pictures_of_one_sentence_make_a_square(workdir):
    target = workdir / "out.png"
    assert sample.main([str(workdir), "--text", "a bell", "-n", "16", "-o", str(target)]) == 0
    with Image.open(target) as picture:
        assert picture.size == (4 * SIDE + 3 * sample.GAP,) * 2


def refused(capsys, *arguments):
    """The one line of a refusal."""
    assert sample.main([str(argument) for argument in arguments]) == 2
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
    monkeypatch.setattr(restore, "restore", lambda path, step=None: drawer(step=0).run)
    assert "no trained weights" in refused(capsys, workdir, *text, *target)
    (workdir / "config.json").write_text(json.dumps({"system": "soundnet", "steps": 9}))
    assert "is a run of soundnet, which does not draw" in refused(capsys, workdir, *text, *target)
    assert not (workdir / "out.png").exists()


def test_a_run_that_never_started_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"system": "text_to_image", "steps": 9}))
    said = refused(capsys, tmp_path, "--text", "a bell", "-o", tmp_path / "out.png")
    assert "the run never started" in said
