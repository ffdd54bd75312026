#!/usr/bin/env bash
# libsndfile, python-soundfile, librosa: an MP3 of variable bit rate without a "Xing" frame is read in part, silently.
#
# An MP3 has no length of its own. Encoders put a first frame named Xing (or Info) in front, which says it; what was
# encoded into a pipe, recorded off a stream or cut from a longer file has none. All of it is valid MP3, and a decoder
# that reads on finds its end. libsndfile then takes the size of the file divided by the size of the first frame for the
# number of frames, and ends there: soundfile.read, SoundFile.read, blocks and librosa.load return the beginning of a
# file that begins louder or richer than it goes on, without an error, a warning or a short read that could be noticed,
# as the promised length and the returned one agree. In the file below 34 of 40 seconds are lost.
#   - A file that begins more quietly than it goes on is promised to be longer than it is. read and librosa.load end
#     where it ends, but soundfile.blocks goes on up to the promised length with its last block again and again, since
#     it ignores how much was read: 50 s of sound below that are in no file.
#   - soundfile.read(path, start=...) behind the false end returns nothing. librosa.load(path, offset=...) there warns
#     and takes another decoder, and so finds sound at a place that librosa.load(path) says is behind the end.
#   - A Xing frame is right, and a constant bit rate nearly so (blocks gives 0.2 s too much).
#   - The same bytes from a pipe are read to the end: their size is not known, so no length is promised.
# A scan was added to libsndfile for files of which it finds no length at all (its pull request 943); here it has one.
# Frame counts of MP3s that differ from what is read are reported as well (libsndfile's issue 1001).
#
# Who meets it: who loads data sets of MP3s with librosa or soundfile. Compare the length with a decoder that reads to
# the end, as FFmpeg (PyAV) does. Here: mmjax/data/files/sound_file.py, _mpeg.
#
# Seen on 2026-11-29 with python-soundfile 0.14.0 (its wheel has libsndfile 1.2.2), librosa 0.11.0, PyAV 18.1.0,
# numpy 2.4.6, Python 3.11, Linux x86-64. Seconds:
#   soundfile 0.14.0, libsndfile 1.2.2, librosa 0.11.0, PyAV 18.1.0
#                                     1st frame    sf.info    sf.read  sf.blocks    librosa       PyAV
#   variable, begins with noise            5.91       5.91       5.91       5.91       5.91      40.05
#   variable, begins with silence         89.76      90.19      40.05      90.19      40.05      40.05
#   variable, with a Xing frame           23.67      40.00      40.00      40.00      40.00      40.00
#   constant, begins with noise           40.05      40.23      40.05      40.23      40.05      40.05
#   the first one from a pipe, by soundfile: 40.05
#   its second from 20 s on: soundfile 0.00, librosa 1.00, which warns: True
#   of the second one, soundfile.blocks gives 50.14 s behind the end, all of it the last block again: True
#
# Exits 0 as long as it is so, and 1 if not. About a minute, nearly all of it the download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    av==18.1.0 librosa==0.11.0 soundfile==0.14.0 numpy==2.4.6 scipy==1.17.1 numba==0.68.1 llvmlite==0.50.0 \
    scikit-learn==1.9.1 joblib==1.6.0 soxr==1.1.0 audioread==3.1.0 lazy-loader==0.6 msgpack==1.2.4 pooch==1.9.0

cat >"$folder/lengths.py" <<'PYTHON'
import os
import sys
import threading
import warnings

import av
import librosa
import numpy as np
import soundfile

RATE, SECONDS = 44_100, 40
KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
VARIABLE, CONSTANT = {"flags": "+qscale", "global_quality": "472"}, {"b": "64000"}


def write(path, begins, codec, xing):
    """40 s: noise for a second and then a tone, or silence for a second and then noise."""
    noise = 0.2 * np.random.default_rng(0).normal(size=SECONDS * RATE)
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(SECONDS * RATE) / RATE)
    first, then = {"noise": (noise, tone), "silence": (0 * noise, noise)}[begins]
    samples = np.concatenate([first[:RATE], then[RATE:]])
    with av.open(path, "w", options={"write_xing": str(int(xing)), "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono", options=codec)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(stream.format.name, "mono", RATE, stream.codec_context.frame_size or None)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(piece))


