"""Who speaks: the speaker encoder of Wan et al. (2018), as the package Resemblyzer has it."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Num

from mmjax.models.blocks.recurrent import affine, declare, lstm, uniform
from mmjax.ops.sound.mel import mel_spectrogram
from mmjax.ops.sound.resample import resample
from mmjax.ops.vectors import unit

FROM, RATE = 22_050, 16_000  # Hz, of the data's speech and of the network's
HOP, WINDOW, BANDS = 160, 400, 40  # samples, samples, mel bands: energies, and not their logarithms
FRAMES = 160  # of a window that the network hears at once: 1.6 s
STEP = round(RATE / 1.3 / HOP)  # frames from one window to the next: 1.3 windows a second
LEAST = 0.75  # of the last window that the utterance must cover
LEVEL = 10 ** (-30 / 20)  # root mean square of what is heard, of full scale
UNITS, LAYERS = 256, 3


class SpeakerEncoder(nn.Module):
    """256 numbers of an utterance, of length 1 and none below 0: those of one speaker lie close together.

    Three layers of LSTM over windows of 1.6 s; the last state of the last one, a fully connected layer, ReLU, length 1;
    the mean over windows, at length 1. 1,420,544 parameters. As the package's `embed_utterance`, but for what its
    `preprocess_wav` does before: long pauses stay (it cuts them by a detector that takes noise for speech), and the
    level is set up and down (it only raises it, and loud recordings then lie apart from quiet ones of one speaker).
    """

    @nn.compact
    def __call__(self, speech: Num[Array, "b time"]) -> dict[str, Float[Array, "b 256"]]:
        """{"features": the embedding, float32}. speech: at 22,050 Hz, of any scale; zeros behind it are padding."""
        b = speech.shape[0]
        wide = speech.astype(jnp.float32)
        place = jnp.arange(1, wide.shape[1] + 1, dtype=jnp.int32)[None]
        length = jnp.maximum(jnp.max(jnp.where(wide != 0, place, 0), 1), 1)
        energy = jnp.sum(jnp.square(wide), 1) / length.astype(jnp.float32)
        wide = wide * (LEVEL / jnp.sqrt(jnp.maximum(energy, 1e-20)))[:, None]
        mel = self._mel(wide)  # b n windows, with what lies between
        count = 1 + (mel.shape[1] - FRAMES) // STEP
        at = STEP * jnp.arange(count)[:, None] + jnp.arange(FRAMES)[None]
        embedded = self._windows(mel[:, at].reshape(b * count, FRAMES, BANDS)).reshape(b, count, UNITS)
        heard = self.heard(-(-length * 320 // 441), count)  # 16,000 : 22,050, which would leave 32 bits
        return {"features": unit(jnp.sum(embedded, 1, where=heard[..., None]))}

    @staticmethod
    def heard(samples: Num[Array, " b"], count: int) -> Bool[Array, "b count"]:
        """Which windows of utterances of so many samples, at 16 kHz, the package takes: the first, and those of which
        the utterance covers enough."""
        start = STEP * HOP * jnp.arange(count, dtype=jnp.int32)[None]
        return (start == 0) | (samples[:, None] - start >= round(LEAST * FRAMES * HOP))

    def _mel(self, speech: Float[Array, "b time"]) -> Float[Array, "b frames 40"]:
        """Energies of mel bands, with frames of silence up to the end of the last window."""
        at_rate = resample(speech, FROM, RATE)
        windows = max(0, -(-(at_rate.shape[1] // HOP + 1 - FRAMES) // STEP)) + 1
        samples = (FRAMES + STEP * (windows - 1)) * HOP
        padded = jnp.pad(at_rate, ((0, 0), (0, max(0, samples - at_rate.shape[1]))))
        found = mel_spectrogram(padded, RATE, n_fft=WINDOW, hop=HOP, n_mels=BANDS)
        return jnp.swapaxes(found, 1, 2)

    def _windows(self, mel: Float[Array, "n frames 40"]) -> Float[Array, "n 256"]:
        x = jnp.swapaxes(mel, 0, 1)  # time first, as a scan wants it
        for layer in range(LAYERS):
            shapes = {"input": (x.shape[-1], 4 * UNITS), "hidden": (UNITS, 4 * UNITS), "bias": (4 * UNITS,)}
            weights = declare(self, {f"lstm{layer}_{k}": (uniform(UNITS**-0.5), shape) for k, shape in shapes.items()})
            x = _over_time(x, *(weights[f"lstm{layer}_{k}"] for k in shapes))
        return unit(nn.relu(nn.Dense(UNITS, name="linear")(x[-1])))


def _over_time(
    x: Float[Array, "t n d"], kernel: Float[Array, "d 4*u"], hidden: Float[Array, "u 4*u"], bias: Float[Array, " 4*u"]
) -> Float[Array, "t n u"]:
    """The states of an LSTM that begins at 0."""

    def step(carry, gates):
        state, memory = lstm(gates + carry[0] @ hidden, carry[1])
        return (state, memory), state

    start = jnp.zeros((x.shape[1], UNITS), x.dtype)
    states: Array = lax.scan(step, (start, start), affine(x, kernel, bias))[1]
    return states
