"""Speech2Face's three parts: what each is asked for, losses, figures over a split, and what a user may have wrong."""

import hashlib
import json
import shutil

import face_api_writer
import jax
import numpy as np
import pytest
import soundfile
from jax import numpy as jnp
from ml_collections import ConfigDict
from PIL import Image
from shared import get_config, one_device, tiny_run
from speaker_weights import published
from torch_writer import write_zip

from mmjax import predictions as glossary
from mmjax import tools
from mmjax.data.sets import sounding_scenes
from mmjax.engine import loop
from mmjax.errors import OptionError, UserError
from mmjax.known import face_parts
from mmjax.metrics import landmarks
from mmjax.models.sound.speaker_encoder import SpeakerEncoder
from mmjax.models.vision import face_api as face_api_networks
from mmjax.models.vision.face_network import FaceNetwork
from mmjax.systems.faces import finding, hearing, recognising, speech2face
from mmjax.tools import export_part
from mmjax.weights import face_api, safetensors_file


def data(fields, rows=2, side=64, split="train", **options):
    source = sounding_scenes.source(split, fields, face_size=side, **options)
    examples = [source[i] for i in range(rows)]
    return {k: np.stack([e[k] for e in examples]) for k in examples[0]} | {"valid": np.ones(rows, bool)}


def made(task, batch):
    """Fresh variables, filled."""
    return task.fill(jax.jit(task.init)(jax.random.key(0), batch), {})


def twice(batch):
    return {k: np.concatenate([v, v]) for k, v in batch.items()}


def small(variant, **model):
    config = get_config("speech2face", variant)
    config.model.update(model)
    return speech2face.build(config)


