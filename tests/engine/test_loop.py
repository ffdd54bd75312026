"""The run: records, resume bit for bit, interruption, non-finite losses, refusals."""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import toy

import mmjax
from mmjax import data, systems
from mmjax.engine import checkpoint, loop, prepare
from mmjax.engine import config as configs
from mmjax.errors import NonFinite, UserError


@pytest.fixture(autouse=True, scope="module")
def toy_system():
    """config.system and config.data lead to the toy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systems, "build", lambda config: toy.regression())
        patch.setattr(data, "open", lambda split, fields, name, train_split, **options: toy.Numbers(**options))
        yield


@pytest.fixture(scope="module")
def finished(toy_system, tmp_path_factory):
    """A run of the toy's config that was never disturbed, and its figures; to be read and not written to."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, loop.run(toy.config(), workdir, command="python train.py")


@pytest.fixture
def again(finished, tmp_path):
    """A copy of it in tmp_path/run, to be changed."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def saved(workdir, step):
    with ocp.CheckpointManager(workdir / "checkpoints") as manager:
        return jax.tree.map(np.asarray, manager.restore(step, args=ocp.args.StandardRestore()))


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_run_leaves_everything_behind(tmp_path):
    config = toy.config(eval={**toy.config().eval, "probes": ("blank:boxes", "shuffle:boxes")})
    figures = loop.run(config, tmp_path / "run", command="python train.py")
    assert set(figures) == {"error", "error/zero", "sign", "sign/chance"}
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["step"] == 12
    assert results["examples"] == 20  # not 24: the padding of the last batch does not count
    assert set(results["probes"]) == {"blank:boxes", "shuffle:boxes"}
    # the mean over the 20 examples, worked without batches
    flat = np.mean([toy.Numbers()[i]["areas"] ** 2 for i in range(20)])
    assert figures["error/zero"] == pytest.approx(flat, rel=1e-5)
    rows = lines(tmp_path / "run")
    assert [row["step"] for row in rows if row["kind"] == "train"] == [2, 4, 6, 8, 10, 12]
    assert [row["step"] for row in rows if row["kind"] == "eval"] == [6, 12]
    assert rows[0]["values"]["examples_per_second"] > 0
    assert (tmp_path / "run/report.html").exists()
    assert list((tmp_path / "run/tensorboard").iterdir())
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "done"
    assert np.load(tmp_path / "run/predictions/test.npz")["embedding/out"].shape == (20, 1)


@pytest.mark.usefixtures("no_page")
def test_the_newest_two_and_the_best_are_kept(tmp_path, monkeypatch):
    figures = iter([{"error": 1.0}, {"error": 5.0}, {"error": 4.0}, {"error": 3.0}])
    monkeypatch.setattr(loop.evaluate.Evaluator, "metrics", lambda *args: next(figures))
    config = toy.config(save_every=2, eval={**toy.config().eval, "every": 3})
    loop.run(config, tmp_path / "run")
    saver = checkpoint.Checkpoints(tmp_path / "run", "error", "min")
    assert sorted(saver.manager.all_steps()) == [3, 10, 12]
    assert saver.step_of("best") == 3
    assert saver.step_of(None) == 12
    with pytest.raises(UserError, match="3, 10, 12"):
        saver.step_of(7)
    saver.close()


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_a_resumed_run_equals_the_straight_one_bit_for_bit(tmp_path, parallel, monkeypatch):
    config = toy.config(parallel=parallel)
    loop.run(config, tmp_path / "straight")
    step = iter(range(100))

    def kill(*args):  # dies in the middle of the run, after the save of step 8 and before that of step 12
        if next(step) == 9:
            raise KeyboardInterrupt
        return original(*args)

    original = np.stack
    placement = loop.mesh.Jitted if parallel == "jit" else loop.mesh.Replicated
    put = placement.put
    monkeypatch.setattr(placement, "put", lambda *args, **kwargs: (kill([0]), put(*args, **kwargs))[1])
    with pytest.raises(KeyboardInterrupt):
        loop.run(config, tmp_path / "killed")
    monkeypatch.setattr(placement, "put", put)
    assert not (tmp_path / "killed/results.json").exists()
    loop.run(config, tmp_path / "killed")
    same(saved(tmp_path / "straight", 12), saved(tmp_path / "killed", 12))
    straight, resumed = (
        {row["step"]: row["values"]["loss/net"] for row in lines(tmp_path / name) if row["kind"] == "train"}
        for name in ("straight", "killed")
    )
    assert straight == resumed


@pytest.mark.usefixtures("no_page")
def test_several_steps_a_call_are_the_same_run(tmp_path, finished):
    _, one = finished
    five = loop.run(toy.config(steps_per_call=5), tmp_path / "five")  # 12 = 5 + 5 + 1 + 1
    assert one == pytest.approx(five, rel=1e-5)


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize(("stop", "puts"), [(5, 5), (6, 6), (12, 15)])
def test_a_signal_saves_and_the_same_call_goes_on(stop, puts, tmp_path, finished, monkeypatch):
    """At 6 and 12 the run would look at the validation split: it saves, and looks when it goes on."""
    put, calls = loop.mesh.Jitted.put, iter(range(100))

    def put_then_signal(*args, **kwargs):
        if next(calls) == puts - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return put(*args, **kwargs)

    monkeypatch.setattr(loop.mesh.Jitted, "put", put_then_signal)
    assert loop.run(toy.config(), tmp_path / "run") is None
    monkeypatch.setattr(loop.mesh.Jitted, "put", put)
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert status["state"] == "stopped"
    assert status["step"] == stop
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert loop.run(toy.config(), tmp_path / "run") == finished[1]
    same(saved(finished[0], 12), saved(tmp_path / "run", 12))
    assert looks(tmp_path / "run") == looks(finished[0])
    ranked = checkpoint.Checkpoints(tmp_path / "run", best="error", best_mode="min", read_only=True)
    unhurt = checkpoint.Checkpoints(finished[0], best="error", best_mode="min", read_only=True)
    assert ranked.step_of("best") == unhurt.step_of("best")
    assert ranked.manager.metrics(12) == unhurt.manager.metrics(12)


def looks(run):
    """{(kind, step): figures} of what a run saw of held-out splits."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {(row["kind"], row["step"]): row["values"] for row in rows if row["kind"] != "train"}


