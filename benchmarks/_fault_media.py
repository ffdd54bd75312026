"""Media files for the campaign of faults: valid ones of every common format, and seeded damage to them."""

from __future__ import annotations

import io
import json
import pathlib
import random
import shutil
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import soundfile
from _fault_runs import Process, Tally
from PIL import Image

SIDE, RATE, HERTZ = 64, 10, 22_050
PICTURES = ("png", "jpg", "gif", "webp", "bmp", "tif", "ppm")
SOUNDS = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3", "aiff": "AIFF", "au": "AU"}
VIDEOS = {  # suffix -> video and sound codec
    "mp4": ("libx264", "aac"),
    "mov": ("mpeg4", "aac"),
    "mkv": ("libx264", "aac"),
    "avi": ("mpeg4", "mp3"),
    "ts": ("mpeg2video", "mp2"),
    "webm": ("libvpx", "libopus"),
    "flv": ("flv", "mp3"),
}
SHORT = ("--config.steps=4", "--config.eval.every=0", "--config.eval.examples=8", "--config.eval.test_examples=8")
# What each kind's run is, and how many files of it: damaged ones, and sound ones beside them to train on.
KINDS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "pictures": (200, 40, ("--config=configs/captioning.py:folder", "--config.batch_size=8", *SHORT)),
    "sounds": (150, 40, ("--config=configs/sound_tagging.py:folder", "--config.model.width=0.125", *SHORT)),
    "videos": (150, 40, ("--config=configs/soundnet.py:videos", "--config.model.width=0.125", *SHORT)),
}
BUILDERS = {"pictures": "captioned_images", "sounds": "folder_audio", "videos": "video_folder"}


def picture(suffix: str, number: int) -> bytes:
    """A picture that no other number gives."""
    pixels = (
        np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8).repeat(SIDE // 8, 0).repeat(SIDE // 8, 1)
    )
    buffer = io.BytesIO()
    name = {"jpg": "JPEG", "tif": "TIFF", "ppm": "PPM"}.get(suffix, suffix.upper())
    Image.fromarray(pixels).save(buffer, name)
    return buffer.getvalue()


def _wave(number: int, seconds: float, rate: int) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(number).normal(0, 0.02, len(times))
    return (0.5 * np.sin(2 * np.pi * (200 + 7 * number) * times) + noise).astype(np.float32)


def sound(suffix: str, number: int) -> bytes:
    """Three seconds that no other number gives."""
    buffer = io.BytesIO()
    soundfile.write(buffer, _wave(number, 3.0, HERTZ), HERTZ, format=SOUNDS[suffix])
    return buffer.getvalue()


