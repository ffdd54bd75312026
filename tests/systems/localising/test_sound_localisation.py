"""Sound localisation: its losses from their parts, who has boxes, what follows, figures by hand, and that it learns."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from shared import config_file, get_config

from mmjax import systems
from mmjax.engine import optim
from mmjax.engine.step import create, train_step
from mmjax.errors import UserError
from mmjax.known import localisers
from mmjax.known.network import Network
from mmjax.losses import localisation as losses
from mmjax.metrics.localisation import grid
from mmjax.models.joint.localiser import heat
from mmjax.models.sound.soundnet import SoundNet
from mmjax.models.vision.recogniser import Recogniser
from mmjax.systems.localising import localisation_figures as figures
from mmjax.systems.localising import networks, sound_localisation
from mmjax.task import bind

B, SIDE, TIME = 8, 32, 4096
NAN, INF = float("nan"), float("inf")
QUICK = {"xla_backend_optimization_level": 0}  # what runs once or twice is compiled in half the time


def config(**changes):
    c = get_config("sound_localisation")
    for name, value in {"prior__name": "", **changes}.items():
        section, _, field = name.rpartition("__")
        (c[section] if section else c)[field] = value
    return c


def make_batch(rng, rows=B):
    """Two patches of different colours on grey, left and right; one of them sounds, its colour being its pitch."""
    which = np.stack([rng.permutation(3)[:2] for _ in range(rows)])
    loud = rng.integers(0, 2, rows)
    image = rng.integers(90, 110, (rows, SIDE, SIDE, 3)).astype(np.uint8)
    boxes = np.zeros((rows, 3, 4), np.float32)
    for i in range(rows):
        for side in range(2):
            y, x = rng.integers(0, 3) * 8, side * 16
            image[i, y : y + 16, x : x + 16, which[i, side]] = 240
            boxes[i, side] = np.array([y, x, y + 16, x + 16]) / SIDE
    pitch = np.array([0.05, 0.25, 0.8])[which[np.arange(rows), loud]]
    waveform = 9000 * np.sin(np.arange(TIME)[None] * pitch[:, None] + rng.uniform(0, 6, (rows, 1)))
    sounding = np.zeros((rows, 3), bool)
    sounding[np.arange(rows), loud] = True
    return {
        "image": image,
        "waveform": waveform.astype(np.int16),
        "waveform_length": np.full(rows, TIME, np.int32),
        "boxes": boxes,
        "sounding": sounding,
        "objects": np.c_[which, np.full(rows, -1)].astype(np.int32),
        "index": np.arange(rows, dtype=np.int32),
        "valid": np.ones(rows, bool),
    }


def start(c, batch):
    """(task, optimisers, fresh state)."""
    task = systems.build(c)
    optimisers = optim.of(task, c.optim, c.steps)
    state = jax.jit(bind(create, task, optimisers), compiler_options=QUICK)(jax.random.key(0), batch)
    return task, optimisers, state


def test_a_share_of_the_clips_has_boxes_and_always_the_same():
    batch = {"image": np.zeros(20_000), "index": np.arange(20_000, dtype=np.int32)}
    tenth = np.asarray(sound_localisation.chosen(batch, 0.1))
    assert abs(tenth.mean() - 0.1) < 0.01
    assert abs(tenth[:1000].mean() - 0.1) < 0.03
    backwards = {**batch, "index": batch["index"][::-1]}
    np.testing.assert_array_equal(sound_localisation.chosen(backwards, 0.1)[::-1], tenth)
    assert (np.asarray(sound_localisation.chosen(batch, 0.2)) >= tenth).all()
    assert np.asarray(sound_localisation.chosen(batch, 1.0)).all()


def test_the_loss_is_the_sum_of_its_parts_and_boxes_count_where_they_are(rng):
    batch = make_batch(rng)
    task, _, state = start(config(boxes=0.5, loss__supervised=2.0), batch)
    measured = task.updates[0].loss.arguments[0]
    run = functools.partial(jax.jit, compiler_options=QUICK)
    value, (after, logs) = run(task.updates[0].loss)(state.variables, batch, jax.random.key(1))
    found = run(measured.net.train)(state.variables, batch, jax.random.key(1))
    has = np.asarray(sound_localisation.chosen(batch, 0.5))
    assert 0 < has.sum() < B
    inside = np.stack([grid.union(batch["boxes"], batch["sounding"], 4)])[0]  # boxes end at cells: 0 or 1
    g = inside / inside.sum((1, 2), keepdims=True)
    taught = -(g * np.asarray(found.log_attention)).sum((1, 2)) - np.asarray(found.log_nowhere)
    np.testing.assert_allclose(value, np.mean(np.asarray(found.unsupervised) + 2 * np.where(has, taught, 0)), rtol=1e-5)
    np.testing.assert_allclose(logs["boxes"][0] / logs["boxes"][1], taught[has].mean(), rtol=1e-5)
    np.testing.assert_allclose(after["mean_map"]["mean"], grid.union(batch["boxes"], batch["sounding"], 56).mean(0))
    # Places and nowhere, whose score is 0, share one softmax.
    places = jnp.asarray(rng.normal(size=(B, 2, 2, 1, 16)), jnp.float32)
    log_a, log_nowhere = measured.net._attention(places, jnp.ones((B, 1, 16)) / 4, jnp.ones((1, 1, 16)) / 4)
    np.testing.assert_allclose(jnp.sum(jnp.exp(log_a), (1, 2)) + jnp.exp(log_nowhere), 1, rtol=1e-5)


def test_it_learns_where_and_another_sound_leads_elsewhere(rng):
    c = config(boxes=1.0, loss__supervised=1.0, loss__unsupervised=0.0)
    c.optim.net.learning_rate, c.optim.net.warmup, c.steps = 1e-2, 0, 60
    task, optimisers, state = start(c, make_batch(rng, 16))
    step = jax.jit(bind(train_step, task, optimisers), compiler_options=QUICK)
    for _ in range(60):
        state, _ = step(state, make_batch(rng, 16), jax.random.key(1))
    batch = make_batch(rng, 64)
    found = {k: float(a / b) for k, (a, b) in jax.jit(task.metrics)(state.variables, batch).items()}
    assert found["pointing"] > 0.85 > 0.7 > found["pointing/another_sound"]
    assert found["pointing/some_object"] == pytest.approx(0.5)
    assert found["pointing/oracle"] == 1
    assert found["pointing/whole"] == pytest.approx(0.25)


def test_the_momentum_encoder_follows_and_is_the_one_that_is_asked(rng):
    batch = make_batch(rng)
    c = config(boxes=0.0, loss__supervised=0.0, loss__method="slavc", model__projections=2, loss__momentum=0.75)
    c.loss.pooling = "max"
    task, optimisers, state = start(c, batch)
    net = task.updates[0].loss.arguments[0].net
    moved = dataclasses.replace(state, params=jax.tree.map(lambda x: x + 1, jax.device_get(state.params)))
    after, _ = jax.jit(bind(train_step, task, optimisers), compiler_options=QUICK)(moved, batch, jax.random.key(0))
    old, new = jax.device_get((state.state["momentum"]["params"], after.state["momentum"]["params"]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a + 0.25, atol=1e-5), old, new)
    see = jax.jit(net.see, compiler_options=QUICK)
    trained = {**after.variables, "params": jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), after.params)}
    np.testing.assert_array_equal(see(trained, batch["image"]), see(after.variables, batch["image"]))


def senocak(supervised=0.0):
    """Senocak's attention over a small random recogniser and a small random SoundNet."""
    picture, sound = Recogniser(3, 2, (4, 4, 8), (1, 1, 1)), SoundNet(5, 7, 0, 0.125)
    image, heard = jnp.zeros((1, SIDE, SIDE, 3)), jnp.zeros((1, 2))
    draw = functools.partial(jax.jit, compiler_options=QUICK)
    made = {"p": draw(picture.init)(jax.random.key(3), image), "s": draw(sound.init)(jax.random.key(3), heard)}
    look = Network(picture, "map", load=lambda: made["p"], trained=False)
    listen = Network(sound, "object", load=lambda: made["s"], trained=False)
    loss = networks.Loss("senocak", supervised=supervised, temperature=0.5, silence=False, normalised=False)
    return networks.Attended(look, listen, loss, hidden=6)


