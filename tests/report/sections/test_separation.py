"""Separation on the page: means by pair by hand, what is no number, and figures that are drawn."""

import numpy as np
from report.fake_run import read

from mmjax.report.sections import separation

GAINS = np.array([4.0, 8.0, np.nan, -2.0, 6.0], np.float32)
KINDS = np.array([[0, 1], [0, 1], [0, 1], [1, 0], [-1, 0]], np.int32)


def test_means_by_pair_by_hand():
    means, counts = separation.by_pair(GAINS, KINDS, 3)
    np.testing.assert_array_equal(counts, [[0, 2, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(means, [[np.nan, 6, np.nan], [-2, np.nan, np.nan], [np.nan] * 3])


def test_means_by_pitch_by_hand():
    apart = np.array([0.2, 0.9, 0.5, 1.0, 30], np.float32)
    means, counts = separation.by_pitch(GAINS, apart)
    np.testing.assert_array_equal(counts, [2, 1, 0, 0, 0, 1])
    np.testing.assert_array_equal(means, [6, -2, np.nan, np.nan, np.nan, 6])


def test_the_section_says_what_is_known():
    levels = np.arange(25, dtype=np.float32).reshape(5, 5)
    levels[2] = np.nan
    arrays = {"number/si_sdr_improvement": GAINS}
    alone = separation.render(read(arrays))
    assert "4.0 dB in the mean" in alone
    assert "25% are worse" in alone
    arrays |= {"number/mixed_classes": KINDS, "number/improvement_by_level": levels}
    whole = separation.render(read(arrays, {"source": ("bell", "dog", "<drum>")}))
    assert whole.count("<svg") == 2
    assert "<drum>" not in whole
    voices = separation.render(read({"number/si_sdr_improvement": GAINS, "number/pitch_apart": np.arange(5.0)}))
    assert "0 to 1" in voices
    assert "12 or more" in voices
    assert not separation.render(read({"number/si_sdr_improvement": GAINS[2:3]}))


def test_it_says_of_how_many_voices_the_quality_is_known():
    quality = np.array([[0.5, np.nan], [0.75, 2], [np.nan, np.nan], [1.0, 3], [np.nan, np.nan]], np.float32)
    shown = separation.render(read({"number/si_sdr_improvement": GAINS, "number/quality_estimate": quality}))
    assert "STOI is 0.75 in the mean, of 3 of 4 estimates; PESQ is 2.50 in the mean, of 2 of 4 estimates." in shown
    quality[:, 1] = np.nan
    alone = separation.render(read({"number/si_sdr_improvement": GAINS, "number/quality_estimate": quality}))
    assert "PESQ" not in alone
