"""Sound files of any kind, checked: what is damaged is said, what cannot be sound is refused by name."""

from __future__ import annotations

import pathlib
import struct

import numpy as np

from mmjax.data.files import media

LOUDEST = 8.0  # of full scale: a file of floats may overshoot a little, but one of 16-bit numbers is another scale


def read(path: pathlib.Path) -> tuple[media.Sound, str]:
    """Reads a sound file of any rate, width and number of channels.

    Returns:
      Mono int16 at 22,050 Hz, at least one sample; "" or what is missing at the end of a truncated file.

    Raises:
      Unusable: missing, unreadable (a text file named .wav), empty, not finite (NaN or infinite samples), beyond full
        scale, or silent.
    """
    import soundfile

    if not path.is_file():
        raise media.Unusable("missing", "no such file")
    try:
        with soundfile.SoundFile(path) as file:
            promised, rate = file.frames, file.samplerate
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise media.Unusable("unreadable", str(error)) from error
    if not samples.size:
        raise media.Unusable("empty", "it has no samples")
    if not np.isfinite(samples).all():
        raise media.Unusable("not finite", f"{np.sum(~np.isfinite(samples))} samples are NaN or infinite")
    peak = float(np.abs(samples).max())
    if peak > LOUDEST:
        raise media.Unusable("beyond full scale", f"its largest sample is {peak:g}; floats must be in -1..1")
    waveform = media.to_int16_mono(samples, rate)
    if np.abs(waveform.astype(np.int32)).max() <= media.SILENCE:
        raise media.Unusable("silent", f"no sample above {media.SILENCE} of 32,767")
    lost = max(promised - len(samples), _frames_cut_off(path, samples.shape[1]))
    return waveform, f"{lost} frames are missing at the end" if lost > 0 else ""


def _frames_cut_off(path: pathlib.Path, channels: int) -> int:
    """Frames that a WAV file's header promises beyond the end of the file, of which libsndfile says nothing."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return 0
        size, block = path.stat().st_size, 2 * channels
        file.seek(12)
        while len(header := file.read(8)) == 8:
            name, length = header[:4], struct.unpack("<I", header[4:])[0]
            if name == b"data":
                # A length of 0 or all ones is that of a writer that did not know it: a stream.
                known = length not in (0, 0xFFFFFFFF) and length < 0x7FFFF000
                return -(-max(0, file.tell() + length - size) // block) if known else 0
            body = file.read(length)
            if name == b"fmt " and len(body) >= 14:
                block = max(1, struct.unpack("<H", body[12:14])[0])
            file.seek(length % 2, 1)
    return 0
