"""Remedies for a training that leans on one modality, as wrappers of a Task and of its optimisers.

`task` wraps the losses of those updates that meet several modalities: a control that sees one is left alone. What a
remedy remembers is state["balance"], which is saved with the run and which no system reads. `optimisers` adds what
changes a gradient or an update.

What one side says by itself is `Task.unimodal`, or else `Task.distribution` where the other sides are blank: zeros, as
in `engine.probes`. No head is added, so a remedy costs passes and no parameters.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax
from flax.core import FrozenDict
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from mmjax.balance import formulas, sides, towers
from mmjax.balance.options import Balance
from mmjax.errors import OptionError, UserError
from mmjax.losses import classification
from mmjax.ops import collective
from mmjax.task import Batch, Figures, Task, Update, Variables, bind

KEY = "balance"  # of state
ASKING = ("ogm_ge", "opm", "pmr")  # who asks how sure each side is of the right answer
ALONE = ("blending", "only")  # who trains each side by itself
EXECUTED = 0.7  # of OPM's batches: its code's
KEPT = 0.99  # of the running means of blending's losses, a step


def task(plain: Task, balance: Balance) -> Task:
    """The task with the remedy; the same object where there is none.

    Raises:
      UserError: the system has not what the remedy needs.
    """
    if balance.name == "none":
        return plain
    players = tuple(plain.modalities)
    if len(players) < 2:
        named = f"it has {players[0]}" if players else "it names none"
        raise UserError(f"config.balance.name {balance.name!r} balances several modalities: {named}")
    if balance.name in ASKING and plain.unimodal is None and plain.distribution is None:
        raise UserError(
            f"config.balance.name {balance.name!r} asks how sure each modality is of the right class, and the system "
            "gives no distribution over classes: dropout, blending"
        )
    if balance.name in ALONE and plain.contrastive:
        raise UserError(
            f"config.balance.name {balance.name!r} asks for a loss of each modality alone, and a contrastive loss, "
            "which asks what belongs together, has none: choose dropout"
        )
    if balance.name == "only" and balance.modality not in players:
        raise OptionError("modality", f"{balance.modality!r} is no modality: choose one of {', '.join(players)}")
    if any(update.rows is not None for update in plain.updates):
        raise UserError("config.balance: a system that trains rows of tables has no remedies")
    if balance.name == "only":  # what it never saw is not shown to it in an evaluation either
        plain = dataclasses.replace(
            plain,
            metrics=bind(_metrics_alone, plain, balance.modality),
            predict=bind(_predict_alone, plain, balance.modality),
            distribution=plain.distribution and bind(_distribution_alone, plain, balance.modality),
        )
    index = ("index",) if balance.name == "blending" and "index" not in plain.fields else ()
    return dataclasses.replace(
        plain,
        fields=(*plain.fields, *index),
        init=bind(_init, plain, balance),
        updates=tuple(
            Update(update.group, bind(_loss, plain, number, balance)) for number, update in enumerate(plain.updates)
        ),
    )


def optimisers(plain: Mapping[str, Any], balance: Balance) -> Mapping[str, Any]:
    """The optimisers of each group with what the remedy does to gradients or updates."""
    if balance.name != "ogm_ge":
        return plain
    return FrozenDict({group: _around(optimiser, group, balance) for group, optimiser in plain.items()})


@functools.lru_cache(maxsize=64)
def _around(optimiser: Any, group: str, balance: Balance) -> optax.GradientTransformation:
    modulated = modulate(group, balance.noise)
    both = (modulated, optimiser) if balance.place == "gradient" else (optimiser, modulated)
    return optax.chain(*both)


def modulate(group: str, noise: bool) -> optax.GradientTransformationExtraArgs:
    """OGM-GE's change of a gradient, or of an update: each tower's times its factor, and noise of its own deviation.

    It reads what the loss left in the state: {group: a tree like its parameters of [factor, whether of a tower]}.

    Args:
      group: of the parameters.
      noise: whether there is any.
    """

    def update(
        updates: Any, state: Any, params: Any = None, *, task_state: Mapping[str, Any], key: Array, **rest: Any
    ) -> tuple[Any, Any]:
        del params, rest
        keys = jax.tree.unflatten(jax.tree.structure(updates), [*jax.random.split(key, len(jax.tree.leaves(updates)))])

        def one(x: Array, number: Float[Array, 2], own: Array) -> Array:
            drawn = jax.random.normal(own, x.shape, x.dtype) * (jnp.std(x) * number[1]) if noise else 0.0
            return number[0] * x + drawn

        return jax.tree.map(one, updates, task_state[KEY]["factors"][group], keys), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


# -- what a task's functions become -----------------------------------------------------------------------------------


def _init(plain: Task, balance: Balance, key: Array, batch: Batch) -> Variables:
    """The system's variables, and what the remedy remembers beside its state."""
    variables = plain.init(key, batch)
    players = tuple(plain.modalities)
    memory: dict[str, Any] = {}
    if balance.name == "ogm_ge":
        ones = jax.tree.map(lambda x: jnp.array([1.0, 0.0], jnp.float32), dict(variables["params"]))
        memory = {"factors": ones, "steps": {update.group: jnp.int32(0) for update in plain.updates}}
    elif balance.name == "pmr":
        shape = jax.eval_shape(lambda: sides.unimodal(plain, variables, batch, players[0])[1]).shape
        empty = {"centres": jnp.zeros((shape[-1], shape[-1])), "seen": jnp.zeros(shape[-1])}
        memory = {m: dict(empty) for m in players}
    elif balance.name == "blending":
        count = len(players) + 1
        none = {"training": jnp.zeros(count), "held": jnp.zeros(count)}
        even = jnp.full(count, 1 / count)
        fresh = {"weights": even, "now": none, "before": none, "step": jnp.int32(0), "seen": jnp.int32(0)}
        memory = {update.group: fresh for update in plain.updates}
    return {**variables, "state": {**variables["state"], KEY: memory}}


