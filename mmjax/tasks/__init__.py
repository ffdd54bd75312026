"""Systems: one module each with `build(config) -> Task`."""

from __future__ import annotations

import importlib
import pkgutil

from ml_collections import ConfigDict

from mmjax.errors import UserError
from mmjax.task import Task


def names() -> list[str]:
    """All systems of this package; a module whose name begins with an underscore is what some of them share."""
    return [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]


def build(config: ConfigDict) -> Task:
    """The task that config.system names. Raises UserError if there is none, or if a section has a wrong field."""
    if config.system not in names():
        raise UserError(f"config.system {config.system!r} is unknown: choose one of {', '.join(names())}")
    return importlib.import_module(f"mmjax.tasks.{config.system}").build(config)
