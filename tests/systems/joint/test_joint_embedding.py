"""The joint-embedding task: what is drawn, what matches, every method's loss, its figures worked out by hand."""

import dataclasses
import functools
import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.data import spec
from mmjax.engine import mesh, optim, step
from mmjax.errors import UserError
from mmjax.known import towers
from mmjax.losses import metric
from mmjax.ops import captions
from mmjax.systems.joint import joint_embedding, joint_networks
from mmjax.task import bind
from mmjax.text import vocabulary

ROOT = Path(__file__).parents[3]
WORDS = (*vocabulary.SPECIAL, "a", "bell", "bird", "red", "beach", "forest")
B, C, T = 8, 3, 6


@functools.cache
def configs(name):
    loaded = importlib.util.spec_from_file_location(f"{name}_config", ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module


def make(variant="tiny", name="joint_embedding", **changes):
    config = configs(name).get_config("tiny")
    if variant != "tiny":
        configs(name).VARIANTS[variant](config)
        configs(name).VARIANTS["tiny"](config)
    with config.unlocked():
        config.data.tokens.length = T
        config.update_from_flattened_dict(changes)
    return config


@pytest.fixture
def batch(rng):
    length = rng.integers(2, T + 1, (B, C))
    length[0, 1:] = 0
    tokens = rng.integers(4, len(WORDS), (B, C, T))
    tokens = np.where(np.arange(T) == length[..., None] - 1, vocabulary.END, tokens)
    return {
        "image": rng.integers(0, 256, (B, 32, 32, 3), np.uint8),
        "captions_tokens": np.where(np.arange(T) < length[..., None], tokens, vocabulary.PAD).astype(np.int32),
        "captions_tokens_length": length.astype(np.int32),
        "objects": rng.integers(-1, 2, (B, 3)).astype(np.int32) * np.array([1, 1, 0]) - np.array([0, 0, 1]),
        "scene": rng.integers(0, 2, B).astype(np.int32),
        "valid": np.arange(B) < B - 1,
    }


CONSTANTS = {
    "caption_vocabulary": vocabulary.spell(WORDS),
    "objects_names": spec.spelt(("bell", "bird")),
    "scene_names": spec.spelt(("beach", "forest")),
}


def start(config, batch):
    task = joint_embedding.build(config)
    batch["objects"] = batch["objects"].astype(np.int32)
    return task, task.fill(jax.jit(task.init)(jax.random.key(0), {**batch, **CONSTANTS}), CONSTANTS)


def begin(task, optimisers, batch):
    """A filled state at step 0."""
    state = jax.jit(bind(step.create, task, optimisers))(jax.random.key(0), {**batch, **CONSTANTS})
    return dataclasses.replace(state, **task.fill(state.variables, CONSTANTS))


def vectors(path, rng, width=5):
    rows = [f"{word} {' '.join(f'{x:.4f}' for x in rng.normal(size=width))}" for word in WORDS[4:]]
    path.write_text(f"{len(rows)} {width}\n" + "\n".join(rows) + "\n")
    return str(path)


def changes_of(variant, path, rng):
    """What a variant's tiny form needs beside."""
    if variant != "devise":
        return {}
    return {"caption.words": vectors(path / "words.txt", rng), "caption.embed": 5, "model.dimension": 5}


@dataclasses.dataclass(frozen=True)
class Linear:
    """A tower that compiles in no time: the mean colour of a picture's quarters."""

    def init(self, key, image):
        return {"params": {}, "state": {}, "frozen": {}}

    def fill(self, parts, spelled):
        return parts

    def __call__(self, parts, image, train=False):
        quarters = image.astype(jnp.float32).reshape(len(image), 2, 16, 2, 16, 3)
        return jnp.mean(quarters, (2, 4)).reshape(len(image), 12) / 255, parts["state"]


@pytest.fixture
def linear(monkeypatch):
    monkeypatch.setitem(towers.MAKE, "image", lambda published, **options: Linear())


@pytest.mark.usefixtures("linear")
@pytest.mark.parametrize("variant", ["vse", "vsepp", "contrastive", "devise", "recipe", "gaussian"])
def test_a_step_of_every_method_lowers_its_loss(variant, batch, rng, tmp_path):
    config = make(variant, **changes_of(variant, tmp_path, rng))
    if variant == "devise":
        with config.unlocked():
            del config.caption.hidden
    config.optim.embedding.warmup = 0
    task = joint_embedding.build(config)
    optimisers = optim.of(task, config.optim, 30)
    state = begin(task, optimisers, batch)
    run = jax.jit(bind(step.train_step, task, optimisers))
    measure = jax.jit(lambda state, batch: task.updates[0].loss(state.variables, batch, jax.random.key(7))[0])
    before = measure(state, batch)
    for _ in range(20):
        state, _ = run(state, batch, jax.random.key(1))
    assert np.isfinite(before)
    assert measure(state, batch) < before
    if variant == "devise":  # words stay where they are
        assert not state.params["embedding"]["caption"]["tower"]
    figures = jax.eval_shape(task.metrics, state.variables, batch)
    names = [name for name in figures if "/" not in name]
    assert all(any(other.startswith(f"{name}/") for other in figures) for name in names)


def test_loss_is_the_losses_module_s_on_the_drawn_captions(batch):
    config = make(**{"loss.warmup": 0, "data.tokens.length": T})
    batch["image"][::2] = batch["image"][0]  # one picture: its captions are no negatives of each other
    task, variables = start(config, batch)
    key = jax.random.key(3)
    value, (state, _) = jax.jit(task.updates[0].loss)(variables, batch, key)
    of_draw, _ = jax.random.split(key)
    tokens, length = captions.drawn(batch["captions_tokens"], batch["captions_tokens_length"], of_draw)
    networks = task.predict.arguments[0]
    both = jax.jit(
        lambda v, *told: (networks.embed(v, "image", told[0], train=True), networks.embed(v, "caption", *told[1:]))
    )
    (image, *_), (text, *_) = both(variables, batch["image"], tokens, length)
    sentences = [tuple(row[:n]) for row, n in zip(np.asarray(tokens), np.asarray(length))]
    worded = np.array([sentences.index(s) for s in sentences], np.int32)
    group = np.stack([worded, np.where(np.arange(B) % 2, np.arange(B), 0)], 1).astype(np.int32)
    expected = jnp.mean(metric.triplet(image, text, 0.2, "hardest", group))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert abs(jnp.mean(metric.triplet(image, text, 0.2, "hardest", worded)) / expected - 1) > 1e-3
    assert float(state["steps"]) == 1


def test_warmup_has_all_negatives_and_then_the_hardest(batch):
    config = make(**{"loss.warmup": 2})
    task, variables = start(config, batch)
    run = jax.jit(task.updates[0].loss)
    variables["state"]["steps"] = jnp.float32(1)
    early = run(variables, batch, jax.random.key(0))[0]
    variables["state"]["steps"] = jnp.float32(2)
    late = run(variables, batch, jax.random.key(0))[0]
    assert early > 1.5 * late  # seven hinges of about 0.2 each, and one


def test_figures_of_a_perfect_space(batch, monkeypatch):
    """Every image lies on its own caption: each finds the other, and an invalid example is no competitor."""
    task, variables = start(make(), batch)
    batch["captions_tokens"] = batch["captions_tokens"].copy()
    batch["captions_tokens"][:, :, 0] = 4 + np.arange(B)[:, None] % 6
    batch["captions_tokens"][:, :, 1] = 4 + np.arange(B)[:, None] // 6
    points = jnp.eye(B).at[B - 1].set(jnp.eye(B)[0])  # the invalid one lies on the first
    fake = lambda self, v, side, *f, train=False: (  # noqa: E731
        points if side == "image" else jnp.repeat(points, C, 0) if len(f[0]) == B * C else jnp.eye(2, B),
        None,
        {},
    )
    monkeypatch.setattr(joint_networks.Networks, "embed", fake)
    figures = jax.jit(lambda b: task.metrics(variables, b))(batch)
    assert [float(x) for x in figures["image_to_caption_batch_r@1"]] == [B - 1, B - 1]
    np.testing.assert_allclose(figures["image_to_caption_batch_r@1/chance"][0], 1.0, rtol=1e-6)
    # Where a picture stands twice both captions are right for it; where all are blanked that says nothing.
    points = points.at[1].set(points[0])
    again = jax.jit(lambda b: task.metrics(variables, b))  # the points are others
    for pictures, hits in ((batch["image"][[0, 0, *range(2, B)]], B - 1), (np.zeros_like(batch["image"]), B - 3)):
        figures = again({**batch, "image": pictures})
        assert float(figures["image_to_caption_batch_r@1"][0]) == hits


def test_zero_shot_names_the_class_whose_prompt_is_nearest(batch, monkeypatch):
    task, variables = start(make(prompts=("a {}", "red {}")), batch)
    tokens, length = variables["frozen"]["prompts"]["scene"]
    spelled = [
        [vocabulary.decode(row[:n], WORDS) for row, n in zip(*pair)]
        for pair in zip(np.asarray(tokens), np.asarray(length))
    ]
    assert spelled == [["a beach", "red beach"], ["a forest", "red forest"]]
    out = jax.jit(task.predict)(variables, batch, jax.random.key(0))
    np.testing.assert_allclose(np.asarray(out["scores/scene"]).sum(-1), 1, rtol=1e-5)
    hits = np.asarray(out["scores/scene"]).argmax(-1) == batch["scene"]
    figure = jax.jit(task.metrics)(variables, batch)["zero_shot_image"]
    assert [float(x) for x in figure] == [hits[: B - 1].sum(), B - 1]
    truth = np.asarray(out["number/tag_truth"])
    assert all(set(np.flatnonzero(t)) == set(o[o >= 0]) for t, o in zip(truth, batch["objects"]))


def test_score_has_every_direction_beside_chance_and_the_clouds(batch):
    task, variables = start(make(), batch)
    out = {k: np.asarray(v)[: B - 1] for k, v in jax.jit(task.predict)(variables, batch, jax.random.key(0)).items()}
    figures = task.score(out, {"captions": None})
    for direction in ("image_to_caption", "caption_to_image"):
        assert {f"{direction}_r@1", f"{direction}_r@1/chance", f"{direction}_median_rank"} <= set(figures)
    assert all(np.isfinite(value) for value in figures.values())
    assert any(name.startswith("gap") for name in figures)
    assert any("effective_rank" in name for name in figures)


def test_examples_without_a_caption_neither_teach_nor_count(batch):
    batch["captions_tokens_length"] = batch["captions_tokens_length"].copy()
    batch["captions_tokens_length"][1] = 0
    batch["captions_tokens"] = np.where(np.arange(B)[:, None, None] == 1, 0, batch["captions_tokens"])
    task, variables = start(make(**{"image.statistics": "running"}), batch)
    gradient = jax.jit(jax.grad(lambda v, x: task.updates[0].loss(v, x, jax.random.key(0))[0], allow_int=True))
    other = {**batch, "image": np.where(np.arange(B)[:, None, None, None] == 1, 255 - batch["image"], batch["image"])}
    one, two = (gradient(variables, x)["params"]["embedding"]["caption"] for x in (batch, other))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-7), one, two)
    figures = jax.jit(task.metrics)(variables, batch)
    assert float(figures["image_to_caption_batch_r@1"][1]) == B - 2


