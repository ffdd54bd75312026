import jax
import numpy as np
import pytest
from jax import numpy as jnp
from shared import get_config

from mmjax import systems
from mmjax.engine import optim
from mmjax.engine.step import create, train_step
from mmjax.errors import UserError
from mmjax.models.joint.vqa import VQA
from mmjax.task import bind
from mmjax.text import vocabulary

WORDS = [*vocabulary.SPECIAL, "what", "colour", "is", "it", "?", "there", "red"]
ANSWERS = ["yes", "no", "red", "blue", "two"]
QUICK = {"xla_backend_optimization_level": 0}  # what runs once or twice is compiled in half the time
TYPES = ["existence", "colour"]


def config(**changes):
    c = get_config("vqa")
    for name, value in changes.items():
        section, _, field = name.partition("__")
        c[section][field] = value
    return c


def batch(size=6, seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(4, len(WORDS), (size, 5)).astype(np.int32)
    tokens[:, :2] = 0
    label = rng.integers(-1, len(ANSWERS), size).astype(np.int32)
    return {
        "image": rng.integers(0, 256, (size, 16, 16, 3)).astype(np.uint8),
        "question_tokens": tokens,
        "answer_label": label,
        "question_type_label": np.where(label < 2, 0, 1).astype(np.int32),
        "valid": np.ones(size, bool),
    }


CONSTANTS = {
    "question_vocabulary": vocabulary.spell(WORDS),
    "answer_vocabulary": vocabulary.spell(ANSWERS),
    "question_type_vocabulary": vocabulary.spell(TYPES),
}


@pytest.fixture(scope="module")
def fresh():
    """(task, optimisers, fresh state) of the tiny config on written vocabularies."""
    c = config()
    task = systems.build(c)
    optimisers = optim.of(task, c.optim, c.steps)
    made = jax.jit(bind(create, task, optimisers), compiler_options=QUICK)
    state = made(jax.random.key(0), {**batch(), **CONSTANTS})
    return task, optimisers, state


@pytest.fixture(scope="module")
def made(fresh):
    """(task, variables)."""
    return fresh[0], fresh[2].variables


def test_vocabularies_size_the_networks_and_stay_with_them(made):
    _, variables = made
    net = variables["params"]["net"]["answerer"]
    assert net["question"]["embedding"]["embedding"].shape == (len(WORDS), 8)
    assert net["last"]["affine"]["bias"].shape == (len(ANSWERS),)
    assert set(variables["params"]["question_only"]) == {"question", "question_common", "last"}
    assert set(variables["params"]["image_only"]) == {"image_common", "last"}
    assert vocabulary.words_of(np.asarray(variables["frozen"]["answer_vocabulary"])) == ANSWERS


@pytest.fixture(scope="module")
def one_step(fresh):
    """(state before, state after, logs) of one step."""
    task, optimisers, state = fresh
    after, logs = jax.jit(bind(train_step, task, optimisers), compiler_options=QUICK)(state, batch(), jax.random.key(1))
    return state, after, logs


def test_each_control_learns_apart(one_step, made):
    """The question-only control is blind to pictures, and the image-only one does not move the encoder."""
    task, variables = made
    losses = {update.group: jax.jit(update.loss, compiler_options=QUICK) for update in task.updates}
    own, other = batch(), {**batch(), "image": batch(seed=1)["image"]}
    key = jax.random.key(0)
    assert losses["question_only"](variables, own, key)[0] == losses["question_only"](variables, other, key)[0]
    assert losses["net"](variables, own, key)[0] != losses["net"](variables, other, key)[0]
    asked = {**own, "question_tokens": batch(seed=2)["question_tokens"]}
    assert losses["image_only"](variables, own, key)[0] == losses["image_only"](variables, asked, key)[0]
    state, after, logs = one_step
    for group in ("net", "question_only", "image_only"):
        moved = jax.tree.map(lambda a, b: bool((a != b).any()), state.params[group], after.params[group])
        assert jax.tree.all(moved), moved
        assert np.isfinite(logs[f"loss/{group}"])
    means = [x.state["encoder"]["state"]["stem"]["norm"]["mean"] for x in (state, after)]
    assert (means[0] != means[1]).any()  # the encoder's statistics follow the batches


def test_loss_by_hand(made):
    """The mean over the questions whose answer is in the vocabulary."""
    task, variables = made
    own = batch()
    own["answer_label"][:] = [0, 1, -1, 2, -1, 4]
    value, (_, logs) = task.updates[1].loss(variables, own, jax.random.key(0))  # question only: no dropout, no encoder
    options = {k: v for k, v in config().model.items() if k != "words"}
    network = VQA(len(WORDS), len(ANSWERS), **{**options, "fusion": "question"})
    logits = network.apply({"params": variables["params"]["question_only"]}, jnp.zeros((6, 1)), own["question_tokens"])
    log_p = np.asarray(jax.nn.log_softmax(logits))
    kept = [0, 1, 3, 5]
    np.testing.assert_allclose(value, -np.mean(log_p[kept, own["answer_label"][kept]]), rtol=1e-5)
    right = np.argmax(log_p, -1)[kept] == own["answer_label"][kept]
    np.testing.assert_allclose(logs["accuracy/question_only"], right.mean())


def test_priors_follow_training(one_step):
    _, after, _ = one_step
    label, kind = batch()["answer_label"], batch()["question_type_label"]
    counts = np.zeros((2, 5))
    for i in range(6):
        if label[i] >= 0:
            counts[kind[i], label[i]] += 1
    np.testing.assert_array_equal(after.state["by_type"], counts)
    uniform = np.full(5, 1 / 5)
    np.testing.assert_allclose(after.state["prior"]["mean"], (uniform + counts.sum(0) / counts.sum()) / 2, rtol=1e-6)


def test_metrics_by_hand(made):
    """A prior that was learned, an answer outside the vocabulary, and padding."""
    task, variables = made
    own = batch()
    own["answer_label"][:] = [0, 1, -1, 2, 3, 0]
    own["question_type_label"][:] = [0, 0, 0, 1, 1, -1]
    own["valid"][:] = [True, True, True, True, True, True]
    by_type = jnp.array([[1.0, 5, 0, 0, 0], [0, 0, 3, 2, 0]])
    prior = {**variables["state"]["prior"], "top": jnp.array([0.5, 0.1, 0.2, 0.1, 0.1])}
    state = {**variables["state"], "by_type": by_type, "prior": prior}
    figures = jax.jit(task.metrics, compiler_options=QUICK)({**variables, "state": state}, own)
    assert tuple(map(float, figures["accuracy/most_frequent"])) == (2.0, 6.0)
    # "no" for the first type, "red" for the second, the most frequent of all for a type that training has not
    assert tuple(map(float, figures["accuracy/most_frequent_of_type"])) == (3.0, 6.0)
    assert float(figures["cross_entropy"][1]) == 5.0
    np.testing.assert_allclose(figures["cross_entropy/training_mean"][0], 5 * np.log(5), rtol=1e-5)


def test_predictions_are_spelt(made):
    task, variables = made
    own = batch()
    out = jax.tree.map(np.asarray, jax.jit(task.predict, compiler_options=QUICK)(variables, own, jax.random.key(0)))
    answers = vocabulary.words_of(out["text/answer"].reshape(-1, out["text/answer"].shape[-1]))
    assert sorted(answers[:5]) == sorted(ANSWERS)
    assert (np.diff(out["scores/answer"], axis=-1) <= 0).all()
    np.testing.assert_allclose(out["scores/answer"].sum(-1), 1, rtol=1e-5)
    for i, label in enumerate(own["answer_label"]):
        target = bytes(out["text/answer_target"][i]).rstrip(b"\0").decode()
        assert target == (ANSWERS[label] if label >= 0 else "")
    question = vocabulary.join(vocabulary.words_of(out["text/question"][0]))
    assert question == " ".join(WORDS[t] for t in own["question_tokens"][0] if t)


def test_words_may_begin_with_trained_vectors(tmp_path, made):
    """Known words of network and question-only control get the file's vectors, scaled; the others stay as drawn."""
    path = tmp_path / "vectors.txt"
    path.write_text("2 8\nred 1 2 3 4 5 6 7 8\ncolour -1 1 -1 1 -1 1 -1 1\n")
    c = config(model__words=str(path))

    def tables(variables):
        groups = variables["params"]["net"]["answerer"], variables["params"]["question_only"]
        return [group["question"]["embedding"]["embedding"] for group in groups]

    filled, fresh = tables(systems.build(c).fill(made[1], CONSTANTS)), tables(made[1])
    for new, old in zip(filled, fresh, strict=True):
        assert set(np.flatnonzero((new != old).any(1))) == {WORDS.index("red"), WORDS.index("colour")}
        row = np.asarray(new)[WORDS.index("red")]
        np.testing.assert_allclose(row / row[0], np.arange(1, 9), rtol=1e-5)


def test_a_frozen_encoder_is_no_parameter():
    c = config(encoder__name="recogniser", encoder__layer="")
    c.train_encoder = False
    task = systems.build(c)
    variables = jax.eval_shape(task.init, jax.random.key(0), {**batch(), **CONSTANTS})
    assert set(variables["params"]["net"]) == {"answerer"}
    assert set(variables["frozen"]["encoder"]) == {"params", "state"}
    features = variables["params"]["net"]["answerer"]["image_common"]["affine"]["kernel"].shape[0]
    assert features == 7 * 7 * 96  # its map at 112 pixels


@pytest.mark.parametrize("variant", ["tiny", "easy", "paper"])
def test_two_builds_of_a_config_are_one_task(variant):
    c, again = (get_config("vqa", variant) for _ in range(2))
    one, other = systems.build(c), systems.build(again)
    assert (one, hash(one)) == (other, hash(other))
    c.model.common = 17
    assert systems.build(c) != one


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model__fusion": "mix"}, "config.model.fusion 'mix' is unknown: .*concatenation"),
        ({"evaluation__rules": "strict"}, "official_2015"),
        ({"evaluation__annotators": "two"}, "config.evaluation.annotators 'two' is unknown: choose one, ten"),
        ({"encoder__name": "vgg"}, "config.encoder.name 'vgg' is unknown: .*vgg19"),
        ({"encoder__name": "vgg19"}, "config.encoder.weights"),
    ],
)
def test_mistakes(changes, words):
    with pytest.raises(UserError, match=words):
        systems.build(config(**changes))


def test_weights_or_training():
    c = config()
    c.train_encoder = False
    with pytest.raises(UserError, match=r"config\.encoder\.name 'scene' has no weights: it has to be trained"):
        systems.build(c)


def test_the_official_schedule():
    """train.lua: the rate falls by a factor a step, gradients are clamped; halved after 28,786 steps."""
    c = get_config("vqa", "vqa1")
    section = c.optim.net
    rate = optim.schedule(section.learning_rate, c.steps, 0, section.decay, section.decay_rate)
    assert float(rate(28_786)) == pytest.approx(1.5e-4, rel=1e-3)
    change = optim.make(**section, steps=c.steps)
    x = {"w": jnp.array([1000.0, 1.0, -1e-3])}
    with jax.numpy_dtype_promotion("standard"):
        update, _ = change.update(x, change.init(x), x)
    clamped = np.array([10.0, 1.0, -1e-3])
    torch = -3e-4 * clamped / (np.sqrt(0.01 * clamped**2) + 1e-8)  # optim/rmsprop.lua from a mean square of zero
    np.testing.assert_allclose(update["w"], torch, rtol=2e-4)
