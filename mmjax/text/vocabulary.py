"""Vocabularies as arrays: words spelled in UTF-8 letters, so that a checkpoint holds them beside its parameters.

Pure NumPy that every room may import. A vocabulary is a list of words whose place is their number; spelled, it is
uint8 [v letters], padded with zeros. Numbers 0 to 3 are the same everywhere: <pad>, <start>, <end>, <unk>.

Five kinds of tokens, known by the words themselves: words; SentencePiece's pieces and single characters, in both of
which "▁" stands for a space; bytes, spelled "<0x41>" as SentencePiece does; and CLIP's byte pairs, of which "</w>" ends
a word.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from mmjax.errors import UserError
from mmjax.text import byte_pairs, tokenise

SPECIAL: tuple[str, ...] = ("<pad>", "<start>", "<end>", "<unk>")
PAD, START, END, UNK = range(4)
SPACE = "▁"
BYTES: tuple[str, ...] = tuple(f"<0x{value:02X}>" for value in range(256))
LONGEST = 64  # letters of a word; a longer one is no word but an address

Spelled = UInt8[np.ndarray, "v letters"]


def spell(words: Sequence[str]) -> Spelled:
    """Words as UTF-8 letters, uint8 [v letters], as wide as the longest needs.

    Raises:
      UserError: a word is empty or holds a zero byte, which pads.
    """
    encoded = [word.encode() for word in words]
    bad = next((word for word, letters in zip(words, encoded) if not letters or 0 in letters), None)
    if bad is not None:
        raise UserError(f"a vocabulary cannot hold the word {bad!r}")
    width = max(map(len, encoded), default=1)
    return np.array(encoded, f"S{width}").view(np.uint8).reshape(len(words), width)


def words_of(spelled: Spelled) -> list[str]:
    """The words that `spell` spelled."""
    spelled = np.ascontiguousarray(spelled)
    return [word.decode("utf-8", "replace") for word in spelled.view(f"S{spelled.shape[1]}")[:, 0]]


def numbers_of(words: Sequence[str], spelled: Spelled) -> Int[np.ndarray, " n"]:
    """The numbers of words in a spelled vocabulary, int32; -1 for those that it lacks."""
    index = {word: number for number, word in enumerate(words_of(spelled))}
    return np.array([index.get(word, -1) for word in words], np.int32)


def encode(
    text: str,
    vocabulary: Sequence[str] | Spelled,
    field: str = "caption",
    model: Any = None,
    rules: str = "unicode",
) -> tuple[Int[np.ndarray, " t"], list[str]]:
    """A text as numbers, for use outside a run: a question typed by a user, a caption to be scored.

    Args:
      text: any text.
      vocabulary: its words, or the spelled array from a checkpoint's `frozen`.
      field: "caption" or "question", which are cut differently.
      model: of SentencePiece or of byte pairs (uint8 array or bytes), where the vocabulary is one of these.
      rules: of the run's config.data.tokens.rules, see `tokenise`.

    Returns:
      int32 [t] without <start>, <end> and padding, <unk> for what the vocabulary lacks; and those words, each once.

    Raises:
      UserError: the vocabulary holds pieces or byte pairs, but there is no model.
    """
    words = words_of(vocabulary) if isinstance(vocabulary, np.ndarray) else list(vocabulary)
    index = {word: number for number, word in enumerate(words)}
    if model is None and any(len(word) > 1 and word[0] == SPACE for word in words):
        raise UserError("this vocabulary holds SentencePiece's pieces: encoding needs its model as well")
    if model is None and any(map(_ends_word, words)):
        raise UserError("this vocabulary holds byte pairs: encoding needs their model as well")
    tokens = splitter(kind_of(words, model), field, model, rules)(text)
    unknown = dict.fromkeys(token for token in tokens if token not in index)
    return np.array([index.get(token, UNK) for token in tokens], np.int32), list(unknown)


def decode(ids: Iterable[int], vocabulary: Sequence[str] | Spelled) -> str:
    """Numbers as a text: up to the first <end>, without <pad> and <start>."""
    words = words_of(vocabulary) if isinstance(vocabulary, np.ndarray) else vocabulary
    return join(words[int(number)] for number in ids)


def join(tokens: Iterable[str | bytes]) -> str:
    """Spelled tokens as a text: up to the first <end>, without <pad> and <start>.

    A row of a prediction "text/..." that holds the rows of a spelled vocabulary is such tokens.
    """
    kept: list[str] = []
    for token in tokens:
        word = token.decode("utf-8", "replace") if isinstance(token, bytes) else str(token)
        if word == SPECIAL[END]:
            break
        if word not in ("", SPECIAL[PAD], SPECIAL[START]):
            kept.append(word)
    if any(map(_ends_word, kept)):
        return byte_pairs.join(kept)
    pieces = any(SPACE in word or word in _VALUES for word in kept)
    return _join_pieces(kept) if pieces else " ".join(kept)


def _ends_word(token: str) -> bool:
    return token.endswith(byte_pairs.END_OF_WORD) and token != byte_pairs.END_OF_WORD  # which may be a word of HTML


def _join_pieces(tokens: Iterable[str]) -> str:
    raw = b"".join(_VALUES[token] if token in _VALUES else token.encode() for token in tokens)
    return raw.decode("utf-8", "replace").replace(SPACE, " ").strip()


_VALUES = {word: bytes([value]) for value, word in enumerate(BYTES)}


# -- kinds of tokens ---------------------------------------------------------------------------------------------------

CUTS: tuple[str, ...] = ("words", "characters", "bytes", "sentencepiece", "bpe")


def kind_of(words: Sequence[str], model: Any = None) -> str:
    """Which of CUTS a vocabulary is."""
    if model is not None:
        return "bpe" if _raw(model).startswith(byte_pairs.HEADER) else "sentencepiece"
    known = set(words)
    return "bytes" if BYTES[0] in known else "characters" if SPACE in known else "words"


def splitter(kind: str, field: str, model: Any = None, rules: str = "unicode") -> Callable[[str], list[str]]:
    """text -> its tokens, spelled as the vocabulary spells them; picklable."""
    if kind == "words":
        return functools.partial(tokenise.SPLITTERS[field], rules=rules)
    if kind == "sentencepiece":
        return Pieces(_raw(model))
    if kind == "bpe":
        return byte_pairs.BytePairs(_raw(model))
    return functools.partial(_characters if kind == "characters" else _bytes, rules=rules)


def _raw(model: Any) -> bytes:
    return model if isinstance(model, bytes) else np.asarray(model, np.uint8).tobytes()


def _characters(text: str, rules: str) -> list[str]:
    letters = f" {tokenise.answer(text, rules)}" if text.strip() else ""
    return [SPACE if letter == " " else letter for letter in letters]


def _bytes(text: str, rules: str) -> list[str]:
    return [BYTES[value] for value in tokenise.answer(text, rules).encode()]


class Pieces:
    """Cuts text into the pieces of a SentencePiece model.

    Args:
      model: the bytes of the .model file.

    Raises:
      UserError: SentencePiece is not installed, or these are no such bytes.
    """

    def __init__(self, model: bytes):
        self.model = model
        self.words  # noqa: B018  (a damaged model is told here and not in a worker)

    @functools.cached_property
    def _processor(self) -> Any:
        try:
            return sentencepiece().SentencePieceProcessor(model_proto=self.model)
        except RuntimeError as error:
            raise UserError(f"this is no SentencePiece model: {str(error).splitlines()[0]}") from None

    @property
    def words(self) -> list[str]:
        """The four special words, then the model's own pieces in its order."""
        processor = self._processor
        numbers = range(processor.get_piece_size())
        own = [n for n in numbers if not (processor.is_control(n) or processor.is_unknown(n) or processor.is_unused(n))]
        return [*SPECIAL, *(processor.id_to_piece(n) for n in own)]

    def __call__(self, text: str) -> list[str]:
        return self._processor.encode(text, out_type=str)

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model}


def sentencepiece() -> Any:
    """The module. Raises UserError where it is not installed."""
    try:
        import sentencepiece as module
    except ImportError:
        raise UserError("kind \"sentencepiece\" needs the extra `text`: pip install 'mmjax[text]'") from None
    return module
