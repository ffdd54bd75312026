"""CLIP's tokens: byte pairs of lower-case text (Sennrich et al. 2016, over bytes as in GPT-2), without its files.

Pure functions on strings that every room may import. A token is spelled in an alphabet of 256 letters, one for each
byte value, and "</w>" ends the last token of a word. A model is the pairs that are merged, in their order, as text.
"""

from __future__ import annotations

import functools
import gzip
import html
import itertools
import re
import unicodedata
import zlib
from collections.abc import Iterable

from mmjax.errors import UserError

HEADER = b"#byte pairs\n"  # of a model; no SentencePiece model starts so
END_OF_WORD = "</w>"
MERGES = 48_894  # CLIP takes so many of the file's 262,144 pairs: 49,408 tokens with its two special ones


def _alphabet() -> dict[int, str]:
    """A letter for each byte value, in CLIP's order: those that can be seen stand for themselves and come first."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [value for value in range(256) if value not in seen]
    return {**{value: chr(value) for value in seen}, **{value: chr(256 + i) for i, value in enumerate(rest)}}


_LETTER = _alphabet()
ALPHABET = tuple(_LETTER.values())
SINGLE = (*ALPHABET, *(letter + END_OF_WORD for letter in ALPHABET))  # the first 512 tokens
_VALUE = {letter: value for value, letter in _LETTER.items()}


def model(content: bytes, source: str, most: int = 0) -> bytes:
    """The model in a vocabulary file.

    Args:
      content: of CLIP's bpe_simple_vocab_16e6.txt.gz, the same unpacked, or a merges.txt: a first line that is left
        out, then a pair a line.
      source: the file, for messages.
      most: pairs to take; 0 = `MERGES`.

    Raises:
      UserError: it is damaged, or another kind of file.
    """
    try:
        raw = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        lines = raw.decode().split("\n")[1 : (most or MERGES) + 1]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{source} is no vocabulary of byte pairs that can be read ({error})") from None
    while lines and not lines[-1].strip():
        lines.pop()
    bad = next((number for number, line in enumerate(lines, 2) if len(line.split()) != 2), None)
    if bad is not None or not lines:
        raise UserError(f"{source}, line {bad or 2}: a vocabulary of byte pairs wants two tokens there")
    return HEADER + "\n".join(" ".join(line.split()) for line in lines).encode()


class BytePairs:
    """Cuts text into the tokens of a model.

    Text is cleaned as CLIP does: HTML entities resolved twice, white space collapsed, lower case. CLIP also has ftfy
    repair it; of that, curly quotes, ligatures, letters of full width, control characters and composed accents are
    done here, text that was decoded wrongly and a terminal's colours are not: the tokens are CLIP's wherever ftfy finds
    nothing else. And "<|endoftext|>" in a text is so many letters, where CLIP's own tokeniser would end the text.

    Args:
      model: what `model` made.
    """

    def __init__(self, model: bytes):
        self.model = model
        self._known: dict[str, list[str]] = {}

    @functools.cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        lines = self.model[len(HEADER) :].decode().split("\n")
        return {(first, second): rank for rank, (first, second) in enumerate(map(str.split, lines))}

    @property
    def tokens(self) -> list[str]:
        """All of them in CLIP's order, without its two special ones."""
        return [*SINGLE, *(first + second for first, second in self._ranks)]

    def __call__(self, text: str) -> list[str]:
        return [token for word in _words()(_cleaned(text)) for token in self._merged(word)]

    def _merged(self, word: str) -> list[str]:
        if word in self._known:
            return self._known[word]
        letters = [_LETTER[value] for value in word.encode()]
        parts = [*letters[:-1], letters[-1] + END_OF_WORD]
        while len(parts) > 1:
            pairs = set(itertools.pairwise(parts))
            first = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if first not in self._ranks:
                break
            parts = _merge(parts, first)
        if len(self._known) < 2**17:  # words recur, but a stream of numbers need not end
            self._known[word] = parts
        return parts

    def __getstate__(self) -> dict[str, bytes]:
        return {"model": self.model}

    def __setstate__(self, state: dict[str, bytes]) -> None:
        self.__init__(state["model"])  # type: ignore[misc]


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """Every occurrence of the pair as one, from the left."""
    out: list[str] = []
    i = 0
    while i < len(parts):
        both = tuple(parts[i : i + 2]) == pair
        out.append("".join(pair) if both else parts[i])
        i += 2 if both else 1
    return out


def join(tokens: Iterable[str]) -> str:
    """Tokens as a text: words apart by one space, as CLIP's tokeniser writes them."""
    letters = "".join(tokens).replace(END_OF_WORD, " ")  # the space is no letter of the alphabet
    raw = b"".join(bytes([_VALUE[letter]]) if letter in _VALUE else letter.encode() for letter in letters)
    return raw.decode("utf-8", "replace").strip()


# -- from text to words ------------------------------------------------------------------------------------------------

# What ftfy.fix_text always changes: ligatures and letters of full or half width (to their NFKC), quotes, controls.
_COMPATIBLE = re.compile("[\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb06\u3000\uff01-\uffef]")
_PLAIN = dict.fromkeys([0x2BC, *range(0x2018, 0x201C)], "'") | dict.fromkeys(range(0x201C, 0x2020), '"')
_CONTROLS = (*range(9), 0xB, *range(0xE, 0x20), 0x7F, *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD))
_PLAIN |= dict.fromkeys(_CONTROLS, "")


def _cleaned(text: str) -> str:
    text = html.unescape(html.unescape(text))
    text = _COMPATIBLE.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)
    text = unicodedata.normalize("NFC", text.translate(_PLAIN))
    return " ".join(text.split()).lower()


@functools.cache
def _words():
    """text -> its words: English clitics, runs of letters, single digits, runs of other signs.

    The `regex` package's letters and numbers in terms of `re`, whose \\w holds both and whose \\d lacks fractions,
    exponents and Roman numerals.
    """
    numbers = "".join(c for c in map(chr, range(0x110000)) if unicodedata.category(c) in ("Nl", "No"))
    return re.compile(
        rf"'s|'t|'re|'ve|'m|'ll|'d|(?:(?![{numbers}])[^\W\d_])+|[\d{numbers}]|(?:(?![{numbers}])[^\s\w]|_)+",
        re.IGNORECASE,
    ).findall
