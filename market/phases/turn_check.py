"""What every phase must return, checked after each of them: the same round, in numbers that can be booked."""

from collections.abc import Collection, Mapping, Sequence
from numbers import Real

import numpy as np

from walras.agents import TradedUnits
from walras.errors import InputError
from walras.market.naming import defined_at
from walras.market.phases.phase import Phase, Turn
from walras.market.session import Session
from walras.market.shocks import Shock
from walras.market.supply import Offer
from walras.mechanisms import Clearing, Mechanism

_MASKS = ("bidding", "trading", "revalued")
_LEVELS = ("before", "settled", "quantity")
_MONEY = ("value", "price", "payment")
_OBJECTS = {"session": Session, "calibration": TradedUnits, "mechanism": Mechanism, "deviation_gain": Real}
_WORDS: dict[type, str] = {Real: "number"}
_ONCE_CLEARED = {"offer": Offer, "clearing": Clearing}


def check_turn(phase: Phase, given: Turn, found: object, units: Sequence[str], taken: Collection[str]) -> Turn:
    """The turn that a phase returned.

    Args:
        phase: that has run.
        given: the turn that it was given.
        found: what it returned.
        units: names of all units.
        taken: columns that the table of rounds has already.

    Raises:
        InputError: no turn of the same round; an array of another shape or type; a level outside 0 to 1; an amount
            that is not finite; figures that are no numbers, or under the name of a column. It names phase and field.
    """
    who = f"phase {type(phase).__name__}{defined_at(phase)} returned"
    if not isinstance(found, Turn):
        raise InputError(f"{who} {found!r}; a phase returns the turn")
    if type(found.number) is not int or found.number != given.number:
        raise InputError(f"{who} a turn whose number is {found.number!r}; it must stay {given.number}")
    fault = _objects(given, found) or _columns(found, units) or _figures(found.figures, taken)
    if fault:
        raise InputError(f"{who} a turn whose {fault}")
    return found


def _objects(given: Turn, found: Turn) -> str:
    """What is wrong with whatever is no column; "" where nothing is."""
    cleared = {name: kind for name, kind in _ONCE_CLEARED.items() if getattr(given, name) is not None}
    for name, kind in {**_OBJECTS, **cleared}.items():
        if not isinstance(getattr(found, name), kind):
            return f"{name} is {getattr(found, name)!r}; it must be a {_WORDS.get(kind, kind.__name__)}"
    if not (isinstance(found.shocks, tuple) and all(isinstance(shock, Shock) for shock in found.shocks)):
        return f"shocks is {found.shocks!r}; it must be a tuple of shocks"
    return ""


def _columns(turn: Turn, units: Sequence[str]) -> str:
    """What is wrong with the first bad array; "" where nothing is."""
    for name in (*_MASKS, *_LEVELS, *_MONEY, "report"):
        column, kind = getattr(turn, name), "b" if name in _MASKS else "f"
        if not isinstance(column, np.ndarray) or column.dtype.kind != kind or column.shape != (len(units),):
            array = isinstance(column, np.ndarray)
            what = f"{column.dtype} of shape {column.shape}" if array else f"a {type(column).__name__}"
            wanted = "bool" if kind == "b" else "float"
            return f"{name} is {what}; it must be a numpy array of {wanted} [{len(units)}], one for each unit"
    for names, valid in ((_LEVELS, "a number from 0 to 1"), (_MONEY, "a finite number"), (("report",), "below inf")):
        for name in names:
            column = getattr(turn, name)
            bad = ~(column < np.inf) if name == "report" else ~np.isfinite(column)  # -inf: a unit that may not trade
            if name in _LEVELS:
                bad |= (column < 0) | (column > 1)
            if bad.any():
                unit = int(np.flatnonzero(bad)[0])
                return f"{name} of {units[unit]} is {column[unit]:g}; it must be {valid}"
    return ""


def _figures(figures: object, taken: Collection[str]) -> str:
    """What is wrong with the figures; "" where nothing is."""
    if not isinstance(figures, Mapping):
        return f"figures is {figures!r}; it must map names of columns to numbers"
    for name, figure in figures.items():
        if not isinstance(name, str) or not name:
            return f"figures holds the name {name!r}; it must be that of a column"
        if name in taken:
            return f"figures holds {name!r}, a column that the table of rounds has already; choose another name"
        if not isinstance(figure, Real):
            return f"figures holds {name} = {figure!r}; it must be a number"
    return ""