def test_whom_a_speaker_is_like_by_hand():
    kinds = recognising.Kinds(("build", "age"), 3)
    found = np.asarray(kinds.likeness(np.array([[0.25, 1.0], [0.5, 0.75]], np.float32))).reshape(2, 3, 3)
    np.testing.assert_allclose(found[0], [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(found[1], [[0, 0, 0], [0, 0.5, 0.5], [0, 0, 0]], atol=1e-6)
    assert kinds.names[:2] == ("low build, low age", "low build, middle age")
    assert len(kinds.names) == kinds.count == 9


def test_the_face_network_is_asked_for_kinds_and_colours():
    task = small("faces", features=8, widths=(4, 4, 4), depths=(1, 1, 1))
    batch = data(("face", "speaker"), side=32)
    variables = made(task, batch)
    value, (state, logs) = jax.jit(task.updates[0].loss)(variables, batch, jax.random.key(0))
    np.testing.assert_allclose(value, logs["cross_entropy"] + logs["thumbnail"], rtol=1e-5)
    truth = recognising.Kinds(tuple("abcd"), 3).likeness(batch["speaker"])
    np.testing.assert_allclose(state["prior"]["mean"], (1 / 81 + np.mean(truth, 0)) / 2, atol=1e-6)
    thumbnail = recognising.small(np.full((1, 16, 16, 3), 192, np.uint8))
    np.testing.assert_allclose(thumbnail, np.full((1, 8, 8, 3), 1.0), atol=1e-5)
    # A network that sees mouths, too, is another one: this one is what it was before there was any.
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == 4017
    np.testing.assert_allclose(value, 5.975962, rtol=1e-4)
    assert set(state) == {"net", "prior"}
    assert not [name for name in jax.eval_shape(task.metrics, variables, batch) if "mouth" in name or "opening" in name]


def test_the_talking_face_network_is_asked_for_the_mouth_too(monkeypatch):
    task = small("talking_faces", features=8, widths=(4, 4, 4), depths=(1, 1, 1))
    assert task.fields == ("face", "speaker", "mouth_shape")
    batch = data(task.fields, side=32, moment="speaking")
    variables = made(task, batch)
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == 4017 + 2 * 9
    step = jax.jit(jax.value_and_grad(lambda params: _loss(task, variables, params, batch), has_aux=True))
    (value, (state, logs)), slopes = jax.device_get(step(variables["params"]))
    np.testing.assert_allclose(value, logs["cross_entropy"] + logs["thumbnail"] + 20 * logs["mouth"], rtol=1e-5)
    assert np.abs(slopes["face_network"]["mouth"]["kernel"]).max() > 0
    np.testing.assert_allclose(state["mouth"]["mean"], batch["mouth_shape"].mean(0), rtol=1e-5)
    # By hand: three mouths that count, of which the first opens as it is taken to, and a mean mouth half open.
    truth = np.array([[0.4, 0], [1.0, 0.5], [0, -0.3], [9, 9]], np.float32)
    said = np.array([[0.4, 0], [0.7, 0.1], [0, 0], [0, 0]], np.float32)
    four = {"face": np.zeros((4, 32, 32, 3), np.uint8), "speaker": np.full((4, 4), 0.5, np.float32)}
    four |= {"mouth_shape": truth, "valid": np.array([True, True, True, False])}
    state["mouth"]["mean"] = np.array([0.5, 0], np.float32)
    look = {"mouth": said, "identity": np.zeros((4, 81), np.float32)}
    monkeypatch.setattr(recognising, "_look", lambda *_: look)
    figures = {k: float(a / b) for k, (a, b) in task.metrics({**variables, "state": state}, four).items()}
    np.testing.assert_allclose(figures["mouth_error"], (0 + 0.5 + 0.3) / 3, rtol=1e-5)
    error_of_mean = (0.1 + np.hypot(0.5, 0.5) + np.hypot(0.5, 0.3)) / 3
    np.testing.assert_allclose(figures["mouth_error/training_mean"], error_of_mean, rtol=1e-5)
    np.testing.assert_allclose(figures["opening_r2"], 1 - 0.09 / (0.01 + 0.25 + 0.25), rtol=1e-5)
    np.testing.assert_allclose(figures["rounding_r2"], 1 - (0.16 + 0.09) / (0.25 + 0.09), rtol=1e-5)
    assert figures["opening_r2/training_mean"] == figures["rounding_r2/training_mean"] == 0


def test_the_decoder_learns_from_the_shipped_face_network():
    task = small("decoder", grid=2, widths=(4, 4, 4), first=8, shape=(4,))
    batch = data(("face", "landmarks"))
    variables = made(task, batch)
    step = jax.jit(jax.value_and_grad(lambda params: _loss(task, variables, params, batch), has_aux=True))
    (value, (state, logs)), slopes = jax.device_get(step(variables["params"]))
    weights = get_config("speech2face", "decoder").loss
    np.testing.assert_allclose(value, sum(weights[k] * logs[k] for k in logs), rtol=1e-5)
    assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(slopes)), "something is not trained"
    known = state["known"]["mean"]
    np.testing.assert_allclose(known["landmarks"], batch["landmarks"].mean(0), rtol=1e-5)
    np.testing.assert_allclose(
        logs["landmarks"], np.square(batch["landmarks"] - known["landmarks"]).sum(-1).mean(), rtol=0.1
    )  # a fresh decoder hardly moves the mean face
    drawn = jax.eval_shape(task.predict, variables, batch, jax.random.key(0))
    assert drawn["image/face_landmarks_texture_warped"].shape == (2, 8, 32, 3)


def test_the_decoder_learns_from_landmarks_that_a_network_finds(tmp_path, rng):
    config = get_config("speech2face", "video_decoder")
    config.model.update({"grid": 2, "widths": (4, 4, 4), "first": 8, "shape": (4,)})
    for name, parts in (
        (face_api.LANDMARKS, face_api.landmark_parts()),
        (face_api.DESCRIPTOR, face_api.descriptor_parts()),
    ):
        face_api_writer.write(tmp_path, name, list(parts), rng)
    config.parts.update({"face": str(tmp_path), "landmarks": str(tmp_path)})
    task = speech2face.build(config)
    assert (task.fields, len(task.needs)) == (("face",), 2)
    batch = data(("face",))
    variables = made(task, batch)
    found = face_parts.landmarks(str(tmp_path))
    weights = found.load(jax.eval_shape(found.init, batch["face"]))

    @jax.jit
    def looked(variables, weights):  # in one program: each of them asks the same network of the same faces
        step = jax.value_and_grad(lambda params: _loss(task, variables, params, batch), has_aux=True)
        return step(variables["params"]), found(weights, batch["face"]), task.metrics(variables, batch)

    ((_, (state, logs)), slopes), points, figures = jax.device_get(looked(variables, weights))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))
    assert np.abs(slopes["face_decoder"]["first"]["kernel"]).max() > 0  # through the descriptor, too
    assert np.std(points, 0).max() > 1e-4
    np.testing.assert_allclose(state["known"]["mean"]["landmarks"], np.mean(points, 0), rtol=1e-4)
    assert 0 < logs["feature"] < 2
    np.testing.assert_allclose(
        figures["landmark_error/mean_face"][0],
        landmarks.error(points, np.zeros((2, 68, 2), np.float32)).sum(),
        rtol=1e-3,
    )  # a fresh mean face is nowhere
    for change, said in (
        ({"model.points": 72}, r"config\.model\.points is 72, and config\.parts\.landmarks finds 68"),
        ({"parts.landmarks": "nowhere"}, r"config\.parts\.landmarks='nowhere': no such file"),
        ({"parts.face": "resemblyzer"}, r"config\.parts\.face is no face network"),
    ):
        config.update_from_flattened_dict(change)
        with pytest.raises(OptionError, match=said):
            speech2face.build(config)
        config.parts.landmarks = ""


