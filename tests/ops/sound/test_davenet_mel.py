"""DAVEnet's frames: against the official code's steps in NumPy, and that what lies behind an utterance is not heard."""

import jax
import numpy as np
import pytest

from mmjax.errors import OptionError
from mmjax.ops.sound import mel
from mmjax.ops.sound.davenet_mel import DavenetMel

RATE = 22_050  # of the data: nothing is resampled
FRAMES = DavenetMel(rate=RATE, window=0.02, hop=0.01)


def plainly(sound):
    """The official steps, in double precision: levels [t m]."""
    y = sound - sound.mean()
    y = np.append(y[0], y[1:] - 0.97 * y[:-1])
    size, hop = round(0.02 * RATE), round(0.01 * RATE)
    padded = np.pad(y, size // 2)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(size) / (size - 1))
    pieces = [padded[i : i + size] * window for i in range(0, len(y) + 1, hop)]
    energy = np.abs(np.fft.rfft(pieces)) ** 2 @ mel.mel_filterbank(RATE, size, 40, fmin=20.0).T.astype(np.float64)
    levels = 10 * np.log10(np.maximum(energy, 1e-10) / energy.max())
    return np.maximum(levels, levels.max() - 80)


def test_against_the_official_steps_alone_and_in_a_batch(rng):
    sound = (rng.normal(size=6000) * np.linspace(0, 1, 6000) ** 4 * 8000 + 300).astype(np.int16)
    batch = rng.integers(-9000, 9000, (2, 9000)).astype(np.int16)  # behind an utterance may be anything
    batch[1, :6000] = sound
    found, count = jax.jit(FRAMES)(batch, np.array([9000, 6000], np.int32))
    assert count.tolist() == [1 + 9000 // 220, 1 + 6000 // 220]
    wanted = plainly(sound / 32768)
    np.testing.assert_allclose(found[1, : count[1]], wanted, atol=2e-2)
    np.testing.assert_array_equal(found[1, count[1] :], -80)
    assert wanted.min() == -80

    centred = DavenetMel(rate=RATE, window=0.02, hop=0.01, centred=True)(batch, np.array([9000, 6000], np.int32))[0]
    np.testing.assert_allclose(centred[1, : count[1]], wanted - wanted.mean(0), atol=2e-2)
    np.testing.assert_array_equal(centred[1, count[1] :], 0)


def test_frames_of_the_official_rate(rng):
    sound = rng.integers(-9000, 9000, (1, 8 * RATE)).astype(np.int16)
    found, count = jax.eval_shape(DavenetMel(), sound, np.array([8 * RATE], np.int32))
    assert (found.shape, count.shape) == ((1, 801, 40), (1,))
    assert DavenetMel().frames(np.int32(8 * RATE)) == 801
    assert DavenetMel().frames(np.int32(441)) == 1 + 320 // 160


def test_numbers_out_of_range_are_named():
    with pytest.raises(OptionError, match="fmin"):
        DavenetMel(fmin=9000).checked()
    with pytest.raises(OptionError, match="hop"):
        DavenetMel(hop=0).checked()
