"""Which modality each parameter meets is read off the traced loss: through loops, calls and branches."""

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from shared import tiny_run

from mmjax.balance import towers
from mmjax.engine import mesh, prepare

OWNER = {"image": "picture", "tokens": "words"}


def batch(**more):
    return {"image": np.ones((2, 3), np.float32), "tokens": np.ones((2, 4), np.int32), "label": np.ones(2), **more}


def met(loss, params):
    return towers.met(loss, params, batch(), OWNER)


def words(*names):
    return frozenset(names)


def test_a_network_of_two_towers():
    params = {
        "see": {"kernel": jnp.ones((3, 5)), "bias": jnp.zeros((1, 5))},
        "table": jnp.ones((9, 5)),
        "cell": jnp.ones((5, 5)),
        "head": jnp.ones((5, 2)),
        "scale": jnp.ones(()),
        "idle": jnp.ones(3),
    }

    def loss(params, batch):
        def step(state, x):
            return jnp.tanh(state @ params["cell"] + x), None

        seen = jax.jit(jax.nn.relu)(batch["image"] @ params["see"]["kernel"] + params["see"]["bias"])
        read, _ = lax.scan(step, jnp.zeros((2, 5)), jnp.moveaxis(params["table"][batch["tokens"]], 1, 0))
        both = jax.checkpoint(lambda x: x @ params["head"])(seen * read)
        return jnp.sum(both * jnp.exp(params["scale"]), -1) - batch["label"]

    found = met(loss, params)
    both = words("picture", "words")
    assert found["see"] == {"kernel": words("picture"), "bias": words("picture")}
    assert (found["table"], found["cell"]) == (words("words"), words("words"))
    assert (found["head"], found["scale"], found["idle"]) == (both, both, words())


def test_branches_and_loops_that_end_when_they_like():
    params = {"one": jnp.ones((1, 3)), "two": jnp.ones((1, 3)), "three": jnp.ones((1, 3))}

    def loss(params, batch):
        x = lax.cond(batch["label"][0] > 0, lambda x: x * params["one"], lambda x: x * params["two"], batch["image"])
        read = jnp.mean(batch["tokens"].astype(jnp.float32))
        return lax.while_loop(lambda s: jnp.sum(s) < 9, lambda s: s * params["three"] + read, x)

    found = met(loss, params)
    assert (found["one"], found["two"]) == (words("picture"), words("picture"))
    assert found["three"] == words("picture", "words")


def test_a_carry_that_is_mixed_in_late_reaches_what_came_before():
    """Two states, of which each becomes the other: after two turns both have seen the picture."""
    params = {"one": jnp.ones(3), "two": jnp.ones(3)}

    def loss(params, batch):
        def turn(states, _):
            first, second = states
            return (second * params["one"], first * params["two"] + batch["image"][0]), None

        return lax.scan(turn, (jnp.ones(3), jnp.ones(3)), None, length=3)[0][0]

    assert met(loss, params) == {"one": words("picture"), "two": words("picture")}


def test_towers_of_visual_question_answering():
    """Read off the whole system: its encoder and its reader are towers, what both meet in is none, controls see one."""
    ready = tiny_run("vqa").ready
    task, state = ready.task, ready.state
    batch = {**mesh.numeric(prepare.example_batch(ready.sources["train"], ready.config))}
    owner = {"image": "picture", "question_tokens": "words"}
    found = {}
    for update in task.updates:

        def loss(params, batch, update=update):
            variables = {**state.variables, "params": {**state.params, update.group: params}}
            return update.loss(variables, batch, jax.random.key(0))

        found[update.group] = towers.met(loss, state.params[update.group], batch, owner)

    def all_of(tree):
        return set(jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, frozenset)))

    net = found["net"]
    assert all_of(net["encoder"]) == all_of(net["answerer"]["image_common"]) == {words("picture")}
    assert all_of(net["answerer"]["question"]) == all_of(net["answerer"]["question_common"]) == {words("words")}
    assert all_of(net["answerer"]["last"]) == {words("picture", "words")}
    assert all_of(found["question_only"]) == {words("words")}
    assert all_of(found["image_only"]) == {words("picture")}
