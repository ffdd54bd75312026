"""A student around a small task: its loss by hand, what is saved and what is not, and who cannot be a teacher."""

import dataclasses
import json

import jax
import numpy as np
import optax
import pytest
import shared
from jax import numpy as jnp

from mmjax import workdir
from mmjax.distil import formulas, teaching
from mmjax.distil.options import Distil
from mmjax.engine import built, loop, restore
from mmjax.engine import step as steps
from mmjax.errors import UserError
from mmjax.losses import classification
from mmjax.task import Rows, Task, Update, bind

KEY = jax.random.key(1)


def hear(group, params, batch):
    return batch["image"] @ params[group]["kernel"]


def loss(group, variables, batch, key):
    values = classification.cross_entropy(hear(group, variables["params"], batch), batch["label"])
    state = {"seen": variables["state"]["seen"] + 1}
    return jnp.mean(values), (state, {f"noise/{group}": jax.random.normal(key)})


def init(classes, key, batch):
    params = {group: {"kernel": jax.random.normal(key, (3, classes))} for group in ("net", "control")}
    return {"params": params, "state": {"seen": jnp.int32(0)}, "frozen": {"own": jnp.float32(1)}}


def predict(variables, batch, key):
    """Scores of the network and a reference; a point, a map, and an n-best list, whose scores are of no class."""
    scores = jax.nn.softmax(hear("net", variables["params"], batch))
    found = {"scores/label": scores, "scores/label_target": scores, "embedding/point": scores}
    found["heatmap/heat"] = scores[:, None] * variables["frozen"]["own"]
    return {**found, "scores/best": scores[:, :1], "text/best": jnp.zeros((scores.shape[0], 1, 4), jnp.uint8)}


def distribution(variables, batch):
    told = {group: hear(group, variables["params"], batch) for group in ("net", "control")}
    return batch["label"], {"": told["net"], "picture": told["control"]}


def task(classes=4, told=True):
    return Task(
        ("image", "label"),
        bind(init, classes),
        tuple(Update(group, bind(loss, group)) for group in ("net", "control")),
        lambda variables, batch: {},
        bind(predict),
        names={"label": tuple("abcdef"[:classes])},
        distribution=bind(distribution) if told else None,
    )


@dataclasses.dataclass(frozen=True)
class Run:
    """In the place of a workdir: a teacher's fresh values."""

    task: Task
    path: str = "runs/teacher"

    def load(self):
        return jax.tree.map(np.asarray, self.task.init(jax.random.key(9), {}))

    @property
    def shapes(self):
        return jax.eval_shape(self.task.init, jax.random.key(9), {})


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 8).astype(np.int32)
    return {"image": rng.normal(size=(8, 3)).astype(np.float32), "label": label, "valid": np.ones(8, bool)}


def taught(told=True, their=None, **options):
    their = their or task(told=told)
    return teaching.task(task(told=told), teaching.Teacher(their, Run(their)), Distil("runs/teacher", **options))


def stepped(made, batch):
    """(state before, state after, logs) of one jitted step."""
    optimisers = dict.fromkeys(("net", "control"), optax.sgd(0.1))
    before = steps.create(made, optimisers, jax.random.key(0), batch)
    variables = made.fill(before.variables, {})
    before = dataclasses.replace(before, frozen=jax.tree.map(jnp.asarray, variables["frozen"]))
    after, logs = jax.jit(lambda s, b: steps.train_step(made, optimisers, s, b, KEY))(before, batch)
    return before, after, {name: float(value) for name, value in logs.items()}


@pytest.mark.parametrize("told", [True, False])
def test_the_loss_is_the_own_and_the_weighted_divergence(batch, told):
    _, plain, own = stepped(task(told=told), batch)
    before, after, logs = stepped(taught(told, weight=0.5, temperature=3.0), batch)
    theirs = Run(task()).load()["params"]

    def term(kernel):
        student = hear("net", {"net": {"kernel": kernel}}, batch)
        return jnp.mean(formulas.at_temperature(hear("net", theirs, batch), student, 3.0))

    value, gradient = jax.value_and_grad(term)(before.params["net"]["kernel"])
    name = "distil/answer" if told else "distil/label"
    assert logs[name] == pytest.approx(float(value), rel=1e-5)
    assert logs["loss/net"] == pytest.approx(own["loss/net"] + 0.5 * float(value), rel=1e-5)
    want = plain.params["net"]["kernel"] - 0.1 * 0.5 * gradient
    np.testing.assert_allclose(after.params["net"]["kernel"], want, rtol=1e-4, atol=1e-6)
    # A control is left alone, and whatever is drawn is drawn as without a teacher.
    np.testing.assert_array_equal(after.params["control"]["kernel"], plain.params["control"]["kernel"])
    assert {k: v for k, v in logs.items() if k in own and k.startswith("noise")} == {
        k: v for k, v in own.items() if k.startswith("noise")
    }
    jax.tree.map(np.testing.assert_array_equal, after.state, plain.state)
    assert set(logs) - set(own) == {name}


