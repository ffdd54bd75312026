"""Units on the page: what is drawn, and which triples are heard."""

import numpy as np
from report.fake_run import RATE, read

from mmjax.report.sections import units

CODES = np.array([[3, 3, 1, 1, -1], [0, 0, 0, 0, 0]], np.int32)


def test_the_strip_is_as_long_as_the_utterance(rng):
    figure = units.units_figure(rng.random((4, 10)), CODES[0], 0.02, np.array([0.03]))
    top, strip = figure.axes
    assert strip.get_xlim() == (0, 0.08)
    assert top.images[0].get_array().shape == (4, 8)  # the frames of four codes of five
    np.testing.assert_array_equal(strip.images[0].get_array(), [[3, 3, 1, 1]])
    assert [line.get_xdata()[0] for line in strip.lines] == [0.03]


def test_the_section_says_what_is_known(rng):
    arrays = {
        "number/codes": CODES,
        "number/code_seconds": np.full(2, 0.02, np.float32),
        "heatmap/mel": rng.random((2, 4, 10)).astype(np.float32),
    }
    assert units.render(read(arrays)).count("<svg") == 2
    arrays |= {
        "number/begins": np.array([[0.03, np.nan], [np.nan, np.nan]], np.float32),
        "number/abx_across": np.array([[[-0.1, 0.2]], [[np.nan, 0.1]]], np.float32),
        "number/pieces": np.tile(np.array([0.0, 0.2], np.float32), (2, 2, 3)),
        "audio/speech": rng.integers(-99, 99, (2, RATE)).astype(np.int16),
        "audio/speech_same": rng.integers(-99, 99, (2, RATE)).astype(np.int16),
    }
    page = units.render(read(arrays))
    assert "Of 3 triples 1 are wrong" in page
    assert page.count("<audio") == 3
    assert not units.render(read({**arrays, "heatmap/mel": arrays["heatmap/mel"][:0]}))
