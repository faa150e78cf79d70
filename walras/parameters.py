"""Parameters behind a name: `Shapley:permutations=256,seed=1`, and what a class or function takes.

Parameters of several values are written with `/` between them: `Hedge:factors=0/0.5/1`.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from walras.errors import InputError, UnknownNameError
from walras.escaping import shown

_SPEC = re.compile(r"(.*?\.py(?::[A-Za-z_]\w*)?|[^:]*)(?::(.*))?", re.DOTALL)  # FILE.py:Class or a name; parameters


def split_spec(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Name (or FILE.py:Class) and parameters of `NAME:key=value,key=value`.

    Raises:
        InputError: something behind the name is no pair of a key and a value.
    """
    found = _SPEC.fullmatch(text)
    name, behind = (found[1], found[2]) if found else (text, None)
    pairs = []
    for pair in behind.split(",") if behind is not None else ():
        key, named, value = (part.strip() for part in pair.partition("="))
        if not (key and named and value):
            raise InputError(f"{pair!r} behind {name} is no parameter; write {name}:key=value,key=value")
        pairs.append((key, value))
    return name, pairs


def is_own(name: str) -> bool:
    """Whether a name is that of a user's file: FILE.py or FILE.py:Class."""
    return name.endswith(".py") or ".py:" in name


def taken_parameters(entry: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What a class or function takes by name, annotations resolved; nothing for *args and **kwargs."""
    try:
        signature = inspect.signature(entry, eval_str=True)
    except (NameError, TypeError, ValueError):
        signature = inspect.signature(entry)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p for name, p in signature.parameters.items() if p.kind in named}


def given_parameters(owner: str, given: Mapping[str, Any], takes: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Values by parameter, each of the annotated type; keys match without regard to case, `-` and `_`.

    Raises:
        UnknownNameError: a parameter that `owner` does not take; the message names those that it takes.
        InputError: a value of the wrong type.
    """
    names = {_plain(name): name for name in takes}
    found: dict[str, Any] = {}
    for key, value in given.items():
        if not takes:
            raise InputError(f"{owner} takes no parameters (given: {key})")
        if _plain(key) not in names:
            raise UnknownNameError(f"parameter of {owner}", key, takes)
        name = names[_plain(key)]
        if name in found:
            raise InputError(f"{name} of {owner} is given twice")
        found[name] = typed_value(f"{name} of {owner}", value, takes[name].annotation)
    return found


def typed_value(what: str, value: Any, annotation: Any) -> Any:
    """The value, read from its text where it is one, as one of the annotated types; any where there is no annotation.

    Raises:
        InputError: none of them.
    """
    if annotation is inspect.Parameter.empty or annotation is Any:
        return scalar(value) if isinstance(value, str) else value
    if get_origin(annotation) is tuple:
        several = value.split("/") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
        return tuple(typed_value(what, one, get_args(annotation)[0]) for one in several)
    kinds = tuple(kind for kind in get_args(annotation) or (annotation,) if isinstance(kind, type))
    read = scalar(value) if isinstance(value, str) else value
    if str in kinds and isinstance(value, str) and not (isinstance(read, kinds) and not isinstance(read, str)):
        return value
    if float in kinds and type(read) is int:
        return float(read)
    if kinds and (not isinstance(read, kinds) or (isinstance(read, bool) and bool not in kinds)):
        wanted = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
        raise InputError(f"{what} is {shown(value)}; it must be of type {wanted}")
    return read


def as_text(value: Any) -> str:
    """The text from which `typed_value` reads a value."""
    return "/".join(map(as_text, value)) if isinstance(value, (list, tuple)) else str(value)


def scalar(text: str) -> Any:
    """A number, true, false, none, or the text as it is."""
    words = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def kind_of(annotation: Any) -> str:
    """An annotation in words; "" where there is none."""
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def first_sentence(entry: Any) -> str:
    """The first sentence of a docstring, with its full stop; of its class for an object."""
    text = " ".join(str(inspect.getdoc(entry) or "").split("\n\n")[0].split())
    head = text.partition(". ")[0].rstrip(".")
    return f"{head}." if head else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