@pytest.mark.parametrize(("of", "name"), [("embeddings", "distil/point"), ("maps", "distil/heat")])
def test_points_and_maps(batch, of, name):
    before, _, logs = stepped(taught(of=of), batch)
    own, their = (
        np.asarray(jax.nn.softmax(hear("net", params, batch)))
        for params in (before.params, Run(task()).load()["params"])
    )
    if of == "embeddings":
        own, their = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (own, their))
        own, their = own @ own.T, their @ their.T
    assert logs[name] == pytest.approx(np.mean((own - their) ** 2), rel=1e-4)


def test_who_cannot_teach_is_told_in_one_line(batch):
    other = dataclasses.replace(task(), names={"label": tuple("abxd")})
    with pytest.raises(UserError, match=r"config\.distil\.workdir='runs/teacher' has other classes of label: number 2"):
        taught(their=other)
    with pytest.raises(UserError, match=r"has other classes of label: 6 there and 4 here$"):
        taught(their=task(6))
    nameless = dataclasses.replace(task(6), names={})
    with pytest.raises(UserError, match=r"has other classes of the answer: 6 there, 4 here$"):
        taught(their=nameless).init(KEY, batch)
    with pytest.raises(UserError, match="needs waveform, which this run does not read"):
        taught(their=dataclasses.replace(task(), predicts_from=("waveform",)))
    silent = dataclasses.replace(task(told=False), predict=lambda variables, batch, key: {})
    with pytest.raises(UserError, match="the system answers with none"):
        teaching.task(silent, teaching.Teacher(silent, Run(silent)), Distil("x")).init(KEY, batch)
    rows = dataclasses.replace(task(), updates=(Update("net", bind(loss, "net"), Rows(None, None)),))
    with pytest.raises(UserError, match="trains rows of tables"):
        teaching.task(rows, teaching.Teacher(task(), Run(task())), Distil("x"))


def test_other_words_are_told(batch, tmp_path):
    run = Run(task(), str(tmp_path))
    made = teaching.task(task(), teaching.Teacher(task(), run), Distil(str(tmp_path)))
    workdir.write_arrays(tmp_path / workdir.CONSTANTS, {"label_names": np.array([[97], [98]], np.uint8)})
    variables = jax.eval_shape(made.init, KEY, batch)
    with pytest.raises(UserError, match="has another label_names: it was trained on other data"):
        made.fill(variables, {"label_names": np.array([[97], [99]], np.uint8)})


@pytest.mark.parametrize(("options", "said"), [({"of": "feet"}, "of 'feet'"), ({"temperature": 0.0}, "above 0")])
def test_options(options, said):
    with pytest.raises(UserError, match=said):
        Distil("x", **options)


@pytest.mark.usefixtures("no_page")
def test_a_student_of_a_run_is_saved_without_it_and_goes_on(tmp_path):
    """A whole run: it stops after half of its steps, goes on to the same end, and is restored without its teacher."""
    teacher = shared.tiny_run("recognition")
    ends = {}
    for name, parts in (("whole", (4,)), ("halves", (2, 4))):
        for end in parts:
            config = shared.get_config("recognition")
            config.distil.workdir, config.steps, config.save_every, config.eval.every = str(teacher.workdir), end, 2, 2
            config.model.widths, config.optim.net.decay = (8, 8, 4), "none"
            with shared.one_device():
                loop.run(config, tmp_path / name)
        ends[name] = restore.restore(tmp_path / name)
    jax.tree.map(np.testing.assert_array_equal, ends["whole"].variables, ends["halves"].variables)
    assert ends["whole"].variables["frozen"] == {}
    lines = [json.loads(line) for line in (tmp_path / "whole" / workdir.METRICS).read_text().splitlines()]
    assert any("distil/object" in json.dumps(line) for line in lines)
    config = shared.get_config("recognition")
    config.distil.workdir = str(tmp_path)
    with pytest.raises(UserError, match=r"config\.distil\.workdir='.*' is no workdir"):
        built.of(config, taught=True)
    config = shared.get_config("vqa")
    config.distil.workdir = str(teacher.workdir)
    with pytest.raises(UserError, match="is a run of 'recognition', not of vqa"):
        built.of(config, taught=True)
