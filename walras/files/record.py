"""Entries of plain data, taken out by name and type."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, final

from walras.errors import InputError
from walras.escaping import shown

EXACT = 2**53
"""Whole numbers up to here are the same as real numbers."""
_MISSING = object()


@final
class Record:
    """A mapping of a file. Whatever is taken out is of the type that is asked for, and finite.

    Args:
        content: what the file holds.
        where: what errors call it: "latency table 'x.json'".

    Raises:
        InputError: no mapping. Every method: an entry that is missing, where there is no default, or of another type
            or size.
    """

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, Mapping):
            raise InputError(f"{where} holds {shown(content)}; it must map names to values")
        self._content, self.where = content, where

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def __iter__(self) -> Iterator[str]:
        for name in self._content:
            if not isinstance(name, str):
                raise InputError(f"{self.where}: {shown(name)} is the name of an entry; it must be a text")
            yield name

    @property
    def content(self) -> Mapping[str, Any]:
        """All of it, unchecked."""
        return self._content

    def number(self, name: str, least: float = -math.inf, most: float = math.inf, *, default: Any = _MISSING) -> float:
        """A finite number between limits."""
        value = self._found(name, default)
        if value is default:
            return value  # type: ignore[no-any-return]  # the caller's own
        return number(value, f"{self.where}: {name}", least, most)

    def whole(self, name: str, least: int = 0, most: int = EXACT, *, default: Any = _MISSING) -> int:
        """A whole number between limits."""
        value = self._found(name, default)
        if value is default:
            return value  # type: ignore[no-any-return]
        return whole(value, f"{self.where}: {name}", least, most)

    def text(self, name: str, *, default: Any = _MISSING) -> str:
        """A text."""
        return self._typed(name, str, "a text", default)  # type: ignore[no-any-return]

    def flag(self, name: str, *, default: Any = _MISSING) -> bool:
        """True or false."""
        return self._typed(name, bool, "true or false", default)  # type: ignore[no-any-return]

    def items(self, name: str, *, default: Any = _MISSING) -> list[Any]:
        """A list."""
        return self._typed(name, list, "a list", default)  # type: ignore[no-any-return]

    def numbers(self, name: str, least: float = -math.inf, most: float = math.inf) -> tuple[float, ...]:
        """A list of finite numbers between limits."""
        return tuple(number(value, f"{self.where}: {name}", least, most) for value in self.items(name))

    def texts(self, name: str, *, default: Any = _MISSING) -> tuple[str, ...]:
        """A list of texts."""
        found = self.items(name, default=default)
        for value in found:
            if not isinstance(value, str):
                raise InputError(f"{self.where}: {name} holds {shown(value)}; it must hold texts")
        return tuple(found)

    def record(self, name: str) -> "Record":
        """A mapping inside."""
        return Record(self._found(name, _MISSING), f"{self.where}: {name}")

    def records(self, name: str) -> "list[Record]":
        """A list of mappings inside."""
        return [Record(one, f"{self.where}: {name}[{i}]") for i, one in enumerate(self.items(name))]

    def _typed(self, name: str, kind: type, words: str, default: Any) -> Any:
        value = self._found(name, default)
        if value is not default and not isinstance(value, kind):
            raise InputError(f"{self.where}: {name} is {shown(value)}; it must be {words}")
        return value

    def _found(self, name: str, default: Any) -> Any:
        if name in self._content:
            return self._content[name]
        if default is _MISSING:
            raise InputError(f"{self.where} has no {name!r}")
        return default


def number(value: Any, what: str, least: float = -math.inf, most: float = math.inf) -> float:
    """A value that is a finite number between limits.

    Raises:
        InputError: another value.
    """
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (fits and abs(value) <= 1e308 and least <= value <= most):
        limits = f" from {least:g} to {most:g}" if least > -math.inf or most < math.inf else ""
        raise InputError(f"{what} is {shown(value)}; it must be a finite number{limits}")
    return float(value)


def whole(value: Any, what: str, least: int = 0, most: int = EXACT) -> int:
    """A value that is a whole number between limits.

    Raises:
        InputError: another value.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{what} is {shown(value)}; it must be a whole number from {least} to {most}")
    return value
