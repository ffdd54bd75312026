"""Sound in the glossary's form: scaled, mixed, resampled."""

import numpy as np
import pytest
from video_writer import peak_frequency

from mmjax.data.files import media


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32])
def test_to_int16_mono_scales_mixes_and_resamples(dtype):
    times = np.arange(16_000) / 16_000
    wave = 0.5 * np.sin(2 * np.pi * 1000 * times)
    full = {np.int16: 2**15, np.int64: 2**15, np.int32: 2**31, np.float32: 1}[dtype]
    stereo = np.stack([wave * full, 0 * wave], 1).astype(dtype)
    sound = media.to_int16_mono(stereo, 16_000)
    assert sound.dtype == np.int16
    assert len(sound) == 22_050
    assert peak_frequency(sound, 22_050) == 1000
    np.testing.assert_allclose(sound[5000:15_000].std(), 0.25 * 32_767 / np.sqrt(2), rtol=0.01)


def test_surround_sound_in_a_sound_file_is_the_plain_mean_of_its_channels():
    channels = np.linspace(-0.6, 0.9, 6, dtype=np.float32)  # 5.1: FFmpeg's matrix would give 0.0914
    np.testing.assert_array_equal(media.to_int16_mono(np.tile(channels, (9, 1)), 22_050), np.full(9, 4915))
