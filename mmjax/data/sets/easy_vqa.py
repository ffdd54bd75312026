"""easy-VQA: questions about one coloured shape on a noisy ground, from the PyPI package that carries pictures and text.

Victor Zhou 2019: 4,000 pictures with 38,575 questions for training, 1,000 with 9,673 for the test, 13 answers, 64
pixels a side. No picture occurs twice. The package has no validation split: a tenth of the training pictures are it,
each with all its questions.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pathlib
from typing import Any

import numpy as np

from mmjax.data import fingerprints
from mmjax.data.files import pictures, prepared
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

FIELDS: tuple[str, ...] = ("image", "question", "answer", "question_type", "group", "index")
COLOURS = frozenset(("black", "blue", "brown", "gray", "green", "red", "teal", "yellow"))
SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class EasyVQA:
    """A random-access source; made by `source`."""

    fields: tuple[str, ...]
    questions: tuple[tuple[str, str, int], ...]  # text, answer, number of the picture
    pictures: dict[int, str]

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints: by the questions that the package has; its pictures do not change under their numbers."""
        asked = [question for question, _, _ in self.questions]
        pictures, answers = ([row[place] for row in self.questions] for place in (2, 1))
        columns = {"image": pictures, "group": pictures, "question": asked}
        return {field: fingerprints.whole(columns.get(field, answers)) for field in self.fields if field != "index"}

    def __getitem__(self, index: int) -> dict[str, Any]:
        question, answer, picture = self.questions[index]
        made = {
            "image": lambda: _read(self.pictures[picture]),
            "question": lambda: question,
            "answer": lambda: answer,
            "question_type": lambda: kind(answer),
            "group": lambda: str(picture),
            "index": lambda: np.int32(index),
        }
        return {field: made[field]() for field in self.fields}


def source(split: str, fields: tuple[str, ...] | None = None, *, validation: float = 0.1) -> EasyVQA:
    """Opens a split.

    Args:
      split: "train", "validation" or "test".
      fields: of FIELDS; all where None.
      validation: share of the training pictures held out.

    Raises:
      UserError: an unknown split, or the package is not installed.
    """
    if split not in SPLITS:
        raise UserError(f"easy_vqa has no split {split!r}; it has {', '.join(SPLITS)}")
    part = "test" if split == "test" else "train"
    package = _package()
    questions = list(zip(*getattr(package, f"get_{part}_questions")(), strict=True))
    pictures = getattr(package, f"get_{part}_image_paths")()
    if split != "test":
        names = {str(number) for number in pictures}
        side = prepared.assign_splits(names, validation, 0.0)
        questions = [row for row in questions if side[str(row[2])] == split]
    # The package lists a picture's questions in a row. A pass takes them in an order in which neighbours share none,
    # so that a batch is a sample of the split and a shuffled picture another one.
    order = np.random.default_rng(0).permutation(len(questions))
    return EasyVQA(FIELDS if fields is None else tuple(fields), tuple(questions[i] for i in order), pictures)


def kind(answer: str) -> str:
    """What a question asks for: the package does not say, but each answer belongs to one kind."""
    return "yes/no" if answer in ("yes", "no") else "colour" if answer in COLOURS else "shape"


@functools.lru_cache(maxsize=5000)  # the whole data set takes 60 MB
def _read(path: str) -> np.ndarray:
    return np.asarray(pictures.flat(pictures.read(pathlib.Path(path))))


def _package() -> Any:
    try:
        return importlib.import_module("easy_vqa")
    except ModuleNotFoundError:
        raise UserError("easy_vqa needs the extra `vqa`: pip install 'mmjax[vqa]'") from None
