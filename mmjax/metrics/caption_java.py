"""METEOR and SPICE, which exist in Java only: through pycocoevalcap, for those who have it and Java."""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
from collections.abc import Sequence
from typing import Any

from mmjax.errors import UserError

CLASSES = {"meteor": "Meteor", "spice": "Spice"}

Words = Sequence[str]


def scores(
    hypotheses: Sequence[Words], references: Sequence[Sequence[Words]], names: Sequence[str]
) -> dict[str, float]:
    """{name: figure, 0..1} of "meteor" (Denkowski and Lavie 2014) and "spice" (Anderson et al. 2016).

    Args:
      hypotheses: one list of words an image.
      references: several lists of words an image.
      names: which of the two.

    Raises:
      UserError: another name, no Java, no pycocoevalcap, or its Java program fails (SPICE fetches its parser's models
        from the network on the first use).
    """
    known(names)
    if not names:
        return {}
    said = {image: [" ".join(words)] for image, words in enumerate(hypotheses)}
    wanted = {image: [" ".join(words) for words in texts] for image, texts in enumerate(references)}
    return {name: _run(name, scorer, wanted, said) for name, scorer in available(names).items()}


def known(names: Sequence[str]) -> None:
    """Raises UserError for a name that is neither of the two."""
    strange = [name for name in names if name not in CLASSES]
    if strange:
        raise UserError(f"{strange[0]!r} is no caption metric that Java computes: choose {', '.join(CLASSES)}")


def available(names: Sequence[str]) -> dict[str, Any]:
    """{name: its scorer's class}. Raises UserError where Java or pycocoevalcap is missing."""
    found = {}
    for name in names:
        needs = f"{name.upper()} needs Java and the extra `coco`"
        if shutil.which("java") is None:
            raise UserError(f"{needs}: there is no java in the path; BLEU, ROUGE-L and CIDEr-D need neither")
        try:
            found[name] = getattr(importlib.import_module(f"pycocoevalcap.{name}.{name}"), CLASSES[name])
        except ImportError as error:
            raise UserError(f"{needs}: pip install 'mmjax[coco]' ({error})") from None
    return found


def _run(name: str, scorer: Any, wanted: dict[int, list[str]], said: dict[int, list[str]]) -> float:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            value, _ = scorer().compute_score(wanted, said)
    except Exception as error:  # the other process: no memory, no models, no network, another Java
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(f"{name.upper()} failed in Java: {reason}") from error
    return float(value)