def test_the_majority_is_of_the_class_that_is_asked_for(batch):
    batch["objects"] = np.array([[1, 0, -1]] * (B - 1) + [[0, -1, -1]], np.int32)
    task, variables = start(make(label="objects"), batch)
    _, (state, _) = jax.jit(task.updates[0].loss)(variables, batch, jax.random.key(0))
    assert int(state["priors"]["label"]["top"].argmax()) == 1  # not the lowest of several


def test_one_side_can_be_embedded_alone(batch):
    task, variables = start(make(), batch)
    out = jax.jit(task.predict)(variables, {"image": batch["image"], "valid": batch["valid"]}, jax.random.key(0))
    assert out["embedding/image"].shape == (B, 16)
    assert "embedding/caption" not in out


@pytest.mark.usefixtures("linear")
def test_eight_devices_learn_what_one_learns(batch):
    config = make()
    task = joint_embedding.build(config)
    optimisers = optim.of(task, config.optim, 10)

    fresh = functools.partial(begin, task, optimisers, batch)
    run = bind(step.train_step, task, optimisers)
    placement = mesh.make("jit")
    state = placement.place(fresh())
    one, eight = (jax.jit(run), fresh()), (placement.compile(run, state=state, donate=False), state)
    found = []
    for (call, state), put in ((one, dict), (eight, placement.put)):
        for _ in range(3):
            state, logs = call(state, put(batch), jax.random.key(1))
        found.append(float(logs["loss/embedding"]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_clip_s_towers_and_its_temperature(batch):
    config = make(name="clip")
    task, variables = start(config, batch)
    np.testing.assert_allclose(variables["params"]["embedding"]["shared"]["log_scale"], np.log(1 / 0.07), rtol=1e-6)
    value, (_, logs) = jax.jit(task.updates[0].loss)(variables, batch, jax.random.key(0))
    assert np.isfinite(value)
    assert abs(float(logs["image_caption/scale"]) - 14.29) < 0.01
    siglip = joint_embedding.build(make("siglip", name="clip"))
    scalars = jax.jit(lambda key: siglip.init(key, {**batch, **CONSTANTS})["params"]["embedding"]["shared"])
    shared = scalars(jax.random.key(0))  # alone, so that no tower is compiled
    np.testing.assert_allclose([shared["log_scale"], shared["bias"]], [np.log(10), -10], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sides": ("image",)}, "config.sides"),
        ({"sides": ("image", "image")}, "config.sides"),
        ({"method": "magic"}, "'magic' is unknown"),
        ({"caption.network": "magic"}, "config.caption.network 'magic'"),
        ({"image.trained": False}, "config.image.name 'scene' has no weights"),
        ({"caption.trained": False}, "config.caption.words is empty"),
        ({"method": "siglip"}, "config.loss.margin is no option of method 'siglip'"),
        ({"method": "gaussian", "loss.pseudo": 0.1, "loss.information": 0.0}, "config.loss.margin is no option"),
        ({"image.name": "magic"}, "config.image.name 'magic'"),
        ({"image.statistics": "none"}, "config.image.statistics is 'none'"),
        ({"model.squash": "relu"}, "config.model.squash is 'relu'"),
        ({"sides": ("image", "waveform"), "waveform.trained": False}, "config.waveform.soundnet is empty"),
        ({"sides": ("image", "waveform"), "waveform.soundnet": "/no/run"}, "config.waveform.soundnet='/no/run'"),
        ({"sides": ("image", "waveform"), "waveform.layer": "pool9"}, "config.waveform.layer 'pool9' is unknown"),
        ({"sides": ("image", "waveform"), "waveform.depth": 6}, "config.waveform.depth is 6"),
    ],
)
def test_one_clear_line(changes, said):
    with pytest.raises(UserError, match=said):
        joint_embedding.build(make(**changes))


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("joint_embedding", {"image.layer": "top"}, r"^config\.image\.layer 'top' is unknown: choose one of map"),
        ("clip", {"image.name": "magic"}, r"^config\.image\.name 'magic' is unknown: choose one of vit, resnet, scene"),
        ("clip", {"image.name": "scene"}, r"^config\.image\.\w+ is no option of 'scene'"),
        (
            "clip",
            {"image.trained": False},
            r"^config\.image\.trained is False, but 'vit' has no weights: give CLIP's",
        ),
    ],
)
def test_an_encoder_s_mistakes_name_their_section(name, changes, said, batch):
    with pytest.raises(UserError, match=said):
        start(make(name=name, **changes), batch)


