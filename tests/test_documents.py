"""The documents tell the truth: their example runs, their commands are accepted, and what they name is there."""

import functools
import importlib.util
import pkgutil
import re
import shutil
import textwrap
import tomllib
from pathlib import Path

import children
import pytest

from mmjax import data, tools
from mmjax.engine import config as configs

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = ("mmjax/models/vision/probe.py", "mmjax/systems/probe.py", "configs/probe.py", "tests/systems/test_probe.py")
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)


def example():
    """{path: code} of CONTRIBUTING's fenced blocks, each under a line that ends with its path."""
    found = re.findall(
        r"`([\w/]+\.py)`:\n\n( *)```python\n(.*?)\n *```\n", (ROOT / "CONTRIBUTING.md").read_text(), re.S
    )
    return {path: textwrap.dedent(code) + "\n" for path, _, code in found}


def prose(document):
    """The text of a document; of CONTRIBUTING without the code of its example, which runs."""
    return re.sub(r"```python\n.*?```", "", document.read_text(), flags=re.S)


@functools.cache
def module(path):
    """The module of a config file, or None where there is no such file."""
    if not (ROOT / path).is_file():
        return None
    loaded = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    made = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(made)
    return made


def fields(config):
    """Every field and every section of a config, dotted."""
    names = {name for name, _ in configs.flat(config)}
    return {".".join(name.split(".")[:n]) for name in names for n in range(1, 1 + name.count(".") + 1)}


def all_modules():
    return [module(path.relative_to(ROOT).as_posix()) for path in sorted((ROOT / "configs").glob("*.py"))]


def test_the_worked_example_runs_with_no_edit_elsewhere(tmp_path):
    files = example()
    assert tuple(files) == EXAMPLE
    for name in ("mmjax", "configs", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for path, code in files.items():
        assert not (tmp_path / path).exists(), f"{path} is there: the example would be an edit"
        (tmp_path / path).write_text(code)

    def run(*command):
        done = children.python("-m", *command, cwd=tmp_path, PYTHONPATH="")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("ruff", "check", *files)
    run("ruff", "format", "--check", *files)
    tests = ("tests/test_contract.py", "tests/test_layering.py", "tests/systems/test_probe.py")
    shown = run("pytest", "-p", "no:xdist", "-p", "no:cacheprovider", "-vv", "-k", "probe or every_system", *tests)
    passed = set(re.findall(r"^(tests/\S+)::\S+ PASSED", shown, re.M))
    assert passed == set(tests), shown


@every_document
def test_what_a_document_names_is_there(document):
    text = prose(document)
    for path in re.findall(
        r"(?<![\w/.=])((?:mmjax|configs|docs|tests|benchmarks|examples|\.ci)/[\w./]*|train\.py)", text
    ):
        assert path in EXAMPLE or (ROOT / path.rstrip(".")).exists(), path
    for name in re.findall(r"(?<![\w./])mmjax(?:\.\w+)+", text):
        pkgutil.resolve_name(name)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"'\.\[([\w,]+)\]'", text):
        assert set(named.split(",")) <= set(extras), named


@every_document
def test_every_link_of_a_document_resolves(document):
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", document.read_text()):
        if "://" in target:
            continue
        file = (document.parent / target).resolve() if target else document
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, anchor


@every_document
def test_every_command_of_a_document_is_accepted(document):
    text = prose(document)
    for line in text.splitlines():
        for path, variant in re.findall(r"(configs/\w+\.py)(?::(\w+))?", line):
            if path in EXAMPLE:
                continue
            assert module(path), path
            known = fields(module(path).get_config(variant))  # raises for a variant that is not there
            if f"--config={path}" in line:
                options = re.findall(r"--config\.([\w.]+)=", line)
                assert all(name in known or name.startswith("data.") for name in options), line
    for variant in re.findall(r"`:(\w+)`", text):
        assert any(variant in each.VARIANTS for each in all_modules()), variant


@every_document
def test_every_subcommand_of_mmjax_that_a_document_names_is_there(document):
    have = {each.name.replace("_", "-") for each in pkgutil.iter_modules(tools.__path__)}
    assert set(re.findall(r"(?:^    |`)(?:python -m )?mmjax ([a-z-]+)", prose(document), re.M)) <= have


@every_document
def test_every_option_that_a_document_names_is_of_some_config(document):
    named = re.findall(r"(?<![\w/.])(?:--)?config\.((?:[a-z]\w*\.)*[a-z]\w*)", prose(document))
    if named:
        known = set().union(*(fields(each.get_config(v)) for each in all_modules() for v in each.VARIANTS))
        assert {name for name in named if not name.startswith("data.")} <= known


@every_document
def test_every_data_set_that_a_document_names_is_there(document):
    for name in re.findall(r"--config\.data\.name=([a-z]\w*)", prose(document)):
        assert name in data.names()


def test_the_readme_has_a_command_a_figure_and_a_baseline_for_every_config():
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "README.md").read_text().splitlines() if line[:1] == "|"]
    rows = {re.match(r"`--config=configs/(\w+)\.py[ `]", row[1])[1]: row for row in rows[2:]}
    assert set(rows) == {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert all(len(row) == 4 and re.search(r"\d", row[2]) and re.search(r"\d", row[3]) for row in rows.values())
