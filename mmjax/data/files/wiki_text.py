"""The prose of wiki dumps: MediaWiki's XML with its wikitext, and what WikiExtractor makes of it.

The beginning of a text says whether it is one; any other text is left as it is. Of a dump there are the articles (name
space 0, no redirects), a paragraph a line: templates, tables, references, formulas, comments, tags, addresses and links
to pictures, categories and other languages are gone; of a link there is what a reader sees.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Iterable, Iterator

FORMS = ("plain", "words")
_LONGEST = 2**26  # characters of a page: Wikipedia's longest has two million
_DUMP = re.compile(r"\s*(<\?xml[^>]*\?>\s*)?<mediawiki\b")
_EXTRACTED = re.compile(r"\s*<doc id=")
_DOC = re.compile(r"^</?doc\b[^>]*>[ \t]*$", re.MULTILINE)

_SPACE = re.compile(r"<ns>\s*(-?\d+)\s*</ns>")
_TEXT = re.compile(r"<text\b[^>]*(?<!/)>(.*?)(?:</text>|\Z)", re.DOTALL)
# What is open and never closed is passed over once, and not looked for to the end of the page from each opening.
_COMMENT = re.compile(r"<!--(?:(?!-->|<!--).)*-->", re.DOTALL)
_UNSEEN = "ref|math|gallery|timeline|syntaxhighlight|source|score|hiero|chem|graph|imagemap|mapframe|templatestyles"
_SELF_CLOSED = re.compile(rf"<(?:{_UNSEEN})\b[^<>]*/>", re.IGNORECASE)
_PAIRED = re.compile(rf"<({_UNSEEN})\b[^<>]*>[^<]*(?:<(?!/?\1\b)[^<]*)*</\1\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_PARAMETER = re.compile(r"\{\{\{[^{}]*\}\}\}")
_TABLE = re.compile(r"^[ \t:]*\{\|(?:(?!\{\||\|\}).)*\|\}", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
_WITH_PICTURE = re.compile(r"\s*(file|image|media|category)\s*:", re.IGNORECASE)
_ELSEWHERE = re.compile(r"\s*([^\W\d_][\w-]*):(?=\S)")
_ADDRESS = re.compile(r"\[(?:https?:|ftp:|mailto:|//)[^\s\]]*\s*([^\[\]]*)\]", re.IGNORECASE)
_BARE_ADDRESS = re.compile(r"\b(?:https?|ftp)://\S+", re.IGNORECASE)
_HEADING = re.compile(r"^=+[ \t]*(.*?)[ \t]*=+[ \t]*$", re.MULTILINE)
_MARKS = re.compile(r"'{2,}|__[A-Z]+__|^[*#:;|!]+[ \t]*(?:-+[ \t]*$)?|^-{4,}|\|\}|\{\|", re.MULTILINE)
_DEPTH = 12  # of templates within templates, tables within tables


def prose(pieces: Iterable[str], cut_short: Callable[[], None] = lambda: None) -> Iterator[str]:
    """A text in pieces that end between words, as such pieces, without the markup of a dump if it is one.

    `cut_short` is called at the end of a dump that is not closed.
    """
    pieces = iter(pieces)
    first = next(pieces, "")
    whole = itertools.chain([first], pieces)
    if _DUMP.match(first):
        return _articles(whole, cut_short)
    return _without_docs(whole) if _EXTRACTED.match(first) else whole


def _without_docs(pieces: Iterable[str]) -> Iterator[str]:
    """WikiExtractor's documents without the lines around them; a piece may end within such a line."""
    rest = ""
    for piece in pieces:
        whole, line, rest = (rest + piece).rpartition("\n")
        if len(rest) > _LONGEST or not rest.lstrip().startswith("<"):
            line, rest = line + rest, ""
        yield _DOC.sub("", whole) + line
    yield _DOC.sub("", rest)


def _articles(pieces: Iterable[str], cut_short: Callable[[], None]) -> Iterator[str]:
    """The prose of a dump, page by page; a page that is cut off at the end counts as far as it goes."""
    rest = ""
    for piece in pieces:
        *pages, rest = (rest + piece).split("</page>")
        rest = rest[-_LONGEST:]
        yield from filter(None, map(_article, pages))
    yield from filter(None, [_article(rest)])
    if "</mediawiki>" not in rest:
        cut_short()


def _article(page: str) -> str:
    """A page's prose, "" for one that is no article."""
    space, text = _SPACE.search(page), _TEXT.search(page)
    if text is None or (space and space[1] != "0") or "<redirect " in page:
        return ""
    raw = html.unescape(text[1])
    return "" if raw.lstrip()[:9].lower().startswith("#redirect") else f"{without_markup(raw)}\n"


def without_markup(text: str) -> str:
    """Wikitext as a reader sees it, a paragraph a line."""
    text = _COMMENT.sub("", text)
    text = _PAIRED.sub(" ", _SELF_CLOSED.sub(" ", text))
    for pattern in (_PARAMETER, _TEMPLATE, _TABLE):
        text = _innermost(pattern, "", text)
    text = _innermost(_LINK, _seen, text)
    text = _BARE_ADDRESS.sub(" ", _ADDRESS.sub(r"\1", text))
    text = html.unescape(_TAG.sub(" ", text))  # of a character that is spelled, twice within XML
    text = _MARKS.sub("", _HEADING.sub(r"\1", text))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _innermost(pattern: re.Pattern[str], new, text: str) -> str:
    """Substitutes from the inside out."""
    for _ in range(_DEPTH):
        text, count = pattern.subn(new, text)
        if not count:
            break
    return text


def _seen(link: re.Match[str]) -> str:
    """What is seen of a link: its last part, and nothing of pictures, categories and other languages."""
    target, bar, shown = link[1].partition("|")
    elsewhere = _ELSEWHERE.match(target)
    if _WITH_PICTURE.match(target) or (elsewhere and not (bar and elsewhere[1].islower())):
        return ""
    return shown.rpartition("|")[2] if bar else target.lstrip(":")
