"""Sound files of any kind, checked: what is damaged is said, what cannot be sound is refused by name.

libsndfile reads what it can, from its beginning to its end and without a jump, so that lengths are what is there and
not what a header says; FFmpeg (PyAV, the extra `video`) reads the rest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from mmjax.data.files import container, media, sound_container
from mmjax.errors import UserError

# What libsndfile reads, and what only FFmpeg does.
SNDFILE = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mpga", ".aif", ".aiff", ".aifc", ".au"),
    *(".snd", ".caf", ".w64", ".rf64", ".voc", ".avr", ".sph", ".nist"),
)
FFMPEG = (
    *(".m4a", ".m4b", ".aac", ".wma", ".weba", ".webm", ".mka", ".mkv", ".mp4", ".mov", ".3gp", ".amr", ".ac3"),
    *(".spx", ".wv", ".ape", ".tta"),
)
SUFFIXES = (*SNDFILE, *FFMPEG)
LOUDEST = 8.0  # of full scale: a file of floats may overshoot a little, but one of 16-bit numbers is another scale
BLOCK = 1152  # samples asked for at once, one frame of MP3: so much is lost with a damaged one
SLACK = 0.5  # seconds by which a container of FFmpeg's may promise more than it has: paddings, a rounded number
UNKNOWN = 2**48  # frames: libsndfile gives a number beyond this where a header has none

Samples = npt.NDArray[np.float32]


@dataclasses.dataclass
class _Decoded:
    """Samples [time channels] at `rate` Hz; the frames that the header promises, None where it has no number.

    `error` is why the decoder did not come to the end.
    """

    samples: Samples
    rate: int
    promised: int | None = None
    error: str = ""


def read(path: pathlib.Path) -> tuple[media.Sound, str]:
    """Reads a sound file of any rate, width and number of channels.

    Returns:
      Mono int16 at 22,050 Hz, at least one sample; "" or what is missing at the end of a truncated file.

    Raises:
      Unusable: missing, unreadable (a text file named .wav), empty, not finite (NaN or infinite samples), beyond full
        scale, or silent.
      UserError: one that only FFmpeg reads, without the extra that brings it.
    """
    if not path.is_file():
        raise media.Unusable("missing", "no such file")
    parts = _decode(path)
    if not any(part.samples.size for part in parts):
        raise media.Unusable("empty", "it has no samples")
    for part in parts:
        _check(part.samples)
    waveform = np.concatenate([media.to_int16_mono(part.samples, part.rate) for part in parts])
    if np.abs(waveform.astype(np.int32)).max() <= media.SILENCE:
        raise media.Unusable("silent", f"no sample above {media.SILENCE} of 32,767")
    return waveform, _damage(path, parts)


def save(folder: str, item: tuple[str, str]) -> tuple[str, str]:
    """Reads the file folder/item[0] and writes its waveform to item[1] (.npy): work for child processes.

    Returns:
      Kind and detail of its fault, as `Unusable` has them, or "truncated" of one that is used; "" for none.
    """
    try:
        waveform, damage = read(pathlib.Path(folder) / item[0])
    except media.Unusable as error:
        return error.kind, error.detail
    np.save(item[1], waveform)
    return ("truncated" if damage else ""), damage


def _check(samples: Samples) -> None:
    if not np.isfinite(samples).all():
        raise media.Unusable("not finite", f"{np.sum(~np.isfinite(samples))} samples are NaN or infinite")
    peak = float(np.abs(samples).max(initial=0))
    if peak > LOUDEST:
        raise media.Unusable("beyond full scale", f"its largest sample is {peak:g}; floats must be in -1..1")


def _damage(path: pathlib.Path, parts: list[_Decoded]) -> str:
    lost = sum(max(0, (part.promised or 0) - len(part.samples)) for part in parts)
    with path.open("rb") as file:
        there, missing = sound_container.cut_off(file, path.stat().st_size)
    # Every byte of a container of chunks stands for the same time; an Ogg page does not say for how much.
    lost = max(lost, round(len(parts[-1].samples) * missing / there) if there else 0)
    if lost > 0:
        return f"{lost} frames are missing at the end"
    if missing:
        return f"{missing} bytes are missing at the end"
    errors = [part.error for part in parts if part.error]
    seconds = sum(len(part.samples) / part.rate for part in parts)
    return f"damaged ({errors[-1]}): {seconds:.2f} s could be read" if errors else ""


def _decode(path: pathlib.Path) -> list[_Decoded]:
    """What is in a file, by whichever decoder knows it; more than one part where several streams follow each other."""
    try:
        return _by_sndfile(path)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        try:
            media.require_av()
        except UserError:
            if path.suffix.lower() in FFMPEG:
                raise UserError(
                    f"reading {path} (and all other {path.suffix.lower()}) needs the extra `video`: "
                    "pip install 'mmjax[video]'"
                ) from None
            raise media.Unusable("unreadable", str(error)) from error
        try:
            return [_by_ffmpeg(path)]
        except (media.Unusable, ValueError) as second:  # ValueError: a form of samples that PyAV does not know
            if path.suffix.lower() not in FFMPEG:
                raise media.Unusable("unreadable", str(error)) from second
            raise (
                second if isinstance(second, media.Unusable) else media.Unusable("unreadable", str(second))
            ) from second


# -- libsndfile --------------------------------------------------------------------------------------------------------


class _Forward(soundfile.SoundFile):
    """A file that is read without a jump: some encodings have none, and python-soundfile jumps after each read."""

    def seekable(self) -> bool:
        return False


def _by_sndfile(path: pathlib.Path) -> list[_Decoded]:
    with _Forward(path) as file:
        first = _to_the_end(file)
        mpeg, chained = file.subtype.startswith("MPEG"), file.format in ("OGG", "FLAC")
    if mpeg:
        return [_mpeg(path.read_bytes(), first)]
    links = sound_container.links(path.read_bytes()) if chained else []
    if len(links) < 2:
        return [first]
    parts = []
    for link in links:  # as those who record a radio get them: libsndfile ends with the first
        with contextlib.suppress(soundfile.SoundFileError), _Forward(io.BytesIO(link)) as file:
            parts.append(_to_the_end(file))
    return parts


def _to_the_end(file: soundfile.SoundFile) -> _Decoded:
    promised = file.frames if file.frames < UNKNOWN else None
    blocks, got, error = [np.zeros((0, file.channels), np.float32)], 0, ""
    try:
        # Not beyond what is promised: what follows a FLAC, a tag, is an error to its decoder.
        while len(block := file.read(min(BLOCK, file.frames - got), dtype="float32", always_2d=True)):
            blocks.append(block)
            got += len(block)
    except soundfile.SoundFileError as caught:
        error = str(caught).strip() or "the decoder gave up"
    return _Decoded(np.concatenate(blocks), file.samplerate, promised, error)


def _mpeg(data: bytes, first: _Decoded) -> _Decoded:
    """MP3, whose length stands in a first frame of its own ("Xing"), or nowhere, or there for the first of two files.

    libsndfile takes a file without it for as long as the first frame's bit rate lets it be; of a pipe it does not know
    the size, and reads to the end.
    """
    data = sound_container.mpeg_frames(data)
    try:
        with _piped(data) as file:
            found = _to_the_end(file)
    except soundfile.SoundFileError:
        return dataclasses.replace(first, promised=None)
    if found.promised is None or not (blank := sound_container.without_length(data)):
        return found
    with _piped(blank) as file:  # there is more of it than the first frame says
        whole = _to_the_end(file)
    more = len(whole.samples) - len(found.samples)
    return dataclasses.replace(whole, samples=whole.samples[BLOCK:]) if more > 4 * BLOCK else found


@contextlib.contextmanager
def _piped(data: bytes) -> Iterator[soundfile.SoundFile]:
    """Bytes opened as a stream of unknown length."""
    source, sink = os.pipe()

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(sink, "wb") as stream:
            stream.write(data)

    writer = threading.Thread(target=feed, daemon=True)
    writer.start()
    try:
        with _Forward(source, closefd=False) as file:
            yield file
    finally:
        os.close(source)  # the writer ends, had it more to say
        writer.join()


# -- FFmpeg ------------------------------------------------------------------------------------------------------------


def _by_ffmpeg(path: pathlib.Path) -> _Decoded:
    """The sound track that a player plays, or another where that one is silent; raises Unusable where there is none."""
    with container.open_file(path) as file:
        tracks = [stream.index for stream in container.sound_tracks(file)]
    found: list[_Decoded] = []
    for number in tracks:
        found.append(_track(path, number))
        if np.abs(found[-1].samples).max(initial=0) > media.SILENCE / 32_767:
            return found[-1]
    if not found:
        raise media.Unusable("no sound", "the file has no audio stream that can be decoded")
    return max(found, key=lambda track: len(track.samples))


def _track(path: pathlib.Path, number: int) -> _Decoded:
    """All of one stream; a damaged packet leaves no gap, but is told."""
    av = media.require_av()
    blocks: list[Samples] = []
    errors: list[str] = []
    with container.open_file(path) as file:
        track = file.streams[number]
        rate, promised = track.rate, _promised(file, track)
        # Channels as they are in the first frame, should a stream change amid itself.
        resampler = av.AudioResampler(format="fltp", layout=track.layout.name, rate=rate)
        try:
            for packet in file.demux(track):
                try:
                    frames = packet.decode()
                except av.FFmpegError as caught:
                    errors.append(caught.strerror)
                    continue
                blocks.extend(piece.to_ndarray().T for frame in frames for piece in resampler.resample(frame))
        except (av.FFmpegError, OSError) as caught:
            errors.append(getattr(caught, "strerror", None) or str(caught))
        if blocks:
            blocks.extend(piece.to_ndarray().T for piece in resampler.resample(None))
    if errors and not blocks:
        raise media.Unusable("unreadable", errors[0])
    samples = np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)
    if promised is not None and promised - len(samples) < rate * SLACK:
        promised = None
    return _Decoded(samples, rate, promised, errors[0] if errors else "")


def _promised(file: Any, track: Any) -> int | None:
    """Samples that the header of a container promises, None where it has no number or a guess by the bit rate."""
    if file.format.name not in ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf"):
        return None
    if track.duration:
        return round(track.duration * track.time_base * track.rate)
    return round((file.duration or 0) / 1e6 * track.rate) if len(file.streams) == 1 else None
