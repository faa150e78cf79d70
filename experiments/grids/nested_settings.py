"""What a grid needs of nested settings: values from their texts, and values as labels."""

from collections.abc import Mapping
from typing import Any

from walras.experiments.grids.axes import RECIPE
from walras.experiments.grids.cell import BUDGET
from walras.experiments.grids.sources import described
from walras.experiments.settings.fields import leaf_values, leaves
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


def label_of(axis: str, settings: Any) -> Any:
    """The value of a setting as a text, a number or a switch: in one spelling, an object by the text that makes it."""
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