def _loss(task, variables, params, batch):
    """The loss, and beside it the new state and the logs: one program shows all of a step."""
    return task.updates[0].loss({**variables, "params": params}, batch, jax.random.key(0))


def test_the_voices_loss_is_its_terms_and_does_not_change_with_the_batch():
    config = get_config("speech2face")
    config.loss.shortest = 0.0  # nothing is drawn
    task = speech2face.build(config)
    batch = data(("face", "speech", "speech_length"))
    variables = made(task, batch)
    loss = jax.jit(task.updates[0].loss)
    value, (state, logs) = loss(variables, batch, jax.random.key(0))
    np.testing.assert_allclose(
        value, logs["first_layer"] + 0.025 * logs["direction"] + 200 * logs["distillation"], rtol=1e-5
    )
    double, (_, again) = loss(variables, twice(batch), jax.random.key(1))
    np.testing.assert_allclose(double, value, rtol=1e-3)
    for name in logs:
        np.testing.assert_allclose(again[name], logs[name], rtol=1e-3)
    face = face_parts.face("shipped")
    weights = face.load(jax.eval_shape(face.init, batch["face"]))
    feature = jax.jit(face.feature)(weights, batch["face"])
    np.testing.assert_allclose(state["known"]["mean"]["feature"], np.mean(feature, 0), rtol=1e-3, atol=1e-4)
    stored = {k: v for k, v in batch.items() if k != "face"} | {"face_feature": np.asarray(feature)}
    np.testing.assert_allclose(loss(variables, stored, jax.random.key(0))[0], value, rtol=1e-3)


def test_anothers_voice_is_that_of_the_row_before_unless_it_is_padding():
    batch = data(("face", "speech", "speech_length", "landmarks", "speaker"), 3)
    batch["valid"] = np.array([True, True, False])
    task = speech2face.build(get_config("speech2face"))
    parts = task.updates[0].loss.arguments[0]
    variables = made(task, batch)

    @jax.jit
    def looked(variables):
        heard = hearing.hear(parts, variables, batch)[0]
        return task.metrics(variables, batch), parts.decoder(variables["frozen"]["decoder"], heard)["landmarks"]

    figures, points = jax.device_get(looked(variables))
    own, another = figures["landmark_error"], figures["landmark_error/another_voice"]
    assert (own[1], another[1]) == (2, 1)  # the row before the first is the last, of nobody
    np.testing.assert_allclose(own[0], landmarks.error(batch["landmarks"], points)[:2].sum(), rtol=1e-4)
    np.testing.assert_allclose(another[0], landmarks.error(batch["landmarks"][1:2], points[:1])[0], rtol=1e-4)


def test_pieces_of_an_utterance_lie_inside_it():
    length = np.full(400, 44_100, np.int32)
    start, taken = hearing._piece(1.0, length, jax.random.key(0))
    assert start.min() >= 0
    assert (start + taken).max() <= 44_100
    assert 22_050 <= taken.min() < 24_000 < 42_000 < taken.max()
    short, whole = hearing._piece(1.0, np.array([300, 5], np.int32), jax.random.key(0))
    np.testing.assert_array_equal(whole, [300, 5])
    np.testing.assert_array_equal(short, [0, 0])


# -- figures over a split ----------------------------------------------------------------------------------------------


def test_ranks_are_those_of_all_distances(rng):
    voice, face = rng.normal(size=(2, 90, 5))
    near = rng.random((90, 90)) < 0.5
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (voice, face)]
    distances = {
        "l1": np.abs(voice[:, None] - face[None]).sum(-1),
        "l2": np.square(voice[:, None] - face[None]).sum(-1),
        "cosine": -unit[0] @ unit[1].T,
    }
    for measure, distance in distances.items():
        found = np.concatenate(list(finding._ranks(voice, face, np.arange(90), near, measure)))
        own = np.diag(distance)[:, None]
        np.testing.assert_array_equal(found, 1 + (near & (distance < own)).sum(1))
    same = np.concatenate(
        list(finding._ranks(np.ones((90, 5)), np.ones((90, 5)), np.arange(90), np.ones((90, 90), bool), "l2"))
    )
    np.testing.assert_array_equal(same, 90)  # who says the same of all finds nobody


