"""Looking to Listen as a system: its loss by hand, whose face has which mask, padding, order, noise, close pitches."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from mixed_voices import begun, clips, small

from mmjax import systems
from mmjax.engine import step as steps
from mmjax.errors import OptionError
from mmjax.ops.sound import complex_masks
from mmjax.systems.separation import listening, speakers, voices
from mmjax.systems.separation.networks import GROUP


def told(made, masks):
    """Networks that say these masks [n f t] of every mixture, whatever they see."""

    class Told(speakers.Speakers):
        def masks(self, variables, whole, faces, where, train=False):
            return jnp.broadcast_to(masks, (len(whole), *masks.shape[-3:])), {}

        def see(self, variables, batch, train=False):
            return jnp.zeros((len(batch["face_frames"]), 10, 6)), {}

    return Told(**{name: getattr(made, name) for name in made.__dataclass_fields__})


def test_the_loss_is_the_squared_error_of_compressed_spectra_in_real_frames(rng):
    made, batch, key = speakers.make(small()), clips(rng), jax.random.key(1)
    mixture = jax.jit(lambda b: listening.trained(made.sound, made.mixing, "", made.clips(b), key))(batch)
    assert mixture.there.all()
    halves = jnp.full((2, 129, 21), 0.5 + 0.25j, jnp.complex64)
    value, (_, logs) = jax.jit(lambda b: voices.loss(told(made, halves), {"state": {}}, b, key))(batch)

    def compressed(x):  # by NumPy's own transform
        padded = np.pad(x, ((128, 128 + 128)))
        window = np.hanning(257)[:-1]
        frames = np.stack([np.fft.rfft(window * padded[i : i + 256]) for i in range(0, len(x) + 129, 160)])
        return frames * np.maximum(np.abs(frames), 1e-20) ** (made.power - 1)

    errors = []
    for places, sound, parts in zip(*map(np.asarray, (mixture.places, mixture.sound, mixture.parts))):
        longest = max(batch["speech_length"][places].max() / 22_050, 0)
        real = (np.arange(21) * 160 - 128) / 8000 < min(longest, 0.4)
        for part in parts:
            apart = (0.5 + 0.25j) * compressed(sound) - compressed(part)
            errors.append(np.mean(np.abs(apart[real]) ** 2))
    np.testing.assert_allclose(value, np.mean(errors), rtol=1e-3)
    assert (float(logs["silent_clips"]), float(logs["mixtures"])) == (0, 4)
    batch["speech"][1:] = 0
    value, (_, logs) = jax.jit(lambda b: voices.loss(told(made, halves), {"state": {}}, b, key))(batch)
    assert (float(value), float(logs["silent_clips"]), float(logs["mixtures"])) == (0, 3, 0)


@pytest.mark.parametrize("share", [0.0, 0.75, 1.0])
def test_a_share_of_the_loss_does_not_mind_the_order(rng, share):
    made, batch, key = speakers.make(small(order_free=share)), clips(rng), jax.random.key(2)
    batch["speech_length"][:] = 22_050  # all frames are real
    mixture = jax.jit(lambda b: listening.trained(made.sound, made.mixing, "", made.clips(b), key))(batch)
    masks = np.array([0.8, 0.3])
    given = jnp.broadcast_to(jnp.asarray(masks, jnp.complex64)[:, None, None], (2, 129, 21))
    value, _ = jax.jit(lambda b: voices.loss(told(made, given), {"state": {}}, b, key))(batch)
    whole, parts = (np.asarray(made.compressed(x)) for x in (mixture.sound, mixture.parts))
    wanted = []
    for one, voice in zip(whole, parts, strict=True):
        apart = np.array([[np.mean(np.abs(m * one - v) ** 2) for v in voice] for m in masks])  # mask voice
        told_order, other = apart[[0, 1], [0, 1]].mean(), apart[[0, 1], [1, 0]].mean()
        wanted.append((1 - share) * told_order + share * min(told_order, other))
        assert told_order != other
    np.testing.assert_allclose(value, np.mean(wanted), rtol=1e-4)


def test_the_magnitude_is_heard_beside_the_parts(rng):
    made = speakers.make(small(magnitude=True))
    whole = jnp.asarray(rng.normal(size=(2, 5, 3)) + 1j * rng.normal(size=(2, 5, 3)), jnp.complex64).at[0, 0, 0].set(0)
    heard = jax.jit(made.heard)(whole)
    np.testing.assert_allclose(heard[..., :2], np.stack([whole.real, whole.imag], -1))
    np.testing.assert_allclose(heard[..., 2], np.log(np.abs(whole) + 0.01), rtol=1e-5)
    assert speakers.make(small(magnitude=False)).heard(whole).shape == (2, 5, 3, 2)


def test_ideal_masks_of_compressed_spectra_give_the_voices_back(rng):
    """Signed and without a bound: the round trip that the loss aims at."""
    made, batch = speakers.make(small()), clips(rng)

    @jax.jit
    def back(batch):
        mixture = made.listed(batch)
        whole, parts = made.compressed(mixture.sound), made.compressed(mixture.parts)
        masks = complex_masks.ideal_complex(parts, jnp.broadcast_to(whole[:, None], parts.shape))
        return masks, made.waveform(masks * whole[:, None], mixture.sound.shape[-1]), mixture.parts

    masks, waves, parts = back(batch)
    assert np.min(masks.real) < 0
    np.testing.assert_allclose(waves, parts, atol=1e-4)


def test_a_bound_is_undone_by_its_own_inverse(rng):
    bounded, loose, batch = speakers.make(small(model__bound=10.0)), speakers.make(small()), clips(rng)
    faces = jnp.asarray(rng.normal(size=(2, 2, 10, 6)), jnp.float32)
    variables = begun(loose, batch, rng)

    @jax.jit
    def both(batch):
        mixture = loose.listed(batch)
        where, whole = loose.lasts(batch, mixture), loose.compressed(mixture.sound)
        return [made.masks(variables, whole, faces, where)[0] for made in (bounded, loose)]

    masks, plain = both(batch)
    np.testing.assert_allclose(masks, 20 * plain, rtol=1e-3, atol=1e-4)  # artanh(tanh x) = x, times 2 / .1


def test_each_face_has_its_own_mask_and_controls_take_it_away(rng, monkeypatch):
    """Networks whose masks are the faces: whoever is asked for comes out, in whatever order."""
    made, batch = speakers.make(small()), clips(rng)
    batch["face_frames"][:, 0] = 7

    def see(self, variables, batch, train=False):
        return jnp.asarray(batch["face_frames"][:, :10, 0, 0, :1], jnp.float32), {}

    def masks(self, variables, whole, faces, where, train=False):
        picked = faces[..., 0].mean(-1)[:, :, None, None]
        return jnp.broadcast_to(picked, (*picked.shape[:2], *whole.shape[1:])).astype(jnp.complex64), {}

    monkeypatch.setattr(speakers.Speakers, "see", see)
    monkeypatch.setattr(speakers.Speakers, "masks", masks)
    mixture = jax.jit(made.listed)(batch)
    np.testing.assert_array_equal(mixture.places, [[0, 1], [2, 3]])
    found, right = jax.jit(lambda b: voices.of(made, {}, b, mixture))(batch)
    of_face = np.asarray(right[:, :, 0, 0].real)
    np.testing.assert_allclose(of_face, [[0.7, 54.7], [108.7, 0.7 + 0.4 * 180]], rtol=1e-5)
    square = np.square(of_face)  # masks are of the root of a spectrum here
    own = np.asarray(found["right"])
    for name, wanted in {
        "swapped_face": square[:, ::-1],
        "absent_face": square[::-1],
        "frozen_face": np.full((2, 2), 49.0),
        "black_face": np.zeros((2, 2)),
    }.items():
        np.testing.assert_allclose(
            np.asarray(found[name]) * square[..., None], own * wanted[..., None], rtol=1e-3, atol=1e-2, err_msg=name
        )


def test_faces_stay_where_they_are_after_the_last_word(rng):
    made, batch = speakers.make(small()), clips(rng)
    variables = begun(made, batch, rng)
    see = jax.jit(lambda b: made.see(variables, b)[0])
    found = see(batch)
    np.testing.assert_allclose(found[-1, 5:], np.broadcast_to(found[-1, 4], (5, 6)), rtol=1e-5)
    batch["face_frames"][-1, 5:] = 200  # what lies in the padding is nobody's
    np.testing.assert_array_equal(found, see(batch))
    lasts = jax.jit(lambda b: made.lasts(b, made.listed(b)))
    assert lasts(batch).all()  # the other one speaks on
    batch["speech_length"][:] = 4410
    assert np.sum(lasts(batch), 1).tolist() == [11, 11]  # of .2 s, the last window begins at .184


def test_noise_is_mixed_in_and_belongs_to_nobody(rng):
    made = speakers.make(small(mixing__sources=1, mixing__noise_db=(0.0, 10.0)))
    batch = clips(rng)
    level = lambda x: 10 * np.log10(np.mean(np.square(np.asarray(x)), -1))  # noqa: E731
    mixture = jax.jit(made.listed)(batch)
    np.testing.assert_allclose(mixture.sound, np.sum(mixture.every, 1), atol=1e-6)
    np.testing.assert_allclose(level(mixture.parts[:, 0]) - level(mixture.noise), 5, atol=1e-3)
    mixed = jax.jit(lambda key: listening.trained(made.sound, made.mixing, "", made.clips(batch), key))
    drawn = [mixed(jax.random.key(i)) for i in range(30)]
    apart = [level(found.parts[:, 0]) - level(found.noise) for found in drawn]
    assert 0 <= np.min(apart) < 1 < 9 < np.max(apart) <= 10
    figures = jax.eval_shape(lambda b: voices.metrics(made, made.init(jax.random.key(0), b), b), batch)
    assert "si_sdr_improvement/frozen_face" in figures
    assert not any("swapped" in name or "close" in name for name in figures)
    alone = {name: value[:1] for name, value in batch.items()}
    figures = jax.eval_shape(lambda b: voices.metrics(made, made.init(jax.random.key(0), b), b), alone)
    assert not any("absent" in name for name in figures)  # of a single mixture its own faces would be the next one's


def test_what_is_predicted_for_the_page(rng):
    """Levels and pitch of two voices, a wrong face's estimate of one, too."""
    batch = clips(rng)

    def predicted(**more):
        task = systems.build(small(bss_taps=0, **more))
        variables = jax.eval_shape(task.init, jax.random.key(0), batch)
        return jax.eval_shape(task.predict, variables, batch, jax.random.key(0))

    pair = predicted()
    sounds = {name for name in pair if name.startswith("audio/")}
    assert sounds == {
        f"audio/{n}" for n in ("mixture", "estimate", "estimate_target", "ideal_ratio_mask", "swapped_face")
    }
    assert pair["number/improvement_by_level"].shape == (4, 5)
    assert pair["number/pitch_apart"].shape == (4,)
    alone = predicted(mixing__sources=1, mixing__noise_db=(0.0, 10.0))
    assert "audio/absent_face" in alone
    assert not {"audio/swapped_face", "number/improvement_by_level", "number/pitch_apart"} & set(alone)
    blind = predicted(network="voices_only")
    assert not any("face" in name for name in blind)
    assert blind["number/improvement_by_level"].shape == (4, 5)


