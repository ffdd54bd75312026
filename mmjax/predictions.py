"""The glossary of what comes out, the twin of data/spec.py: what a task's predictions are called and what they hold.

A task predicts {"kind/name": array [b ...]}. The kind says how many examples are kept and how the report shows them;
the name is the task's. Names that differ by the suffix "_target" only are a prediction and its reference. A name that
a section of the report looks for stands in NAMES, so that both sides spell it alike; any other is as good, and the
report's gallery shows it. A key of kind "number" is shown by no rule of its own: whoever reads it, a figure over the
whole split or a section of the report, finds it by its whole name, so that all of these stand in NUMBERS.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
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
      alone: whether one example of it says something by itself, and the gallery can show it.
      kept: whether anything of it stays behind `Task.on_host`.
    """

    dtypes: tuple[str, ...]
    axes: tuple[str, ...]
    meaning: str
    few: bool = False
    alone: bool = True
    kept: bool = True


KINDS: dict[str, Kind] = {
    "image": Kind(("uint8",), ("h w 3", "k h w 3"), "RGB picture, or k of them, 0..255", few=True),
    "heatmap": Kind(
        ("float32",),
        ("h w", "bands frames"),
        "a map over image/picture of the example; of the names in OVER_TIME, over time, lowest band first",
        few=True,
    ),
    "attention": Kind(
        ("float32",), ("t i j",), "a map over image/picture for each word of text/<name>", few=True, alone=False
    ),
    "audio": Kind(("int16", "float32"), ("time",), "mono sound at the task's sample_rate", few=True),
    "waveform": Kind(
        ("float32",),
        ("time",),
        "mono sound at the task's sample_rate, for `Task.on_host` alone",
        few=True,
        alone=False,
        kept=False,
    ),
    "video": Kind(
        ("uint8",), ("f h w 3",), "RGB pictures, 25 a second, 0..255, with the sound of audio/<name> if any", few=True
    ),
    "text": Kind(
        ("uint8",),
        ("letters", "n letters"),
        "UTF-8 with zeros behind: a text, the words of one, or the n best; kept as byte strings",
    ),
    "embedding": Kind(("float32",), ("d", "n d"), "a point of a space, or several", alone=False),
    "scores": Kind(
        ("float32",), ("c", "k"), "a probability for each class of the head, or for each text of text/<head> [k]"
    ),
    "label": Kind(("int32",), ("",), "the class of the head; -1 where there is none"),
    "number": Kind(("float32", "int32", "bool"), ("", "n", "n d"), "what NUMBERS says of the whole key", alone=False),
}

# heatmap/<name> that lies over time instead of over a picture -> what a row of it is. A suffix changes nothing.
OVER_TIME: dict[str, str] = {
    "mel": "mel band",
    "mfcc": "coefficient",
    "deltas": "coefficient",
    "spectrogram": "frequency bin",
    "mask": "frequency bin",
    "alignment": "symbol",
}

# Keys that sections of the report look for -> what they hold; <x> stands for any word.
NAMES: dict[str, str] = {
    "image/picture": "the example's picture: heatmaps and attention lie over it, a joint space shows its points as it",
    "image/generated": "a picture drawn for the example's caption or class",
    "image/codes": "several in its place, each of a code of its own: k h w 3, or a strip h k*w 3",
    "image/real": "the real picture that the caption or class belongs to",
    "image/face": "the face that was heard in a voice",
    "image/face_of_<what>": "the face that the same decoder draws of something else: the true face's feature, factors",
    "audio/voice": "the voice that a face was heard in",
    "image/between_<ends>": "pictures drawn on the way from one thing to another: k h w 3, or a strip h k*w 3",
    "heatmap/heat": "where in the picture the example's sound comes from: scores, higher where it is likelier",
    "heatmap/heat_<sound>": "the same for another sound, of another clip or silence",
    "audio/sound_<sound>": "the sound of heatmap/heat_<sound>",
    "audio/mixture": "a mixture of several sounds, each asked for by an example of its own",
    "audio/estimate": "what was picked out of audio/mixture; audio/estimate_target is what belongs there",
    "audio/ideal_ratio_mask": "what a mask that knows the truth picks out of audio/mixture",
    "audio/absent_picture": "what the picture of a thing that is not in the mixture picks out of it",
    "audio/swapped_face": "what the face of another voice of the mixture picks out of it",
    "audio/absent_face": "what a face of another mixture picks out of it",
    "audio/reference": "another recording of whom audio/estimate is to be",
    "audio/swapped_voice": "what a recording of another voice of the mixture picks out of it",
    "heatmap/mel": "log-mel frames of audio/speech",
    "audio/speech": "an utterance, heard or spoken",
    "audio/speech_same": "the same sentence by another speaker",
    "heatmap/spectrogram": "the mixture's, in dB",
    "heatmap/mask": "the share of the mixture that was picked out, 0..1, over time and frequency",
    "audio/sound": "the example's sound, as which a joint space shows the points of sounds",
    "text/between_<ends>": "the text at the far end of image/between_<ends>; at the near end is the example's own",
    "text/caption": "the caption that was written, as words or as one text",
    "text/caption_target": "the caption that belongs to the example, as words or as one text",
    "text/captions_target": "all captions that belong to the example, one a line",
    "text/question": "what was asked: it comes before the answers",
    "text/neighbours": "n: the names nearest to each embedding that has a name, text/<name>, nearest first",
    "embedding/image": "pictures in a joint space",
    "embedding/caption": "c d: captions in a joint space, in the order of text/captions_target",
    "embedding/waveform": "sounds in a joint space",
    "embedding/voice": "the features of faces as they were heard in voices; in the space of embedding/face",
    "embedding/face": "the features of faces",
}

