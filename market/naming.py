"""Errors of code that is the user's own: told with its name, its file and the line."""

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager

from walras.errors import UserCodeError, WalrasError
from walras.user_code import place_of, user_code


@contextmanager
def naming(what: str, code: object) -> Iterator[None]:
    """A context in which an error of `code`, an object, class or function, is told as that of `what`.

    The message names the file and the line that raised it or, where none of the user's lines did, those at which
    `code` begins. Errors of Walras keep their type and get the name in front. What our own code raises passes as it
    is: its traceback says more.

    Raises:
        UserCodeError: the user's code raised anything but a `WalrasError`, or called sys.exit.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, UserCodeError) or _is_ours(code):
            raise
        if isinstance(error, WalrasError):
            error.args = (f"{what}{place_of(error) or defined_at(code)}: {error}",)
            raise
        with user_code(what if place_of(error) else what + defined_at(code)):
            raise


def defined_at(code: object) -> str:
    """` (FILE.py, line 12)` where a class, a function or an object's class of the user's begins; "" where unknown."""
    while isinstance(code, functools.partial):
        code = code.func
    found = code if inspect.isclass(code) or inspect.isroutine(code) else type(code)
    if _is_ours(found):
        return ""
    try:
        return f" ({inspect.getsourcefile(found)}, line {inspect.getsourcelines(found)[1]})"
    except (OSError, TypeError):  # typed in by hand, or written in C
        return ""


def _is_ours(code: object) -> bool:
    module = str(getattr(code, "__module__", None) or type(code).__module__)
    return module.split(".")[0] == "walras"
