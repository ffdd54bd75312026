"""Text to image: who trains what, whose statistics follow whom, the average, and what pictures are measured with."""

import dataclasses
import functools
import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from mmjax import judges
from mmjax.errors import UserError
from mmjax.judges import recogniser
from mmjax.judges.measuring import FeatureJudge
from mmjax.losses.adversarial import OBJECTIVES
from mmjax.metrics import generation
from mmjax.systems.drawing import gallery, game, game_losses, judging, sentences, text_to_image, wrong_captions
from mmjax.task import bind
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


def batch_of(rng, size=16, rows=4):
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


def start(task, batch):
    """Fresh variables, filled."""
    variables = jax.jit(task.init)(jax.random.key(0), batch)
    return jax.device_get(dict(task.fill(variables, {"caption_vocabulary": batch["caption_vocabulary"]})))


@pytest.fixture(scope="module")
def made():
    """(config, task, variables, batch) of the tiny variant."""
    config = config_of()
    task = text_to_image.build(config)
    batch = batch_of(np.random.default_rng(0))
    return config, task, start(task, batch), {k: v for k, v in batch.items() if k != "caption_vocabulary"}


def slope_of(update, variables, batch, key):
    """(gradient of an update in all groups, the state after it, logs, the loss)."""

    def value(params):
        return update.loss({**variables, "params": params}, batch, key)

    (found, (state, logs)), slope = jax.value_and_grad(value, has_aux=True)(variables["params"])
    return slope, state, logs, found


@pytest.fixture(scope="module")
def slopes(made):
    """`slope_of` each of the tiny variant's updates, compiled once: (variables, batch, number of the update)."""
    compiled = [jax.jit(bind(slope_of, update)) for update in made[1].updates]
    return lambda variables, batch, number: jax.device_get(compiled[number](variables, batch, jax.random.key(1)))


def size(tree):
    return sum(float(np.abs(x).sum()) for x in jax.tree.leaves(tree))


def moved(before, after):
    return size(jax.tree.map(np.subtract, before, after)) > 0


def test_each_update_leads_into_its_own_group_and_statistics(made, slopes):
    _, task, variables, batch = made
    assert [update.group for update in task.updates] == ["text", "disc", "gen"]
    found = [slopes(variables, batch, number)[:3] for number in range(3)]
    (text, text_state, _), (disc, disc_state, logs), (gen, gen_state, drawn) = found
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
    assert drawn["diversity"] > 0
    assert {"boxes/nats", "paired"} < set(drawn)


def test_boxes_are_learned_by_their_density_alone(made, slopes):
    """What is drawn goes into the batch's own boxes: no picture moves the places, and they move towards the batch's."""
    _, _, variables, batch = made
    slope, _, logs, _ = slopes(variables, batch, 2)
    elsewhere = {**batch, "image": 255 - batch["image"]}
    other, _, _, _ = slopes(variables, elsewhere, 2)
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
    _, _, after, _ = slopes({**variables, "params": params}, batch, 2)
    assert after["boxes/nats"] < logs["boxes/nats"]


def test_the_paired_term_counts_the_boxes_alone(made, slopes):
    _, _, variables, batch = made
    plain = text_to_image.build(config_of(**{"loss.paired": 0.0}))
    low, _ = jax.jit(plain.updates[2].loss)(variables, batch, jax.random.key(1))
    _, _, logs, high = slopes(variables, batch, 2)
    np.testing.assert_allclose(high - low, 20.0 * logs["paired"], rtol=1e-3)
    outside = batch["image"].copy()
    outside[:, :, :1] = 0  # left of every box but for its room
    far = {**batch, "boxes": batch["boxes"] * np.float32(0.5) + np.float32(0.4)}
    before, after = (slopes(variables, given, 2)[2]["paired"] for given in (far, {**far, "image": outside}))
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
    monkeypatch.setattr(sentences.minilm, "load", Fixed)
    task = text_to_image.build(config_of(**{"model.text": "minilm"}))
    batch = {**made[3], "caption_vocabulary": vocabulary.spell(WORDS)}
    variables = jax.eval_shape(task.init, jax.random.key(0), batch)
    assert set(variables["params"]["text"]) == {"picture"}
    filled = task.fill(variables, {"caption_vocabulary": batch["caption_vocabulary"]})["frozen"]
    assert jax.tree.map(np.shape, filled["text"]) == jax.tree.map(np.shape, variables["frozen"]["text"])
    np.testing.assert_array_equal(filled["text"]["weights"], Fixed.variables["weights"])
    np.testing.assert_array_equal(filled["words"], np.arange(len(WORDS)))
    assert variables["frozen"]["words"].shape == filled["words"].shape
    assert task == text_to_image.build(config_of(**{"model.text": "minilm"}))
    assert variables["params"]["disc"]["inside"]["embed"]["kernel"].shape[1] == 5
    for update in task.updates:
        value, _ = jax.eval_shape(update.loss, variables, made[3], jax.random.key(1))
        assert value.shape == ()
    config = config_of(**{"model.text": "minilm"})
    config.data.tokens.kind = "characters"
    with pytest.raises(UserError, match="sentences must be cut alike"):
        text_to_image.build(config)


