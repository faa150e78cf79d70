"""What is on a report page, as plain data. The template shows it: there, and nowhere else, is HTML."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar, final

import pandas as pd
from matplotlib.figure import Figure

from walras.experiments.reports.numbers import largest, number


@final
@dataclass(frozen=True)
class Link:
    """A text that leads to a file of the same folder or one above; `to` is relative."""

    text: str
    to: str
    kind: ClassVar[str] = "link"


Cell = str | Link


@final
@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row heads it. A long one is folded."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str
    texts: int = 1  # columns from the left that hold texts, not numbers
    emphasised: frozenset[int] = frozenset()  # rows
    kind: ClassVar[str] = "table"

    @staticmethod
    def from_frame(frame: pd.DataFrame, caption: str, digits: int = 3) -> "Table":
        """Every column with digits of its own; numbers that are rounding beside the column's largest are 0."""
        columns = [cells(frame[name].tolist(), digits) for name in frame.columns]
        return Table([str(name) for name in frame.columns], [*zip(*columns, strict=True)], caption, texts=1)


def cells(values: Iterable[Any], digits: int = 3) -> list[str]:
    """A column of a table as texts."""
    values = [*values]
    among = largest(values)
    return [number(v, digits, among) if v is None or isinstance(v, Real) else str(v) for v in values]


@final
@dataclass(frozen=True)
class Picture:
    """A figure: its file's name without ending, what is told of it to those who do not see it, and a line below."""

    name: str
    figure: Figure
    alt: str
    caption: str = ""
    kind: ClassVar[str] = "picture"


@final
@dataclass(frozen=True)
class Note:
    """A paragraph; `warning` where it should not be overlooked."""

    text: str
    warning: bool = False
    kind: ClassVar[str] = "note"


@final
@dataclass(frozen=True)
class Shaded:
    """A text whose pieces have a background as strong as their share, and the share told where one points at them."""

    pieces: Sequence[tuple[str, float, str]]  # text, strength from 0 to 1, what is told of it
    caption: str
    kind: ClassVar[str] = "shaded"


Part = Table | Picture | Note | Shaded


@final
@dataclass(frozen=True)
class Section:
    """Parts under a heading; folded where they are long and not the first thing to know."""

    title: str
    parts: Sequence[Part]
    folded: bool = False


@final
@dataclass(frozen=True)
class Made:
    """How the report can be made again.

    Attributes:
        command: a line for a shell; "" where no command line says it all.
        reason: why there is none, or what it does not say.
        settings: seeds, tasks and the like, by name.
        versions: of the packages that made it; empty where they were not recorded.
        links: to other reports and files, relative.
    """

    command: str
    reason: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[Link] = ()


@final
@dataclass(frozen=True)
class Page:
    """A report: the verdict in a sentence and figures, sections, and how it was made."""

    title: str
    about: str  # what it is a report of, in a sentence
    verdict: str
    figures: Sequence[Table | Picture | Note]  # that belong to the verdict
    sections: Sequence[Section]
    made: Made

    @property
    def pictures(self) -> list[Picture]:
        """All pictures, in order."""
        parts = [*self.figures, *(part for section in self.sections for part in section.parts)]
        return [part for part in parts if isinstance(part, Picture)]
