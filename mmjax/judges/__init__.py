"""Networks that only measure. They are no part of a system: chosen by config.eval.judges, in no checkpoint and in no
training step; an evaluation has their weights in variables["judges"]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmjax.errors import UserError
from mmjax.judges import english, inception, listener, recogniser
from mmjax.judges.listener import SpeechJudge
from mmjax.judges.measuring import FeatureJudge

PLAIN: dict[str, Callable[[], FeatureJudge]] = {"recogniser": recogniser.judge}
FROM_FILE: dict[str, Callable[[str], FeatureJudge]] = {"inception": inception.judge}
LISTENING: dict[str, Callable[[int], SpeechJudge]] = {"listener": listener.judge, "pocketsphinx": english.judge}
LISTENING_FROM_FILE: dict[str, Callable[[int, str], SpeechJudge]] = {"listener": listener.judge}
KNOWN = (*PLAIN, *(f"{name}:FILE" for name in FROM_FILE))
KNOWN_LISTENERS = (*LISTENING, *(f"{name}:FILE" for name in LISTENING_FROM_FILE))


def chosen(names: Sequence[str]) -> tuple[FeatureJudge, ...]:
    """The judges of pictures that config.eval.judges names, "name" or "name:file".

    Raises:
      UserError: an unknown name, one that lacks its file or has none, or the same twice. A file that is missing is said
        when it is read.
    """
    found: list[FeatureJudge] = []
    for whole in names:
        name, _, file = whole.partition(":")
        if name not in PLAIN and name not in FROM_FILE:
            raise UserError(f"config.eval.judges: {whole!r} is unknown: choose {' or '.join(KNOWN)}")
        if name in PLAIN and whole != name:
            raise UserError(f"config.eval.judges: {whole!r}: {name} has no file: say {name!r}")
        if name in FROM_FILE and not file:
            raise UserError(f"config.eval.judges: {whole!r} names no file: say '{name}:FILE'")
        found.append(PLAIN[name]() if name in PLAIN else FROM_FILE[name](file))
        if name in [judge.name for judge in found[:-1]]:
            raise UserError(f"config.eval.judges: {name} stands there twice")
    return tuple(found)


def listening(names: Sequence[str], sample_rate: int) -> tuple[SpeechJudge, ...]:
    """The judges of speech of a rate in Hz that config.eval.judges names, "name" or "name:file".

    Raises:
      UserError: an unknown name, one that lacks its file or has none, or more than one, since figures have no room for
        two opinions. A file that is missing is said when it is read.
    """
    found: list[SpeechJudge] = []
    for whole in names:
        name, colon, file = whole.partition(":")
        if name not in LISTENING:
            raise UserError(f"config.eval.judges: {whole!r} is unknown: choose {' or '.join(KNOWN_LISTENERS)}")
        if colon and not file:
            raise UserError(f"config.eval.judges: {whole!r} names no file: say '{name}:FILE', or {name!r}")
        if file and name not in LISTENING_FROM_FILE:
            raise UserError(f"config.eval.judges: {whole!r}: {name} has no file: say {name!r}")
        found.append(LISTENING_FROM_FILE[name](sample_rate, file) if file else LISTENING[name](sample_rate))
    if len(set(names)) < len(names):
        raise UserError(f"config.eval.judges: {names[0]} stands there twice")
    if len(names) > 1:
        raise UserError(
            f"config.eval.judges: {' and '.join(names)} both listen: choose one, its words are the figures'"
        )
    return tuple(found)