def test_the_score_of_who_hears_everything_and_of_who_hears_nothing(rng):
    speaker = rng.random((200, 2)).astype(np.float32)
    mapping = rng.normal(size=(2, 6))
    face = speaker @ mapping
    noise = rng.normal(size=face.shape)
    predictions = {
        "embedding/voice": face + 1e-4 * noise,
        "embedding/face": face,
        "embedding/mean_face": np.broadcast_to(face.mean(0), face.shape),
        "embedding/voice_1s": noise,
        "embedding/true_factors": face,
        "embedding/only_build": np.c_[speaker[:, :1], np.full((200, 1), 0.5)] @ mapping,
        "embedding/only_age": np.c_[np.full((200, 1), 0.5), speaker[:, 1:]] @ mapping,
        "number/factors_of_face": speaker,
        "number/factors_of_voice": speaker + [[0.01, 0.1]] * rng.normal(size=(200, 2)),
        "number/factors_of_voice_1s": np.broadcast_to(speaker.mean(0), (200, 2)),
        "number/factors_of_drawn": speaker,
        "number/factors_of_only_build": np.c_[speaker[:, :1], np.full((200, 1), 0.5)],
        "number/factors_of_only_age": np.c_[np.full((200, 1), 0.5), speaker[:, 1:]],
        "number/factors_of_mean_face": np.broadcast_to(speaker.mean(0), (200, 2)),
        "number/landmark_errors_of_voice_1s": np.tile([0.2, 0.1], (200, 1)),
        "number/landmark_errors_of_only_build": np.c_[np.linspace(0, 0.4, 200), np.full(200, 0.3)],
        "number/landmark_errors_of_only_age": np.full((200, 2), 0.9),
    }
    figures = finding.score("face", ("build", "age"), ("1s",), predictions, {"speaker": speaker})
    assert figures["face_l2_r@1"] == figures["face_l1_r@5"] == figures["alike_l2_r@1"] == 1
    assert figures["face_l2_r@1/chance"] == pytest.approx(1 / 200)
    near = np.abs(speaker[:, :1] - speaker[:, 0]) <= 0.1
    assert figures["alike_l2_r@1/chance"] == pytest.approx(np.mean(1 / near.sum(1)))
    assert figures["face_l2_median_rank"] == 1
    assert figures["face_l2_median_rank/chance"] == 100.5
    assert figures["face_l2_r@10/true_factors"] == 1
    assert figures["face_l2_r@10/another_voice"] < 0.2
    # build is easier to hear: alone it finds faces more often than chance, among those alike in build hardly.
    assert figures["face_l2_r@10/easiest_factor"] > 2 * figures["face_l2_r@10/chance"]
    assert figures["alike_l2_r@1/easiest_factor"] < 0.2
    assert max(figures[f"face_{by}_r@10/voice_1s"] for by in ("cosine", "l2", "l1")) < 0.2
    assert figures["build_r2"] == figures["build_r2/face"] == 1
    assert figures["age_r2/voice_1s"] == pytest.approx(0, abs=1e-6)
    assert figures["build_r2/voice"] > 0.99 > figures["age_r2/voice"] > 0.7
    assert figures["build_r2/another_voice"] < 0
    # Of what each factor alone gives, that of the one that is told best.
    assert "build_r2/easiest_factor" not in figures  # it is told that one
    assert figures["age_r2/easiest_factor"] < 0.05
    assert figures["age_r2/mean_face"] == pytest.approx(0, abs=1e-6)
    assert figures["landmark_error/easiest_factor"] == pytest.approx(0.2)
    assert figures["shape_error/easiest_factor"] == pytest.approx(0.3)
    assert (figures["landmark_error/voice_1s"], figures["shape_error/voice_1s"]) == pytest.approx((0.2, 0.1))
    assert not any("only_" in name for name in figures)
    one = {name: value[:1] for name, value in predictions.items()}
    figures = finding.score("face", ("build", "age"), ("1s",), one, {"speaker": speaker[:1]})
    assert np.isnan(figures["build_r2"])  # of one speaker nothing varies
    assert figures["face_l2_r@1"] == 1


def test_who_is_found_by_another_picture_of_the_same_person_is_found(rng):
    group = np.array(["a", "a", "b", "a", "b"])
    points = {"a": [1.0, 0], "b": [0, 1.0]}
    voice = np.array([points[name] for name in group])
    face = voice + rng.normal(scale=1e-3, size=voice.shape)
    predictions = {"embedding/voice": voice, "embedding/face": face, "embedding/mean_face": np.ones_like(voice)}
    figures = finding.score("face", (), (), predictions, {"group": group})
    assert figures["face_l2_r@1"] == 1
    assert figures["face_l2_r@1/another_voice"] == 0  # of another person
    assert figures["face_l2_r@1/chance"] == pytest.approx((3 * 1 / 3 + 2 * 1 / 4) / 5)  # among itself and the others
    assert finding.score("face", (), (), predictions, {})["face_l2_r@1"] < 1