def brightness(weights, picture):
    """Stands for Inception: red, green and blue on average, and their squares."""
    colour = jnp.mean(picture.astype(jnp.float32) / 255, (1, 2))
    return weights["scale"] * jnp.concatenate([colour, jnp.square(colour)], -1)


def test_inceptions_distances_stand_beside_our_own(rng):
    """Its name stands before its figures and before no others, and a set that is the real one has none."""
    chosen = (*judges.chosen(["recogniser"]), FeatureJudge("inception", lambda: {"scale": np.float32(3)}, brightness))
    variables = {"state": {"mean": jnp.full((16, 16, 3), 100.0)}}
    variables["judges"] = {judge.name: judge.load() for judge in chosen}
    real, drawn = (rng.integers(low, 256, (6, 16, 16, 3), dtype=np.uint8) for low in (0, 128))
    variables["fitted"] = {kind: found[:4] for kind, found in judging.features(chosen, variables, real).items()}
    compared = jax.jit(functools.partial(judging.compared, chosen))
    found = compared(variables, jax.random.key(0), real, drawn, real)
    figures = judging.figures(chosen, {name: np.asarray(rows) for name, rows in found.items()})
    suffixes = ("", "/real_training_pictures", "/mean_picture")
    distances = {f"{n}_{f}{s}" for n in ("recogniser", "inception") for f in ("fid", "kid") for s in suffixes}
    assert {name for name in figures if not name.startswith("diversity")} == distances
    own = np.float32(real / 255).mean((1, 2))
    theirs = np.float32(drawn / 255).mean((1, 2))
    rows = [3 * np.concatenate([x, x**2], 1) for x in (own, theirs)]
    np.testing.assert_allclose(figures["inception_fid"], generation.frechet_distance(*rows), rtol=1e-3)
    same = compared(variables, jax.random.key(0), real, real, real)
    again = judging.figures(chosen, {name: np.asarray(rows) for name, rows in same.items()})
    assert again["inception_fid"] < 1e-6
    assert again["diversity"] == 0


def test_without_judges_nothing_of_theirs_is_measured(made):
    """A restored run has their names but not their weights; a run may choose none, and has the other figures."""
    _, task, variables, batch = made
    shapes = jax.eval_shape(task.predict, variables, batch, jax.random.key(0))
    assert "image/generated" in shapes
    assert not any("recogniser" in name for name in shapes)
    plain = text_to_image.build(config_of(**{"eval.judges": ()}))
    assert plain.judges == ()
    with_them = jax.eval_shape(task.metrics, {**variables, "judges": {"recogniser": recogniser.load()}}, batch)
    without = jax.eval_shape(plain.metrics, variables, batch)
    assert {name.partition("/")[0] for name in without} == {"similarity"}
    assert {name.partition("/")[0] for name in with_them} == {"similarity", "class_right"}


def test_the_former_field_of_inception_goes_on_and_says_so():
    task = text_to_image.build(config_of(inception="some.pth"))
    assert [judge.name for judge in task.judges] == ["recogniser", "inception"]
    assert "config.eval.judges=('recogniser', 'inception:some.pth')" in task.notes[0]
    with pytest.raises(UserError, match=r"config\.eval\.judges: inception='some.pth': no such file"):
        task.judges[1].load()
    config = config_of()
    with config.unlocked():
        del config.eval["judges"]  # as in runs from before there was the field
    assert [judge.name for judge in text_to_image.build(config).judges] == ["recogniser"]


