"""A text file of the user's own, by perplexity: its beginning calibrates, its end is measured on."""

from walras.errors import InputError
from walras.experiments.tasks.long_text import LongText
from walras.files.contents import read_text

LARGEST = 2**28
"""Bytes of a document."""
_PARTS = 10  # of which the last is measured on


def document(data: str | None = None, tokens: int | None = None, bos: str | None = None) -> LongText:
    """One text file, by perplexity: the first nine tenths calibrate, the last tenth is measured on.

    Args:
        data: a UTF-8 file.
        tokens: measure on the first so many of the last tenth.
        bos: token to put before every window and block, such as <|endoftext|>; by default there is none.

    Raises:
        InputError: no file, or one that cannot be read, is empty or too short.
    """
    if data is None:
        raise InputError("task document needs a text file: data=FILE")
    if tokens is not None and tokens < 2:
        raise InputError(f"tokens is {tokens}; it must be a whole number of at least 2")
    return split_document(read_text(data, "document", LARGEST), data, tokens, bos)


def split_document(text: str, name: str, tokens: int | None = None, bos: str | None = None) -> LongText:
    """The same for a text in memory; it is cut where a line ends, or between words where there is but one line.

    Raises:
        InputError: a text of fewer than two words.
    """
    if not text.strip():
        raise InputError(f"{name} is empty; it must be a text, of which the last tenth is measured on")
    last = len(text) - len(text) // _PARTS
    cut = text.rfind("\n", 0, last) + 1 or text.find("\n") + 1
    if not text[:cut].strip() or not text[cut:].strip():
        cut = text.rstrip().rfind(" ", 0, last) + 1
    if not text[:cut].strip() or not text[cut:].strip():
        raise InputError(f"{name} is too short; it must be a text, of which the last tenth is measured on")
    return LongText("document", "last tenth", text[cut:], "beginning", text[:cut], None, tokens, bos)
