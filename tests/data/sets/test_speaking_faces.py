"""Faces of the drawn world: landmarks lie on what is drawn, and the mouth says what the voice says, when it says it."""

import dataclasses

import numpy as np
import pytest

from mmjax.data.scenes import face, mouths, units
from mmjax.data.scenes.landmarks import PARTS, landmarks
from mmjax.data.scenes.pen import INK
from mmjax.data.sets import sounding_scenes
from mmjax.errors import UserError

LOOK = face.look(np.random.default_rng(2), np.array([0.7, 0.6, 0.2, 0.3]))


def opened(split="train", **options):
    return sounding_scenes.source(split, ("face", "face_frames", "units", "unit_times", "landmarks"), **options)


def near(picture, x, y, reach):
    """The pixels about a place in shares of the picture, [n 3]."""
    column, row = int(x * picture.shape[1]), int(y * picture.shape[0])
    return picture[row - reach : row + reach + 1, column - reach : column + reach + 1].reshape(-1, 3).astype(int)


@pytest.mark.parametrize("turn", [-7.0, 7.0])
def test_landmarks_lie_on_what_is_drawn(turn):
    look = dataclasses.replace(LOOK, turn=turn, shift=(0.029, -0.029), glasses=False)
    picture, points = face.paint(look, 224), landmarks(look, 224)
    assert points.shape == (68, 2)
    assert points.dtype == np.float32
    np.testing.assert_allclose(landmarks(look, 64), points, atol=0.5 / 64)  # shares, whatever the side

    def shows(part, colour, reach=1):
        return [np.abs(near(picture, *p, reach) - colour).sum(-1).min() < 60 for p in points[PARTS[part]]]

    assert all(shows("lips", face.LIPS)) and all(shows("opening", face.LIPS))  # noqa: PT018
    assert all(shows("left eye", INK)) and all(shows("right eye", INK))  # noqa: PT018
    assert sum(shows("jaw", INK, 2)) >= 15  # ears may hide its ends
    for eye in ("left eye", "right eye"):
        pupil = near(picture, *points[PARTS[eye]].mean(0), 2)
        assert np.abs(pupil - INK).sum(-1).min() < 30
    # The order: round the chin, brows, nose and eyes as one reads, lips clockwise.
    jaw, lips = points[PARTS["jaw"]], points[PARTS["lips"]]
    assert (np.diff(jaw[1:-1, 0]) > 0).all()
    assert jaw[:, 1].argmax() in (7, 8, 9)
    assert (np.diff(points[17:27, 0]) > 0).all()
    assert (np.diff(points[PARTS["bridge"], 1]) > 0).all()
    assert points[36, 0] < points[39, 0] < points[42, 0] < points[45, 0]
    assert points[37, 1] < points[41, 1]
    assert lips[0, 0] < lips[3, 0] < lips[6, 0]
    assert lips[3, 1] < lips[9, 1]
    assert points[60, 0] < points[64, 0]


def test_the_mouth_goes_from_target_to_target_by_hand():
    spoken = [units.UNITS.index(u) for u in ("_", "a", "ie", "m", "b", "_")]
    times = np.array([(0, 0.1), (0.1, 0.2), (0.2, 0.4), (0.4, 0.5), (0.5, 0.6), (0.6, 0.7)])
    at = [-1.0, 0.05, 0.084, 0.15, 0.25, 0.3, 0.35, 0.45, 0.5275, 0.65, 9.0]
    found = mouths.follow(spoken, times, np.array(at))
    opening = [0, 0, 0, 0.85, 0.9, 0.65, 0.4, 0, 0, 0, 0]
    rounding = [0, 0, 0, -0.1, 0, -0.125, -0.25, 0, 0, 0, 0]
    np.testing.assert_allclose(found, np.stack([opening, rounding], -1), atol=1e-6)
    assert set(mouths.SHAPES) == set(units.UNITS)


@pytest.mark.parametrize(("opening", "rounding"), [(1.0, 0.0), (0.5, 1.0), (0.4, -0.3)])
def test_an_opening_is_as_large_as_it_should_be(opening, rounding):
    """What is within the lips is neither skin nor lip: half an ellipse below and half above the bent middle."""
    look = dataclasses.replace(LOOK, skin=(0, 255, 0), glasses=False)
    picture = mouths.draw(look, np.array([[opening, rounding]], np.float32), 448, crop=True)[0].astype(int)
    still = mouths.draw(look, np.array([[0.0, rounding]], np.float32), 448, crop=True)[0].astype(int)
    inside = np.zeros(picture.shape[:2], bool)
    for colour in (mouths.CAVITY, mouths.TEETH, mouths.TONGUE):
        inside |= np.abs(picture - colour).sum(-1) < 80
    inside &= np.abs(picture - still).sum(-1) > 0
    half = look.mouth[1] * (1 - 0.4 * max(rounding, 0) + 0.4 * max(-rounding, 0))
    expected = np.pi / 2 * half * opening * mouths.GAPE * look.high * 448**2
    assert abs(inside.sum() / expected - 1) < 0.12


