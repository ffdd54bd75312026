"""From text to words, without Java: the Penn Treebank's way for captions, the VQA code's for questions.

Pure functions on strings that every room may import: the vocabulary and the metrics must cut a caption alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# What coco-caption drops after the tokeniser. Its list has -LRB- in capitals, which its lower-casing tokeniser never
# writes: brackets stay in its captions as -lrb-, and here as well.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_PLAIN = str.maketrans({"’": "'", "‘": "`", "“": '"', "”": '"', "–": "—", "…": " ... "})

# Abbreviations that keep their full stop; "No." only before a number.
_SHORT = (
    r"ph\.d|mr|mrs|ms|dr|prof|jr|sr|st|ave|blvd|rd|mt|ft|inc|co|ltd|corp|dept|vs|etc|gen|sen|rep|gov|capt|lt|sgt|col|rev|"
    "bros|al|jan|feb|apr|aug|sept|oct|nov|dec"
)
_CLITIC = r"'(?:s|m|d|re|ve|ll)(?![^\W_])"
_BIT = r"[^\W_]+"  # a run of letters and digits
_TOKEN = re.compile(
    rf"""
    https?://\S+ | www\.\S+ | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
  | </?[a-z][^<>\s]*>
  | '(?:n'|em|cause|[0-9]{{2}}s?)(?!\w) | 't(?=is\b|was\b)
  | (?:{_CLITIC}) | n't(?!\w) | \bc\+\+
  | (?:can(?=not\b)|gon(?=na\b)|wan(?=na\b)|got(?=ta\b)|gim(?=me\b)|lem(?=me\b))
  | y'(?=all\b)
  | (?:[nldo]'|ma')[^\W\d_]+(?:-{_BIT})*
  | (?:{_SHORT})\.(?!\w) | no\.(?=\s*[0-9])
  | [^\W\d_](?:\.[^\W\d_])+\.? (?!\w) | (?<!\w)[^\W\d_]\.(?!\w)
  | [0-9]{{1,2}}:[0-9]{{2}}(?=[ap]m\b)
  | [+-]?[0-9]+(?:[.,:/][0-9]+)+(?:-{_BIT})* (?!\w)
  | (?<!\w)[+-][0-9]+(?!\w)
  | (?-i:[A-Z]+(?:&[A-Z]+)+)
  | [@#]?[^\W\d_]\w*?(?=n't(?!\w))
  | [@#][^\W\d_]\w* | (?:{_BIT}|(?<=[^\W_])_(?=[^\W_]))+(?:[-./]{_BIT})*
  | \.\.\.+ | --+ | [!?]{{2,}} | \S
    """,
    re.VERBOSE | re.IGNORECASE,
)


def caption(text: str) -> list[str]:
    """The words of a caption as coco-caption scores them: Penn Treebank tokens in lower case without punctuation.

    Written after the behaviour of Stanford's PTBTokenizer 3.4.1, which coco-caption starts in Java: "a dog's t-shirt
    isn't red." is a, dog, 's, t-shirt, is, n't, red.

    Args:
      text: any text; control characters count as white space.

    Returns:
      the words, without white space; [] for text without any.
    """
    found = (match.group() for match in _TOKEN.finditer(_clean(text).translate(_PLAIN)))
    lowered = (_BRACKETS.get(token, token.lower()) for token in found)
    return [word for word in lowered if word not in PUNCTUATION and word[0] not in '"—' and set(word) not in _RUNS]


_RUNS = (set("."), set("-"))


# The signs at which the code of Antol et al. (VQA_LSTM_CNN, prepro.py) cuts; each is a word of its own.
_QUESTION = re.compile(r"[-.\"',:? !$#@~()*&^%;\[\]/\\+<>\n=]|[^-.\"',:? !$#@~()*&^%;\[\]/\\+<>\n=]+")


def question(text: str) -> list[str]:
    """The words of a question as the VQA code cuts them, in lower case: signs are words, the question mark too."""
    words = (match.group().strip() for match in _QUESTION.finditer(_clean(text).lower()))
    return [word for word in words if word]


def answer(text: str) -> str:
    """An answer as the answer vocabulary holds it: lower case, single spaces."""
    return " ".join(_clean(text).lower().split())


SPLITTERS: dict[str, Callable[[str], list[str]]] = {"caption": caption, "question": question}


def _clean(text: str) -> str:
    return "".join(" " if ord(letter) < 32 or letter == "\x7f" else letter for letter in text)