def test_a_speaker_is_found_by_the_mean_of_what_he_said(rng):
    group = np.array(["ann", "bob", "bob", "cid", "cid", "cid"])
    of = {"ann": [1.0, 0, 0], "bob": [0, 1.0, 0], "cid": [0, 0, 1.0]}
    exact = np.array([of[name] for name in group])
    voice = exact[[0, 1, 0, 3, 4, 5]]  # the second utterance of bob is taken for ann's
    voice[5] = [0.9, 1.0, 0.0]  # and cid's last for bob's, ann's, his, in this order
    predictions = {
        "embedding/voice": voice,
        "embedding/speaker": exact + rng.normal(scale=1e-3, size=exact.shape),
        "embedding/mean_speaker": np.ones_like(exact),
        "embedding/encoder": exact,
        "embedding/voice_1s": voice,
    }
    figures = finding.score("speaker", (), ("1s",), predictions, {"group": group})
    assert figures["speaker_cosine_r@1"] == figures["speaker_cosine_r@1/voice_1s"] == pytest.approx(4 / 6)
    assert figures["speaker_l2_r@5"] == 1
    assert figures["speaker_cosine_r@1/chance"] == pytest.approx(1 / 3)
    assert figures["speaker_cosine_r@1/encoder"] == 1
    assert glossary.CEILINGS.fullmatch("encoder")  # Resemblyzer itself is no trivial rival
    assert figures["speaker_cosine_r@1/another_voice"] == 0
    np.testing.assert_array_equal(finding._another(np.array([0, 1, 1, 2, 2, 2])), [1, 3, 4, 0, 0, 0])
    np.testing.assert_array_equal(finding._another(np.array([1, 0, 1, 1])), [1, 0, 1, 1])  # one says most of all


def test_a_tiny_run_has_every_figure_and_draws_a_face_from_a_sound_file(tmp_path, rng):
    run = tiny_run("speech2face")
    results = json.loads((run.workdir / "results.json").read_text())["values"]
    for factor in ("build", "length", "age", "warmth"):
        assert f"{factor}_r2/face" in results
    shown = {"face_cosine_r@10/true_factors", "alike_l1_r@100/chance", "shape_error/true_factors"}
    for other in ("voice_1s", "voice_3s", "easiest_factor", "mean_face", "another_voice", "true_factors"):
        assert {f"landmark_error/{other}", f"shape_error/{other}", f"age_r2/{other}"} <= {*results}
    assert shown | {"face_l2_r@10/voice_3s", "alike_l2_r@10/voice_1s"} <= {*results}
    page = (run.workdir / "report.html").read_text()
    assert hearing.NO_LIKENESS in page
    assert "heard in the voice" in page
    for other in ("voice", "voice_1s"):  # the network itself is no trivial rival of its own
        assert glossary.CEILINGS.fullmatch(other)
    assert not glossary.CEILINGS.fullmatch("another_voice")
    soundfile.write(tmp_path / "voice.wav", rng.normal(scale=0.1, size=16_000), 16_000)
    assert tools.run("predict", [str(run.workdir), str(tmp_path / "voice.wav"), "-o", str(tmp_path / "out")]) == 0
    (face,) = (tmp_path / "out").rglob("*.png")
    with Image.open(face) as drawn:
        assert drawn.size == (64, 64)


# -- parts -------------------------------------------------------------------------------------------------------------


def test_what_ships_is_small_and_says_what_it_reached():
    sizes = [path.stat().st_size for path in face_parts.SHIPPED.values()]
    assert sum(sizes) < 2_000_000
    said = json.loads(safetensors_file.read(face_parts.SHIPPED["face_network"])[1]["figures"])
    assert said["identity_accuracy"] > 0.7 > said["identity_accuracy/majority"] + 0.5
    said = json.loads(safetensors_file.read(face_parts.SHIPPED["talking_face_network"])[1]["figures"])
    assert said["opening_r2"] > 0.9
    assert said["mouth_error"] < 0.4 * said["mouth_error/training_mean"]
    said = json.loads(safetensors_file.read(face_parts.SHIPPED["face_decoder"])[1]["figures"])
    assert said["landmark_error"] < 0.5 * said["landmark_error/mean_face"]
    face = face_parts.face("shipped")
    weights = face.load(jax.eval_shape(face.init, np.zeros((1, 64, 64, 3), np.uint8)))
    known = safetensors_file.read(face_parts.SHIPPED["face_decoder"])[1]["face"]
    assert known == face_parts.fingerprint(weights)  # whose features it draws


@pytest.mark.parametrize(
    ("name", "digest"), [("face_network", "14598d4279bb"), ("talking_face_network", "9d151b9f9ca6")]
)
def test_what_ships_is_not_trained_again_unnoticed(name, digest):
    assert hashlib.sha256(face_parts.SHIPPED[name].read_bytes()).hexdigest()[:12] == digest


