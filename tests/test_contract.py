"""Every system keeps the contract of mmjax/task.py; a new one is found by itself.

Each config's tiny variant is run once, from its first to its last line, and everything here looks at that run: on one
device as on a laptop, with strict dtypes, and with warnings as errors. That eight devices give the same is tested
system by system; as a user starts it, in a process of its own, one of them is run by tests/test_front_door.py.
"""

import csv
import fnmatch
import importlib
import json
import shutil

import jax
import numpy as np
import pytest
import soundfile
from jax import export as jax_export
from ml_collections import ConfigDict
from PIL import Image
from shared import CONFIGS, ROOT, config_file, get_config, tiny_run
from video_writer import write_video

from mmjax import data, predictions, systems, tools
from mmjax import workdir as files
from mmjax.answers import inputs
from mmjax.data import spec
from mmjax.distil import pruning
from mmjax.engine import config as configs
from mmjax.engine import evaluate, loop, mesh, prepare, probes, restore
from mmjax.errors import UserError
from mmjax.export import parts
from mmjax.report import sections
from mmjax.text import vocabulary

NAMES = [path.stem for path in CONFIGS]


@pytest.fixture(scope="module", params=NAMES)
def tiny(request):
    """The finished tiny run of a config."""
    return tiny_run(request.param)


def test_every_system_has_a_config_and_a_test():
    assert {get_config(name).system for name in NAMES} == set(systems.names())
    assert all(list((ROOT / "tests" / "systems").rglob(f"test_{name}.py")) for name in systems.names())


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_is_a_whole_config(name):
    module = config_file(name)
    assert {"", "tiny"} <= set(module.VARIANTS)
    for variant in module.VARIANTS:
        config = module.get_config(variant)
        assert isinstance(config, ConfigDict)
        names = dict(configs.flat(config))
        assert set(dict(configs.flat(configs.engine("x")))) - {"data.name"} <= set(names), variant
        assert not any(isinstance(value, list | type(None)) for value in names.values()), "use tuples: overridable"
        assert config.variant == variant
        restored = ConfigDict(configs._tuples(json.loads(json.dumps(config.to_dict()))))
        assert not configs.differences(config, restored)
        assert f":{variant}" in module.__doc__ or not variant, f"the docstring does not name {variant}"
    with pytest.raises(UserError, match="'nonsense'"):
        module.get_config("nonsense")


def test_a_run_ends_with_a_table_and_a_report_and_says_that_it_is_done(tiny, capsys):
    assert "trivial baseline" in tiny.said
    assert (tiny.workdir / "report.html").stat().st_size > 10_000
    results = json.loads((tiny.workdir / "results.json").read_text())
    assert set(results["probes"]) == set(tiny.config.eval.probes)
    assert loop.run(tiny.config, tiny.workdir) == pytest.approx(results["values"], nan_ok=True)
    assert "is done" in capsys.readouterr().out


def test_two_builds_of_a_config_are_one_task(tiny):
    one, two = systems.build(tiny.config), systems.build(get_config(tiny.config_name))
    assert one == two
    assert hash(one) == hash(two)  # so that jax compiles for both what it compiles for one


def test_fields_are_of_the_glossary_and_batches_match_it(tiny):
    batch = next(tiny.ready.held_out(tiny.config.test_split, 4))
    for field in tiny.ready.task.fields:
        assert field in batch
        base = field.removesuffix("_length")
        assert base in spec.FIELDS
        if base == field and spec.FIELDS[field].dtype != "str":
            assert batch[field].dtype == spec.FIELDS[field].dtype
            assert batch[field].ndim == 1 + len(spec.FIELDS[field].shape.split())


def test_modalities_are_of_the_glossary_and_can_be_taken_away(tiny):
    task = tiny.ready.task
    assert task.modalities
    assert set(task.modalities) <= set(spec.MODALITIES)
    fields = [field for several in task.modalities.values() for field in several]
    assert len(fields) == len(set(fields)), "a field is of one modality"
    assert set(fields) <= set(task.fields)
    batch = next(tiny.ready.held_out(tiny.config.test_split, tiny.config.eval.batch_size))
    for modality, several in task.modalities.items():
        blank = probes.make(f"blank:{modality}", task.modalities)(batch, 0)
        moved = probes.make(f"shuffle:{modality}", task.modalities)(batch, 0)
        for field in batch:
            untouched = field not in several and field.removesuffix("_length") not in several
            assert untouched == (moved[field] is batch[field])
            assert (blank[field] is batch[field]) == (untouched or field.endswith("_length"))
        assert not any(blank[field].any() for field in several if not field.endswith("_length"))


def test_variables_have_three_parts_and_an_optimiser_per_group(tiny):
    variables, task = tiny.variables, tiny.ready.task
    assert set(variables) - {"fitted"} == {"params", "state", "frozen"}
    assert set(variables["params"]) == {update.group for update in task.updates} == set(tiny.config.optim)
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(variables["params"]))
    trained = {k: v for k, v in variables.items() if k != "fitted"}
    assert not any(x.weak_type for x in jax.tree.leaves(trained)), "the second step would be compiled anew"


