"""Several processes on one machine, joined by jax.distributed, are one run."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


def losses(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [row["values"]["loss/sound"] for row in rows if row["kind"] == "train"]


def start(*flags, devices=1):
    base = [sys.executable, "train.py", "--config=configs/soundnet.py:tiny", "--config.log_every=1"]
    env = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return subprocess.Popen([*base, *flags], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finished(process):
    output = process.communicate(timeout=280)[0].decode()
    assert process.returncode == 0, output
    return output


def test_a_run_of_eight_devices_goes_on_with_two_and_with_one(tmp_path):
    first = f"--workdir={tmp_path / 'run8'}"
    assert "on 8 x" in finished(start("--config.steps=4", "--config.fsdp=True", first, devices=8))
    for devices in (2, 1):
        shutil.copytree(tmp_path / "run8", tmp_path / f"run{devices}")
    for devices in (8, 2, 1):  # the same six steps, wherever the last two ran
        output = finished(start("--config.steps=6", f"--workdir={tmp_path / f'run{devices}'}", devices=devices))
        assert "going on from step 4 of 6" in output
        assert f"on {devices} x" in output
    np.testing.assert_allclose(losses(tmp_path / "run2"), losses(tmp_path / "run8"), rtol=1e-3)
    np.testing.assert_allclose(losses(tmp_path / "run1"), losses(tmp_path / "run8"), rtol=1e-3)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_two_processes_train_to_the_losses_of_one(tmp_path, parallel):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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
