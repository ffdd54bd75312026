"""Text to image: who trains what, whose statistics follow whom, the average, and what pictures are measured with."""

import dataclasses
import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax.data.scenes import names
from mmjax.errors import UserError
from mmjax.judges import drawn_pictures
from mmjax.losses.adversarial import KINDS
from mmjax.metrics import generation
from mmjax.systems.drawing import adversarial, text_to_image
from mmjax.text import vocabulary

ROOT = Path(__file__).parents[3]
WORDS = [*vocabulary.SPECIAL, "red", "bell", "dog", "blue"]


def config_of(variant="tiny", **changes):
    loaded = importlib.util.spec_from_file_location("text_to_image", ROOT / "configs" / "text_to_image.py")
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    config = module.get_config(variant)
    config.update_from_flattened_dict(changes)
    return config


def batch_of(rng, size=32, rows=4):
    tokens = np.zeros((rows, 6), np.int32)
    tokens[:, :3] = [[4, 5, 2], [7, 6, 2], [4, 6, 2], [7, 5, 2]]
    return {
        "image": rng.integers(0, 256, (rows, size, size, 3), dtype=np.uint8),
        "caption_tokens": tokens,
        "caption_tokens_length": np.full(rows, 3, np.int32),
        "colours": np.int32([[0], [5], [0], [5]]),
        "boxes": rng.uniform(0, 0.4, (rows, 1, 4)).astype(np.float32) + np.float32([0, 0, 0.5, 0.5]),
        "valid": np.ones(rows, bool),
        "caption_vocabulary": vocabulary.spell(WORDS),
    }


@pytest.fixture(scope="module")
def made():
    """(config, task, variables, batch) of the tiny variant."""
    config = config_of()
    task = text_to_image.build(config)
    batch = batch_of(np.random.default_rng(0))
    variables = jax.jit(lambda key: task.init(key, batch))(jax.random.key(0))
    return config, task, variables, {k: v for k, v in batch.items() if k != "caption_vocabulary"}


def slopes(task, variables, batch, number):
    """(gradient of update `number` in all groups, the state after it, logs)."""
    update = task.updates[number]

    def value(params):
        return update.loss({**variables, "params": params}, batch, jax.random.key(1))

    (_, (state, logs)), slope = jax.jit(jax.value_and_grad(value, has_aux=True))(variables["params"])
    return slope, state, logs


def size(tree):
    return sum(float(jnp.sum(jnp.abs(x))) for x in jax.tree.leaves(tree))


def moved(before, after):
    return size(jax.tree.map(jnp.subtract, before, after)) > 0


def test_each_update_leads_into_its_own_group_and_statistics(made):
    _, task, variables, batch = made
    assert [update.group for update in task.updates] == ["text", "disc", "gen"]
    found = [slopes(task, variables, batch, number) for number in range(3)]
    (text, text_state, _), (disc, disc_state, logs), (gen, gen_state, told) = found
    assert size(text["text"]) > 0
    assert size(text["disc"]) == size(text["gen"]) == 0
    assert size(disc["disc"]) > 0
    assert size(disc["text"]) == size(disc["gen"]) == 0  # neither the encoder nor the drawn picture
    assert size(gen["gen"]) > 0
    assert size(gen["text"]) == 0
    old = variables["state"]
    changed = [{name for name in old if moved(old[name], new[name])} for new in (text_state, disc_state, gen_state)]
    assert changed[0] == {"picture", "mean", "together"}
    assert changed[1] == {"disc"}
    assert changed[2] == {"gen"}  # the average starts at the weights, and follows them one step behind
    judged = {"real", "drawn", "mismatched", "foils"}
    assert {"contrast/real", *(f"disc_right/{kind}" for kind in judged)} == set(logs)
    assert told["diversity"] > 0
    assert {"boxes/nats", "paired"} < set(told)


def test_boxes_are_learned_by_their_density_alone(made):
    """What is drawn goes into the batch's own boxes: no picture moves the places, and they move towards the batch's."""
    _, task, variables, batch = made
    slope, _, logs = slopes(task, variables, batch, 2)
    elsewhere = {**batch, "image": 255 - batch["image"]}
    other, _, _ = slopes(task, variables, elsewhere, 2)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
        slope["gen"]["places"],
        other["gen"]["places"],
    )
    params = {
        **variables["params"],
        "gen": {
            **variables["params"]["gen"],
            "places": jax.tree.map(
                lambda x, d: x - 1e-2 * d, variables["params"]["gen"]["places"], slope["gen"]["places"]
            ),
        },
    }
    _, _, after = slopes(task, {**variables, "params": params}, batch, 2)
    assert after["boxes/nats"] < logs["boxes/nats"]


