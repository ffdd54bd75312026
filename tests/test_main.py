"""The one command: what it offers, how each end of a tool becomes a line and a status, and the names of before."""

import importlib
import sys
import warnings

import children
import pytest

import mmjax
from mmjax import tools
from mmjax.errors import NonFinite, OptionError, UserError
from mmjax.text import byte_pairs, tokenise, vocabulary


def test_help_names_every_tool_and_imports_none(capsys):
    assert tools.command(["--help"]) == 0
    shown = capsys.readouterr().out
    assert tools.command([]) == 0
    assert capsys.readouterr().out == shown
    assert {"train", "sample", "words", "report", "export-recogniser"} <= set(tools.modules())
    for name, module in tools.modules().items():
        tool = importlib.import_module(module)
        assert f"  {name:<20}{tool.__doc__.splitlines()[0]}\n" in shown
        assert max(map(len, shown.splitlines())) <= 120
        assert callable(tool.main)
        assert f"mmjax {name} " in tool.__doc__, "the docstring shows how it is called"
    done = children.python("-X", "importtime", "-m", "mmjax", "--help")
    assert done.returncode == 0
    assert done.stdout == shown
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "mmjax" in imported
    assert not imported & {"jax", "numpy", "flax", "absl", "ml_collections"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tarin", "mmjax: 'tarin' is no command; did you mean train?"),
        ("sampel", "mmjax: 'sampel' is no command; did you mean sample?"),
        ("zzz", f"mmjax: 'zzz' is no command; there are {', '.join(tools.modules())}"),
    ],
)
def test_a_typo_of_a_command_says_the_nearest(name, said, capsys):
    assert tools.command([name, "x"]) == 2
    assert capsys.readouterr().err == f"{said}\n"


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (UserError("wrong"), 2, "wrong"),
        (OptionError("depth", "is 6"), 2, "depth is 6"),
        (NonFinite("step 3 is not finite"), 1, "step 3 is not finite"),
        (FileNotFoundError(2, "No such file or directory", "/no"), 1, "/no: No such file or directory"),
        (OSError("the device is gone"), 1, "system: the device is gone"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("interrupted; go on"), 130, "interrupted; go on"),
    ],
)
def test_each_end_is_one_line_and_a_status(raised, status, said, monkeypatch, capsys):
    def main(arguments, typed):
        assert arguments == ["a", "b"]
        raise raised

    monkeypatch.setattr("mmjax.tools.words.main", main)
    assert tools.command(["words", "a", "b"]) == status
    assert capsys.readouterr().err == f"mmjax words: {said}\n"
    assert tools.run("words", ["a", "b"], "python words.py", "words.py") == status
    assert capsys.readouterr().err == f"words.py: {said}\n"


def test_after_a_failure_no_thread_is_waited_for():
    code = """
import atexit, threading, time
from mmjax import tools
atexit.register(print, "tidied")
threading.Thread(target=time.sleep, args=(600,)).start()
print("before")
tools.leave(7)
"""
    done = children.python("-c", code)
    assert (done.returncode, done.stdout) == (7, "before\ntidied\n")


def test_a_fault_of_ours_is_no_line(monkeypatch):
    def main(arguments, typed):
        raise ZeroDivisionError

    monkeypatch.setattr("mmjax.tools.words.main", main)
    with pytest.raises(ZeroDivisionError):
        tools.command(["words"])


@pytest.mark.parametrize("name", ["sample", "words", "report", "export-recogniser"])
def test_mistakes_in_arguments_are_one_line_and_help_is_help(name, capsys):
    assert tools.command([name, "--no-such-option"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"mmjax {name}: ")
    assert said.count("\n") == 1
    assert tools.command([name, "--help"]) == 0
    assert f"usage: mmjax {name} " in capsys.readouterr().out


def test_train_speaks_under_its_own_name(monkeypatch, capsys):
    monkeypatch.chdir(children.ROOT)
    assert tools.command(["train", "--config=configs/soundnet.py:huge"]) == 2
    assert capsys.readouterr().err.startswith("mmjax train: ")
    assert tools.command(["train", "--help"]) == 0
    assert "mmjax train --config=configs/soundnet.py:tiny" in capsys.readouterr().out


def test_interrupted_training_says_how_it_goes_on(monkeypatch, capsys, tmp_path):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.chdir(children.ROOT)
    monkeypatch.setattr("mmjax.engine.loop.run", interrupted)
    assert tools.command(["train", "--config=configs/soundnet.py:tiny", f"--workdir={tmp_path / 'run'}"]) == 130
    assert capsys.readouterr().err == ("mmjax train: interrupted; the same command goes on from the last checkpoint\n")


@pytest.mark.parametrize(
    ("typed", "flags", "shown"),
    [
        ("mmjax train", ["--config.seed=3"], "--config.seed=3"),
        ("python train.py", ["--config.data.objects=(1, 1)"], "'--config.data.objects=(1, 1)'"),
    ],
)
def test_the_run_is_told_what_was_typed(typed, flags, shown, monkeypatch, tmp_path):
    seen = []
    monkeypatch.chdir(children.ROOT)
    monkeypatch.setattr("mmjax.engine.loop.run", lambda config, workdir, command: seen.append((workdir, command)))
    before = ["--config=configs/soundnet.py:tiny", f"--workdir={tmp_path}"]
    assert tools.run("train", [*before, *flags], typed) == 0
    assert seen == [(tmp_path, f"{typed} {' '.join(before)} {shown}")]


def test_the_compilation_cache_is_chosen_before_jax_is_there(tmp_path):
    code = "import os, sys; from mmjax import tools; assert 'jax' not in sys.modules\n"
    code += "tools.command(['train', '--config=x']); assert 'jax' not in sys.modules\n"
    code += "print(os.environ['JAX_COMPILATION_CACHE_DIR'])"
    environment = {"MMJAX_DATA": str(tmp_path), "JAX_COMPILATION_CACHE_DIR": "/given"}
    assert children.python("-c", code, **environment).stdout == "/given\n"
    code = "import os; del os.environ['JAX_COMPILATION_CACHE_DIR']\n" + code
    assert children.python("-c", code, **environment).stdout == f"{tmp_path / 'xla'}\n"


# -- names of before, for one release ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sample", "words"])
def test_the_modules_of_before_still_run(name):
    done = children.python(
        "-m", f"mmjax.{name}", "/no/such/run", *(["--text", "a"] if name == "sample" else ["--near", "a"])
    )
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first == f"python -m mmjax.{name} is now `mmjax {name}`"
    assert second.startswith(f"mmjax.{name}: /no/such/run")


def test_mmjax_report_still_writes(monkeypatch, capsys, tmp_path):
    from mmjax import __main__ as main

    monkeypatch.setattr(sys, "argv", ["mmjax-report", str(tmp_path / "nowhere")])
    assert main.report() == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "mmjax-report is now `mmjax report`"
    assert second.startswith("mmjax-report: ")


@pytest.mark.parametrize("module", [vocabulary, tokenise, byte_pairs], ids=lambda module: module.__name__)
def test_text_where_it_was(module, monkeypatch):
    name = module.__name__.rpartition(".")[2]
    monkeypatch.delitem(sys.modules, f"mmjax.{name}", raising=False)
    monkeypatch.delattr(mmjax, name, raising=False)
    with pytest.warns(DeprecationWarning, match=rf"^mmjax\.{name} is now mmjax\.text\.{name}$") as told:
        exec(f"from mmjax import {name} as found", scope := {})
    assert told[0].filename == "<string>"  # the line that imports is named
    assert scope["found"] is module
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert importlib.import_module(f"mmjax.{name}") is module  # said once
