"""Decoding and resampling of sound and videos to the glossary's forms. NumPy in and out."""

from __future__ import annotations

import bisect
import dataclasses
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmjax.data.files.faults import Unusable as Unusable
from mmjax.data.files.pictures import Picture as Picture
from mmjax.data.files.pictures import decode as decode
from mmjax.data.files.pictures import encode as encode
from mmjax.errors import UserError

SAMPLE_RATE = 22_050
SILENCE = 32  # peak of int16 sound, -60 dB of full scale: below it a recording holds nothing but its noise floor

Sound = npt.NDArray[np.int16]


@dataclasses.dataclass(frozen=True)
class Cut:
    """How a video is cut: clip length and least length in seconds, pictures per clip, their size in pixels."""

    seconds: float = 6.0
    frames: int = 1
    size: int = 224
    min_seconds: float = 1.0


@dataclasses.dataclass(frozen=True)
class Clip:
    """One stretch of a video: JPEG pictures evenly spaced, mono int16 sound at 22,050 Hz, start in seconds."""

    frames: tuple[bytes, ...]
    waveform: Sound
    start: float


def to_int16_mono(samples: npt.NDArray[Any], rate: int, full_scale: float | None = None) -> Sound:
    """Converts PCM or floating-point sound to mono int16 at 22,050 Hz.

    Args:
      samples: [time] or [time channels]; floats have full scale 1, integers that of int16 (or of their own narrower or
        int32 type) unless `full_scale` says otherwise.
      rate: of `samples`, in Hz.
      full_scale: the value of the loudest possible sample.
    """
    if full_scale is None:
        full_scale = _full_scale(samples.dtype)
    sound = np.asarray(samples, np.float64) / full_scale
    if sound.ndim == 2:
        sound = to_mono(sound)
    if rate != SAMPLE_RATE and sound.size:
        import scipy.signal  # a second to load, for those who only look at pictures

        common = math.gcd(rate, SAMPLE_RATE)
        sound = scipy.signal.resample_poly(sound, SAMPLE_RATE // common, rate // common)
    return np.round(np.clip(sound, -1, 1) * 32_767).astype(np.int16)


def to_mono(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of all channels: [time channels] -> [time], of sound files and videos alike, surround sound too.

    It needs no layout, which libsndfile does not tell, is what librosa and torchaudio give, and never clips. (FFmpeg's
    own matrix would give the centre of 5.1 twice the weight of a surround channel, and leave the bass channel out.)
    """
    return samples.mean(axis=1)


def _full_scale(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "f":
        return 1.0
    return 2.0**31 if dtype == np.int32 else 2.0**7 if dtype == np.int8 else 2.0**15  # int64 holds 16-bit PCM in TFDS


def require_av() -> Any:
    """PyAV, or UserError naming the extra that brings it."""
    try:
        import av
    except ImportError as error:
        raise UserError("reading videos needs the extra `video`: pip install 'mmjax[video]'") from error
    return av


def clips(path: pathlib.Path, cut: Cut) -> tuple[Iterator[Clip], str]:
    """Cuts a video with sound into consecutive clips.

    The sound is decoded at once (159 MB an hour); pictures are decoded clip by clip as the iterator is driven. Both are
    placed by their time stamps; time 0 is the first picture. The last clip keeps its true length when that is at least
    `cut.min_seconds` and is dropped otherwise.

    Returns:
      The iterator over clips, and a remark ("" or what is missing of a truncated file).

    Raises:
      Unusable: of kind "unreadable", "no picture", "no sound", "silent" or "too short".
    """
    av = require_av()
    try:
        with av.open(str(path)) as container:
            track = _scan(container)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Unusable("unreadable", getattr(error, "strerror", None) or str(error)) from error
    length = min(track.picture_end, len(track.sound) / SAMPLE_RATE)
    if length < min(cut.min_seconds, cut.seconds) - 1e-3:
        raise Unusable("too short", f"{length:.2f} s of {cut.min_seconds:g} s")
    if np.abs(track.sound[: round(length * SAMPLE_RATE)].astype(np.int32)).max(initial=0) <= SILENCE:
        raise Unusable("silent", f"no sample above {SILENCE} of 32,767")
    missing = track.declared - length
    remark = f"truncated: {length:.1f} s of {track.declared:.1f} s are there" if missing > 1 else ""
    return _cut(path, track, _spans(length, cut), cut), remark


def _spans(length: float, cut: Cut) -> list[tuple[float, float]]:
    """Start and end of each clip in seconds."""
    whole = int((length + 1e-3) // cut.seconds)
    spans = [(index * cut.seconds, (index + 1) * cut.seconds) for index in range(whole)]
    if length - whole * cut.seconds >= cut.min_seconds - 1e-3:
        spans.append((whole * cut.seconds, length))
    return spans


def _cut(path: pathlib.Path, track: _Track, spans: list[tuple[float, float]], cut: Cut) -> Iterator[Clip]:
    av = require_av()
    times = [start + (end - start) * (i + 0.5) / cut.frames for start, end in spans for i in range(cut.frames)]
    with av.open(str(path)) as container:
        pictures = _pictures(container, times, track, cut.size)
        for start, end in spans:
            jpegs = tuple(encode(Image.fromarray(next(pictures)), "jpeg") for _ in range(cut.frames))
            first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
            yield Clip(jpegs, track.sound[first:last], start)


@dataclasses.dataclass
class _Track:
    """What one pass over a file's packets tells: its sound from the first picture on, and where pictures start.

    Attributes:
      sound: mono int16 at 22,050 Hz.
      origin: the file's time of the first picture, in seconds.
      picture_end: end of the last picture, in seconds from the origin.
      keys: (time from the origin, time stamp) of each key frame, ascending.
      declared: the length in seconds that the file's header claims.
    """

    sound: Sound
    origin: float
    picture_end: float
    keys: list[tuple[float, int]]
    declared: float


def _scan(container: Any) -> _Track:
    """Reads all packets once, decoding the sound only."""
    av = require_av()
    video = next((s for s in container.streams.video if not _is_cover(s)), None)
    if video is None:
        raise Unusable("no picture", "the file has no video stream")
    if not container.streams.audio:
        raise Unusable("no sound", "the file has no audio stream")
    sound, stamps, ends, keys = _SoundTrack(), [], [], []
    try:
        for packet in container.demux(video, container.streams.audio[0]):
            stamp = packet.pts if packet.pts is not None else packet.dts  # AVI has decoding times only
            if packet.stream.index != video.index:
                sound.decode(packet)
            elif stamp is not None:
                stamps.append(stamp)
                ends.append(stamp + (packet.duration or 0))
                keys.extend([stamp] if packet.is_keyframe else [])
    except (av.FFmpegError, OSError):
        pass  # a truncated file: what was read before its end is used
    if not stamps or not keys:
        raise Unusable("unreadable", "no picture could be read")
    origin = float(min(stamps) * video.time_base)
    waveform = sound.from_time(origin)
    if not len(waveform):
        raise Unusable("unreadable", "no sound could be decoded")
    times = [(float(key * video.time_base) - origin, key) for key in sorted(keys)]
    declared = (container.duration or 0) / 1e6
    return _Track(waveform, origin, float(max(ends) * video.time_base) - origin, times, declared)


def _is_cover(stream: Any) -> bool:
    """Whether a video stream is the cover picture of an audio file."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


class _SoundTrack:
    """Collects decoded audio frames as one mono waveform, filling gaps between their time stamps with silence."""

    TOLERANCE = 0.05  # seconds; containers round time stamps to as much as some milliseconds

    def __init__(self) -> None:
        self._chunks: list[Sound] = []
        self._start: float | None = None
        self._seconds = 0.0  # of input so far, as the resampler holds some of it back
        self._resampler: Any = None
        self._format: tuple[Any, ...] = ()

    def decode(self, packet: Any) -> None:
        """Decodes one packet; a damaged one leaves a gap."""
        av = require_av()
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return
        for frame in frames:
            self._add(frame)

    def _add(self, frame: Any) -> None:
        if self._start is None:
            self._start = float(frame.time or 0)
        gap = float(frame.time or 0) - self._start - self._seconds if frame.pts is not None else 0.0
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._format or gap > self.TOLERANCE:
            self._flush()
            self._resampler = require_av().AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            self._format = kind
        if gap > self.TOLERANCE:
            self._chunks.append(np.zeros(round(gap * SAMPLE_RATE), np.int16))
            self._seconds += gap
        self._seconds += frame.samples / frame.sample_rate
        self._chunks.extend(piece.to_ndarray()[0] for piece in self._resampler.resample(frame))

    def _flush(self) -> None:
        if self._resampler is not None:
            self._chunks.extend(piece.to_ndarray()[0] for piece in self._resampler.resample(None))
            self._resampler = None

    def from_time(self, origin: float) -> Sound:
        """The waveform from `origin` on, in the file's time: cut or led in by silence."""
        self._flush()
        sound = np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int16)
        np.maximum(sound, -32_767, out=sound)  # the glossary's full scale is symmetric
        lead = round(((self._start or 0.0) - origin) * SAMPLE_RATE)
        if not len(sound) or lead == 0:
            return sound
        return sound[-lead:] if lead < 0 else np.concatenate([np.zeros(lead, np.int16), sound])


def _pictures(container: Any, times: list[float], track: _Track, size: int) -> Iterator[Picture]:
    """The picture on display at each of the ascending times: seeks to the key frame before, then decodes forward."""
    stream = next(s for s in container.streams.video if not _is_cover(s))
    decoded: Iterator[Any] = iter(())
    shown, ahead, ahead_time = None, None, -math.inf
    for time in times:
        key_time, key = track.keys[max(0, bisect.bisect_right(track.keys, (time, math.inf)) - 1)]
        if ahead is None or key_time > ahead_time:  # nothing decoded yet, or a shorter way
            container.seek(key, stream=stream)
            decoded, shown = _decode(container, stream), None
            ahead = next(decoded, None)
        while ahead is not None:
            ahead_time = float(ahead.time or 0) - track.origin
            if ahead_time > time + 1e-6:
                break
            shown, ahead = ahead, next(decoded, None)
        if shown is None and ahead is None:
            raise Unusable("unreadable", f"no picture could be decoded at {time:.1f} s")
        yield _rgb(shown if shown is not None else ahead, float(stream.sample_aspect_ratio or 1), size)


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames from the current position on; damaged packets are passed over."""
    av = require_av()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            frames = packet.decode() if packet is not None else []
        except av.FFmpegError:
            continue
        except (OSError, EOFError):
            return
        if packet is None:
            return
        yield from frames


def _rgb(frame: Any, aspect: float, size: int) -> Picture:
    """A decoded frame, its pixels `aspect` wide for 1 high, as upright RGB: short side `size`, centre cropped."""
    width, height = frame.width * aspect, frame.height
    scale = size / min(width, height)
    wide, high = max(size, round(width * scale)), max(size, round(height * scale))
    picture = frame.reformat(width=wide, height=high, format="rgb24", interpolation="BICUBIC").to_ndarray()
    left, top = (wide - size) // 2, (high - size) // 2
    picture = picture[top : top + size, left : left + size]
    # A phone held upright writes a turned picture and the angle by which to turn it back.
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
