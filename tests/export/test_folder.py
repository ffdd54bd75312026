"""`mmjax export` on toy runs: what comes back is what the run answers, in its runtime and through `mmjax predict`."""

import csv
import dataclasses
import functools
import io
import json
import re
import sys

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from ml_collections import ConfigDict
from PIL import Image

from mmjax import data, decode, tools, workdir
from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.export import exported, figures, onnx_file, onnx_products, parts, stablehlo
from mmjax.export import folder as exports
from mmjax.light import weighing
from mmjax.task import Task, Writing, bind
from mmjax.text import vocabulary
from mmjax.weights import safetensors_file

FIELDS = ("image",)
PIXELS = 8
SILENCE = np.zeros(6, np.int16)


def see(variables, batch, key):
    """How far two colours are from a trained one, as scores; a reference and a picture, for which nobody asks."""
    assert batch["valid"].dtype == bool
    colour = jnp.mean(batch["image"].astype(jnp.float32), (1, 2)) / 255  # b 3
    scores = jax.nn.softmax(colour @ variables["params"]["net"]["kernel"])
    return {"scores/shade": scores, "scores/shade_target": scores, "image/picture": batch["image"]}


def see_by_length(variables, batch, key):
    """The same, of code that asks for the number of rows."""
    return see(
        variables,
        {**batch, "image": batch["image"] + jnp.zeros(len(batch["image"]), jnp.uint8)[:, None, None, None]},
        key,
    )


def draw(variables, batch, key):
    """A picture of noise."""
    return {"image/generated": jax.random.bits(key, (batch["image"].shape[0], 4, 4, 3), jnp.uint8)}


