"""The speaker encoder of the package Resemblyzer by what the user says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from mmjax.errors import OptionError
from mmjax.known.network import Network
from mmjax.models.sound.speaker_encoder import SpeakerEncoder
from mmjax.weights import resemblyzer

NAME = "resemblyzer"  # the installed package's weights; "resemblyzer:FILE" those of a file


def named(source: str) -> bool:
    """Whether it is a speaker encoder that a user names so."""
    return source.partition(":")[0] == NAME


def encoder(source: str, option: str) -> Network:
    """Sounds -> the embedding of who speaks, see `SpeakerEncoder`; trained no further.

    Args:
      source: "resemblyzer" or "resemblyzer:FILE".
      option: what the user said it by.

    Raises:
      OptionError: of another name; in `check`, of a file that is missing, or of the package.
    """
    if not named(source):
        raise OptionError(option, f"={source!r} is no speaker encoder: choose {NAME!r} or '{NAME}:FILE'")
    return Network(SpeakerEncoder(), "features", 0, _load, (source, option), found=_file, trained=False)


def _file(source: str, option: str) -> Path:
    """The file of weights. Raises OptionError where it is missing, or without the package."""
    given = Path(source.partition(":")[2]).expanduser()
    package = None if given.name else importlib.util.find_spec(NAME)
    places = package.submodule_search_locations if package else None
    file = Path(next(iter(places))) / "pretrained.pt" if places else given
    if not file.is_file():
        wanted = "no such file" if given.name else "needs a package: pip install --no-deps Resemblyzer"
        raise OptionError(option, f"={source!r}: {wanted}")
    return file


def _load(source: str, option: str) -> dict[str, Any]:
    return resemblyzer.load(_file(source, option))
