"""Makes a folder of Tux Paint's stamps whose English captions are spoken by flite's four voices.

    python examples/spoken_stamps.py OUT_DIR
    python train.py --config=configs/units.py:folder --config.data.path=OUT_DIR "--config.data.voices=('slt',)"

Needs Debian's tuxpaint-stamps-default and flite. Every caption is spoken by every voice, so that ABX across voices can
be asked; spoken.json beside pictures/ and wavs/ has SpokenCOCO's layout and names no split, so that a caption, by
whatever voice, is on one side of it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys

import tqdm

from mmjax.data.sets import tux_stamps
from mmjax.errors import UserError

VOICES = ("awb", "kal16", "rms", "slt")  # all at 16 kHz; "kal" is kal16 at 8 kHz
WAIT = 60.0  # seconds for one caption


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir", type=pathlib.Path, help="the folder to write; made where it is missing")
    parser.add_argument("--stamps", default=tux_stamps.PATH, help="the folder of stamps (%(default)s)")
    parser.add_argument("--flite", default="flite", help="the command (%(default)s)")
    parser.add_argument("--limit", type=int, default=None, help="at most so many stamps")
    options = parser.parse_args(arguments)
    if shutil.which(options.flite) is None:
        parser.exit(2, f"spoken_stamps: there is no command {options.flite}: install Debian's flite\n")
    try:
        captions = make(options.out_dir, options.stamps, options.flite, options.limit)
    except UserError as error:
        parser.exit(2, f"spoken_stamps: {error}\n")
    print(f"{captions} spoken captions in {options.out_dir}")


def make(out_dir: pathlib.Path, stamps: str, flite: str, limit: int | None) -> int:
    """Speaks each caption by each voice, copies the pictures and writes spoken.json; returns how many it names."""
    folder = tux_stamps.folder_of(stamps)
    found = tux_stamps.find(folder)[0][:limit]
    for name in ("pictures", "wavs"):
        (out_dir / name).mkdir(parents=True, exist_ok=True)
    numbers = {text: n for n, text in enumerate(dict.fromkeys(stamp.caption for stamp in found))}
    wanted = [(text, voice, out_dir / _wav(n, voice)) for text, n in numbers.items() for voice in VOICES]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(speak, flite, *each) for each in wanted if not each[2].exists()]
        for job in tqdm.tqdm(
            concurrent.futures.as_completed(jobs), "speaking", len(jobs), unit="caption", disable=None
        ):
            if line := job.result():
                print(line, file=sys.stderr)
    data = []
    for stamp in found:
        picture = f"{stamp.name.replace('/', '-')}.png"
        shutil.copyfile(folder / f"{stamp.name}.png", out_dir / "pictures" / picture)
        spoken = []
        for voice in VOICES:
            wav = _wav(numbers[stamp.caption], voice)
            if (out_dir / wav).exists():
                about = {"uttid": pathlib.Path(wav).stem, "text": stamp.caption, "speaker": voice, "wav": wav}
                spoken.append(about)
        data.append({"image": f"pictures/{picture}", "captions": spoken})
    (out_dir / "spoken.json").write_text(json.dumps({"data": data}, indent=1))
    return sum(len(datum["captions"]) for datum in data)


def _wav(number: int, voice: str) -> str:
    return f"wavs/{number:04d}-{voice}.wav"


def speak(flite: str, text: str, voice: str, target: pathlib.Path) -> str:
    """Speaks one caption into a file; a line that says why there is none, or ""."""
    part = target.with_suffix(".part")  # a killed run leaves no half a sound behind
    done = subprocess.run(
        [flite, "-voice", voice, "-t", text, "-o", str(part)], capture_output=True, text=True, timeout=WAIT, check=False
    )
    if done.returncode or not part.exists():
        return f"{voice} does not say {text!r}: {done.stderr.strip()[:100]}"
    part.rename(target)
    return ""


if __name__ == "__main__":
    main()