class Pictures:
    """The test split."""

    def __init__(self, count=5):
        self.constants = {}
        self.images = np.random.default_rng(0).integers(0, 256, (count, PIXELS, PIXELS, 3), np.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return {"image": self.images[index]}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """predict -> the workdir of a run whose system predicts so."""

    def made(predict, answers=("scores/shade",), step=7, shift=0, also=(), writing=None, frozen=None):
        task = Task(
            (*FIELDS, *(field for fields in also for field in fields)),
            lambda *_: {},
            (),
            lambda *_: {},
            predict,
            names={"shade": ("dark", "bright")},
            predicts_from=FIELDS,
            answers=answers,
            also_from=also,
            whole=True,
            writing=writing,
        )
        config = ConfigDict({"system": "toy", "data": {"name": "captioned_images", "fit": "squash"}})
        config.update({"test_split": "test", "train_split": "train", "loader": {"workers": 0}})
        kernel = np.array([[1, -1], [2, 0.5], [-1, 3]], np.float32) + shift
        shapes = {"image": ("uint8", 4, PIXELS, PIXELS, 3), "speech": ("int16", 4, 6)}
        variables = {"params": {"net": {"kernel": jnp.asarray(kernel)}}, "state": {"pair": (np.ones(2), np.zeros(1))}}
        variables |= {"frozen": frozen} if frozen else {}
        run = restore.Restored(config, task, variables, step, {}, shapes)
        monkeypatch.setattr(restore, "restore", lambda path, step=None: run)
        monkeypatch.setattr(restore.built, "of", lambda config: (task, {}))
        monkeypatch.setattr(data, "open", lambda split, fields, **_: Pictures())
        home = tmp_path / "run"
        home.mkdir(exist_ok=True)
        (home / workdir.CONFIG).write_text(config.to_json())
        (home / workdir.BATCH).write_text(json.dumps({"image": ["uint8", 4, PIXELS, PIXELS, 3]}))
        return home

    monkeypatch.setattr(
        restore.configs, "load", lambda path: ConfigDict(json.loads((path / workdir.CONFIG).read_text()))
    )
    return made


def export(home, target, *more):
    return tools.run("export", [str(home), "-o", str(target), *more])


def answers(capsys, *arguments):
    capsys.readouterr()
    assert tools.run("predict", [str(a) for a in arguments]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


@pytest.fixture
def photos(tmp_path):
    for number, image in enumerate(Pictures(5).images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    return [tmp_path / f"{number}.png" for number in range(5)]


@pytest.mark.parametrize(("predict", "size"), [(see, "any"), (see_by_length, 2)])
def test_an_export_answers_as_its_run(toy, photos, tmp_path, capsys, monkeypatch, predict, size):
    home = toy(predict)
    assert export(home, tmp_path / "out" / "toy.stablehlo", "--batch", "2") == 0
    said = capsys.readouterr().out
    assert re.search(r"on 5 held-out examples scores/shade off by \S+ at most, 100.0% the same answer", said)
    assert ("not for any batch size" in said) == (size == 2)
    made = tmp_path / "out" / "toy"
    about = json.loads((made / exported.ABOUT).read_text())
    assert about["files"]["toy.stablehlo"]["batch"] == size
    assert about["files"]["toy.stablehlo"]["inputs"] == {"image": ["uint8", PIXELS, PIXELS, 3]}
    assert about["files"]["toy.stablehlo"]["outputs"] == {"scores/shade": ["float32", 2]}
    assert about["names"] == {"shade": ["dark", "bright"]}
    own = answers(capsys, home, *photos)
    assert len(own) == 5
    assert {row["shade"] for row in own} <= {"dark", "bright"}
    assert answers(capsys, made, *photos) == own == answers(capsys, made / "toy.stablehlo", *photos)
    monkeypatch.chdir(made)
    (code,) = re.findall(r"```python\n(.*?)```", (made / "README.md").read_text(), re.DOTALL)
    exec(code, {})
    assert "'scores/shade': (" in capsys.readouterr().out


def test_a_file_takes_one_length(toy, tmp_path):
    """A run that hears sounds of any length becomes an export that hears them in pieces."""
    home = toy(see)
    assert export(home, tmp_path / "toy.stablehlo") == 0
    made = exported.read(tmp_path / "toy")
    assert restore.restore(home).task.whole
    assert not made.task.whole
    with pytest.raises(UserError, match=r"toy\.stablehlo takes image of shape \[8, 8, 3\], and this is \[9, 9, 3\]"):
        made.answers({"image": np.zeros((2, 9, 9, 3), np.uint8)})


def test_what_runs_for_one_size_alone_is_written_for_it(toy, tmp_path, capsys, monkeypatch):
    class Runner(stablehlo.Runner):
        def __call__(self, batch, seed=0):
            if len(batch["image"]) != 2:
                raise UserError("invalid shape")
            return super().__call__(batch, seed)

    monkeypatch.setattr(stablehlo, "Runner", Runner)
    assert export(toy(see), tmp_path / "toy.stablehlo", "--batch", "2") == 0
    assert "not for any batch size (invalid shape): for 2" in capsys.readouterr().out
    assert exported.read(tmp_path / "toy").files["toy.stablehlo"]["batch"] == 2


def test_what_is_drawn_follows_the_seed(toy, photos, tmp_path, capsys):
    home = toy(draw, ("image/generated",))
    assert export(home, tmp_path / "toy.stablehlo") == 0
    run, again = restore.restore(home), exported.read(tmp_path / "toy")
    batch = {"image": Pictures(3).images}
    for seed in (0, 5):
        np.testing.assert_array_equal(
            again.answers(batch, seed)["image/generated"], run.answers(batch, seed)["image/generated"]
        )
    assert (again.answers(batch, 0)["image/generated"] != again.answers(batch, 5)["image/generated"]).any()


def test_weights_alone_have_their_names(toy, tmp_path):
    assert export(toy(see), tmp_path / "toy.safetensors") == 0
    tree, said = safetensors_file.load(tmp_path / "toy" / "toy.safetensors")
    assert tree["params"]["net"]["kernel"].tolist() == [[1, -1], [2, 0.5], [-1, 3]]
    assert tree["state"]["pair"]["0"].tolist() == [1, 1]
    assert said["step"] == "7"
    with pytest.raises(UserError, match="nothing there runs"):
        exported.read(tmp_path / "toy")


def test_onnx_answers_in_its_own_runtime(toy, photos, tmp_path, capsys):
    pytest.importorskip("jax2onnx")
    home = toy(see)
    assert export(home, tmp_path / "toy.onnx", "--int8") == 0
    own = answers(capsys, home, *photos)
    assert [row["shade"] for row in answers(capsys, tmp_path / "toy", *photos)] == [row["shade"] for row in own]
    about = json.loads((tmp_path / "toy" / exported.ABOUT).read_text())["files"]
    assert set(about) == {"toy.onnx", "toy_int8.onnx"}
    assert about["toy.onnx"]["against_the_run"]["scores/shade"]["largest"] < 1e-6
    with pytest.raises(UserError, match=r"toy\.onnx: ONNX Runtime cannot run it: "):
        onnx_file.Runner(tmp_path / "toy" / "toy.onnx")({"image": np.zeros((1, 3, 3, 3), np.uint8)})
    assert export(toy(draw, ("image/generated",)), tmp_path / "noise.onnx") == 2
    assert "drawn from a seed" in capsys.readouterr().err
    assert not (tmp_path / "noise").exists()


def test_mistakes_are_one_line(toy, tmp_path, capsys, monkeypatch):
    home = toy(see)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    for target, more, line in (
        ("toy.pb", (), "its end says the format: .stablehlo, .onnx, .safetensors"),
        ("full.stablehlo", (), "full is there and is no export"),
        ("toy.stablehlo", ("--int8",), "only .onnx has 8 bits"),
        ("toy.stablehlo", ("--batch", "0"), "--batch 0: it must be at least 1"),
    ):
        assert export(home, tmp_path / target, *more) == 2
        assert line in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["thesis.tex"]
    assert export(home, tmp_path / "toy.stablehlo") == 0
    assert export(toy(see, step=8), tmp_path / "toy.stablehlo") == 2
    assert "is an export of other weights, of run, step 7: name another folder" in capsys.readouterr().err
    known = (tmp_path / "toy" / exported.ABOUT).read_text()
    assert export(toy(see, shift=1), tmp_path / "toy.stablehlo") == 2  # trained anew: the same name, the same step
    assert "is an export of other weights" in capsys.readouterr().err
    assert (tmp_path / "toy" / exported.ABOUT).read_text() == known
    assert tools.run("predict", [str(tmp_path / "toy"), "a.png", "--step", "3"]) == 2
    assert "is an export, which is of one step" in capsys.readouterr().err
    assert export(tmp_path / "toy", tmp_path / "again.stablehlo") == 2
    assert "toy is an export already: give the run that it was made of" in capsys.readouterr().err
    assert export(home, tmp_path / "toy.stablehlo", "--step", "²") == 2
    file = tmp_path / "toy" / "toy.stablehlo"
    file.write_bytes(b"no such thing")
    with pytest.raises(UserError, match=r"is not of jax\.export"):
        exported.read(file).answers({"image": Pictures(1).images})
    for content in ("", "{ half", "[1]", "{}"):
        (tmp_path / "toy" / exported.ABOUT).write_text(content)
        for tool, *more in (("predict", "a.png"), ("export", "-o", str(tmp_path / "toy.stablehlo")), ("light",)):
            assert tools.run(tool, [str(home if tool == "export" else tmp_path / "toy"), *more]) == 2
            assert "export.json is damaged" in capsys.readouterr().err


def test_what_is_exported_again_leaves_nothing_of_before(toy, tmp_path, capsys):
    """Neither a file nor a figure; what a user laid there stays, whatever its name."""
    home, made = toy(see), tmp_path / "toy"
    assert export(home, tmp_path / "toy.stablehlo") == 0
    about = json.loads((made / exported.ABOUT).read_text())
    about["files"]["toy_old.stablehlo"] = about["files"]["../near.stablehlo"] = about["files"]["toy.stablehlo"]
    about["files"]["toy.onnx"] = about["files"]["toy.stablehlo"]
    about["figures"]["_old.stablehlo"] = {"examples": 5}
    (made / exported.ABOUT).write_text(json.dumps(about))
    kept = [made / "toy_mine.stablehlo", made / "toy.onnx", made / "thesis.tex", tmp_path / "near.stablehlo"]
    for file in (*kept, made / "toy_old.stablehlo"):
        file.write_text("years of work")
    assert export(home, tmp_path / "toy.stablehlo") == 0
    assert not (made / "toy_old.stablehlo").exists()
    assert all(file.read_text() == "years of work" for file in kept)
    about = json.loads((made / exported.ABOUT).read_text())
    assert set(about["files"]) == {"toy.stablehlo", "toy.onnx"}  # of another format nothing was said
    assert set(about["figures"]) == {".stablehlo"}


def test_eight_bits_go_with_the_float_file_that_they_were_made_of(toy, tmp_path, capsys):
    pytest.importorskip("jax2onnx")
    home, made = toy(see), tmp_path / "toy"
    assert export(home, tmp_path / "toy.onnx", "--int8") == 0
    assert export(home, tmp_path / "toy.onnx", "--batch", "2") == 0
    assert not (made / "toy_int8.onnx").exists()
    assert "_int8" not in (made / exported.ABOUT).read_text() + (made / "README.md").read_text()


def test_a_missing_extra_is_named(toy, tmp_path, capsys, monkeypatch):
    for name, suffix, extra in (("jax2onnx", "onnx", "onnx"), ("flatbuffers", "stablehlo", "export")):
        monkeypatch.setitem(sys.modules, name, None)
        assert export(toy(see), tmp_path / f"toy.{suffix}") == 2
        assert f"needs the package {name}: pip install 'mmjax[{extra}]'" in capsys.readouterr().err


def test_rows_of_another_length_are_cut_or_filled_up():
    part = parts.Part("", {"tokens": ("int32", (3,)), "image": ("uint8", (1, 2))}, None, None)
    columns = {"tokens": np.array([[1, 2], [3, 4]], np.int32), "image": np.array([[[5, 6, 7], [8, 9, 0]]], np.uint8)}
    found = parts.examples(part, columns)
    assert {name: value.tolist() for name, value in found.items()} == {
        "tokens": [[1, 2, 0], [3, 4, 0]],
        "image": [[[5, 6]]],
    }


def test_the_difference_counts_examples_whose_answer_is_another():
    want = np.array([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]], np.float32)
    got = np.array([[0.5, 0.5], [0.6, 0.4], [0.5, 0.5]], np.float32)
    assert exports.difference(want, got, scores=True) == {"largest": pytest.approx(0.3), "same": pytest.approx(2 / 3)}
    assert exports.difference(want, got) == {"largest": pytest.approx(0.3)}  # of points the largest place says nothing
    letters = np.array([[97, 0], [98, 99]], np.uint8)
    assert exports.difference(letters, letters + np.array([[0], [1]], np.uint8)) == {"largest": 1.0, "same": 0.5}
    assert exports.difference(np.ones((2, 3, 3), np.float32), np.ones((2, 3, 3), np.float32)) == {"largest": 0.0}
    with pytest.raises(UserError, match="the export answers"):
        exports.difference(want, got[:2])
    with pytest.raises(UserError, match="no numbers where the run's are not"):
        exports.difference(want, np.where(got == 0.6, np.nan, got).astype(np.float32))


def test_what_ends_on_the_way_leaves_no_folder_and_changes_none(toy, tmp_path, monkeypatch):
    home, made = toy(see), tmp_path / "toy"

    def ends(*_):
        raise KeyboardInterrupt

    for before in ([], ["README.md", "batch.json", "config.json", "export.json", "toy.stablehlo"]):
        with monkeypatch.context() as patch:
            patch.setattr(exports, "difference", ends)
            with pytest.raises(KeyboardInterrupt):
                exports.write(restore.restore(home), home, tmp_path / "toy.stablehlo", 1, False, lambda line: None)
        assert (sorted(path.name for path in made.iterdir()) if made.exists() else []) == before
        (tmp_path / ".toy.part").mkdir()  # of one that was killed
        (tmp_path / ".toy.part" / "half.stablehlo").write_bytes(b"")
        exports.write(restore.restore(home), home, tmp_path / "toy.stablehlo", 1, False, lambda line: None)
        assert not (tmp_path / ".toy.part").exists()
        assert exported.read(made).files


def see_or_hear(variables, batch, key):
    """Scores of a picture; of a sound, which can be exported nowhere, none."""
    if "image" in batch:
        return see(variables, batch, key)
    raise UserError("no sound")


def test_a_side_that_cannot_be_exported_is_named_and_the_other_is(toy, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Pictures, "__getitem__", lambda self, i: {"image": self.images[i], "speech": SILENCE})
    home = toy(see_or_hear, also=(("speech",),))
    assert export(home, tmp_path / "toy.stablehlo") == 0
    assert re.search(r"left out: .*no sound", capsys.readouterr().out)
    made = exported.read(tmp_path / "toy")
    assert list(made.files) == ["toy_image.stablehlo"]
    with pytest.raises(UserError, match=r"nothing there takes this; toy_image\.stablehlo: image"):
        made.answers({"speech": np.zeros((1, 6), np.int16)})


def test_eight_bits_reach_linear_layers_and_weights_that_are_put_together(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(64, 32)).astype(np.float32) for name in ("left", "right")}
    constants = [numpy_helper.from_array(value, name) for name, value in {**arrays, "zero": np.float32(0)}.items()]
    nodes = [
        helper.make_node("Concat", ["left", "right"], ["both"], axis=1),
        helper.make_node("Gemm", ["x", "both", "zero"], ["y"], alpha=1.0, beta=0.0),
    ]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["b", 64]) for name in "xy"]
    graph = helper.make_graph(nodes, "linear", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", onnx_file.OPSET)], ir_version=10)
    onnx.save(model, tmp_path / "float.onnx")
    onnx_file.quantise(tmp_path / "float.onnx", tmp_path / "int8.onnx")
    kinds = {node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node}
    assert "MatMulInteger" in kinds
    assert not kinds & {"Gemm", "Concat"}
    x = rng.normal(size=(3, 64)).astype(np.float32)
    got = onnx_file.Runner(tmp_path / "int8.onnx")({"x": x})["y"]
    want = x @ np.concatenate([arrays["left"], arrays["right"]], 1)
    assert 0 < np.abs(got - want).max() < 0.02 * np.abs(want).max()


def test_eight_bits_reach_turned_kernels_einsums_and_loops(tmp_path):
    """x convolved with a kernel that is turned; its pixels, summed, go three times through a layer inside a loop."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    arrays = {
        "kernel": rng.normal(size=(3, 3, 4, 16)).astype(np.float32),
        "layer": (rng.normal(size=(16, 8)) / 4).astype(np.float32),
        "square": (rng.normal(size=(8, 8)) / 3).astype(np.float32),
        "turns": np.int64(3),
        "go": np.bool_(True),
        "zero": np.float32(0),
        "axes": np.int64([2, 3]),
    }
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]
    number = onnx.TensorProto
    kinds = {"i": (number.INT64, []), "go_in": (number.BOOL, []), "w": (number.FLOAT, [8, 8])}
    state = (number.FLOAT, ["b", 8])
    body = helper.make_graph(
        [
            helper.make_node("Gemm", ["s", "w", "none"], ["product"], alpha=1.0, beta=0.0),
            helper.make_node("Tanh", ["product"], ["s_out"]),
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("Identity", ["w"], ["w_out"]),
        ],
        "body",
        [helper.make_tensor_value_info(name, *kind) for name, kind in {**kinds, "s": state}.items()],
        [
            helper.make_tensor_value_info(name, *kind)
            for name, kind in {"go_out": kinds["go_in"], "w_out": kinds["w"], "s_out": state}.items()
        ],
        [numpy_helper.from_array(np.float32(0), "none")],
    )
    nodes = [
        helper.make_node("Transpose", ["kernel"], ["turned"], perm=[3, 2, 0, 1]),
        helper.make_node("Conv", ["x", "turned"], ["seen"], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["seen", "axes"], ["pooled"], keepdims=0),
        helper.make_node("Einsum", ["pooled", "layer"], ["begun"], equation="ab,bc->ac"),
        helper.make_node("Loop", ["turns", "go", "square", "begun"], ["same", "y"], body=body),
    ]
    ends = [
        helper.make_tensor_value_info("x", number.FLOAT, ["b", 4, 6, 6]),
        helper.make_tensor_value_info("y", *state),
    ]
    graph = helper.make_graph(nodes, "several", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", onnx_file.OPSET)], ir_version=10)
    onnx.save(model, tmp_path / "float.onnx")
    x = {"x": rng.normal(size=(3, 4, 6, 6)).astype(np.float32)}
    want = onnx_file.Runner(tmp_path / "float.onnx")(x)["y"]
    onnx_products.rewrite(model.graph)
    onnx.save(model, tmp_path / "rewritten.onnx")
    np.testing.assert_allclose(onnx_file.Runner(tmp_path / "rewritten.onnx")(x)["y"], want, atol=1e-5)
    onnx_file.quantise(tmp_path / "float.onnx", tmp_path / "int8.onnx")
    made = onnx.load(tmp_path / "int8.onnx").graph
    inside = next(node for node in made.node if node.op_type == "Loop").attribute[0].g
    assert [node.op_type for node in made.node].count("ConvInteger") == 1
    assert [node.op_type for node in [*made.node, *inside.node]].count("MatMulInteger") == 2
    left = [numpy_helper.to_array(one) for one in [*made.initializer, *inside.initializer]]
    assert max(one.size for one in left if one.dtype == np.float32) <= 16  # scales alone
    got = onnx_file.Runner(tmp_path / "int8.onnx")(x)["y"]
    assert 0 < np.abs(got - want).max() < 0.1


def node(kind, given, made, **how):
    from onnx import helper

    return helper.make_node(kind, given, made, **how)


def loop_over_a_constant(*more, given="w", outputs=("go_out", "w_out", "s_out")):
    """A Loop that hands on the constant `w`, which its product reads under the name `given`."""
    from onnx import TensorProto as number
    from onnx import helper

    kinds = {"i": (number.INT64, []), "go_in": (number.BOOL, []), "w": (number.FLOAT, [4, 4]), "s": (number.FLOAT, [4])}
    kinds |= {"go_out": kinds["go_in"], "w_out": kinds["w"], "s_out": kinds["s"]}
    nodes = [
        node("Identity", ["w"], ["w_out"]),
        node("MatMul", ["s", given], ["product"]),
        node("Tanh", ["product"], ["s_out"]),
        node("Identity", ["go_in"], ["go_out"]),
    ]
    ends = (
        [helper.make_tensor_value_info(name, *kinds[name]) for name in names] for names in (list(kinds)[:4], outputs)
    )
    body = helper.make_graph(nodes, "body", *ends)
    return node("Loop", ["turns", "go", "square", "x"], ["same", "y", *more], body=body)


BODY_THAT_READS = {"given": "w_out"}
BODY_THAT_GIVES_TWICE = {"outputs": ("go_out", "w_out", "s_out", "w_out")}


@pytest.mark.parametrize(
    ("made", "x", "products"),
    [
        (lambda: node("Gemm", ["x", "square", "line"], ["y"]), (3, 4), 0),  # adds: beta is 1 where it is not said
        (lambda: node("Gemm", ["x", "square", "line"], ["y"], beta=0.0), (3, 4), 1),
        (lambda: node("Gemm", ["x", "square"], ["y"]), (3, 4), 1),
        (lambda: node("Gemm", ["x", "square", ""], ["y"]), (3, 4), 1),
        (lambda: node("Gemm", ["x", "square"], ["y"], alpha=2.0), (3, 4), 0),
        (lambda: node("Gemm", ["x", "square"], ["y"], transB=1), (3, 4), 0),
        (lambda: node("Einsum", ["x", "square"], ["y"], equation="abc,cd->abd"), (2, 3, 4), 1),
        (lambda: node("Einsum", ["x", "square"], ["y"], equation="ab,bb->ab"), (3, 4), 0),
        (lambda: node("Einsum", ["x", "square"], ["y"], equation="bb,bc->bc"), (4, 4), 0),
        (lambda: node("Einsum", ["x", "square"], ["y"], equation="ab,cb->ac"), (3, 4), 0),
        (lambda: loop_over_a_constant(**BODY_THAT_READS), (4,), 1),
        (lambda: loop_over_a_constant("all", **BODY_THAT_GIVES_TWICE), (4,), 1),
    ],
)
def test_what_a_graph_computes_stays(tmp_path, made, x, products):
    """Whatever the rewriting takes for a product is one, and what it leaves stays whole."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    arrays = {"square": rng.normal(size=(4, 4)), "line": rng.normal(size=4)}
    arrays = {name: value.astype(np.float32) for name, value in arrays.items()}
    arrays |= {"turns": np.int64(3), "go": np.bool_(True)}
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]
    one = made()
    ends = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x)]
    ends += [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in one.output if name != "same"]
    graph = helper.make_graph([one], "one", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", onnx_file.OPSET)], ir_version=10)
    onnx.save(model, tmp_path / "plain.onnx")
    given = {"x": rng.normal(size=x).astype(np.float32)}
    want = onnx_file.Runner(tmp_path / "plain.onnx")(given)
    onnx_products.rewrite(model.graph)
    onnx.save(model, tmp_path / "rewritten.onnx")
    got = onnx_file.Runner(tmp_path / "rewritten.onnx")(given)
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6)
    assert str(model.graph).count('op_type: "MatMul"') == products


