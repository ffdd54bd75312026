"""The vocabularies behind `token_fields`: counted over the training split once, kept on disk, reported in a line."""

from __future__ import annotations

import base64
import collections
import dataclasses
import hashlib
import io
import json
import pathlib
import sys
from collections.abc import Callable, Iterable
from typing import Any

import tqdm

from mmjax.data import caches
from mmjax.data.tokens import byte_pair_file, counting
from mmjax.errors import UserError
from mmjax.text import byte_pairs, tokenise, vocabulary

FORMAT = 2  # of the cache; raised whenever the same texts would give other words
ALIKE = {"captions_tokens": "caption_tokens"}  # all captions and one of them share a vocabulary
LABELS = ("answer_label", "question_type_label")  # whole texts as classes
SHAPING = ("length", "captions", "align")  # options that change arrays, not vocabularies


@dataclasses.dataclass(frozen=True)
class Table:
    """One vocabulary.

    Attributes:
      words: in the order of their numbers.
      model: the bytes of SentencePiece's model, or that of byte pairs, else b"".
      texts: of the training split that were read.
      tokens: in them.
      unknown: of these, how many the vocabulary lacks.
      lengths: {tokens of a text: how many texts}.
    """

    words: tuple[str, ...]
    model: bytes
    texts: int
    tokens: int
    unknown: int
    lengths: dict[int, int]


def stem(field: str) -> str:
    """ "answer_label" -> "answer", "caption_tokens" and "captions_tokens" -> "caption"."""
    return ALIKE.get(field, field).removesuffix("_label").removesuffix("_tokens")


_KEPT: dict[str, Table] = {}  # of this process: the other splits find them here, and each is told once


def tables(made: tuple[str, ...], chosen: Any, training: Callable[[], Any], about: Any) -> dict[str, Table]:
    """{field: its vocabulary} for the fields to make, read from the cache or counted in one pass.

    Args:
      made: of caption_tokens, captions_tokens, question_tokens, answer_label, question_type_label.
      chosen: the `Options`.
      training: opens the training split's text columns.
      about: what names that split.
    """
    asked, made = made, tuple(dict.fromkeys(ALIKE.get(field, field) for field in made))
    source = training()
    if not len(source):
        raise UserError("the training split is empty: there is no text to build a vocabulary from")
    path = str(byte_pair_file.find(chosen.path)) if chosen.kind == "bpe" else chosen.path
    own = _digest(path) if path else ""
    how = {name: value for name, value in dataclasses.asdict(chosen).items() if name not in SHAPING}
    known = {field: text for field in made if (text := _fingerprint(source, field))}
    # Of a source that does not know its text again, the text itself is the key: another one is another vocabulary.
    read = _read(source, tuple(field for field in made if field not in known), chosen)
    known |= {field: _digest_of(texts) for field, texts in read.items()}
    keys = {field: counting.cache([FORMAT, field, how, own, about, len(source), known[field]]) for field in made}
    found = {field: table for field, key in keys.items() if (table := _KEPT.get(str(key)) or _load(key)) is not None}
    missing = tuple(field for field in made if field not in found)
    read |= _read(source, tuple(field for field in missing if field not in read), chosen)
    counted = {field: _table(field, read[field], chosen) for field in missing}
    for field, table in counted.items():
        _save(keys[field], table)
    found |= counted
    for field, key in keys.items():
        if str(key) not in _KEPT:
            _KEPT[str(key)] = found[field]
            print(_told(field, found[field], chosen), file=sys.stderr)
    return {field: found[ALIKE.get(field, field)] for field in asked}


def _fingerprint(source: Any, field: str) -> str:
    """What the source says of the text that a field is made from; "" where it says nothing."""
    offered = getattr(source, "prints", {})
    return " ".join(offered[name].content for name in (f"{stem(field)}s", stem(field)) if name in offered)