def _loss(
    plain: Task, number: int, balance: Balance, variables: Variables, batch: Batch, key: Array
) -> tuple[Array, tuple[Any, Figures]]:
    """The loss of one update under the remedy."""
    state = dict(variables["state"])
    memory = state.pop(KEY)
    own = {**variables, "state": state}
    group = plain.updates[number].group
    owner = sides.owner_of(plain, batch)
    seen = towers.met(
        lambda params, batch: plain.updates[number].loss(
            {**own, "params": {**own["params"], group: params}}, batch, key
        ),
        own["params"][group],
        batch,
        owner,
    )
    if len(frozenset().union(*jax.tree.leaves(seen, is_leaf=_is_names))) < 2:  # a control
        value, (state, logs) = plain.updates[number].loss(own, batch, key)
        memory, said = dict(memory), dict[str, Array]()
    else:
        value, state, logs, memory, said = _REMEDIES[balance.name](
            plain, number, balance, seen, own, memory, batch, key
        )
    return value, ({**state, KEY: memory}, {**logs, **{f"balance/{name}": x for name, x in said.items()}})


def _is_names(value: Any) -> bool:
    return isinstance(value, frozenset)


def _named(plain: Task, values: Array) -> dict[str, Array]:
    return {modality: values[i] for i, modality in enumerate(plain.modalities)}


def _ogm_ge(
    plain: Task, number: int, balance: Balance, seen: Any, own: Variables, memory: Any, batch: Batch, key: Array
) -> Any:
    """The loss as it is; the factors of each parameter for `modulate`."""
    value, (state, logs) = plain.updates[number].loss(own, batch, key)
    players, group = tuple(plain.modalities), plain.updates[number].group
    scores = sides.certainties(plain, own, batch)
    factors = formulas.modulation(scores, balance.strength)
    steps = memory["steps"][group]
    goes_on = jnp.bool_(True) if not balance.until else steps < balance.until  # both the scaling and the noise
    factors = jnp.where(goes_on, factors, 1.0)

    def one(names: frozenset[str], param: Array) -> Array:
        of_tower = len(names) == 1 and (param.ndim == 4 or not balance.convolutions)
        factor = factors[players.index(next(iter(names)))] if of_tower else jnp.float32(1)
        return jnp.stack([factor, jnp.float32(of_tower & goes_on)])

    changed = jax.tree.map(one, seen, own["params"][group], is_leaf=_is_names)
    new = {"factors": {**memory["factors"], group: changed}, "steps": {**memory["steps"], group: steps + 1}}
    return value, state, logs, new, _named(plain, factors)


