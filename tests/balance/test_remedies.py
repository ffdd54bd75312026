"""Remedies around a small system of two towers: what each changes of a step, by hand from the plain step."""

import dataclasses

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

from mmjax.balance import formulas, remedies, sides
from mmjax.balance.options import Balance
from mmjax.engine import step as steps
from mmjax.errors import UserError
from mmjax.losses import classification
from mmjax.task import Task, Update, bind

PLAYERS = ("picture", "words")


def logits_of(variables, batch):
    params = variables["params"]["net"]
    seen, read = batch["image"] @ params["see"], batch["question_tokens"].astype(jnp.float32) @ params["read"]
    return (seen + read) @ params["head"]


def loss(variables, batch, key):
    del key
    values = classification.cross_entropy(logits_of(variables, batch), batch["label"])
    return jnp.mean(values), ({**variables["state"], "steps": variables["state"]["steps"] + 1}, {})


def control(variables, batch, key):
    """Sees the words alone."""
    del key
    logits = batch["question_tokens"].astype(jnp.float32) @ variables["params"]["control"]["read"]
    return jnp.mean(classification.cross_entropy(logits, batch["label"])), (variables["state"], {})


def init(key, batch):
    del batch
    draw = iter(jax.random.split(key, 4))
    net = {name: jax.random.normal(next(draw), shape) for name, shape in (("see", (3, 4)), ("read", (2, 4)))}
    net["head"] = jax.random.normal(next(draw), (4, 3))
    params = {"net": net, "control": {"read": jax.random.normal(next(draw), (2, 3))}}
    return {"params": params, "state": {"steps": jnp.int32(0)}, "frozen": {}}


def distribution(variables, batch):
    return batch["label"], {"": logits_of(variables, batch)}


PLAIN = Task(
    fields=("image", "question_tokens", "label"),
    modalities={"picture": ("image",), "words": ("question_tokens",)},
    init=bind(init),
    updates=(Update("net", bind(loss)), Update("control", bind(control))),
    metrics=lambda variables, batch: {},
    predict=lambda variables, batch, key: {},
    distribution=bind(distribution),
)
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def batch():
    """Sixteen examples; the words say the class, the picture nearly nothing."""
    rng = np.random.default_rng(3)
    label = np.arange(16, dtype=np.int32) % 3
    words = np.stack([label == 1, label == 2], 1).astype(np.int32)
    image = rng.normal(size=(16, 3)).astype(np.float32)
    valid, index = np.ones(16, bool), np.arange(16, dtype=np.int32)
    return {"image": image, "question_tokens": words, "label": label, "valid": valid, "index": index}


def stepped(batch, optimiser, count=1, **options):
    """(state before, state after, logs of the last step) of `count` jitted steps."""
    balance = Balance(**options)
    task = remedies.task(PLAIN, balance)
    tools = remedies.optimisers({"net": optimiser, "control": optimiser}, balance)
    before = after = steps.create(task, tools, jax.random.key(0), batch)
    step = jax.jit(lambda state, batch: steps.train_step(task, tools, state, batch, KEY))
    for _ in range(count):
        after, logs = step(after, batch)
    return before, after, {name: np.asarray(value) for name, value in logs.items()}


def change(batch, optimiser, count=1, **options):
    before, after, _ = stepped(batch, optimiser, count, **options)
    return jax.tree.map(lambda a, b: np.asarray(b) - np.asarray(a), before.params, after.params)


def by_hand(batch):
    """The factors of the first step: certainties of each side where the other is zero."""
    variables = steps.create(PLAIN, dict.fromkeys(("net", "control"), optax.sgd(1)), jax.random.key(0), batch).variables
    sums = []
    for gone in ("question_tokens", "image"):
        p = jax.nn.softmax(logits_of(variables, {**batch, gone: np.zeros_like(batch[gone])}))
        sums.append(np.sum(np.asarray(p)[np.arange(16), batch["label"]]))
    return np.asarray(formulas.modulation(jnp.array(sums), 0.5))


