"""VisualVoice as a system: its loss by hand, what is mixed with what, whose lips have which mask, released networks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch_writer
import visual_voice_writer as writer
from mixed_voices import begun
from shared import get_config

from mmjax import systems
from mmjax.errors import OptionError, UserError
from mmjax.losses import separation
from mmjax.models.vision import resnet
from mmjax.systems.separation import consistency, visual_voice, voices
from mmjax.systems.separation.networks import GROUP

LIPS = {"front": 4, "widths": (4, 6, 8), "depths": (1, 1, 1), "last": 5, "features": 6, "layers": 1}


def small(**more):
    """A config whose networks are tiny: ten pictures of a mouth, 40 frames of sound."""
    c = get_config("separation", "visualvoice")
    c.seconds, c.side = 0.4, 24
    c.lips.update(LIPS)
    c.model.width, c.attributes.features, c.attributes.width = 2, 5, 2
    for name, value in more.items():
        section, _, field = name.rpartition("__")
        (c[section] if section else c)[field] = value
    return c


def clips(rng, rows=4):
    """Speaker i has a face of one colour, a mouth that opens in his own time, and two clips of his own tones."""
    time, row = np.arange(8820) / 22_050, np.arange(rows)[:, None]
    wave = lambda shift: sum(  # noqa: E731
        3000 * np.sin(2 * np.pi * (130 + 70 * row + shift) * k * time + rng.uniform(0, 6, (rows, 1))) for k in (1, 2, 3)
    )
    mouth = (
        rng.integers(0, 60, (2, rows, 10, 26, 26))
        + (20 * row).reshape(1, rows, 1, 1, 1)
        + np.arange(10).reshape(1, 1, 10, 1, 1)
    )
    return {
        "face": np.broadcast_to((60 * row).reshape(rows, 1, 1, 1), (rows, 32, 32, 3)).astype(np.uint8),
        "mouth_frames": mouth[0].astype(np.uint8),
        "mouth_frames_other": mouth[1].astype(np.uint8),
        "speech": wave(0).astype(np.int16),
        "speech_other": wave(13).astype(np.int16),
        "speech_length": np.full(rows, 8820, np.int32),
        "label": np.arange(rows, dtype=np.int32) // 2,  # two clips of each speaker
        "index": np.arange(rows, dtype=np.int32),
        "valid": np.ones(rows, bool),
    }


class Told(visual_voice.VisualVoice):
    """Networks whose features can be followed: mean values of pictures, of which the mask is made, and of spectra."""

    def run(self, part, variables, *inputs, train, key=None):
        x = inputs[0]
        if part == "mask":
            heard, seen = inputs
            mask = jnp.repeat(seen[..., 0] / 100 + seen[..., -1] / 1000, 4, -1)[:, None, :, None]
            return jnp.broadcast_to(mask, heard.shape), {}
        if part == "lips":
            return jnp.mean(x.astype(jnp.float32), (2, 3))[..., None], {}
        if part == "face":
            return jnp.stack([jnp.mean(x, (1, 2, 3)), jnp.mean(x[..., 0], (1, 2)) ** 2 - 1, jnp.ones(len(x))], -1), {}
        low, high = x[:, 2:12], x[:, 12:40]
        return jnp.stack([jnp.mean(low[..., 0] ** 2, (1, 2)), jnp.mean(high**2, (1, 2, 3)), x[:, 5, 7, 1]], -1), {}


def told(**more):
    made = visual_voice.make(small(**more))
    return Told(**{field.name: getattr(made, field.name) for field in dataclasses.fields(made)})


NOTHING = {"params": {GROUP: {}}, "state": {}}


def spectrum(x):
    """By NumPy's own transform: 512 samples of a window of 400, every 160, the first 40."""
    window = np.pad(np.hanning(401)[:-1], 56)
    padded = np.pad(x, (256, 512))
    return np.stack([np.fft.rfft(window * padded[i * 160 : i * 160 + 512]) for i in range(40)], -1)


