#!/usr/bin/env bash
# PyAV: frames of H.264 with B-frames in an AVI come in the right order, but with the time stamps of other frames.
#
# An AVI has no presentation time stamps: FFmpeg gives each packet its place in the file as the decoding time stamp, and
# a reader is to show the decoder's output in the order in which it comes. PyAV asks FFmpeg for "generated" stamps in
# every file that it opens (AVFMT_FLAG_GENPTS, since its pull request 144). Of H.264 in an AVI, FFmpeg generates as pts
# nothing but the decoding time stamp plus one, which belongs to the order of decoding; the decoder then hands each pts
# through with its picture. So frame.pts and frame.time look complete and are wrong, without a message:
#   - the decoder's output is in the order of showing, but its pts go 1, 3, 4, 2, 6, 7, 5, ...;
#   - who sorts by pts, or looks up the frame of a time, gets pictures 0, 3, 1, 2, 6, 4, 5, ...
# The same pictures in Matroska are right. Of MPEG-4 part 2 (Xvid, DivX) with B-frames in an AVI, as FFmpeg writes it,
# the generated stamps fit, one frame late. frame.dts is in the order of showing, and rises by one a frame; it is
# missing only for the last frames, which the decoder gives when it is flushed.
#
# Who meets it: readers of video data sets that pick or sort frames by pts, which is right in Matroska or MP4.
# What helps: av.open(path, options={"fflags": "-genpts"}), or, once it is open,
# container.flags &= ~av.container.Flags.gen_pts.value. There is no pts then, and the order of decode() or frame.dts
# tells the time. Here: mmjax/data/files/container.py, open_file.
#
# Seen on 2026-11-29 with PyAV 18.1.0 (its wheel has libavformat 62.12.102 and libx264), numpy 2.4.6, Python 3.11, Linux
# x86-64. The number of a picture is read from its grey level.
#   PyAV 18.1.0, libavformat 62.12.102
#   generated stamps are asked for: True
#   packets of H.264 in AVI, dts/pts: 0/1 1/2 2/3 3/4 4/5 5/6 6/7 7/8 8/9 9/10 10/11 11/12
#   H.264 in AVI
#     pictures 0 1 2 3 4 5 6 7 8 9 10 11
#     pts      1 3 4 2 6 7 5 9 10 8 12 11
#     dts      1 2 3 4 5 6 7 8 9 10 11 -
#     by pts   0 3 1 2 6 4 5 9 7 8 11 10
#   H.264 in AVI, none generated
#     pictures 0 1 2 3 4 5 6 7 8 9 10 11
#     pts      - - - - - - - - - - - -
#     dts      1 2 3 4 5 6 7 8 9 10 11 -
#     by pts   not to be had
#   H.264 in Matroska
#     pictures 0 1 2 3 4 5 6 7 8 9 10 11
#     pts      0 1 2 3 4 5 6 7 8 9 10 11
#     dts      0 1 2 3 4 5 6 7 8 9 10 -
#     by pts   0 1 2 3 4 5 6 7 8 9 10 11
#   MPEG-4 part 2 in AVI
#     pictures 0 1 2 3 4 5 6 7 8 9 10 11
#     pts      1 2 3 4 5 6 7 8 9 10 11 12
#     dts      1 2 3 4 5 6 7 8 9 10 11 -
#     by pts   0 1 2 3 4 5 6 7 8 9 10 11
#
# Exits 0 as long as it is so, and 1 if any line changes in kind. A few seconds, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6

cat >"$folder/stamps.py" <<'PYTHON'
import sys
from fractions import Fraction

import av
import numpy as np

PICTURES, SIDE, STEP = 12, 64, 16
X264 = {"x264-params": "bframes=2:b-adapt=0:b-pyramid=none:scenecut=0:threads=1"}
GEN_PTS = av.container.Flags.gen_pts.value


def write(path, codec, options=None):
    """Grey pictures, each lighter than the one before, two B-frames in a row."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10, options=options or {})
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.gop_size, stream.max_b_frames, stream.bit_rate = "yuv420p", PICTURES, 2, 400_000
        for number in range(PICTURES):
            grey = np.full((SIDE, SIDE, 3), 20 + STEP * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read(path, clear=False, **options):
    """[(number of the picture, pts and dts in tenths of a second)] as they come from the decoder."""
    with av.open(path, **options) as container:
        if clear:
            container.flags &= ~GEN_PTS
        (stream,) = container.streams.video
        unit = stream.time_base * 10
        return [
            (
                round((float(frame.to_ndarray(format="rgb24").mean()) - 20) / STEP),
                None if frame.pts is None else round(frame.pts * unit),
                None if frame.dts is None else round(frame.dts * unit),
            )
            for frame in container.decode(stream)
        ]


def show(title, frames):
    """Prints them; returns the pictures as they come, and by pts (None where a pts is missing)."""
    pictures, pts, dts = (list(column) for column in zip(*frames))
    by_pts = None if None in pts else [frame[0] for frame in sorted(frames, key=lambda frame: frame[1])]
    print(title)
    print("  pictures", *pictures)
    print("  pts     ", *("-" if stamp is None else stamp for stamp in pts))
    print("  dts     ", *("-" if stamp is None else stamp for stamp in dts))
    print("  by pts  ", *(by_pts or ["not to be had"]))
    return pictures, by_pts


print(f"PyAV {av.__version__}, libavformat {'.'.join(map(str, av.library_versions['libavformat']))}")
write("h264.avi", "libx264", X264)
write("h264.mkv", "libx264", X264)
write("mpeg4.avi", "mpeg4")
with av.open("h264.avi") as container:
    asked = bool(container.flags & GEN_PTS)
    stored = [(packet.dts, packet.pts) for packet in container.demux(video=0) if packet.size]
print("generated stamps are asked for:", asked)
print("packets of H.264 in AVI, dts/pts:", *(f"{dts}/{pts}" for dts, pts in stored))
truth = list(range(PICTURES))
comes, by_pts = show("H.264 in AVI", read("h264.avi"))
as_described = asked and all(pts == dts + 1 for dts, pts in stored)
as_described &= comes == truth and sorted(by_pts) == truth != by_pts
frames = read("h264.avi", options={"fflags": "-genpts"})
as_described &= show("H.264 in AVI, none generated", frames) == (truth, None)
as_described &= read("h264.avi", clear=True) == frames
dts = [frame[2] for frame in frames if frame[2] is not None]
as_described &= dts == list(range(dts[0], dts[0] + len(dts))) and len(dts) >= PICTURES - 2
as_described &= show("H.264 in Matroska", read("h264.mkv")) == (truth, truth)
as_described &= show("MPEG-4 part 2 in AVI", read("mpeg4.avi")) == (truth, truth)
sys.exit(0 if as_described else "the behaviour has changed")
PYTHON
cd "$folder"
venv/bin/python stamps.py
