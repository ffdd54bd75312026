"""What a user typed as a system reads it: a sentence as tokens, a class by its name; for `Task.ask`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from mmjax.errors import UserError
from mmjax.text import tokenise, vocabulary

LISTED = 12  # names of classes in a message


def sentence(
    text: str,
    spelled: vocabulary.Spelled,
    model: np.ndarray | None = None,
    length: int = 20,
    align: str = "left",
    rules: str = "unicode",
) -> tuple[Int[np.ndarray, " t"], tuple[str, ...]]:
    """A sentence as `caption_tokens` of one example.

    Args:
      text: the sentence.
      spelled: the vocabulary, uint8 [v letters].
      model: of SentencePiece or byte pairs, where sentences are cut by one.
      length, align: of config.data.tokens: tokens of a sentence, <end> among them, and on which side they stand.
      rules: of config.data.tokens, too, see `tokenise`.

    Returns:
      int32 [length], and lines for the user: what the vocabulary lacks, what was cut off.

    Raises:
      UserError: no word of it is in the vocabulary.
    """
    words = vocabulary.words_of(spelled)
    ids, unknown = vocabulary.encode(text, words, "caption", model, rules)
    lost = ", ".join(_with_neighbours(word, words) for word in unknown)
    if not (ids != vocabulary.UNK).any():
        raise UserError(f"{text!r}: no word of it is in the vocabulary ({lost or 'it has none'})")
    notes = [f"not in the vocabulary: {lost}"] if unknown else []
    most = length - 1
    if len(ids) > most:
        notes.append(f"the network reads {most} tokens: the last {len(ids) - most} of {len(ids)} are cut off")
    kept = np.append(ids[:most], vocabulary.END)
    tokens = np.full(length, vocabulary.PAD, np.int32)
    tokens[length - len(kept) if align == "right" else 0 :][: len(kept)] = kept
    return tokens, tuple(notes)


def class_of(text: str, names: Sequence[str], count: int = 0) -> int:
    """The class with this name, in whichever case, or of this number; `count` classes where they have no names.

    Raises:
      UserError: there is no such class; says which come near, or which there are.
    """
    wanted, *folded = (tokenise.composed(name).casefold() for name in (text.strip(), *names))
    count = len(names) or count
    for known in (folded, [str(number) for number in range(count)]):
        if wanted in known:
            return known.index(wanted)
    close = difflib.get_close_matches(wanted, folded, 3)
    listed = [names[folded.index(name)] for name in close] or list(names[:LISTED])
    listed += ["..."] if not close and count > len(listed) > 0 else []
    offered = ", ".join(listed) or f"numbers, 0 to {count - 1}"
    raise UserError(f"{text!r} is no class of this run; it has {offered}")


def word(text: str, words: Sequence[str]) -> int:
    """The number of a word of a list, as it is spelled, composed, or in lower case.

    Raises:
      UserError: there is no such word; says which come near.
    """
    text = text.strip()
    for form in (text, tokenise.composed(text), tokenise.lower(text)):
        if form in words:
            return words.index(form)
    raise UserError(f"{_with_neighbours(text, words, 3, 0.6)} is not in the vocabulary")  # one is asked: offer more


def _with_neighbours(word: str, words: Sequence[str], most: int = 2, least: float = 0.75) -> str:
    close = difflib.get_close_matches(word, words, most, least) if len(word) > 1 else []
    return repr(word) + (f" (did you mean {' or '.join(close)}?)" if close else "")
