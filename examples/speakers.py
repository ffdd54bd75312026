"""Makes a folder of speakers, a sub-folder each, of the voices that Debian has: synthetic ones and four actors.

    apt-get install flite espeak-ng fillets-ng-data-cs fillets-ng-data-nl
    python examples/speakers.py OUT_DIR
    python train.py --config=configs/speech2face.py:voices --config.data.path=OUT_DIR

    python examples/speakers.py OUT_DIR --kinds flite actors --utterances 400
    python train.py --config=configs/separation.py:reference --config.data.path=OUT_DIR

flite's four speakers and espeak-ng's variants say captions of the drawn world, no two speakers the same ones; of the
game Fish Fillets come the two fish in Czech and in Dutch, as they were recorded. Every third of each kind is under
OUT_DIR/test, where nobody is trained on, all others under OUT_DIR/train. What is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import tqdm

from mmjax.data.sets import sounding_scenes

FLITE = ("awb", "kal16", "rms", "slt")  # kal is kal16 at half the rate
FISH = pathlib.Path("/usr/share/games/fillets-ng/sound")
LANGUAGES = {"cs": "fillets-ng-data-cs", "nl": "fillets-ng-data-nl"}
ACTORS = {"m": "small", "v": "big"}  # of files LEVEL/LANGUAGE/SCENE-m-WORD.ogg
KINDS = ("flite", "espeak", "actors")
HELD_OUT = 3  # every so manieth speaker of a kind

Say = Callable[[str, pathlib.Path], list[str]]  # the command that says a text into a file


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir", type=pathlib.Path, help="the folder to write; made where it is missing")
    parser.add_argument("--utterances", type=int, default=16, help="of each speaker, at most (%(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of speakers (%(default)s)")
    parser.add_argument("--speakers", type=int, default=None, help="at most so many of each kind")
    options = parser.parse_args(arguments)
    texts = captions()
    for kind, speakers in (("flite", flite), ("espeak", espeak)):
        every = list(speakers())[: options.speakers] if kind in options.kinds else ()
        for number, (name, say) in enumerate(tqdm.tqdm(every, kind, disable=None)):
            spoken(folder(options.out_dir, f"{kind}-{name}", number), say, texts, options.utterances)
    every = list(recorded())[: options.speakers] if "actors" in options.kinds else ()
    for number, (name, files) in enumerate(every):
        copied(folder(options.out_dir, name, number), files, options.utterances)
    for split in ("train", "test"):
        print(f"{split}: {sum(one.is_dir() for one in (options.out_dir / split).glob('*'))} speakers")


def folder(out_dir: pathlib.Path, name: str, number: int) -> pathlib.Path:
    """Where a speaker goes, by his number within his kind; made."""
    found = out_dir / ("train" if number % HELD_OUT else "test") / name
    found.mkdir(parents=True, exist_ok=True)
    return found


def captions() -> Iterator[str]:
    """Sentences without end, of the drawn world."""
    source = sounding_scenes.source("train", ("caption",))
    return (source[i]["caption"] for i in range(len(source)))


def flite() -> Iterator[tuple[str, Say]]:
    """(name, how it speaks) of each voice."""
    if installed("flite"):
        for voice in FLITE:
            yield voice, lambda text, path, voice=voice: ["flite", "-voice", voice, "-t", text, "-o", str(path)]


def espeak() -> Iterator[tuple[str, Say]]:
    """(name, how it speaks) of each variant, in English."""
    if installed("espeak-ng"):
        table = subprocess.run(["espeak-ng", "--voices=variant"], check=True, capture_output=True, text=True).stdout
        for variant in sorted(re.findall(r"!v/(.*?)\s*(?:\(.*)?$", table, re.MULTILINE)):
            yield (
                variant.replace(" ", "_"),
                lambda text, path, v=variant: ["espeak-ng", "-v", f"en+{v}", "-w", str(path), "--", text],
            )


def recorded() -> Iterator[tuple[str, list[pathlib.Path]]]:
    """(name, files) of each actor of Fish Fillets."""
    for language, package in LANGUAGES.items():
        files = sorted(FISH.glob(f"*/{language}/*.ogg"))
        if not files:
            print(f"left out: no sounds of Debian's {package} in {FISH}", file=sys.stderr)
        for letter, name in ACTORS.items():
            own = [file for file in files if re.fullmatch(rf"[^-]+-{letter}-.+", file.stem)]
            if own:
                yield f"fish-{language}-{name}", own


def installed(program: str) -> bool:
    """Whether a program is there; says so where it is not."""
    if shutil.which(program) is None:
        print(f"left out: {program} is not installed", file=sys.stderr)
        return False
    return True


def spoken(target: pathlib.Path, say: Say, texts: Iterator[str], count: int) -> None:
    """Writes so many sentences of a speaker; those that are there stay, and keep their texts."""
    for number in range(count):
        text, path = next(texts), target / f"{number:03d}.wav"
        if not path.exists():
            unfinished = path.with_suffix(".part")
            subprocess.run(say(text, unfinished), check=True, capture_output=True)
            unfinished.rename(path)


def copied(target: pathlib.Path, files: list[pathlib.Path], count: int) -> None:
    """Copies so many recordings, evenly spaced over all: the longer half of them, as the shortest are exclamations."""
    longer = sorted(sorted(files, key=lambda file: file.stat().st_size)[len(files) // 2 :])
    for file in longer[:: max(1, len(longer) // count)][:count]:
        shutil.copyfile(file, target / f"{file.parent.parent.name}-{file.name}")


if __name__ == "__main__":
    main()