def test_gradients_of_the_surer_tower_are_scaled(batch):
    plain = change(batch, optax.sgd(0.1))
    found = change(batch, optax.sgd(0.1), name="ogm_ge", place="gradient", noise=False, alpha=0.5)
    factors = by_hand(batch)
    assert min(factors) < 0.7 < max(factors) == 1
    for tower, factor in zip(("see", "read"), factors, strict=True):
        np.testing.assert_allclose(found["net"][tower], factor * plain["net"][tower], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found["net"]["head"], plain["net"]["head"], rtol=1e-4, atol=1e-7)  # both meet in it
    np.testing.assert_allclose(found["control"]["read"], plain["control"]["read"], rtol=1e-4, atol=1e-7)


def test_adam_undoes_a_scaled_gradient_and_not_a_scaled_update(batch):
    options = {"name": "ogm_ge", "noise": False, "alpha": 0.5}
    plain = change(batch, optax.adam(0.01, eps=1e-12))["net"]
    gradient = change(batch, optax.adam(0.01, eps=1e-12), place="gradient", **options)["net"]
    update = change(batch, optax.adam(0.01, eps=1e-12), place="update", **options)["net"]
    for tower, factor in zip(("see", "read"), by_hand(batch), strict=True):
        np.testing.assert_allclose(gradient[tower], plain[tower], rtol=1e-3)
        np.testing.assert_allclose(update[tower], factor * plain[tower], rtol=1e-3)


def test_noise_has_the_deviation_of_the_gradient_and_only_in_towers():
    change = jnp.asarray(np.random.default_rng(0).normal(2, 3, (100, 100)), jnp.float32)
    state = {"balance": {"factors": {"net": {"a": jnp.array([0.5, 1.0]), "b": jnp.array([1.0, 0.0])}}}}
    tool = remedies.modulate("net", noise=True)
    found, _ = jax.jit(lambda x: tool.update(x, tool.init(x), task_state=state, key=KEY))({"a": change, "b": change})
    np.testing.assert_array_equal(found["b"], change)
    added = np.asarray(found["a"] - 0.5 * change)
    assert np.std(added) == pytest.approx(float(jnp.std(change)), rel=0.03)
    assert abs(np.mean(added)) < 0.1


def test_it_ends_when_it_is_told_to_and_spares_what_is_no_convolution(batch):
    plain = change(batch, optax.sgd(0.1), count=3)["net"]
    for ended in ({"convolutions": True}, {"until": 1}):
        options = {"name": "ogm_ge", "place": "gradient", "noise": False, "alpha": 0.5}
        found = change(batch, optax.sgd(0.1), count=3, **options, **ended)["net"]
        same = np.allclose(found["read"], plain["read"], rtol=1e-4)
        assert same == ("convolutions" in ended)
    _, after, _ = stepped(batch, optax.sgd(0.1), count=3, **options, until=1)
    np.testing.assert_array_equal(after.state["balance"]["factors"]["net"]["read"], [1, 0])  # no noise either


def test_missing_modalities_at_their_rate(batch):
    many = {name: np.repeat(value, 500, 0) for name, value in batch.items()}
    rates = jnp.array([0.3, 0.3])
    task = dataclasses.replace(PLAIN, updates=(Update("net", bind(counted)),))
    value, *_ = remedies._missing(task, 0, {"state": {}}, {}, many, KEY, rates, one=True)
    assert value.tolist() == pytest.approx([0.15, 0.15, 0], abs=0.01)  # each as often, and never both
    value, *_ = remedies._missing(task, 0, {"state": {}}, {}, many, KEY, jnp.array([0.0, 0.4]), one=False)
    assert value.tolist() == pytest.approx([0, 0.4, 0], abs=0.01)


def counted(variables, batch, key):
    """The shares of examples without a picture, without words and without both."""
    del variables, key
    dark = jnp.all(batch["image"] == 0, 1)
    mute = jnp.all(batch["question_tokens"] == 0, 1) & (batch["label"] > 0)  # class 0 has no word of its own
    share = jnp.mean(jnp.float32(batch["label"] > 0))
    both = jnp.mean(jnp.float32(dark & mute))
    return jnp.stack([jnp.mean(jnp.float32(dark)), jnp.mean(jnp.float32(mute)) / share, both]), ({}, {})


