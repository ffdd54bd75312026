"""Videos with sound, cut into clips of pictures and their waveform: what a player shows and plays at each time."""

from __future__ import annotations

import bisect
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from mmjax.data.files import container as containers
from mmjax.data.files import media, packets, pictures, upright
from mmjax.data.files.sound_track import SoundTrack

MISSING = 1.0  # seconds: the least that makes a file a truncated one
CROWDED = 0.25  # of the sound: more than joined recordings overlap by; such time stamps are no clock


@dataclasses.dataclass(frozen=True)
class Cut:
    """How a video is cut: clip length and least length in seconds, pictures per clip, their size in pixels.

    `fit` is how they become square, "crop" or "squash"; "whole" ones do not, and `size` is that of their long side.
    """

    seconds: float = 6.0
    frames: int = 1
    size: int = 224
    min_seconds: float = 1.0
    fit: str = "crop"


@dataclasses.dataclass(frozen=True)
class Clip:
    """One stretch of a video: JPEG pictures evenly spaced, mono int16 sound at 22,050 Hz, start in seconds."""

    frames: tuple[bytes, ...]
    waveform: media.Sound
    start: float


def clips(path: pathlib.Path, cut: Cut) -> tuple[Iterator[Clip], str]:
    """Cuts a video with sound into consecutive clips.

    The sound is decoded at once (159 MB an hour); pictures are decoded clip by clip as the iterator is driven. Both are
    placed by their time stamps; time 0 is the first picture that a player shows, edit lists heeded. The sound is that
    of the default track; another one stands in where it is empty, silent or cannot be decoded. The last clip keeps its
    true length when that is at least `cut.min_seconds` and is dropped otherwise.

    Returns:
      The iterator over clips, and a remark ("" or what is missing of a truncated file).

    Raises:
      Unusable: of kind "unreadable", "no picture", "no sound", "silent", "sound out of time" or "too short".
    """
    reel = _scan(path)
    sound, length = _sound(path, reel)
    if length < min(cut.min_seconds, cut.seconds) - 1e-3:
        raise media.Unusable("too short", f"{length:.2f} s of {cut.min_seconds:g} s")
    decoded, room = reel.sound.crowded()
    if decoded - room > max(MISSING, CROWDED * decoded):
        told = f"its time stamps leave {room:.1f} s for {decoded:.1f} s of sound"
        raise media.Unusable("sound out of time", told)
    if _is_silent(sound):
        raise media.Unusable("silent", f"no sample above {media.SILENCE} of 32,767")
    return _cut(path, reel, sound, _spans(length, cut), cut), _remark(path, reel, length)


