"""Who may import whom, from the syntax tree (the rules of the house; CONTRIBUTING.md states them)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mmjax"

# room -> the rooms of ours that it may import beside itself and COMMON. Every module is in one of these rooms.
ROOMS = {
    "ops": set(),
    "losses": {"ops"},
    "metrics": {"ops"},
    "decode": {"ops"},
    "models": {"ops"},
    "weights": {"models", "ops"},
    "known": {"weights", "models", "ops"},
    "judges": {"known", "weights", "models", "metrics", "decode", "ops", "task"},
    "data": set(),
    "report": {"predictions", "workdir"},
    "answers": {"data"},
    "systems": {"task", "predictions", "known", "judges", "models", "losses", "metrics", "decode", "ops"},
    "balance": {"task", "losses", "ops"},
    "distil": {"task", "predictions", "known", "models", "losses", "ops", "workdir"},
    "engine": {
        "balance",
        "distil",
        "known",
        "task",
        "predictions",
        "systems",
        "judges",
        "data",
        "report",
        "workdir",
        "ops",
    },
    "audit": {"engine", "systems", "metrics", "task", "predictions", "data", "workdir"},
    "export": {"engine", "ops", "task", "predictions", "weights", "data", "workdir"},
    "light": {"export", "engine", "task", "workdir"},
    "tools": {
        "answers",
        "audit",
        "engine",
        "export",
        "light",
        "task",
        "predictions",
        "systems",
        "known",
        "weights",
        "models",
        "data",
        "report",
        "workdir",
    },
    "__main__": {"tools"},
    "sample": {"tools"},  # this and the next four: names of before, for one release
    "words": {"tools"},
    "vocabulary": set(),
    "tokenise": set(),
    "byte_pairs": set(),
    "task": {"predictions"},
    "predictions": set(),
    "workdir": set(),
    "errors": set(),
    "typed": set(),
    "text": set(),
}
# What every room may import: strings and numbers, nothing of jax.
COMMON = {"errors", "typed", "text"}
# Inside data/, which is as large as the rest: what each of its rooms may import of it.
FLOORS = {
    "spec": set(),
    "fingerprints": {"spec"},
    "caches": set(),
    "scenes": set(),
    "tokens": {"fingerprints", "caches"},
    "files": {"spec", "fingerprints", "caches", "tokens"},
    "sets": {"spec", "fingerprints", "caches", "scenes", "tokens", "files"},
    "given": {"spec", "files"},
    "pipeline": {"Source"},
    "stored_features": {"Source"},
    "mixtures": {"spec", "fingerprints"},
    "__init__": {"sets", "spec", "tokens", "mixtures"},
}
NO_JAX = (
    "data",
    "answers",
    "report",
    "predictions",
    "workdir",
    "errors",
    "typed",
    "text",
    "__main__",
    "vocabulary",
    "tokenise",
    "byte_pairs",
)
JAX = {"jax", "flax", "optax", "orbax"}


def files():
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports(code):
    """Dotted names that a file imports, also inside functions: `from mmjax import data` is mmjax.data."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def check(here, code):
    """Raises AssertionError for an import that room `here` must not have."""
    assert here in ROOMS, f"{here} has no rule: give it a room"
    for name in imports(code):
        parts = name.split(".")
        assert name != "mmjax", "a bare `import mmjax` reaches every room: name the one that is meant"
        if here in NO_JAX:
            assert parts[0] not in JAX, f"{here} must not import {name}"
        if parts[0] == "mmjax":
            assert parts[1] in ROOMS[here] | {here} | COMMON, f"{here} must not import {name}"
        if here in ("engine", "audit", "tools"):  # a room of systems may be asked for all of them, but for none by name
            assert not name.startswith(("mmjax.systems.", "mmjax.judges.")) or parts[2] in SHARED, f"names {name}"


SHARED = {"build", "names"}