def _digest_of(texts: collections.Counter[str]) -> str:
    state = hashlib.sha256()
    for text, times in sorted(texts.items()):
        raw = text.encode("utf-8", "surrogatepass")
        state.update(b"%d %d:" % (times, len(raw)) + raw)
    return state.hexdigest()


def _texts_of(example: dict[str, Any], made: tuple[str, ...]) -> dict[str, list[str]]:
    """{field: the texts that it is made from} of one example."""
    out = {}
    for field in made:
        column = "captions" if field == "caption_tokens" and "captions" in example else stem(field)
        value = example[column]
        several = [value] if isinstance(value, str | bytes) else value
        out[field] = [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in several]
    return out


def _spread(size: int, most: int) -> Iterable[int]:
    """At most `most` places evenly spread over `size`; all of them for 0."""
    most = min(most or size, size)
    return (position * size // most for position in range(most))


# -- counting ----------------------------------------------------------------------------------------------------------


def _read(source: Any, made: tuple[str, ...], chosen: Any) -> dict[str, collections.Counter[str]]:
    """{field: its texts, how often each occurs} of the examples that a vocabulary is made from."""
    read: dict[str, collections.Counter[str]] = {field: collections.Counter() for field in made}
    places = list(_spread(len(source), chosen.examples)) if made else []
    for index in tqdm.tqdm(places, desc="reading texts", unit="example", disable=None, leave=False):
        for field, found in _texts_of(source[index], made).items():
            read[field].update(found)
    return read


def _table(field: str, read: collections.Counter[str], chosen: Any) -> Table:
    """The vocabulary of texts that occur so many times each."""
    if field in LABELS:
        counts: collections.Counter[str] = collections.Counter()
        for text, times in read.items():
            counts[tokenise.answer(text, chosen.rules)] += times
        words = _ranked(counts, 1, chosen.answers if field == "answer_label" else 0)
        known = sum(counts[word] for word in words)
        return Table(tuple(words), b"", counts.total(), counts.total(), counts.total() - known, {1: counts.total()})
    words, model = _words(field, read, chosen)
    known_words, split = set(words), vocabulary.splitter(chosen.kind, field.split("_")[0], model or None, chosen.rules)
    lengths: collections.Counter[int] = collections.Counter()
    total = unknown = 0
    for text, times in read.items():
        tokens = split(text)
        lengths[len(tokens)] += times
        total += times * len(tokens)
        unknown += times * sum(token not in known_words for token in tokens)
    return Table(tuple(words), model, read.total(), total, unknown, dict(sorted(lengths.items())))


def _words(field: str, read: collections.Counter[str], chosen: Any) -> tuple[list[str], bytes]:
    """(the words with the four special ones first, the model of SentencePiece or of byte pairs or b"")."""
    if chosen.kind == "sentencepiece":
        model = pathlib.Path(chosen.path).expanduser().read_bytes() if chosen.path else _train(field, read, chosen)
        return vocabulary.Pieces(model).words, model
    if chosen.kind == "bpe":
        path = byte_pair_file.find(chosen.path)
        model = byte_pairs.model(path.read_bytes(), str(path), chosen.max_words)
        return [*vocabulary.SPECIAL, *byte_pairs.BytePairs(model).tokens], model
    if chosen.kind == "bytes":
        return [*vocabulary.SPECIAL, *vocabulary.BYTES], b""
    if chosen.path:
        return [*vocabulary.SPECIAL, *_own(chosen.path)], b""
    split = vocabulary.splitter(chosen.kind, field.split("_")[0], rules=chosen.rules)
    counts: collections.Counter[str] = collections.Counter()
    for text, times in read.items():
        for token in split(text):
            counts[token] += times
    if not counts:
        raise UserError(f"the training split's {field.split('_')[0]}s have no words: they are empty")
    ranked = _ranked(counts, chosen.min_count, chosen.max_words)
    if not ranked:
        raise UserError(
            f"no word of the {field.split('_')[0]}s occurs {chosen.min_count} times (the most frequent occurs "
            f"{max(counts.values())} times): lower config.data.tokens.min_count"
        )
    return [*vocabulary.SPECIAL, *ranked], b""


def _ranked(counts: collections.Counter[str], min_count: int, most: int) -> list[str]:
    """Words by count, then by spelling; those that cannot be spelled, or are too long to be words, are left out."""
    fit = [
        word
        for word, count in counts.items()
        if count >= min_count and word not in vocabulary.SPECIAL and 0 < len(word.encode()) <= vocabulary.LONGEST
    ]
    return sorted(fit, key=lambda word: (-counts[word], word))[: most or None]


def _train(field: str, read: collections.Counter[str], chosen: Any) -> bytes:
    """A SentencePiece model of the texts, in lower case, its special pieces numbered as ours."""
    trainer = vocabulary.sentencepiece().SentencePieceTrainer
    written = io.BytesIO()
    special = {f"{name}_id": number for number, name in enumerate(("pad", "bos", "eos", "unk"))}
    pieces = {f"{name}_piece": vocabulary.SPECIAL[number] for number, name in enumerate(("pad", "bos", "eos", "unk"))}
    try:
        trainer.train(
            sentence_iterator=iter(sorted(read.elements())),  # sorted: the order of the examples must not matter
            model_writer=written,
            vocab_size=(chosen.max_words or 8000) + len(vocabulary.SPECIAL),
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="nmt_nfkc_cf",
            num_threads=1,
            minloglevel=3,
            **special,
            **pieces,
        )
    except RuntimeError as error:
        what = field.split("_")[0]
        raise UserError(f"SentencePiece cannot be trained on these {what}s: {str(error).splitlines()[0]}") from None
    return written.getvalue()


def _own(path: str) -> list[str]:
    """The words of the user's file, in its order; the special ones are left out, they come first anyway."""
    try:
        lines = pathlib.Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"config.data.tokens.path={path} is not UTF-8 text") from None
    words = [line.split()[0] for line in lines if line.strip()]
    words = [word for word in words if word not in vocabulary.SPECIAL]
    if not words:
        raise UserError(f"config.data.tokens.path={path} has no words: it wants one a line")
    twice = next((word for word, count in collections.Counter(words).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"config.data.tokens.path={path} has {twice!r} twice: each word has one number")
    return words


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(pathlib.Path(path).expanduser().read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"config.data.tokens.path={path} cannot be read: {error.strerror}") from None


# -- the cache, and what is told ---------------------------------------------------------------------------------------


def _load(path: pathlib.Path) -> Table | None:
    try:
        raw = json.loads((path / "table.json").read_text(encoding="utf-8"))
        lengths = {int(length): count for length, count in raw.pop("lengths").items()}
        raw |= {"words": tuple(raw["words"]), "model": base64.b64decode(raw["model"]), "lengths": lengths}
        return Table(**raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # not there, or damaged: it is made anew


def _save(path: pathlib.Path, table: Table) -> None:
    raw = {**dataclasses.asdict(table), "model": base64.b64encode(table.model).decode()}
    caches.write(path / "table.json", json.dumps(raw, ensure_ascii=False).encode())


def _told(field: str, table: Table, chosen: Any) -> str:
    """What a user should know of a vocabulary, in one line."""
    if field in LABELS:
        share, what = table.unknown / max(table.texts, 1), f"{stem(field).replace('_', ' ')}s"
        return f"{field}: {len(table.words):,} {what}; {share:.2%} of {table.texts:,} training {what} are others"
    room = chosen.length - (field == "caption_tokens")
    cut = sum(count for length, count in table.lengths.items() if length > room)
    name = field.split("_")[0]
    share = table.unknown / max(table.tokens, 1)
    unit = {"words": "words", "characters": "characters", "bytes": "bytes"}.get(chosen.kind, "pieces")
    return (
        f"{field}: {len(table.words):,} {unit} from {table.texts:,} training {name}s; {share:.2%} of their {unit} are "
        f"<unk>, {cut:,} {name}s are cut to {room} (the longest has {max(table.lengths, default=0)})"
    )
