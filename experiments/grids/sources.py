"""Settings as plain data that stands for all a result depends on: names, numbers, and the source of user code."""

import inspect
import json
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from walras.errors import WalrasError
from walras.experiments.registries import registry
from walras.experiments.settings.fields import as_tree
from walras.experiments.settings.named_files import content_of, with_contents
from walras.user_code import fingerprint

_PLACES = ("data", "latency_table")  # settings that are a file or folder as a whole
_PLAIN = (str, bool, int, float, type(None))


def canonical(settings: Any, exact: bool = False) -> dict[str, Any]:
    """Settings (a dataclass, perhaps with sections) as plain data, the same for equal settings in any process.

    A file that they name is replaced by the hash of its content, so that it does not matter where it lies, and an
    edited file is another one; files that a user's FILE.py imports are not looked at, nor is the network. An object
    stands as the text that makes it, where there is one, and else as its class, its attributes and the hash of the
    file that defines the class.

    Args:
        settings: the settings.
        exact: whether parameters behind a user's file are in one spelling too; the file is run for it.
    """
    return as_tree(settings, partial(_setting, exact=exact))


def content_key(settings: Any, exact: bool = False) -> str:
    """A hash of settings and of the user's files and objects that they name; see `canonical`."""
    text = json.dumps(canonical(settings, exact), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode("ascii")).hexdigest()[:16]


def names_files(settings: Any) -> bool:
    """Whether settings name a file or folder that is there, so that nobody knows what an earlier run read in it."""
    return any(
        names_files(getattr(settings, one.name))
        if "section" in one.metadata
        else _names_file(one.name, getattr(settings, one.name))
        for one in fields(settings)
    )


def without_places(text: str) -> str:
    """A file of settings in which user's files have lost their folders."""
    return re.sub(r"[^\s'\",=]*/(?=[^/\s'\",=:]*\.py\b)", "", text)


def described(found: Any, kind: str) -> str:
    """What an object is called in tables: the text that makes it, or its class with its attributes where plain.

    Args:
        found: the object.
        kind: of the registry that may know it; "" for none.
    """
    text = _text_of(found, kind)
    if text is not None:
        return text
    if isinstance(found, Mapping):  # what no text can say
        return f"{found.get('name')}:" + ",".join(f"{k}={v!r}" for k, v in found.items() if k != "name")
    own = {k: v for k, v in getattr(found, "__dict__", {}).items() if isinstance(v, _PLAIN) and not k.startswith("_")}
    told = ",".join(f"{key}={value}" for key, value in own.items())
    return type(found).__name__ + (f":{told}" if told else "")


def _setting(one: "Field[Any]", value: Any, *, exact: bool) -> Any:
    if one.name in _PLACES and isinstance(value, str):
        return content_of(value)
    kind = one.metadata.get("registry") or ""
    return _value(_exact(value, kind) if exact and kind else value, kind)


def _names_file(name: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_names_file(name, inner) for pair in value.items() for inner in pair)
    if isinstance(value, (list, tuple)):
        return any(_names_file(name, inner) for inner in value)
    read = content_of if name in _PLACES else with_contents
    return isinstance(value, str) and read(value) != value


def _exact(value: Any, kind: str) -> Any:
    """A value in a spelling that all ways to say it share; as it is where it cannot be made."""
    if isinstance(value, tuple):
        return tuple(_exact(item, kind) for item in value)
    if not isinstance(value, (str, Mapping)):
        return value
    known = registry(kind)
    try:
        read = known.read(value) if known.read is not None and isinstance(value, str) else None
        parts: Sequence[Any] = getattr(read, "parts", ())
        return known.exact(value if read is None else parts[0] if len(parts) == 1 else read)
    except WalrasError:
        return value


def _value(value: Any, kind: str) -> Any:
    if isinstance(value, str):
        return with_contents(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {with_contents(str(key)): _value(inner, kind) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(inner, kind) for inner in value]
    text = _text_of(value, kind)
    return _object(value) if text is None else with_contents(text)


def _text_of(found: Any, kind: str) -> str | None:
    """The text from which the registry makes an equal object; None where there is none."""
    if not kind or type(found).__module__.split(".")[0] != "walras":
        return None
    known = registry(kind)
    try:
        text = known.spelled(found)
        return text if isinstance(text, str) and known.make(text) == found else None
    except WalrasError:  # a text that is refused
        return None


def _object(found: Any) -> dict[str, Any]:
    kind, own = type(found), getattr(found, "__dict__", {})
    plain = all(isinstance(value, _PLAIN) for value in own.values())
    within = sorted({_source(one) for one in _kinds_within(found) if one.__module__.split(".")[0] != "walras"})
    told = {name: _value(value, "") for name, value in own.items()} if plain else None
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}", "source": _source(kind),
        "attributes": sha256(pickle.dumps(found)).hexdigest()[:16] if told is None else told,
        **({"within": within} if within else {}),
    }  # fmt: skip


def _kinds_within(found: Any) -> set[type[Any]]:
    """Classes of the objects that an object holds, at any depth: parts of a mixture, say."""
    held: set[type[Any]] = set()
    waiting, seen = [*getattr(found, "__dict__", {}).values()], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (list, tuple)):
            waiting += one
        elif isinstance(one, Mapping):
            waiting += one.values()
        elif is_dataclass(one) and not isinstance(one, type):
            held.add(type(one))
            waiting += getattr(one, "__dict__", {}).values()
    return held


def _source(kind: type[Any]) -> str:
    """The hash of the file in which a class is defined, or of its own lines where it is in no file."""
    try:
        file = inspect.getsourcefile(kind)
        if file is not None and Path(file).is_file():
            return fingerprint(file)
        return sha256(inspect.getsource(kind).encode()).hexdigest()[:16]
    except (OSError, TypeError):
        return ""