def test_the_paired_term_counts_the_boxes_alone(made):
    config, _, variables, batch = made
    plain = text_to_image.build(config_of(**{"loss.paired": 0.0}))
    weighed = text_to_image.build(config)
    values = [jax.jit(task.updates[2].loss)(variables, batch, jax.random.key(1)) for task in (plain, weighed)]
    (low, _), (high, (_, logs)) = values
    np.testing.assert_allclose(high - low, 20.0 * logs["paired"], rtol=1e-3)
    outside = batch["image"].copy()
    outside[:, :, :1] = 0  # left of every box but for its room
    far = {**batch, "boxes": batch["boxes"] * np.float32(0.5) + np.float32(0.4)}
    before = jax.jit(weighed.updates[2].loss)(variables, far, jax.random.key(1))[1][1]["paired"]
    after = jax.jit(weighed.updates[2].loss)(variables, {**far, "image": outside}, jax.random.key(1))[1][1]["paired"]
    assert before == after


class Fixed:
    """Stands for a text encoder from elsewhere, of a width of its own."""

    tokens = {"kind": "words", "length": 6}  # noqa: RUF012
    variables = {"weights": np.ones((9, 5), np.float32)}  # noqa: RUF012

    def table(self, spelled):
        return np.arange(len(spelled), dtype=np.int32)

    def sentences(self, parts, table, tokens, length):
        return parts["weights"][table[tokens[:, 0]]] + length[:, None].astype(jnp.float32)


def test_a_text_encoder_from_elsewhere_may_have_any_width(made, monkeypatch):
    """A frozen encoder: nothing of it is trained, and what is compared with its points is as wide as they are."""
    monkeypatch.setattr(text_to_image.minilm, "load", Fixed)
    task = text_to_image.build(config_of(**{"model.text": "minilm"}))
    batch = {**made[3], "caption_vocabulary": vocabulary.spell(WORDS)}
    variables = jax.eval_shape(task.init, jax.random.key(0), batch)
    assert set(variables["params"]["text"]) == {"picture"}
    assert variables["frozen"]["text"]["weights"].shape == (9, 5)
    assert variables["params"]["disc"]["inside"]["embed"]["kernel"].shape[1] == 5
    for update in task.updates:
        value, _ = jax.eval_shape(update.loss, variables, made[3], jax.random.key(1))
        assert value.shape == ()
    config = config_of(**{"model.text": "minilm"})
    config.data.tokens.kind = "characters"
    with pytest.raises(UserError, match="sentences must be cut alike"):
        text_to_image.build(config)


class Brightness:
    """Stands for Inception: red, green and blue on average, and their squares."""

    def apply(self, variables, picture):
        colour = jnp.mean(picture.astype(jnp.float32) / 255, (1, 2))
        return variables["scale"] * jnp.concatenate([colour, jnp.square(colour)], -1)


def test_inceptions_distances_stand_beside_our_own(rng):
    """Its name stands before its figures and before no others, and a set that is the real one has none."""
    looks = drawn_pictures.eyes("")._replace(inception=(Brightness(), {"scale": np.float32(3)}))
    variables = {"frozen": looks.frozen(), "state": {"mean": jnp.full((16, 16, 3), 100.0)}}
    real, drawn = (rng.integers(low, 256, (6, 16, 16, 3), dtype=np.uint8) for low in (0, 128))
    variables["fitted"] = {kind: found[:4] for kind, found in looks.features(variables["frozen"], real).items()}
    found = looks.compared(variables, jax.random.key(0), real, drawn, real)
    figures = drawn_pictures.distances({name: np.asarray(rows) for name, rows in found.items()})
    suffixes = ("", "/real_training_pictures", "/mean_picture")
    assert set(figures) == {
        f"{n}_{f}{s}" for n in ("recogniser", "inception") for f in ("fid", "kid") for s in suffixes
    }
    own = np.float32(real / 255).mean((1, 2))
    theirs = np.float32(drawn / 255).mean((1, 2))
    rows = [3 * np.concatenate([x, x**2], 1) for x in (own, theirs)]
    np.testing.assert_allclose(figures["inception_fid"], generation.frechet_distance(*rows), rtol=1e-3)
    same = looks.compared(variables, jax.random.key(0), real, real, real)
    assert drawn_pictures.distances({name: np.asarray(rows) for name, rows in same.items()})["inception_fid"] < 1e-6


