"""Who may import whom, from the syntax tree (the rules of the house; CONTRIBUTING.md states them)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mmjax"

# room -> the rooms of ours that it may import; a room always may import itself, and everybody what is COMMON.
ROOMS = {
    "ops": set(),
    "losses": {"ops"},
    "metrics": {"ops"},
    "decode": {"ops"},
    "models": {"ops"},
    "data": set(),
    "report": set(),
    "pretrained": {"models", "ops"},
    "tasks": {"models", "losses", "metrics", "decode", "ops", "pretrained", "task"},
    "step": {"task", "ops"},
    "task": set(),
    "errors": set(),
    "tokenise": set(),
    "vocabulary": set(),
    "byte_pairs": set(),
}
# What every room may import: strings and numbers, nothing of jax.
COMMON = {"errors", "tokenise", "vocabulary", "byte_pairs"}
ENGINE = {
    "nans",
    "signals",
    "loop",
    "evaluate",
    "folds",
    "mesh",
    "optim",
    "checkpoint",
    "logs",
    "probes",
    "config",
    "restored",
    "workdir",
    "step",
}
NO_JAX = ("data", "report", "errors", "tokenise", "vocabulary", "byte_pairs")
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
    for name in imports(code):
        parts = name.split(".")
        assert name != "mmjax", "a bare `import mmjax` reaches every room: name the one that is meant"
        if here in NO_JAX:
            assert parts[0] not in JAX, f"{here} must not import {name}"
        if parts[0] == "mmjax" and here in ROOMS:
            assert parts[1] in ROOMS[here] | {here} | COMMON, f"{here} must not import {name}"
        if here in ENGINE:
            assert not name.startswith("mmjax.tasks."), f"the engine must not know {name}"
            assert not name.startswith(("mmjax.models", "mmjax.losses")), f"the engine must not know {name}"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_stay_within_the_rules(path):
    check(room(path), path.read_text())


@pytest.mark.parametrize(
    ("here", "code"),
    [
        ("pretrained", "import mmjax"),
        ("loop", "def f():\n    import mmjax as m"),
        ("pretrained", "from mmjax import restore"),
        ("tasks", "from mmjax import data"),
        ("ops", "def f():\n    from mmjax.models import norm"),
        ("data", "import jax.numpy"),
        ("evaluate", "from mmjax.tasks import soundnet"),
    ],
)
def test_the_rules_catch(here, code):
    with pytest.raises(AssertionError, match=r"import|know"):
        check(here, code)


def test_axis_names_live_in_two_files():
    allowed = {PACKAGE / "mesh.py", PACKAGE / "ops" / "collective.py"}
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
    # A penalty on the discriminator's gradient is a loss that holds one; who descends is step.py alone.
    assert takers == ["losses/adversarial.py", "step.py"]
    assert gradients("jax.grad(f)(x)\n_, back = jax.vjp(f, x)\nfrom jax import jacobian") == {"grad", "vjp", "jacobian"}
    assert not gradients("@jax.custom_vjp\ndef f(x): ...")


def _without_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return tree