def test_a_graph_that_cannot_be_quantised_is_one_line(toy, tmp_path, capsys, monkeypatch):
    pytest.importorskip("jax2onnx")
    from onnxruntime import quantization

    def refuses(*_, **__):
        raise RuntimeError("Invalid model\nwith more lines")

    monkeypatch.setattr(quantization, "quantize_dynamic", refuses)
    assert export(toy(see), tmp_path / "toy.onnx", "--int8") == 2
    said = "toy_int8.onnx: ONNX Runtime cannot quantise it: RuntimeError: Invalid model\n"
    assert capsys.readouterr().err.endswith(said)
    assert not (tmp_path / "toy").exists()


def test_of_an_n_best_list_the_first_is_the_answer():
    letters = np.array([[[97], [98]], [[97], [98]], [[98], [97]]], np.uint8)
    want = {"text/answer": letters, "scores/answer": np.float32([[0.9, 0.1]] * 3), "scores/shade": np.eye(3, 2)}
    want["scores/shade"] = want["scores/shade"].astype(np.float32)
    got = {**want, "text/answer": letters.copy(), "scores/shade": want["scores/shade"][:, ::-1]}
    got["text/answer"][0, 1] = 99  # the second of the first example
    got["text/answer"][2, 0] = 99  # the first of the third
    found = exports.differences(want, got)
    assert found["text/answer"]["same"] == pytest.approx(2 / 3)
    assert found["scores/answer"] == {"largest": 0.0}  # the highest is the first one always
    assert found["scores/shade"]["same"] == pytest.approx(1 / 3)