def test_the_shipped_talking_face_network_sees_mouths_as_well_as_it_says():
    """Of speakers and sentences of the test split, at the size it was trained on; and from its features alone."""
    batch = data(("face", "mouth_shape"), 96, 48, split="test", moment="speaking", voices="held_out")
    face = face_parts.face("shipped_talking")
    assert (face.network.size, face.size, face.identities) == (48, 128, 81)
    weights = face.load(jax.eval_shape(face.init, batch["face"]))
    feature = np.asarray(jax.jit(face.feature)(weights, batch["face"]))
    layer = weights["params"]["mouth"]
    apart = np.square(feature @ layer["kernel"] + layer["bias"] - batch["mouth_shape"]).sum(0)
    r2 = 1 - apart / np.square(batch["mouth_shape"] - batch["mouth_shape"].mean(0)).sum(0)
    said = json.loads(safetensors_file.read(face_parts.SHIPPED["talking_face_network"])[1]["figures"])
    np.testing.assert_allclose(r2, [said["opening_r2"], said["rounding_r2"]], atol=0.06)
    with pytest.raises(OptionError, match="='shipped_talking': no face_decoder ships by this name"):
        face_parts.decoder("shipped_talking")


@pytest.mark.usefixtures("no_page")
def test_a_part_travels_as_a_workdir_and_as_a_file(tmp_path):
    config = get_config("speech2face", "faces")
    config.steps, config.batch_size, config.eval.examples, config.eval.test_examples = 1, 2, 2, 2
    config.model.update({"features": 5, "widths": (4, 4, 4), "depths": (1, 1, 1)})
    with one_device():
        loop.run(config, tmp_path / "faces")
    path = export_part.export(tmp_path / "faces", tmp_path / "own.safetensors")
    picture = data(("face",))["face"]
    features = []
    for source in (str(tmp_path / "faces"), str(path)):
        face = face_parts.face(source)
        assert (face.size, face.identities) == (5, 81)
        weights = face.load(jax.eval_shape(face.init, picture))
        features.append(np.asarray(jax.jit(face.feature)(weights, picture)))
    np.testing.assert_allclose(features[0], features[1], rtol=0.02, atol=0.02)  # the file is in half precision
    assert np.abs(features[0]).max() > 0.1
    with pytest.raises(OptionError, match="is a run of the face_network, and not of the face_decoder"):
        face_parts.decoder(str(tmp_path / "faces"))
    with pytest.raises(OptionError, match="is no face_decoder"):
        face_parts.decoder(str(path))
    decoder = face_parts.decoder("shipped")
    with pytest.raises(OptionError, match="features of 128, and the face network has 5"):
        decoder.load(decoder.init(5))
    # The same length is not enough: a decoder knows whose features it was trained on, as a run and as a file.
    config = get_config("speech2face", "decoder")
    config.steps, config.batch_size, config.eval.examples, config.eval.test_examples = 1, 2, 2, 2
    config.parts.face = str(tmp_path / "faces")
    config.model.update({"grid": 2, "widths": (4, 4, 4), "first": 8, "shape": (4,)})
    with one_device():
        loop.run(config, tmp_path / "decoder")
    drawn = export_part.export(tmp_path / "decoder", tmp_path / "decoder.safetensors")
    other = jax.tree.map(lambda x: np.asarray(x) + 1, weights)
    shutil.move(tmp_path / "faces", tmp_path / "elsewhere")  # the run keeps what it began with
    for source in (str(tmp_path / "decoder"), str(drawn)):
        decoder = face_parts.decoder(source)
        fresh = decoder.init(5)
        loaded = decoder.load(fresh, weights)  # those of the file, in half precision
        assert loaded["params"]["first"]["kernel"].shape == (5, 8)
        with pytest.raises(OptionError, match=r"config.parts.decoder=.* decodes the features of another face network"):
            decoder.load(fresh, other)
    (tmp_path / "elsewhere" / "results.json").unlink()
    assert tools.run("export-part", [str(tmp_path / "elsewhere")]) == 2


