"""Texts in pictures, made harmless in one place: whatever a name holds, its picture is drawn."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.figure import Figure
from matplotlib.text import Text

from walras.escaping import terminal_text

_LONGEST, _MOST_LINES = 90, 6  # of a text: what a picture has room for


def settle_texts(figure: Figure) -> None:
    """Let no text of a figure be taken for a formula, and none be longer than there is room.

    Axes must label their ticks without formulas, as logarithmic ones do not by themselves.
    """
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_parse_math(False)
            text.set_text(fitted(text.get_text()))


def fitted(text: str) -> str:
    """A text without control codes, its lines cut to what a picture has room for."""
    lines = terminal_text(text).replace("\t", " ").split("\n")
    return "\n".join(line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…" for line in lines[:_MOST_LINES])


def in_legend(name: str) -> str:
    """A name that a legend shows: matplotlib leaves out those that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name


@contextmanager
def without_remarks() -> Iterator[None]:
    """Silence what matplotlib remarks on names: characters that its font lacks are boxes, long ones take their room."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        warnings.filterwarnings("ignore", "Tight layout not applied", UserWarning)
        yield