def test_senocaks_system_is_his_networks_and_his_losses(rng):
    batch, net = make_batch(rng, 4), senocak()
    made = jax.jit(net.init, compiler_options=QUICK)(jax.random.key(0), batch)
    variables = net.fill(made)
    assert any(np.isnan(x).any() for x in jax.tree.leaves(made["frozen"]))  # until it is filled
    assert set(variables["params"]["net"]) == {"first", "second", "third", "last"}

    @functools.partial(jax.jit, compiler_options=QUICK)
    def everything(variables, batch, key):
        places, sound = net._frozen(variables["frozen"], batch)
        attention = net._attention(places, sound)
        said = attention.apply({"params": variables["params"]["net"]}, places, sound)
        heard = net.hear(variables, batch["waveform"], batch["waveform_length"])
        scores = attention.log_attention(heat(net.see(variables, batch["image"]), heard))
        away = jax.random.randint(key, (), 1, len(sound))
        return net.train(variables, batch, key), said, sound, away, scores

    found, (log_a, said), sound, away, scores = everything(variables, batch, jax.random.key(0))
    assert sound.shape == (4, 7)
    np.testing.assert_allclose(found.log_attention, log_a, atol=1e-5)
    wanted = losses.senocak_unsupervised(said, sound, jnp.roll(sound, -int(away), 0))
    np.testing.assert_allclose(found.unsupervised, wanted, atol=1e-5)
    np.testing.assert_allclose(scores, log_a, atol=1e-5)