def test_a_loop_keeps_what_others_read_whichever_constant_comes_first(tmp_path):
    """Two constants go through a loop; one comes out for nobody, and the other for a node behind it."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    number, square = onnx.TensorProto, (onnx.TensorProto.FLOAT, [4, 4])
    inner = {
        "i": (number.INT64, []),
        "go_in": (number.BOOL, []),
        "a": square,
        "b": square,
        "s": (number.FLOAT, ["n", 4]),
    }
    outer = {"go_out": inner["go_in"], "a_out": square, "b_out": square, "s_out": inner["s"]}
    steps = [("MatMul", ["s", "a"], "t"), ("MatMul", ["t", "b"], "s_out")]
    steps += [("Identity", [name], out) for name, out in (("go_in", "go_out"), ("a", "a_out"), ("b", "b_out"))]
    ends = [[helper.make_tensor_value_info(n, *of) for n, of in side.items()] for side in (inner, outer)]
    body = helper.make_graph([helper.make_node(kind, given, [out]) for kind, given, out in steps], "body", *ends)
    rng = np.random.default_rng(0)
    arrays = {"m": np.int64(2), "go": np.bool_(True), **{n: rng.normal(size=(4, 4)).astype(np.float32) for n in "vw"}}
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]
    for read in ("v_after", "w_after"):  # of the constant that is looked at last, and first
        nodes = [
            helper.make_node("Loop", ["m", "go", "v", "w", "x"], ["v_after", "w_after", "z"], body=body),
            helper.make_node("MatMul", ["z", read], ["y"]),
        ]
        given, said = (helper.make_tensor_value_info(name, number.FLOAT, ["n", 4]) for name in "xy")
        graph = helper.make_graph(nodes, "two", [given], [said], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", onnx_file.OPSET)], ir_version=10)
        x = {"x": rng.normal(size=(3, 4)).astype(np.float32)}
        onnx.save(model, tmp_path / "whole.onnx")
        onnx_products.rewrite(model.graph)
        onnx.save(model, tmp_path / "rewritten.onnx")
        got, want = (onnx_file.Runner(tmp_path / f"{name}.onnx")(x)["y"] for name in ("rewritten", "whole"))
        np.testing.assert_allclose(got, want, rtol=1e-5)


def judge(predicted, references):
    """A figure of the answers, its baseline, and one that is of something else."""
    found = {"greenness": float(references["image"][..., 1].mean())}
    if "scores/shade" not in predicted:
        return found
    return {**found, "brightness": float(predicted["scores/shade"][:, 1].mean()), "brightness/half": 0.5}


def test_the_runs_figures_are_made_of_the_exports_answers(toy, tmp_path, capsys):
    home = toy(see)
    run = restore.restore(home)
    run = dataclasses.replace(run, task=dataclasses.replace(run.task, score=judge, references=("image",)))
    columns = {"image": Pictures(5).images}
    want = run.answers(columns)["scores/shade"]
    turned = np.array([1, 0, 0, 0, 1], bool)
    got = np.where(turned[:, None], want[:, ::-1], want)
    for size in (2, 64):
        found = figures.beside(run, columns, {"scores/shade": got, "image/picture": columns["image"]}, size)
        assert list(found) == ["brightness", "shade_right"]  # of neither the baseline nor what is in the data
        assert found["shade_right"] == {"run": 1.0, "export": pytest.approx(0.6)}
        assert found["brightness"]["run"] == pytest.approx(want[:, 1].mean(), abs=1e-6)
        assert found["brightness"]["export"] == pytest.approx(got[:, 1].mean(), abs=1e-6)
    assert figures.beside(run, columns, {"image/picture": columns["image"]}, 2) == {}
    assert export(home, tmp_path / "toy.stablehlo", "--examples", "3") == 0
    assert "*.stablehlo: shade_right 1 (the run 1)" in capsys.readouterr().out
    about = json.loads((tmp_path / "toy" / exported.ABOUT).read_text())
    assert about["figures"] == {".stablehlo": {"examples": 3, "shade_right": {"run": 1.0, "export": 1.0}}}
    assert weighing.of_export(tmp_path / "toy", "toy") == {"toy.stablehlo, 3 examples": {"shade_right": {"value": 1.0}}}


def all_scores(predicted, references):
    """Of whatever scores there are but the truths'."""
    names = [name for name in predicted if name.startswith("scores/") and not name.endswith("_target")]
    (_, classes) = np.shape(sum(predicted[name] for name in names))
    return {"classes": float(classes)}