def test_channels_that_stand_or_fall_together_are_as_many_everywhere(tiny):
    arrays = pruning.places({part: tiny.variables[part] for part in ("params", "state")})
    for group in tiny.ready.task.channels:
        sizes = {np.shape(arrays[name])[axis] / times for name, (axes, times) in group.items() for axis in axes}
        assert len(sizes) == 1
        assert any(name.endswith(pruning.GAIN) for name in group)


def test_nothing_that_only_measures_is_saved_or_trained_with(tiny):
    judges = {judge.name for judge in tiny.ready.task.judges}
    assert judges == {name.partition(":")[0] for name in tiny.config.eval.judges}
    assert not judges & set(tiny.variables["frozen"])


def test_every_figure_stands_beside_a_baseline_and_ignores_padding(tiny):
    ready, config = tiny.ready, tiny.config
    host = next(ready.held_out(config.test_split, config.eval.batch_size))
    batch = mesh.numeric(host)

    def metrics(batch):
        sums = {}
        ready.evaluator._add(sums, ready.evaluator._judged(tiny.variables), ready.evaluator.placement.put(batch))
        return sums

    pairs = metrics(batch)
    batch["valid"] = np.arange(len(batch["valid"])) < 3
    few = metrics(batch)
    spoiled = dict(batch)
    for name, value in batch.items():  # whatever stands in the padding must not matter
        if name != "valid":
            spoiled[name] = np.where(batch["valid"].reshape(-1, *[1] * (value.ndim - 1)), value, value[:1])
    again = metrics(spoiled)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), again, few)
    assert all(few[name][1] < pairs[name][1] for name in pairs)
    figures = json.loads((tiny.workdir / "results.json").read_text())["values"]
    assert set(pairs) <= set(figures)
    plain = [name for name in figures if "/" not in name]
    assert plain
    for name in plain:
        assert any(other.startswith(f"{name}/") for other in figures), f"{name} has no trivial baseline"
    # What a reader looks at first comes first.
    assert any(fnmatch.fnmatchcase(plain[0], one) for one in ready.task.headline), plain[0]


def test_predictions_are_of_the_glossary_and_classes_are_named(tiny):
    task, size = tiny.ready.task, tiny.config.eval.batch_size
    batch = mesh.numeric(next(tiny.ready.held_out(tiny.config.test_split, size)))
    variables = tiny.ready.evaluator._judged(tiny.variables)
    shapes = jax.eval_shape(task.predict, variables, batch, jax.random.key(0))
    predictions.check(shapes)
    needed = task.predicts_from or task.fields
    told = {"index", *(field for several in task.modalities.values() for field in several)}
    assert {field for field in needed if not field.endswith("_length")} <= told, "a user need not know the answer"
    given = {k: v for k, v in batch.items() if k == "valid" or k.removesuffix("_length") in needed}
    alone = jax.eval_shape(task.predict, variables, given, jax.random.key(0))
    assert alone.keys() <= shapes.keys()
    for key, value in shapes.items():
        kind, _, head = key.partition("/")
        assert value.shape[0] == size
        if kind == "scores" and f"text/{head}" in shapes:  # named example by example
            assert shapes[f"text/{head}"].shape[:2] == value.shape
        elif kind == "scores":
            assert len(task.names[head.removesuffix(predictions.TARGET)]) == value.shape[-1]


def things(folder, medium, constants):
    """Three things that a user may have of a medium, of which the third is the first again."""
    rng = np.random.default_rng(0)
    colours, tones = rng.integers(0, 255, (2, 2, 2, 3), np.uint8), np.sin(np.arange(22_050) * [[0.1], [0.2]]) / 2
    for i, which in enumerate((0, 1, 0)):
        if medium == "picture":
            Image.fromarray(colours[which]).resize((80, 60)).save(folder / f"{i}.png")
        elif medium == "sound":
            soundfile.write(folder / f"{i}.wav", tones[which], 22_050)
        elif medium == "film":
            write_video(folder / f"{i}.mp4", seconds=1.0, hertz=(440.0, 1760.0)[which])
    if medium != "text":
        suffix = {"picture": "png", "sound": "wav", "film": "mp4"}[medium]
        return sorted(map(str, folder.glob(f"*.{suffix}")))
    known = [constants[k] for k in ("caption_vocabulary", "question_vocabulary", "word_spelling") if k in constants]
    words = vocabulary.words_of(known[0])[-2:] if known else ["0", "1"]  # of a class, its number
    return [words[0], words[1], words[0]]