def test_released_weights_are_put_where_they_belong(rng, monkeypatch):
    c = config(loss__method="slavc", loss__pooling="max", model__projections=2, model__released="x")
    batch = make_batch(rng)
    task = systems.build(c)
    with pytest.raises(UserError, match=r"config.model.released='x': no such file"):
        task.needs[0]()
    fresh = jax.eval_shape(task.init, jax.random.key(0), batch)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), fresh)
    own = {"params": zeros["params"]["net"], "state": zeros["state"]["net"]}
    ones = jax.tree.map(np.ones_like, own)
    monkeypatch.setattr(localisers, "released", lambda path, model: {**ones, "momentum": own})
    filled = task.fill(zeros, {})
    assert all((x == 1).all() for x in jax.tree.leaves((filled["params"], filled["state"]["net"])))
    assert not any(x.any() for x in jax.tree.leaves(filled["state"]["momentum"]))
    assert jax.tree.structure(filled) == jax.tree.structure(zeros)


def test_every_variant_can_be_built():
    file = config_file("sound_localisation")
    for variant in sorted(set(file.VARIANTS) - {"paper"}):
        task = systems.build(file.get_config(variant))
        assert ("boxes" in task.fields) == (variant != "videos")
        assert (task.fit is None) == (variant in ("videos", "flickr", "vggss"))  # whose training has no boxes
        assert ("index" in task.fields) == (variant in ("semi", "tiny"))
    with pytest.raises(UserError, match=r"config.model.soundnet is empty"):
        systems.build(file.get_config("paper"))