def test_what_is_found_while_the_step_is_traced_names_its_section(batch):
    task = joint_embedding.build(make(**{"loss.negatives": "some"}))
    variables = jax.eval_shape(task.init, jax.random.key(0), {**batch, **CONSTANTS})
    with pytest.raises(UserError, match=r"config.loss.negatives is 'some'"):
        jax.eval_shape(task.updates[0].loss, variables, batch, jax.random.key(0))
    with pytest.raises(
        UserError, match=r"config.data.tokens.length is 6: with <start> more than config.caption.context"
    ):
        joint_embedding.build(make(name="clip", **{"caption.context": T}))


def test_published_weights_stand_in_both_towers(batch, monkeypatch):
    config = make(name="clip")
    _, fresh = start(config, batch)
    own = fresh["params"]["embedding"]
    tens = {
        side: {"params": jax.tree.map(lambda x: np.full(x.shape, 10, x.dtype), own[side]["tower"])}
        for side in config.sides
    }
    asked = []
    for name, found in (*tens.items(), ("scalars", {"log_scale": np.float32(4)})):
        monkeypatch.setattr(towers.published, name, lambda *a, found=found: asked.append(a) or found)
    config.weights = "clip.safetensors"
    _, variables = start(config, batch)
    assert [path for path, *_ in asked] == ["clip.safetensors"] * 3
    text, spelled = asked[1][1:]
    assert (text.vocabulary, len(spelled)) == (len(WORDS), len(WORDS))
    found = variables["params"]["embedding"]
    assert all((x == 10).all() for side in config.sides for x in jax.tree.leaves(found[side]["tower"]))
    assert found["shared"]["log_scale"] == 4
    with pytest.raises(UserError, match=r"config.weights is for CLIP's two towers"):
        joint_embedding.build(make(weights="clip.safetensors"))