@pytest.mark.usefixtures("no_page")
def test_a_finished_run_says_so_and_more_steps_go_on(tmp_path, again, finished, capsys):
    assert loop.run(toy.config(), tmp_path / "run") == finished[1]
    assert "is done: 12 steps" in capsys.readouterr().out
    loop.run(toy.config(steps=14), tmp_path / "run")
    assert json.loads((tmp_path / "run/results.json").read_text())["step"] == 14


def test_a_workdir_of_another_config_is_refused_with_the_fields(tmp_path, again):
    other = toy.config(seed=1, log_every=3)  # log_every may change
    with pytest.raises(UserError, match=r"seed is 0 there, 1 here\. Choose") as error:
        loop.run(other, tmp_path / "run")
    assert "log_every" not in str(error.value)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("dear")
    with pytest.raises(UserError, match=r"no config\.json"):
        loop.run(toy.config(), tmp_path / "full")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        loop.run(toy.config(), tmp_path / "file/run")


def test_a_workdir_in_use_is_refused(tmp_path):
    from mmjax.engine import claim

    with claim.claim(toy.config(), tmp_path / "run"), pytest.raises(UserError, match="in use"):
        loop.run(toy.config(), tmp_path / "run")


def test_a_non_finite_loss_stops_at_its_step_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    put, calls = loop.mesh.Jitted.put, iter(range(100))

    def poisoned(self, batch, **kwargs):
        training = len(batch["valid"]) == 16
        bad = training and next(calls) == 6  # the seventh step, between the saves of steps 6 and 9
        return put(self, {**batch, "boxes": batch["boxes"] * np.nan} if bad else batch, **kwargs)

    monkeypatch.setattr(loop.mesh.Jitted, "put", poisoned)
    with pytest.raises(NonFinite, match=r"step 7 is not finite: .*loss/net nan.*step 6 in") as error:
        loop.run(toy.config(save_every=3), tmp_path / "run")
    assert "debug_nans" in str(error.value)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(saved(tmp_path / "run", 6)["params"]))


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_debug_nans_names_the_operation_of_the_first_step(tmp_path, parallel):
    config = toy.config(debug_nans=True, parallel=parallel)
    config.data = configs.ConfigDict({"name": "toy", "bad": tuple(range(64))})
    with pytest.raises(NonFinite, match=r"step 1: invalid value .* at .*\.py:\d+"):
        loop.run(config, tmp_path / "run")


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_debug_nans_names_the_operation(tmp_path, parallel):
    config = toy.config(debug_nans=True, parallel=parallel)
    config.data = configs.ConfigDict({"name": "toy", "bad": (8,)})  # in the third batch
    with pytest.raises(NonFinite, match=r"step 3: invalid value \(nan\) encountered in \w+ at .*toy\.py:\d+"):
        loop.run(config, tmp_path / "run")


