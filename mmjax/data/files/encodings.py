"""Text of a file as its first bytes say it is encoded: UTF-8, or UTF-16 with its mark, as spreadsheets write it."""

from __future__ import annotations

import codecs
import re

_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_DAMAGE = re.compile("[\ud800-\udfff]")


def name(raw: bytes) -> str:
    """The encoding, as people call it."""
    return "UTF-16" if raw[:2] in _UTF_16 else "UTF-8"


def decoded(raw: bytes) -> str:
    """The text without its mark; bytes that are none of the encoding become lone surrogates, see `damaged`."""
    if raw[:2] in _UTF_16:
        even = raw[2 : len(raw) - len(raw) % 2]
        return even.decode(_UTF_16[raw[:2]], "surrogatepass")
    return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def strict(raw: bytes) -> str:
    """As `decoded`. Raises UnicodeDecodeError where a byte is none of the encoding."""
    return raw.decode("utf-16" if raw[:2] in _UTF_16 else "utf-8-sig")


def damaged(text: str) -> bool:
    """Whether something of a decoded text was not of its encoding."""
    return bool(_DAMAGE.search(text))


def lines(text: str) -> list[str]:
    """The lines of a text, whatever system wrote it; letters that Unicode counts as ends of lines are none."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