def test_foils_need_words_that_can_be_exchanged(made):
    with pytest.raises(UserError, match=r"config\.exchange"):
        text_to_image.build(config_of("folder", foils=2))
    config = config_of()
    config.exchange.colour = (("red", "blue"), ("rot",))
    with pytest.raises(UserError, match=r"config\.exchange\.colour.*equally long"):
        text_to_image.build(config)
    _, _, variables, batch = made
    encoders = text_to_image._encoders(**config_of().model)
    own = text_to_image.told(encoders, variables, batch)
    other, wrong = text_to_image.foils(encoders, 3, variables, batch, jax.random.key(0))
    assert not wrong.any()  # nothing was seen together yet
    known = {**variables["state"], "together": jnp.ones_like(variables["state"]["together"])}
    other, wrong = text_to_image.foils(encoders, 3, {**variables, "state": known}, batch, jax.random.key(0))
    assert other.shape == (4, 3, own.shape[1])
    assert wrong.any()  # "red bell" to "blue bell" or "red dog"; what this vocabulary lacks takes nobody's place
    apart = jnp.linalg.norm(other - own[:, None], axis=-1)
    assert float(jnp.min(apart[wrong])) > 0.1
    assert float(jnp.max(jnp.where(wrong, 0.0, apart))) < 1e-6


def test_boxes_want_one_object_and_a_generator_for_them(made):
    _, task, _, batch = made
    several = {**batch, "boxes": np.repeat(batch["boxes"], 2, 1), "caption_vocabulary": vocabulary.spell(WORDS)}
    with pytest.raises(UserError, match=r"draws one object, and the data has 2"):
        jax.eval_shape(task.init, jax.random.key(0), several)
    with pytest.raises(UserError, match="looks into boxes"):
        text_to_image.build(config_of("layered", **{"discriminator": config_of().discriminator}))
    with pytest.raises(UserError, match=r"config\.loss\.paired"):
        text_to_image.build(config_of("layered", **{"loss.paired": 1.0}))


def test_the_average_follows_the_weights(made):
    _, task, variables, batch = made
    state = {**variables["state"], "average": jax.tree.map(jnp.zeros_like, variables["state"]["average"])}
    _, after, _ = slopes(task, {**variables, "state": state}, batch, 2)
    want = jax.tree.map(lambda x: (1 - 0.997) * x, variables["params"]["gen"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), after["average"], want)


def test_pictures_are_drawn_by_the_average(made):
    _, task, variables, batch = made
    predict = jax.jit(task.predict)
    first = predict(variables, batch, jax.random.key(0))
    gen = jax.tree.map(jnp.zeros_like, variables["params"]["gen"])
    same = predict({**variables, "params": {**variables["params"], "gen": gen}}, batch, jax.random.key(0))
    np.testing.assert_array_equal(first["image/generated"], same["image/generated"])
    assert first["image/codes"].shape == (4, 32, 4 * 32, 3)
    assert first["image/between_captions"].shape == first["image/between_codes"].shape == (4, 32, 6 * 32, 3)
    # the way between captions begins at the own one, that between codes as well
    np.testing.assert_array_equal(first["image/between_captions"][:, :, :32], first["image/generated"])
    np.testing.assert_array_equal(first["image/between_codes"][:, :, :32], first["image/generated"])
    words = {k: batch[k] for k in ("caption_tokens", "caption_tokens_length")}
    alone = predict(variables, words, jax.random.key(0))
    np.testing.assert_array_equal(alone["image/generated"], first["image/generated"])


