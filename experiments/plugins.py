"""Names of rules, valuations, strategies and tasks: from the project's lists, or from a file of the user's."""

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from walras.errors import InputError, UnknownNameError, WalrasError

TEXTS = {"task": ("name", "metric"), "valuation": ("unit",), "strategy": ("name",)}  # that a class must state


def find_class(kind: str, name: str, known: Mapping[str, type[Any]], base: type[Any]) -> type[Any]:
    """The class called `name` in a list, or the class `FILE.py:Class` of a file, which is run for it.

    Raises:
        UnknownNameError: a name that is in no list, or a class that is not in the file.
        InputError: a file that is missing or does not import; a class that is no concrete subclass of `base`.
    """
    if ":" not in name and not name.endswith(".py"):
        by_case = {key.lower(): key for key in known}
        if name.lower() not in by_case:
            raise UnknownNameError(kind, name, known, "Your own: FILE.py:Class.")
        return known[by_case[name.lower()]]
    file, _, attribute = name.rpartition(":") if ":" in name else (name, "", "")
    module = _run_file(kind, Path(file))
    own = {n: c for n, c in vars(module).items() if inspect.isclass(c) and c.__module__ == module.__name__}
    fitting = [n for n, c in own.items() if issubclass(c, base)]
    if attribute not in own and not fitting:
        raise InputError(f"{file} defines no subclass of {base.__module__}.{base.__name__}")
    if not attribute:
        raise InputError(f"which class of {file}? Write {file}:{fitting[0]}")
    if attribute not in own:
        raise UnknownNameError(f"{kind} in {file}", attribute, fitting)
    found = own[attribute]
    if not issubclass(found, base):
        raise InputError(f"{name} is no {base.__name__}: it must be a subclass of {base.__module__}.{base.__name__}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise InputError(f"{name} is abstract: it has to define {missing}")
    return found


def build(kind: str, cls: type[Any], **settings: Any) -> Any:
    """An instance of `cls` with the settings that were given; those that are None are left to the class."""
    given = {key: value for key, value in settings.items() if value is not None}
    takes = inspect.signature(cls).parameters
    for key in given:
        if key not in takes:
            raise InputError(f"{kind} {cls.__name__} takes no {key}; it takes {', '.join(takes) or 'nothing'}")
    needed = [n for n, p in takes.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    lacking = [n for n in needed if n not in given]
    if lacking:
        raise InputError(f"{kind} {cls.__name__} needs a value for {', '.join(lacking)}; give its fields defaults")
    try:
        made = cls(**given)
    except WalrasError:
        raise
    except Exception as error:  # whatever the user's class raises is the user's to mend
        raise InputError(f"{kind} {cls.__name__} cannot be made: {type(error).__name__}: {error}") from error
    for name in TEXTS.get(kind, ()):
        if not isinstance(getattr(made, name, None), str):
            raise InputError(f'{kind} {cls.__name__} has no {name}; it needs a line like {name} = "..."')
    return made


def _run_file(kind: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{kind} file {str(path)!r} does not exist")
    name = f"walras_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{kind} file {str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's file raises is the user's to mend
        del sys.modules[name]
        raise InputError(f"{kind} file {str(path)!r} does not import: {type(error).__name__}: {error}") from error
    return module