def test_pictures_that_the_light_trunk_cannot_halve_are_one_line(rng):
    batch = make_batch(rng, 2)
    task = systems.build(config())
    wrong = {**batch, "image": batch["image"][:, :31, :31]}
    with pytest.raises(UserError, match=r"config.data gives pictures of 31 x 31 pixels: .* even") as error:
        jax.eval_shape(task.init, jax.random.key(0), wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("variant", ["flickr", "vggss", "paper", "videos"])
def test_what_is_published_of_videos_is_there_and_only_for_the_test(variant, monkeypatch):
    monkeypatch.setattr(sound_localisation, "make", lambda config: senocak(config.loss.supervised))
    monkeypatch.setattr(networks.Attended, "check", lambda self: None)

    def fields_of(**changes):
        c = config_file("sound_localisation").get_config(variant)
        c.prior.name = ""
        with c.unlocked():
            for name, value in changes.items():
                section, _, field = name.partition("__")
                (c[section] if field else c)[field or section] = value
        task = systems.build(c)
        for need in task.needs:
            need()
        assert task.fit is None  # nothing but the test has boxes from which a threshold could be fitted
        return set(task.fields)

    wanting = variant in ("flickr", "vggss")
    if wanting:
        with pytest.raises(UserError, match=r"config.data.annotation is empty.*config.truth.boxes=False"):
            fields_of()
    assert "boxes" not in fields_of(truth__boxes=False)  # as its header has it
    assert "boxes" in fields_of(truth__boxes=True, data__annotation="x")
    with pytest.raises(UserError, match=r"config.data.annotation is given, but config.truth.boxes"):
        fields_of(truth__boxes=False, data__annotation="x")
    for unsupervised in (0.0, 1.0):
        taught = {"loss__supervised": 1.0, "loss__unsupervised": unsupervised, "boxes": 1.0}
        with pytest.raises(UserError, match=r"config.loss.supervised is above 0, but published boxes .* test's alone"):
            fields_of(truth__boxes=True, data__annotation="x", **taught)
    if not wanting:
        assert "boxes" not in fields_of()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss__method": "avol"}, r"config.loss.method is 'avol': choose ez_vsl, lvs, slavc, senocak"),
        ({"loss__method": "slavc", "loss__pooling": "max"}, r"config.model.projections is 1: slavc has 2"),
        ({"boxes": 1.5}, r"config.boxes=1.5: it must be from 0 to 1"),
        ({"boxes": 0.0}, r"config.loss.supervised is above 0, but .* no boxes"),
        ({"loss__unsupervised": 0.0, "loss__supervised": 0.0}, r"nothing to learn from"),
        ({"loss__temperature": 0.0}, r"config.loss.temperature is 0.0"),
        ({"loss__temperature": INF}, r"config.loss.temperature is inf"),
        ({"loss__pooling": "maks"}, r"config.loss.pooling is 'maks': choose 'max' or 'sum'"),
        ({"loss__method": "lvs"}, r"config.loss.pooling is 'sum', which only ez_vsl knows: for lvs it is 'max'"),
        ({"loss__method": "lvs", "loss__pooling": "max", "loss__supervised": 0.0}, r"config.loss.silence is True, but"),
        ({"loss__momentum": 1.5}, r"config.loss.momentum is 1.5: it must be from 0 to 1"),
        ({"loss__momentum": -1.0}, r"config.loss.momentum is -1.0"),
        ({"loss__unsupervised": -1.0}, r"config.loss.unsupervised is -1.0: a weight is 0 or more"),
        ({"loss__unsupervised": NAN}, r"config.loss.unsupervised is nan"),
        ({"loss__supervised": -1.0}, r"config.loss.supervised is -1.0"),
        ({"model__dropout_picture": 1.5}, r"config.model.dropout_picture is 1.5: it must be from 0 to below 1"),
        ({"model__dropout_sound": -1.0}, r"config.model.dropout_sound is -1.0"),
        ({"model__last_stride": 3}, r"config.model.last_stride is 3: choose 1 or 2"),
        ({"model__sound_widths": ()}, r"config.model.sound_widths is \(\): without stages"),
        ({"boxes": 0.1, "loss__supervised": 0.0}, r"config.boxes=0.1, but config.loss.supervised is 0"),
        ({"boxes": NAN}, r"config.boxes=nan"),
        ({"model__dimension": 0}, r"config.model.dimension is 0: it must be at least 1"),
        ({"model__dimension": -3}, r"config.model.dimension is -3"),
        ({"model__mels": 63}, r"config.model.mels is 63: it must be an even number of bands"),
        ({"model__mels": 0}, r"config.model.mels is 0"),
        ({"model__floor": NAN}, r"config.model.floor is nan"),
        ({"model__dtype": "float12"}, r"config.model.dtype is 'float12': choose one of float32, bfloat16"),
        ({"model__trunk": "resnet18", "model__last_stride": 0}, r"config.model.last_stride is 0: choose 1 or 2"),
        ({"model__widths": (), "model__depths": ()}, r"config.model.widths is \(\)"),
        ({"model__widths": (0, 8, 8)}, r"config.model.widths is \(0, 8, 8\)"),
        ({"model__depths": (1, -1, 1)}, r"config.model.depths is \(1, -1, 1\)"),
        ({"model__imagenet": "x.pth"}, r"config.model.imagenet='x.pth' is for the trunk resnet18"),
        ({"prior__name": "vgg"}, r"config.prior.name is 'vgg'"),
        ({"truth__several": "mean"}, r"config.truth.several is 'mean'"),
    ],
)
def test_wrong_options_are_one_line(changes, said):
    with pytest.raises(UserError, match=said) as error:
        systems.build(config(**changes))
    assert "\n" not in str(error.value)