def _missing(
    plain: Task, number: int, own: Variables, memory: Any, batch: Batch, key: Array, rates: Array, one: bool
) -> Any:
    """The loss where each example misses each modality at its rate; `one`: only one, drawn among all."""
    of_drop, of_which, of_rest = jax.random.split(key, 3)
    b, players = len(batch["valid"]), tuple(plain.modalities)
    shape = (b,) if one else (len(players), b)
    drawn = jax.random.uniform(collective.local_key(of_drop), shape)
    which = jax.random.randint(collective.local_key(of_which), (b,), 0, len(players))
    gone = {m: (drawn < rates[i]) & (which == i) if one else drawn[i] < rates[i] for i, m in enumerate(players)}
    value, (state, logs) = plain.updates[number].loss(own, sides.without(plain, batch, gone), of_rest)
    return value, state, logs, memory, _named(plain, rates)


def _dropout(
    plain: Task, number: int, balance: Balance, seen: Any, own: Variables, memory: Any, batch: Batch, key: Array
) -> Any:
    """An example misses one modality at the rate, each as often: never all of them."""
    del seen
    rates = jnp.full(len(plain.modalities), balance.rate, jnp.float32)
    return _missing(plain, number, own, memory, batch, key, rates, one=True)


def _opm(
    plain: Task, number: int, balance: Balance, seen: Any, own: Variables, memory: Any, batch: Batch, key: Array
) -> Any:
    """The surer modality is missing, whole: OPM drops single features of it, which no system shows."""
    del seen
    own_key, rest = jax.random.split(key)
    rates = formulas.dropping(sides.certainties(plain, own, batch), balance.rate, balance.strength)
    rates = jnp.where(jax.random.uniform(own_key) < EXECUTED, rates, 0.0)
    return _missing(plain, number, own, memory, batch, rest, rates, one=False)


def _pmr(
    plain: Task, number: int, balance: Balance, seen: Any, own: Variables, memory: Any, batch: Batch, key: Array
) -> Any:
    """The loss and, of the less sure modality alone, how near its classes' prototypes it is."""
    del seen
    value, (state, logs) = plain.updates[number].loss(own, batch, key)
    players = tuple(plain.modalities)
    sure, far, new = [], [], dict[str, Any]()
    for m in players:
        label, points = sides.unimodal(plain, own, batch, m)
        fixed, labels = jax.lax.stop_gradient(collective.gather(points)), collective.gather(label)
        moved = formulas.prototypes(memory[m]["centres"], memory[m]["seen"], fixed, labels, balance.momentum)
        new[m] = {"centres": moved[0], "seen": moved[1]}
        near = formulas.nearness(points, *moved)
        sure.append(collective.mean(formulas.certainty(near, label, label >= 0)))
        far.append(collective.mean_where(classification.cross_entropy(near, label), label >= 0))
    scores = jax.lax.stop_gradient(jnp.stack(sure))
    weakest = jax.nn.one_hot(jnp.argmin(scores), len(players))
    value = value + balance.strength * jnp.sum(weakest * jnp.stack(far))
    return value, state, logs, new, _named(plain, weakest)


