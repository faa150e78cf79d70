"""Axes of a grid: which settings vary, over which values, as given on the command line or in a call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from walras.errors import InputError, UnknownNameError
from walras.experiments.grids.cell import BUDGET, shown
from walras.registry import normalised

RECIPE, OURS = "recipe", "walras"


@final
@dataclass(frozen=True)
class Axis:
    """A setting that varies: its values, and what tables call each of them."""

    name: str
    values: tuple[Any, ...]
    labels: tuple[Any, ...]


@final
@dataclass(frozen=True)
class Reference:
    """A value on an axis with which the other values on this axis are compared."""

    axis: str
    label: Any

    def __str__(self) -> str:
        return shown(self.label)


def split_values(text: str) -> list[str]:
    """The values of `--vary NAME=VALUE,VALUE`.

    A comma begins a new value, but where `key=value` follows on a value that has such a pair already: there it goes on
    with the parameters of that value, or with the shares of its mixture. So `Hedge:rate=.1,window=3,truthful` are two
    values, and `truthful=0.8,shading=0.2` and `macs=0.5,latency=0.6` are one each; a second mixture takes a `--vary`
    of its own.

    Raises:
        InputError: an empty value.
    """
    found: list[str] = []
    for part in text.split(","):
        name, named, _ = part.partition("=")
        if found and named and "=" in found[-1] and ":" not in name:
            found[-1] = f"{found[-1]},{part}"
        else:
            found.append(part.strip())
    if not all(found):
        raise InputError(f"{text!r} has an empty value; write NAME=VALUE,VALUE")
    return found


def read_vary(texts: Sequence[str]) -> dict[str, list[str]]:
    """Values by axis of all `--vary NAME=VALUE,VALUE`; those of one that is given again are added.

    Raises:
        InputError: a text that is not of this form.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, named, values = text.partition("=")
        if not (name.strip() and named):
            raise InputError(f"--vary {text!r} varies nothing; write --vary NAME=VALUE,VALUE")
        found.setdefault(name.strip(), []).extend(split_values(values))
    return found


def checked_axes(
    axes: Mapping[str, Sequence[Any]], base: Mapping[str, Any], known: Sequence[str]
) -> dict[str, Sequence[Any]]:
    """The axes by the names of their settings, any spelling of which is taken; parameters of one as `SETTING.NAME`.

    Raises:
        UnknownNameError: an axis that is no setting.
        InputError: no axis, two of one setting, one without values, or one whose setting is the same for all cells.
    """
    if not axes:
        raise InputError("nothing varies; name a setting and its values: mechanism=ShadowPrice,PostedPrice")
    found: dict[str, Sequence[Any]] = {}
    for given, values in axes.items():
        name = axis_name(given, known)
        if name in found:
            raise InputError(f"axis {name} is given twice")
        if isinstance(values, (str, Mapping)) or not isinstance(values, Sequence):
            raise InputError(f"axis {name} is {values!r}; it must be a list of values")
        if not values:
            raise InputError(f"axis {name} has no value; give it at least one")
        if name in base:
            raise InputError(f"{name} is {base[name]!r} for all cells, and it is an axis; give it once")
        found[name] = values
    return found


def axis_name(given: str, known: Sequence[str]) -> str:
    """A setting by its own name, whatever section it is in, or `SETTING.NAME` for a parameter of what it names.

    Raises:
        UnknownNameError: no such setting.
    """
    names = {normalised(name): name for name in known}
    above, _, last = given.rpartition(".")
    holder = names.get(normalised(above.rpartition(".")[2])) if above else None
    name = names.get(normalised(last)) if holder is None else f"{holder}.{last}"
    if name is None:
        raise UnknownNameError("axis", given, known, "An axis is a setting of a run, or SETTING.PARAMETER.")
    return name


def find_reference(given: str | None, axes: Sequence[Axis]) -> Reference:
    """The reference that a text names: `AXIS=VALUE`, or a value alone that is on one axis.

    Without a text it is the first value of the first axis that has several; of recipes it is our own, or the last one.

    Raises:
        UnknownNameError: no such value.
        InputError: a value that several axes have.
    """
    by_name = {axis.name: axis for axis in axes}
    if given is None:
        first = next((axis for axis in axes if len(axis.labels) > 1), axes[0])
        if first.name == RECIPE:
            return Reference(RECIPE, OURS if OURS in first.labels else first.labels[-1])
        return Reference(first.name, first.labels[0])
    name, named, value = given.partition("=")
    if named and name in by_name:
        return Reference(name, _label(by_name[name], value))
    holders = [axis for axis in axes if _same(axis, given) is not None]
    if len(holders) > 1:
        told = ", ".join(f"{axis.name}={given}" for axis in holders)
        raise InputError(f"{given} is a value of several axes; name one of them: {told}")
    axis = holders[0] if holders else next((a for a in axes if a.name != BUDGET), axes[0])
    return Reference(axis.name, _label(axis, given))


def _label(axis: Axis, value: str) -> Any:
    found = _same(axis, value)
    if found is None:
        raise UnknownNameError(f"{axis.name} to compare against", value, [shown(label) for label in axis.labels])
    return found[0]


def _same(axis: Axis, value: str) -> tuple[Any] | None:
    """The label that a text names, for any spelling of it, in a tuple because labels may be None."""
    exact = [label for label in axis.labels if shown(label) == value]
    for label in exact or axis.labels:
        if normalised(shown(label)) == normalised(value) or _number(label) == _number(value) != value:
            return (label,)
    return None


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