def test_a_score_that_finds_its_answers_by_their_kind_says_nothing_without_them(toy):
    """As SoundNet's does: it sums over all that it finds, and has no shape to go by where there is nothing."""
    home = toy(see)
    run = restore.restore(home)
    run = dataclasses.replace(run, task=dataclasses.replace(run.task, score=all_scores, references=("image",)))
    columns = {"image": Pictures(5).images}
    found = figures.beside(run, columns, {"scores/shade": run.answers(columns)["scores/shade"]}, 2)
    assert found["classes"] == {"run": 2.0, "export": 2.0}


# -- an answer that is written token by token --------------------------------------------------------------------------

WORDS = (*vocabulary.SPECIAL, "dark", "bright", "grey")
SEARCH = {"start": 1, "end": 2, "forbidden": (0, 1, 3), "max_length": 4, "size": 2}
DRAWN = np.random.default_rng(24).normal(0, 1.5, (3, len(WORDS))).astype(np.float32)


def begin(variables, batch):
    """What stays is a colour and what changes is another one."""
    colour = jnp.mean(batch["image"].astype(jnp.float32), (1, 2)) / 255  # b 3
    return {"colour": colour}, {"mood": jnp.flip(colour, 1)}


def go_on(variables, memory, state, token):
    """The last word's column moves the mood, and what it says is seen against the colour."""
    mood = jnp.tanh(2 * state["mood"] + jnp.asarray(DRAWN).T[token])
    return {"mood": mood}, (mood - memory["colour"]) @ jnp.asarray(DRAWN) + jnp.sum(
        variables["params"]["net"]["kernel"]
    )