def _spans(length: float, cut: Cut) -> list[tuple[float, float]]:
    """Start and end of each clip in seconds."""
    whole = int((length + 1e-3) // cut.seconds)
    spans = [(index * cut.seconds, (index + 1) * cut.seconds) for index in range(whole)]
    if length - whole * cut.seconds >= cut.min_seconds - 1e-3:
        spans.append((whole * cut.seconds, length))
    return spans


def _cut(
    path: pathlib.Path, reel: _Reel, sound: media.Sound, spans: list[tuple[float, float]], cut: Cut
) -> Iterator[Clip]:
    shown = _Pictures(path, reel)
    try:
        for start, end in spans:
            times = (start + (end - start) * (i + 0.5) / cut.frames for i in range(cut.frames))
            turned = (upright.rgb(shown.at(time), reel.aspect, cut.size, cut.fit) for time in times)
            jpegs = tuple(pictures.encode(Image.fromarray(picture), "jpeg") for picture in turned)
            first, last = round(start * media.SAMPLE_RATE), round(end * media.SAMPLE_RATE)
            yield Clip(jpegs, sound[first:last], start)
    finally:
        shown.close()


@dataclasses.dataclass
class _Reel:
    """What one pass over a file's packets tells.

    Attributes:
      unit: seconds of a time stamp of the pictures.
      step: units from one picture to the next, where none says more.
      origin: time stamp of the first picture shown.
      shown: (time stamp, number of its packet) of each picture shown, ascending.
      keys: (number of the packet, time stamp) of each key frame, in the file's order; none where packets have no time
        stamps of their own, as those of AVI: then pictures are decoded from the start.
      end: of the last picture, in seconds from the origin.
      aspect: how wide a pixel is for 1 high.
      sounds: the sound tracks by FFmpeg's number, the one that is meant first; the first one is decoded.
      sound: of the first one.
      declared: the length in seconds that the file's header claims.
      broken: whether reading ended by an error, or amid a packet.
    """

    unit: float
    step: int
    origin: int
    shown: list[tuple[int, int]]
    keys: list[tuple[int, int]]
    end: float
    aspect: float
    sounds: list[int]
    sound: SoundTrack
    declared: float
    broken: bool

    def start(self) -> float:
        return self.origin * self.unit


def _scan(path: pathlib.Path) -> _Reel:
    """Reads all packets once, decoding the sound, and the pictures up to the first that comes out."""
    with containers.open_file(path) as file:
        video = containers.picture_track(file)
        if video is None:
            raise media.Unusable("no picture", "the file has no video stream")
        if not file.streams.audio:
            raise media.Unusable("no sound", "the file has no audio stream")
        sounds, sound = containers.sound_tracks(file, video), SoundTrack()
        if video.codec_context is None or not sounds:
            raise media.Unusable("unreadable", f"no decoder for its {'sound' if video.codec_context else 'pictures'}")
        found, first, broken = [], None, False
        for packet in (reader := packets.Reader(file, video, sounds[0])).packets():
            if packet.stream.index == sounds[0].index:
                sound.decode(packet)
                continue
            if packet.size:
                found.append(_Packet.of(packet))
            if first is None:
                first = next(iter(packets.decoded(packet)), None)
        broken = reader.broken
        if first is None:
            raise media.Unusable("unreadable", "no picture could be decoded")
        origin = packets.stamp(first, 0)
        step = round(1 / float(video.average_rate * video.time_base)) if video.average_rate else 1
        dated = all(p.is_dated for p in found)
        # Decoding times are those of showing but for a constant.
        begin = origin if dated else min(p.stamp for p in found)
        shown = [(p.stamp, i) for i, p in enumerate(found) if not p.discarded and p.stamp >= begin] or [(origin, 0)]
        end = max(stamp + (found[i].duration or step) for stamp, i in shown) - begin
        keys = [(i, p.stamp) for i, p in enumerate(found) if p.is_key] if dated else []
        return _Reel(
            unit=float(video.time_base),
            step=step,
            origin=origin,
            shown=sorted(shown),
            keys=keys,
            end=end * float(video.time_base),
            aspect=float(video.sample_aspect_ratio or 1),
            sounds=[stream.index for stream in sounds],
            sound=sound,
            declared=(file.duration or 0) / 1e6,
            broken=broken,
        )


@dataclasses.dataclass(frozen=True)
class _Packet:
    """Of a picture: its time stamp (of decoding, where it is not `is_dated`) and duration, and what it is."""

    stamp: int
    duration: int
    is_dated: bool
    is_key: bool
    discarded: bool  # by an edit list: decoded for those that follow, and never shown

    @classmethod
    def of(cls, packet: Any) -> _Packet:
        dated = packet.pts is not None
        stamp = packet.pts if dated else packet.dts if packet.dts is not None else -(1 << 62)
        return cls(stamp, packet.duration or 0, dated, packet.is_keyframe, packet.is_discard)


def _sound(path: pathlib.Path, reel: _Reel) -> tuple[media.Sound, float]:
    """The sound from the first picture on, and the length in seconds up to which there are both."""
    tracks: list[media.Sound] = []
    for number in reel.sounds:
        track = reel.sound if number == reel.sounds[0] else _decode_sound(path, number)
        tracks.append(track.between(reel.start(), reel.start() + reel.end))
        if not _is_silent(tracks[-1]):
            reel.sound = track
            break
    else:
        tracks.sort(key=len)
    if not len(tracks[-1]):
        raise media.Unusable("unreadable", "no sound could be decoded")
    return tracks[-1], min(reel.end, len(tracks[-1]) / media.SAMPLE_RATE)


def _decode_sound(path: pathlib.Path, number: int) -> SoundTrack:
    with containers.open_file(path) as file:
        track, stream = SoundTrack(), file.streams[number]
        for packet in packets.Reader(file, stream).packets():
            track.decode(packet)
    return track


def _is_silent(sound: media.Sound) -> bool:
    return int(np.abs(sound.astype(np.int32)).max(initial=0)) <= media.SILENCE


def _remark(path: pathlib.Path, reel: _Reel, length: float) -> str:
    """What is missing. A header that claims too much is no proof: bytes must be missing, or unreadable."""
    found = max(reel.end, reel.sound.end() - reel.start())
    there, missing = containers.missing(path)
    # Each as the whole length that it lets expect, beside the length that is there.
    expected = [
        (length * (1 + missing / max(1, there)), length),
        (reel.sound.promised - reel.start(), reel.sound.end() - reel.start()),
    ]
    if missing or reel.broken:
        expected.append((reel.declared, found))
    whole = max((whole for whole, part in expected if whole - part > MISSING), default=0)
    return f"truncated: {length:.1f} s of about {whole:.1f} s are there" if whole else ""


class _Pictures:
    """The pictures of a file at ascending times.

    Packets are read forward from the start, which any container allows, and only those are decoded that a picture
    needs: from the key frame before it on. Where that does not give the picture that the packets promise (a key frame
    from which a decoder cannot start), everything is decoded from the start.
    """

    def __init__(self, path: pathlib.Path, reel: _Reel):
        self._path, self._reel, self._jumps = path, reel, bool(reel.keys)
        self._open()

    def _open(self) -> None:
        self._file = containers.open_file(self._path)
        video: Any = containers.picture_track(self._file)  # there is one: _scan saw it
        sound = self._file.streams[self._reel.sounds[0]]  # both as in _scan, for the clock of joined streams
        self._video = video
        self._packets = packets.Reader(self._file, video, sound).packets()
        self._fed = 0  # packets of pictures that were read
        self._frames: list[tuple[int, Any]] = []  # decoded ones to come with their time stamps, the next one first
        self._last: tuple[int, Any] | None = None  # the latest whose time has come
        self._newest = self._reel.origin - self._reel.step
        self._over = False

    def close(self) -> None:
        self._packets = iter(())
        self._file.close()

    def at(self, time: float) -> Any:
        """The frame on display at `time`, in seconds from the first picture.

        Raises:
          Unusable: "unreadable", where nothing can be decoded there.
        """
        stamp = self._reel.origin + time / self._reel.unit + 1e-3
        promised, number = self._reel.shown[max(0, bisect.bisect_right(self._reel.shown, (stamp, 1 << 62)) - 1)]
        if self._jumps:
            self._jump(promised, number)
        found = self._forward(stamp)
        if self._jumps and (found is None or found[0] < promised):
            self.close()
            self._open()
            self._jumps = False
            found = self._forward(stamp)
        found = found or next(iter(self._frames), None)
        if found is None:
            raise media.Unusable("unreadable", f"no picture could be decoded at {time:.1f} s")
        return found[1]

    def _jump(self, promised: int, number: int) -> None:
        """Passes over what the picture of packet `number` does not need."""
        place = bisect.bisect_right(self._reel.keys, (number, 1 << 62)) - 1
        while place > 0 and self._reel.keys[place][1] > promised:  # shown before that key frame, sent after it
            place -= 1
        key = self._reel.keys[max(0, place)][0]
        if key <= self._fed:
            return
        while self._fed < key:
            packet = next(self._packets, None)
            if packet is None:
                return
            self._fed += packet.stream.index == self._video.index and packet.size > 0
        self._video.codec_context.flush_buffers()
        self._frames, self._last = [], None

    def _forward(self, stamp: float) -> tuple[int, Any] | None:
        """Decodes until a frame later than `stamp` waits; the one before it and its time stamp, or None."""
        while True:
            while self._frames and self._frames[0][0] <= stamp:
                self._last = self._frames.pop(0)
            if self._frames or self._over:
                return self._last
            packet = next(self._packets, None)
            if packet is None:
                self._over = True
            elif packet.stream.index == self._video.index:
                self._fed += packet.size > 0
                for frame in packets.decoded(packet):
                    self._newest = packets.stamp(frame, self._newest + self._reel.step)
                    self._frames.append((self._newest, frame))
