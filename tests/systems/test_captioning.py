"""The captioning task: its losses and figures worked out on a small batch, its baselines, its one-line errors."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from shared import config_file, get_config

from mmjax import systems
from mmjax.engine import optim, step
from mmjax.errors import UserError
from mmjax.export import loop
from mmjax.known import recogniser
from mmjax.metrics import caption_java
from mmjax.metrics.caption_baselines import BASELINES
from mmjax.systems import captioning
from mmjax.task import bind
from mmjax.text import vocabulary

WORDS = (*vocabulary.SPECIAL, "a", "bell", "bird", "red", "sings")
B, T = 8, 6
KINDS = ("memory/", "state/")
QUICK = {"xla_backend_optimization_level": 0}  # what runs a few times is compiled in half the time


def make(variant="tiny", **changes):
    config = get_config("captioning")
    if variant != "tiny":
        config_file("captioning").VARIANTS[variant](config)
        config_file("captioning").VARIANTS["tiny"](config)
    with config.unlocked():
        config.objects = ("bell", "bird") if config.objects else ()
        config.model.embed, config.model.hidden = 8, 16
        config.data.tokens.length = T
        config.update_from_flattened_dict(changes)
    return config


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    length = rng.integers(2, T + 1, B)
    tokens = rng.integers(4, len(WORDS), (B, T))
    tokens = np.where(np.arange(T) == length[:, None] - 1, vocabulary.END, tokens)
    tokens = np.where(np.arange(T) < length[:, None], tokens, vocabulary.PAD)
    return {
        "image": rng.integers(0, 256, (B, 32, 32, 3), np.uint8),
        "caption_tokens": tokens.astype(np.int32),
        "caption_tokens_length": length.astype(np.int32),
        "objects": rng.integers(-1, 2, (B, 3)).astype(np.int32),
        "boxes": np.sort(rng.random((B, 3, 2, 2)), 2).reshape(B, 3, 4).astype(np.float32),
        "valid": np.arange(B) < B - 1,
    }


CONSTANTS = {"caption_vocabulary": vocabulary.spell(WORDS)}


def start(config, batch):
    """(task, optimisers, state) as an engine begins a run with them."""
    task = captioning.build(config)
    optimisers = optim.of(task, config.optim, config.steps)
    create = jax.jit(bind(step.create, task, optimisers), compiler_options=QUICK)
    state = create(jax.random.key(0), {**batch, **CONSTANTS})
    return task, optimisers, dataclasses.replace(state, **task.fill(state.variables, CONSTANTS))


@functools.cache
def learning(variant):
    """A config of a variant that learns fast."""
    fast = {"optim.captioner.learning_rate": 0.01, "optim.captioner.warmup": 0, "optim.captioner.decay": "none"}
    return make(variant, **fast)


@pytest.fixture(scope="module")
def fresh(batch):
    return start(learning("tiny"), batch)


@pytest.mark.parametrize("variant", ["tiny", "hard", "show_and_tell"])
def test_a_few_steps_learn_a_batch_and_padding_changes_nothing(variant, batch, fresh):
    task, optimisers, state = fresh if variant == "tiny" else start(learning(variant), batch)
    train = jax.jit(bind(step.train_step, task, optimisers), compiler_options=QUICK)
    spoilt = {**batch, "caption_tokens": np.where(batch["caption_tokens"] == 0, 7, batch["caption_tokens"])}
    one, logs = train(state, batch, jax.random.key(1))
    other, same = train(state, spoilt, jax.random.key(1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one.params, other.params)
    np.testing.assert_allclose(logs["nll"], same["nll"], rtol=1e-5)
    counts = np.bincount(batch["caption_tokens"][batch["caption_tokens"] > 0], minlength=len(WORDS)) + 1
    np.testing.assert_array_equal(other.state["word_counts"], counts)
    if variant == "hard":
        np.testing.assert_allclose(one.state["baseline"], 0.1 * logs["reward"], rtol=1e-5)
        assert logs["reward"] < -2
    for n in range(30):
        one, logs = train(one, batch, jax.random.key(n))
    assert logs["nll"] < 0.8 * same["nll"]


def test_figures_on_a_batch(fresh, batch):
    task, _, state = fresh
    variables = state.variables
    pairs = {
        k: (float(a), float(b)) for k, (a, b) in jax.jit(task.metrics, compiler_options=QUICK)(variables, batch).items()
    }
    valid, tokens = batch["valid"], batch["caption_tokens"]
    assert pairs["nll"][1] == batch["caption_tokens_length"][valid].sum()
    np.testing.assert_allclose(np.divide(*pairs["nll/unigram"]), np.log(len(WORDS)), rtol=1e-5)
    named = [
        (b, t, list(batch["objects"][b]).index(tokens[b, t] - 5))
        for b in range(B - 1)
        for t in range(T)
        if tokens[b, t] in (5, 6) and tokens[b, t] - 5 in batch["objects"][b]
    ]
    assert pairs["attention_in_box"][1] == len(named) > 0
    corners = np.array([batch["boxes"][b, n] for b, _, n in named])
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    np.testing.assert_allclose(pairs["attention_in_box/area"][0], areas.sum(), rtol=1e-4)
    # A fresh network looks everywhere alike.
    np.testing.assert_allclose(pairs["attention_in_box"][0], areas.sum(), rtol=0.05)


@pytest.fixture(scope="module")
def predicted(fresh, batch):
    """(what the baselines observed, predictions with what was solved on it)."""
    task, _, state = fresh
    observed = jax.tree.map(np.array, jax.jit(task.fit.observe)(state.variables, batch))
    np.testing.assert_allclose(np.linalg.norm(observed["features"], axis=1), 1, rtol=1e-5)
    observed["tokens"][3] = observed["tokens"][0]
    fitted = task.fit.solve(state.variables, observed)
    np.testing.assert_array_equal(fitted["most_frequent"], observed["tokens"][0])
    found = jax.jit(task.predict, compiler_options=QUICK)(
        {**state.variables, "fitted": fitted}, batch, jax.random.key(0)
    )
    return observed, jax.tree.map(np.asarray, found)


def test_predictions_and_scores(fresh, predicted, batch):
    task, _, state = fresh
    observed, found = predicted
    bare = jax.eval_shape(task.predict, state.variables, batch, jax.random.key(0))
    assert set(found) - set(bare) == {"text/most_frequent", "text/random", "text/nearest_picture"}
    texts = {k: v.view(f"S{v.shape[-1]}")[..., 0] for k, v in found.items() if k.startswith("text/")}
    said = {k: [vocabulary.join(row) for row in rows] for k, rows in texts.items()}
    own = [vocabulary.decode(row, WORDS) for row in observed["tokens"]]
    assert said["text/nearest_picture"] == own  # each picture is nearest to itself
    assert said["text/caption_target"][1] == own[1]
    assert set(said["text/most_frequent"]) == {own[0]}
    assert set(said["text/random"]) <= set(own)
    assert found["attention/caption"].shape == (B, T, 4, 4)
    references = {"captions": np.array([[a, "a red bird"] for a in said["text/caption_target"]], object)}
    figures = task.score({**found, **texts}, references)
    assert figures["bleu4/nearest_picture"] > figures["bleu4"]
    assert {f"cider_d/{name}" for name in BASELINES} < set(figures)
    nats, _, words = found["number/nats"].sum(0)
    np.testing.assert_allclose(figures["perplexity"], np.exp(nats / words), rtol=1e-6)
    np.testing.assert_allclose(figures["perplexity/unigram"], len(WORDS), rtol=1e-4)
    early = {"number/nats": found["number/nats"], "text/caption": texts["text/caption"]}
    assert set(task.score(early, references)) == {"perplexity", "perplexity/unigram"}


def test_objects_are_found_among_words_and_pieces_or_the_run_does_not_start(fresh):
    task, _, state = fresh
    np.testing.assert_array_equal(state.frozen["object_words"], [5, 6])
    pieces = vocabulary.spell((*vocabulary.SPECIAL, "a", "▁bell", "b", "ird"))
    found = task.fill(state.variables, {"caption_vocabulary": pieces})["frozen"]["object_words"]
    np.testing.assert_array_equal(found, [5, -1])
    with pytest.raises(UserError, match=r"no name of config\.objects, such as 'bell', is a token"):
        task.fill(state.variables, {"caption_vocabulary": vocabulary.spell((*vocabulary.SPECIAL, "a", "▁be", "ll"))})


def test_a_picture_alone_is_captioned(fresh, predicted, batch):
    task, _, state = fresh
    assert task.predicts_from == ("image",)
    bare = jax.jit(task.predict, compiler_options=QUICK)(state.variables, {"image": batch["image"]}, jax.random.key(0))
    assert set(bare) == {"image/picture", "text/caption", "attention/caption"}
    np.testing.assert_array_equal(bare["text/caption"], predicted[1]["text/caption"])


def test_start_and_step_write_what_is_predicted(fresh, predicted, batch):
    task, _, state = fresh
    start, step = task.writing.start, task.writing.step
    memory, first = jax.jit(start, compiler_options=QUICK)(state.variables, {"image": batch["image"]})
    go_on = jax.jit(step, compiler_options=QUICK)

    def after(given):  # always of B rows, so that one program does for all
        rows = np.arange(B) % len(given["token"])
        kept, carry = ({k.split("/")[1]: v[rows] for k, v in given.items() if k.startswith(kind)} for kind in KINDS)
        carry, logits = go_on(state.variables, kept, carry, given["token"][rows])
        count = len(given["token"])
        return {"logits": np.asarray(logits)[:count]} | {f"next/{k}": np.asarray(v)[:count] for k, v in carry.items()}

    for row in range(B):
        begun = {
            f"{kind}{k}": np.asarray(v[row : row + 1])
            for kind, tree in zip(KINDS, (memory, first))
            for k, v in tree.items()
        }
        said = loop.beam(after, begun, **task.writing.search)
        tokens = np.array(said + [vocabulary.END] * (T - len(said)))
        np.testing.assert_array_equal(predicted[1]["text/caption"][row], state.frozen["caption_vocabulary"][tokens])


def test_show_and_tell_is_started_and_stepped_too(batch):
    task = captioning.build(learning("show_and_tell"))
    variables = jax.eval_shape(task.init, jax.random.key(0), {**batch, **CONSTANTS})
    memory, state = jax.eval_shape(task.writing.start, variables, {"image": batch["image"]})
    after, logits = jax.eval_shape(task.writing.step, variables, memory, state, batch["caption_tokens"][:, 0])
    assert memory == {}
    assert after == state
    assert set(state) == {"hidden", "cell"}
    assert logits.shape == (B, len(WORDS))


def test_metrics_that_need_java_stand_beside_the_baselines(monkeypatch):
    task = captioning.build(make())
    said = {f"text/{name}": [[b"a", b"red", b"bird", b"<end>"]] for name in ("caption", *BASELINES)}
    predictions, references = {**said, "number/nats": np.ones((1, 3))}, {"captions": [["a red bird"]]}
    assert "meteor" not in task.score(predictions, references)
    monkeypatch.setattr(caption_java, "available", lambda names: dict.fromkeys(names, Always))
    config = make()
    config.metrics = ("meteor",)
    figures = captioning.build(config).score(predictions, references)
    assert figures["meteor"] == figures["meteor/random"] == 0.25


class Always:
    def compute_score(self, wanted, said):
        assert (wanted, said) == ({0: ["a red bird"]}, {0: ["a red bird"]})
        return 0.25, [0.25]


def test_without_java_no_run_starts_but_a_trained_one_is_restored(batch, monkeypatch):
    monkeypatch.setattr(caption_java.shutil, "which", lambda name: None)
    config = make()
    config.metrics = ("spice",)
    task = captioning.build(config)
    variables = jax.eval_shape(task.init, jax.random.key(0), {**batch, **CONSTANTS})  # what a restored run calls
    assert jax.tree.leaves(variables)
    with pytest.raises(UserError, match="SPICE needs Java"):
        [need() for need in task.needs]  # what a fresh run asks before its data is opened


def test_an_encoder_may_be_fine_tuned_at_its_own_rate_with_its_own_statistics(batch):
    changes = {"encoder.name": "recogniser", "encoder_statistics": "running"}
    still = captioning.build(make(train_encoder=False, **changes))
    frozen = jax.eval_shape(still.init, jax.random.key(0), {**batch, **CONSTANTS})
    assert set(frozen["params"]["captioner"]) == {"writer"}
    assert {"params", "state"} <= set(frozen["frozen"]["encoder"])
    config = make(train_encoder=True, **changes)
    with config.unlocked():
        config.optim.captioner.parts.encoder = 0.0
        config.optim.captioner.warmup = 0
    task, optimisers, state = start(config, batch)
    assert "encoder" not in state.state
    jax.tree.map(
        np.testing.assert_array_equal, state.params["captioner"]["encoder"], recogniser.load().variables["params"]
    )
    after, _ = jax.jit(bind(step.train_step, task, optimisers), compiler_options=QUICK)(state, batch, jax.random.key(0))
    jax.tree.map(
        np.testing.assert_array_equal, after.params["captioner"]["encoder"], state.params["captioner"]["encoder"]
    )
    assert np.any(after.params["captioner"]["writer"]["words"] != state.params["captioner"]["writer"]["words"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "tell"}, r"config\.network is 'tell': choose 'show_and_tell' or 'show_attend_tell'"),
        ({"encoder_statistics": "none"}, r"config\.encoder_statistics is 'none'"),
        ({"train_encoder": False}, r"config\.encoder\.name 'scene' has no weights: it has to be trained"),
        ({"network": "show_and_tell"}, r"config\.model\.activation is no option of show_and_tell"),
        ({"model.gate": "matrix"}, r"config\.model\.gate is 'matrix': choose 'scalar' or 'vector' or 'none'"),
        ({"metrics": ("bertscore",)}, r"'bertscore' is no caption metric that Java computes: choose meteor, spice"),
    ],
)
def test_mistakes_are_told_in_one_line(changes, said):
    with pytest.raises(UserError, match=said):
        captioning.build(make(**changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss.per": "sentence"}, r"^config\.loss\.per is 'sentence': choose 'caption' or 'word'"),
        ({"decode.semantics": "magic"}, r"^config\.decode\.semantics is 'magic': choose 'shrinking' or"),
    ],
)
def test_what_is_found_while_it_is_traced_names_its_section(changes, said, fresh, batch):
    task, (_, _, state) = captioning.build(make(**changes)), fresh
    use = task.updates[0].loss if "loss.per" in changes else task.predict
    with pytest.raises(UserError, match=said):
        jax.eval_shape(use, state.variables, batch, jax.random.key(0))


@pytest.mark.parametrize("variant", ["tiny", "hard", "show_and_tell", "stamps"])
def test_two_builds_of_a_config_are_one_task(variant):
    one, other = (systems.build(get_config("captioning", variant)) for _ in range(2))
    assert (one, hash(one)) == (other, hash(other))
    assert one != systems.build(make(**{"encoder.widths": (8, 8, 4)}))


def test_show_and_tell_attends_to_no_objects():
    config = make("show_and_tell")
    config.objects = ("bell",)
    with pytest.raises(UserError, match=r"config\.objects are looked for by attention"):
        captioning.build(config)


def test_a_vector_has_no_places(batch):
    config = make(**{"encoder.name": "recogniser", "encoder.layer": "features", "train_encoder": False})
    with pytest.raises(UserError, match=r"config\.encoder\.layer 'features' has no places to attend to"):
        start(config, batch)
