"""Text as numbers: the fields that tasks need made from the text columns that data sets have.

`caption_tokens` (one) and `captions_tokens` (all) come from `captions` or `caption`, `question_tokens` from
`question`, `answer_label` and `question_type_label` from `answer` and `question_type`. Their vocabularies are built
from the training split alone, whichever split is opened, kept in a cache on disk, and handed on as the source's
`constants`, so that a run's checkpoint holds what its numbers mean.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.data import fingerprints
from mmjax.data.fingerprints import Print
from mmjax.data.tokens import token_tables
from mmjax.data.tokens.token_tables import Table
from mmjax.errors import UserError
from mmjax.text import tokenise, vocabulary

# What can be made: from which text, in order of preference.
FROM: dict[str, tuple[str, ...]] = {
    "caption_tokens": ("captions", "caption"),
    "captions_tokens": ("captions", "caption"),
    "question_tokens": ("question",),
    "answer_label": ("answer",),
    "question_type_label": ("question_type",),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """config.data.tokens: how text becomes numbers.

    Attributes:
      kind: "words", "characters", "bytes", "sentencepiece" (the extra `text`) or "bpe" (CLIP's byte pairs).
      min_count: rarer words are <unk>.
      max_words: so many of the most frequent words (of SentencePiece: pieces) are known; 0 = all. Of byte pairs, the
        first so many of the file; CLIP's published weights want all, 48,894.
      length: numbers of a text, padded or cut to this; a caption's <end> is one of them.
      captions: rows of `captions_tokens`: of an example with more captions the first so many are read.
      align: "left" pads behind the text, "right" before it (the VQA code).
      answers: so many of the most frequent answers are classes.
      examples: training examples that are read for the vocabulary, evenly spread; 0 = all.
      rules: "unicode", where letters keep their marks and are composed, or "letters", of runs from before: see
        `tokenise`. Of "words", "characters" and "bytes"; the others bring their own.
      path: your own vocabulary, a word a line (what follows a space is ignored), or SentencePiece model, or for
        "bpe" bpe_simple_vocab_16e6.txt.gz, which is otherwise looked for among the installed packages.
    """

    kind: str = "words"
    min_count: int = 1
    max_words: int = 10_000
    length: int = 20
    captions: int = 5  # what Flickr8k, Flickr30k and COCO have
    align: str = "left"
    answers: int = 1000
    examples: int = 0
    path: str = ""
    rules: str = "unicode"

    def __post_init__(self):
        least = {"min_count": 1, "max_words": 0, "length": 2, "captions": 1, "answers": 1, "examples": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise UserError(f"config.data.tokens.{name} is {getattr(self, name)}: it must be at least {low}")
        for name, choices in {
            "kind": vocabulary.CUTS,
            "align": ("left", "right"),
            "rules": tokenise.RULES,
        }.items():
            if getattr(self, name) not in choices:
                raise UserError(
                    f"config.data.tokens.{name} {getattr(self, name)!r} is unknown: choose {', '.join(choices)}"
                )


def options(section: Mapping[str, Any] | None) -> Options:
    """The section of a config. Raises UserError for a field that it does not have, or a value out of range."""
    known = [field.name for field in dataclasses.fields(Options)]
    section = section or {}
    strange = [name for name in section if name not in known]
    if strange:
        raise UserError(f"config.data.tokens.{strange[0]}: there is no such option; it has {', '.join(known)}")
    return Options(**{name: section[name] for name in section})


def texts(made: tuple[str, ...], offered: tuple[str, ...]) -> tuple[str, ...]:
    """The text columns to read for the fields to make; the preferred one where a data set has neither."""
    wanted = []
    for field in made:
        have = [column for column in FROM[field] if column in offered]
        wanted += have or [FROM[field][-1]]
    return tuple(dict.fromkeys(wanted))


def wrap(
    source: Any,
    fields: tuple[str, ...],
    made: tuple[str, ...],
    chosen: Options,
    training: Callable[[], Any],
    about: Any,
) -> Tokenised:
    """`source` with the fields of `made`.

    Args:
      source: of any split, offering the columns of `texts`.
      fields: what its examples shall have.
      made: which of them are made here.
      chosen: the options.
      training: opens the training split with the same text columns and nothing else.
      about: what names that split: JSON for the cache's key.

    Raises:
      UserError: there is no text to build a vocabulary from, or the user's own is damaged.
    """
    tables = token_tables.tables(made, chosen, training, about)
    encoders = {field: _encoder(field, tables[field], chosen) for field in made}
    return Tokenised(source, tuple(fields), encoders, tables)


def of_run(
    fields: Sequence[str], constants: Mapping[str, np.ndarray], chosen: Options
) -> dict[str, Callable[[Any], dict[str, Any]]]:
    """{field: text -> its arrays and lengths}, as the data sets of a run made them: for what a user types.

    Args:
      fields: "caption_tokens", "captions_tokens" (of several texts), "question_tokens".
      constants: of the run, with the vocabulary of each.
      chosen: of the run.

    Raises:
      UserError: the run kept no vocabulary.
    """
    made = {}
    for field in fields:
        name = token_tables.stem(field)
        if f"{name}_vocabulary" not in constants:
            raise UserError(f"the run kept no vocabulary for {field}: it is from before runs did, or of other data")
        model = np.asarray(constants.get(f"{name}_model", ()), np.uint8).tobytes()
        words = tuple(vocabulary.words_of(np.asarray(constants[f"{name}_vocabulary"])))
        made[field] = _encoder(field, Table(words, model, 0, 0, 0, {}), chosen)
    return made


@dataclasses.dataclass(frozen=True)
class Tokenised:
    """A random-access source; made by `wrap`. In training (`draw`) one of several captions is drawn at each visit."""

    inner: Any
    fields: tuple[str, ...]
    encoders: dict[str, Callable[[Any], dict[str, Any]]]
    tables: dict[str, Table]

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._finish(self.inner[index], None)

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Example `index` with a caption of `rng`'s choice; other draws are the inner source's."""
        inner = getattr(self.inner, "draw", None)
        return self._finish(inner(index, rng) if inner else self.inner[index], rng)

    def _finish(self, example: dict[str, Any], rng: np.random.Generator | None) -> dict[str, Any]:
        out = dict(example)
        if "caption_tokens" in self.encoders:
            out["caption"] = _caption(example, rng)
        whole = {field: out[field] for field in self.fields if field in out}
        lengths = {name: value for name, value in out.items() if name.endswith("_length")}
        for field, encode in self.encoders.items():
            whole |= encode(_captions(example) if field == "captions_tokens" else _str(out[FROM[field][-1]]))
        return whole | lengths

    @functools.cached_property
    def constants(self) -> dict[str, np.ndarray]:
        """The spelled vocabularies, uint8 [v letters], and the bytes of SentencePiece models, beside the inner ones."""
        found = dict(getattr(self.inner, "constants", {}))
        for field, table in self.tables.items():
            name = token_tables.stem(field)
            found[f"{name}_vocabulary"] = vocabulary.spell(table.words)
            if field in token_tables.LABELS:  # under the name, too, by which a task asks for the names of classes
                found[f"{field}_names"] = found[f"{name}_vocabulary"]
            if table.model:
                found[f"{name}_model"] = np.frombuffer(table.model, np.uint8)
        return found

    @property
    def prints(self) -> dict[str, Print]:
        """Of a field that is made here: the text that it is made from, and the words that its numbers mean."""
        whole = tuple(field for field in self.fields if field not in self.encoders)
        columns = tuple(column for field in self.encoders for column in FROM[field])
        inner = getattr(self.inner, "prints", None) or fingerprints.of(self.inner, (*whole, *columns))
        found = {field: inner[field] for field in whole if field in inner}
        for field, table in self.tables.items():
            text = next((inner[column] for column in FROM[field] if column in inner), None)
            if text is not None:
                # Pieces that are the same may still be cut otherwise: the model is part of the content.
                content = text.content + (fingerprints.whole(table.model.hex()).content if table.model else "")
                found[field] = Print(content, table.words, text.examples)
        return found


def _caption(example: dict[str, Any], rng: np.random.Generator | None) -> str:
    """The caption of this visit: any of several in training, the data set's own choice or the first otherwise."""
    several = example.get("captions", ())
    if rng is not None and len(several):
        return _str(several[int(rng.integers(len(several)))])
    if "caption" in example:
        return _str(example["caption"])
    return _str(several[0]) if len(several) else ""


def _captions(example: dict[str, Any]) -> list[str]:
    """All captions; the one that there is where a data set has no more."""
    return [_str(text) for text in (example["captions"] if "captions" in example else (example["caption"],))]


def _str(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# -- one text to numbers -----------------------------------------------------------------------------------------------


def _encoder(field: str, table: Table, chosen: Options) -> Callable[[Any], dict[str, Any]]:
    index = {word: number for number, word in enumerate(table.words)}
    if field in token_tables.LABELS:
        return functools.partial(_label, field, index, chosen.rules)
    name = token_tables.stem(field)
    split = vocabulary.splitter(chosen.kind, name, table.model or None, chosen.rules)
    ends = (vocabulary.END,) if name == "caption" else ()
    numbers = functools.partial(_numbers, index, split, ends, chosen.length, chosen.align == "right")
    if field == "captions_tokens":
        return functools.partial(_several, field, numbers, (chosen.captions, chosen.length))
    return functools.partial(_tokens, field, numbers)


def _label(field: str, index: dict[str, int], rules: str, text: str) -> dict[str, Any]:
    return {field: np.int32(index.get(tokenise.answer(text, rules), -1))}


Numbers = Callable[[str], tuple[np.ndarray, int]]


def _tokens(field: str, numbers: Numbers, text: str) -> dict[str, Any]:
    """{field: int32 [length], its length} of one text."""
    tokens, length = numbers(text)
    return {field: tokens, f"{field}_length": np.int32(length)}


def _several(field: str, numbers: Numbers, shape: tuple[int, int], texts: list[str]) -> dict[str, Any]:
    """{field: int32 [c length], their lengths int32 [c]}; 0 where there is no such text."""
    tokens, lengths = np.full(shape, vocabulary.PAD, np.int32), np.zeros(shape[0], np.int32)
    for row, text in enumerate(texts[: shape[0]]):
        tokens[row], lengths[row] = numbers(text)
    return {field: tokens, f"{field}_length": lengths}


def _numbers(
    index: dict[str, int],
    split: Callable[[str], list[str]],
    ends: tuple[int, ...],
    length: int,
    right: bool,
    text: str,
) -> tuple[np.ndarray, int]:
    """(int32 [length] padded, how many are not padding); a caption ends with <end>, also where it was cut."""
    ids = [index.get(token, vocabulary.UNK) for token in split(text)]
    ids[length - len(ends) :] = ends
    tokens = np.full(length, vocabulary.PAD, np.int32)
    tokens[length - len(ids) if right else 0 :][: len(ids)] = ids
    return tokens, len(ids)