# text/<name> of which an example has several; the entries of any other are the words of one.
LISTS = ("neighbours",)

# <figure>/<name> that is a bound and no baseline: it knows what no network is told, or is the teacher, or the network
# itself on more or less of the same (`voice`, `voice_3s`).
_BOUNDS = r"oracle|encoder|true_factors|true_feature|face|ideal_\w+|recording|true_frames|true_units"
CEILINGS = re.compile(rf"{_BOUNDS}|voice(_\d+s)?")

# Pattern of the name (<x> stands for any word) -> axes and meaning.
NUMBERS: dict[str, str] = {
    "index": "the position of the example in its split",
    "nats": "3: sums over the caption of the network's nats and of word frequencies', and how many words count",
    "caption_ids": "c: equal numbers for equal captions; -1 where there is none",
    "uncertainty_<side>": "of a Gaussian embedding, how wide it is: of the example or of each caption",
    "boxes": "n 4: ymin, xmin, ymax, xmax in 0..1 of each object of the picture; 0 where there is none",
    "off_screen": "whether the sound of another clip is of a kind that nothing in the picture is of",
    "sounding": "n: whether each of `boxes` sounds",
    "confidence": "how sure a map is that something in the picture sounds, on the scale of its scores",
    "confidence_<sound>": "the same for another sound, of another clip or silence",
    "ciou": "cIoU of the map at its median, 0..1",
    "ciou_adaptive": "cIoU of as many of its pixels as the boxes have",
    "ciou_adaptive_<map>": "the same of another map, such as one that hears nothing",
    "ciou_<map>": "cIoU of another map at its median",
    "pointing": "whether the map's largest pixel lies in a box that sounds",
    "si_sdr_improvement": "of an estimate over its mixture in dB; not a number where the mixture does not count",
    "bss_<whose>": "n: SDR, SIR and SAR in dB of an estimate, a mixture or an oracle; not a number as above",
    "quality_<whose>": "2: STOI and PESQ of an estimate, a mixture or an oracle; not a number where there is none",
    "mixed_classes": "n: the classes of the clips of a mixture, the example's own first; -1 where there is none",
    "pitch_apart": "by how many semitones the clips of a mixture differ; not a number where one has no pitch",
    "improvement_by_level": "n: as si_sdr_improvement, where the clip is -10, -5, 0, 5, 10 dB louder than the other",
    "tag_scores": "c: how well each tag fits, cosines",
    "tag_truth": "c: whether the example has it",
    "tag_frequency": "c: its share of the training examples, the same in each row",
    "spoken": "6: of a spoken sentence: attention in order, of all of it, gate fired, its s, true s, usual s",
    "samples_of_<text>": "how many samples of the sound that text/<text> was heard in are real",
    "voices": "3 k: a voice's hidden factors: true, heard in what is said, heard in the true recording",
    "voice_cosine": "4: how close to a recording's voice that of what is said, another's, the mean, its frames' are",
    "codes": "t: the code of each step of an utterance; -1 behind the last",
    "codes_<rival>": "t: the same of another way to make codes",
    "units_at": "t: the true unit at each of `codes`; -1 behind the last",
    "units_at_<rival>": "t: the same at each of `codes_<rival>`",
    "begins": "u: when each true unit but the first begins, in seconds; not a number behind the last",
    "code_seconds": "from one of `codes` to the next, the same in each row",
    "pieces": "p 6: start and end, in seconds, of X, A and B of each triple of `abx_across`",
    "new_speaker": "whether the speaker is of a kind that training does not hear",
    "abx_<which>": "w p: by how much X is nearer to A than to B, p triples of w ways to hear; not a number for none",
    "tokens": "t: the words that were to be drawn",
    "text": "d: the point of the text that was to be drawn, beside joint_drawn and joint_real",
    "joint_drawn": "d: the point of the drawn picture in the space of `text`",
    "joint_real": "d: the point of the real picture in the space of `text`",
    "landmark_errors_of_<whose>": "2: of the landmarks, and of the shape, of a face that is drawn of something else",
    "factors_of_<what>": "k: the speaker's hidden factors, as a linear probe reads them from the feature of the true "
    "face, from that heard (voice), or from a face drawn of what is heard (drawn) or of something else",
    "<judge>_drawn": "d: a judging network's features of the drawn picture",
    "<judge>_second": "d: of a second picture of the same caption or class, from another code",
    "<judge>_real": "d: of the real picture",
    "<judge>_train": "d: of a training picture, drawn by lot",
    "<judge>_mean": "d: of the mean training picture, the same in each row",
}


