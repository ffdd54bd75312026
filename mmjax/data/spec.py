"""The field glossary: the one place that says what a batch's columns are called and what they hold.

A task names the fields that it needs and a data set the fields that it has; any data set that has them will do.
Shapes are of one example; a batch puts `b` in front. A field of variable length along an axis marked `*` is
padded to a fixed length and is then accompanied by `<field>_length`, int32 of the shape in front of that axis.
Training batches may have `<field>_<name>` in the place of a field: what a frozen network makes of it, see
`task.Features`. What the numbers of a field of classes mean is the constant "<field>_names" of the source, see `spelt`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from mmjax.errors import UserError
from mmjax.text.symbols import spelt as spelt


@dataclasses.dataclass(frozen=True)
class Field:
    """One column: NumPy dtype ("str" for host-only text), shape of one example, and meaning."""

    dtype: str
    shape: str
    meaning: str


FIELDS: dict[str, Field] = {
    # vision
    "image": Field("uint8", "h w 3", "RGB picture, 0..255"),
    "pair": Field("uint8", "h w 3", "RGB picture of the same thing by another hand, 0..255"),
    "frames": Field("uint8", "f h w 3", "RGB frames evenly spaced over the clip, 0..255"),
    "face": Field("uint8", "h w 3", "RGB picture of the speaker's face, 0..255"),
    "face_frames": Field("uint8", "f* h w 3", "RGB pictures of the speaker's face, 25 a second, speaking `speech`"),
    "faces_frames": Field(
        "uint8", "n f h w 3", "RGB pictures of each face of a user's film, 25 a second, while `speech` lasts"
    ),
    "voices": Field(
        "int16", "n time", "recordings that a user gives of each voice that he wants out of `speech`; 0 behind each end"
    ),
    "mouth_frames": Field("uint8", "f h w", "grey pictures of the speaker's mouth, 25 a second, speaking `speech`"),
    "mouth_frames_other": Field("uint8", "f h w", "as `mouth_frames`: the same speaker speaking `speech_other`"),
    "mouth_shape": Field("float32", "2", "how the mouth of `face` is open, 0 to 1, and round, -0.3 (spread) to 1"),
    "landmarks": Field("float32", "68 2", "x, y of the 68 landmarks of `face` in the order of 300-W, in 0..1"),
    # sound
    "waveform": Field("int16", "time*", "mono sound at 22,050 Hz, full scale +-32,767"),
    "speech": Field("int16", "time*", "mono speech of one speaker at 22,050 Hz, full scale +-32,767"),
    "stems": Field("int16", "n time", "what each object adds to `waveform`, front to back; 0 where it is silent"),
    "ambience": Field(
        "int16", "time", "what no object adds to `waveform`: with `stems` it sums to it, within rounding"
    ),
    # what is in the picture and what sounds
    "label": Field("int32", "", "the class of the example in a single-label data set"),
    "scene": Field("int32", "", "the class of the background"),
    "tags": Field("int32", "n", "the tags of the example; -1 where there is none"),
    "objects": Field("int32", "n", "the class of each object, front to back; -1 where there is none"),
    "colours": Field("int32", "n", "the colour of each object; -1 where there is none"),
    "boxes": Field("float32", "n 4", "ymin, xmin, ymax, xmax of each object in 0..1; 0 where there is none"),
    "areas": Field("float32", "n", "the visible share of the picture of each object, in 0..1"),
    "sounding": Field("bool", "n", "whether each object sounds"),
    # text
    "caption": Field("str", "", "one English caption, drawn anew at each visit in training where there are several"),
    "captions": Field("str", "c", "all captions of the example"),
    "question": Field("str", "", "one question about the picture or the sound"),
    "answer": Field("str", "", "its answer"),
    "question_type": Field("str", "", "what the question asks for: existence, count, colour, place, sound, ..."),
    "answers": Field("str", "a", "the answers of all annotators"),
    "caption_tokens": Field("int32", "t*", "`caption` as numbers of words, <end> behind the last; 0 in the padding"),
    "captions_tokens": Field("int32", "c t*", "all `captions`, each as `caption_tokens`; 0 (length 0) beyond the last"),
    "question_tokens": Field("int32", "t*", "`question` as numbers of words; 0 in the padding"),
    "answer_label": Field("int32", "", "the class of `answer` in the answer vocabulary; -1 = not in it"),
    "question_type_label": Field("int32", "", "the class of `question_type`; -1 = none that training has"),
    "text": Field("str", "", "running text"),
    "tokens": Field("int32", "t", "running text as numbers of words in order of frequency; 0 in the padding"),
    "sentence": Field("int32", "t", "the number of each token's sentence within the example; -1 in the padding"),
    # a speaker
    "speaker": Field("float32", "k", "the hidden factors that face and voice share, each in 0..1"),
    "new_speaker": Field("bool", "", "whether the speaker is of a kind, or a person, whom training does not hear"),
    "units": Field("int32", "u*", "the sub-word units spoken in `speech`, in order"),
    "unit_times": Field("float32", "u 2", "start and end of each unit, in seconds; 0 in the padding"),
    # the same sentence by another speaker, and once more by the same; and another sentence by the same speaker
    "speech_same": Field("int16", "time*", "as `speech`: the same units by another speaker"),
    "speaker_same": Field("float32", "k", "the hidden factors of the speaker of `speech_same`, each in 0..1"),
    "unit_times_same": Field("float32", "u 2", "start and end of each of `units` in `speech_same`, in seconds"),
    "speech_again": Field("int16", "time*", "as `speech`: the same units by the same speaker another time"),
    "unit_times_again": Field("float32", "u 2", "start and end of each of `units` in `speech_again`, in seconds"),
    "speech_other": Field("int16", "time*", "as `speech`: other units by the same speaker"),
    "units_other": Field("int32", "u*", "the units spoken in `speech_other`, in order"),
    "unit_times_other": Field("float32", "u 2", "start and end of each of `units_other`, in seconds"),
    # where it comes from
    "group": Field("str", "", "what must stay on one side of a split: the video, the folder, the speaker"),
    "id": Field("str", "", "what its data set calls the example: its file, or the number of its question"),
    "start": Field("float32", "", "where in its file the example begins, in seconds"),
    "index": Field("int32", "", "the position of the example in its split"),
}


# What a system is told by; a task says which of its fields belong to which (`Task.modalities`).
MODALITIES: dict[str, str] = {
    "picture": "what is seen: pictures, frames, and where in them things are",
    "sound": "what is heard: the waveform of a clip",
    "words": "what is read: captions, questions, running text",
    "face": "the speaker's face",
    "speech": "the speaker's voice",
    "class": "the name of a class, told to a network that draws it",
}


def check(needed: Iterable[str], offered: Iterable[str], name: str) -> None:
    """Raises UserError with both lists unless data set `name` offers every needed field."""
    needed, offered = sorted(needed), sorted(offered)
    unknown = [field for field in (*needed, *offered) if field not in FIELDS and not field.endswith("_length")]
    if unknown:
        known = ", ".join(FIELDS)
        raise UserError(f"no such field {', '.join(unknown)}; the glossary in mmjax/data/spec.py has {known}")
    missing = [field for field in needed if field not in offered]
    if missing:
        raise UserError(
            f"data set {name!r} has no {', '.join(missing)}: it has {', '.join(offered)}; "
            f"the task needs {', '.join(needed)}. config.data.mapping can rename its fields."
        )


def unspelt(letters: np.ndarray) -> tuple[str, ...]:
    """The names that `spelt` spelt."""
    letters = np.ascontiguousarray(letters)
    return tuple(name.decode() for name in letters.view(f"S{letters.shape[1]}")[:, 0])
