"""Systems: one module each with `build(config) -> Task`, in this package or in a folder of it."""

from __future__ import annotations

import importlib
import pkgutil

from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.task import Task


def _modules() -> dict[str, str]:
    """{name: dotted path} of every module of this package, in whichever folder."""
    found = pkgutil.walk_packages(__path__, f"{__name__}.")
    return {module.name.rpartition(".")[2]: module.name for module in found if not module.ispkg}


def names() -> list[str]:
    """All systems; a module without `build` is what some of them share."""
    return [name for name, path in _modules().items() if hasattr(importlib.import_module(path), "build")]


def build(config: ConfigDict) -> Task:
    """The task that config.system names. Raises UserError if there is none, or if a section has a wrong field."""
    path = _modules().get(config.system)
    module = importlib.import_module(path) if path else None
    if module is None or not hasattr(module, "build"):
        raise UserError(f"config.system {config.system!r} is unknown: choose one of {', '.join(names())}")
    return module.build(config)
