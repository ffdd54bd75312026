"""Several processes on one machine, joined by jax.distributed, are one run."""

import json
import os
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


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_two_processes_train_to_the_losses_of_one(tmp_path, parallel):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = [sys.executable, "train.py", "--config=configs/soundnet.py:tiny", f"--config.parallel={parallel}"]
    base += ["--config.steps=6", "--config.log_every=1", "--config.eval.every=3"]
    env = {**os.environ, "XLA_FLAGS": ""}

    def start(*flags):
        return subprocess.Popen([*base, *flags], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    together = [f"--workdir={tmp_path / 'two'}", f"--coordinator=127.0.0.1:{port}", "--processes=2"]
    pair = [start(*together, f"--process={i}") for i in range(2)]
    outputs = [process.communicate(timeout=280)[0].decode() for process in pair]
    assert [process.returncode for process in pair] == [0, 0], "\n".join(outputs)
    alone = start(f"--workdir={tmp_path / 'one'}")
    alone.communicate(timeout=280)
    assert alone.returncode == 0
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=2e-4)
    two, one = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("two", "one"))
    assert two["examples"] == one["examples"] == 20
    assert two["values"] == pytest.approx(one["values"], rel=0.02, abs=0.02)
    assert "report:" in outputs[0]
    assert "report:" not in outputs[1]  # the first process speaks for all
