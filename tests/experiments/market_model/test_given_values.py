"""Markets on values that are given: there is no network, and everything that needs none works."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import walras
from walras.agents import STRATEGIES
from walras.errors import InputError, RequirementError, UnknownNameError, UserCodeError
from walras.market import SCOPES, Disable, TraceWriter, read_trace
from walras.mechanisms import MECHANISMS, IndivisibleBids

UNIT = IndivisibleBids(torch.ones(1))
VALUES, COST = [4.0, 3.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0]


def played(market: walras.MarketModel) -> walras.MarketModel:
    while market.running:
        market.step()
    return market


def test_the_most_valuable_units_are_bought() -> None:
    market = played(walras.MarketModel(values=VALUES, cost=COST, rounds=2, budget=0.5, schedule="constant"))
    assert market.ledger.quantity.tolist() == [1, 1, 0, 0]
    assert market.ledger.name.tolist() == ["L0.F0", "L0.F1", "L0.F2", "L0.F3"]
    assert market.frame["round"].tolist() == [1, 2]
    assert market.round == len(market.sessions) == 2
    assert market.rounds[-1].welfare == 7
    market.step()  # after the last round nothing happens
    assert market.round == 2


def test_costs_count_as_shares_of_their_sum() -> None:
    market = walras.MarketModel(values=VALUES, cost=[1, 2, 3, 4])
    assert market.ledger.cost.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert walras.MarketModel(values=VALUES).ledger.cost.tolist() == [0.25] * 4


def test_layers_and_kinds_name_the_units() -> None:
    market = walras.MarketModel(values=VALUES, layers=2, kinds=["head", "ffn", "head", "ffn"])
    assert market.ledger.name.tolist() == ["L0.H0", "L0.F0", "L1.H0", "L1.F0"]
    market = walras.MarketModel(values=VALUES, layers=[0, 0, 3, 3], kinds="expert")
    assert market.ledger.name.tolist() == ["L0.E0", "L0.E1", "L3.E0", "L3.E1"]


def test_values_come_as_lists_arrays_tensors_and_series() -> None:
    for form in (tuple, np.array, torch.tensor, pd.Series):
        assert played(walras.MarketModel(values=form(VALUES), rounds=1)).ledger.value.tolist() == VALUES


@pytest.mark.parametrize("name", sorted(name for name, rule in MECHANISMS.items() if rule().fits(UNIT)))
def test_every_rule_for_whole_units(name: str) -> None:
    market = played(walras.toy(6, 2, mechanism=name, rounds=2))
    assert market.round == 2
    assert market.rounds[-1].used <= 0.5 or name == "PostedPrice"


@pytest.mark.parametrize("name", ["Tatonnement", "ProportionalShare"])
def test_rules_for_other_bids_are_refused(name: str) -> None:
    with pytest.raises(RequirementError, match=f"{name} requires bids"):
        walras.toy(mechanism=name)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy(name: str) -> None:
    market = played(walras.toy(12, 2, strategy=name, rounds=3, endowment=5.0, reentry=True, noise=0.1))
    assert market.round == 3
    assert set(market.ledger.strategy) == {name}


@pytest.mark.parametrize("name", sorted(SCOPES))
def test_every_scope(name: str) -> None:
    mechanism = "ShadowPrice" if name == "global" else "CompetitiveEquilibrium"
    assert played(walras.toy(scope=name, rounds=2, mechanism=mechanism)).round == 2


def test_sublayers_one_after_the_other() -> None:
    market = played(walras.toy(12, 2, phases=["sublayer-sessions"], rounds=1))
    assert market.round == 4  # one session per layer and kind
    assert market.rounds[-1].used <= 0.5


def test_shocks() -> None:
    market = played(walras.MarketModel(values=VALUES, rounds=2, shock="disable:L0.F0@2", budget=0.5))
    assert market.rounds[1].shock == "disabled L0.F0"
    assert market.ledger.quantity[0] == 0
    market = played(walras.MarketModel(values=VALUES, rounds=2, shocks=[Disable(1, "L0.F1")]))
    assert market.ledger.quantity[1] == 0


def test_noise_draws_values_anew_around_those_given() -> None:
    market = walras.MarketModel(values=[2.0] * 4000, noise=0.5, rounds=2, seed=1)
    market.step()
    first = market.ledger.value
    market.step()
    assert not np.array_equal(first, market.ledger.value)
    assert first.mean() == pytest.approx(2, rel=0.05)
    assert np.log(first).std() == pytest.approx(0.5, rel=0.05)


def test_the_seed_alone_decides() -> None:
    def frame(**seeds: Any) -> pd.DataFrame:
        return played(walras.toy(noise=0.3, rounds=3, **seeds)).trace()

    pd.testing.assert_frame_equal(frame(seed=3), frame(rng=3))
    pd.testing.assert_frame_equal(frame(), frame(seed=0))
    assert not frame(seed=3).equals(frame(seed=4))


def test_trace_is_what_a_run_folder_would_hold(tmp_path: Path) -> None:
    market = walras.toy(rounds=3, noise=0.2)
    market.on("played", TraceWriter(tmp_path))
    pd.testing.assert_frame_equal(played(market).trace(), read_trace(tmp_path))


def test_history_keeps_the_last_rounds() -> None:
    assert sorted(set(played(walras.toy(rounds=5, history=2)).trace()["round"])) == [4, 5]
    empty = played(walras.toy(rounds=2, history=0)).trace()
    whole = played(walras.toy(rounds=2)).trace()
    assert (len(empty), len(whole)) == (0, 48)
    assert list(empty.columns) == list(whole.columns)
    for wrong in (-1, True, 1.5, "all"):
        with pytest.raises(InputError, match=f"history is {wrong!r}; it must be a whole number of rounds"):
            walras.toy(history=wrong)


@given(
    values=st.lists(st.floats(0, 1e6), min_size=1, max_size=20).filter(any),
    budget=st.floats(0.05, 1),
    layers=st.integers(1, 20),
    data=st.data(),
)
def test_any_values_make_a_market_that_keeps_its_budget_and_its_money(
    values: list[float], budget: float, layers: int, data: Any
) -> None:
    cost = data.draw(st.lists(st.floats(0.01, 100), min_size=len(values), max_size=len(values)))
    market = walras.MarketModel(values=values, cost=cost, layers=min(layers, len(values)), budget=budget, rounds=2)
    played(market)
    assert market.rounds[-1].used <= budget * (1 + 1e-9)
    assert market.ledger.money == pytest.approx(0, abs=len(values))
    assert len(market.trace()) == 2 * len(values)
    assert len(repr(market).splitlines()) == 1


@given(
    units=st.integers(1, 60), layers=st.integers(1, 60), heads=st.floats(0, 10), ffn=st.floats(0, 10),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_toy_has_the_units_that_it_was_asked_for(
    units: int, layers: int, heads: float, ffn: float, seed: int
) -> None:
    kinds = {"head": heads, "ffn": ffn}
    if layers > units or not any(kinds.values()):
        with pytest.raises(InputError):
            walras.toy(units, layers, kinds, seed=seed)
        return
    ledger = walras.toy(units, layers, kinds, seed=seed).ledger
    assert len(ledger) == units
    counts = np.bincount(ledger.layer, minlength=layers)
    assert counts.max() - counts.min() <= 1
    for kind, part in kinds.items():
        share = part / sum(kinds.values())
        assert abs((ledger.kind == kind).sum() - share * units) <= layers


BAD: list[tuple[dict[str, Any], str]] = [
    ({"values": [1, np.nan]}, r"values\[1\] is nan; it must be a finite number"),
    ({"values": [np.inf, 1]}, r"values\[0\] is inf; it must be a finite number"),
    ({"values": [-1, 1]}, "values must be at least 0"),
    ({"values": [0, 0]}, "one of them above it"),
    ({"values": []}, r"values has shape \[0\]"),
    ({"values": [[1.0]]}, r"values has shape \[1, 1\]"),
    ({"values": "high"}, "values is 'high'; it must be a list of numbers"),
    ({"values": {1, 2}}, "it must be a list of numbers"),
    ({"values": VALUES, "cost": [1, -1, 1, 1]}, "cost holds -1; it must be an amount above 0"),
    ({"values": VALUES, "cost": [1, 0, 1, 1]}, "cost holds 0; it must be an amount above 0"),
    ({"values": VALUES, "cost": [1]}, "cost has 1 entries for 4 values"),
    ({"values": VALUES, "cost": [1, np.inf, 1, 1]}, r"cost\[1\] is inf"),
    ({"values": VALUES, "layers": [0, 1]}, "layers has 2 entries for 4 values"),
    ({"values": VALUES, "layers": 5}, "layers is 5; 4 units can be in 1 to 4 layers"),
    ({"values": VALUES, "layers": [1, 0, 0, 0]}, "not in the order of a network"),
    ({"values": VALUES, "layers": [0.5] * 4}, "it must be a number of layers"),
    ({"values": VALUES, "kinds": ["head"]}, "kinds has 1 entries for 4 values"),
    ({"values": VALUES, "kinds": 3}, "kinds is 3; it must be the kind of each unit"),
    ({"values": VALUES, "kinds": ["head", "ffn", "head", "ffn"]}, "not in the order of a network"),
    ({"values": VALUES, "kinds": "block"}, "kinds holds 'block'"),
    ({"values": VALUES, "noise": -1}, "noise is -1; it must be a number of at least 0"),
    ({"values": VALUES, "noise": np.nan}, "noise is nan"),
    ({"values": VALUES, "subject": (1, 2, 3)}, "values are given beside a subject"),
    ({"values": VALUES, "model": "bert"}, "model needs a network, and values are given; settings that need none: budg"),
    ({"values": VALUES, "units": "head"}, "units needs a network"),
    ({"values": VALUES, "repair": "scales"}, "repair needs a network"),
    ({"values": VALUES, "valuation": "fisher"}, "valuation needs a network"),
    ({"values": VALUES, "phases": ["swap-refinement"]}, "phase SwapRefinement needs a network"),
    ({"values": VALUES, "budget": "latency=0.5"}, "a budget in latency needs a network"),
    ({"values": VALUES, "shock": "task:pairs@1"}, "shock task:pairs needs a network"),
    ({"cost": [1.0]}, "cost is given without values"),
    ({"noise": 0.1}, "noise is given without values"),
    ({"values": VALUES, "reporters": {"price": len}}, "reporters holds 'price', a column that there is already"),
    ({"values": VALUES, "reporters": {"RunId": len}}, "reporters holds 'RunId'"),
    ({"values": VALUES, "reporters": {"x": 3}}, r"reporters\['x'\] is 3; it must be a function of the market"),
    ({"values": VALUES, "reporters": {3: len}}, "reporters holds the name 3"),
    ({"values": VALUES, "reporters": [len]}, "it must map names of columns to functions"),
    (
        {"values": VALUES, "agent_reporters": {"x": 3}},
        r"agent_reporters\['x'\] is 3; it must be a function of an agent",
    ),
    ({"values": VALUES, "hooks": [len]}, "it must map events to functions"),
    ({"values": VALUES, "shocks": "disable"}, "shocks is 'disable'; it must be a list of shocks"),
    ({"values": VALUES, "seed": 1, "rng": 2}, "seed is 1 beside rng 2"),
]


@pytest.mark.parametrize(("keywords", "message"), BAD)
def test_bad_input_is_refused_before_a_market_is_made(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        walras.MarketModel(**keywords)


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown setting 'roundz'\. Did you mean 'rounds'\?"):
        walras.MarketModel(values=VALUES, roundz=3)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(UnknownNameError, match=r"unknown unit kind 'hed'\. Did you mean 'head'\?"):
        walras.MarketModel(values=VALUES, kinds="hed")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"units": 0}, "units is 0; it must be a whole number from 1"),
        ({"units": 3, "layers": 4}, "layers is 4; it must be a whole number from 1 to 3"),
        ({"units": 2.5}, "units is 2.5"),
        ({"kinds": {"head": -1}}, "kinds maps 'head' to -1; each part must be a number of at least 0"),
        ({"kinds": {"head": 0}}, "one part must be above 0"),
        ({"kinds": ["head"]}, "it must map kinds to their parts"),
        ({"valuation": "fisher"}, "valuation needs a network"),
    ],
)
def test_bad_toys_are_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        walras.toy(**keywords)


def test_own_columns_stand_beside_the_standard_ones() -> None:
    market = walras.toy(
        rounds=2, reporters={"dear": lambda m: m.rounds[-1].price * 2, "kept": lambda m: (m.ledger.quantity > 0).sum()},
        agent_reporters={"row": "row", "paid": "payment", "twice": lambda agent: 2 * agent.value},
    )  # fmt: skip
    table = played(market).datacollector.get_model_vars_dataframe()
    assert np.array_equal(table["dear"], 2 * table["price"])
    assert np.array_equal(table["kept"], table["heads"] + table["ffn"])
    agents = market.datacollector.get_agent_vars_dataframe()
    assert len(agents) == 2 * 24
    last = agents.iloc[-24:].sort_values("row")
    assert np.array_equal(last["paid"], market.ledger.payment)
    assert np.array_equal(last["twice"], 2 * market.ledger.value)


def test_a_reporter_that_fails_is_named() -> None:
    with pytest.raises(UserCodeError, match=r"reporter 'broken' failed \(.*test_given_values.py, line .*Zero"):
        walras.toy(reporters={"broken": lambda market: 1 / 0}).step()
    with pytest.raises(InputError, match=r"reporter 'word'.* returned 'much'; it must return a number"):
        walras.toy(reporters={"word": lambda market: "much"}).step()
    with pytest.raises(UserCodeError, match="agent reporter 'broken'"):
        walras.toy(agent_reporters={"broken": lambda agent: 1 / 0}).step()
    with pytest.raises(InputError, match="HeadAgent has no such attribute"):
        walras.toy(agent_reporters={"x": "wealthy"}).step()


def test_it_says_in_one_line_and_in_a_small_page_how_it_stands() -> None:
    market = walras.toy(rounds=3)
    assert repr(market) == "ToyMarket(24 units, ShadowPrice, budget 0.5, round 0 of 3)"
    assert "No round has been played yet" in market._repr_html_()
    market.step()
    last = market.rounds[-1]
    assert repr(market).endswith(f"round 1 of 3, price {last.price:.4g}, used {last.used:.1%})")
    page = market._repr_html_()
    kept = int((market.ledger.quantity[(market.ledger.layer == 0) & (market.ledger.kind == "head")] > 0).sum())
    assert f">{kept} of 2<" in page
    assert "<script" not in page


def test_the_page_escapes_what_users_name() -> None:
    class Own(walras.MarketModel):
        pass

    Own.__name__ = "<script>alert(1)</script>"
    assert "<script" not in Own(values=VALUES)._repr_html_()