def video(suffix: str, number: int) -> bytes:
    """Three seconds of pictures and sound that no other number gives."""
    import av

    seen, heard = VIDEOS[suffix]
    buffer, rate = io.BytesIO(), 48_000 if heard == "libopus" else 44_100
    form = {"mkv": "matroska", "ts": "mpegts"}.get(suffix, suffix)
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(seen, rate=RATE)
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.gop_size, stream.bit_rate = "yuv420p", 12, 200_000
        spoken = container.add_stream(heard, rate=rate, layout="mono")
        for index in range(3 * RATE):
            shown = np.random.default_rng((number, index)).integers(0, 256, (4, 4, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(shown.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        frame = av.AudioFrame.from_ndarray(_wave(number, 3.0, rate)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(spoken.encode(frame))
        container.mux(spoken.encode(None))
    return buffer.getvalue()


MAKERS: dict[str, tuple[tuple[str, ...], Callable[[str, int], bytes]]] = {
    "pictures": (PICTURES, picture),
    "sounds": (tuple(SOUNDS), sound),
    "videos": (tuple(VIDEOS), video),
}


def truncated(data: bytearray, rng: random.Random) -> bytearray:
    """Cut off anywhere."""
    return data[: rng.randrange(len(data))]


def flipped(data: bytearray, rng: random.Random) -> bytearray:
    """One to 64 bits turned over, anywhere."""
    for _ in range(2 ** rng.randrange(7)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def edited(data: bytearray, rng: random.Random) -> bytearray:
    """One to eight bytes of the first 256 replaced."""
    for _ in range(1 + rng.randrange(8)):
        data[rng.randrange(min(256, len(data)))] = rng.randrange(256)
    return data


def blanked(data: bytearray, rng: random.Random) -> bytearray:
    """A stretch of up to a quarter set to zero, as a download with a hole has it."""
    length = 1 + rng.randrange(max(1, len(data) // 4))
    at = rng.randrange(len(data) - length + 1)
    data[at : at + length] = bytes(length)
    return data


def shuffled(data: bytearray, rng: random.Random) -> bytearray:
    """Two stretches of equal length exchanged."""
    length = 1 + rng.randrange(max(1, len(data) // 8))
    a, b = (rng.randrange(len(data) - length + 1) for _ in range(2))
    first, second = data[a : a + length], data[b : b + length]
    data[a : a + length], data[b : b + length] = second, first
    return data


DAMAGE = {
    "truncated": truncated,
    "bits": flipped,
    "header": edited,
    "hole": blanked,
    "exchanged": shuffled,
    "suffix": None,
}


def make(kind: str, folder: pathlib.Path, damaged: int, sound_ones: int, rng: random.Random) -> dict[str, str]:
    """Fills a folder; returns {relative path: what was done to it}, "" for nothing."""
    suffixes, maker = MAKERS[kind]
    done = {}
    for number in range(damaged + sound_ones):
        suffix = suffixes[number % len(suffixes)]
        data, name = bytearray(maker(suffix, number)), suffix
        harm = list(DAMAGE)[number // len(suffixes) % len(DAMAGE)] if number < damaged else ""
        if harm == "suffix":
            name = rng.choice([other for other in suffixes if other != suffix])
        elif harm:
            data = DAMAGE[harm](data, rng)  # type: ignore[misc]
        path = f"class{number % 2}/{number:04d}.{name}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        done[path] = harm and f"{suffix}: {harm}"
    if kind == "pictures":
        rows = [json.dumps({"file": path, "caption": f"a picture of {path[5]}"}) for path in done]
        (folder / "captions.jsonl").write_text("\n".join(rows) + "\n")
    return done


def campaign(kind: str, work: pathlib.Path, share: float, rng: random.Random, tally: Tally) -> None:
    """Trains on a folder of damaged files; each must be used, or named and left out.

    Args:
      kind: of KINDS.
      work: a folder for what is made.
      share: of the files of a whole campaign.
    """
    damaged, beside, flags = KINDS[kind]
    damaged = max(len(DAMAGE) * len(MAKERS[kind][0]), round(damaged * share))
    folder, prepared = work / kind, work / f"{kind}-prepared"
    for path in (folder, prepared, work / f"{kind}-run"):
        shutil.rmtree(path, ignore_errors=True)
    done = make(kind, folder, damaged, beside, rng)
    run = [*flags, f"--config.data.path={folder}", f"--workdir={work / f'{kind}-run'}", *_options(kind)]
    ended = Process(run, MMJAX_DATA=str(prepared)).end(3000)
    if ended.status or ended.traceback:
        tally.fault(f"{kind}: the run ended with status {ended.status}: {ended.last_line()}")
        return
    (report,) = prepared.glob(f"{BUILDERS[kind]}/*/*/skipped.json")
    told = json.loads(report.read_text())
    named = {entry["path"]: entry["kind"] for entry in told["files" if kind == "videos" else "faults"]}
    used = sum(told["used"].values()) if isinstance(told["used"], dict) else told["used"]
    out = {path for path, reason in named.items() if reason != "truncated"}
    if used + len(out) != len(done):
        tally.fault(f"{kind}: {len(done)} files, of which {used} are used and {len(out)} named as left out")
    for path in sorted(out):
        if not done[path]:
            tally.fault(f"{kind}: {path} was not damaged and is left out: {named[path]}")
    for path, harm in done.items():
        if harm:
            tally.add(f"{kind}: {'left out, ' + named[path] if path in out else 'used' + _how(named.get(path))}")


def _how(reason: str | None) -> str:
    return f", {reason}" if reason else ""


def _options(kind: str) -> tuple[str, ...]:
    if kind == "videos":
        return ("--config.data.seconds=3.0", "--config.data.frames=1", "--config.loader.clip_seconds=3.0")
    return ("--config.eval.folds=0", "--config.features.layers=('pool5',)") if kind == "sounds" else ()