def say_so(variables, batch, key):
    """The words of the search over both."""
    memory, state = begin(variables, batch)
    start, end, length = (SEARCH[name] for name in ("start", "end", "max_length"))
    step = functools.partial(go_on, variables, memory)
    found = decode.beam(step, state, start, end, length, size=SEARCH["size"], forbidden=SEARCH["forbidden"])
    return {"text/caption": jnp.asarray(vocabulary.spell(WORDS))[found.tokens[:, 0]]}


@pytest.fixture
def writer(toy):
    writing = Writing("text/caption", "caption_vocabulary", bind(begin), bind(go_on), SEARCH)
    return toy(say_so, ("text/caption",), writing=writing, frozen={"caption_vocabulary": vocabulary.spell(WORDS)})


def check_loop(home, made, suffix, capsys, monkeypatch):
    """The loop over both files says what the run says, by `mmjax predict` and by the lines of the README."""
    batch = {"image": Pictures(5).images}
    want = restore.restore(home).answers(batch)["text/caption"]
    assert len({tuple(row) for row in want.tolist()}) > 1
    got = exported.read(made / f"toy_step{suffix}").answers(batch)["text/caption"]
    assert got.tolist() == want.tolist()
    monkeypatch.chdir(made)
    monkeypatch.syspath_prepend(made)
    monkeypatch.setattr(np, "zeros", lambda shape, dtype: batch["image"][:1])  # the README's own example is black
    code = re.findall(r"```python\n(.*?)```", (made / "README.md").read_text(), re.DOTALL)[-1]
    assert "loop.beam(step" in code
    capsys.readouterr()
    exec(code, {})
    assert capsys.readouterr().out.strip() == vocabulary.join(want[0].tolist())
    assert len((made / "loop.py").read_text().splitlines()) <= 40


