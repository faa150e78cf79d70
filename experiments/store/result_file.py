"""`result.json` of runs and training runs, as a table: each figure with its type and its range.

Figures that this version does not know pass as they are. Those that earlier versions did not write may be missing.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from walras.errors import InputError
from walras.escaping import shown
from walras.files.record import Record

Check = Callable[[Record, str], object]
_TRAINED: Final = "pricing"  # a figure of training runs alone
_LARGEST: Final = 1e30  # of what is counted: MACs, parameters, milliseconds


def check_result(content: Any, where: str) -> dict[str, Any]:
    """The figures of a finished run, or training run, all of them checked.

    Args:
        content: what `result.json` holds.
        where: what errors call it: "result 'runs/half/result.json'".

    Raises:
        InputError: a figure that is missing, or of another type or range; it is named.
    """
    found = Record(content, where)
    for name, check in (TRAINING if _TRAINED in found else RUN).items():
        if name in NEEDED or name in found:
            check(found, name)
    return dict(found.content)


def _number(least: float = -_LARGEST, most: float = _LARGEST) -> Check:
    return lambda found, name: found.number(name, least, most)


def _whole(least: int = 0) -> Check:
    return lambda found, name: found.whole(name, least)


def _text(found: Record, name: str) -> None:
    found.text(name)


def _or_none(check: Check) -> Check:
    return lambda found, name: None if found.content[name] is None else check(found, name)


def _measured(found: Record, name: str) -> None:
    """A figure that may be infinite, as a perplexity is where a network is lost, or an excess of an endless supply."""
    value = found.content.get(name)
    if not (isinstance(value, float) and math.isinf(value)):
        found.number(name)


def _metric(found: Record, name: str) -> None:
    metric = found.record(name)
    metric.text("name")
    _measured(metric, "dense")
    _measured(metric, "value")
    if metric.content.get("higher_is_better") is not None:
        metric.flag("higher_is_better")


def _each(check: Check) -> Check:
    """A mapping from names to values of one kind."""

    def checked(found: Record, name: str) -> None:
        inner = found.record(name)
        for key in inner:
            check(inner, key)

    return checked


def _budget_use(found: Record, name: str) -> None:
    use = found.record(name)
    for figure in ("budget", "used", "absolute", "dense"):
        use.number(figure, 0, _LARGEST)
    use.number("price", -_LARGEST, _LARGEST)
    use.flag("binds")
    use.text("unit")


def _timing(found: Record, name: str) -> None:
    timing = found.record(name)
    for figure in ("dense", "value"):
        if timing.number(figure, 0, _LARGEST) == 0:
            raise InputError(f"{timing.where}: {figure} is 0; it must be a number above 0")


def _plain(found: Record, name: str) -> None:
    value = found.content[name]
    if not (value is None or isinstance(value, (str, int, float))):
        raise InputError(f"{found.where}: {name} is {shown(value)}; it must be a number or a text")


def _of_dense(found: Record, name: str) -> None:
    if found.number(name, 0, _LARGEST) == 0:
        raise InputError(f"{found.where}: {name} is 0; it must be a number above 0")


_AMOUNT, _MONEY = _number(0), _number()
_SHARED: dict[str, Check] = {
    "metric": _metric, "used": _AMOUNT, "budget": _AMOUNT,
    "macs": _AMOUNT, "dense_macs": _of_dense,
    "parameters": _whole(), "dense_parameters": _whole(1), "bytes": _AMOUNT, "dense_bytes": _AMOUNT,
    "kept": _each(_whole()), "members": _each(_whole()), "units": _whole(), "length": _whole(1), "rounds": _whole(),
    "recipe": _or_none(_text), "mechanism": _text, "valuation": _text, "task": _text, "model": _text, "seed": _whole(),
    "protocol": _each(_plain), "latency_ms": _each(_timing), "seconds": _AMOUNT,
}  # fmt: skip
RUN: Mapping[str, Check] = MappingProxyType({
    **_SHARED, "budgets": _each(_budget_use), "resource": _text, "unit": _text, "strategy": _text, "status": _text,
    "method": _text, "price": _MONEY, "welfare": _MONEY, "revenue": _MONEY, "residual": _measured,
})  # fmt: skip
"""Figures of `Summary` by name."""
TRAINING: Mapping[str, Check] = MappingProxyType({
    **_SHARED, "scores": _each(_measured), "dense_scores": _each(_measured),
    "untrained_scores": _or_none(_each(_measured)), "held_out": _measured, "price": _or_none(_MONEY),
    "expected": _or_none(_AMOUNT), "pricing": _text, "cost": _text, "taxed": _text, "epochs": _whole(),
    "steps": _whole(),
})  # fmt: skip
"""Figures of `TrainSummary` by name."""
NEEDED = frozenset({"metric", "used", "budget", "macs", "dense_macs", "length", "task", "model"})
"""Figures that all versions have written."""
