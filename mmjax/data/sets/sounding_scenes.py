"""sounding_scenes, the embedded data set: pictures of objects that sound, generated from (seed, split, index).

Nothing is downloaded or stored, and every ground truth is known. A scene (painting and ambience) holds one to three
objects (class, colour, size, place), some of which sound; the class of the loudest is `label`. Nothing in the picture
tells which, and nothing in the sound tells the colour. Held-out splits hold out combinations: 12 of the 96 (object,
colour) pairs and 12 of the 96 (object, scene) pairs occur in "validation" only, 12 others of each in "test" only; half
the examples of those splits hold one such pair, the other half is made as "train" is.

Five captions and a question with its answer go with each scene. A speaker, whose face and voice share four hidden
factors, speaks one of the captions in sub-word units with known boundaries, and the mouth moves with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from mmjax.data import fingerprints, spec
from mmjax.data.fingerprints import Print
from mmjax.data.scenes import face, grammar, layout, names, questions, shares, units
from mmjax.data.scenes.example import Example
from mmjax.data.scenes.options import CHOICES, Options, number
from mmjax.errors import UserError

USUAL: tuple[str, ...] = (
    "image",
    "waveform",
    "label",
    "tags",
    "scene",
    "objects",
    "colours",
    "boxes",
    "areas",
    "sounding",
    "caption",
    "captions",
    "question",
    "answer",
    "question_type",
    "face",
    "speech",
    "speaker",
    "units",
    "unit_times",
    "group",
    "index",
)
# What costs more than it is often wanted for: computed for whoever names it.
FIELDS: tuple[str, ...] = (
    *USUAL,
    "stems",
    "ambience",
    "face_frames",
    "mouth_shape",
    "landmarks",
    "new_speaker",
    "speech_same",
    "speaker_same",
    "unit_times_same",
    "speech_again",
    "unit_times_again",
    "speech_other",
    "units_other",
    "unit_times_other",
)
# Fields that are padded at the end, here and not by the pipeline: asking for one brings its length along.
PADDED: dict[str, str] = {
    "speech": "speech_length",
    "units": "units_length",
    "face_frames": "face_frames_length",
    "speech_same": "speech_same_length",
    "speech_again": "speech_again_length",
    "speech_other": "speech_other_length",
    "units_other": "units_other_length",
}
OBJECTS: tuple[str, ...] = names.OBJECTS
COLOURS: tuple[str, ...] = names.COLOURS
SCENES: tuple[str, ...] = names.SCENES
# What the numbers of a field mean; offered as the constant "<field>_names" with the field.
NAMES: dict[str, tuple[str, ...]] = {
    "label": OBJECTS,
    "objects": OBJECTS,
    "colours": COLOURS,
    "scene": SCENES,
    "tags": names.TAGS,
}
UNITS: tuple[str, ...] = units.UNITS
ANSWERS: tuple[str, ...] = questions.ANSWERS
FACTORS: tuple[str, ...] = face.FACTORS
EDITION = 1  # raised whenever the same options would give other examples
SPLITS: dict[str, int] = {"train": 100_000, "validation": 2_000, "test": 5_000}
FORMER = {"test": 2_000}  # its length in runs of before: the first of what it has now


@dataclasses.dataclass(frozen=True)
class SoundingScenes:
    """A random-access source of dicts; made by `source`, which explains the fields."""

    split: str
    fields: tuple[str, ...]
    seed: int
    examples: int
    options: Options

    def __len__(self) -> int:
        return self.examples

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """The names of the classes of the fields: "label_names", "scene_names", ...; and of `units`.

        With `units` comes how the words of all captions are said: "lexicon_names", and "lexicon_units", int32 [w k],
        -1 behind the last.

        With `sounding` comes "sounding_chance", float32 []: how likely an object chosen at random sounds, exactly.
        With a bias come the shares that one side alone explains, as `scenes.shares.known` gives them.
        """
        found = {f"{field}_names": spec.spelt(NAMES[field]) for field in self.fields if field in NAMES}
        if "units" in self.fields:
            found["units_names"] = spec.spelt(UNITS)
            words, found["lexicon_units"] = units.lexicon(grammar.vocabulary())
            found["lexicon_names"] = spec.spelt(words)
        if "sounding" in self.fields:
            chance = layout.sounding_chance(self.options.objects, self.options.sounding)
            found["sounding_chance"] = np.array(chance, np.float32)
        if self.options.bias:
            o = self.options
            found |= shares.known(self.split, o.bias, o.shift, o.objects, o.sounding)
        return found

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints: of what is generated, the generator's edition and what it is asked for."""
        longer = self.examples == SPLITS[self.split]
        examples = FORMER.get(self.split, self.examples) if longer else self.examples  # so that those runs know it
        sizes = (examples, self.options.objects, self.options.image_size, self.options.seconds)
        unusual = dict(self.options.unusual)  # runs from before there were more options keep their fingerprints
        if self.split == "train":
            unusual.pop("shift", None)  # of the others
        about = ("sounding_scenes", EDITION, self.split, self.seed, sizes, *([unusual] if unusual else []))
        fields = [field for field in self.fields if field != "index"]
        return {f: fingerprints.whole(*about, f, meanings=NAMES.get(f, ())) for f in fields}

    def __getitem__(self, index: int) -> dict[str, np.ndarray | str | list[str]]:
        example = self.example(index)
        return {field: getattr(example, field) for field in self.fields}

    def example(self, index: int) -> Example:
        """The whole example with its hidden truth: `.layout`, and `.parts`, float32 [1 + objects, time]."""
        if not 0 <= index < self.examples:
            raise IndexError(f"index {index} of split {self.split!r} with {self.examples} examples")
        return Example(self.split, self.seed, int(index), self.options)


