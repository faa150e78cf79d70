"""What a market collects for Mesa's tables: its own columns, and figures of the user's."""

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import mesa

from walras.agents import UnitAgent
from walras.errors import InputError
from walras.market.economics import ECONOMICS
from walras.market.naming import defined_at, naming
from walras.market.round import Figure, Round

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket

Reporter = Callable[[Any], Any]

BATCH_RUN = ("RunId", "iteration", "Step", "AgentID")
"""Columns that Mesa's `batch_run` adds to every row."""


def collector(
    kinds: Collection[str],
    reporters: Mapping[str, Reporter] | None = None,
    agent_reporters: Mapping[str, str | Reporter] | None = None,
    taken: Collection[str] = (),
) -> mesa.DataCollector:
    """One row per round with the columns of `Round` and `Economics`, and with the user's.

    Args:
        kinds: of units, by name.
        reporters: functions of the market that return a number, by the names of their columns.
        agent_reporters: functions of an agent, or names of its attributes, by the names of their columns.
        taken: further names that no column may have.

    Raises:
        InputError: what is no such function, or no name of a column of its own.
    """
    standard: dict[str, Any] = {name: partial(_of_round, name) for name in Round.columns(kinds)}
    standard |= {name: partial(_of_economics, name) for name in ECONOMICS}
    own = _checked("reporters", reporters, {*standard, *taken}, "a function of the market that returns a number")
    found = {name: partial(_figure, name, function) for name, function in own.items()}
    of_agents = _checked("agent_reporters", agent_reporters, (), "a function of an agent, or the name of an attribute")
    each = {name: partial(_of_agent, name, given) for name, given in of_agents.items()}
    return mesa.DataCollector({**found, **standard}, each or None)


def _checked(what: str, given: Any, taken: Collection[str], valid: str) -> Mapping[str, Any]:
    """Reporters that can be called, under names that are free."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"{what} is {given!r}; it must map names of columns to functions")
    for name, reporter in given.items():
        if not isinstance(name, str) or not name:
            raise InputError(f"{what} holds the name {name!r}; it must be that of a column")
        if name in taken or name in BATCH_RUN:
            raise InputError(f"{what} holds {name!r}, a column that there is already; choose another name")
        if not callable(reporter) and not (what == "agent_reporters" and isinstance(reporter, str)):
            raise InputError(f"{what}[{name!r}] is {reporter!r}; it must be {valid}")
    return given


def _figure(name: str, function: Reporter, market: "ComputeMarket") -> float | int:
    """A figure of the user's, for the round that was booked last."""
    with naming(f"reporter {name!r}", function):
        found = function(market)
    if hasattr(found, "item") and getattr(found, "ndim", 0) == 0:
        found = found.item()  # a number of numpy's or torch's
    if found is None:
        return math.nan
    if not isinstance(found, Real):
        raise InputError(f"reporter {name!r}{defined_at(function)} returned {found!r}; it must return a number")
    return found  # type: ignore[return-value]  # Real has no common base with float here


def _of_agent(name: str, given: str | Reporter, agent: UnitAgent) -> Any:
    """What an agent is asked for."""
    if isinstance(given, str):
        if not hasattr(agent, given):
            raise InputError(f"agent_reporters[{name!r}] is {given!r}; {type(agent).__name__} has no such attribute")
        return getattr(agent, given)
    with naming(f"agent reporter {name!r}", given):
        return given(agent)


def _of_round(name: str, market: "ComputeMarket") -> Figure:
    return market.rounds[-1].row[name]


def _of_economics(name: str, market: "ComputeMarket") -> Figure:
    figure: Figure = getattr(market.economics[-1], name)
    return figure