@pytest.mark.parametrize("name", ["joint_embedding", "clip"])
def test_two_builds_of_a_config_are_one_task(name):
    one, two = joint_embedding.build(make(name=name)), joint_embedding.build(make(name=name))
    assert one == two
    assert hash(one) == hash(two)
    for part in ("init", "fill", "metrics", "predict", "score"):
        assert hash(getattr(one, part)) == hash(getattr(two, part))
    assert one != joint_embedding.build(make(name=name, **{"model.unit": False}))


def test_modalities_are_of_the_sides_that_are_there():
    three = configs("joint_embedding").get_config("three")
    assert joint_embedding.build(three).modalities == {
        "picture": ("image",),
        "words": ("captions_tokens",),
        "sound": ("waveform",),
    }
    assert set(joint_embedding.build(make()).modalities) == {"picture", "words"}
    assert joint_embedding.build(three).contrastive  # one side alone has no loss: see `balance.remedies`


def test_clip_at_the_paper_s_sizes():
    config = configs("clip").get_config("paper")
    task = joint_embedding.build(config)
    batch = {
        "image": jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.uint8),
        "captions_tokens": jax.ShapeDtypeStruct((2, 5, 76), jnp.int32),
        "captions_tokens_length": jax.ShapeDtypeStruct((2, 5), jnp.int32),
        "caption_vocabulary": jax.ShapeDtypeStruct((49_410, 40), jnp.uint8),
    }
    params = jax.eval_shape(task.init, jax.random.key(0), batch)["params"]
    count = sum(int(np.prod(x.shape)) for x in jax.tree.leaves(params))
    assert count == 151_277_313 + 2 * 512  # ours has rows for <pad> and <unk>
    assert config.image.remat
    assert config.image.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("name", "variant"),
    [("clip", "siglip"), ("clip", "resnet"), ("clip", "zero_shot"), ("joint_embedding", "three")],
)
def test_variants_fit_their_data(name, variant):
    config = configs(name).get_config(variant)
    config.weights = "clip.safetensors" if variant == "zero_shot" else ""  # read when a run begins
    task = joint_embedding.build(config)
    side = config.loader.pixels or config.data.get("image_size", 112)
    shapes = {
        "image": ((2, side, side, 3), jnp.uint8),
        "captions_tokens": ((2, 5, config.data.tokens.length), jnp.int32),
        "captions_tokens_length": ((2, 5), jnp.int32),
        "waveform": ((2, 132_300), jnp.int16),
        "waveform_length": ((2,), jnp.int32),
        "objects": ((2, 3), jnp.int32),
        "scene": ((2,), jnp.int32),
        "valid": ((2,), bool),
    }
    batch = {field: jax.ShapeDtypeStruct(*shape) for field, shape in shapes.items()}
    names = {name: jax.ShapeDtypeStruct(value.shape, value.dtype) for name, value in CONSTANTS.items()}
    variables = jax.eval_shape(task.init, jax.random.key(0), {**batch, **names})
    value, _ = jax.eval_shape(task.updates[0].loss, variables, batch, jax.random.key(0))
    assert value.shape == ()
    found = jax.eval_shape(task.predict, variables, batch, jax.random.key(0))
    assert all(f"embedding/{side}" in found for side in config.sides)


def test_tags_that_no_picture_has_are_left_out(batch):
    task, variables = start(make(), batch)
    out = {k: np.asarray(v) for k, v in jax.jit(task.predict)(variables, batch, jax.random.key(0)).items()}
    assert any(name.startswith("tags") for name in task.score(out, {}))
    out["number/tag_truth"] = np.zeros_like(out["number/tag_truth"])
    assert not any(name.startswith("tags") for name in task.score(out, {}))
