"""The sections as a whole: found by being there, true to the glossary, none hides another, none lost in silence."""

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from report import fake_run

from mmjax import predictions
from mmjax.report import page, sections

NEW = """
from mmjax.report.html import tag

PLACE = ("classes", 0)
WANTS = (("embedding/<name>", "text/<name>"),)


def covers(predictions):
    return {"embedding/new"}


def render(run):
    return tag("p", f"quite new: {len(run.predictions.arrays)} arrays")
"""
NAMES = [section.name for section in sections.discover()]


@pytest.fixture
def dropped(tmp_path, monkeypatch):
    """Puts a module into the package, from another folder."""

    def put(name, code):
        (tmp_path / "more").mkdir(exist_ok=True)
        (tmp_path / "more" / f"{name}.py").write_text(code)
        monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path / "more")])
        monkeypatch.delitem(sys.modules, f"mmjax.report.sections.{name}", raising=False)

    yield put
    for name in set(sys.modules) - {f"mmjax.report.sections.{name}" for name in NAMES}:
        if name.startswith("mmjax.report.sections."):
            del sys.modules[name]


def every():
    """What networks that draw, write, look and retrieve would predict together."""
    caption = np.array([["a", "red", "bell", "<end>", ""]] * 5, "S8")
    return fake_run.joint() | fake_run.drawn() | {
        "text/caption": caption,
        "attention/caption": np.random.default_rng(0).random((5, 5, 4, 4)).astype(np.float32),
    }  # fmt: skip


def written(workdir, arrays):
    fake_run.store(workdir, arrays, {"names": {"tags": ["a", "b", "c"]}, "sample_rate": fake_run.RATE})
    (workdir / "results.json").write_text(json.dumps({"split": "test"}))
    return page.write(workdir).read_text()


@pytest.mark.parametrize("section", sections.discover(), ids=NAMES)
def test_whatever_a_section_wants_is_in_the_glossary(section):
    for alternative in section.wants:
        assert alternative
        for key in alternative:
            assert predictions.meaning(key)


def test_a_key_that_is_looked_for_must_be_in_the_glossary():
    found = fake_run.read({"text/neighbors": np.array(["x"])}).predictions
    with pytest.raises(KeyError, match="text/neighbors"):
        found.get("text/neighbors")
    assert found.get("text/neighbours") is None


def test_sections_do_not_import_each_other():
    for path in Path(sections.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not module.startswith("mmjax.report.sections"), f"{path.name} imports {module}"


def test_drawn_pictures_attention_and_retrieval_stand_on_one_page(workdir):
    source = written(workdir, every())
    titles = ("Drawn", "Between captions", "Nearest to each other", "Tags of pictures", "Word by word: caption")
    places = [source.index(f"<h3>{title}</h3>") for title in titles]
    assert places == sorted(places)
    assert source.index("5 of the 5 examples kept from split “test”, evenly spaced.") > places[-1]
    cards = source.split('<div class="cards">')[-1].split("</section>")[0]
    assert cards.count("<article") == 5
    for name in ("picture", "sound"):
        assert f"“{name}” of example 0" in cards
    assert "caption 0 first" in cards
    for name in ("generated", "codes", "real", "between_captions"):  # shown above
        assert f"“{name}”" not in cards
    assert source.index("The joint space:") > places[-1]


@pytest.mark.parametrize("name", ["generated", "attention", "retrieval", "tags"])
def test_a_section_without_its_wants_is_not_asked(name, workdir):
    (section,) = (section for section in sections.discover() if section.name == name)
    assert section.finds(every())
    title = {"generated": "Drawn", "attention": "Word by word: caption"}
    title |= {"retrieval": "Nearest to each other", "tags": "Tags of pictures"}
    gone = {key for alternative in section.wants for key in alternative if "<" not in key} or {"attention/caption"}
    gone = {"attention/caption"} if name == "attention" else gone - {"image/picture"}
    source = written(workdir, {key: array for key, array in every().items() if key not in gone})
    for other, words in title.items():
        assert (f"<h3>{words}</h3>" in source) == (other != name)


def test_a_module_in_the_folder_is_a_section(dropped, workdir):
    dropped("quite_new", NEW)
    more = {"embedding/new": np.zeros((3, 2), np.float32), "text/new": np.array(["x", "y", "z"])}
    source = written(workdir, fake_run.drawn() | more)
    assert source.count("quite new: 10 arrays") == 1
    assert source.index('id="classes"') < source.index("quite new") < source.index("Map of new")
    assert "shown by no section" not in source
    assert "quite new" not in written(workdir, fake_run.drawn())


def test_a_section_that_draws_nothing_covers_nothing(dropped, workdir):
    dropped("silent", NEW.replace("tag(", "").replace('"p", f"quite new: {len(run.predictions.arrays)} arrays")', '""'))
    source = written(workdir, {"embedding/new": np.zeros((3, 2, 2), np.float32), "text/new": np.array(["x", "y", "z"])})
    assert "Stored and shown by no section: embedding/new." in source


@pytest.mark.parametrize("code", ["", "PLACE = ('results', 1)", "PLACE = ('exampels', 1)\ndef render(run): ..."])
def test_a_module_that_is_no_section_says_what_it_lacks(dropped, code):
    dropped("odd", code)
    with pytest.raises(TypeError, match=r"sections\.odd is no section: it needs render and a PLACE in results, curves"):
        sections.discover()


def test_wants_that_no_run_meets_are_told(dropped):
    no_maps = {"attention", "words", "sounding", "separation", "heard_faces", "units"}
    assert sections.wanted(fake_run.joint()).keys() == {"generated", "confusion", "embedding"} | no_maps
    assert sections.wanted(fake_run.joint(), fake_run.drawn(), fake_run.predictions()).keys() == no_maps
    faces = {"image/face", "audio/voice", "embedding/voice", "embedding/face"}
    units = {"number/codes", "number/code_seconds", "heatmap/mel"}
    others = ({"heatmap/heat", "image/picture"}, faces, {"number/si_sdr_improvement"}, units)
    runs = (every(), fake_run.predictions(), {"embedding/w", "text/w"}, *others)
    assert sections.wanted(*runs) == {}
    dropped("quite_new", NEW.replace("text/<name>", "text/neighbours"))
    assert sections.wanted(*runs) == {"quite_new": (("embedding/<name>", "text/neighbours"),)}


def test_a_page_of_nothing_but_wholes_says_so(workdir):
    names = np.array(["x", "y", "z"])
    arrays = {"embedding/w": np.eye(3, dtype=np.float32), "text/w": names, "text/neighbours": names[:, None]}
    source = written(workdir, arrays)
    assert "None by itself: what this run predicted is shown as a whole below." in source
    assert "Map of w" in source
