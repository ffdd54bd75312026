"""A trained run, whole: what it saved comes back, as shapes and as values, and one clear line for a wrong path."""

import json

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.engine import checkpoint, step
from mmjax.errors import OptionError
from mmjax.known.whole_run import WholeRun


def saved(folder, system="x", **more):
    """A workdir as a run leaves it; returns its state."""
    params, state, frozen = ({name: jnp.full(2, i, jnp.float32)} for i, name in enumerate("abc"))
    made = step.TrainState(jnp.int32(3), {"g": params}, {"g": ()}, state, more.get("frozen", frozen))
    saver = checkpoint.Checkpoints(folder)
    saver.save(3, made)
    saver.save_frozen(made.frozen)
    if "fitted" in more:
        saver.save_fitted(3, more["fitted"])
    saver.close()
    (folder / "config.json").write_text(json.dumps({"system": system, "sizes": [1, 2], "in": {"of": [[3]]}}))
    return made


@pytest.mark.parametrize("more", [{"fitted": {"f": np.int32([1, 2])}}, {"frozen": {}}])
def test_all_that_was_saved_comes_back(tmp_path, more):
    made, run = saved(tmp_path, **more), WholeRun(str(tmp_path), "x", "config.run")
    wanted = {
        "params": made.params,
        "state": made.state,
        "frozen": made.frozen,
        **{k: more[k] for k in ("fitted",) if k in more},
    }
    found, shapes = run.load(), run.shapes
    assert set(found) == set(shapes) == set(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(found))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), shapes, found))
    assert (run.config.sizes, run.config["in"].of) == ((1, 2), ((3,),))
    assert run == WholeRun(str(tmp_path), "x", "config.run")


def test_a_run_of_another_system_or_none_is_named(tmp_path):
    with pytest.raises(OptionError, match=r"config\.run='.*' is no workdir"):
        _ = WholeRun(str(tmp_path), "x", "config.run").config
    saved(tmp_path)
    with pytest.raises(OptionError, match="is a run of 'x', not of y"):
        _ = WholeRun(str(tmp_path), "y", "config.run").config
