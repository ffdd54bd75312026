"""Chunks without seams: what changes nothing gives the sound back, whatever its length."""

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.ops.sound import chunks, spectral


@pytest.mark.parametrize("time", [700, 1000, 1001, 4321])
def test_a_mask_of_ones_gives_the_sound_back(rng, time):
    sound = rng.normal(size=(2, time)).astype(np.float32)

    def twice(x, start):
        del start
        spectrum = spectral.stft(x, 128, 32)
        same = spectral.istft(spectrum, 128, 32, length=x.shape[-1])
        return jax.numpy.stack([same, -2 * same], 1)

    found = jax.jit(lambda x: chunks.overlap_added(twice, x, 1000, 250))(sound)
    np.testing.assert_allclose(found[:, 0], sound, atol=1e-5)
    np.testing.assert_allclose(found[:, 1], -2 * sound, atol=2e-5)


def test_one_chunk_fades_into_the_next():
    """Of chunks that say which they are, the sum goes evenly from one to the next."""

    def constant(x, start):  # lax.map traces it once: what it says must come from the chunk
        del start
        return jax.numpy.broadcast_to(x[:, None, :1], (1, 1, x.shape[1]))

    sound = np.zeros((1, 14), np.float32)
    sound[0, 6:] = 1.0  # the second chunk begins here
    found = np.asarray(chunks.overlap_added(constant, sound, 8, 2))[0, 0]
    np.testing.assert_allclose(found, [0] * 6 + [0.25, 0.75] + [1] * 6, atol=1e-6)
    said = chunks.overlap_added(lambda x, start: jax.numpy.full((1, 1, 8), start, np.float32), sound, 8, 2)
    np.testing.assert_allclose(said[0, 0], [0] * 6 + [1.5, 4.5] + [6] * 6, atol=1e-6)
    with pytest.raises(UserError, match="0 to 4"):
        chunks.overlap_added(constant, sound, 8, 5)