@pytest.mark.parametrize(
    ("variant", "change", "said"),
    [
        ("", {"part": "ear"}, "config.part is 'ear'"),
        ("", {"part": "face_decoder"}, "config.part is 'face_decoder', whose other options are those of .*:decoder"),
        ("", {"part": "face_network"}, "config.part is 'face_network', whose other options are those of .*:faces"),
        ("decoder", {"part": "voice"}, r"config.part is 'voice', whose other options are those of .*speech2face.py:"),
        ("", {"parts.face": "nowhere"}, "config.parts.face='nowhere': no such file"),
        ("", {"parts.face": ""}, "config.parts.face is '': say which"),
        ("", {"parts.face": "resemblyzer"}, "config.parts.face tells speakers apart: set config.parts.decoder=''"),
        ("", {"parts.decoder": ""}, "config.loss.first_layer needs config.parts.decoder"),
        ("", {"loss.direction": -1.0}, "config.loss.direction is -1.0"),
        ("", {"loss.temperature": 0.0}, "config.loss.temperature is 0.0"),
        ("", {"hearing.seconds": 1.0}, "config.hearing.seconds=1.0 give 43 frames"),
        ("", {"model.width": -1.0}, "config.model.width is -1.0: times 64 channels it must give at least 1"),
        ("", {"model.width": 0.0}, "config.model.width is 0.0"),
        ("", {"model.width": 0.005}, "config.model.width is 0.005"),  # 0.3 channels
        ("", {"model.width": np.inf}, "config.model.width is inf"),
        ("", {"factors": ("build", "nose")}, r"config.factors is \('build', 'nose'\): the columns .* 'length', 'age'"),
        ("", {"factors": ("length", "build", "age", "warmth")}, r"config.factors is \('length', 'build'"),
        ("", {"loss.temperature": np.inf}, "config.loss.temperature is inf"),
        ("", {"loss.direction": np.nan}, "config.loss.direction is nan: it must be at least 0"),
        ("faces", {"factors": ("build", "nose")}, r"config.factors is \('build', 'nose'\)"),
        ("faces", {"factors": ()}, r"config.factors is \(\)"),
        ("faces", {"levels": 1}, "config.levels is 1: with less than 2"),
        ("faces", {"loss.thumbnail": -1.0}, "config.loss.thumbnail is -1.0: it must be at least 0"),
        ("talking_faces", {"loss.mouth": -20.0}, "config.loss.mouth is -20.0"),
        ("decoder", {"loss.texture": -1.0}, "config.loss.texture is -1.0"),
        ("decoder", dict.fromkeys(("loss.landmarks", "loss.texture", "loss.picture", "loss.feature"), 0.0), "no term"),
    ],
)
def test_no_option_makes_a_run_of_nothing(variant, change, said):
    config = get_config("speech2face", variant)
    config.update_from_flattened_dict(change)
    with pytest.raises(OptionError, match=said) as error:
        speech2face.build(config)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("variant", "change", "said"),
    [
        ("", {"model.hidden": 0}, "config.model.hidden is 0: it must be at least 1"),
        ("", {"model.dtype": "float99"}, "config.model.dtype is 'float99': choose one of float32, bfloat16"),
        ("", {"model.dtype": "int32"}, "config.model.dtype is 'int32'"),
        ("", {"hearing.hop": 1e-9}, "config.hearing.hop is 1e-09: not one sample at a rate of 16000"),
        ("", {"hearing.window": 1e-9}, "config.hearing.window is 1e-09: not one sample"),
        ("", {"hearing.seconds": np.inf}, "config.hearing.seconds is inf"),
        ("", {"hearing.bins": 30}, "config.hearing.bins=30 gives 30 bins: the encoder needs"),
        ("faces", {"model.features": 0}, "config.model.features is 0"),
        ("faces", {"model.widths": (24, 0, 96)}, r"config.model.widths is \(24, 0, 96\): each must be at least 1"),
        ("faces", {"model.depths": (1, 1)}, "config.model.depths has 2 stages"),
        ("faces", {"model.dtype": "float99"}, "config.model.dtype is 'float99'"),
        ("decoder", {"model.grid": 0}, "config.model.grid is 0: it must be at least 1"),
        ("decoder", {"model.first": 0}, "config.model.first is 0"),
        ("decoder", {"model.widths": ()}, "config.model.widths is"),
        ("decoder", {"model.shape": (0,)}, r"config.model.shape is \(0,\)"),
        ("decoder", {"model.dtype": "float99"}, "config.model.dtype is 'float99'"),
        ("decoder", {"model.points": -1}, "config.model.points is -1"),
    ],
)
def test_what_is_wrong_is_one_line(variant, change, said):
    config = get_config("speech2face", variant)
    config.update_from_flattened_dict(change)
    with pytest.raises(OptionError, match=said) as error:
        speech2face.build(config)
    assert "\n" not in str(error.value)


def test_a_decoder_has_as_many_landmarks_as_the_data():
    key, batch = jax.random.key(0), data(("face", "landmarks", "speech", "speech_length", "speaker"))
    with pytest.raises(OptionError, match=r"config.model.points is 72, and the data has 68"):
        jax.eval_shape(small("decoder", points=72).init, key, batch)
    batch["landmarks"] = batch["landmarks"][:, :5]
    with pytest.raises(OptionError, match=r"config.parts.decoder draws 68 landmarks, and the data has 5"):
        jax.eval_shape(small("").init, key, batch)