def inner_room(path):
    """Of a module of data/."""
    return path.relative_to(PACKAGE / "data").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted((PACKAGE / "data").rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_arrow_of_data_runs_up(path):
    here = inner_room(path)
    assert here in FLOORS, f"data/{here} has no rule"
    reached = {name.split(".")[2] for name in imports(path.read_text()) if name.startswith("mmjax.data.")}
    assert reached <= FLOORS[here] | {here}, f"data/{here} must not import {reached - FLOORS[here]}"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_stay_within_the_rules(path):
    check(room(path), path.read_text())


@pytest.mark.parametrize(
    ("here", "code"),
    [
        ("known", "import mmjax"),
        ("engine", "def f():\n    import mmjax as m"),
        ("known", "from mmjax import restore"),
        ("systems", "from mmjax import data"),
        ("attic", "import numpy"),
        ("ops", "def f():\n    from mmjax.models import norm"),
        ("data", "import jax.numpy"),
        ("engine", "from mmjax.systems import soundnet"),
        ("tools", "def f():\n    from mmjax.systems import skipgram"),
    ],
)
def test_the_rules_catch(here, code):
    with pytest.raises(AssertionError, match=r"import|rule|names"):
        check(here, code)


def test_no_circle():
    """No module reaches itself through what it imports when it is loaded or later."""
    known = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path for path in files()}
    known = {name.removesuffix(".__init__"): path for name, path in known.items()}

    def reached(name):
        code = known[name].read_text()
        return {n if n in known else n.rpartition(".")[0] for n in imports(code)} & set(known) - {name}

    arrows = {name: reached(name) for name in known}
    while arrows:
        free = {name for name, others in arrows.items() if not others & set(arrows)}
        assert free, f"a circle of imports among {sorted(arrows)}"
        arrows = {name: others for name, others in arrows.items() if name not in free}


def names_of_systems(code, systems):
    """Those that a file spells as strings of their own; a docstring's examples are no knowledge."""
    tree = _without_docstrings(ast.parse(code))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in systems}


def test_tools_know_no_system():
    """They ask a Task. One exports what a single system learnt, the recogniser that ships."""
    rooms = [PACKAGE / "systems", *(path for path in (PACKAGE / "systems").iterdir() if path.is_dir())]
    systems = {path.stem for folder in rooms for path in folder.glob("*.py")} - {"__init__"}
    assert {"soundnet", "text_to_image"} <= systems
    for path in sorted((PACKAGE / "tools").glob("*.py")):
        found = names_of_systems(path.read_text(), systems)
        assert found <= ({"recognition"} if path.stem == "export_recogniser" else set()), path
    assert names_of_systems('"""soundnet"""\nSYSTEMS = {"soundnet": f, "x": g}', systems) == {"soundnet"}


def test_no_underscore_modules():
    assert not [path for path in files() if path.name.startswith("_") and not path.name.startswith("__")]


def test_axis_names_live_in_two_files():
    allowed = {PACKAGE / "engine" / "mesh.py", PACKAGE / "ops" / "collective.py"}
    words = ("PartitionSpec", "make_mesh", "axis_name", "pmap(", "NamedSharding", "pmean", "psum", "shard_map")
    for path in set(files()) - allowed:
        code = ast.unparse(_without_docstrings(ast.parse(path.read_text())))
        found = [word for word in words if word in code]
        assert not found, f"{path} names {found}"


GRADIENTS = {"grad", "value_and_grad", "vjp", "jvp", "linearize", "jacobian", "jacrev", "jacfwd", "hessian"}


def gradients(code):
    """What takes a derivative by jax or Linen; `custom_vjp` and `custom_jvp`, which state one, do not."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("jax", "nn"):
            found |= {node.attr} & GRADIENTS
        elif isinstance(node, ast.ImportFrom) and node.module in ("jax", "flax.linen"):
            found |= {alias.name for alias in node.names} & GRADIENTS
    return found


def test_one_gradient_in_the_library():
    takers = [path.relative_to(PACKAGE).as_posix() for path in files() if gradients(path.read_text())]
    # A penalty on the discriminator's gradient is a loss that holds one, and the scan of shared weights states its own
    # with that of its body; who descends is engine/step.py alone.
    assert takers == ["engine/step.py", "losses/adversarial.py", "models/blocks/shared_scan.py"]
    assert gradients("jax.grad(f)(x)\n_, back = jax.vjp(f, x)\nfrom jax import jacobian") == {"grad", "vjp", "jacobian"}
    assert not gradients("@jax.custom_vjp\ndef f(x): ...")


def _without_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return tree
