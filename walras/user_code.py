"""Code of the user's own: classes from files, and errors that name the file and the line."""

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from walras.errors import InputError, UnknownNameError, UserCodeError, WalrasError


def load_class(kind: str, name: str, base: type[Any]) -> Any:
    """The class, function or object called `FILE.py:Name`; the file is run for it.

    Raises:
        UnknownNameError: no such name in the file.
        InputError: a file that is missing or does not import; a class that is no concrete subclass of `base`.
    """
    file, _, attribute = name.rpartition(":") if ".py:" in name else (name, "", "")
    module = _run_file(kind, Path(file))
    own = {n: c for n, c in vars(module).items() if _defined_in(c, module, base)}
    fitting = [n for n, c in own.items() if not inspect.isclass(c) or issubclass(c, base)]
    if attribute not in own and not fitting:
        raise InputError(f"{file} defines no subclass of {base.__module__}.{base.__name__}")
    if not attribute:
        raise InputError(f"which {kind} of {file}? Write {file}:{fitting[0]}")
    if attribute not in own:
        raise UnknownNameError(f"{kind} in {file}", attribute, fitting)
    found = own[attribute]
    if inspect.isclass(found) and not issubclass(found, base):
        raise InputError(f"{name} is no {base.__name__}: it must be derived from {base.__name__} ({base.__module__})")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise InputError(f"{name} is abstract: it has to define {missing}")
    return found


def _defined_in(found: Any, module: ModuleType, base: type[Any]) -> bool:
    """Whether a file itself defines a class, a function, or an object of the wanted kind."""
    if inspect.isclass(found) or inspect.isfunction(found):
        return bool(found.__module__ == module.__name__)
    return isinstance(found, base)


def fingerprint(file: str | Path) -> str:
    """Hash of a user's file, so that what was computed with another version of it is known to be stale.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InputError(f"cannot read {str(file)!r}: {error.strerror or error}") from error


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Turn whatever a user's class raises within the context into one line that names the file and the line.

    Errors of our own pass as they are. `what` is named in the message: "mechanism FirstCome".

    Raises:
        UserCodeError: the code raised anything but a `WalrasError`, or called sys.exit.
    """
    try:
        yield
    except (WalrasError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        raise UserCodeError(f"{what} failed{place_of(error)}: {type(error).__name__}: {error}") from error


def place_of(error: BaseException) -> str:
    """` (FILE.py, line 12)` of the innermost frame that belongs to no installed package; "" where there is none."""
    frames = [
        (frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [(file, line) for module, file, line in frames if not _installed(str(module), file)]
    return f" ({own[-1][0]}, line {own[-1][1]})" if own else ""


def _installed(module: str, file: str) -> bool:
    """Whether a frame is of Walras, of the standard library or of an installed package."""
    library = str(Path(inspect.__file__).parent)
    return module.split(".")[0] == "walras" or "-packages" in file or file.startswith((library, "<"))


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
        raise InputError(
            f"{kind} file {str(path)!r} does not import{place_of(error)}: {type(error).__name__}: {error}"
        ) from error
    return module
