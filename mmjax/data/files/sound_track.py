"""The decoded sound of one track, on the clock of its time stamps."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from mmjax.data.files import media

RATE = media.SAMPLE_RATE
# Sound off its time stamps by less is left alone: containers round them to as much as some milliseconds. A clock that
# is fast or slow is followed by resampling: by 1 % at 10 ms, and 2 % at most, a third of a semitone.
TOLERANCE, BEND = 0.005, 0.02
JUMP = 0.045  # seconds off, where bending is not enough: the sound goes on at its time stamp
FADE = 110  # samples, 5 ms: from one piece to the next that begins before its end


@dataclasses.dataclass
class _Piece:
    """Sound without a jump: its start in seconds, its form, samples in and out, and what resamples it."""

    start: float
    form: tuple[str, int, int]
    graph: Any
    taken: int = 0
    given: int = 0
    chunks: list[media.Sound] = dataclasses.field(default_factory=list)

    def seconds(self) -> float:
        return self.given / RATE

    def pull(self) -> None:
        av = media.require_av()
        while True:
            try:
                chunk = self.graph.pull().to_ndarray()[0]
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            self.chunks.append(chunk)
            self.given += len(chunk)


class SoundTrack:
    """Collects decoded frames as one mono waveform in which each sound stands at its time stamp, to 50 ms.

    Attributes:
      promised: the end of the last packet in seconds, whether it could be decoded or not.
    """

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self.promised = -np.inf

    def decode(self, packet: Any) -> None:
        """Decodes one packet, or flushes the decoder by an empty one; a damaged packet leaves a gap."""
        if packet.pts is not None and not packet.is_discard:
            self.promised = max(self.promised, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        try:
            for frame in packet.decode():
                self._add(frame)
        except (media.require_av().FFmpegError, ValueError):  # ValueError: a form of samples that PyAV does not know
            return

    def _add(self, frame: Any) -> None:
        form = (frame.format.name, frame.layout.nb_channels, frame.sample_rate)
        piece = self._pieces[-1] if self._pieces else None
        time = frame.time
        if time is None:
            time = piece.start + piece.taken / piece.form[2] if piece is not None else 0.0
        if piece is None or form != piece.form or abs(time - piece.start - piece.seconds()) > JUMP:
            self._finish()
            piece = _Piece(time, form, _resampler(frame.sample_rate))
            self._pieces.append(piece)
        mono = media.require_av().AudioFrame.from_ndarray(_mono(frame)[None], format="flt", layout="mono")
        mono.sample_rate, mono.time_base = frame.sample_rate, Fraction(1, frame.sample_rate)
        mono.pts = round((time - piece.start) * frame.sample_rate)
        piece.graph.push(mono)
        piece.taken += frame.samples
        piece.pull()

    def _finish(self) -> None:
        if self._pieces and self._pieces[-1].graph is not None:
            piece = self._pieces[-1]
            piece.graph.push(None)
            piece.pull()
            piece.graph = None

    def end(self) -> float:
        """When the sound ends, in the file's time in seconds; minus infinity where there is none."""
        self._finish()
        return max((piece.start + piece.seconds() for piece in self._pieces if piece.given), default=-np.inf)

    def crowded(self) -> tuple[float, float]:
        """Seconds of sound that were decoded, and seconds for which its time stamps leave room."""
        self._finish()
        room, until = 0.0, -np.inf
        for start, seconds in sorted((piece.start, piece.seconds()) for piece in self._pieces):
            room += max(0.0, start + seconds - max(start, until))
            until = max(until, start + seconds)
        return sum(piece.seconds() for piece in self._pieces), room

    def between(self, start: float, end: float) -> media.Sound:
        """The waveform from `start` to `end` or its own end in the file's time: gaps and a late start are silence."""
        waveform = np.zeros(round(max(0.0, min(end, self.end()) - start) * RATE), np.int16)
        filled = 0
        for piece in self._pieces:
            at = round((piece.start - start) * RATE)
            sound = np.concatenate([np.zeros(0, np.int16), *piece.chunks])[max(0, -at) :]
            at = max(0, at)
            sound = sound[: max(0, len(waveform) - at)]
            fade = max(0, min(filled - at, len(sound), FADE))
            if fade:
                weight = np.linspace(0, 1, fade + 2)[1:-1]
                blend = weight * sound[:fade] + (1 - weight) * waveform[at : at + fade]
                sound = np.concatenate([np.round(blend).astype(np.int16), sound[fade:]])
            waveform[at : at + len(sound)] = sound
            filled = at + len(sound)
        return np.maximum(waveform, -32_767)  # the glossary's full scale is symmetric


def _resampler(rate: int) -> Any:
    av = media.require_av()
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate))
    # A hard compensation would cut without a fade: what it is for begins a new piece.
    follow = f"min_comp={TOLERANCE}:max_soft_comp={BEND}:comp_duration=1:min_hard_comp=1000"
    resample = graph.add("aresample", f"{RATE}:out_sample_fmt=s16:{follow}")
    graph.link_nodes(source, resample, graph.add("abuffersink")).configure()
    return graph


def _mono(frame: Any) -> npt.NDArray[np.float32]:
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.int16) - 128) * 256
    scale = 1.0 if samples.dtype.kind == "f" else 2.0 ** (8 * samples.dtype.itemsize - 1)
    return (media.to_mono(samples.astype(np.float64)) / scale).astype(np.float32)