def test_voices_of_one_pitch_are_counted_apart(rng):
    made, batch = speakers.make(small()), clips(rng)
    time = np.arange(22_050) / 22_050
    for row, hertz in enumerate((150, 155, 150, 160)):
        batch["speech"][row] = 9000 * np.sin(2 * np.pi * hertz * time) + 5000 * np.sin(4 * np.pi * hertz * time)
    pitch, alike = jax.jit(lambda b: voices.close(made, made.listed(b)))(batch)
    np.testing.assert_allclose(pitch, [[150, 155], [150, 160]], rtol=0.01)
    assert alike.tolist() == [True, False]


@pytest.mark.parametrize("network", ["looking_to_listen", "voices_only"])
def test_the_loss_falls(network):
    """The same voices over and over: what both networks say comes nearer. Whose face is whose takes a thousand steps,
    for which there is no time here: docs/results.md, "Whose voice"."""
    c = small(network=network, order_free=0.75)
    c.model.units, c.model.hidden = 24, 32
    batch, task = clips(np.random.default_rng(0)), systems.build(c)
    if network == "voices_only":
        batch = {k: v for k, v in batch.items() if not k.startswith("face")}
        assert set(task.modalities) == {"speech"}
    optimisers = {GROUP: optax.flatten(optax.adam(1e-2))}  # one array compiles faster than many
    fresh = jax.eval_shape(lambda: steps.create(task, optimisers, jax.random.key(0), batch))
    fresh = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), fresh)  # as Adam's moments are
    state = dataclasses.replace(fresh, **begun(task, batch, np.random.default_rng(1)))
    step = jax.jit(lambda state, key: steps.train_step(task, optimisers, state, batch, key))
    values = []
    for i in range(60):
        state, logs = step(state, jax.random.key(i))
        values.append(float(logs["loss/separator"]))
    assert np.mean(values[-5:]) < 0.5 * np.mean(values[:3]), values


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("mixing__sources", 1, "config.mixing.sources"),
        ("mixing__noise_db", (3.0, 1.0), "config.mixing.noise_db"),
        ("sound__window", 300, "config.sound.window"),
        ("power", 0.0, r"config\.power is 0\.0"),
        ("order_free", 1.5, r"config\.order_free is 1\.5"),
        ("faces__weights", "/nowhere", r"config\.faces\.weights='/nowhere'"),
        ("faces__weights", "resemblyzer", r"config\.faces\.weights='resemblyzer' is no face network"),
        ("bss_taps", 100, r"config\.bss_taps is 100: on the device a multiple of 64"),
    ],
)
def test_a_wrong_option_is_one_line(field, value, said):
    with pytest.raises(OptionError, match=said):
        systems.build(small(**{field: value}))