def test_a_closed_mouth_is_that_of_the_face():
    for side in (64, 112):
        closed, drawn = mouths.draw(LOOK, np.zeros((1, 2), np.float32), side)[0].astype(int), face.paint(LOOK, side)
        assert np.abs(closed - drawn).mean() < 0.3
        assert np.abs(closed - drawn).max() < 80
        assert np.mean(closed != drawn) < 0.05
        away = np.abs(mouths.draw(LOOK, np.ones((1, 2), np.float32), side)[0].astype(int) - drawn).max(-1)
        assert (away[: side // 2] == 0).all()


def test_speech_and_pause_are_told_apart_by_how_far_the_mouth_is_open():
    """The share of the mouth's picture that is unlike the first one, where it is closed."""
    source, moved, speaks = opened(image_size=64, crop="mouth"), [], []
    for index in range(24):
        example = source[index]
        n, count = int(example["units_length"]), int(example["face_frames_length"])
        pictures, times = example["face_frames"].astype(int), example["unit_times"][:n]
        assert pictures.shape == (200, 32, 32, 3)
        assert count == np.ceil(times[-1, 1] * 25)
        assert not pictures[count:].any()
        changed = np.abs(pictures[:count] - pictures[0]).sum(-1) > 60
        moved.append(changed.mean((1, 2)))
        at = np.searchsorted(times[:, 1], (np.arange(count) + 0.5) / 25)
        speaks.append(example["units"][np.minimum(at, n - 1)] != units.UNITS.index("_"))
    moved, speaks = np.concatenate(moved), np.concatenate(speaks)
    told = (moved > 0.004) == speaks
    assert told.mean() > 0.96 > speaks.mean() + 0.03
    assert min(told[speaks].mean(), told[~speaks].mean()) > 0.85


def test_options_of_the_moving_face():
    own, frozen, another, cropped = (
        opened("test", image_size=64, **options)[5]
        for options in ({}, {"mouth": "frozen"}, {"mouth": "another"}, {"crop": "mouth"})
    )
    n = int(own["face_frames_length"])
    moving = own["face_frames"][:n].any(-1) & (own["face_frames"][:n] != own["face_frames"][0]).any(-1)
    assert 0.5 < moving.any((1, 2)).mean() < 1
    assert (frozen["face_frames"][:n] == own["face_frames"][0]).all()  # closed in the first pause
    assert another["face_frames_length"] == n
    still = ~(moving.any(0) | (another["face_frames"][:n] != own["face_frames"][0]).any((0, -1)))
    assert still.mean() > 0.8  # the face is the same
    same = (another["face_frames"][:n] == own["face_frames"][:n]).all((1, 2, 3))
    assert same.mean() < 0.35  # pauses may coincide
    fitting = [
        (y, x)
        for y in range(33)
        for x in range(33)
        if (own["face_frames"][:n, y : y + 32, x : x + 32] == cropped["face_frames"][:n]).all()
    ]
    assert len(fitting) == 1
    centre = own["landmarks"][PARTS["lips"]].mean(0) * 64  # x, y
    assert np.abs(np.array(fitting[0])[::-1] + 16 - centre).max() < 5
    large = opened("test", image_size=64, face_size=224)[5]
    assert large["face"].shape == (224, 224, 3)
    small = large["face"][:, :, 0].reshape(56, 4, 56, 4).mean((1, 3))
    again = opened("test", image_size=56)[5]["face"][:, :, 0]
    assert np.abs(small - again).mean() < 4


def test_a_face_at_a_moment_is_one_of_its_frames():
    options = {"face_size": 48, "voices": "held_out"}
    one = sounding_scenes.source("test", ("face", "mouth_shape", "index"), moment="speaking", **options)
    still = sounding_scenes.source("test", ("face", "mouth_shape"), **options)
    frames = sounding_scenes.source("test", ("face_frames",), **options)
    shapes, places = [], []
    for index in range(12):
        example, whole = one[index], frames.example(index)
        same = (whole.face_frames[: len(whole.mouth_shapes)] == example["face"]).all((1, 2, 3))
        at = int(np.argmin(np.abs(whole.mouth_shapes - example["mouth_shape"]).sum(-1)))
        assert same[at]
        np.testing.assert_array_equal(example["mouth_shape"], whole.mouth_shapes[at])
        shapes.append(example["mouth_shape"])
        places.append(at / len(whole.mouth_shapes))
        np.testing.assert_array_equal(still[index]["face"], face.paint(whole._look, 48))
        np.testing.assert_array_equal(still[index]["mouth_shape"], [0, 0])
    np.testing.assert_allclose(shapes[0], [0.377855, 0.421085], atol=1e-5)  # which moment it is must not change
    assert min(places) < 0.3 < 0.7 < max(places)
    assert len(np.unique(np.round(shapes, 3), axis=0)) > 8
    with pytest.raises(UserError, match="landmarks are those of a closed mouth"):
        opened(moment="speaking")
    with pytest.raises(UserError, match="moment is 'later', but must be one of still, speaking"):
        sounding_scenes.source("test", ("face",), moment="later")


def test_one_face_is_drawn_without_all_others(monkeypatch):
    drawn, draw = [], mouths.draw
    monkeypatch.setattr(
        mouths, "draw", lambda look, shapes, *how: drawn.append(len(shapes)) or draw(look, shapes, *how)
    )
    assert sounding_scenes.source("train", ("face",), moment="speaking")[0]["face"].shape == (112, 112, 3)
    assert drawn == [1]