def test_a_fresh_run_asks_for_what_it_needs_before_its_data_is_opened(tmp_path, again, monkeypatch):
    """One that goes on has it all on disk."""

    def missing():
        raise UserError("no such extra")

    task = dataclasses.replace(toy.regression(), needs=(missing,))
    monkeypatch.setattr(systems, "build", lambda config: task)
    prepare.prepare(toy.config(steps=14), tmp_path / "run").saver.close()
    monkeypatch.setattr(prepare, "open_splits", lambda *args: pytest.fail("opened"))
    with pytest.raises(UserError, match="no such extra"):
        prepare.prepare(toy.config(steps=14), tmp_path / "other")


def test_what_goes_on_is_not_made_afresh_first(tmp_path, again, monkeypatch):
    """Nor filled: what a restored run is made of is on disk, and without it the run does not go on."""
    monkeypatch.setattr(prepare, "create", lambda *args: pytest.fail("fresh values"))
    monkeypatch.setattr(prepare, "fill", lambda *args: pytest.fail("filled"))
    ready = prepare.prepare(toy.config(steps=14), tmp_path / "run")
    ready.saver.close()
    assert float(ready.state.frozen["offset"]) == 0.5
    shutil.rmtree(tmp_path / "run/frozen")
    with pytest.raises(UserError, match=r"frozen is missing.*cannot go on"):
        prepare.prepare(toy.config(steps=14), tmp_path / "run")
    with pytest.raises(UserError, match=r"frozen is missing"):
        mmjax.restore(tmp_path / "run")


def test_restore_gives_a_system_that_predicts(tmp_path, again):
    trained = mmjax.restore(tmp_path / "run")
    boxes = np.stack([toy.Numbers()[i]["boxes"] for i in range(20)])
    out = trained.predict({"boxes": boxes, "areas": boxes[:, 0, :1]})["embedding/out"]
    np.testing.assert_allclose(out, np.load(tmp_path / "run/predictions/test.npz")["embedding/out"], rtol=1e-5)
    assert float(trained.variables["frozen"]["offset"]) == 0.5
    assert trained.step == 12
    assert mmjax.restore(tmp_path / "run", "best").step in (6, 12)
    with pytest.raises(UserError, match="areas is missing"):
        trained.predict({"boxes": boxes})
    enough = dataclasses.replace(trained, task=dataclasses.replace(trained.task, predicts_from=("boxes",)))
    np.testing.assert_array_equal(enough.predict({"boxes": boxes})["embedding/out"], out)
    with pytest.raises(UserError, match="not a workdir"):
        mmjax.restore(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 12}, r"config\.batch_size is 12.*8 devices"),
        ({"steps": 0}, r"config\.steps is 0"),
        ({"best": "eror"}, "'eror' is no figure: choose one of error"),
        ({"best_mode": "most"}, "best_mode"),
    ],
)
def test_a_field_that_cannot_be_is_named(tmp_path, change, words):
    with pytest.raises(UserError, match=words):
        loop.run(toy.config(**change), tmp_path / "run")


