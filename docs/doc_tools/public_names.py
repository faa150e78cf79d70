"""The public names of Walras: those of `walras` itself and of every package below it, each with the room it lies in."""

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("mechanisms", "models", "agents", "market", "experiments")


@dataclass(frozen=True)
class PublicName:
    """A name that users import: the object, and the packages that export it, the shortest first."""

    name: str
    value: Any
    packages: tuple[str, ...]
    room: str  # whose page of the reference documents it


def packages() -> list[str]:
    """Every package of Walras, `walras` first; as the checkout has them, whose rooms lie beside the folder `walras`."""
    inits = [path for room in ("walras", *ROOMS) for path in (ROOT / room).rglob("__init__.py")]
    parts = [path.parent.relative_to(ROOT).parts for path in inits]
    found = {".".join(own if own[0] == "walras" else ("walras", *own)) for own in parts}
    return sorted(found, key=lambda name: (name.count("."), name))


def exported(package: ModuleType) -> list[str]:
    """What a package exports: its `__all__`, or else what its `__init__` imports from Walras or makes."""
    if hasattr(package, "__all__"):
        return [name for name in package.__all__ if not name.startswith("__")]
    return [
        name
        for name, value in vars(package).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and (name.isupper() or getattr(value, "__module__", "").startswith("walras."))
    ]


def public_names() -> list[PublicName]:
    """All public names, by room and then by name; one object has one entry, under however many names of packages.

    Two packages may give one name to different objects (the phase `Clear`, the allocator `Clear`): each has an entry.
    """
    entries: dict[tuple[str, int], PublicName] = {}
    for package in map(importlib.import_module, packages()):
        for name in exported(package):
            value = getattr(package, name)
            known = entries.get((name, id(value)))
            homes = (*(known.packages if known else ()), package.__name__)
            entries[name, id(value)] = PublicName(name, value, homes, room_of(value, homes))
    return sorted(entries.values(), key=lambda entry: (ROOMS.index(entry.room), entry.name.lower(), entry.packages))


def room_of(value: Any, homes: tuple[str, ...]) -> str:
    """The room in which an object is made; of a constant, the room of the deepest package that exports it."""
    place = getattr(value, "__module__", "") if callable(value) and not isinstance(value, Mapping) else ""
    place = place if place.startswith("walras.") else homes[-1]
    return place.split(".")[1]
