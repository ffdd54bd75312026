"""config.debug_nans: which operation made the first value that is not finite."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import jax
import numpy as np

from mmjax.engine import mesh
from mmjax.engine import step as steps
from mmjax.errors import NonFinite
from mmjax.task import Batch, Figures, Task


def search(
    task: Task,
    optimisers: steps.Optimisers,
    placement: mesh.Jitted | mesh.Replicated,
    call: Callable,
    key: jax.Array,
    state: steps.TrainState,
    batches: list[Batch],
) -> tuple[steps.TrainState, Figures]:
    """The call; where its losses are not finite, the same steps again, operation by operation.

    jax_debug_nans alone would look at the first call of a compiled function only (its fast path skips the check), and
    loses itself in pmap.
    """
    try:
        new, figures = call(state, batches)
        if finite(jax.tree.map(np.asarray, figures)):
            return new, figures
        single = placement.single(state)
        with jax.debug_nans(True), jax.disable_jit():
            for batch in batches:
                single, _ = steps.train_step(task, optimisers, single, mesh.numeric(batch), key)
    except FloatingPointError as error:
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
        where = f"{ours[-1].filename}:{ours[-1].lineno}: {ours[-1].line}"
        at = int(placement.single(state).step) + 1
        raise NonFinite(f"step {at}: {str(error).splitlines()[0]} at {where}") from None
    return new, figures


def finite(figures: Figures) -> bool:
    """Whether all losses and gradient norms are; what else a task logs is its own affair."""
    return all(np.isfinite(v).all() for name, v in figures.items() if name.startswith(("loss/", "grad_norm/")))