def test_a_file_of_something_else_is_said_of_the_option_that_named_it(tmp_path, rng):
    for name in ("junk.pth", "junk.safetensors"):
        (tmp_path / name).write_bytes(b"junk" * 9)
    write_zip(tmp_path / "other.pth", {"layer.weight": rng.normal(size=(2, 3)).astype(np.float32)})
    for name, wrong in (("junk.pth", "not a PyTorch"), ("other.pth", "not the weights"), ("junk.safetensors", "not a")):
        path = str(tmp_path / name)
        with pytest.raises(OptionError, match=rf"^config\.parts\.face: .*{name}.*{wrong}"):
            face_parts.face(path).load({})
    with pytest.raises(OptionError, match=r"^config\.parts\.decoder: .*junk.pth"):
        face_parts.decoder(str(tmp_path / "junk.pth"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(OptionError, match=r"^config\.parts\.landmarks: .*no such file"):
        face_parts.landmarks(str(tmp_path / "folder")).load({})


def test_what_is_scored_is_asked_of_the_data_and_is_no_text_on_a_pod(monkeypatch):
    config = get_config("speech2face")
    assert speech2face.build(config).references == ("speaker",)
    config.persons = True  # beside the factors, not in their place
    assert speech2face.build(config).references == ("group", "speaker")
    variants = {name: get_config("speech2face", name).persons for name in ("", "videos", "paper")}
    assert variants == {"": False, "videos": True, "paper": False}
    monkeypatch.setattr(speech2face.jax, "process_count", lambda: 2)
    with pytest.raises(OptionError, match=r"^config.persons .*text.* set it to False"):
        speech2face.build(config)
    config.persons = False
    assert speech2face.build(config).references == ("speaker",)


def test_factors_are_the_columns_of_the_speaker():
    assert recognising.FACTORS == sounding_scenes.FACTORS
    fields = {"": ("face", "speech", "speech_length", "speaker", "landmarks"), "faces": ("face", "speaker")}
    for variant, wanted in fields.items():
        config = get_config("speech2face", variant)
        config.data.name, config.factors = "own", ("build", "nose")  # of unknown data their number alone is known
        init = speech2face.build(config).init
        with pytest.raises(OptionError, match=r"config.factors is \('build', 'nose'\), and the data's speaker has 4"):
            jax.eval_shape(init, jax.random.key(0), data(wanted))
        config.factors = ("a", "b", "c", "d")
        jax.eval_shape(speech2face.build(config).init, jax.random.key(0), data(wanted))


def test_a_voice_can_be_trained_towards_a_speaker_encoder(tmp_path, rng):
    config = get_config("speech2face", "voices")
    config.model.update({"width": 0.03125, "hidden": 8})
    config.parts.face = f"resemblyzer:{tmp_path / 'pretrained.pt'}"
    task = speech2face.build(config)
    with pytest.raises(UserError, match="no such file"):
        task.needs[0]()
    write_zip(tmp_path / "pretrained.pt", {"model_state": published(rng)})
    task.needs[0]()
    speech, other = rng.integers(-9000, 9000, (2, 2, 44_100)).astype(np.int16)
    batch = {"speech": speech, "speech_other": other, "speech_length": np.array([44_100, 30_000], np.int32)}
    variables = made(task, batch | {"valid": np.ones(2, bool)})
    value, (_, logs) = jax.jit(task.updates[0].loss)(variables, batch, jax.random.key(0))
    assert set(logs) == {"direction"}
    assert task.headline == ("speaker_l2_r@10", "speaker_l2_median_rank")
    np.testing.assert_allclose(value, logs["direction"])
    feature = jax.jit(task.features.compute)(task.features.weights(variables), other)["feature"]
    np.testing.assert_allclose(np.linalg.norm(feature, axis=1), 1, rtol=1e-5)
    stored = {k: v for k, v in batch.items() if k != "speech_other"} | {"speech_other_feature": feature}
    np.testing.assert_allclose(jax.jit(task.updates[0].loss)(variables, stored, jax.random.key(0))[0], value, rtol=1e-4)
    shapes = jax.eval_shape(task.predict, variables, batch, jax.random.key(0))
    spaces = ("voice", "speaker", "mean_speaker", "encoder", "voice_1s", "voice_2s", "voice_3s")
    assert set(shapes) == {"audio/voice", *(f"embedding/{name}" for name in spaces)}
    assert (task.fields[-1], task.references, task.answers) == ("group", ("group",), ("embedding/voice",))


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (FaceNetwork(3, features=4, widths=(4, 4, 4)), (32, 32, 3)),
        (face_api_networks.FaceDescriptor(), (150, 150, 3)),
        (SpeakerEncoder(), (44_100,)),
    ],
)
def test_frozen_networks_are_programs_for_any_batch_size(network, shape):
    (b,) = jax.export.symbolic_shape("b")
    variables = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *shape)))
    found = jax.eval_shape(network.apply, variables, jax.ShapeDtypeStruct((b, *shape), jnp.float32))
    assert found["features"].shape[0] == b


def test_without_a_decoder_no_face_is_drawn():
    config = ConfigDict(get_config("speech2face").to_dict())
    config.update_from_flattened_dict({"parts.decoder": "", "loss.first_layer": 0.0, "factors": ()})
    task = speech2face.build(config)
    batch = data(("face", "speech", "speech_length"))
    shapes = jax.eval_shape(task.predict, jax.eval_shape(task.init, jax.random.key(0), batch), batch, jax.random.key(0))
    assert not [key for key in shapes if key.startswith("image/face")]
    assert task.answers == ("embedding/voice",)
