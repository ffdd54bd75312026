"""Spectrograms against tones of known pitch and level; WAV against the samples."""

import io
import wave

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mmjax.report.views import sound

RATE = 22_050


def tone(hertz, amplitude=1.0, seconds=1.0):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.mark.parametrize("hertz", [300, 1000, 5000])
def test_a_tone_is_brightest_in_its_own_band(hertz):
    levels, centres = sound.spectrogram(tone(hertz), RATE)
    middle = levels[:, levels.shape[1] // 2]
    assert middle.argmax() == np.abs(np.log(centres / hertz)).argmin()


def test_full_scale_at_a_bands_centre_is_zero_decibels():
    _, centres = sound.spectrogram(np.zeros(10), RATE)
    band = 80  # wide enough to hold the window's whole main lobe
    levels, _ = sound.spectrogram(tone(centres[band]), RATE)
    inner = levels[band, 5:-5]
    assert np.abs(inner).max() < 1.0
    half, _ = sound.spectrogram(tone(centres[band], 0.5), RATE)
    np.testing.assert_allclose(inner - half[band, 5:-5], 20 * np.log10(2), atol=0.01)


def test_int16_and_float_agree_and_silence_is_the_floor():
    wave_ = tone(700, 0.3)
    as_int = np.round(wave_ * 32_767).astype(np.int16)
    loud = sound.spectrogram(wave_, RATE)[0]
    np.testing.assert_array_equal(loud, sound.spectrogram(as_int, RATE)[0])
    assert (sound.spectrogram(np.zeros(500, np.int16), RATE)[0] == -120).all()


def test_time_is_where_the_sound_is():
    click = np.zeros(2 * RATE, np.float32)
    click[RATE : RATE + 200] = 1.0
    levels, _ = sound.spectrogram(click, RATE)
    assert levels.sum(axis=0).argmax() / levels.shape[1] == pytest.approx(0.5, abs=0.02)


def test_frames_stay_few_for_long_clips():
    assert sound.spectrogram(np.zeros(60 * RATE, np.int16), RATE)[0].shape == (96, 500)
    assert sound.spectrogram(np.zeros(3, np.int16), RATE)[0].shape == (96, 1)


def test_figure_has_units_and_places_one_kilohertz():
    figure = sound.spectrogram_figure(tone(1000), RATE, "a tone")
    wave_axes, axes, bar = figure.axes
    assert wave_axes.get_title(loc="left") == "a tone"
    assert wave_axes.get_xlim() == axes.get_xlim() == (0, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (s)", "frequency (kHz)")
    assert bar.get_ylabel() == "level (dB)"
    ticks = dict(zip((text.get_text() for text in axes.get_yticklabels()), axes.get_yticks()))
    picture = axes.images[0]
    brightest = np.asarray(picture.get_array())[:, 40].argmax()
    assert ticks["1"] == pytest.approx(brightest, abs=0.5)
    assert picture.get_extent()[:2] == [0, 1.0]
    low, high = picture.get_clim()
    assert (low, high) == (-70, 0)
    figure.savefig(io.BytesIO(), format="png")


def test_envelope_by_hand():
    times, low, high = sound.envelope(np.array([0.25, -0.5, 0.125, 1, 0, 0]), 2, columns=3)
    np.testing.assert_array_equal(times, [0, 1, 2])
    np.testing.assert_allclose(low, [-0.5, 0.125, 0], atol=1e-4)
    np.testing.assert_allclose(high, [0.25, 1, 0], atol=1e-4)
    assert [len(part) for part in sound.envelope(np.zeros(2), 2, columns=3)] == [2, 2, 2]
    assert [len(part) for part in sound.envelope(np.zeros(0), 2)] == [0, 0, 0]
    sound.spectrogram_figure(np.zeros(0, np.int16), RATE).savefig(io.BytesIO(), format="svg")


def test_features_have_seconds_across_and_rows_up():
    levels = np.arange(12.0).reshape(3, 4) - 40
    levels[2, 3] = np.nan
    figure = sound.features_figure(levels, "mel band", 2.0)
    axes, _ = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (s)", "mel band")
    picture = axes.images[0]
    assert picture.get_extent() == [0, 2, -0.5, 2.5]
    assert picture.origin == "lower"
    assert picture.get_clim() == (-40, -30)
    assert all(float(tick).is_integer() for tick in axes.get_yticks())
    figure.savefig(io.BytesIO(), format="svg")
    assert sound.features_figure(levels, "mel band", None).axes[0].get_xlabel() == "frame"


def test_cepstra_are_shown_around_zero():
    cepstra = np.concatenate([np.full((1, 5), -500.0), np.tile(np.linspace(-20, 30, 19)[:, None], 5)])
    low, high = sound.features_figure(cepstra, "coefficient", 1.0).axes[0].images[0].get_clim()
    assert low == -high
    assert 20 < high <= 30  # c0 does not set the scale
    for empty in (np.zeros((3, 4)), np.full((3, 4), np.nan)):
        sound.features_figure(empty, "coefficient", 1.0).savefig(io.BytesIO(), format="svg")


def test_samples_scale_what_exceeds_full_scale_only():
    np.testing.assert_array_equal(sound.samples(np.array([0.5, -1.0])), [16384, -32767])
    np.testing.assert_array_equal(sound.samples(np.array([2.0, -1.0, np.nan])), [32767, -16384, 0])
    np.testing.assert_array_equal(sound.samples(np.array([[1.0, 0.0]])), [16384])  # two channels
    assert sound.samples(np.zeros(0)).shape == (0,)


def test_wav_holds_the_samples():
    stored = np.array([0, 1, -32768, 32767], np.int16)
    with wave.open(io.BytesIO(sound.wav_bytes(stored, 16_000))) as file:
        assert file.getframerate() == 16_000
        np.testing.assert_array_equal(np.frombuffer(file.readframes(9), "<i2"), stored)


@pytest.mark.parametrize("size", [1e-5, 1.0, 1e6])
@pytest.mark.parametrize("rows", ["band", "coefficient"])
def test_all_that_is_written_around_features_is_inside_the_drawing(rng, rows, size):
    assert_inside(sound.features_figure(size * rng.random((1025, 40)), rows, 1.0))


@pytest.mark.parametrize("title", ["", "a title"])
def test_all_that_is_written_around_a_spectrogram_is_inside_the_drawing(title):
    for amplitude in (0.0, 1e-4, 1.0):
        assert_inside(sound.spectrogram_figure(tone(1000, amplitude), RATE, title))


def assert_inside(figure):
    box, (width, height) = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()), figure.get_size_inches()
    assert 0 <= box.x0 < box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height