def test_opm_takes_the_surer_modality_away(batch):
    before, _, logs = stepped(batch, optax.sgd(0.1), name="opm", rate=0.4)
    sums = sides.certainties(PLAIN, {**before.variables, "state": {}}, batch)
    rates = np.array([logs[f"balance/{m}"] for m in PLAYERS])
    np.testing.assert_allclose(rates, formulas.dropping(sums, 0.4, 1.0), rtol=1e-4)  # this batch is executed
    assert min(rates) == 0 < max(rates)


def test_pmr_adds_the_distance_of_the_weaker_side_alone(batch):
    before, after, logs = stepped(batch, optax.sgd(0.1), name="pmr", alpha=0.7)
    variables, label, far = {**before.variables, "state": before.state}, batch["label"], {}
    for m, gone in zip(PLAYERS, ("question_tokens", "image"), strict=True):
        points = np.asarray(logits_of(variables, {**batch, gone: np.zeros_like(batch[gone])}))
        centres = np.stack([points[label == c].mean(0) for c in range(3)])
        np.testing.assert_allclose(after.state["balance"][m]["centres"], centres, rtol=1e-4, atol=1e-5)
        p = jax.nn.softmax(-np.linalg.norm(points[:, None] - centres[None], axis=-1))
        far[m] = np.asarray(p)[np.arange(16), label]
    weaker = min(PLAYERS, key=lambda m: far[m].sum())
    assert logs[f"balance/{weaker}"] == 1
    plain = float(loss(variables, batch, KEY)[0])
    assert float(logs["loss/net"]) == pytest.approx(plain - 0.7 * np.log(far[weaker]).mean(), rel=1e-4)
    other = "read" if weaker == "picture" else "see"
    changed, whole = change(batch, optax.sgd(0.1), name="pmr", alpha=0.7)["net"], change(batch, optax.sgd(0.1))["net"]
    np.testing.assert_allclose(changed[other], whole[other], rtol=1e-4, atol=1e-7)
    assert not np.allclose(changed["see" if other == "read" else "read"], whole["see" if other == "read" else "read"])


def test_blending_trains_on_nothing_that_it_holds_out(batch):
    """The first step weighs the three losses alike; what a held-out example says changes nothing of it."""
    held = np.asarray(remedies.is_held(jnp.arange(16), 0.3))
    assert 2 <= held.sum() <= 8
    options = {"name": "blending", "held": 0.3, "every": 2}
    found = change(batch, optax.sgd(0.1), **options)["net"]
    other = {**batch, "label": np.where(held, (batch["label"] + 1) % 3, batch["label"]).astype(np.int32)}
    again = change(other, optax.sgd(0.1), **options)["net"]
    jax.tree.map(np.testing.assert_array_equal, found, again)
    before, after, logs = stepped(batch, optax.sgd(0.1), **options)
    at = np.flatnonzero(~held)
    rows = np.where(held, at[np.arange(16) % len(at)], np.arange(16))
    some = {name: value[rows] for name, value in batch.items()}
    views = [some, *({**some, gone: np.zeros_like(some[gone])} for gone in ("question_tokens", "image"))]
    wanted = np.mean([float(loss(before.variables, view, KEY)[0]) for view in views])
    assert float(logs["loss/net"]) == pytest.approx(wanted, rel=1e-5)
    assert after.params["net"].keys() == before.params["net"].keys()


def test_blending_weighs_anew_at_its_checkpoints(batch):
    options = {"name": "blending", "held": 0.3, "every": 2}
    states = [stepped(batch, optax.sgd(0.1), count, **options)[1].state["balance"]["net"] for count in (2, 3, 4)]
    np.testing.assert_allclose(states[1]["weights"], np.full(3, 1 / 3), rtol=1e-6)
    earlier, now = states[0]["now"], states[2]["now"]
    pairs = [(earlier[name], now[name]) for name in ("training", "held")]
    wanted = formulas.blending(*pairs, states[1]["weights"])
    np.testing.assert_allclose(states[2]["weights"], wanted, rtol=1e-5)
    assert not np.allclose(states[2]["weights"], 1 / 3, atol=1e-3)