@pytest.mark.parametrize("interpolate", [0.0, 1.0])
def test_the_generator_alone_sees_texts_between_two(made, interpolate, monkeypatch):
    _, _, variables, batch = made
    task, seen = text_to_image.build(config_of(**{"loss.interpolate": interpolate})), []
    judged = adversarial.Game.judge
    monkeypatch.setattr(
        adversarial.Game,
        "judge",
        lambda self, p, s, x, t, **k: (seen.append(len(x)), judged(self, p, s, x, t, **k))[1],
    )
    jax.eval_shape(task.updates[1].loss, variables, batch, jax.random.key(0))
    assert seen == [4, 4]
    jax.eval_shape(task.updates[2].loss, variables, batch, jax.random.key(0))
    assert seen[2:] == [4 + 2 * int(interpolate)]


def test_a_neighbour_with_the_same_caption_is_not_wrong(made):
    _, _, variables, batch = made
    same = {**batch, "caption_tokens": np.repeat(batch["caption_tokens"][:1], 4, 0)}
    matching = text_to_image.build(config_of(**{"loss.contrast": 0.0}))
    value, (_, logs) = matching.updates[1].loss(variables, same, jax.random.key(1))
    without = text_to_image.build(config_of(**{"loss.contrast": 0.0, "loss.match": False}))
    plain, _ = without.updates[1].loss(variables, same, jax.random.key(1))
    assert logs["disc_right/mismatched"] == 1
    assert value < plain  # the drawn pictures have half the weight, and nothing is wrong


def test_penalties_are_added(made):
    _, _, variables, batch = made
    values = []
    for r1, aware in ((0.0, 0.0), (1.0, 0.0), (0.0, 2.0)):
        task = text_to_image.build(config_of(**{"loss.r1": r1, "loss.matching_aware": aware}))
        values.append(float(jax.jit(task.updates[1].loss)(variables, batch, jax.random.key(1))[0]))
    assert values[1] > values[0]
    assert values[2] > values[0]


def test_critic_steps_repeat_the_update():
    task = text_to_image.build(config_of(critic_steps=3))
    assert [update.group for update in task.updates] == ["text", "disc", "disc", "disc", "gen"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss.kind": "wasserstein"}, "'bce' or 'hinge'"),
        ({"loss.average": 1.0}, "0..1"),
        ({"model.kind": "lstm"}, "'words' or 'char_cnn_rnn'"),
        ({"embedding.name": "softmax"}, "'contrastive' or 'triplet'"),
        ({"discriminator.embed": 0}, "needs a discriminator with an embedding"),
        ({"size": 48}, "8, 16, 32"),
        ({"size": 64}, "config.size is 64, but"),
        ({"model.text": "nowhere"}, "config.model.text"),
    ],
)
def test_mistakes_have_one_line(changes, words):
    def start():
        task = text_to_image.build(config_of(**changes))
        jax.eval_shape(lambda key: task.init(key, batch_of(np.random.default_rng(0))), jax.random.key(0))

    with pytest.raises(UserError, match=words):
        start()


def test_collapse_is_told():
    fine = {"disc_right/real": 0.8, "disc_right/drawn": 0.6, "diversity": 0.9, "grad_norm/gen": 1.0}
    assert adversarial.warn(fine) == ()
    assert "every drawn picture" in adversarial.warn({**fine, "disc_right/real": 1.0, "disc_right/drawn": 1.0})[0]
    assert "for a real one" in adversarial.warn({**fine, "disc_right/real": 1.0, "disc_right/drawn": 0.0})[0]
    assert "collapses" in adversarial.warn({**fine, "diversity": 0.02})[0]
    assert "no gradient" in adversarial.warn({**fine, "grad_norm/gen": 0.0})[0]


def test_diversity_is_of_the_batch():
    one = jnp.repeat(jnp.ones((1, 2, 2, 3)), 4, 0)
    assert adversarial.spread(one) == 0
    assert adversarial.spread(one.at[:2].set(-1.0)) == 1


