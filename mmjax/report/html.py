"""HTML from Python with escaping by construction: only `Markup` enters a page unescaped, and only `tag` makes it."""

from __future__ import annotations

import base64
import html
import io
import itertools
import re
import warnings
from collections.abc import Iterable

import matplotlib
from matplotlib.figure import Figure

from mmjax.report import style

_VOID = frozenset({"meta", "img", "br", "link", "hr", "col"})
_DEFINED = re.compile(r'\bid="([^"]+)"')
_numbers = itertools.count()


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: object) -> Markup:
    """Escapes `text` for element content and quoted attributes; `Markup` passes unchanged."""
    return text if isinstance(text, Markup) else Markup(html.escape(str(text)))


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """Joins an iterable of text and `Markup`, escaping what is not `Markup`."""
    return Markup(separator.join(escape(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """One element.

    Args:
      name: of the element.
      *children: text (escaped) or `Markup`.
      **attributes: `class_` becomes `class`, `aria_label` becomes `aria-label`; None and False leave the attribute
        out, True writes it without a value.

    Returns:
      the element as `Markup`.
    """
    written = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            written.append(key)
        elif value is not None and value is not False:
            written.append(f'{key}="{escape(value)}"')
    opening = f"<{' '.join(written)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def data_uri(content: bytes, mime: str) -> str:
    """`content` as a data URI, so that the page needs no second file."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def svg(figure: Figure, label: str) -> Markup:
    """`figure` as inline SVG that follows the page's light or dark colours, with `label` for screen readers."""
    buffer = io.StringIO()
    # Text stays text (selectable, in the page's font); the salt makes the same figure the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mmjax"}), warnings.catch_warnings():
        # The browser has fonts for the scripts that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, dpi=style.DPI, metadata=nothing)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :].strip()
    # A style element inside would reach the whole page; the font is the page's. Both are in css.py.
    drawing = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"font-family: [^;\"]*;? ?|\n *(?=<)", "", drawing)
    drawing = _private_ids(drawing, f"f{next(_numbers)}-")
    drawing = drawing.replace(style.INK, "currentColor").replace(style.RULE, "var(--line)")
    # No wider than its text is comfortable to read, so that all drawings of a page have letters of one size.
    width, height = (inches * 72 for inches in figure.get_size_inches())
    opening = (
        f'<svg viewBox="0 0 {width:g} {height:g}" style="max-width:{width * 1.34:.0f}px" role="img" '
        f'aria-label="{escape(label)}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return Markup(opening + drawing.partition(">")[2])


def _private_ids(drawing: str, prefix: str) -> str:
    """Gives every id that is referred to a prefix and drops the rest: figures of one page must not share ids."""
    for name in set(_DEFINED.findall(drawing)):
        if f"#{name}" in drawing:
            drawing = drawing.replace(f'id="{name}"', f'id="{prefix}{name}"')
            drawing = drawing.replace(f'"#{name}"', f'"#{prefix}{name}"').replace(f"(#{name})", f"(#{prefix}{name})")
        else:
            drawing = drawing.replace(f' id="{name}"', "")
    return drawing


def plot(figure: Figure, label: str, caption: object | None = None, large: bool = False) -> Markup:
    """A figure element: `figure` as inline SVG above its caption (`label` where there is none); `large`: full width."""
    kind = "plot large" if large else "plot"
    return tag("figure", svg(figure, label), tag("figcaption", caption or label), class_=kind)


def section(identity: str, title: str, *children: object) -> Markup:
    """A titled section of the page, with an anchor."""
    return tag(
        "section", tag("h2", title, id=f"{identity}-title"), *children, id=identity, aria_labelledby=f"{identity}-title"
    )


def empty(text: str) -> Markup:
    """The line that stands where there is nothing to show."""
    return tag("p", text, class_="empty")


def number(value: float) -> str:
    """A figure for reading: four significant digits, no exponent between 0.0001 and ten million."""
    if value != value:
        return "not a number"
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() and abs(value) < 1e7:
        text = f"{int(value):,}"
    elif 1e-4 <= abs(value) < 1e7:
        digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
        text = f"{value:,.{digits}f}" if abs(value) >= 0.1 else f"{value:.4f}"
    else:
        text = f"{value:.2e}"
    return text.replace("-", "−")
