"""Several processes on one machine, joined by jax.distributed, are one run."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def losses(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [row["values"]["loss/sound"] for row in rows if row["kind"] == "train"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(*flags, devices=1):
    base = [sys.executable, "train.py", "--config=configs/soundnet.py:tiny", "--config.log_every=1"]
    env = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return subprocess.Popen([*base, *flags], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finished(process):
    output = process.communicate(timeout=280)[0].decode()
    assert process.returncode == 0, output
    return output


def split(checkpoint):
    """How many of a checkpoint's arrays were written in parts, by the devices that held them."""
    shardings = json.loads((checkpoint / "default" / "_sharding").read_text()).values()
    return sum(any(json.loads(sharding)["partition_spec"]) for sharding in shardings)


def test_a_run_of_eight_devices_goes_on_with_two_and_with_one(tmp_path):
    sizes = ("--config.model.width=0.5", "--config.fsdp=True")  # conv4 has mesh.LARGE elements, which fsdp splits
    sizes += ("--config.eval.examples=8", "--config.eval.test_examples=8")
    first = f"--workdir={tmp_path / 'run8'}"
    assert "on 8 x" in finished(start(*sizes, "--config.steps=2", first, devices=8))
    assert split(tmp_path / "run8" / "checkpoints" / "2") >= 3  # conv4 and both of Adam's moments
    for devices in (2, 1):
        shutil.copytree(tmp_path / "run8", tmp_path / f"run{devices}")
    for devices in (8, 2, 1):  # the same four steps, wherever the last two ran
        output = finished(start(*sizes, "--config.steps=4", f"--workdir={tmp_path / f'run{devices}'}", devices=devices))
        assert "going on from step 2 of 4" in output
        assert f"on {devices} x" in output
    assert split(tmp_path / "run2" / "checkpoints" / "4") >= 3
    assert split(tmp_path / "run1" / "checkpoints" / "4") == 0
    assert len(losses(tmp_path / "run8")) == 4
    np.testing.assert_allclose(losses(tmp_path / "run2"), losses(tmp_path / "run8"), rtol=1e-3)
    np.testing.assert_allclose(losses(tmp_path / "run1"), losses(tmp_path / "run8"), rtol=1e-3)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_two_processes_train_to_the_losses_of_one(tmp_path, parallel):
    port = free_port()
    flags = [f"--config.parallel={parallel}", "--config.steps=6", "--config.eval.every=3"]
    together = [f"--workdir={tmp_path / 'two'}", f"--coordinator=127.0.0.1:{port}", "--processes=2"]
    pair = [start(*flags, *together, f"--process={i}") for i in range(2)]
    outputs = [process.communicate(timeout=280)[0].decode() for process in pair]
    assert [process.returncode for process in pair] == [0, 0], "\n".join(outputs)
    alone = start(*flags, f"--workdir={tmp_path / 'one'}")
    finished(alone)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=2e-4)
    two, one = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("two", "one"))
    assert two["examples"] == one["examples"] == 20
    assert two["values"] == pytest.approx(one["values"], rel=0.02, abs=0.02)
    assert "report:" in outputs[0]
    assert "report:" not in outputs[1]  # the first process speaks for all


def test_a_signal_to_one_of_two_processes_stops_both_at_one_step(tmp_path):
    port = free_port()
    flags = [f"--workdir={tmp_path / 'run'}", f"--coordinator=127.0.0.1:{port}", "--processes=2", "--config.steps=5000"]
    pair = [start(*flags, f"--process={i}") for i in range(2)]
    for line in pair[0].stdout:
        if line.startswith(b"step 3/"):
            break
    pair[1].send_signal(signal.SIGTERM)  # not the one that writes
    outputs = [process.communicate(timeout=120)[0].decode() for process in pair]
    assert [process.returncode for process in pair] == [0, 0], "\n".join(outputs)
    assert "stopped by a signal at step" in outputs[0]
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "stopped"
