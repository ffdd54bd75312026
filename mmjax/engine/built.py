"""A config's task and optimisers, with its remedy where it has one: the same for a run and for whoever restores it."""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from mmjax import systems
from mmjax.balance import options, remedies
from mmjax.distil import options as distilling
from mmjax.distil import pruning, teaching
from mmjax.engine import config as configs
from mmjax.engine import optim
from mmjax.engine import step as steps
from mmjax.errors import section
from mmjax.known.whole_run import WholeRun
from mmjax.task import Task


def of(config: ConfigDict, taught: bool = False) -> tuple[Task, steps.Optimisers]:
    """(task, {group: optimiser}).

    Args:
      config: of the run.
      taught: whether by config.distil's run and from config.prune's, where it names them: while it trains, and not
        when it is restored.

    Raises:
      UserError: they cannot be made of this.
    """
    plain = systems.build(config)
    with section("config.balance"):
        balance = options.Balance(**config.balance)
        task = remedies.task(plain, balance)
    if taught:
        task = _taught(_pruned(task, config), config)
    return task, remedies.optimisers(optim.of(task, config.optim, config.steps), balance)


def _pruned(task: Task, config: ConfigDict) -> Task:
    """The task that begins as another run's channels; the same object where there is none."""
    if not config.prune:
        return task
    return pruning.task(task, WholeRun(config.prune, config.system, pruning.OPTION))


def _taught(task: Task, config: ConfigDict) -> Task:
    """The task with its teacher; the same object where there is none."""
    with section("config.distil"):
        distil = distilling.Distil(**config.distil)
    if not distil.workdir:
        return task
    run = WholeRun(distil.workdir, config.system, teaching.OPTION)
    _ = run.config  # another system's, or nothing there
    their = systems.build(configs.load(Path(distil.workdir).expanduser()))
    return teaching.task(task, teaching.Teacher(their, run), distil)
