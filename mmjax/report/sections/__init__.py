"""The sections of the page: each module here is one, found by being here. No list names them.

A section module has

    PLACE = ("classes", 20)             # its chapter, one of CHAPTERS, and where it stands among that chapter's
    WANTS = (("scores/<head>", "label/<head>_target"),)    # predictions that it needs; each tuple is an alternative
    def covers(predictions: Predictions) -> set[str]       # keys that the gallery need not show once more
    def render(run: Run) -> Markup                         # empty where there is nothing to show after all

Without WANTS it is always asked. The page asks no section whose WANTS are not there, so that they cannot lie; a key
that stands in them, or is read by `Predictions.get`, must stand in the glossary, mmjax/predictions.py. Whatever nothing
covers is shown by the gallery. Sections do not import each other: what several need is in `report/views`.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Collection
from types import ModuleType

from mmjax import predictions as glossary
from mmjax.report.html import Markup
from mmjax.report.run_files import Predictions, Run


@dataclasses.dataclass(frozen=True)
class Chapter:
    """A part of the page, with a heading and an anchor.

    Attributes:
      title: its heading.
      nothing: the line where no section of it has anything to show; one that is always asked says so itself.
      layout: the class of a div around its sections.
    """

    title: str
    nothing: str = ""
    layout: str | None = None


CHAPTERS: dict[str, Chapter] = {
    "results": Chapter("Results"),
    "curves": Chapter("Curves"),
    "examples": Chapter("Examples", "None by itself: what this run predicted is shown as a whole below."),
    "classes": Chapter("Classes and embeddings", "No head with a reference.", "plots wide"),
    "probes": Chapter("Probes"),
    "config": Chapter("Config"),
    "commands": Chapter("Go on from here"),
}


def _nothing(predictions: Predictions) -> set[str]:
    return set()


@dataclasses.dataclass(frozen=True)
class Section:
    """What a section module says of itself; see above.

    Attributes:
      name: of the module.
      chapter, order: its place.
      render, wants, covers: as above.
    """

    name: str
    chapter: str
    order: int
    render: Callable[[Run], Markup]
    wants: tuple[tuple[str, ...], ...] = ()
    covers: Callable[[Predictions], set[str]] = _nothing

    def finds(self, keys: Collection[str]) -> bool:
        """Whether these keys are enough for one of the alternatives that it wants."""
        return not self.wants or any(glossary.satisfied(alternative, keys) for alternative in self.wants)


def discover() -> list[Section]:
    """All sections in the order of the page. Raises TypeError for a module that is none."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    found = [_section(name, importlib.import_module(f"{__name__}.{name}")) for name in names]
    chapters = list(CHAPTERS)
    return sorted(found, key=lambda section: (chapters.index(section.chapter), section.order, section.name))


def _section(name: str, module: ModuleType) -> Section:
    chapter, order = getattr(module, "PLACE", (None, 0))
    if chapter not in CHAPTERS or not hasattr(module, "render"):
        raise TypeError(f"{module.__name__} is no section: it needs render and a PLACE in {', '.join(CHAPTERS)}")
    section = Section(name, chapter, order, module.render)
    given = {said.lower(): getattr(module, said) for said in ("WANTS", "covers") if hasattr(module, said)}
    return dataclasses.replace(section, **given)


def wanted(*runs: Collection[str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """What no run gives: {section: its WANTS} of all sections that none of the runs, given by their keys, satisfies.

    A section that waits for ever is a name that is spelled otherwise where it is predicted.
    """
    return {one.name: one.wants for one in discover() if not any(one.finds(keys) for keys in runs)}
