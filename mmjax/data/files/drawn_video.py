"""Heat maps drawn on a video over time, its sound kept: the work of a child process, in a module that imports quickly.

Pictures are decoded, drawn on and encoded one by one, so that a long video takes no more memory than a short one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmjax.data.files import container, media, upright
from mmjax.data.files.faults import Fault

SUFFIXES = (".mp4", ".mov", ".mkv")
KEPT = (
    "aac",
    "mp3",
    "ac3",
    "eac3",
    "alac",
    "opus",
    "flac",
)  # what all of these hold; other sound is coded anew, as AAC
ENCODERS = ("libx264", "mpeg4")  # the second where FFmpeg was built without the first
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
GAP = 0.1  # seconds without samples that are kept as a gap
STRONGEST = 0.65  # share of the colour where the map is highest
# Dark violet, red, orange, pale yellow: brighter where it is higher, also to those who see no colours.
STOPS = np.array([[20, 11, 52], [132, 32, 107], [229, 92, 48], [246, 215, 70], [252, 255, 164]], np.float64)


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What is drawn on a video.

    Attributes:
      source, target: files.
      times: seconds [n] from the first picture that each map is of, ascending; between them maps fade into each other.
      maps: float32 [n h w] over the upright picture.
      low, high: values that are clear, and that are of the strongest colour.
      whole: whether maps are over the whole picture, and not over the square in its middle.
    """

    source: str
    target: str
    times: npt.NDArray[np.float64]
    maps: npt.NDArray[np.float32]
    low: float
    high: float
    whole: bool = False


def draw(drawing: Drawing) -> str | Fault:
    """Writes the target, whole or not at all. Returns "", what is missing of a damaged video, or why there is none."""
    target = pathlib.Path(drawing.target)
    part = target.with_name(f".{target.stem}.part{target.suffix}")  # hidden, and of the suffix that names its kind
    try:
        remark = _write(drawing, part)
        os.replace(part, target)
        return remark
    except media.Unusable as error:
        return Fault(drawing.source, error.kind, error.detail)
    except (media.require_av().FFmpegError, OSError) as error:
        return Fault(drawing.target, "not written", getattr(error, "strerror", None) or str(error))
    finally:
        part.unlink(missing_ok=True)


def _write(drawing: Drawing, part: pathlib.Path) -> str:
    av = media.require_av()
    with container.open_file(pathlib.Path(drawing.source)) as file, av.open(str(part), "w") as out:
        track: Any = container.picture_track(file)
        if track is None or track.codec_context is None:
            raise media.Unusable("no picture", "the file has no video stream that can be decoded")
        sounds = container.sound_tracks(file, track)[:1]
        aspect, rate = float(track.sample_aspect_ratio or 1), track.average_rate or 25
        sound = _Sound(out, sounds[0]) if sounds else None
        pictures: _Pictures | None = None
        broken, first, shown = [""], None, 0
        early: list[Any] = []  # sound from before the first picture, without which the target's head cannot be written
        for packet in _packets(file, broken, track, *sounds):
            if sound is not None and packet.stream.index == sounds[0].index:
                early.append(packet)
                while pictures is not None and early:
                    sound.add(early.pop(0), first or 0.0)
                continue
            for frame in _decoded(packet):
                stamp = float(frame.time) if frame.time is not None else shown / float(rate)
                first = stamp if first is None else first
                picture = _over(_whole(frame, aspect), _map_at(drawing, stamp - first), drawing.whole)
                if pictures is None:
                    pictures = _Pictures(out, rate, picture.shape)
                pictures.add(picture, stamp - first)  # the target begins with its first picture
                shown += 1
        if pictures is None:
            raise media.Unusable("unreadable", "no picture could be decoded")
        pictures.end()
        if sound is not None:
            for packet in early:
                sound.add(packet, first or 0.0)
            sound.end()
    return broken[0]


class _Pictures:
    """The drawn pictures of a file, coded as they come."""

    TICKS = 90_000  # of a second: a whole number of them for all usual rates

    def __init__(self, out: Any, rate: Any, shape: tuple[int, ...]):
        av = media.require_av()
        encoder = next(name for name in ENCODERS if name in av.codecs_available)
        self._out, self._stream, self._last = out, out.add_stream(encoder, rate=rate), -1
        self._shape = shape
        self._stream.width, self._stream.height, self._stream.pix_fmt = shape[1], shape[0], "yuv420p"
        self._stream.options = {"crf": "20", "preset": "veryfast"} if encoder == "libx264" else {"qscale": "3"}
        self._stream.codec_context.time_base = Fraction(1, self.TICKS)

    def add(self, picture: np.ndarray, seconds: float) -> None:
        if picture.shape != self._shape:  # a broadcast that changes its size on the way
            picture = np.asarray(Image.fromarray(picture).resize((self._shape[1], self._shape[0])))
        frame = media.require_av().VideoFrame.from_ndarray(picture, format="rgb24")
        self._last = frame.pts = max(round(seconds * self.TICKS), self._last + 1)
        frame.time_base = Fraction(1, self.TICKS)
        self._out.mux(self._stream.encode(frame))

    def end(self) -> None:
        self._out.mux(self._stream.encode(None))


