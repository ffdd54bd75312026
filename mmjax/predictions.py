"""The glossary of what comes out, the twin of data/spec.py: what a task's predictions are called and what they hold.

A task predicts {"kind/name": array [b ...]}. The kind says how many examples are kept and how the report shows them;
the name is the task's. Names that differ by the suffix "_target" only are a prediction and its reference. A key of kind
"number" is shown by no rule of its own: whoever reads it, a figure over the whole split or a section of the report,
finds it by its whole name, so that these names stand in NUMBERS.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

TARGET = "_target"  # suffix of the reference of what has the name without it


@dataclasses.dataclass(frozen=True)
class Kind:
    """What arrays of one kind hold.

    Attributes:
      dtypes: NumPy's names of those that it may have on the device.
      axes: of one example, one string for each form that there is; "" is a number.
      meaning: what it is, with its range.
      few: whether only the examples that a page shows are kept (and computed), and not the whole split.
    """

    dtypes: tuple[str, ...]
    axes: tuple[str, ...]
    meaning: str
    few: bool = False


KINDS: dict[str, Kind] = {
    "image": Kind(("uint8",), ("h w 3", "k h w 3"), "RGB picture, or k of them, 0..255", few=True),
    "heatmap": Kind(
        ("float32",),
        ("h w", "bands frames"),
        "a map over the picture of the example; of the names in OVER_TIME, over time, lowest band first",
        few=True,
    ),
    "attention": Kind(("float32",), ("t i j",), "a map over the picture for each word of text/<name>", few=True),
    "audio": Kind(("int16", "float32"), ("time",), "mono sound at the task's sample_rate", few=True),
    "text": Kind(
        ("uint8",),
        ("letters", "n letters"),
        "UTF-8 with zeros behind: a text, the words of one, or the n best; kept as byte strings",
    ),
    "embedding": Kind(("float32",), ("d", "n d"), "a point of a space, or several"),
    "scores": Kind(
        ("float32",), ("c", "k"), "a probability for each class of the head, or for each text of text/<head> [k]"
    ),
    "label": Kind(("int32",), ("",), "the class of the head; -1 where there is none"),
    "number": Kind(("float32", "int32", "bool"), ("", "n", "n d"), "what NUMBERS says of the whole key"),
}

# heatmap/<name> that lies over time instead of over a picture: mel bands, coefficients or spectrogram bins by frames.
OVER_TIME = ("mel", "mfcc", "spectrogram", "deltas")

# Pattern of the name (<x> stands for any word) -> axes and meaning.
NUMBERS: dict[str, str] = {
    "nats": "3: sums over the caption of the network's nats and of word frequencies', and how many words count",
    "caption_ids": "c: equal numbers for equal captions; -1 where there is none",
    "uncertainty_<side>": "of a Gaussian embedding, how wide it is: of the example or of each caption",
    "tag_scores": "c: how well each tag fits, cosines",
    "tag_truth": "c: whether the example has it",
    "tag_frequency": "c: its share of the training examples, the same in each row",
    "tokens": "t: the words that were to be drawn",
    "text": "d: the point of the text that was to be drawn, beside joint_drawn and joint_real",
    "joint_<which>": "d: the point of the drawn and of the real picture in the space of `text`",
    "<judge>_<which>": "d: a judging network's features of pictures that are drawn, second, real, train or mean",
}


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(re.sub(r"<\w+>", r"\\w+", pattern), name) is not None


def split(key: str) -> tuple[Kind, str]:
    """The kind of a prediction and its name. Raises KeyError with one line if no kind covers it."""
    kind, slash, name = key.partition("/")
    if not slash or not name or kind not in KINDS:
        raise KeyError(f"prediction {key!r} is of no kind of mmjax/predictions.py: choose {', '.join(KINDS)}/<name>")
    if kind == "number" and not any(_matches(pattern, name) for pattern in NUMBERS):
        raise KeyError(f"prediction {key!r}: mmjax/predictions.py does not say what it holds; NUMBERS needs a line")
    return KINDS[kind], name


def few(key: str) -> bool:
    """Whether only the examples that a page shows are kept of this prediction."""
    return split(key)[0].few


def check(predicted: Mapping[str, Any]) -> None:
    """Raises KeyError or TypeError unless every prediction (anything with shape and dtype) is as its kind says."""
    for key, value in predicted.items():
        kind, _ = split(key)
        ranks = {1 + len(axes.split()) for axes in kind.axes}
        if str(value.dtype) not in kind.dtypes or len(value.shape) not in ranks:
            wanted = f"{' or '.join(kind.dtypes)} of axes {' or '.join(f'b {axes}'.strip() for axes in kind.axes)}"
            raise TypeError(f"prediction {key!r} is {value.dtype} {tuple(value.shape)}: its kind is {wanted}")


def uncovered(keys: Iterable[str], covered: Iterable[str]) -> list[str]:
    """Those keys that are to be shown (all but numbers) and that nothing covers, in order."""
    known = set(covered)
    return [key for key in keys if key not in known and not key.startswith("number/")]
