"""How a file of settings keeps what a registry names: as a text, as a mapping where no text can say it, and objects.

An object is kept as what makes an equal one. Where nothing does, a text stands for it that is refused when it is read.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from walras.errors import InputError
from walras.escaping import shown
from walras.parameters import as_text, given_parameters, split_spec

Takes = Mapping[str, inspect.Parameter]
OBJECT = "object of class "  # begins the text for an object that no text makes again
_PLAIN = (bool, int, float, str, type(None))


def bare(given: Any) -> Any:
    """A mapping that holds nothing but a name is that name; anything else as it is."""
    return given["name"] if isinstance(given, Mapping) and [*given] == ["name"] else given


def kept(
    owner: str, head: str, parameters: Mapping[str, Any], takes: Takes | None, misread: Callable[[str], bool]
) -> str | dict[str, Any]:  # fmt: skip
    """`HEAD:key=value,key=value`, or a mapping where that text would be read as something else.

    Args:
        owner: kind of what is named, for messages.
        head: the name, or FILE.py:Class.
        parameters: their values.
        takes: what the entry takes, by which texts are read; None where nobody knows, as before a file has been run.
        misread: whether a text is read as something else than a name with parameters.

    Raises:
        InputError: a value that no file of settings can hold.
    """
    values = {key: _plain(f"{key} of {owner} {head}", value) for key, value in parameters.items()}
    text = f"{head}:" + ",".join(f"{key}={as_text(value)}" for key, value in values.items())
    if not values:
        return head
    return text if _says(text, head, values, takes, misread) else {"name": head, **values}


def attributes(made: object, takes: Takes) -> dict[str, Any] | None:
    """An object's parameters that differ from their defaults; None where one of them is no plain attribute."""
    found: dict[str, Any] = {}
    for key, parameter in takes.items():
        value = getattr(made, key, inspect.Parameter.empty)
        if value is inspect.Parameter.empty or not _is_plain(value):
            return None
        if repr(value) != repr(parameter.default):
            found[key] = value
    return found


def own_head(kind: type[Any]) -> str:
    """FILE.py:Class from which a user's class can be loaded; "" where there is no file that can be run alone.

    A script is not run alone: it would do again what it did. Neither is a module of a package.
    """
    module = sys.modules.get(kind.__module__)
    if "." in kind.__module__ or kind.__module__ in ("__main__", "__mp_main__"):
        return ""
    if kind.__qualname__ != kind.__name__ or not inspect.isclass(getattr(module, kind.__name__, None)):
        return ""
    file = _file(kind)
    return f"{file}:{kind.__name__}" if file.endswith(".py") and Path(file).is_file() else ""


def unreadable(made: object) -> str:
    """The text for an object that no text makes again; the same in every process."""
    return f"{OBJECT}{type(made).__qualname__} of {Path(_file(type(made))).name or 'no file'}"


def refuse_unreadable(owner: str, text: str) -> None:
    """Refuse such a text.

    Raises:
        InputError: it is one.
    """
    if text.startswith(OBJECT):
        name, _, file = text.removeprefix(OBJECT).rpartition(" of ")
        raise InputError(
            f"config.yaml cannot be read back because the {owner}, class {name} of {file}, was given as an object; "
            f"put the class in a file of its own and name it there: FILE.py:{name}"
        )


def _file(kind: type[Any]) -> str:
    """The file of a class, by its own code: modules of users' files of one name take each other's place."""
    for member in vars(kind).values():
        code = getattr(member, "__code__", None)
        if code is not None and member.__module__ == kind.__module__ and not code.co_filename.startswith("<"):
            return str(code.co_filename)
    try:
        return inspect.getsourcefile(kind) or ""
    except (OSError, TypeError):
        return ""


def _says(
    text: str, head: str, values: Mapping[str, Any], takes: Takes | None, misread: Callable[[str], bool]
) -> bool:  # fmt: skip
    """Whether a text is read as this name with these values."""
    try:
        if misread(text):
            return False
        name, pairs = split_spec(text)
        read: Mapping[str, Any] = dict(pairs)
        if takes is None:
            same = all(isinstance(own, _PLAIN[:-1]) and read.get(key) == as_text(own) for key, own in values.items())
        else:
            same = repr(given_parameters(head, read, takes)) == repr(given_parameters(head, values, takes))
    except InputError:
        return False
    return name == head and same and len(pairs) == len(values)


def _plain(what: str, value: Any) -> Any:
    """A value as YAML holds it."""
    if hasattr(value, "item") and callable(value.item) and getattr(value, "ndim", 0) == 0:
        value = value.item()  # a number of numpy's or torch's
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(what, one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(what, one) for key, one in value.items()}
    raise InputError(
        f"{what} is {shown(value)}; settings hold numbers, texts, switches, and lists of them: give an object"
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, (list, tuple)) and all(map(_is_plain, value)))
