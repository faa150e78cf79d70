"""Texts of unknown origin, made harmless for where they are shown: names in a file that was read may hold anything.

HTML is escaped by jinja2, and JSON by the standard library; a terminal, a picture and Markdown by what is here.
"""

import re
from typing import Any

_COLOUR = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]")  # and moves of the cursor: what these end with is sure
_CONTROLS = (
    *range(0x09), *range(0x0B, 0x20), 0x7F, *range(0x80, 0xA0),  # C0 without tab and line feed, DEL, C1
    0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF,  # direction, ends of lines
    *range(0xE0000, 0xE0080),  # tags: characters that nothing shows
)  # fmt: skip
_DROPPED = dict.fromkeys(_CONTROLS)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&:])")


def terminal_text(text: str) -> str:
    """The text without what a terminal obeys instead of showing; line feeds and tabs stay.

    Of longer sequences, such as titles and links, the codes alone are dropped: what follows an open one is not lost.
    Half characters (lone surrogates), which no terminal can be sent, become `\\udc80` and the like.
    """
    if text.isascii() and text.isprintable():  # most are
        return text
    plain = _COLOUR.sub("", text).translate(_DROPPED)
    return plain.encode("utf-8", "backslashreplace").decode()


def one_line(text: str, most: int | None = None) -> str:
    """The text as a terminal may show it, on one line; cut after so many characters."""
    line = " ".join(part.strip() for part in terminal_text(text).splitlines())
    return line if most is None or len(line) <= most else f"{line[: most - 1]}…"


def markdown_text(text: str) -> str:
    """The text within a line of Markdown, where nothing of it is taken for markup, a link or HTML."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def markdown_code(text: str) -> str:
    """The text as code within a line of Markdown, or within a cell of its tables."""
    line = one_line(text).replace("|", "¦")  # a bar would end the cell
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def shown(value: Any, most: int = 60) -> str:
    """A value in an error, short; whole numbers of thousands of digits cannot even be printed."""
    if isinstance(value, int) and abs(value) >= 10**most:
        return f"a number of more than {most} digits"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