def test_two_builds_are_one_task():
    one, two = text_to_image.build(config_of()), text_to_image.build(config_of())
    assert one == two
    assert hash(one) == hash(two)
    assert one != text_to_image.build(config_of(**{"loss.paired": 1.0}))


def test_a_typed_sentence_is_a_batch_of_one(made):
    _, task, variables, _ = made
    batch, notes = task.ask("a red bell", variables, {})
    np.testing.assert_array_equal(batch["caption_tokens"][0, :4], [vocabulary.UNK, 4, 5, vocabulary.END])
    assert batch["caption_tokens"].shape == (1, 16)
    assert batch["caption_tokens_length"].tolist() == [4]
    assert notes == ("not in the vocabulary: 'a'",)


def test_foils_need_words_that_can_be_exchanged(made):
    with pytest.raises(UserError, match=r"config\.exchange"):
        text_to_image.build(config_of("folder", foils=2))
    config = config_of()
    config.exchange.colour = (("red", "blue"), ("rot",))
    with pytest.raises(UserError, match=r"config\.exchange\.colour.*equally long"):
        text_to_image.build(config)
    _, _, variables, batch = made
    encoders = sentences.make(**config_of().model, tokens="words")
    own = jax.jit(bind(sentences.condition, encoders))(variables, batch)
    negatives = jax.jit(bind(wrong_captions.negatives, encoders, 3))
    other, wrong = negatives(variables, batch, jax.random.key(0))
    assert not wrong.any()  # nothing was seen together yet
    known = {**variables["state"], "together": np.ones_like(variables["state"]["together"])}
    other, wrong = jax.device_get(negatives({**variables, "state": known}, batch, jax.random.key(0)))
    assert other.shape == (4, 3, own.shape[1])
    assert wrong.any()  # "red bell" to "blue bell" or "red dog"; what this vocabulary lacks takes nobody's place
    apart = np.linalg.norm(other - np.asarray(own)[:, None], axis=-1)
    assert np.min(apart[wrong]) > 0.1
    assert np.max(np.where(wrong, 0.0, apart)) < 1e-6


def test_boxes_want_one_object_and_a_generator_for_them(made):
    _, task, _, batch = made
    several = {**batch, "boxes": np.repeat(batch["boxes"], 2, 1), "caption_vocabulary": vocabulary.spell(WORDS)}
    with pytest.raises(UserError, match=r"draws one object, and the data has 2"):
        jax.eval_shape(task.init, jax.random.key(0), several)
    with pytest.raises(UserError, match="looks into boxes"):
        text_to_image.build(config_of("layered", **{"discriminator": config_of().discriminator}))
    with pytest.raises(UserError, match=r"config\.loss\.paired"):
        text_to_image.build(config_of("layered", **{"loss.paired": 1.0}))


def test_the_average_follows_the_weights(made, slopes):
    _, _, variables, batch = made
    state = {**variables["state"], "average": jax.tree.map(np.zeros_like, variables["state"]["average"])}
    _, after, _, _ = slopes({**variables, "state": state}, batch, 2)
    want = jax.tree.map(lambda x: (1 - 0.997) * x, variables["params"]["gen"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), after["average"], want)


def test_pictures_are_drawn_by_the_average(made):
    _, task, variables, batch = made
    predict = jax.jit(task.predict)
    first = predict(variables, batch, jax.random.key(0))
    gen = jax.tree.map(np.zeros_like, variables["params"]["gen"])
    same = predict({**variables, "params": {**variables["params"], "gen": gen}}, batch, jax.random.key(0))
    np.testing.assert_array_equal(first["image/generated"], same["image/generated"])
    assert first["image/codes"].shape == (4, 16, 4 * 16, 3)
    assert first["image/between_captions"].shape == first["image/between_codes"].shape == (4, 16, 6 * 16, 3)
    # the way between captions begins at the own one, that between codes as well
    np.testing.assert_array_equal(first["image/between_captions"][:, :, :16], first["image/generated"])
    np.testing.assert_array_equal(first["image/between_codes"][:, :, :16], first["image/generated"])
    words = {k: batch[k] for k in ("caption_tokens", "caption_tokens_length")}
    alone = predict(variables, words, jax.random.key(0))
    np.testing.assert_array_equal(alone["image/generated"], first["image/generated"])