@pytest.mark.usefixtures("own_loop")
def test_an_answer_is_written_token_by_token_with_two_files(writer, tmp_path, capsys, monkeypatch):
    assert export(writer, tmp_path / "toy.stablehlo") == 0
    said, made = capsys.readouterr().out, tmp_path / "toy"
    assert "toy_start.stablehlo and toy_step.stablehlo, by loop.py: text/caption 100.0% the same on 5" in said
    about = json.loads((made / exported.ABOUT).read_text())
    assert [of["part"] for of in about["files"].values()] == ["", "start", "step"]
    step = about["files"]["toy_step.stablehlo"]
    assert step["inputs"] == {"memory/colour": ["float32", 3], "state/mood": ["float32", 3], "token": ["int32"]}
    assert step["outputs"] == {"logits": ["float32", len(WORDS)], "next/mood": ["float32", 3]}
    assert {of["batch"] for of in about["files"].values()} == {"any"}
    check_loop(writer, made, ".stablehlo", capsys, monkeypatch)


def test_no_more_examples_go_in_at_once_than_memory_is_sure_to_hold(toy, tmp_path, monkeypatch):
    """However many are compared: by the run's own functions, traced for so many, and by the start's file."""
    seen = []

    def noted(batch):
        seen.append(batch["image"].shape[0])

    def beginning(variables, batch):
        noted(batch)
        return begin(variables, batch)

    def saying(variables, batch, key):
        noted(batch)
        return say_so(variables, batch, key)

    class Runner(stablehlo.Runner):
        def __call__(self, batch, seed=0):
            if "image" in batch:
                noted(batch)
            return super().__call__(batch, seed)

    monkeypatch.setattr(stablehlo, "Runner", Runner)
    monkeypatch.setattr(exports, "EXAMPLES", 2)
    writing = Writing("text/caption", "caption_vocabulary", bind(beginning), bind(go_on), SEARCH)
    home = toy(saying, ("text/caption",), writing=writing, frozen={"caption_vocabulary": vocabulary.spell(WORDS)})
    assert export(home, tmp_path / "toy.stablehlo", "--examples", "5") == 0
    assert max(count for count in seen if isinstance(count, int)) == 2


@pytest.mark.usefixtures("own_loop")
def test_onnx_takes_the_two_files_and_not_the_search(writer, tmp_path, capsys, monkeypatch):
    pytest.importorskip("jax2onnx")
    assert export(writer, tmp_path / "toy.onnx", "--int8") == 0
    assert "left out: toy.onnx: " in capsys.readouterr().out
    files = json.loads((tmp_path / "toy" / exported.ABOUT).read_text())["files"]
    assert set(files) == {f"toy_{part}{mark}.onnx" for part in ("start", "step") for mark in ("", "_int8")}
    assert files["toy_step.onnx"]["against_the_run"]["text/caption"] == {"same": 1.0}
    assert "text/caption" in exported.read(tmp_path / "toy").answers({"image": Pictures(2).images})
    check_loop(writer, tmp_path / "toy", ".onnx", capsys, monkeypatch)
