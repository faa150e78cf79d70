"""Markets without a network: what each unit is worth and what it costs is given."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from walras.agents import Calibration, GivenUnits, GivenValues
from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.plan import Extras, Plan
from walras.experiments.settings.keywords import TradeSettings
from walras.experiments.spec import MACS, RunSpec

TRADE = tuple(TradeSettings.__annotations__)
"""Settings that a market without a network takes."""


def given_market(
    values: Any, cost: Any, layers: Any, kinds: Any, noise: Any, settings: Mapping[str, Any], extras: Extras
) -> dict[str, Any]:
    """What a `ComputeMarket` is made from where values [n] are given.

    Args:
        values: of the units, at least 0.
        cost: amounts above 0 of compute; None: all the same.
        layers: layer of each unit, or among how many layers of about equal size they are divided; None: one.
        kinds: kind of each unit, or the kind of all; None: `ffn`.
        noise: standard deviation of the logarithm of values that are drawn anew in every round.
        settings: of the run, with its seed.
        extras: agents and shocks of the user's own.

    Raises:
        InputError: columns that are no numbers, or do not fit together; settings that need a network.
    """
    refused = [name for name in RunSpec.flat(settings) if name not in (*TRADE, "seed")]
    if refused:
        raise InputError(
            f"{refused[0]} needs a network, and values are given; settings that need none: {', '.join(TRADE)}"
        )
    plan = Plan.from_spec(RunSpec.parse({"recipe": "none", **settings}))
    resources = [name for name in plan.spec.market.budget if name != MACS]
    if resources:
        raise InputError(f"a budget in {resources[0]} needs a network; the units of given values cost one resource")
    worth = _numbers("values", values)
    if (worth < 0).any() or not worth.any():
        raise InputError("values must be at least 0, and one of them above it")
    n = len(worth)
    costs = np.ones(n) if cost is None else _numbers("cost", cost)
    if (costs <= 0).any():
        raise InputError(f"cost holds {costs[costs <= 0][0]:g}; it must be an amount above 0 for each unit")
    units = GivenUnits(_fitting("cost", costs, n), _layers(layers, n), _kinds(kinds, n))
    if isinstance(noise, bool) or not isinstance(noise, (int, float, np.number)) or not 0 <= noise < np.inf:
        raise InputError(f"noise is {shown(noise)}; it must be a number of at least 0")
    valuation = GivenValues(tuple(worth.tolist()), float(noise))
    return {**plan.keywords(extras, _no_task), "calibration": units, "valuation": valuation}


def _no_task(name: str) -> Calibration:
    raise InputError(f"shock task:{name} needs a network, and the values of this market were given without one")


def _numbers(name: str, given: Any) -> NDArray[np.float64]:
    """A column of finite numbers, one per unit."""
    try:
        column = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # torch raises the last of them
        raise InputError(f"{name} is {shown(given)}; it must be a list of numbers, one per unit") from error
    if column.ndim != 1 or len(column) == 0:
        raise InputError(f"{name} has shape {list(column.shape)}; it must be a list of numbers, one per unit")
    wrong = np.flatnonzero(~np.isfinite(column))
    if len(wrong):
        raise InputError(f"{name}[{wrong[0]}] is {column[wrong[0]]}; it must be a finite number")
    return column


def _fitting(name: str, column: Any, units: int) -> Any:
    """A column with an entry per unit."""
    if len(column) != units:
        raise InputError(f"{name} has {len(column)} entries for {units} values; each unit needs one")
    return column


def _layers(given: Any, units: int) -> list[int]:
    """The layer of each unit."""
    if given is None:
        given = 1
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        if not 1 <= given <= units:
            raise InputError(f"layers is {shown(given)}; {units} units can be in 1 to {units} layers")
        return [i * int(given) // units for i in range(units)]
    column = _fitting("layers", _numbers("layers", given), units)
    if (column < 0).any() or (column != np.rint(column)).any() or (column > 100_000).any():
        raise InputError(f"layers is {shown(given)}; it must be a number of layers, or the layer of each unit, from 0")
    return [int(layer) for layer in column]


def _kinds(given: Any, units: int) -> list[str]:
    """The kind of each unit."""
    if given is None or isinstance(given, str):
        return [given or "ffn"] * units
    try:
        names = list(given)
    except TypeError as error:
        raise InputError(f"kinds is {shown(given)}; it must be the kind of each unit, such as ffn") from error
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"kinds is {shown(given)}; it must be the kind of each unit, such as ffn")
    return [str(name) for name in _fitting("kinds", names, units)]
