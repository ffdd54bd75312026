"""What Unicode says of emoji: order and groups (emoji-test.txt), names and keywords (CLDR's annotations)."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterable
from xml.etree import ElementTree

from mmjax.errors import UserError
from mmjax.text import tokenise

_LINE = re.compile(r"(?P<codes>[0-9A-F ]+?)\s*;\s*fully-qualified\s*#\s*\S+\s+E[\d.]+\s+(?P<name>.+)")
_TONE = re.compile(r"[:,]\s[\w-]+ skin tone")
_PERSON = re.compile(r"\b(?:man|woman|person|men|women|people)\b(?!’)(?: and (?:man|woman)\b)?")
_BEHIND = re.compile(r" (?:with|of|in|on|and|at|over|for|behind|from|without|(?!playing)[a-z]+ing) |:")
_SEVERAL = ("family", "kiss", "couple with heart")  # of these there is one for each choice of people
_SELECTOR = "\ufe0f"  # asks for the coloured form; CLDR writes its keys without


@dataclasses.dataclass(frozen=True)
class Emoji:
    """One emoji: its characters, English name and keywords, and where Unicode lists it."""

    text: str
    name: str
    keywords: tuple[str, ...]
    group: str
    subgroup: str

    @property
    def toned(self) -> bool:
        """Whether it is a skin-tone variant."""
        return "skin tone" in self.name

    @property
    def family(self) -> str:
        """The name without skin tone and gender: variants of one drawing share it."""
        return family(self.name)


@functools.lru_cache(maxsize=4)
def read(listing: str, cldr: str) -> tuple[Emoji, ...]:
    """The fully qualified emoji in Unicode's order.

    Args:
      listing: emoji-test.txt.
      cldr: the folder with annotations/en.xml and annotationsDerived/en.xml.

    Raises:
      UserError: one of these files is missing or damaged.
    """
    try:
        lines = pathlib.Path(listing).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(
            f"no list of emoji in {listing}: install the Debian package unicode-data, or give config.data.listing "
            "(unicode.org's emoji-test.txt)"
        ) from None
    names, keywords = _annotations(cldr)
    found, group, subgroup = [], "", ""
    for line in lines:
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ").strip()
        elif line.startswith("# subgroup: "):
            subgroup = line.removeprefix("# subgroup: ").strip()
        elif match := _LINE.match(line):
            text = "".join(chr(int(code, 16)) for code in match["codes"].split())
            key = text.replace(_SELECTOR, "")
            words = keywords.get(text, keywords.get(key, ()))
            found.append(Emoji(text, names.get(text, names.get(key, match["name"].strip())), words, group, subgroup))
    if not found:
        raise UserError(f"{listing} lists no fully-qualified emoji: it must be unicode.org's emoji-test.txt")
    return tuple(found)


def _annotations(cldr: str) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """({characters: name}, {characters: keywords})."""
    names: dict[str, str] = {}
    keywords: dict[str, tuple[str, ...]] = {}
    for part in ("annotations", "annotationsDerived"):
        path = pathlib.Path(cldr).expanduser() / part / "en.xml"
        try:
            tree = ElementTree.parse(path)
        except OSError:
            raise UserError(
                f"no names of emoji in {path}: install the Debian package unicode-cldr-core, or give config.data.cldr "
                '(the folder "common" of CLDR)'
            ) from None
        except ElementTree.ParseError as error:
            raise UserError(f"{path} is damaged: {error}") from None
        for entry in tree.iter("annotation"):
            said = (entry.text or "").strip()
            if entry.get("type") == "tts":
                names[entry.get("cp", "")] = said
            else:
                keywords[entry.get("cp", "")] = tuple(word.strip() for word in said.split("|") if word.strip())
    return names, keywords


def family(name: str) -> str:
    """ "woman firefighter: dark skin tone" -> "firefighter", "kiss: man, man" -> "kiss", "flag: Chad" as it is."""
    plain = _TONE.sub("", name)
    head = plain.partition(":")[0]
    if head in _SEVERAL:
        return head
    rest = " ".join(_PERSON.sub(" ", plain).split()).strip(" ,:")
    return rest or "person"


def captions(emoji: Iterable[Emoji]) -> dict[str, tuple[str, ...]]:
    """{characters: captions}: the name, a sentence with it, and the other keywords ("face, grin").

    Keywords that say no more than another emoji's name or keywords (all flags have just "flag") are left out: as the
    caption of one picture they would be right for the other as well, and could be on both sides of a split.
    """
    emoji = tuple(emoji)
    keywords = {one.text: ", ".join(word for word in one.keywords if word != one.name) for one in emoji}
    count = collections.Counter([_key(one.name) for one in emoji] + [_key(text) for text in keywords.values()])
    made = {}
    for one in emoji:
        words = keywords[one.text]
        sentence = f"a picture of {article(one.name)}{one.name}"
        made[one.text] = (one.name, sentence, *([words] if words and count[_key(words)] == 1 else []))
    return made


def _key(caption: str) -> tuple[str, ...]:
    return tuple(tokenise.caption(caption))


def article(name: str) -> str:
    """ "a ", "an ", or "" before a plural: by the spelling of the noun in front of what belongs to it."""
    noun = _BEHIND.split(name)[0].lower().split()[-1]
    singular = noun.endswith(("ss", "us", "is", "os"))
    if (noun.endswith("s") and not singular) or noun in ("people", "men", "women", "feet", "teeth"):
        return ""
    first = name.lower()
    return "an " if first[0] in "aeio" or first.startswith(("um", "up")) else "a "