def test_curves_are_of_every_map_that_stands_beside_the_figures(rng):
    def objects(variables, picture):  # brighter pictures at the left
        return jnp.zeros((len(picture), 2, 2, 3)).at[:, :, 0].set(1.0), None

    batch = make_batch(rng, 4)
    _, _, state = start(config(), batch)
    net = networks.make(config())
    variables = {**state.variables, "frozen": {"prior": {}}}
    measured = figures.Measured(net, objects, figures.Truth())
    run = jax.jit(bind(figures.predict, measured), compiler_options=QUICK)
    found = run(variables, batch, jax.random.key(0))
    truth = grid.union(batch["boxes"], batch["sounding"])
    others = ("another_sound", "silence", "object_prior", "with_object_prior", "disc", "mean_map", "oracle", "whole")
    others += ("some_object",)
    for protocol in ("ciou", "ciou_adaptive"):
        wanted = {f"number/{protocol}_{name}" for name in others}
        assert wanted == {k for k in found if re.fullmatch(rf"number/{protocol}_(?!adaptive).*", k)}
        np.testing.assert_allclose(found[f"number/{protocol}_whole"], np.mean(truth, (1, 2)), rtol=1e-5)  # marks all
    np.testing.assert_allclose(found["number/ciou_oracle"], 1 / 2, rtol=1e-3)  # a quarter of the picture, of half
    wanted = figures.scored({"": objects(0, batch["image"])[0].mean(-1)}, truth, "corners", False)[""]
    np.testing.assert_allclose(found["number/ciou_object_prior"], wanted["ciou"], rtol=1e-5)
    np.testing.assert_allclose(
        found["number/ciou_adaptive_some_object"], 1 / 2, rtol=1e-3
    )  # one of two, all or nothing
    # Each sound that is played is the one that its map hears: every other clip's once.
    np.testing.assert_array_equal(found["audio/sound"], batch["waveform"])
    played = np.asarray(found["audio/sound_another_sound"])
    assert {bytes(x) for x in played} == {bytes(x) for x in batch["waveform"]}
    assert not any(np.array_equal(a, b) for a, b in zip(played, batch["waveform"], strict=True))
    heard = run(variables, {**batch, "waveform": played}, jax.random.key(0))["heatmap/heat"]
    np.testing.assert_allclose(heard, found["heatmap/heat_another_sound"], rtol=1e-4, atol=1e-5)


def test_training_without_boxes_has_no_mean_map(rng):
    batch = make_batch(rng, 4)
    _, _, state = start(config(), batch)
    for taught in (True, False):
        measured = figures.Measured(networks.make(config()), None, figures.Truth(), taught)
        shown = jax.eval_shape(bind(figures.predict, measured), state.variables, batch, jax.random.key(0))
        assert ("number/ciou_mean_map" in shown) == taught
        assert "number/ciou_disc" in shown
        counted = jax.eval_shape(bind(figures.metrics, measured), state.variables, {**batch, "valid": np.ones(4, bool)})
        assert ("ciou/mean_map" in counted) == taught


def test_what_stays_marked_by_hand():
    truth = jnp.zeros((1, 28, 28)).at[:, :14].set(1.0)
    left = jnp.zeros((1, 2, 2)).at[:, :, 0].set(1.0)
    half = {"": left, "another_sound": 0 * left, "silence": left - 1}
    found = {k: float(a / b) for k, (a, b) in figures.marked(jnp.float32(0.5), half, truth, jnp.ones(1, bool)).items()}
    assert found["marked_f1"] == pytest.approx(2 * 0.25 / (2 * 0.25 + 0.25 + 0.25))
    assert found["marked_f1/whole"] == pytest.approx(2 * 0.5 / 1.5)
    assert found["marked_on_silence"] == 0
    assert (found["marked_on_silence/own_sound"], found["marked_on_silence/truth"]) == (0.5, 0.5)


