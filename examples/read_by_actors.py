"""Makes folders like LJSpeech's of the actors of the game Fish Fillets, whose lines are written down.

    apt-get install fillets-ng-data fillets-ng-data-cs
    python examples/read_by_actors.py OUT_DIR

OUT_DIR/small and OUT_DIR/big have the two fish, an actor each, and OUT_DIR/all everybody who speaks, for a recogniser
that then judges the others. A folder has metadata.csv, ID|TEXT, beside wavs/. `--language=nl` reads Dutch, of
fillets-ng-data-nl. What is not spoken, or has numerals or signs that are no Latin letters, is left out and counted;
the commands that train on the folders are printed.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import re
import shlex
import shutil
import unicodedata
from collections.abc import Iterator

GAME = pathlib.Path("/usr/share/games/fillets-ng")
LANGUAGES = ("cs", "nl")  # those that somebody has recorded
ACTORS = {"font_small": "small", "font_big": "big"}  # a font stands for who speaks
EVERYBODY = "all"
MARKS = " !',-.:?"
_QUOTES = str.maketrans({"’": "'", '"': None})  # nobody says them
_LINE = re.compile(r'dialogId\("(?P<name>[^"]+)",\s*"(?P<font>\w+)"|dialogStr\("(?P<text>(?:[^"\\]|\\.)*)"\)')


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out_dir", type=pathlib.Path, help="the folder to write; made where it is missing")
    parser.add_argument("--language", choices=LANGUAGES, default="cs", help="what they speak (%(default)s)")
    parser.add_argument("--game", type=pathlib.Path, default=GAME, help="where the game's data are (%(default)s)")
    options = parser.parse_args(arguments)
    texts: dict[str, dict[str, str]] = collections.defaultdict(dict)
    left_out: collections.Counter[str] = collections.Counter()
    for name, font, text, file in lines(options.game, options.language):
        if why := fault(text, file):
            left_out[why] += 1
            continue
        for actor in {ACTORS.get(font, EVERYBODY), EVERYBODY}:
            target = options.out_dir / actor / "wavs" / f"{name}.ogg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            texts[actor][name] = text
    if not texts:
        packages = f"fillets-ng-data and fillets-ng-data-{options.language}"
        parser.exit(2, f"read_by_actors: no line of {options.game} is spoken: install Debian's {packages}\n")
    for actor, said in sorted(texts.items()):
        table = "".join(f"{name}|{text}\n" for name, text in sorted(said.items()))
        (options.out_dir / actor / "metadata.csv").write_text(table, "utf-8")
        print(f"{len(said)} sentences in {options.out_dir / actor}")
    print(f"left out {', '.join(f'{count} {why}' for why, count in sorted(left_out.items())) or 'none'}")
    letters = "".join(sorted(set("".join(texts[EVERYBODY].values()).lower())))
    print("\n".join(commands(options.out_dir, letters)))


def lines(game: pathlib.Path, language: str) -> Iterator[tuple[str, str, str, pathlib.Path]]:
    """Each line of the game: its name, its font, its text, and where its recording would be."""
    for table in sorted(game.glob(f"script/*/dialogs_{language}.lua")):
        level, name, font = table.parent.name, "", ""
        for found in _LINE.finditer(table.read_text("utf-8")):
            if found["name"]:
                name, font = found["name"], found["font"]
            elif name:
                text = unicodedata.normalize("NFC", re.sub(r"\\(.)", r"\1", found["text"])).translate(_QUOTES)
                yield f"{level}-{name}", font, " ".join(text.split()), game / "sound" / level / language / f"{name}.ogg"
                name = ""


def fault(text: str, file: pathlib.Path) -> str:
    """Why a line is of no use; "" if it is."""
    if not file.is_file():
        return "without a recording"
    if any(letter.isdigit() or letter == "%" for letter in text):
        return "with numerals"
    others = set(text) - set(MARKS)
    if not others or any(not letter.isalpha() or "LATIN" not in unicodedata.name(letter) for letter in others):
        return "with signs that are no Latin letters"
    return ""


def commands(out_dir: pathlib.Path, letters: str) -> list[str]:
    """What trains a recogniser of these letters, and an actor's voice that it judges."""
    run, file = "runs/recogniser", "runs/recogniser.safetensors"

    def train(config: str, actor: str, *more: str) -> str:
        given = (f"--config.data.path={out_dir / actor}", f"--config.data.letters={letters}", *more)
        return shlex.join(["python", "train.py", f"--config=configs/{config}.py:read_aloud", *given])

    return [
        train("speech_recognition", EVERYBODY, f"--config.model.units={len(letters)}", f"--workdir={run}"),
        f"mmjax export-recogniser {run} {file}",
        train(
            "tacotron2", "small", f"--config.model.symbols={len(letters)}", f"--config.eval.judges=('listener:{file}',)"
        ),
    ]


if __name__ == "__main__":
    main()