def source(
    split: str,
    fields: Sequence[str] = USUAL,
    *,
    seed: int = 0,
    examples: int | None = None,
    objects: Sequence[int] = (1, 3),
    image_size: int = 112,
    seconds: float = 6.0,
    face_size: int = 0,
    crop: str = "face",
    mouth: str = "own",
    moment: str = "still",
    voices: str = "all",
    sounding: str = "any",
    bias: float = 0.0,
    shift: str = "keep",
) -> SoundingScenes:
    """The data set as a random-access source whose `[i]` is a function of (seed, split, i) and the sizes alone.

    Args:
      split: "train", "validation" or "test".
      fields: names out of `FIELDS`; only these are computed. Speech (8 s), units (80) and `face_frames` (200) are
        padded with zeros and bring `<field>_length` along.
      seed: another seed is another data set of the same kind; from 0 to 2^32 - 1.
      examples: length of the split; by default 100,000 for training, 2,000 for validation and 5,000 for test.
      objects: fewest and most objects in a picture, from 1 to 3.
      image_size: side of the square picture in pixels, 32 to 512.
      seconds: length of `waveform`, 1 to 60.
      face_size: side of `face` and `face_frames` in pixels, 32 to 512; 0 is `image_size`.
      crop: what `face_frames` show: the "face", or the "mouth", a square of half its side.
      moment: what `face` shows: the speaker "still", before the first word, or "speaking": any one of `face_frames`.
      mouth: in `face_frames`: its "own", which says what `speech` says; "frozen", which stays as in `face`; or
        "another", which says what `speech_other` says.
      voices: "all", speakers of every kind in every split; or "held_out", regions of the speakers' factors that are
        heard in half of "validation" and in no other split, and others so in "test" (`scenes.voices`).
      sounding: how many objects sound: "any", three of four and one at least; "one", of two or three, so that a random
        one is right in 5 of 12; or "none": half of the clips hold the ambience alone, half are silent. Pictures are the
        same under all three, if `objects` are. `label` is -1 where none sounds.
      bias: 0 to 1: how strongly answers, colours and scenes can be guessed from one side alone in training, see
        `scenes.links`. How much each side tells is then among the constants, exactly: `scenes.shares`.
      shift: whether held-out splits "keep" that link, "drop" it or "reverse" it.

    Returns:
      A picklable sequence of dicts, each holding `fields` and no more.

    Raises:
      UserError: an unknown split or field, a size out of its range or another word than those above.
    """
    if split not in SPLITS:
        raise UserError(f"sounding_scenes has no split {split!r}; it has {', '.join(SPLITS)}")
    lengths = tuple(length for field, length in PADDED.items() if field in fields)
    fields = tuple(dict.fromkeys((*fields, *lengths)))
    spec.check(fields, (*FIELDS, *PADDED.values()), "sounding_scenes")
    if isinstance(objects, str) or not hasattr(objects, "__len__") or len(objects) != 2:
        raise UserError(f"sounding_scenes: objects is {objects!r}, but must be two numbers, as in 1,3: fewest and most")
    few, many = (number("objects", n, 1, 3, int) for n in objects)
    if few > many:
        raise UserError(f"sounding_scenes: objects is {few},{many}, but the fewest come first: {many},{few}")
    if sounding == "one":
        if many < 2:
            raise UserError(f"sounding_scenes: sounding=one needs two objects or three, but objects is {few}, {many}")
        few = max(few, 2)
    seed, image_size = number("seed", seed, 0, 2**32 - 1, int), number("image_size", image_size, 32, 512, int)
    length = number("examples", SPLITS[split] if examples is None else examples, 1, 2**31 - 1, int)
    face_size = face_size and number("face_size", face_size, 32, 512, int)
    seconds, bias = number("seconds", seconds, 1, 60, float), number("bias", bias, 0, 1, float)
    words = {"crop": crop, "mouth": mouth, "moment": moment, "voices": voices, "sounding": sounding, "shift": shift}
    for name, word in words.items():
        if word not in CHOICES[name]:
            raise UserError(f"sounding_scenes: {name} is {word!r}, but must be one of {', '.join(CHOICES[name])}")
    if moment == "speaking" and "landmarks" in fields:
        raise UserError("sounding_scenes: landmarks are those of a closed mouth, so moment must be still, not speaking")
    return SoundingScenes(
        split, fields, seed, length, Options((few, many), image_size, seconds, face_size, bias=bias, **words)
    )
