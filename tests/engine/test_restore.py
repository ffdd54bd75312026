"""A restored system in a notebook: what it is given has one meaning, and one answer."""

import numpy as np
import pytest
from jax import numpy as jnp
from ml_collections import ConfigDict

from mmjax.engine.restore import Restored
from mmjax.errors import UserError
from mmjax.task import Task


def predict(variables, batch, key):
    loudness = jnp.mean(jnp.abs(batch["waveform"].astype(jnp.float32)), 1, where=batch["valid"][:, None])
    light = jnp.mean(batch["image"].astype(jnp.float32), (1, 2, 3))
    return {"embedding/out": jnp.stack([loudness, light, batch["waveform_length"].astype(jnp.float32)], 1)}


FIELDS = ("waveform", "waveform_length", "image")
TRAINED = Restored(
    ConfigDict(), Task(FIELDS, lambda k, b: {}, (), lambda v, b: {}, predict, predicts_from=FIELDS), {}, step=1
)


def test_types_of_sound_and_pictures_have_one_answer(rng):
    sound, image = rng.integers(-9000, 9000, (1, 44), np.int16), rng.integers(0, 256, (1, 4, 4, 3)).astype(np.uint8)
    out = TRAINED.predict({"waveform": sound, "image": image})["embedding/out"]
    np.testing.assert_allclose(out, [[np.abs(sound.astype(float)).mean(), image.mean(), 44]], rtol=1e-6)
    for wave, picture in ((sound / 32768, image / 255), (sound[0].astype(np.int32) << 16, image[0].transpose(2, 0, 1))):
        given = {"waveform": wave, "image": picture[None] if picture.shape[0] == 3 else picture}
        np.testing.assert_array_equal(TRAINED.predict(given)["embedding/out"], out)
    slow = TRAINED.predict({"waveform": np.repeat(sound, 2, 1), "image": image}, sample_rate=44_100)["embedding/out"]
    assert slow[0, 2] == 44
    with pytest.raises(UserError, match=r"image wants uint8 \[b h w 3\]"):
        TRAINED.predict({"waveform": sound, "image": 2.0 * image})
