"""What a trace tells, on a market small enough to follow by eye."""

from dataclasses import replace

import pandas as pd
import pytest

from walras.errors import InputError
from walras.market import Trace


def trace(*rounds: list[tuple[float, float]]) -> Trace:
    """Three heads of one layer; a (bid, quantity) each, every round. Values are 1, 2, 3."""
    rows = [
        {
            "round": t, "agent": f"L0.H{i}", "kind": "head", "layer": 0, "index": i, "strategy": ("a", "b", "b")[i],
            "cost": 0.25, "value": i + 1.0, "bid": bid, "quantity": quantity, "price": 0.5, "payment": 0.5 * quantity,
            "surplus": (i + 0.5) * quantity, "wealth": (i + 0.5) * quantity,
        }
        for t, agents in enumerate(rounds, 1) for i, (bid, quantity) in enumerate(agents)
    ]  # fmt: skip
    return Trace(pd.DataFrame(rows))


THREE = trace([(1, 1), (2, 1), (3, 1)], [(1, 0), (1, 1), (3, 1)], [(2, 1), (1, 0), (3, 1)])


def test_survival() -> None:
    assert THREE.survival["funded"].tolist() == pytest.approx([1, 2 / 3, 2 / 3])


def test_who_replaced_whom() -> None:
    found = THREE.turnover
    assert found[["round", "agent", "change", "bid"]].values.tolist() == [
        [2, "L0.H0", "left", 1], [3, "L0.H0", "entered", 2], [3, "L0.H1", "left", 1],
    ]  # fmt: skip
    assert trace([(1, 0), (2, 1), (3, 1)]).turnover["agent"].tolist() == ["L0.H0"]


def test_what_became_of_each_strategy() -> None:
    found = THREE.strategies.set_index("strategy")
    assert list(found.loc["a"].values) == [1, 1, 2.0, 0.5]
    assert list(found.loc["b"].values) == [2, 1, 0.75, 1.25]


def test_two_runs_side_by_side() -> None:
    other = trace([(1, 0), (2, 0), (3, 1)])
    both = THREE.against(other)
    assert both.set_index("agent")["funded"].to_dict() == {"L0.H0": "first only", "L0.H1": "neither", "L0.H2": "both"}
    assert other.against(THREE)["funded"].tolist() == ["second only", "neither", "both"]
    less = replace(other, trace=other.trace[other.trace["agent"] != "L0.H2"])
    with pytest.raises(InputError, match="of different units"):
        THREE.against(less)


def test_replacements_name_both_sides() -> None:
    assert THREE.replacements.to_dict("records") == [{"round": 3, "entered": "L0.H0", "left": "L0.H1"}]
    assert trace([(1, 1), (2, 1), (3, 1)], [(1, 0), (2, 1), (3, 1)]).replacements.empty


def test_lorenz_curves_by_hand() -> None:
    """At the end wealth is 0.5, 0 and 2.5, and two of three have a quarter of the compute each."""
    curves = THREE.lorenz.groupby("of")
    wealth, compute = curves.get_group("wealth"), curves.get_group("compute")
    assert wealth["agents"].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert wealth["held"].tolist() == pytest.approx([0, 0, 1 / 6, 1])
    assert compute["held"].tolist() == pytest.approx([0, 0, 0.5, 1])
    assert compute["gini"].iloc[0] == pytest.approx(0.5)
    indebted = replace(THREE, trace=THREE.trace.assign(wealth=THREE.trace["wealth"] - 1))
    assert indebted.lorenz.groupby("of").get_group("wealth")["held"].tolist() == pytest.approx([0, 0, 1 / 6, 1])


def test_rounds_count_units_of_every_kind() -> None:
    found = THREE.rounds
    assert found.columns.tolist() == ["round", "price", "used", "heads", "welfare", "revenue"]
    assert found["heads"].tolist() == [3, 2, 2]
    kinds = ["head", "ffn", "expert"] * 3
    several = replace(THREE, trace=THREE.trace.assign(kind=pd.Categorical(kinds)))
    assert several.rounds[["heads", "ffn", "experts"]].values.tolist() == [[1, 1, 1], [0, 1, 1], [1, 0, 1]]
