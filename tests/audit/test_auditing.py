"""Planted truths are found: noise carries nothing, XOR is only together, a copy is in each, and shares are by hand."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import planted_systems as planted
import pytest
from shared import tiny_run

from mmjax import tools
from mmjax.audit import auditing, bits, looking, playing, replacing, retraining, several, shares, words
from mmjax.errors import UserError

PLAYERS = ("picture", "words")


def audited(answer, label, n=600, kinds=("other",), copied=False):
    """What the audit finds of a planted system, and the columns."""
    rng = np.random.default_rng(0)
    columns = planted.columns(rng, n, label)
    if copied:
        columns["question_tokens"][:, 0] = columns["image"][:, 0, 0, 0] > 127
        columns["label"] = (columns["image"][:, 0, 0, 0] > 127).astype(np.int32)
    look = looking.Looker(planted.make(answer), {}, 100)
    intact, looks, alone = playing.play(look, columns, columns, PLAYERS, kinds, "label")
    return shares.of_figures(looks, PLAYERS, 200, 0), intact, alone


def test_a_side_of_noise_carries_nothing():
    figures, _, _ = audited(lambda one, two: one, lambda one, two: one)
    by = figures["right"]["replaced"]["other"]
    assert figures["right"]["value"] == 1
    assert by["share"]["picture"]["value"] == pytest.approx(1)
    assert by["share"]["words"]["low"] <= 0 <= by["share"]["words"]["high"]
    assert by["without"]["words"]["p"] == 1
    assert by["without"]["picture"]["p"] == pytest.approx(1 / 201)
    assert by["without"]["picture"]["low"] < 0.5 < by["without"]["picture"]["high"] + 0.03
    assert by["perceptual"]["picture"] == pytest.approx(0.5, abs=0.07)
    found = words.told(about(figures))
    assert any("words contributes nothing" in line for line in found["warnings"])
    assert any("picture alone explains 100 %" in line for line in found["warnings"])


def about(figures):
    """As the audit of a run hands it on."""
    refused = {"refused": "x gives no distribution over classes"}
    said = {"system": "x", "split": "test", "examples": 600, "modalities": list(PLAYERS), "figure": "right"}
    return {**said, "group": "label", "figures": figures, "bits": refused}


def test_few_batches_show_no_difference_and_warn_of_nothing():
    """2 / 2^4 is the least p-value of four: it says nothing of the modality."""
    figures, _, _ = audited(lambda one, two: one, lambda one, two: one | two, n=400)
    of = figures["squared"]
    assert (of["units"], of["number"]) == ("batch", 4)
    assert of["replaced"]["other"]["without"]["picture"]["p"] == 2 / 2**4
    told = words.told({**about(figures), "figure": "squared"})
    assert any("batch by batch, of which 4 are too few to show anything" in line for line in told["sentences"])
    assert not any("contributes nothing" in line for line in told["warnings"])


def test_an_accident_that_changes_nothing_is_told():
    figures, _, _ = audited(lambda one, two: one, lambda one, two: one)
    same = {"options": "shift=drop", "figures": figures}
    sentences = words.told({**about(figures), "accident": same})["sentences"]
    assert "No figure differs there: does that change anything of the data of this run?" in sentences
    same["figures"] = {**figures, "right": {**figures["right"], "value": 0.5}}
    assert not any(
        "No figure differs" in line for line in words.told({**about(figures), "accident": same})["sentences"]
    )


def test_an_accident_that_leaves_no_example_of_the_figure_is_told():
    """As `sounding=none` does: of what does not sound nothing can be pointed at."""
    figures, _, _ = audited(lambda one, two: one, lambda one, two: one)
    other = {**figures["right"], "value": 0.25}
    found = about({**figures, "marked": other})
    there = {"options": "sounding=none", "figures": {"marked": {**other, "value": 0.125}}}
    told = [line for line in words.told({**found, "accident": there})["sentences"] if "sounding=none" in line]
    assert len(told) == 1
    assert told[0].startswith("Where sounding=none, no example has right; marked is 0.125 (")
    there["figures"] = {}
    told = words.told({**found, "accident": there})["sentences"]
    assert "Where sounding=none, no example has right; nor any other figure." in told


def test_xor_is_only_there_together():
    figures, _, _ = audited(lambda one, two: one ^ two, lambda one, two: one ^ two)
    for name in ("right", "whole"):
        by = figures[name]["replaced"]["other"]
        assert by["share"]["picture"]["value"] == pytest.approx(0.5, abs=0.1)
        assert by["together"]["low"] > 0.2
        assert sum(by["share"][m]["value"] for m in PLAYERS) == pytest.approx(1)
    told = words.told(about(figures))
    assert any("is there only where all are there at once" in line for line in told["sentences"])
    assert told["warnings"] == []


def test_a_copy_is_shared_by_both():
    """Right if either side is: one and another's of the other are right in 3 of 4, both another's in 1 of 2."""
    figures, _, _ = audited(lambda one, two: one | two, lambda one, two: one, n=2000, copied=True)
    by = figures["right"]["replaced"]["other"]
    assert by["alone"]["words"]["value"] == pytest.approx(0.75, abs=0.03)
    assert by["nothing"]["value"] == pytest.approx(0.5, abs=0.04)
    assert by["together"]["value"] == pytest.approx(1 - 0.75 - 0.75 + 0.5, abs=0.08)
    assert by["share"]["words"]["value"] == pytest.approx(0.5, abs=0.05)


def test_replacements_differ_and_are_all_told():
    """Black is a 0, the mean is what most are, and another of the same answer is as good as one's own."""
    figures, intact, _ = audited(lambda one, two: one, lambda one, two: one, kinds=tuple(replacing.KINDS))
    by = {kind: of["without"]["picture"]["value"] for kind, of in figures["right"]["replaced"].items()}
    assert by["class"] == 1
    ones = np.mean(intact.label)
    assert by["blank"] == pytest.approx(1 - ones)
    assert by["mean"] == pytest.approx(max(ones, 1 - ones))
    rows = words.table(about(figures))
    assert len({len(row) for row in rows}) == 1
    assert "without picture: another example's of the same label" in rows[0]


