"""A config's task and optimisers, with its remedy where it has one: the same for a run and for whoever restores it."""

from __future__ import annotations

from ml_collections import ConfigDict

from mmjax import systems
from mmjax.balance import options, remedies
from mmjax.engine import optim
from mmjax.engine import step as steps
from mmjax.errors import section
from mmjax.task import Task


def of(config: ConfigDict) -> tuple[Task, steps.Optimisers]:
    """(task, {group: optimiser}). Raises UserError for what they cannot be made of."""
    plain = systems.build(config)
    with section("config.balance"):
        balance = options.Balance(**config.balance)
        task = remedies.task(plain, balance)
    return task, remedies.optimisers(optim.of(task, config.optim, config.steps), balance)
