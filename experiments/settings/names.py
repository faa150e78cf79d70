"""Settings that name entries of registries: one spelling of each, and what a file keeps of them."""

from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from walras.experiments.registries import registry
from walras.experiments.settings.fields import leaves
from walras.registry import normalised
from walras.spelling import bare

NONE = "none"


def canonical_names(values: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Values of fields by name; those that name entries of a registry in one spelling, objects as they are.

    Args:
        values: of some fields, sections taken apart.
        kind: the dataclass of settings.

    Raises:
        UnknownNameError, InputError: no such entry, parameters that are none.
    """
    known = leaves(kind)
    named = {name: known[name].field for name in values if known[name].field.metadata.get("registry")}
    return {**values, **{name: _canonical(one, values[name]) for name, one in named.items()}}


def told(one: "Field[Any]", value: Any) -> Any:
    """What a file of settings keeps of a field's value: plain data, objects by the names that registries have for them.

    A recipe that there is none of is told as `none`, for without a recipe in the file the default one would be taken.
    """
    kind = one.metadata.get("registry") or ""
    if isinstance(value, tuple):
        return [_told_item(kind, item) for item in value]
    if isinstance(value, Mapping) and not kind:
        return dict(value)
    return _told_item(kind, value) if one.name != "recipe" else (value or NONE)


def _told_item(kind: str, value: Any) -> Any:
    plain = value is None or isinstance(value, (str, int, float, bool))
    return value if plain or not kind else registry(kind).spelled(value)


def _canonical(one: "Field[Any]", value: Any) -> Any:
    if one.metadata.get("read") is not None:
        return tuple(_canonical_item(one.metadata["registry"], item) for item in one.metadata["read"](one.name, value))
    return _canonical_item(one.metadata["registry"], value)


def _canonical_item(kind: str, value: Any) -> Any:
    value = bare(value)
    if (isinstance(value, str) and normalised(value) == NONE) or (value is None and kind == "repair"):
        return NONE
    if value is None:
        return registry(kind).make(value)  # which refuses it, and says what it may be
    known = registry(kind)
    return value if isinstance(value, known.base) else known.spelled(value)  # which refuses what is no name