def told_of(rng, n, label_of):
    """(class, logits) of two sides that say their own bit, of a system that says the right one."""
    one, two = rng.integers(0, 2, (2, n))
    label = np.asarray(label_of(one, two)).astype(int)

    def sure(bit):
        return np.log(np.where(np.eye(2)[bit] > 0, 0.99, 0.01))

    return label, {"": sure(label), "picture": sure(one), "words": sure(two)}


def test_bits_of_planted_sides(rng):
    """XOR: each alone tells nothing, both one bit; a copy: each tells all."""
    known, held = (told_of(rng, 1000, lambda a, b: a ^ b) for _ in range(2))
    kinds = {"odd": np.arange(1000) % 2 == 1}
    found = bits.measure(known, held, PLAYERS, 60, 0, kinds)
    assert found["tells"][""]["value"] == pytest.approx(1, abs=0.02)
    assert found["tells"]["picture"]["low"] <= 0.002
    assert found["together"]["low"] > 0.9
    assert found["right"]["words"]["odd"]["value"] == pytest.approx(0.5, abs=0.06)
    assert found["right"][""][""]["value"] == 1
    parts = found["parts"]["bits"]
    assert [name for name, span in parts.items() if span["claimed"]] == ["synergy"]
    known, held = (told_of(rng, 1000, lambda a, b: a) for _ in range(2))
    for _, logits in (known, held):
        logits["words"] = logits["picture"]
    parts = bits.measure(known, held, PLAYERS, 60, 0)["parts"]["bits"]
    assert [name for name, span in parts.items() if span["claimed"]] == ["redundant"]


