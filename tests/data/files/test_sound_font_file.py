"""Playing a SoundFont: pitch, loudness, silence and decay, on fonts made here and on one of Debian's."""

import importlib.util
import pathlib

import numpy as np
import pytest
import sound_font_writer as writer

from mmjax.data.files import media, sound_font_file
from mmjax.data.sets import sound_fonts

PLAYER = importlib.util.find_spec("tinysoundfont") is not None
needs_player = pytest.mark.skipif(not PLAYER, reason="tinysoundfont is not installed")
INSTALLED = PLAYER and all(pathlib.Path(path).is_file() for path, _ in sound_fonts.FONTS.values())


@needs_player
def test_pitch_loudness_and_silence(fonts):
    font = sound_font_file.SoundFont(pathlib.Path(fonts[0]))
    low = font.play(0, (57,), 127, 1.0)  # an octave below the root: 220.5 Hz
    assert (low.dtype, low.shape) == (np.int16, (22_050,))
    assert np.argmax(np.abs(np.fft.rfft(low[:10_000] * np.hanning(10_000)))) == 100  # 220.5 Hz in bins of 2.205 Hz
    assert np.abs(low.astype(int)).max() == 32_767
    both = font.play(1, (69, 57), 64, 1.0)
    power = [np.argmax(np.abs(np.fft.rfft(part[:8000] * np.hanning(8000)))) for part in (both, both[11_025:])]
    np.testing.assert_allclose(np.array(power) * 22_050 / 8000, (882, 441), atol=3)
    assert np.abs(both.astype(int)).max() == round(64 / 127 * 32_767)
    assert np.abs(both[10_500:11_000].astype(int)).max() < 200  # the first key is up
    second = sound_font_file.SoundFont(pathlib.Path(fonts[1]))
    with pytest.raises(media.Unusable, match="missing"):
        second.play(3, (60,), 100, 0.5)
    with pytest.raises(media.Unusable, match="silent"):
        second.play(5, (60,), 100, 0.5)


@needs_player
def test_a_long_decay_does_not_reach_into_the_next_example(tmp_path):
    square = np.where(np.arange(writer.PERIOD) < writer.PERIOD / 2, 0.5, -0.5)
    file = writer.write(tmp_path / "long.sf2", {0: square, 1: -square}, release=3600)  # eight seconds
    font = sound_font_file.SoundFont(file)
    first = font.play(0, (60, 64), 90, 0.2)
    assert np.abs(first[-200:].astype(int)).max() > 5000
    font.play(1, (71,), 127, 0.2)
    np.testing.assert_array_equal(font.play(0, (60, 64), 90, 0.2), first)


@pytest.mark.skipif(not INSTALLED, reason="Debian's sound fonts or tinysoundfont are not installed")
def test_debians_fonts():
    """TimGM6mb has all 128 programs, none silent at middle C; a violin's a' is at 440 Hz and its multiples."""
    font = sound_font_file.SoundFont(pathlib.Path(sound_fonts.FONTS["timgm6mb"][0]))
    for program in range(128):
        assert np.abs(font.play(program, (60,), 127, 0.2).astype(int)).max() == 32_767
    violin = font.play(40, (69,), 100, 2.0)
    power = np.abs(np.fft.rfft(violin * np.hanning(len(violin)))) ** 2  # bins of half a hertz
    comb = sum(power[880 * k - 30 : 880 * k + 30].sum() for k in range(1, 12))
    assert comb > 0.9 * power.sum()
