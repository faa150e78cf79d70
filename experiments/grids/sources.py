"""Settings as plain data that stands for all a result depends on: names, numbers, and the source of user code."""

import inspect
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from walras.experiments.registries import registry
from walras.user_code import fingerprint

_FILE = re.compile(r"[^,=]+?\.py(?=$|[:,=])")  # in a text such as truthful=0.5,own/learner.py:Mine:rate=.1=0.5
_PLAIN = (str, bool, int, float, type(None))


def canonical(settings: Any) -> dict[str, Any]:
    """Settings (a dataclass, perhaps with sections) as plain data, the same for equal settings in any process.

    A user's FILE.py is replaced by the hash of its content, so that it does not matter where it lies, and an edited
    file is another one; files that it imports are not looked at. An object stands as the text that makes it, where
    there is one, and else as its class, its attributes and the hash of the file that defines the class.
    """
    return {
        one.name: canonical(getattr(settings, one.name))
        if "section" in one.metadata
        else _value(getattr(settings, one.name), one.metadata.get("registry") or "")
        for one in fields(settings)
    }


def content_key(settings: Any) -> str:
    """A hash of settings and of the user's files and objects that they name."""
    text = json.dumps(canonical(settings), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode("ascii")).hexdigest()[:16]


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
    own = {k: v for k, v in getattr(found, "__dict__", {}).items() if isinstance(v, _PLAIN) and not k.startswith("_")}
    told = ",".join(f"{key}={value}" for key, value in own.items())
    return type(found).__name__ + (f":{told}" if told else "")


def _value(value: Any, kind: str) -> Any:
    if isinstance(value, str):
        return _FILE.sub(_hashed, value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {str(key): _value(inner, kind) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(inner, kind) for inner in value]
    return _text_of(value, kind) or _object(value)


def _hashed(match: "re.Match[str]") -> str:
    """The hash of the file that a text names, perhaps behind `truthful=0.8+`; the text where there is no file."""
    whole = match[0].strip()
    before, joined, last = whole.rpartition("+")
    for kept, file in (("", whole), (before + joined, last)):
        if Path(file).is_file():
            return f"{kept}{fingerprint(file)}.py"
    return match[0]


def _text_of(found: Any, kind: str) -> str | None:
    """The text from which the registry makes an equal object; None where there is none."""
    if not kind or type(found).__module__.split(".")[0] != "walras":
        return None
    known = registry(kind)
    text = known.spelled(found)
    return str(text) if text.partition(":")[0] in known and known.make(text) == found else None


def _object(found: Any) -> dict[str, Any]:
    kind, own = type(found), getattr(found, "__dict__", {})
    plain = all(isinstance(value, _PLAIN) for value in own.values())
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}", "source": _source(kind),
        "attributes": dict(own) if plain else sha256(pickle.dumps(found)).hexdigest()[:16],
    }  # fmt: skip


def _source(kind: type[Any]) -> str:
    """The hash of the file in which a class is defined, or of its own lines where it is in no file."""
    try:
        file = inspect.getsourcefile(kind)
        if file is not None and Path(file).is_file():
            return fingerprint(file)
        return sha256(inspect.getsource(kind).encode()).hexdigest()[:16]
    except (OSError, TypeError):
        return ""