def test_what_is_named_and_seen_by_hand():
    tokens, length = jnp.int32([[4, 5, 2, 6], [7, 6, 5, 2], [4, 2, 0, 0]]), jnp.int32([3, 4, 2])
    wanted = drawn_pictures.named(tokens, length, jnp.int32([5, 6, -1]))  # bell, dog, a class without a word
    np.testing.assert_array_equal(wanted, [[1, 0, 0], [1, 1, 0], [0, 0, 0]])  # the first's dog is padding
    scores = jnp.float32([[3, 2, 1], [2, 1, 3], [1, 2, 3]])
    np.testing.assert_array_equal(drawn_pictures.right(scores, wanted), [True, False, False])
    np.testing.assert_array_equal(drawn_pictures.right(jnp.float32([[1, 1, 0]]), wanted[:1]), [False])  # a tie
    np.testing.assert_allclose(drawn_pictures.chance(wanted), [1 / 3, 1 / 3, 1])
    pair = {"drawn": scores, "real": scores[:, ::-1]}
    valid = jnp.bool_([1, 1, 0])
    found = drawn_pictures.beside("x", {"object": pair}, {"object": wanted}, jnp.any(wanted, 1), valid)
    assert {k: (float(a), float(b)) for k, (a, b) in found.items()} == {
        "x": (1, 2),
        "x/shuffled_captions": (0, 1),  # the second picture by the first's caption: its bell is not the first of 2 1 3
        "x/chance": (pytest.approx(2 / 3), 2),
        "x/real_pictures": (0, 2),
    }


def test_colours_are_learned_from_pictures_of_one_object():
    rng = np.random.default_rng(0)
    palette = np.array(list(names.PALETTE.values()))
    colours = np.full((80, 2), -1, np.int32)
    colours[:, 0] = np.arange(80) % 8
    colours[70:, 1] = 0  # several objects: they teach nothing, whatever they show
    image = rng.integers(90, 110, (80, 16, 16, 3))
    image[:70, 4:9, 4:9] = palette[colours[:70, 0]][:, None, None]
    image = image.astype(np.uint8)
    planes = drawn_pictures.fit_colours(drawn_pictures.histogram(jnp.asarray(image)), colours, 8)
    found = np.argmax(drawn_pictures.colours_of(planes, jnp.asarray(image)), -1)
    np.testing.assert_array_equal(found[:70], colours[:70, 0])


def test_a_histogram_by_hand():
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[0, 0, 0] = (255, 0, 43)  # cell (5, 0, 1)
    found = np.asarray(drawn_pictures.histogram(jnp.asarray(image)))[0]
    assert found[5 * 36 + 1] == 0.5
    assert found[0] == pytest.approx(0.75**0.5)
    assert np.sum(found**2) == pytest.approx(1)


def test_the_way_between_codes_keeps_their_length(rng):
    first, last = (jnp.asarray(rng.normal(size=(2, 1, 200)), jnp.float32) for _ in range(2))
    share = jnp.linspace(0, 1, 5).reshape(1, 5, 1)
    way = text_to_image._slerp(first, last, share)
    np.testing.assert_allclose(way[:, 0], first[:, 0], atol=1e-4)
    np.testing.assert_allclose(way[:, -1], last[:, 0], atol=1e-4)
    lengths = np.linalg.norm(way, axis=-1)
    assert lengths.min() > 0.93 * min(lengths[:, 0].min(), lengths[:, -1].min())


@pytest.mark.parametrize("variant", ["", "two", "dfgan", "emoji", "stamps", "folder"])
def test_every_variant_builds_its_networks(variant):
    config = config_of(variant)
    task = text_to_image.build(config)
    batch = batch_of(np.random.default_rng(0), size=64)
    variables = jax.eval_shape(lambda key: task.init(key, batch), jax.random.key(0))
    given = {name: batch[name] for name in task.fields}
    for update in task.updates:
        jax.eval_shape(update.loss, variables, given, jax.random.key(0))


def test_the_paper_is_whole():
    config = config_of("paper")
    task = text_to_image.build(config)
    batch = batch_of(np.random.default_rng(0), size=64)
    batch["caption_tokens"] = np.zeros((4, 201), np.int32)
    shapes = jax.eval_shape(lambda key: task.init(key, batch), jax.random.key(0))
    count = {group: sum(x.size for x in jax.tree.leaves(tree)) for group, tree in shapes["params"].items()}
    assert (count["gen"], count["disc"]) == (18_905_472, 4_030_080)
    assert shapes["params"]["text"]["text"]["out"]["kernel"].shape == (256, 1024)
    assert "average" not in shapes["state"]
    rules = dataclasses.asdict(adversarial.Rules(**config.loss))
    assert (rules["kind"], rules["wrong_share"], rules["interpolate"]) == ("bce", 0.5, 1.0)
    halved = config.optim.gen.decay_rate ** (100 * (8855 // 64))
    assert halved == pytest.approx(0.5)
    assert KINDS == ("bce", "hinge")
