"""A workdir's record of a config: what it may lack, and when results are those that are asked for."""

import json

import pytest
from shared import get_config

from mmjax import systems
from mmjax.engine import config as configs


@pytest.fixture
def old(tmp_path):
    """A config, and the workdir of a run of it from before there were some fields."""
    config = configs.engine("toy")
    config.optim.net = configs.adam(1e-3)
    config.loader.pixels, config.eval.every = 32, 7
    record = json.loads(config.to_json())
    del record["fsdp"], record["eval"]["probes"], record["eval"]["judges"], record["loader"]["clip_seconds"]
    (tmp_path / "config.json").write_text(json.dumps(record))
    return config, tmp_path


def test_fields_that_are_younger_than_a_run_have_their_defaults(old):
    config, workdir = old
    found = configs.load(workdir)
    assert (found.fsdp, found.eval.probes, found.loader.clip_seconds) == (False, (), 0.0)
    assert (found.loader.pixels, found.eval.every) == (32, 7)
    assert "judges" not in found.eval  # what such a run was judged by, its system knows
    assert configs.differences(found, config) == []
    with config.unlocked():
        config.loader.clip_seconds = 1.5
    assert configs.differences(found, config) == ["loader.clip_seconds is 0.0 there, 1.5 here"]


def test_results_are_those_asked_for_where_only_younger_fields_have_their_defaults(old):
    config, workdir = old
    saved = json.dumps(json.loads((workdir / "config.json").read_text())["eval"])
    assert configs.evaluated_alike(saved, config)
    assert configs.evaluated_alike(saved, configs.load(workdir))
    assert configs.evaluated_alike(config.eval.to_json(), config)
    for name, value in (("judges", ("some",)), ("gallery", 3)):
        other = config.copy_and_resolve_references()
        other.eval[name] = value
        assert not configs.evaluated_alike(saved, other)
    assert not configs.evaluated_alike(None, config)
    assert not configs.evaluated_alike("{", config)


def test_a_run_keeps_the_forms_in_which_it_began(tmp_path, monkeypatch):
    monkeypatch.setattr(configs, "BEFORE", {"loader.order": "stream", "optim.*.form": "old", "data.tokens.rules": 1})
    config = configs.engine("toy")
    config.optim.a, config.optim.b = configs.adam(1e-3, form="new"), configs.adam(1e-2, form="new")
    config.loader.order, config.data.tokens = "drawn", 16  # here a number, and no section of text
    today = json.loads(config.to_json())
    assert configs.as_begun(config, tmp_path) == (config, [])  # no run yet
    (tmp_path / "config.json").write_text(json.dumps(today))
    assert configs.as_begun(config, tmp_path) == (config, [])  # a run of today
    old = json.loads(config.to_json())
    del old["edition"], old["loader"]["order"], old["optim"]["a"]["form"], old["optim"]["b"]["form"]
    (tmp_path / "config.json").write_text(json.dumps(old))
    found = configs.load(tmp_path)
    assert (found.edition, found.loader.order, found.optim.a.form, found.optim.b.form) == (1, "stream", "old", "old")
    begun, lines = configs.as_begun(config, tmp_path)
    assert configs.differences(found.to_dict(), begun.to_dict()) == []
    assert lines[0] == "config.loader.order='stream', and not 'drawn', as this run began"
    assert len(lines) == 3
    assert config.loader.order == "drawn"


def test_folds_of_a_cross_validation_are_of_the_form_of_the_first(tmp_path):
    config = configs.engine("toy")
    old = json.loads(config.to_json())
    del old["edition"], old["loader"]["order"]
    (tmp_path / "fold1").mkdir()
    (tmp_path / "fold1/config.json").write_text(json.dumps(old))
    begun, lines = configs.as_begun(config, tmp_path)
    assert (begun.edition, begun.loader.order, len(lines)) == (1, "hash", 1)
    assert configs.as_begun(begun, tmp_path / "fold1") == (begun, [])  # told once
    assert configs.as_begun(begun, tmp_path / "fold2") == (begun, [])


def test_words_of_runs_from_before_are_cut_as_they_were(tmp_path):
    plain = {"markup": "plain"}
    for data, today, line in (
        (
            {"splitter": "words", **plain},
            {"splitter": "unicode", **plain},
            "config.data.splitter='words', and not 'unicode'",
        ),
        ({"tokens": {}}, {"tokens": {"rules": "unicode"}}, "config.data.tokens.rules='letters', and not 'unicode'"),
        ({"tokens": 512}, {"tokens": 512}, ""),  # words of an example, and no section
    ):
        config = configs.engine("toy")
        config.data.update(today)
        old = json.loads(config.to_json())
        old["data"] = data
        del old["edition"]
        (tmp_path / "config.json").write_text(json.dumps(old))
        begun, lines = configs.as_begun(config, tmp_path)
        assert lines == ([f"{line}, as this run began"] if line else [])
        assert begun.data.get("splitter") == data.get("splitter")


def test_runs_from_before_take_the_markup_of_a_wiki_for_words(tmp_path):
    config = configs.engine("toy")
    config.data.update({"splitter": "unicode", "markup": "plain"})
    old = json.loads(config.to_json())
    old["edition"] = 2  # chose its splitter, and could not choose this
    del old["data"]["markup"]
    (tmp_path / "config.json").write_text(json.dumps(old))
    assert configs.load(tmp_path).data.markup == "words"
    begun, lines = configs.as_begun(config, tmp_path)
    assert lines == ["config.data.markup='words', and not 'plain', as this run began"]
    assert (begun.data.splitter, begun.data.markup) == ("unicode", "words")


def test_runs_go_on_that_began_before_persons_and_kinds_were_told_apart(tmp_path):
    for system, variant, place, name in (
        ("speech2face", "videos", (), "persons"),
        ("speech2face", "", (), "persons"),
        ("sound_localisation", "", ("truth",), "kinds"),
    ):
        config = get_config(system, variant)
        old = json.loads(config.to_json())
        old["edition"] = 3
        section = old
        for part in place:
            section = section[part]
        here = section.pop(name)
        (tmp_path / "config.json").write_text(json.dumps(old))
        begun, lines = configs.as_begun(config, tmp_path)
        wanted = f"config.{'.'.join((*place, name))}=False, and not True, as this run began"
        assert lines == ([wanted] if here else [])
        assert configs.differences(configs.load(tmp_path).to_dict(), begun.to_dict()) == []
        if variant != "videos":  # whose parts the user gives
            systems.build(begun)


def test_optimisers_of_runs_from_before_keep_their_form_and_its_eps(tmp_path):
    config = configs.engine("toy")
    config.optim.a, config.optim.b = configs.adam(1e-3, name="rmsprop"), configs.adam(1e-2)
    config.optim.rows = {"name": "adagrad", "learning_rate": 0.1}
    old = json.loads(config.to_json())
    del old["edition"], old["optim"]["a"]["form"], old["optim"]["b"]["form"]
    old["optim"]["a"]["eps"] = 1e-16  # under the root what 1e-8 is beside it
    (tmp_path / "config.json").write_text(json.dumps(old))
    found = configs.load(tmp_path)
    assert (found.optim.a.form, found.optim.b.form, "form" in found.optim.rows) == ("optax", "torch", False)
    begun, lines = configs.as_begun(config, tmp_path)
    assert configs.differences(found.to_dict(), begun.to_dict()) == []
    assert lines == [
        "config.optim.a.form='optax', and not 'torch', as this run began",
        "config.optim.a.eps=1e-16, and not 1e-08, as this run began",
    ]
