"""Small tasks with known answers, for tests of the engine."""

import flax.linen as nn
import jax
import numpy as np
from jax import numpy as jnp

from mmjax.engine import optim
from mmjax.models.blocks.norm import BatchNorm
from mmjax.task import Task, Update


class Net(nn.Module):
    """Dense, BatchNorm, dense: enough to show statistics that must be global."""

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(8, use_bias=False)(x)
        x = BatchNorm()(x, train=train)
        return nn.Dense(1)(nn.relu(x))[:, 0]


def regression() -> Task:
    """Learns areas[:, 0] from boxes[:, 0]: field names of the glossary, no meaning."""
    return Task(
        ("boxes", "areas"),
        _init,
        (Update("net", _loss),),
        _metrics,
        _predict,
        _score,
        references=("areas",),
        modalities={"picture": ("boxes",)},
    )


def _init(key, batch):
    made = Net().init(key, batch["boxes"][:, 0], train=False)
    return {"params": {"net": made["params"]}, "state": made["state"], "frozen": {"offset": jnp.float32(0.5)}}


def _loss(variables, batch, key):
    own = {"params": variables["params"]["net"], "state": variables["state"]}
    out, updated = Net().apply(own, batch["boxes"][:, 0], train=True, mutable=["state"])
    error = out - batch["areas"][:, 0] - variables["frozen"]["offset"]
    return jnp.mean(error**2), (updated["state"], {"noise": jax.random.normal(key)})


def _guess(variables, batch):
    own = {"params": variables["params"]["net"], "state": variables["state"]}
    return Net().apply(own, batch["boxes"][:, 0], train=False)


def _metrics(variables, batch):
    error, flat = (_guess(variables, batch) - batch["areas"][:, 0]) ** 2, batch["areas"][:, 0] ** 2
    count = jnp.sum(batch["valid"])
    return {
        "error": (jnp.sum(error, where=batch["valid"]), count),
        "error/zero": (jnp.sum(flat, where=batch["valid"]), count),
    }


def _predict(variables, batch, key):
    del key
    return {"embedding/out": _guess(variables, batch)[:, None]}


def _score(predictions, references):
    hit = np.mean(np.sign(predictions["embedding/out"][:, 0]) == np.sign(references["areas"][:, 0]))
    return {"sign": float(hit), "sign/chance": 0.5}


def two_groups() -> Task:
    """A game whose steps can be worked by hand: a follows b, then b sees the new a."""
    updates = (Update("a", _a_loss), Update("a", _a_loss), Update("b", _b_loss))
    return Task(("areas",), _two_init, updates, lambda v, b: {}, lambda v, b, k: {})


def _two_init(key, batch):
    del key, batch
    return {"params": {"a": jnp.float32(1), "b": jnp.float32(3)}, "state": jnp.int32(0), "frozen": {}}


def _a_loss(variables, batch, key):
    del batch, key
    p = variables["params"]
    return (p["a"] - p["b"]) ** 2, (variables["state"] + 1, {})


def _b_loss(variables, batch, key):
    del batch, key
    p = variables["params"]
    return p["a"] * p["b"], (variables["state"] + 10, {"seen_a": p["a"]})


def optimisers(*groups, rate=0.1):
    """Plain gradient descent for every group."""
    return {group: optim.make("sgd", rate, steps=10) for group in groups}


def batch(rng, size=16):
    """Random values in the toy's fields."""
    return {
        "boxes": rng.normal(size=(size, 1, 4)).astype(np.float32),
        "areas": rng.normal(size=(size, 1)).astype(np.float32),
        "valid": np.ones(size, bool),
    }


class Numbers:
    """A source of random numbers in the toy's fields, a function of the index."""

    def __init__(self, size=64, bad=()):
        self.size, self.bad = size, set(bad)

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        value = np.nan if index in self.bad else 1.0
        return {
            "boxes": rng.normal(size=(1, 4)).astype(np.float32) * np.float32(value),
            "areas": rng.normal(size=1).astype(np.float32),
        }


def config(**changes):
    """A config for the toy regression."""
    from mmjax.engine import config as base

    c = base.engine("toy")
    c.steps, c.batch_size, c.log_every, c.save_every = 12, 16, 2, 4
    c.eval.every, c.eval.batch_size, c.eval.examples, c.eval.test_examples = 6, 8, 20, 20
    c.best, c.best_mode = "error", "min"
    c.optim.net = base.adam(1e-2)
    with c.unlocked():
        for name, value in changes.items():
            c[name] = value
    return c