def _expression(pattern: str) -> str:
    """The pattern as a regular expression, each <x> a group x."""
    return re.sub(r"<(\w+)>", r"(?P<\1>.+)", re.escape(pattern))


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(_expression(pattern), name) is not None


def split(key: str) -> tuple[Kind, str]:
    """The kind of a prediction and its name. Raises KeyError with one line if no kind covers it."""
    kind, slash, name = key.partition("/")
    if not slash or not name or kind not in KINDS:
        raise KeyError(f"prediction {key!r} is of no kind of mmjax/predictions.py: choose {', '.join(KINDS)}/<name>")
    if kind == "number" and not any(_matches(pattern, name) for pattern in NUMBERS):
        raise KeyError(f"prediction {key!r}: mmjax/predictions.py does not say what it holds; NUMBERS needs a line")
    return KINDS[kind], name


def meaning(key: str) -> str:
    """What the glossary says of a key that somebody looks for: that of its name, of its number, or of its kind.

    Args:
      key: one that a task may predict, such as "text/neighbours", or a pattern: "scores/<head>_target" is any head's.

    Raises:
      KeyError: with one line, for a name that neither NAMES nor NUMBERS has: nobody would know how to spell it.
    """
    kind, name = split(key)
    if key.startswith("number/"):
        return next(holds for pattern, holds in NUMBERS.items() if _matches(pattern, name))
    named = [holds for pattern, holds in NAMES.items() if _matches(pattern, key)]
    if not named and not re.fullmatch(rf"<\w+>({TARGET})?", name):
        raise KeyError(f"prediction {key!r} is looked for, but mmjax/predictions.py does not name it; NAMES needs it")
    return named[0] if named else kind.meaning


def satisfied(patterns: Sequence[str], keys: Collection[str]) -> bool:
    """Whether there is a key for each pattern, the same <x> being the same word in all: with ("scores/<head>",
    "label/<head>_target"), some head has scores and a reference."""
    if not patterns:
        return True
    first, *others = patterns
    return any(
        satisfied([_filled(pattern, found.groupdict()) for pattern in others], keys)
        for key in keys
        if (found := re.fullmatch(_expression(first), key))
    )


def _filled(pattern: str, words: Mapping[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda place: words.get(place[1], place[0]), pattern)


def answers(keys: Collection[str], declared: Sequence[str] = ()) -> list[str]:
    """Which of the predictions answer a user, in order: the declared ones (`Task.answers`) that are there.

    Where none are declared, all texts, scores, labels and embeddings but references.
    """
    kinds = ("text", "scores", "label", "embedding")
    plain = [key for key in keys if key.partition("/")[0] in kinds and not key.endswith(TARGET)]
    return [key for key in declared if key in keys] if declared else plain


def few(key: str) -> bool:
    """Whether only the examples that a page shows are kept of this prediction."""
    return split(key)[0].few


def kept(key: str) -> bool:
    """Whether anything is kept of this prediction."""
    return split(key)[0].kept


def alone(key: str) -> bool:
    """Whether an example of this prediction can be shown by itself; False also for a key of no kind."""
    try:
        return split(key)[0].alone
    except KeyError:  # stored by an older or a newer commit
        return False


def over_time(name: str) -> str | None:
    """What a row of heatmap/<name> is, where that lies over time ("mel", "mfcc_target", ...); else None."""
    return OVER_TIME.get(name.split("_")[0])


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