def test_few_examples_have_no_parts(rng):
    known, held = (told_of(rng, 30, lambda a, b: a) for _ in range(2))
    found = bits.measure(known, held, PLAYERS, 19, 0)
    assert "30 examples are too few for a table of 2 x 2 x 2 cells: 80" in found["parts"]["refused"]
    three = bits.parts(known[0], held[0], dict.fromkeys("abc", (known[1][""], held[1][""])), 19, 0)
    assert "of two modalities" in three["refused"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--modality", "sound"], "vqa has no modality 'sound': it has picture, words"),
        (["--figure", "beauty"], "--figure beauty: no figure of this run; there are accuracy, "),
        (["--group", "image"], "--group image: no field that tells a class; choose one of answer_label, "),
        (["--accident", "reverse"], "--accident reverse: write OPTION=VALUE"),
        (["--accident", "train_split=test"], "--accident train_split: that is no option of the data set"),
        (["--accident", "shfit=reverse"], "config.data.shfit: data set 'sounding_scenes' has no such option"),
        (["--permutations", "3"], "--permutations 3: it must be at least 19"),
        (["--retrain", "--rates", "0"], "--rates: each is a factor of the run's learning rates"),
        (
            ["--retrain", "--rates", "1", "nan"],
            "--rates: each is a factor of the run's learning rates, above 0 and finite",
        ),
        (["--retrain", "--rates", "inf"], "learning rates, above 0 and finite"),
        (["--rates", "1", "3"], "--rates: they are of --retrain"),
        (["--seeds", "0"], "--seeds 0: it must be at least 1"),
        (["--seeds", "2", "--step", "3"], "--step 3: runs from --seeds may not have kept it; write best"),
    ],
)
def test_wrong_options_are_one_line(capsys, arguments, message):
    assert tools.command(["audit", str(tiny_run("vqa").workdir), "--examples", "8", *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert ("passes over" in said.out) == ("--figure" in arguments)  # what is wrong is said before the work


def test_a_modality_by_itself_is_no_share_and_explains_nothing_alone(capsys, tmp_path):
    """The other one stays in its place; both tell bits, and no control of this system is trained on one side."""
    workdir = shutil.copytree(tiny_run("joint_embedding").workdir, tmp_path / "run")
    assert tools.command(["audit", str(workdir), "--modality", "picture", "--permutations", "19"]) == 0
    found = json.loads((workdir / "audit.json").read_text())
    told = " ".join(found["sentences"])
    assert "with picture another example's it is" in told
    assert "words stayed in place" in told
    assert "every modality" not in told
    assert "carries" not in told
    assert "is there only where" not in told
    assert not any("alone explains" in line for line in found["warnings"])
    assert not any(title.startswith(("share", "only")) for title in found["table"][0])
    assert list(found["bits"]["tells"]) == ["", "picture", "words"]
    assert f"The answer ({found['bits']['of']}) holds" in told


def test_what_rounding_leaves_is_shown_as_nothing():
    assert [words.number(x) for x in (-1.38e-14, 0.000123, 12.345, -0.5)] == ["0", "0.000123", "12.3", "-0.5"]
    assert words.within({"value": -1e-9, "low": -0.004, "high": 0.25}, percent=True) == "0 % (0 to 25)"
    assert words.within({"value": 2.9e-14, "low": -1e-15, "high": 0.25}) == "0 (0 to 0.25)"


@pytest.mark.parametrize("option", ["--retrain", "--bits"])
def test_one_modality_has_no_sides(capsys, option):
    assert tools.command(["audit", str(tiny_run("recognition").workdir), option]) == 2
    assert f"{option}: recognition takes one modality" in capsys.readouterr().err


def test_one_modality_has_figures_by_the_number_of_what_belongs_to_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(several, "LEAST", 2)
    workdir = shutil.copytree(tiny_run("recognition").workdir, tmp_path / "run")
    assert tools.command(["audit", str(workdir)]) == 0
    said, found = capsys.readouterr().out, json.loads((workdir / "audit.json").read_text())
    assert "auditing recognition on test: one pass over 20 examples" in said
    rows = found["several"]["objects"]
    assert sum(row["examples"] for row in rows.values()) == 20
    mean = sum(row["examples"] * row["value"] for row in rows.values()) / 20
    assert mean == pytest.approx(found["controls"][found["several_of"]][""], rel=1e-4)
    assert f"\n{found['several_of']} by the number of objects: " in said


def test_one_side_of_a_contrastive_loss_is_not_trained(capsys):
    assert tools.command(["audit", str(tiny_run("joint_embedding").workdir), "--retrain"]) == 2
    assert "--retrain: the loss is contrastive" in capsys.readouterr().err


def test_what_is_no_finished_run_is_one_line(capsys, tmp_path):
    workdir = tiny_run("vqa").workdir
    for name in ("config.json", "results.json"):
        (tmp_path / name).write_text((workdir / name).read_text())
    results = json.loads((workdir / "results.json").read_text())
    for step in (3, "6", None):
        (tmp_path / "results.json").write_text(json.dumps({**results, "step": step}))
        assert tools.command(["audit", str(tmp_path)]) == 2
        assert "is not finished: it has no results of step 6" in capsys.readouterr().err
    assert tools.command(["audit", str(tmp_path / "nothing")]) == 2
    assert "is not a workdir of mmjax" in capsys.readouterr().err


def test_a_system_without_a_distribution_says_so():
    look = looking.Look({}, {}, {}, np.zeros(0, int), {})
    asked = SimpleNamespace(config=SimpleNamespace(system="x"), options=auditing.Options())
    assert auditing._Audit.bits(asked, {}, {}, look, {}, {}) == {"refused": "x gives no distribution over classes"}
    asked.options = auditing.Options(bits=True)
    with pytest.raises(UserError, match="--bits: x gives no distribution over classes"):
        auditing._Audit.bits(asked, {}, {}, look, {}, {})


def test_one_side_is_trained_alone_and_other_seeds_are_runs(capsys, tmp_path, monkeypatch):
    """Which runs are made, and that what they are is read; their training is any run's, and here it is a copy."""
    workdir = shutil.copytree(tiny_run("vqa").workdir, tmp_path / "run")

    def run(config, place, command):
        shutil.copytree(tiny_run("vqa").workdir, place)
        made.append((place.name, config.copy_and_resolve_references()))
        with (place / "metrics.jsonl").open("a") as file:  # the larger rate is better
            figure = {"accuracy": config.optim.net.learning_rate}
            file.write(json.dumps({"step": 6, "kind": "eval", "values": figure}) + "\n")
        return {}

    def restored(folder, step=None):
        steps[folder.name] = step
        return restore(folder, step)

    made, steps, restore = [], {}, auditing.restore.restore
    monkeypatch.setattr(retraining.loop, "run", run)
    monkeypatch.setattr(auditing.restore, "restore", restored)
    asked = ["--modality", "words", "--retrain", "--rates", "1", "3", "--seeds", "2", "--permutations", "19"]
    asked += ["--step", "best"]
    assert tools.command(["audit", str(workdir), *asked]) == 0, capsys.readouterr().err
    found = json.loads((workdir / "audit.json").read_text())
    assert found["retrained"]["words"]["rate"] == 3
    runs = dict(made)
    assert list(runs) == ["words_x1", "words_x3", "seed1"]
    assert (runs["words_x1"].balance.name, runs["words_x1"].balance.modality) == ("only", "words")
    assert runs["words_x3"].optim.net.learning_rate == pytest.approx(3 * runs["words_x1"].optim.net.learning_rate)
    assert (runs["seed1"].seed, runs["seed1"].balance.name) == (1, "none")
    assert steps == {"run": "best", "words_x3": None, "seed1": "best"}
    spans, own = found["seeds"]["spans"], found["figures"]["accuracy"]
    assert found["seeds"]["runs"] == 2
    assert spans["accuracy"] == pytest.approx(dict.fromkeys(("value", "low", "high"), own["value"]))
    said = capsys.readouterr().out
    assert "Trained with words alone, at 3 times the learning rate, the same network has accuracy" in said
    assert "Over 2 runs from other seeds" in said