@pytest.mark.parametrize("interpolate", [0.0, 1.0])
def test_the_generator_alone_sees_texts_between_two(made, interpolate, monkeypatch):
    _, _, variables, batch = made
    task, seen = text_to_image.build(config_of(**{"loss.interpolate": interpolate})), []
    judged = game.Game.discriminate
    monkeypatch.setattr(
        game.Game,
        "discriminate",
        lambda self, p, s, x, t, **k: (seen.append(len(x)), judged(self, p, s, x, t, **k))[1],
    )
    jax.eval_shape(task.updates[1].loss, variables, batch, jax.random.key(0))
    assert seen == [4, 4]
    jax.eval_shape(task.updates[2].loss, variables, batch, jax.random.key(0))
    assert seen[2:] == [4 + 2 * int(interpolate)]


def values(tasks, variables, *batches):
    """The discriminator's (loss, logs) in several games, in one program that shares what they share; of each batch."""

    @jax.jit
    def each(variables, batch, key):
        found = [task.updates[1].loss(variables, batch, key) for task in tasks]
        return [(value, logs) for value, (_, logs) in found]

    found = [each(variables, batch, jax.random.key(1)) for batch in batches]
    return found if len(batches) > 1 else found[0]


def test_a_neighbour_with_the_same_caption_or_picture_is_not_wrong(made):
    _, _, variables, batch = made
    same = {**batch, "caption_tokens": np.repeat(batch["caption_tokens"][:1], 4, 0)}
    matching = text_to_image.build(config_of(**{"loss.contrast": 0.0}))
    without = text_to_image.build(config_of(**{"loss.contrast": 0.0, "loss.match": False}))
    twice = {**batch, "image": np.repeat(batch["image"][:1], 4, 0)}
    for (value, logs), (plain, _) in values((matching, without), variables, same, twice):
        assert logs["disc_right/mismatched"] == 1
        assert value < plain  # the drawn pictures have half the weight, and nothing is wrong


def test_penalties_are_added(made, slopes):
    _, _, variables, batch = made
    chosen = ({"loss.r1": 1.0}, {"loss.matching_aware": 2.0})
    found = values([text_to_image.build(config_of(**options)) for options in chosen], variables, batch)
    _, _, _, none = slopes(variables, batch, 1)
    assert all(value > none for value, _ in found)


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
    def begin():
        task = text_to_image.build(config_of(**changes))
        jax.eval_shape(lambda key: task.init(key, batch_of(np.random.default_rng(0))), jax.random.key(0))

    with pytest.raises(UserError, match=words):
        begin()


def test_collapse_is_told():
    fine = {"disc_right/real": 0.8, "disc_right/drawn": 0.6, "diversity": 0.9, "grad_norm/gen": 1.0}
    assert game_losses.warn(fine) == ()
    assert "every drawn picture" in game_losses.warn({**fine, "disc_right/real": 1.0, "disc_right/drawn": 1.0})[0]
    assert "for a real one" in game_losses.warn({**fine, "disc_right/real": 1.0, "disc_right/drawn": 0.0})[0]
    assert "collapses" in game_losses.warn({**fine, "diversity": 0.02})[0]
    assert "no gradient" in game_losses.warn({**fine, "grad_norm/gen": 0.0})[0]


def test_diversity_is_of_the_batch():
    one = jnp.repeat(jnp.ones((1, 2, 2, 3)), 4, 0)
    assert game_losses.spread(one) == 0
    assert game_losses.spread(one.at[:2].set(-1.0)) == 1


def test_the_way_between_codes_keeps_their_length(rng):
    first, last = (jnp.asarray(rng.normal(size=(2, 1, 200)), jnp.float32) for _ in range(2))
    share = jnp.linspace(0, 1, 5).reshape(1, 5, 1)
    way = gallery.along_the_sphere(first, last, share)
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
    rules = dataclasses.asdict(game.Rules(**config.loss))
    assert (rules["kind"], rules["wrong_share"], rules["interpolate"]) == ("bce", 0.5, 1.0)
    halved = config.optim.gen.decay_rate ** (100 * (8855 // 64))
    assert halved == pytest.approx(0.5)
    assert OBJECTIVES == ("bce", "hinge")