def cosine(a, b):
    return np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_the_loss_by_hand(rng, truth):
    made = told(augment=False, loss__truth=truth, loss__cross_modal=0.5, loss__consistency=0.25)
    batch, key = clips(rng), jax.random.key(3)
    of_clips = jax.random.split(key, 3)[0]
    both = jax.jit(lambda b: consistency.mixed(made, b, of_clips))(batch)
    value, (_, logs) = jax.jit(lambda b: consistency.loss(made, NOTHING, b, key))(batch)
    lips, again = (batch[f"mouth_frames{o}"][..., 1:-1, 1:-1].mean((2, 3), dtype=np.float64) for o in ("", "_other"))
    faces = np.asarray(made.run("face", {}, made.faces(batch["face"]), train=True)[0], np.float64)
    voice = lambda z: np.asarray(  # noqa: E731
        made.run("voice", {}, jnp.asarray(np.stack([z.real, z.imag], -1), jnp.float32)[None], train=True)[0][0]
    )
    found = {"mask": [], "cross_modal": [], "consistency": []}
    for row, (a, b) in enumerate(np.asarray(both[0].places)):
        assert a == row
        seen = [[(faces[a], lips[a]), (faces[b], lips[b])], [(faces[a], again[a]), (faces[b], lips[b])]]
        errors, features = 0.0, {}
        for i, mixture in enumerate(both):
            whole = spectrum(np.asarray(mixture.sound[row], np.float64))[:-1]
            for j in (0, 1):
                source = 2 * spectrum(np.asarray(mixture.parts[row, j], np.float64))[:-1]
                ratio = source / whole
                target = np.clip(ratio.real, -5, 5) + 1j * np.clip(ratio.imag, -5, 5)
                face, lip = seen[i][j]
                mask = np.repeat(face[0] / 100 + lip / 1000, 4)[None] * (1 + 1j)
                weight = np.clip(np.log1p(np.abs(whole)), 1e-3, 10)
                apart = mask - target
                errors += np.mean(weight * (apart.real**2 + apart.imag**2) / 2)
                features[i, j] = voice(source if truth else mask * whole)
        found["mask"].append(errors)
        hinge = lambda x, near, far: max(0, cosine(x, far) - cosine(x, near) + 0.5)  # noqa: E731
        near, far = (faces[a], faces[b]), (faces[b], faces[a])
        found["cross_modal"].append(sum(hinge(features[i, j], near[j], far[j]) for i in (0, 1) for j in (0, 1)))
        found["consistency"].append(sum(hinge(features[0, 0], features[1, 0], features[i, 1]) for i in (0, 1)))
    means = {name: np.mean(values) for name, values in found.items()}
    assert min(means.values()) > 0.01
    for name, wanted in means.items():
        np.testing.assert_allclose(logs[name], wanted, rtol=2e-3, err_msg=name)
    wanted = means["mask"] + 0.5 * means["cross_modal"] + 0.25 * means["consistency"]
    np.testing.assert_allclose(value, wanted, rtol=2e-3)
    assert (float(logs["silent_clips"]), float(logs["mixtures"])) == (0, 4)


