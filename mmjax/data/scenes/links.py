"""A bias of the drawn world: what goes with what more often than it should, so that one side alone can be guessed from.

By default nothing does. With a strength b, in training:

* an object has the usual colour of its class with probability b, and one of the free colours otherwise: the answer to
  "what colour is the bell?" can be guessed from the question, and a colour tag from the sound, which tells the class;
* with probability b the scene is the home of one of the objects: it can be guessed from what else is there;
* "is there ...?" and "do you hear ...?" are answered by yes, and "how many red objects are there?" by another number
  than 0, with probability (1 + b) / 2.

Held-out splits keep that link; or drop it, and are as they are without a bias; or reverse it: other usual colours,
other homes, no in the place of yes and 0 in that of other numbers (as VQA-CP reverses the answers, Agrawal et al.,
CVPR 2018). Examples with an unseen combination, half of these splits, have it as it is, and their other objects by the
link.

Places have no link: they are drawn again until no two objects overlap much, so that how often each is the answer has
no exact value, with a link or without.
"""

from __future__ import annotations

import dataclasses

from mmjax.data.scenes import names


@dataclasses.dataclass(frozen=True)
class Link:
    """What goes with what in one split, and how often: strength is from 0 to 1."""

    strength: float
    reverse: bool = False

    def colour(self, thing: int) -> int:
        """The usual colour of a class: none that is held out, and reversed another one."""
        return (3 * thing + (7 if self.reverse else 3)) % len(names.COLOURS)

    def scene(self, thing: int) -> int:
        """The home of a class, likewise."""
        return (thing + (4 if self.reverse else 0)) % len(names.SCENES)

    @property
    def yes(self) -> float:
        """How often the answer is yes where it is yes or no, and a colour whose objects are counted is there."""
        return (1 - self.strength if self.reverse else 1 + self.strength) / 2


def of(split: str, bias: float, shift: str) -> Link:
    """The link of a split: of strength 0 where there is none."""
    if split == "train" or shift == "keep":
        return Link(bias)
    return Link(0.0) if shift == "drop" else Link(bias, reverse=True)