def test_what_is_off_screen_by_hand():
    box = [0.0, 0, 1, 1]
    batch = {
        "boxes": np.array([[box, box], [box, box], [box, [0, 0, 0, 0]], [box, box]], np.float32),
        "objects": np.array([[3, 5], [5, 7], [3, 9], [1, 2]], np.int32),
        "sounding": np.array([[True, False], [False, True], [True, True], [False, False]]),
    }
    truth = figures.Truth(kinds=True)
    # 0 hears 1's 7, 1 hears 0's 3, 2 hears 0's 3, which it shows, 3 hears 2's 3: padding (9) neither sounds nor shows.
    found = truth.off_screen(batch, jnp.array([1, 0, 0, 2]))
    np.testing.assert_array_equal(found, [True, True, False, True])
    np.testing.assert_array_equal(truth.off_screen(batch, jnp.array([3, 3, 3, 3])), [False] * 4)  # 3 makes no sound
    maps = dict.fromkeys(("", "silence"), jnp.zeros((4, 2, 2)))
    maps["another_sound"] = jnp.arange(4.0).reshape(4, 1, 1) * jnp.ones((1, 2, 2))
    where = np.array([True, True, True, False])
    shares = figures.marked(jnp.float32(0.5), maps, jnp.ones((4, 4, 4)), where, found)
    assert [float(x) for x in shares["marked_on_silence/off_screen_sound"]] == [1, 2]  # of 0 and 1, that of 1 is marked
    shares = figures.marked(jnp.float32(0.5), maps, jnp.ones((4, 4, 4)), where)
    assert "marked_on_silence/off_screen_sound" not in shares
    assert "objects" in systems.build(config()).fields
    assert "objects" not in systems.build(config(truth__kinds=False)).fields


def test_the_object_prior_is_mixed_in_by_hand(rng):
    maps, objects = rng.normal(size=(2, 2, grid.SIZE, grid.SIZE)).astype(np.float32)

    def stretched(x):
        return np.stack([(one - one.min()) / (one.max() - one.min()) for one in x])

    wanted = 0.4 * stretched(maps) + 0.6 * stretched(objects)
    np.testing.assert_allclose(figures.mixed(jnp.asarray(maps), jnp.asarray(objects), "corners"), wanted, atol=1e-5)


def test_others_sounds_and_silence_are_negatives_of_the_score():
    said = {
        "number/sounding": np.array([[True], [True], [False]]),
        "number/ciou": np.array([0.9, 0.4, 0.0]),
        "number/pointing": np.array([1.0, 1.0, 0.0]),
        "number/confidence": np.array([0.9, 0.8, 5.0]),
        "number/confidence_another_sound": np.array([0.1, 0.2, 5.0]),
        "number/confidence_silence": np.array([0.85, 0.1, 5.0]),
    }
    found = figures.score(figures.Truth(), said, {})
    # One silent picture is surer than the second: precision 2/3 over the half of recall that the evaluator counts.
    assert found["found_among_silent_ap"] == pytest.approx(0.5 * 2 / 3)
    assert found["found_among_silent_max_f1"] == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert found["found_among_others_max_f1"] == 1
    assert found["found_among_others_ap/random_confidence"] == 0.5
    assert found["found_among_negatives_max_f1"] == pytest.approx(2 * 2 / (2 * 2 + 1))  # the negative is the surest
    assert not any("off_screen" in name for name in found)
    # Of both sounds of other clips the surer one is of what is seen here: the other is off-screen, and below all.
    of_kinds = {**said, "number/off_screen": np.array([True, False, True])}
    of_kinds["number/confidence_another_sound"] = np.array([0.1, 0.95, 5.0])
    found = figures.score(figures.Truth(kinds=True), of_kinds, {})
    assert found["found_among_off_screen_max_f1"] == 1
    assert found["found_among_off_screen_ap/random_confidence"] == pytest.approx(2 / 3)
    assert found["found_among_others_max_f1"] < 1
    by_ciou = figures.score(figures.Truth(found="ciou"), said, {})
    assert by_ciou["found_among_others_ap/random_confidence"] == 0.25
    assert figures.score(figures.Truth(), {}, {}) == {}


def test_without_boxes_nobody_knows_what_to_mark():
    none = {name: np.zeros((4, len(figures.THRESHOLDS)), np.float32) for name in ("right", "wrong", "missed")}
    threshold = figures.solve({}, none)["threshold"]
    assert np.isnan(threshold)
    maps = dict.fromkeys(("", "another_sound", "silence"), jnp.ones((1, 2, 2)))
    found = figures.marked(jnp.float32(threshold), maps, jnp.ones((1, 4, 4)), jnp.ones(1, bool))
    assert np.isnan(float(found["marked_on_silence"][0]))
    assert np.isnan(float(found["marked_f1"][0]))
    some = {**none, "right": none["right"] + (figures.THRESHOLDS == 0.5)}
    assert figures.solve({}, some)["threshold"] == pytest.approx(0.5)
