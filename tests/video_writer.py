"""Writes short videos: a sine for sound, the frame's number painted as bars of bits."""

import os
import signal
import struct
from fractions import Fraction

import numpy as np

RATE, SIDE = 10, 64  # pictures a second, and their pixels


def numbered(number):
    """A picture whose eight bars are the bits of `number`."""
    bits = [(number >> bit) & 1 for bit in range(8)]
    return np.repeat(np.repeat(np.uint8(bits) * 255, SIDE // 8)[None, :, None], SIDE, 0).repeat(3, 2)


def number_of(picture):
    bars = picture.reshape(picture.shape[0], 8, -1, 3).mean((0, 2, 3)) > 127
    return int((bars * 2 ** np.arange(8)).sum())


def write_video(
    path,
    seconds=3.0,
    hertz=440.0,
    amplitude=0.5,
    sound=True,
    codec="libx264",
    voice="aac",
    late=0.0,
    rate=44_100,
    reordered=None,
):
    """`late` seconds pass before the sound begins; a key frame every 12 pictures, `reordered` B-frames in a row."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width = video.height = SIDE
        video.pix_fmt, video.gop_size, video.bit_rate = "yuvj420p" if codec == "mjpeg" else "yuv420p", 12, 400_000
        if reordered is not None:
            video.max_b_frames = reordered
        stereo = container.add_stream(voice, rate=rate, layout="stereo") if sound else None
        for index in range(round(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if stereo is not None:
            times = np.arange(round((seconds - late) * rate)) / rate
            wave = np.round(amplitude * 32_767 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, round(late * rate), Fraction(1, rate)
            container.mux(stereo.encode(frame))
            container.mux(stereo.encode(None))
    return path


def peak_frequency(waveform, rate):
    """In Hz."""
    power = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return np.argmax(power) * rate / len(waveform)


def box(kind, *content):
    """A box of an ISO media file (mp4, mov)."""
    content = b"".join(content)
    return struct.pack(">I", 8 + len(content)) + kind + content


def boxes(data):
    """The (kind, content) of each box at the top level of `data`."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + length]
        at += length


def edit(path, **edits):
    """Gives tracks of an mp4 other edit lists: {"vide" or "soun": [(seconds, from which second, -1 for nothing)]}."""

    def track(content):
        parts = list(boxes(content))
        media = dict(boxes(dict(parts)[b"mdia"]))
        (unit,) = struct.unpack(">I", media[b"mdhd"][12:16])
        rows = edits[media[b"hdlr"][8:12].decode()]
        rows = [(round(seconds * 1000), round(start * unit) if start >= 0 else -1, 1 << 16) for seconds, start in rows]
        packed = (struct.pack(">IiI", *row) for row in rows)
        edts = box(b"edts", box(b"elst", struct.pack(">II", 0, len(rows)), *packed))
        kept = [(kind, body) for kind, body in parts if kind != b"edts"]
        return b"".join(box(kind, body) + (edts if kind == b"tkhd" else b"") for kind, body in kept)

    *top, (last, movie) = boxes(path.read_bytes())
    assert last == b"moov"  # at the end, where it may grow without moving what it points to
    movie = b"".join(box(kind, track(body) if kind == b"trak" else body) for kind, body in boxes(movie))
    path.write_bytes(b"".join(box(*part) for part in top) + box(b"moov", movie))
    return path


def copy(source, path, start=0.0, tracks=None):
    """Puts packets into another container without coding them anew, from the key frame before `start` on.

    As `ffmpeg -ss start -c copy`: what comes before `start` is there, for an edit list to leave out. `tracks` are those
    of `source` in the order wanted, the last one of them the default.
    """
    import av

    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        tracks = [old.streams[number] for number in tracks] if tracks else list(old.streams)
        copies = {stream: new.add_stream_from_template(stream) for stream in tracks}
        for stream in tracks:
            if stream.type == "audio":
                copies[stream].disposition = av.stream.Disposition.default if stream is tracks[-1] else 0
        packets = [packet for packet in old.demux(*tracks) if packet.dts is not None]
        keys = [p.pts * p.time_base for p in packets if p.stream.type == "video" and p.is_keyframe]
        key = max(time for time in keys if time <= start)
        for packet in packets:
            if packet.pts * packet.time_base >= (key if packet.stream.type == "video" else start - 1e-9):
                shift = round(start / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = copies[packet.stream]
                new.mux(packet)
    return path


def write_or_die(folder, cut, spool, path):
    """In place of clip_spool.write, in a child: v2.mp4 ends it amid its clips, as a fault of the decoder would."""
    from mmjax.data.files import clip_spool

    if path.endswith("v2.mp4"):
        clip_spool.file_of(spool, path).write_bytes(b"a part of a clip")
        os.kill(os.getpid(), signal.SIGKILL)
    return clip_spool.write(folder, cut, spool, path)