def by_first_frame(path):
    """Seconds, were all frames as large as the first one."""
    with open(path, "rb") as file:
        header = file.read(4)
    assert header[0] == 0xFF and header[1] & 0xFE == 0xFA, "no frame of MPEG-1 layer III at the beginning"
    return os.path.getsize(path) * 8 / (1000 * KBITS[header[2] >> 4])


def from_pipe(path):
    """Seconds that soundfile finds in a pipe with the bytes of the file."""
    source, sink = os.pipe()

    def feed():
        with open(path, "rb") as file, os.fdopen(sink, "wb") as out:
            out.write(file.read())

    writer = threading.Thread(target=feed)
    writer.start()
    length = 0
    with soundfile.SoundFile(source) as file:
        while len(block := file.read(4096)):
            length += len(block)
    writer.join()
    return length / RATE


def decoded(path):
    with av.open(path) as container:
        return sum(frame.samples for frame in container.decode(audio=0)) / RATE


def behind(path):
    """Seconds of the one that begins at 20 s: of soundfile and of librosa, and whether librosa warns."""
    by_soundfile = len(soundfile.read(path, start=20 * RATE, stop=21 * RATE)[0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        by_librosa = len(librosa.load(path, sr=None, offset=20, duration=1)[0])
    return by_soundfile / RATE, by_librosa / RATE, any("audioread" in str(warning.message) for warning in caught)


def repeated(path):
    """Seconds that soundfile.blocks gives behind the true end, if all of them repeat what came 4096 samples before."""
    given = np.concatenate(list(soundfile.blocks(path, 4096)))
    end = len(soundfile.read(path)[0])
    return (len(given) - end) / RATE, np.array_equal(given[end:], given[end - 4096 : -4096])


def lengths(title, path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [
            by_first_frame(path),
            soundfile.info(path).duration,
            len(soundfile.read(path)[0]) / RATE,
            sum(map(len, soundfile.blocks(path, 4096))) / RATE,
            len(librosa.load(path, sr=None)[0]) / RATE,
            decoded(path),
        ]
    warned = any(issubclass(warning.category, UserWarning) for warning in caught)
    print(f"{title:32}", *(f"{seconds:10.2f}" for seconds in found), "  warned" if warned else "")
    return found, warned


def near(found, wanted, tolerance=0.15):
    return all(abs(seconds - wanted) < tolerance for seconds in found)


print(f"soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}, ", end="")
print(f"librosa {librosa.__version__}, PyAV {av.__version__}")
print(" " * 32, *(f"{column:>10}" for column in ("1st frame", "sf.info", "sf.read", "sf.blocks", "librosa", "PyAV")))
write("short.mp3", "noise", VARIABLE, False)
found, warned = lengths("variable, begins with noise", "short.mp3")
as_described = not warned and near(found[1:5], found[0]) and found[0] < 10 and near(found[5:], SECONDS)
pipe = from_pipe("short.mp3")
by_soundfile, by_librosa, tells = behind("short.mp3")
as_described &= near([pipe], SECONDS) and by_soundfile == 0 and near([by_librosa], 1, 0.01) and tells
write("long.mp3", "silence", VARIABLE, False)
found, warned = lengths("variable, begins with silence", "long.mp3")
as_described &= not warned and found[0] > 2 * SECONDS and near([found[1], found[3]], found[0], 1)
as_described &= near([found[2], *found[4:]], SECONDS)
again, same = repeated("long.mp3")
as_described &= again > SECONDS and same
write("told.mp3", "noise", VARIABLE, True)
found, warned = lengths("variable, with a Xing frame", "told.mp3")
as_described &= not warned and near(found[1:], SECONDS)
write("constant.mp3", "noise", CONSTANT, False)
found, warned = lengths("constant, begins with noise", "constant.mp3")
as_described &= not warned and near(found, SECONDS, 0.3)
print(f"the first one from a pipe, by soundfile: {pipe:.2f}")
print(f"its second from 20 s on: soundfile {by_soundfile:.2f}, librosa {by_librosa:.2f}, which warns: {tells}")
print(f"of the second one, soundfile.blocks gives {again:.2f} s behind the end, all of it the last block again: {same}")
sys.exit(0 if as_described else "the behaviour has changed")
PYTHON
cd "$folder"
venv/bin/python lengths.py