def _blending(
    plain: Task, number: int, balance: Balance, seen: Any, own: Variables, memory: Any, batch: Batch, key: Array
) -> Any:
    """The weighted sum of the losses of all and of each modality alone, on examples that are not held out."""
    del seen
    group = plain.updates[number].group
    held = is_held(batch["index"], balance.held)
    trained, kept = only_rows(batch, ~held), only_rows(batch, held)
    loss = plain.updates[number].loss
    value, (state, logs) = loss(own, trained, key)
    players = tuple(plain.modalities)
    losses = jnp.stack([value, *(loss(own, sides.alone(plain, trained, m), key)[0] for m in players)])
    watched = jnp.stack([loss(own, seen, key)[0] for seen in (kept, *(sides.alone(plain, kept, m) for m in players))])
    both = jnp.any(held) & ~jnp.all(held)  # or a device knows nothing of one of them
    knowing = collective.mean(jnp.float32(both))
    pair = jax.lax.stop_gradient({"training": losses, "held": watched})
    pair = jax.tree.map(lambda x: collective.mean(jnp.where(both, x, 0.0)) / jnp.maximum(knowing, 1e-6), pair)
    old, step, count = memory[group], memory[group]["step"], memory[group]["seen"] + jnp.int32(knowing > 0)
    share = jnp.where(knowing > 0, jnp.maximum(1 - KEPT, 1 / jnp.maximum(count, 1).astype(jnp.float32)), 0.0)
    now = jax.tree.map(lambda mean, x: mean + share * (x - mean), old["now"], pair)
    due, first = (step + 1) % balance.every == 0, step + 1 == balance.every
    before = {name: (old["before"][name], now[name]) for name in now}
    weights = formulas.blending(before["training"], before["held"], old["weights"])
    weights = jnp.where(due & ~first, weights, old["weights"])
    kept_means = jax.tree.map(lambda a, b: jnp.where(due, a, b), now, old["before"])
    new = {**memory, group: {"weights": weights, "now": now, "before": kept_means, "step": step + 1, "seen": count}}
    said = {"all": weights[0], **_named(plain, weights[1:])}
    return jnp.where(jnp.all(held), 0.0, jnp.sum(old["weights"] * losses)), state, logs, new, said


def is_held(index: Int[Array, " b"], share: float) -> Array:
    """Whether each example of the training split is held out: by a hash of its place, the same at every visit."""
    mixed = index.astype(jnp.uint32) * jnp.uint32(2654435761)  # Knuth's multiplicative hash
    mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(2246822519)
    return (mixed >> 8).astype(jnp.float32) / 2**24 < share


def only_rows(batch: Batch, wanted: Array) -> dict[str, Any]:
    """The batch with each unwanted row replaced by a wanted one, in turn; as it is where none is wanted."""
    b = len(wanted)
    order = jnp.argsort(~wanted, stable=True)  # the wanted ones first
    count = jnp.sum(wanted, dtype=jnp.int32)
    at = jnp.where(wanted, jnp.arange(b), order[jnp.arange(b) % jnp.maximum(count, 1)])
    at = jnp.where(count > 0, at, jnp.arange(b))
    return {name: jnp.asarray(value)[at] for name, value in batch.items()}


def _only(
    plain: Task, number: int, balance: Balance, seen: Any, own: Variables, memory: Any, batch: Batch, key: Array
) -> Any:
    """The loss of one modality, the others blank."""
    del seen
    value, (state, logs) = plain.updates[number].loss(own, sides.alone(plain, batch, balance.modality), key)
    return value, state, logs, memory, {}


def _metrics_alone(plain: Task, modality: str, variables: Variables, batch: Batch) -> Any:
    return plain.metrics(variables, sides.alone(plain, batch, modality))


def _predict_alone(plain: Task, modality: str, variables: Variables, batch: Batch, key: Array) -> Any:
    return plain.predict(variables, sides.alone(plain, batch, modality), key)


def _distribution_alone(plain: Task, modality: str, variables: Variables, batch: Batch) -> Any:
    assert plain.distribution is not None
    return plain.distribution(variables, sides.alone(plain, batch, modality))


_REMEDIES: dict[str, Callable[..., Any]] = {
    "ogm_ge": _ogm_ge,
    "opm": _opm,
    "dropout": _dropout,
    "pmr": _pmr,
    "blending": _blending,
    "only": _only,
}
