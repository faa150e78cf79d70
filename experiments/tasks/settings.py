"""Settings of a task that stand behind its name: `wikitext2:stride=512,tokens=65536`."""

import inspect
import re
from collections.abc import Callable
from typing import Any, get_args

import yaml

from walras.errors import InputError, UnknownNameError

_PARTS = re.compile(r"(.*\.py(?::\w+)?|[^:]*)(?::(.*))?")  # of FILE.py:Class, or of a name


def apart(name: str) -> tuple[str, str]:
    """The name of a task or FILE.py:Class, and its settings as text; "" where there are none."""
    found = _PARTS.fullmatch(name)
    return (found[1], found[2] or "") if found else (name, "")


def settings_of(task: str, text: str, factory: Callable[..., object]) -> dict[str, Any]:
    """Settings `key=value,key=value` with the keys and types of the factory's parameters.

    Raises:
        InputError: no pair of key and value, a key twice, a value of the wrong type.
        UnknownNameError: a key that the task does not take.
    """
    takes = {n: p for n, p in inspect.signature(factory, eval_str=True).parameters.items() if n != "data"}
    found: dict[str, Any] = {}
    for pair in text.split(",") if text else ():
        key, named, value = (part.strip() for part in pair.partition("="))
        if not (key and named and value):
            raise InputError(f"{pair!r} is no setting of task {task}; write {task}:key=value,key=value")
        if not takes:
            raise InputError(f"task {task} takes no settings (given: {pair!r})")
        if key not in takes:
            raise UnknownNameError(f"setting of task {task}", key, takes)
        if key in found:
            raise InputError(f"{key} of task {task} is given twice")
        found[key] = _typed(task, key, value, takes[key].annotation)
    return found


def _typed(task: str, key: str, text: str, annotation: Any) -> Any:
    """The value as one of the annotated types; any where there is no annotation."""
    kinds = tuple(kind for kind in get_args(annotation) or (annotation,) if kind is not type(None))
    value = _scalar(text)
    if str in kinds and not isinstance(value, kinds):
        return text
    if float in kinds and type(value) is int:
        return float(value)
    if annotation is not inspect.Parameter.empty and type(value) not in kinds:
        wanted = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
        raise InputError(f"{key} of task {task} is {text!r}; it must be of type {wanted}")
    return value


def _scalar(text: str) -> Any:
    """The text as YAML reads it, or as it is where that is no YAML."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
