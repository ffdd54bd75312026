"""The run: from a config to a trained, evaluated, reported workdir. Three parts: prepare, train, finish."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from mmjax import report
from mmjax import workdir as files
from mmjax.engine import agree, checkpoint, claim, evaluate, folds, last_words, mesh, nans, probes, signals
from mmjax.engine import config as configs
from mmjax.engine import step as steps
from mmjax.engine.logs import Logs, recorded
from mmjax.engine.prepare import Ready, first, identities, prepare, say
from mmjax.errors import NonFinite
from mmjax.task import Batch, Figures, Task, Variables, bind


def run(config: ConfigDict, workdir: Path, command: str = "") -> Figures | None:
    """Trains until config.steps, evaluates, and writes the report; goes on where an earlier run stopped.

    Args:
      config: see mmjax/engine/config.py and configs/.
      workdir: holds everything that the run writes.
      command: what the user typed, for the record.

    Returns:
      The final figures, or None when a signal stopped the run (it is saved, and the same call goes on).

    Raises:
      UserError: something in the config, the data or the workdir is not right.
      NonFinite: a loss or gradient is not finite.
    """
    _check(config)
    config, kept = configs.as_begun(config, workdir)
    for line in kept:
        say(line)
    if config.eval.folds:
        with claim.claim(config, workdir, first=first()):
            return folds.run(run, config, workdir, command)
    with claim.claim(config, workdir, first=first()):
        done = files.read_json(workdir / files.RESULTS)
        if (
            isinstance(done, dict)
            and done.get("step", -1) >= config.steps
            and configs.evaluated_alike(done.get("eval"), config)
        ):
            page_of = workdir / files.REPORT
            if first() and not _newer(page_of, workdir / files.RESULTS):  # killed on its last metre, or out of room
                if status := files.read_json(workdir / files.STATUS):
                    files.write_json(workdir / files.STATUS, {**status, "state": "done"})
                report.write(workdir)
            say(f"{workdir} is done: {done['step']} steps\n{evaluate.show(done['values'])}\n{page_of}")
            return done["values"]
        ready, wait = prepare(config, workdir, command), True
        try:
            state = train(ready)
            return None if state is None else finish(ready, state)
        except BaseException as error:
            wait = not last_words.alone(error)
            status = files.read_json(workdir / files.STATUS)
            if first() and status:
                with contextlib.suppress(OSError):  # of a full disk: what raised before says more
                    files.write_json(workdir / files.STATUS, {**status, "state": "failed"})
            raise
        finally:
            if wait:
                ready.saver.close()  # whatever happened, what is being written is written to its end


def _newer(path: Path, than: Path) -> bool:
    return path.exists() and path.stat().st_mtime_ns >= than.stat().st_mtime_ns


# -- train ----------------------------------------------------------------------------------------------------------


def train(ready: Ready) -> steps.TrainState | None:
    """Runs the steps that are left, with records, looks at the validation split and checkpoints on the way.

    Returns:
      The last state laid out for jit, or None when a signal stopped the run.
    """
    config, saver, state = ready.config, ready.saver, ready.state
    start = at = int(state.step)
    logs = Logs(ready.workdir, at, config.steps, config.batch_size, quiet=not first())
    logs.status("running", at, ready.command)
    call = _caller(ready)
    state = ready.placement.place(state)
    batches = ready.batches(at)
    pending: list[tuple[int, int, Any]] = []
    said: tuple[str, ...] = ()
    stop = False
    with signals.interruption() as interrupted, logs:
        if _unseen(ready, at):
            saver.add_figures(at, _validate(ready, ready.placement.single(state), at, logs))
        while at < config.steps:
            size = config.steps_per_call if at + config.steps_per_call <= config.steps else 1
            state, figures = call(state, [next(batches) for _ in range(size)])
            pending.append((at + 1, size, figures))
            if at == start:
                jax.block_until_ready(figures)
                logs.begin(at + size)
            at += size
            stop = saver.preempted(at) if ready.process[1] > 1 else interrupted()
            look = at == config.steps or _every(at, config.eval.every, size)
            save = look or stop or _every(at, config.save_every, size)
            if save or _every(at, config.log_every, size):
                values = _flush(pending, saver, ready.workdir)
                logs.train(at, values)
                said = _warn(ready.task, values, at, logs, said)
            if save:
                with logs.pause():
                    single = ready.placement.single(state)
                    held_out = _validate(ready, single, at, logs) if look and not stop else None
                    saver.save(at, single, held_out)
            if stop:
                break
        saver.wait()
        if stop or interrupted():
            logs.status("stopped", at, ready.command)
            logs.say(f"stopped by a signal at step {at} and saved; the same command goes on from there")
            return None
    return ready.evaluator.placement.place(ready.placement.single(state))


def _caller(ready: Ready) -> Callable[[steps.TrainState, list[Batch]], tuple[steps.TrainState, Figures]]:
    """(state, host batches) -> (state, logs): one compiled step, or several in one dispatch."""
    donate = not ready.config.debug_nans  # the search for the NaN runs the step again on the same arrays
    compile_ = functools.partial(ready.placement.compile, state=ready.state, donate=donate)
    one = compile_(bind(steps.train_step, ready.task, ready.optimisers))
    many = compile_(bind(steps.train_steps, ready.task, ready.optimisers))
    key = jax.random.key(ready.config.seed)

    def call(state, batches):
        if len(batches) == 1:
            return one(state, ready.placement.put(batches[0]), key)
        stacked = {name: np.stack([batch[name] for batch in batches]) for name in mesh.numeric(batches[0])}
        return many(state, ready.placement.put(stacked, stacked=True), key)

    return (
        functools.partial(nans.search, ready.task, ready.optimisers, ready.placement, call, key)
        if ready.config.debug_nans
        else call
    )


def _every(at: int, interval: int, size: int) -> bool:
    """Whether a multiple of `interval` lies among the last `size` steps."""
    return bool(interval) and at // interval > (at - size) // interval


def _unseen(ready: Ready, at: int) -> bool:
    """Whether the run was stopped by a signal at a step of a look: it saves then, and leaves the look for later."""
    config = ready.config
    size = config.steps_per_call if at <= config.steps // config.steps_per_call * config.steps_per_call else 1
    if not at or not (at == config.steps or _every(at, config.eval.every, size)):
        return False
    seen = recorded(ready.workdir, at, "eval") and ready.saver.has_figures(at)
    return not agree.told("seen" if seen else "")[0]  # the first process keeps the records


def _flush(pending: list[tuple[int, int, Any]], saver: checkpoint.Checkpoints, workdir: Path) -> Figures:
    """Fetches the logs since the last time and averages them. Raises NonFinite at the first bad step."""
    rows: list[Figures] = []
    for begin, size, figures in pending:
        host = {name: np.broadcast_to(np.asarray(value), (size,)) for name, value in figures.items()}
        for i in range(size):
            row = {name: float(values[i]) for name, values in host.items()}
            if not nans.finite(row):
                saver.wait()
                shown = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
                raise NonFinite(
                    f"step {begin + i} is not finite: {shown}. The last good checkpoint is that of step "
                    f"{saver.latest()} in {workdir}; --config.debug_nans=True finds the operation"
                )
            rows.append(row)
    pending.clear()
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _warn(task: Task, values: Figures, at: int, logs: Logs, said: tuple[str, ...]) -> tuple[str, ...]:
    """Says what the task has to say of the training figures, but nothing that it said of the interval before."""
    lines = task.warn(values)
    for line in lines:
        if line not in said:
            logs.say(f"warning: step {at}: {line}")
    return lines


def _validate(ready: Ready, state: steps.TrainState, at: int, logs: Logs) -> Figures:
    """The figures on the validation split, recorded."""
    config = ready.config
    batches = ready.held_out(config.validation_split, config.eval.examples)
    figures = ready.evaluator.metrics(ready.evaluator.placement.place(state).variables, batches)
    logs.write(at, "eval", figures)
    logs.say(f"step {at} {config.validation_split}:  {evaluate.line(figures)}")
    return figures


# -- finish: the last look, on the split that nothing was chosen by --------------------------------------------------


def finish(ready: Ready, state: steps.TrainState) -> Figures:
    """Evaluates on the test split, with the probes, and writes results, predictions and the report."""
    config, task, workdir = ready.config, ready.task, ready.workdir
    at, most = int(state.step), config.eval.test_examples
    variables = fit(ready, state)
    say(f"evaluating on {config.test_split}")
    look = functools.partial(ready.held_out, config.test_split, most)
    full = functools.partial(ready.evaluator.full, variables)
    figures, predictions, examples = full(look(), gallery=config.eval.gallery)
    probed = {name: full(look(), probes.make(name, task.modalities), gallery=0)[0] for name in config.eval.probes}
    with Logs(workdir, at, config.steps, config.batch_size, quiet=not first()) as logs:
        logs.write(at, "test", figures)
        logs.gallery(at, predictions, task.sample_rate)
        logs.status("done", at, ready.command)
    if not first():
        return figures
    about = {"names": dict(task.names), "sample_rate": task.sample_rate, "answers": task.answers}
    if "number/index" in predictions:
        about["ids"] = identities(config, config.test_split, predictions["number/index"])
    files.write_predictions(workdir, config.test_split, predictions, about)
    content = {"step": at, "split": config.test_split, "examples": examples, "values": figures, "probes": probed}
    content["eval"] = config.eval.to_json()  # a run that is done evaluates again when this is changed
    files.write_json(workdir / files.RESULTS, {**content, "notes": list(task.notes)})
    say(f"\n{config.test_split} split, {examples} examples, after {at} steps\n{evaluate.show(figures)}")
    for name, values in probed.items():
        say(f"\nwith {name}\n{evaluate.show(values)}")
    say(f"\nreport: {report.write(workdir)}")
    return figures


def fit(ready: Ready, state: steps.TrainState) -> Variables:
    """The variables of the final evaluation: the state's, and what the task solves on the training split."""
    if ready.task.fit is None:
        return state.variables
    split, most = ready.config[f"{ready.task.fit.split}_split"], ready.config.eval.fit_examples
    say(f"fitting on {split}")
    batches = ready.held_out(split, most, ready.task.fit.fields)
    fitted, examples = ready.evaluator.fitted(state.variables, batches)
    if examples < len(ready.sources[split]):
        say(f"fitted on {examples:,} of {len(ready.sources[split]):,} examples: config.eval.fit_examples")
    ready.saver.save_fitted(int(state.step), fitted)
    return {**state.variables, "fitted": fitted}


# -- the surroundings -----------------------------------------------------------------------------------------------


def _check(config: ConfigDict) -> None:
    configs.check_ranges(config)
    mesh.check_batch_size(config.batch_size, "config.batch_size")
    mesh.check_batch_size(config.eval.batch_size, "config.eval.batch_size")