@pytest.mark.usefixtures("no_page")
def test_a_damaged_checkpoint_is_named_and_the_one_before_goes_on(tmp_path, again):
    newest = tmp_path / "run/checkpoints/12"
    for path in (newest / "default").rglob("*"):
        if path.is_file() and path.stat().st_size > 10:
            path.write_bytes(path.read_bytes()[:5])
    with pytest.raises(UserError, match=r"checkpoints/12 is damaged.*remove that folder.*8"):
        mmjax.restore(tmp_path / "run")
    with pytest.raises(UserError, match=r"checkpoints/12 is damaged"):
        loop.run(toy.config(steps=14), tmp_path / "run")
    shutil.rmtree(newest)
    assert mmjax.restore(tmp_path / "run").step == 8
    assert loop.run(toy.config(steps=14), tmp_path / "run")


def test_a_checkpoint_that_cannot_be_written_is_one_line_with_the_step_to_go_on_from(again, monkeypatch):
    ready = prepare.prepare(toy.config(steps=14), again)

    def full(*args, **kwargs):  # as Orbax says it of the storage below it
        raise ValueError('RESOURCE_EXHAUSTED: Error writing "params"\nand a trace')

    for method, call in (
        ("save", lambda: ready.saver.save(14, ready.state)),
        ("wait_until_finished", ready.saver.wait),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(ready.saver.manager, method, full)
            with pytest.raises(
                OSError, match=r"could not be written \(RESOURCE_EXHAUSTED: Error writing.*step 12"
            ) as error:
                call()
        assert error.value.filename == str(again / "checkpoints")
        assert "\n" not in str(error.value)
    ready.saver.close()


def test_a_good_checkpoint_of_another_network_is_not_to_be_removed(again):
    saver = checkpoint.Checkpoints(again, read_only=True)
    ready = prepare.prepare(toy.config(steps=14), again)
    ready.saver.close()
    own = ready.state.params["net"]["Dense_1"]
    for change, words in (
        (
            {"Dense_1": {**own, "kernel": np.zeros((8, 3), np.float32)}},
            r"Dense_1/kernel is \[8 1\] there and \[8 3\] here\.",
        ),
        ({"Dense_2": own}, r"Dense_2/bias is absent there and \[1\] here \(and 1 others\)"),
    ):
        other = dataclasses.replace(ready.state, params={"net": {**ready.state.params["net"], **change}})
        with pytest.raises(
            UserError, match=rf"checkpoints/12 is of another network: params/net/{words}.*keep it"
        ) as error:
            saver.restore(other)
        assert "remove" not in str(error.value)
    with pytest.raises(UserError, match=r"frozen is of another network: offset is \[\] there and \[2\] here"):
        saver.restore_frozen(dataclasses.replace(ready.state, frozen={"offset": np.zeros(2, np.float32)}))
    saver.close()


def test_a_reader_leaves_a_write_under_way_alone(tmp_path, again):
    under_way = tmp_path / "run/checkpoints/20.orbax-checkpoint-tmp"
    under_way.mkdir()
    mmjax.restore(tmp_path / "run")
    assert under_way.exists()


def test_a_run_killed_on_its_last_metre_gets_its_report(tmp_path, again):
    (tmp_path / "run/report.html").unlink()
    loop.run(toy.config(), tmp_path / "run")
    assert (tmp_path / "run/report.html").exists()


def test_a_run_without_room_for_its_report_is_done_once_there_is(tmp_path, again, monkeypatch):
    def full(workdir):
        raise OSError(28, "No space left on device", str(workdir / "report.html"))

    with monkeypatch.context() as patch:
        patch.setattr(loop.report, "write", full)
        with pytest.raises(OSError, match="No space"):
            loop.run(toy.config(steps=14), tmp_path / "run")
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "failed"
    before = (tmp_path / "run/report.html").read_text()  # of the run of 12 steps
    assert loop.run(toy.config(steps=14), tmp_path / "run")
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "done"
    assert (tmp_path / "run/report.html").read_text() != before


@pytest.mark.usefixtures("no_page")
def test_a_finished_run_evaluates_again_when_asked_for_more(tmp_path, again):
    loop.run(toy.config(eval={**toy.config().eval, "probes": ("blank:boxes",)}), tmp_path / "run")
    assert "blank:boxes" in json.loads((tmp_path / "run/results.json").read_text())["probes"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "blank:imagee"),
        ({"optim": {"nett": configs.adam(1e-2)}}, "no section for net"),
    ],
)
def test_what_would_fail_at_the_end_fails_at_once(tmp_path, change, words):
    config = toy.config(**change)
    with config.unlocked():
        config.eval.probes = ("blank:imagee",)
    with pytest.raises(UserError, match=words):
        loop.run(config, tmp_path / "run")
    assert not (tmp_path / "run/config.json").exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("probes", ("blnk:boxes",), r"^config\.eval\.probes: probe 'blnk:boxes' is unknown"),
        ("judges", ("recogniser",), r"^config\.eval\.judges: 'recogniser' measures nothing here: \w+ has no judges"),
    ],
)
def test_an_evaluation_that_cannot_be_is_said_at_once(tmp_path, field, value, words):
    config = toy.config()
    with config.unlocked():
        config.eval[field] = value
    with pytest.raises(UserError, match=words):
        loop.run(config, tmp_path / "run")


