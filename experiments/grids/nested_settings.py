"""What a grid needs of nested settings: values from their texts, parameters of what they name, and labels.

An axis `strategy.factor` is a parameter of whatever the setting `strategy` names, and `budget.latency` an entry of a
setting that maps names to numbers.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from walras.errors import InputError
from walras.experiments.grids.axes import RECIPE
from walras.experiments.grids.cell import BUDGET
from walras.experiments.grids.sources import described
from walras.experiments.registries import registry
from walras.experiments.settings.command_settings import CommandSettings
from walras.experiments.settings.fields import Leaf, leaf_values, leaves
from walras.experiments.spec import MACS
from walras.parameters import typed_value


def typed(given: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Given settings, a text as the setting's type has it, unless the setting reads it itself.

    Raises:
        InputError: a text that is of another type.
    """
    known, found = leaves(kind), dict[str, Any]()
    for name, value in given.items():
        metadata = known[name].field.metadata if name in known and name != RECIPE else {"read": True}
        own = metadata.get("read") or metadata.get("registry") or not isinstance(value, str)
        found[name] = value if own else typed_value(name, value, known[name].hint)
    return found


def folded(given: Mapping[str, Any], kind: type[CommandSettings]) -> dict[str, Any]:
    """Given settings in which parameters, `strategy.factor`, have become part of what they are parameters of.

    Raises:
        UnknownNameError, InputError: a setting without parameters, or without this one; values that it does not take.
    """
    found = {name: value for name, value in given.items() if "." not in name}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        head, dotted, key = name.partition(".")
        if dotted:
            inner.setdefault(head, {})[key] = value
    if inner:
        whole, known = leaf_values(kind.parse(typed(found, kind))), leaves(kind)
        for head, values in inner.items():
            if isinstance(whole[head], Mapping) and not _kind(known[head]):
                found[head] = {**whole[head], **values}
            else:
                found[head] = registry(_named(head, known[head])).varied(whole[head], values)
    return found


def number_type(axis: str, given: Mapping[str, Any], kind: type[CommandSettings]) -> type[int] | type[float]:
    """Whether numbers of a setting are whole or real, with other settings as given.

    Raises:
        InputError: a setting that is no number; UnknownNameError: a parameter that there is not.
    """
    head, dotted, key = axis.partition(".")
    leaf = leaves(kind)[head]
    if dotted:
        whole = leaf_values(kind.parse(typed(folded(given, kind), kind)))[head]
        mapping = isinstance(whole, Mapping) and not _kind(leaf)
        hint = float if mapping else registry(_named(head, leaf)).parameter(whole, key)[1]
    else:
        hint = float if head == BUDGET else None if _kind(leaf) else leaf.hint
    kinds = getattr(hint, "__args__", (hint,))
    if float in kinds or Any in kinds or inspect.Parameter.empty in kinds:
        return float
    if int in kinds:
        return int
    raise InputError(f"{axis} is no number, so that it has no range; give its values: --vary {axis}=VALUE,VALUE")


def _kind(leaf: Leaf) -> str:
    return str(leaf.field.metadata.get("registry") or "")


def _named(head: str, leaf: Leaf) -> str:
    """The kind of what a setting names.

    Raises:
        InputError: it names nothing, or several things.
    """
    if not _kind(leaf) or leaf.field.metadata.get("read"):
        raise InputError(f"{head} has no parameters that could vary; a setting that names one thing has: strategy, ...")
    return _kind(leaf)


def label_of(axis: str, settings: Any) -> Any:
    """The value of a setting as a text, a number or a switch: in one spelling, an object by the text that makes it."""
    head, dotted, key = axis.partition(".")
    if dotted:
        value, leaf = leaf_values(settings)[head], leaves(type(settings))[head]
        own = (
            value[key]
            if isinstance(value, Mapping) and not _kind(leaf)
            else registry(_kind(leaf)).parameter(value, key)[0]
        )
        return _told(own, "")
    value, kind = leaf_values(settings)[axis], leaves(type(settings))[axis].field.metadata.get("registry") or ""
    if axis == BUDGET and isinstance(value, Mapping):
        return value[MACS] if [*value] == [MACS] else ",".join(f"{name}={share:g}" for name, share in value.items())
    if isinstance(value, tuple):
        return " ".join(str(_told(item, kind)) for item in value) or "none"
    return _told(value, kind)


def _told(value: Any, kind: str) -> Any:
    if value is None:
        return "none"
    return value if isinstance(value, (str, bool, int, float)) else described(value, kind)
