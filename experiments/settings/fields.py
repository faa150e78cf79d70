"""Settings: frozen dataclasses whose fields are keys of a file, options of a command and keywords of a call.

A field of a section (another such dataclass) may be given inside its section, with a dotted name, or by its own name
alone: `market: {rounds: 4}`, `market.rounds: 4` and `rounds: 4` say the same. Names are unique across sections.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, final, get_type_hints

from walras.errors import InputError, UnknownNameError
from walras.escaping import shown
from walras.files.plain_data import read_yaml, write_yaml

S = TypeVar("S")
Read = Callable[[str, Any], Any]


def setting(
    default: Any, text: str, *, read: Read | None = None, registry: str = "", option: str = "", later: bool = False
) -> Any:
    """A field with its line of help.

    Args:
        default: of the field.
        text: what the option's help says.
        read: turns a given value into the field's, given its name; else the value must be of the annotated type.
        registry: kind of the registry whose entries the field names; an object of the kind is taken as it is.
        option: flags of the command line, where they are not `--name`.
        later: whether it came after results had been kept without it; its default is what there was before.
    """
    metadata = {"help": text, "read": read, "registry": registry, "option": option, "later": later}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def section(kind: type[Any], title: str) -> Any:
    """A field that holds settings of its own; `title` heads them in the help of a command."""
    return field(default_factory=kind, metadata={"section": kind, "title": title})


@final
class Leaf(NamedTuple):
    """A field at the bottom of nested settings, and the sections that lead to it."""

    path: tuple[str, ...]
    field: "Field[Any]"
    hint: Any
    title: str  # of its section

    @property
    def default(self) -> Any:
        """What the field is where nothing is given."""
        if self.field.default_factory is not MISSING:
            return self.field.default_factory()
        return None if self.field.default is MISSING else self.field.default


def leaves(kind: type[Any]) -> dict[str, Leaf]:
    """All fields at the bottom of nested settings by name, in order."""
    return _leaves(kind, (), "Settings")


def _leaves(kind: type[Any], above: tuple[str, ...], title: str) -> dict[str, Leaf]:
    hints, found = get_type_hints(kind), dict[str, Leaf]()
    for own in fields(kind):
        inner = own.metadata.get("section")
        if inner is None:
            found[own.name] = Leaf((*above, own.name), own, hints[own.name], title)
        else:
            found |= _leaves(inner, (*above, own.name), str(own.metadata["title"]))
    return found


def leaf_values(settings: Any) -> dict[str, Any]:
    """The values of all fields at the bottom of nested settings by name."""
    return {name: _at(settings, leaf.path) for name, leaf in leaves(type(settings)).items()}


def flat(given: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Given settings by the names of their fields, sections taken apart; values as they are.

    Raises:
        UnknownNameError: a key that is no field and no section.
        InputError: a section that is no mapping, a field that is given twice.
    """
    return _flat(given, kind, "")


def _flat(given: Mapping[str, Any], kind: type[Any], place: str) -> dict[str, Any]:
    known = leaves(kind)
    sections = {f.name: f.metadata["section"] for f in fields(kind) if "section" in f.metadata}
    found: dict[str, Any] = {}
    for key, value in given.items():
        head, dotted, rest = str(key).partition(".")
        if head in sections and dotted:
            inner = _flat({rest: value}, sections[head], f"{place}{head}.")
        elif key in sections and is_dataclass(value) and not isinstance(value, type):
            inner = leaf_values(value)
        elif key in sections:
            if not isinstance(value, Mapping):
                raise InputError(f"{place}{key} is {shown(value)}; it must map names to values: {', '.join(known)}")
            inner = _flat(value, sections[key], f"{place}{key}.")
        elif key in known:
            inner = {key: value}
        else:
            raise UnknownNameError("setting", f"{place}{key}", [*known, *sections])
        for name, own in inner.items():
            if name in found:
                raise InputError(f"{name} is given twice, as {found[name]!r} and as {own!r}")
            found[name] = own
    return found


def nested(values: Mapping[str, Any], kind: type[S]) -> S:
    """Settings of a kind from the values of their fields by name, each read and checked; the rest are the defaults.

    Raises:
        InputError: a value that the field does not take.
    """
    own: dict[str, Any] = {}
    for one in fields(kind):  # type: ignore[arg-type]  # no bound says "any dataclass"
        inner = one.metadata.get("section")
        if inner is not None:
            names = leaves(inner)
            own[one.name] = nested({k: v for k, v in values.items() if k in names}, inner)
        elif one.name in values:
            own[one.name] = read_value(one, get_type_hints(kind)[one.name], values[one.name])
    return kind(**own)


def read_value(one: "Field[Any]", hint: Any, value: Any) -> Any:
    """A value of a field, read as the field says or checked to be of its type; whole numbers are taken for real ones.

    Raises:
        InputError: a value of another type.
    """
    if one.metadata.get("read") is not None:
        return one.metadata["read"](one.name, value)
    if one.metadata.get("registry"):
        return value
    kinds = getattr(hint, "__args__", (hint,))
    if hasattr(value, "item") and callable(value.item) and getattr(value, "ndim", 0) == 0:
        value = value.item()  # a number of numpy's or torch's
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = as_float(one.name, value)
    if float in kinds and isinstance(value, str):
        value = number(value)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(k.__name__ for k in kinds if k is not type(None))
        raise InputError(f"{one.name} is {shown(value)}; it must be of type {wanted}")
    return value


def as_float(name: str, value: float) -> float:
    """A number as a real one.

    Raises:
        InputError: a whole number that is larger than any real one here.
    """
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{name} is a number of more than 300 digits; it must be a number that fits 64 bits") from None


def as_tree(settings: Any, told: Callable[["Field[Any]", Any], Any]) -> dict[str, Any]:
    """Nested settings as plain data, section by section; `told` says what is kept of a field's value.

    A setting that came later is left out at its default, so that files and keys of earlier versions stay what they are.
    """
    found = {}
    for one in fields(settings):
        value = getattr(settings, one.name)
        if not (one.metadata.get("later") and value == one.default):
            found[one.name] = as_tree(value, told) if "section" in one.metadata else told(one, value)
    return found


def as_yaml(tree: Mapping[str, Any]) -> str:
    """Plain data as a file of settings."""
    return write_yaml(tree)


def read_settings(path: str | Path) -> Mapping[str, Any]:
    """What a YAML file maps names to.

    Raises:
        InputError: no such file, or not YAML, or no settings in it, or a key that is there twice.
    """
    found = read_yaml(path, "config file")
    if not isinstance(found, Mapping):
        what = "is empty" if found is None else f"holds a {type(found).__name__}"
        raise InputError(f"config file {str(path)!r} {what}; it must hold lines like `budget: 0.5`")
    return found


def whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Refuse a setting that is no whole number between limits.

    Raises:
        InputError: as said.
    """
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} is {shown(value)}; it must be a whole number {limits}")


def number(text: str) -> Any:
    """The number of a text such as 1e-8 (which YAML takes for no number) or 50%; other texts as they are."""
    percent = text.strip().endswith("%")
    try:
        return float(text.strip().removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        return text


def texts(name: str, value: Any) -> tuple[Any, ...]:
    """The items of a list, or of a text with blanks or commas between them outside of parameters.

    Raises:
        InputError: neither of them.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, Mapping) or not hasattr(value, "__iter__"):
        return (value,)
    return tuple(value)


def _at(settings: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        settings = getattr(settings, name)
    return settings