@pytest.mark.usefixtures("no_page")
def test_a_task_warns_once_for_as_long_as_it_has_reason_to(tmp_path, monkeypatch, capsys):
    seen = []

    def warn(values):
        seen.append(values)
        return ("it collapses",) if len(seen) in (2, 3, 5) else ()

    monkeypatch.setattr(systems, "build", lambda config: dataclasses.replace(toy.regression(), warn=warn))
    loop.run(toy.config(), tmp_path)
    assert all({"loss/net", "grad_norm/net", "noise"} <= set(values) for values in seen)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert said == ["warning: step 4: it collapses", "warning: step 10: it collapses"]


@pytest.mark.usefixtures("no_page")
def test_a_torn_line_swallows_nothing(tmp_path, again):
    with (tmp_path / "run/metrics.jsonl").open("a") as file:
        file.write('{"step": 12, "ki')
    loop.run(toy.config(steps=14), tmp_path / "run")
    rows = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[rows.index('{"step": 12, "ki') + 1])["step"] == 14


def test_what_is_computed_binds_and_how_does_not():
    one, other = toy.config(), toy.config()
    other.loader.threads, other.best, other.eval.every = 7, "", 1
    assert not configs.differences(one, other)
    other.loader.clip_seconds = 1.0
    assert configs.differences(one, other) == ["loader.clip_seconds is 0.0 there, 1.0 here"]


@pytest.mark.usefixtures("no_page")
def test_a_run_that_saved_nothing_keeps_no_constants_of_other_data(tmp_path, again, monkeypatch):
    """Killed before its first checkpoint and begun anew on other data, it restores with the data that it learned."""

    class Named(toy.Numbers):
        constants = {"word_names": np.zeros((3, 2), np.uint8)}  # noqa: RUF012

    def opened(split, fields, name, train_split, **options):
        return Named(**options)

    monkeypatch.setattr(data, "open", opened)
    loop.prepare(toy.config(), tmp_path / "killed").saver.close()
    Named.constants = {"word_names": np.ones((5, 2), np.uint8)}
    loop.run(toy.config(), tmp_path / "killed")
    np.testing.assert_array_equal(mmjax.restore(tmp_path / "killed").constants["word_names"], np.ones((5, 2)))
    Named.constants = {"word_names": np.zeros((5, 2), np.uint8)}
    loop.run(toy.config(steps=14), tmp_path / "killed")  # what goes on keeps what its checkpoints were made for
    assert mmjax.restore(tmp_path / "killed").constants["word_names"].all()
    (again / "constants.npz").write_bytes(b"PK torn")
    with pytest.raises(UserError, match=r"constants\.npz is damaged"):
        mmjax.restore(again)


def test_reading_begins_before_the_state_is_made_and_ends_where_that_fails(tmp_path, monkeypatch):
    streams = []

    def train_batches(*arguments):
        streams.append(original(*arguments))
        return streams[-1]

    def fill(*arguments):
        assert len(streams) == 1  # the batches that the run would train on
        assert streams[0]._buffer  # grain's: some are being read
        raise UserError("no weights")

    original = prepare.train_batches
    monkeypatch.setattr(prepare, "train_batches", train_batches)
    monkeypatch.setattr(prepare, "fill", fill)
    with pytest.raises(UserError, match="no weights"):
        loop.run(toy.config(), tmp_path / "run")
    with pytest.raises(ValueError, match="closed"):
        next(streams[0])
