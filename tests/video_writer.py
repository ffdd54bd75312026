"""Writes short videos: a sine for sound, the frame's number painted as bars of bits."""

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
    path, seconds=3.0, hertz=440.0, amplitude=0.5, sound=True, codec="libx264", voice="aac", late=0.0, rate=44_100
):
    """`late` seconds pass before the sound begins; a key frame every 12 pictures."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width = video.height = SIDE
        video.pix_fmt, video.gop_size, video.bit_rate = "yuvj420p" if codec == "mjpeg" else "yuv420p", 12, 400_000
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
