"""The report's heat maps: boxes where they are, wrong ones first, one scale of colours, curves with their shares."""

import re

import numpy as np
import pytest
from report import fake_run

from mmjax.report.sections import sounding
from mmjax.report.views import picture

COUNT = 12


@pytest.fixture
def arrays(rng):
    """Twelve pictures; the first box is of what sounds, and in the last two pictures nothing does."""
    boxes = np.zeros((COUNT, 3, 4), np.float32)
    boxes[:, 0], boxes[:, 1] = [0.25, 0.25, 0.5, 0.75], [0.5, 0.5, 1, 1]
    heard = np.zeros((COUNT, 3), bool)
    heard[:-2, 0] = True
    ciou = np.linspace(0, 0.95, COUNT).astype(np.float32)
    return {
        "image/picture": rng.integers(0, 256, (COUNT, 56, 56, 3), np.uint8),
        "audio/sound": rng.integers(-9000, 9000, (COUNT, 2205)).astype(np.int16),
        "heatmap/heat": rng.random((COUNT, 7, 7)).astype(np.float32),
        "heatmap/heat_silence": np.full((COUNT, 7, 7), -1, np.float32),
        "number/boxes": boxes,
        "number/sounding": heard,
        "number/pointing": (np.arange(COUNT) % 2).astype(np.float32),
        "number/ciou": ciou,
        "number/ciou_disc": ciou[::-1].copy(),
        "number/ciou_adaptive": ciou / 2,
        "number/ciou_adaptive_disc": ciou / 4,
    }


def test_wrong_ones_come_first_with_every_map_and_a_player(arrays):
    page = sounding.render(fake_run.read(arrays))
    cards = page.split("<article")[1:]
    assert len(cards) == 8
    wrong = ["✗ misses" in card for card in cards]
    assert wrong == [True] * 5 + [False] * 3  # five of the ten that are judged are wrong
    assert all(card.count("<img") == 3 and card.count("<audio") == 1 for card in cards)
    assert "points to what sounds in 5 of 10" in page
    assert "for silence" in page
    assert sum("chip" not in card for card in cards) >= 1  # one without a sound is neither right nor wrong


def test_curves_give_shares_and_areas_beside_other_maps(arrays):
    page = sounding.render(fake_run.read(arrays))
    ciou = arrays["number/ciou"][:-2]
    area = np.trapezoid([(ciou >= t).mean() for t in np.float32(np.arange(21) / 20)], dx=0.05)
    assert f"its own sound: {100 * (ciou >= 0.5).mean():.1f} at .5, area {100 * area:.1f}" in page
    assert len(re.findall(r"its own sound: \S+ at \.5", page)) == 2  # a plot for each protocol
    disc = arrays["number/ciou_disc"][:-2]
    assert f"disc: {100 * (disc >= 0.5).mean():.1f} at .5" in page
    assert "disc: 0.0 at .5" in page  # the adaptive one
    assert "adaptive disc:" not in page


def test_boxes_are_drawn_where_they_are(arrays):
    predictions = fake_run.read(arrays).predictions
    drawn = sounding._boxed(np.zeros((200, 200, 3), np.uint8), predictions, 0)
    green = (drawn == sounding._HEARD).all(-1)
    rows, columns = np.flatnonzero(green.any(1)), np.flatnonzero(green.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (50, 99, 50, 149)
    assert not green[60:90, 60:140].any()
    assert (drawn[199, 150] == sounding._QUIET).all()
    assert not (sounding._boxed(drawn * 0, predictions, COUNT - 1) == sounding._HEARD).all(-1).any()


def test_maps_of_one_scale_are_dark_where_they_are_low():
    grey = np.full((8, 8, 3), 100, np.uint8)
    low, high = np.zeros((2, 2)), np.ones((2, 2))
    assert picture.overlay(low, grey, (0.0, 1.0)).mean() < 90 < picture.overlay(high, grey, (0.0, 1.0)).mean()
    np.testing.assert_array_equal(picture.overlay(high * 9, grey, (0.0, 1.0)), picture.overlay(high, grey, (0.0, 1.0)))


def test_what_is_not_there_is_left_out(arrays):
    for gone in ("image/picture", "heatmap/heat"):
        run = fake_run.read({k: v for k, v in arrays.items() if k != gone})
        assert not sounding.render(run)
        assert sounding.covers(run.predictions) == set()
    few = {k: arrays[k] for k in ("image/picture", "heatmap/heat")}
    page = sounding.render(fake_run.read(few))
    assert page.count("<img") == 16
    assert "<audio" not in page
    assert "chip" not in page
    assert "boxes" not in page
    run = fake_run.read(arrays)
    assert sounding.covers(run.predictions) == {"heatmap/heat", "heatmap/heat_silence", "audio/sound"}


def test_each_sound_that_is_given_is_played_beside_its_map(arrays, rng):
    other = rng.integers(-9000, 9000, (COUNT, 2205)).astype(np.int16)
    run = fake_run.read({**arrays, "audio/sound_silence": other})
    cards = sounding.render(run).split("<article")[1:]
    assert all(card.count("<audio") == 2 for card in cards)
    assert all("Play “sound” of" in card and "Play “silence” of" in card for card in cards)
    assert "audio/sound_silence" in sounding.covers(run.predictions)
