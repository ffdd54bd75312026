"""Several processes on one machine, joined by jax.distributed, are one run."""

import contextlib
import json
import shutil
import signal
import socket
import sys

import children
import numpy as np
import pytest
from shared import devices, one_device

from mmjax.engine import loop
from mmjax.tools import train

# A small net for small pictures, in which fsdp splits the kernel between its wide stages: it has mesh.LARGE elements.
TINY = ("--config=configs/recognition.py:tiny", "--config.model.widths=(4,256,256)", "--config.model.depths=(1,1,1)")
# Under pmap each device draws for itself which pictures it mirrors: none is, so that losses can be equal.
TINY += ("--config.loader.pixels=16", "--config.log_every=1", "--config.loss.flip=False")


def losses(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [row["values"]["loss/net"] for row in rows if row["kind"] == "train"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start(compiled):
    """(flags) -> a run of train.py under way, in a process with one device."""

    def call(*flags):
        return children.Child(sys.executable, "train.py", *TINY, *flags, XLA_FLAGS=children.xla_flags(), **compiled)

    return call


def finished(*processes):
    """What each printed; all must end well."""
    with contextlib.ExitStack() as stack:
        done = [stack.enter_context(process).finish() for process in processes]
    assert not any(one.returncode for one in done), "\n".join(one.stdout + one.stderr for one in done)
    return [one.stdout for one in done]


def split(checkpoint):
    """How many of a checkpoint's arrays were written in parts, by the devices that held them."""
    shardings = json.loads((checkpoint / "default" / "_sharding").read_text()).values()
    return sum(any(json.loads(sharding)["partition_spec"]) for sharding in shardings)


def here(*flags):
    """A run of train.py in this process; see `one_device` and `devices` for how many devices it sees."""
    config, workdir, _ = train.parse([*TINY, *flags])
    return loop.run(config, workdir)


@pytest.mark.usefixtures("no_page")
def test_a_run_of_eight_devices_goes_on_with_two_and_with_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(children.ROOT)
    sizes = ("--config.fsdp=True", "--config.eval.examples=8", "--config.eval.test_examples=8")
    here(*sizes, "--config.steps=2", f"--workdir={tmp_path / 'run8'}")
    assert "on 8 x" in capsys.readouterr().out
    assert split(tmp_path / "run8" / "checkpoints" / "2") >= 3  # the kernel and both of Adam's moments
    for count in (2, 1):
        shutil.copytree(tmp_path / "run8", tmp_path / f"run{count}")
    for count in (8, 2, 1):  # the same four steps, wherever the last two ran
        with devices(count):
            here(*sizes, "--config.steps=4", f"--workdir={tmp_path / f'run{count}'}")
        output = capsys.readouterr().out
        assert "going on from step 2 of 4" in output
        assert f"on {count} x" in output
    assert split(tmp_path / "run2" / "checkpoints" / "4") >= 3
    assert split(tmp_path / "run1" / "checkpoints" / "4") == 0
    assert len(losses(tmp_path / "run8")) == 4
    np.testing.assert_allclose(losses(tmp_path / "run2"), losses(tmp_path / "run8"), rtol=1e-3)
    np.testing.assert_allclose(losses(tmp_path / "run1"), losses(tmp_path / "run8"), rtol=1e-3)


# Runs of train.py one after the other in one process, which starts once and compiles once what they have in common.
IN_TURN = """
import sys
from mmjax import tools
tools.leave(max(tools.run("train", flags.split(), "python train.py", "train.py") for flags in sys.argv[1:]))
"""


@pytest.mark.usefixtures("no_page")
def test_two_processes_train_to_the_losses_of_one(tmp_path, compiled, monkeypatch):
    monkeypatch.chdir(children.ROOT)
    flags = [*TINY, "--config.steps=6", "--config.eval.every=3"]
    ways = ("jit", "pmap")
    runs = [" ".join([*flags, f"--config.parallel={way}", f"--workdir={tmp_path / f'two-{way}'}"]) for way in ways]
    runs[0] += f" --coordinator=127.0.0.1:{free_port()} --processes=2 --process="  # then they know each other
    env = {"XLA_FLAGS": children.xla_flags(), **compiled}
    command = (sys.executable, "-c", IN_TURN)
    outputs = finished(*(children.Child(*command, f"{runs[0]}{i}", *runs[1:], **env) for i in range(2)))
    for way in ways:
        with one_device():
            here(*flags[len(TINY) :], f"--config.parallel={way}", f"--workdir={tmp_path / f'one-{way}'}")
        together, alone = tmp_path / f"two-{way}", tmp_path / f"one-{way}"
        np.testing.assert_allclose(losses(together), losses(alone), rtol=2e-4)
        two, one = (json.loads((folder / "results.json").read_text()) for folder in (together, alone))
        assert two["examples"] == one["examples"] == 20
        assert two["values"] == pytest.approx(one["values"], rel=0.02, abs=0.02)
    assert outputs[0].count("report:") == len(ways)
    assert "report:" not in outputs[1]  # the first process speaks for all


def test_a_signal_to_one_of_two_processes_stops_both_at_one_step(tmp_path, start):
    port = free_port()
    flags = [f"--workdir={tmp_path / 'run'}", f"--coordinator=127.0.0.1:{port}", "--processes=2", "--config.steps=5000"]
    pair = [start(*flags, f"--process={i}") for i in range(2)]
    with pair[0], pair[1]:
        pair[0].until("step 3/")
        pair[1].send(signal.SIGTERM)  # not the one that writes
        outputs = finished(*pair)
    assert "stopped by a signal at step" in outputs[0]
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "stopped"


def test_where_one_of_two_processes_is_killed_the_other_ends_with_a_line(tmp_path, start):
    together = [f"--workdir={tmp_path / 'run'}", f"--coordinator=127.0.0.1:{free_port()}", "--processes=2"]
    pair = [start(*together, f"--process={i}") for i in range(2)]
    with pair[0], pair[1]:
        pair[0].until("workdir:")  # they have met
        pair[0].send(signal.SIGKILL)
        outputs = [process.finish() for process in pair]
    assert outputs[0].returncode == -signal.SIGKILL
    assert outputs[1].returncode not in (0, -signal.SIGKILL)
    *_, last = outputs[1].stderr.strip().splitlines()
    assert last.startswith("train.py: process 1 of 2 ")
    assert "the same command on all of them goes on from the last checkpoint" in last


def test_two_processes_with_other_data_are_refused_together(tmp_path, start):
    port = free_port()
    together = [f"--workdir={tmp_path / 'run'}", f"--coordinator=127.0.0.1:{port}", "--processes=2"]
    pair = [start(*together, f"--process={i}", f"--config.data.seed={i}") for i in range(2)]
    with pair[0], pair[1]:  # neither waits for the other
        done = [process.finish() for process in pair]
    assert [one.returncode for one in done] == [2, 2]
    assert all("process 1 has other data than process 0" in one.stderr for one in done)
    assert not (tmp_path / "run" / "config.json").exists()