class _Sound:
    """The sound of a file as it is, or as AAC where the target cannot hold it."""

    def __init__(self, out: Any, stream: Any):
        # By its canonical name: a decoder is called "mp3float", too.
        self._out, self._coded = out, stream.codec_context.codec.canonical_name not in KEPT
        if self._coded:
            # PCM files count channels and do not name them, and AAC knows some layouts only.
            rate, layout = stream.codec_context.sample_rate, LAYOUTS.get(stream.codec_context.channels, "stereo")
            self._stream = out.add_stream("aac", rate=rate, layout=layout)
            self._resampler = media.require_av().AudioResampler("fltp", layout, rate)
            self._rate, self._next = rate, -1  # the next sample's number, -1 before the first
        else:
            self._stream = out.add_stream_from_template(stream)

    def add(self, packet: Any, begin: float) -> None:
        """One more packet of a file whose first picture is shown at `begin`, in seconds."""
        if self._coded:
            for frame in _decoded(packet):
                for ready in self._resampler.resample(frame):
                    self._encode(ready, (frame.time or 0.0) - begin)
        elif packet.size and packet.dts is not None:
            shift = round(begin / float(packet.time_base))
            packet.dts, packet.pts = packet.dts - shift, (packet.dts if packet.pts is None else packet.pts) - shift
            packet.stream = self._stream
            self._out.mux(packet)

    def _encode(self, frame: Any, seconds: float) -> None:
        """Samples follow each other: stamps of whole milliseconds, as Matroska's, would step back among them."""
        at = max(round(seconds * self._rate), 0)
        behind = self._next < 0 or at > self._next + GAP * self._rate
        frame.pts = at if behind else self._next
        frame.time_base = Fraction(1, self._rate)
        self._next = frame.pts + frame.samples
        self._out.mux(self._stream.encode(frame))

    def end(self) -> None:
        if self._coded:
            self._out.mux(self._stream.encode(None))


def _packets(file: Any, broken: list[str], *streams: Any) -> Iterator[Any]:
    """Packets up to the end, or to an error, which `broken` then tells."""
    try:
        yield from container.packets(file, *streams)
    except (media.require_av().FFmpegError, IndexError) as error:  # IndexError: PyAV, amid a damaged file
        broken[0] = f"truncated: {error}"


def _decoded(packet: Any) -> list[Any]:
    with contextlib.suppress(media.require_av().FFmpegError):  # a damaged packet gives no frame
        return list(packet.decode())
    return []


def _whole(frame: Any, aspect: float) -> np.ndarray:
    """The upright picture, of even sides, which coders of colour at half the size want."""
    wide, high = max(2, round(frame.width * aspect / 2) * 2), max(2, round(frame.height / 2) * 2)
    picture = frame.reformat(width=wide, height=high, format="rgb24").to_ndarray()
    return np.ascontiguousarray(upright.turned(picture, upright.matrix_of(frame)))


def _map_at(drawing: Drawing, seconds: float) -> np.ndarray:
    """The map at a time as shares of the strongest colour, uint8 [h w]."""
    place = float(np.interp(seconds, drawing.times, np.arange(len(drawing.times))))
    before, part = int(place), place - int(place)
    after = min(before + 1, len(drawing.maps) - 1)
    values = (1 - part) * drawing.maps[before] + part * drawing.maps[after]
    share = (values - drawing.low) / max(drawing.high - drawing.low, 1e-9)
    return np.rint(np.clip(np.nan_to_num(share), 0, 1) * 255).astype(np.uint8)


def _table() -> tuple[np.ndarray, np.ndarray]:
    """For each share of 0..255, colour times its weight [256 3], and the weight that is left to the picture [256 1]."""
    share = np.arange(256) / 255
    colour = np.stack([np.interp(share, np.linspace(0, 1, len(STOPS)), STOPS[:, k]) for k in range(3)], 1)
    weight = STRONGEST * share[:, None]
    return np.rint(256 * weight * colour).astype(np.uint32), np.rint(256 * (1 - weight)).astype(np.uint32)


COLOURS, LEFT = _table()


def _over(picture: np.ndarray, share: np.ndarray, whole: bool) -> np.ndarray:
    """The picture with a map over all of it, or over the square in its middle."""
    high, wide = picture.shape[:2] if whole else (min(picture.shape[:2]),) * 2
    top, left = (picture.shape[0] - high) // 2, (picture.shape[1] - wide) // 2
    grown = np.asarray(Image.fromarray(share).resize((wide, high), Image.Resampling.BILINEAR))
    place = np.s_[top : top + high, left : left + wide]
    drawn = picture.copy()
    drawn[place] = np.minimum((picture[place] * LEFT[grown] + COLOURS[grown]) >> 8, 255).astype(np.uint8)
    return drawn


def write(target: pathlib.Path, pictures: np.ndarray, rate: int, sound: np.ndarray | None, sample_rate: int) -> None:
    """A video of pictures uint8 [f h w 3] at a rate, with mono sound int16 or float32 [time] if there is any."""
    av = media.require_av()
    with av.open(str(target), "w") as out:
        stream = None if sound is None else out.add_stream("aac", rate=sample_rate, layout="mono")
        even = pictures[:, : pictures.shape[1] // 2 * 2, : pictures.shape[2] // 2 * 2]
        film = _Pictures(out, rate, even.shape[1:])
        for number, picture in enumerate(even):
            film.add(np.ascontiguousarray(picture), number / rate)
        film.end()
        if stream is not None and sound is not None:
            wave = sound.astype(np.float32) / (32_768 if sound.dtype == np.int16 else 1)
            frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