def test_blending_knows_nothing_of_a_batch_without_held_out_examples(batch):
    """A first batch without any counts in no mean, and one that is held out whole changes nothing."""
    held = np.asarray(remedies.is_held(jnp.arange(200), 0.3))
    balance = Balance("blending", held=0.3)
    task = remedies.task(PLAIN, balance)
    tools = dict.fromkeys(("net", "control"), optax.sgd(0.0))
    start = steps.create(task, tools, jax.random.key(0), batch)
    step = jax.jit(lambda state, batch: steps.train_step(task, tools, state, batch, KEY))
    without = {**batch, "index": np.flatnonzero(~held)[:16].astype(np.int32)}
    means = [
        state.state["balance"]["net"]["now"]
        for state in (step(start, batch)[0], step(step(start, without)[0], batch)[0])
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *means)
    _, logs = step(start, {**batch, "index": np.flatnonzero(held)[:16].astype(np.int32)})
    assert logs["loss/net"] == 0


def test_held_examples_are_the_same_at_every_visit_and_as_many_as_asked():
    index = jnp.arange(20_000)
    held = np.asarray(remedies.is_held(index, 0.1))
    assert held.mean() == pytest.approx(0.1, abs=0.01)
    order = np.random.default_rng(0).permutation(20_000)
    np.testing.assert_array_equal(remedies.is_held(index[order], 0.1), held[order])


def test_one_side_alone(batch):
    found = change(batch, optax.sgd(0.1), name="only", modality="words")
    blank = change({**batch, "image": np.zeros_like(batch["image"])}, optax.sgd(0.1))
    jax.tree.map(np.testing.assert_array_equal, found, blank)


def test_a_task_without_a_remedy_is_itself():
    assert remedies.task(PLAIN, Balance()) is PLAIN
    one, two = (remedies.task(PLAIN, Balance("dropout")) for _ in range(2))
    assert one == two


def test_a_system_says_itself_what_one_side_says(batch):
    asked = []

    def said(variables, batch, modality):
        asked.append(modality)
        return batch["label"], jnp.zeros((16, 3))

    task = dataclasses.replace(PLAIN, unimodal=said)
    np.testing.assert_allclose(sides.certainties(task, {}, batch), [16 / 3, 16 / 3], rtol=1e-6)
    assert asked == list(PLAYERS)


@pytest.mark.parametrize(
    ("options", "task", "message"),
    [
        ({"name": "ogm"}, PLAIN, "name 'ogm' is unknown: choose one of none, ogm_ge, "),
        ({"name": "ogm_ge", "place": "loss"}, PLAIN, "place 'loss' is unknown: choose one of gradient, update"),
        ({"name": "dropout", "rate": 1.5}, PLAIN, "rate 1.5 must be from 0 to 1"),
        ({"name": "blending", "held": 0.0}, PLAIN, "held 0: blending weighs its losses on examples"),
        ({"name": "blending", "every": 0}, PLAIN, "every 0: it must be at least 1"),
        ({"name": "only", "modality": "sound"}, PLAIN, "modality 'sound' is no modality: choose one of picture, words"),
        ({"name": "pmr"}, dataclasses.replace(PLAIN, distribution=None), "gives no distribution over classes"),
        ({"name": "blending"}, dataclasses.replace(PLAIN, contrastive=True), "asks what belongs together, has none"),
        (
            {"name": "only", "modality": "words"},
            dataclasses.replace(PLAIN, contrastive=True),
            "'only' asks for a loss of each modality alone",
        ),
        (
            {"name": "opm"},
            dataclasses.replace(PLAIN, modalities={"picture": ("image",)}),
            "balances several modalities: it has picture",
        ),
    ],
)
def test_what_cannot_be_balanced_is_one_line(options, task, message):
    with pytest.raises(UserError, match=message) as caught:
        remedies.task(task, Balance(**options))
    assert "\n" not in str(caught.value)
