"""From text to words, without Java: the Penn Treebank's way for captions, the VQA code's for questions.

Pure functions on strings that every room may import: the vocabulary and the metrics must cut a caption alike.

By today's rules, "unicode", letters keep their marks, as Stanford's PTBTokenizer and Unicode's UAX #29 have it: the
vowels of Hindi, Thai and Tamil, the points of Hebrew and Arabic. Letters are composed (NFC), so that an accent that
stands apart makes no other word. Of scripts without white space (Thai, Chinese) what stands between two spaces is one
word, as Stanford has it, so that text that was cut by a segmenter stays as it was cut. Runs from before keep the rules
"letters", for which a mark is a sign between words. Both cut text in ASCII alike.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

import regex

RULES = ("unicode", "letters")
# Spelled so in a text these are text, three words each; <unk> in a text is what it is among tokens.
_MARKERS = ("<pad>", "<start>", "<end>")

# What coco-caption drops after the tokeniser. Its list has -LRB- in capitals, which its lower-casing tokeniser never
# writes: brackets stay in its captions as -lrb-, and here as well.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
_CONTROLS = dict.fromkeys((*range(32), 127), " ")
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_PLAIN = str.maketrans({"’": "'", "‘": "`", "“": '"', "”": '"', "–": "—", "…": " ... "})

# Abbreviations that keep their full stop; "No." only before a number.
_SHORT = (
    r"ph\.d|mr|mrs|ms|dr|prof|jr|sr|st|ave|blvd|rd|mt|ft|inc|co|ltd|corp|dept|vs|etc|gen|sen|rep|gov|capt|lt|sgt|col|rev|"
    "bros|al|jan|feb|apr|aug|sept|oct|nov|dec"
)


def _pattern(letter: str, alphanumeric: str, inside: str, last: str) -> str:
    """Tokens in terms of classes: a letter, a letter or digit, the inside of a class of these and _, any other sign."""
    word = rf"[{inside}]" if len(inside) > 2 else inside
    clitic = rf"'(?:s|m|d|re|ve|ll)(?!{alphanumeric})"
    bit = rf"{alphanumeric}+"
    return rf"""
    https?://\S+ | www\.\S+ | [{inside}.+-]+@[{inside}-]+(?:\.[{inside}-]+)+
  | </?[a-z][^<>\s]*>
  | '(?:n'|em|cause|[0-9]{{2}}s?)(?!{word}) | 't(?=is\b|was\b)
  | (?:{clitic}) | n't(?!{word}) | \bc\+\+
  | (?:can(?=not\b)|gon(?=na\b)|wan(?=na\b)|got(?=ta\b)|gim(?=me\b)|lem(?=me\b))
  | y'(?=all\b)
  | (?:[nldo]'|ma'){letter}+(?:-{bit})*
  | (?:{_SHORT})\.(?!{word}) | no\.(?=\s*[0-9])
  | {letter}(?:\.{letter})+\.? (?!{word}) | (?<!{word}){letter}\.(?!{word})
  | [0-9]{{1,2}}:[0-9]{{2}}(?=[ap]m\b)
  | [+-]?[0-9]+(?:[.,:/][0-9]+)+(?:-{bit})* (?!{word})
  | (?<!{word})[+-][0-9]+(?!{word})
  | (?-i:[A-Z]+(?:&[A-Z]+)+)
  | [@#]?{letter}{word}*?(?=n't(?!{word}))
  | [@#]{letter}{word}* | (?:{bit}|(?<={alphanumeric})_(?={alphanumeric}))+(?:[-./]{bit})*
  | \.\.\.+ | --+ | [!?]{{2,}} | {last}
    """


# `re` is the faster one and knows no marks; `regex` does.
_TOKEN = re.compile(_pattern(r"[^\W\d_]", r"[^\W_]", r"\w", r"\S"), re.VERBOSE | re.IGNORECASE)
_JOINED = r"\p{M}\p{Join_Control}"  # what stands on letters, and what holds Persian's and Hindi's together


@functools.cache
def _marked_token() -> Any:
    letters = rf"\p{{L}}\p{{Nl}}\p{{No}}{_JOINED}"
    classes = (f"[{letters}]", rf"[{letters}\p{{Nd}}]", rf"{letters}\p{{Nd}}_", rf"\S[{_JOINED}]*")
    return regex.compile(_pattern(*classes), regex.VERBOSE | regex.IGNORECASE)


def caption(text: str, rules: str = "unicode") -> list[str]:
    """The words of a caption as coco-caption scores them: Penn Treebank tokens in lower case without punctuation.

    Written after the behaviour of Stanford's PTBTokenizer 3.4.1, which coco-caption starts in Java: "a dog's t-shirt
    isn't red." is a, dog, 's, t-shirt, is, n't, red.

    Args:
      text: any text; control characters count as white space.
      rules: of RULES.

    Returns:
      the words, without white space; [] for text without any.
    """
    text = composed(_clean(text).translate(_PLAIN), rules)
    marked = rules == "unicode" and not text.isascii()
    found = (match.group() for match in (_marked_token() if marked else _TOKEN).finditer(text))
    lowered: Iterable[str] = (_BRACKETS.get(token, token.lower()) for token in found)
    if marked:
        lowered = map(composed, lowered)  # of some capitals, only the small letter composes with its mark
    words = [word for word in lowered if word not in PUNCTUATION and word[0] not in '"—' and set(word) not in _RUNS]
    if rules != "unicode" or "<" not in text:
        return words
    return [part for word in words for part in (("<", word[1:-1], ">") if word in _MARKERS else (word,))]


_RUNS = (set("."), set("-"))


# The signs at which the code of Antol et al. (VQA_LSTM_CNN, prepro.py) cuts; each is a word of its own.
_QUESTION = re.compile(r"[-.\"',:? !$#@~()*&^%;\[\]/\\+<>\n=]|[^-.\"',:? !$#@~()*&^%;\[\]/\\+<>\n=]+")


def question(text: str, rules: str = "unicode") -> list[str]:
    """The words of a question as the VQA code cuts them, in lower case: signs are words, the question mark too."""
    words = (match.group().strip() for match in _QUESTION.finditer(lower(_clean(text), rules)))
    return [word for word in words if word]


def answer(text: str, rules: str = "unicode") -> str:
    """An answer as the answer vocabulary holds it: lower case, single spaces."""
    return " ".join(lower(_clean(text), rules).split())


SPLITTERS: dict[str, Callable[..., list[str]]] = {"caption": caption, "question": question}


def composed(text: str, rules: str = "unicode") -> str:
    """The text in NFC, and without the soft hyphens that hide in words."""
    if text.isascii() or rules != "unicode":
        return text
    return unicodedata.normalize("NFC", text).replace("\xad", "")


def lower(text: str, rules: str = "unicode") -> str:
    """The text in lower case, and composed."""
    return composed(text.lower(), rules)


def _clean(text: str) -> str:
    return text.translate(_CONTROLS)
