"""What a listener understands of what a system says: words, and whose voice it is, beside the true recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from mmjax import judges
from mmjax.errors import OptionError
from mmjax.judges.listener import SpeechJudge
from mmjax.metrics import recognised
from mmjax.task import Figures, Variables, bind
from mmjax.text import vocabulary

Judges = tuple[SpeechJudge, ...]
# Suffix of word_error -> the prediction that holds what was understood of it.
HEARD = {"": "heard", "/recording": "heard_in_recording", "/true_frames": "heard_in_true_frames"}


def chosen(config: ConfigDict, sample_rate: int) -> Judges:
    """The judges of config.eval.judges. Raises UserError for one that is unknown or hears sounds of another rate."""
    found = judges.listening(config.eval.get("judges", ()), sample_rate)
    if found and found[0].sample_rate != sample_rate:
        raise OptionError("config.frames.sample_rate", f"is {sample_rate}: the listener hears {found[0].sample_rate}")
    return found


def there(listeners: Judges, variables: Variables) -> bool:
    """Whether a judge listens: not where none was chosen, nor in a restored run."""
    return any(judge.name in variables.get("judges", {}) for judge in listeners)


def listen(
    listeners: Judges, variables: Variables, name: str, sound: Float[Array, "b time"], length: Int[Array, " b"]
) -> tuple[dict[str, Array], Float[Array, "b k"] | None]:
    """What the judge that is `there` hears of sounds of so many samples.

    Returns:
      (the prediction text/<name>, or where the judge is no network, what `on_host` makes it of; the hidden factors of
      the voices, None from who does not tell).
    """
    (judge,) = listeners
    if judge.hear is None:
        return {f"waveform/{name}": sound, f"number/samples_of_{name}": length}, None
    heard = judge.hear(variables["judges"][judge.name], sound, length)
    return {f"text/{name}": heard.words}, heard.speaker


def of_rows(found: Mapping[str, Array], rows: Int[Array, " b"], name: str, other: str) -> dict[str, Array]:
    """What `listen` found by `name` in other rows, by the name `other`."""
    return {key.removesuffix(name) + other: value[rows] for key, value in found.items()}


def on_host(listeners: Judges) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]] | None:
    """See `Task.on_host`: what a judge that is no network understands of the sounds of `listen`; None without one."""
    writers = [judge.written for judge in listeners if judge.written]
    return bind(_written, writers[0]) if writers else None


def _written(writer: Callable[..., np.ndarray], predicted: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    known: dict[bytes, np.ndarray] = {}  # the same sound may stand for several things
    for key in [key for key in predicted if key.startswith("waveform/")]:
        name, texts = key.removeprefix("waveform/"), []
        for sound, length in zip(predicted[key], predicted[f"number/samples_of_{name}"], strict=True):
            real = np.ascontiguousarray(sound[:length])
            what = real.tobytes()
            if what not in known:
                (known[what],) = writer(real[None], np.array([len(real)]))
            texts.append(known[what])
        found[f"text/{name}"] = np.stack(texts)
    return found


def texts(rows: Any) -> list[list[str]]:
    """The words of a prediction of what was heard."""
    return recognised.words(map(vocabulary.join, rows))


def score(predictions: Mapping[str, np.ndarray], references: Mapping[str, Any]) -> Figures:
    """The listener's errors, where one listened. Of words and of letters: in the sentences whose text somebody wrote
    down, in lower case and without punctuation, with the spaces between words.

    Word error of what is said, beside that of silence, of another sentence, of the true recordings (which no speaker
    beats: the listener's own error) and of their frames made sound again. How much two voices that say the same differ
    in the words that are heard, beside two sentences by one voice. How far off the voice is, beside the mean voice, a
    voice of another example, and what the listener hears of the true recording.
    """
    if "text/heard" not in predictions:
        return {}
    wanted = recognised.words(references["caption"])
    told = [n for n, sentence in enumerate(wanted) if sentence]
    wanted = [wanted[n] for n in told]
    figures: dict[str, float] = {}
    for suffix, key in HEARD.items() if told else ():
        if f"text/{key}" in predictions:
            said = texts(predictions[f"text/{key}"][np.array(told)])
            for name, of in (("word_error", list), ("letter_error", letters)):
                one, other = of(said), of(wanted)
                beside = {f"{name}{suffix}": recognised.error_rate(one, other)}
                figures |= beside if suffix else recognised.figures(name, one, other)
    if "text/heard_by_another_voice" in predictions:
        another = texts(predictions["text/heard_by_another_voice"])
        others = {"": "heard", "/another_sentence": "heard_of_another_sentence"}
        for suffix, key in others.items():
            differ = recognised.error_rate(another, texts(predictions[f"text/{key}"]))
            figures[f"voices_differ{suffix}"] = differ
    if "number/voices" in predictions:
        figures |= voices(predictions["number/voices"])
    return figures


def letters(sentences: list[list[str]]) -> list[str]:
    """Sentences of words as their letters and the spaces between."""
    return [" ".join(sentence) for sentence in sentences]


def voices(found: Float[np.ndarray, "n 3 k"]) -> Figures:
    """Mean absolute differences of hidden factors, of (true, heard in what is said, heard in the recording)."""
    true, said, recorded = np.moveaxis(found, 1, 0)
    guesses = {
        "": said,
        "/mean_voice": np.full_like(true, 0.5),
        "/another_voice": np.roll(true, 1, 0),
        "/recording": recorded,
    }
    return {f"voice_error{name}": float(np.mean(np.abs(guess - true))) for name, guess in guesses.items()}