def test_a_user_can_ask_it_and_the_same_thing_has_the_same_answer(tiny, tmp_path, capsys):
    """With files, with texts, or with both, alone in a batch or in one that is filled up."""
    task, constants = tiny.ready.task, files.read_arrays(tiny.workdir / files.CONSTANTS)
    ways = inputs.ways((task.predicts_from or task.fields, *task.also_from), task.ask is not None)
    assert ways, "predicts_from, also_from and ask leave nothing that a user could give"
    for number, way in enumerate(ways):
        asked = {medium: things(tmp_path, medium, constants) for medium in sorted(way.reads)}
        texts = asked.pop("text", [])
        paths = [path for several in asked.values() for path in several]
        given = [*paths, *(["--text", *(texts[:1] if paths else texts)] if texts else [])]
        out = tmp_path / f"out{number}"
        status = tools.command(["predict", str(tiny.workdir), *given, "--batch", "2", "-o", str(out)])
        assert status == 0, capsys.readouterr().err
        rows = list(csv.DictReader((out / "predictions.csv").read_text().splitlines()))
        told = [{k: v for k, v in row.items() if k not in ("file", "text", "match")} for row in rows]
        assert len(told) == 3
        assert told[0]
        for column in told[0]:
            if column.startswith("embedding"):
                points = np.load(out / f"{column}.npy")
                np.testing.assert_allclose(points[2], points[0], rtol=1e-4, atol=1e-6)
                assert (points[1] != points[0]).any()
            elif f"image/{column}" in task.answers:
                assert np.asarray(Image.open(out / told[0][column])).shape[2] == 3
            elif f"audio/{column}" in task.answers:
                sounds = [soundfile.read(out / row[column], dtype="int16") for row in told]
                assert {rate for _, rate in sounds} == {task.sample_rate}
                np.testing.assert_allclose(sounds[2][0], sounds[0][0], atol=33)  # a thousandth of full scale
            else:
                assert told[0][column] == told[2][column]
    assert tools.command(["predict", str(tiny.workdir), "-o", str(tmp_path / "of_the_split")]) == 0


def test_it_can_be_audited(tiny, tmp_path, capsys):
    """Whole figures are the run's own, shares sum to one, and a system of one modality says so in one line."""
    workdir = shutil.copytree(tiny.workdir, tmp_path / "run")
    assert tools.command(["audit", str(workdir), "--permutations", "19"]) == 0, capsys.readouterr().err
    found, said = json.loads((workdir / files.AUDIT).read_text()), capsys.readouterr().out
    results = json.loads((workdir / files.RESULTS).read_text())["values"]
    modalities = list(tiny.ready.task.modalities)
    assert found["modalities"] == modalities
    assert all(line in said for line in found["sentences"])
    if len(modalities) == 1:
        assert f"takes one modality, {modalities[0]}" in found["sentences"][0]
        assert {name: of[""] for name, of in found["controls"].items()}.items() <= results.items()
        return
    headline = tiny.ready.task.headline  # what a reader looks at first, if nothing chose a checkpoint
    assert list(found["figures"]) == list(evaluate.in_order(found["figures"], headline))
    assert found["figure"] in (tiny.config.best, next(iter(found["figures"])))
    for name, of in found["figures"].items():
        if of["units"] == "example":
            assert of["value"] == pytest.approx(results[name], rel=1e-4, abs=1e-6)
        for by in of["replaced"].values():
            gain = of["value"] - by["nothing"]["value"]
            assert sum(earned["value"] for earned in by["shapley"].values()) == pytest.approx(gain, abs=1e-6)
            assert all(0 < there["p"] <= 1 for there in by["without"].values())
    page = (workdir / files.REPORT).read_text()
    assert "Audit, after step" in page
    assert all(f"without {modality}" in page for modality in modalities)


def test_its_answers_are_a_program_for_any_number_of_examples(tiny):
    """A shape is read as x.shape[0]: len(x) must be a number, which the batch of an exported program is not."""
    (size,) = jax_export.symbolic_shape("b")
    for part in parts.of(restore.restore(tiny.workdir)):
        traced = jax.jit(part.anywhere)
        made = jax_export.export(traced)(parts.abstract(part, size), jax.eval_shape(jax.random.key, 0))
        assert all(str(value.shape[0]) == "b" for value in made.out_avals)


def test_everything_that_is_predicted_has_a_place_on_the_page(tiny):
    assert "shown by no section" not in (tiny.workdir / "report.html").read_text()


def test_no_section_of_the_report_waits_for_what_nobody_predicts():
    answers = []
    for name in NAMES:
        config = get_config(name)
        task = systems.build(config)
        source = prepare.open_splits(task, config)[config.train_split]
        batch = prepare.example_batch(source, config)
        fresh = jax.eval_shape(task.init, jax.random.key(0), {**batch, **getattr(source, "constants", {})})
        judges = {"judges": {judge.name: judge.load() for judge in task.judges}}
        predicted = jax.eval_shape(task.predict, {**fresh, **judges}, batch, jax.random.key(0))
        beside = {f"text/{field}_target" for field in task.references if spec.FIELDS[field].dtype == "str"}
        answers.append({*predicted, *beside})
    assert sections.wanted(*answers) == {}


def test_data_modules_share_one_interface():
    for name in data.names():
        module = importlib.import_module(f"mmjax.data.sets.{name}")
        assert callable(module.source)
        assert hasattr(module, "FIELDS") or callable(module.fields)