def test_each_face_of_a_film_has_its_own_voice_at_its_own_time(rng):
    """Masks that are 1 where a face is white and 0 where it is black: what is heard follows the pictures over all
    chunks, at the film's level."""
    made = speakers.make(small())

    class Lit(speakers.Speakers):
        def see_film(self, variables, faces, start, pictures):
            at = jnp.minimum(start + jnp.arange(pictures), faces.shape[2] - 1)
            return jnp.mean(faces[:, :, at], (-3, -2))[..., :1] / 255

        def masks(self, variables, whole, faces, where, train=False):
            at = jnp.minimum(jnp.arange(whole.shape[-1]) // 2, faces.shape[2] - 1)  # two frames a picture
            lit = jnp.where(where[:, None, None], faces[:, :, None, at, 0], 0)  # g n 1 t
            return jnp.broadcast_to(lit, (*lit.shape[:2], *whole.shape[1:])).astype(jnp.complex64), {}

    made = Lit(**{name: getattr(made, name) for name in made.__dataclass_fields__})
    task = voices.task(small())
    faces = np.zeros((1, 2, 50, 16, 16, 3), np.uint8)
    faces[:, 0] = 255
    faces[:, 1, 10:33] = 255
    time = np.arange(44_100) / 22_050
    sound = (3000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16)
    batch = {"faces_frames": faces, "speech": sound[None], "speech_length": np.array([44_100], np.int32)}
    found = jax.jit(lambda b: voices.predict_or_film(made, None, {}, b, jax.random.key(0)))(batch)
    assert tuple(sorted(found)) == tuple(sorted(task.answers))
    assert (task.whole, task.faces) == (True, 2)
    heard = np.asarray(made.sound.heard(sound[None]))[0] * 32_768
    kept = np.asarray(found["audio/estimate1"][0], float)
    np.testing.assert_allclose(kept[:-600], heard[:-600], atol=3)
    level = np.abs(np.asarray(found["audio/estimate2"][0], float)).reshape(50, 320).max(1)
    assert (level[1:8] < 5).all()
    assert (level[12:31] > 2900).all()
    assert (level[35:] < 5).all()
    assert (np.asarray(found["image/face2"]) == 255).all()


def test_a_film_goes_through_the_networks(rng):
    """The task's own prediction of a film, of another length than training's clips."""
    task, batch = voices.task(small()), clips(rng)
    variables = begun(task, batch, rng)
    film = {"faces_frames": batch["face_frames"][None, :2], "speech": batch["speech"][:1]}
    film["speech_length"] = np.full(1, 22_050, np.int32)
    found = jax.jit(task.predict)(variables, film, jax.random.key(0))
    assert found["audio/estimate2"].shape == (1, 8000)
    assert found["image/face1"].shape == (1, 16, 16, 3)
    assert np.abs(np.asarray(found["audio/estimate1"], float)).max() > 0
