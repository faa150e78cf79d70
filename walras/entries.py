"""What is told of an entry of a registry where entries are listed."""

from dataclasses import dataclass
from typing import NamedTuple, final


class Parameter(NamedTuple):
    """A parameter of an entry, as `walras list KIND` shows it."""

    name: str
    kind: str  # its type, in words
    default: str  # "" where a value must be given


@final
@dataclass(frozen=True)
class Entry:
    """An entry of a registry, described."""

    name: str
    about: str  # a whole sentence
    parameters: tuple[Parameter, ...]
    source: str  # where it is published, or the package that it comes with; "" for our own