def test_both_mixtures_are_of_one_other_speaker(rng):
    made, batch = visual_voice.make(small()), clips(rng)
    mixed = jax.jit(lambda b, key: consistency.mixed(made, b, key))
    waves = {o: np.asarray(made.sound.heard(jnp.asarray(batch[f"speech{o}"]))) for o in ("", "_other")}
    partners = set()
    for i in range(8):
        first, second = mixed(batch, jax.random.key(i))
        assert first.there.all()
        assert second.there.all()
        np.testing.assert_array_equal(first.places, second.places)
        for row, (a, b) in enumerate(np.asarray(first.places)):
            assert batch["label"][a] != batch["label"][b]
            partners.add((int(a), int(b)))
            for mixture, other in ((first, ""), (second, "_other")):
                for part, wave in zip(mixture.parts[row], (waves[other][a], waves[""][b])):
                    np.testing.assert_allclose(part, 0.05 * wave / np.sqrt(np.mean(wave**2)), atol=1e-5)
                np.testing.assert_allclose(mixture.sound[row], np.sum(mixture.parts[row], 0), atol=1e-6)
    assert partners == {(a, b) for a in range(4) for b in range(4) if a // 2 != b // 2}
    batch["speech_other"][1] = 0
    first, second = mixed(batch, jax.random.key(0))
    assert first.there.all()
    assert second.there.tolist() == [True, False, True, True]
    assert (float(first.silent), float(second.silent)) == (0, 1)


def test_each_face_has_its_own_mask_and_controls_take_it_away(rng):
    made, batch = told(augment=False), clips(rng)
    lips = batch["mouth_frames"][..., 1:-1, 1:-1].mean((2, 3), dtype=np.float64)
    face = np.asarray(made.faces(batch["face"])).mean((1, 2, 3), dtype=np.float64)
    mixture = jax.jit(made.listed)(batch)
    np.testing.assert_array_equal(mixture.places, [[0, 1], [2, 3]])
    asked = jax.jit(lambda b: made.asked(NOTHING, b, mixture))(batch)
    own = np.stack([np.broadcast_to(face[:, None], lips.shape), lips], -1).reshape(2, 2, 10, 2)
    dark = float(np.mean(made.faces(np.zeros((1, 32, 32, 3), np.uint8))))
    frozen = own.copy()
    frozen[..., 1] = own[..., :1, 1]
    for name, wanted in {
        "right": own,
        "frozen_face": frozen,
        "swapped_face": own[:, ::-1],
        "absent_face": own[::-1],
        "black_face": np.broadcast_to([dark, 0], own.shape),
    }.items():
        np.testing.assert_allclose(asked.pop(name)[..., [0, -1]], wanted, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not asked
    waves, right = jax.jit(lambda b: voices.of(made, NOTHING, b, mixture))(batch)
    wanted = np.repeat(own[..., 0] / 100 + own[..., 1] / 1000, 4, -1)
    frames = right.shape[-1]
    assert frames > 40  # beyond the last picture its mask stays
    wanted = np.concatenate([wanted, np.repeat(wanted[..., -1:], frames - 40, -1)], -1)
    np.testing.assert_allclose(right[:, :, 100].real, wanted, rtol=1e-4)
    assert set(waves) == {"right", "frozen_face", "swapped_face", "absent_face", "black_face"}
    figures = jax.jit(lambda b: voices.metrics(made, NOTHING, b))(batch)
    assert {"si_sdr_improvement/frozen_face", "si_sdr_improvement/ideal_complex_mask"} <= set(figures)
    for name in ("si_sdr_improvement", "si_sdr_improvement/swapped_face"):
        assert np.isfinite(float(figures[name][0]))
        assert float(figures[name][1]) == 4


def test_ideal_masks_give_the_voices_back_as_they_are_in_the_mixture(rng):
    made, batch = visual_voice.make(small()), clips(rng)

    @jax.jit
    def back(batch):
        mixture = made.listed(batch)
        whole, parts = made.compressed(mixture.sound), made.compressed(mixture.parts)
        masks = separation.ideal_mask(2 * parts, jnp.broadcast_to(whole[:, None], parts.shape), 1e6)
        return masks, made.waveform(masks * whole[:, None], mixture.sound.shape[-1]), mixture.parts, made.shares(masks)

    masks, waves, parts, shares = back(batch)
    np.testing.assert_allclose(waves, parts, atol=1e-4)
    assert np.min(masks.real) < -0.5
    np.testing.assert_allclose(shares, np.abs(masks) / 2, rtol=1e-6)


def test_it_learns_and_every_network_does(rng, monkeypatch):
    """Four clips of two speakers, over and over: the masks come nearer, and nothing stays as it was."""
    # Of face and voice half, which compiles in half the time; of a size of its own, for jax remembers what it traced.
    monkeypatch.setitem(resnet.STAGES, 18, (1, 1, 1, 1))
    batch, task = clips(rng), systems.build(small(attributes__features=6))
    assert set(task.fields) == set(batch) - {"valid"}
    first, optimiser = begun(task, batch, rng), optax.flatten(optax.adam(1e-2))  # one array compiles faster than many

    @jax.jit
    def step(params, state, memory, key):
        whole = lambda p: task.updates[0].loss({"params": {GROUP: p}, "state": state, "frozen": {}}, batch, key)  # noqa: E731
        (_, (state, logs)), slope = jax.value_and_grad(whole, has_aux=True)(params)
        with jax.numpy_dtype_promotion("standard"):  # optax counts in integers
            change, memory = optimiser.update(slope, memory)
        return optax.apply_updates(params, change), state, memory, logs

    params, state = first["params"][GROUP], first["state"]
    memory = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(optimiser.init, params))
    values = []
    for i in range(12):
        params, state, memory, logs = step(params, state, memory, jax.random.key(i))
        values.append(float(logs["mask"]))
    assert np.mean(values[-3:]) < 0.9 * np.mean(values[:3]), values
    for there, here in ((first["params"][GROUP], jax.device_get(params)), (first["state"], jax.device_get(state))):
        assert set(there) == set(here) == {"mask", "lips", "face", "voice"}
        for part in there:
            moved = jax.tree.map(lambda a, b: float(np.max(np.abs(a - b))), there[part], here[part])
            assert max(jax.tree.leaves(moved)) > 1e-3, part
    variables = {"params": {GROUP: params}, "state": state, "frozen": {}}
    shown = jax.eval_shape(lambda b: task.predict(variables, b, jax.random.key(0)), batch)
    assert shown["image/picture"].shape == (4, 32, 32, 3)
    assert shown["heatmap/mask"].shape == shown["heatmap/mask_target"].shape


def test_released_networks_are_placed_by_a_folder(rng, tmp_path):
    c = small(released=str(tmp_path))
    with pytest.raises(UserError, match="has no weights of VisualVoice"):
        systems.build(c).needs[0]()
    weights = {"lipreading_best.pth": writer.lips(**LIPS, words=7), "vocal.pth": writer.attributes(2, 2, 5)}
    for name, own in weights.items():
        torch_writer.write_zip(tmp_path / name, dict(own))
    task, batch = systems.build(c), clips(rng)
    task.needs[0]()
    fresh = begun(task, batch, rng)
    filled = task.fill(fresh, {})
    assert jax.tree.map(np.shape, filled) == jax.tree.map(np.shape, fresh)
    made = visual_voice.make(c)
    lips, _ = jax.jit(lambda v, x: made.run("lips", v, x, train=False))(filled, made.mouths(batch["mouth_frames"]))
    wanted = writer.of_lips(weights["lipreading_best.pth"], batch["mouth_frames"][..., 1:-1, 1:-1], (1, 1, 1), 1)
    np.testing.assert_allclose(lips, wanted, atol=1e-4 * np.abs(wanted).max())
    kept = jax.tree.map(np.array_equal, filled["params"][GROUP], fresh["params"][GROUP])
    assert all(jax.tree.leaves([kept["mask"], kept["face"]]))
    assert not kept["voice"]["features"]["kernel"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("mixing__sources", 3, r"config\.mixing\.sources must be 2"),
        ("sound__n_fft", 1024, r"config\.sound\.n_fft must be 512"),
        ("sound__hop", 200, r"config\.sound\.n_fft must be 512, and rate / hop 100"),
        ("lips__depths", (1, 1), r"config\.lips\.depths has 2 stages"),
        ("loss__truth", 1.5, r"config\.loss\.truth is 1\.5"),
        ("loss__margin", -1.0, r"config\.loss\.margin is -1\.0"),
        ("seconds", 0.01, r"config\.seconds is 0\.01"),
        ("network", "visual_voices", r"choose one of .*visual_voice"),
    ],
)
def test_a_wrong_option_is_one_line(field, value, said):
    with pytest.raises(OptionError, match=said):
        systems.build(small(**{field: value}))
