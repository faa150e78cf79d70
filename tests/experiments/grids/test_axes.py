"""Axes as they are typed: where a comma begins a new value, repeated options, references, and what is refused."""

import pytest

from walras.errors import InputError, UnknownNameError
from walras.experiments.grids.axes import Axis, Reference, checked_axes, find_reference, read_vary, split_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("ShadowPrice,my_rule.py:Mine", ["ShadowPrice", "my_rule.py:Mine"]),
        ("0.5, 0.4", ["0.5", "0.4"]),
        ("Hedge:rate=.1,window=3,truthful", ["Hedge:rate=.1,window=3", "truthful"]),
        ("truthful,Hedge:rate=.1,window=3", ["truthful", "Hedge:rate=.1,window=3"]),
        ("PostedPrice:price=1,PostedPrice:price=2", ["PostedPrice:price=1", "PostedPrice:price=2"]),
        ("truthful=0.8,shading=0.2", ["truthful=0.8,shading=0.2"]),
        ("truthful=0.8,shading=0.2,hedge", ["truthful=0.8,shading=0.2", "hedge"]),
        ("macs=0.5,latency=0.6", ["macs=0.5,latency=0.6"]),
        ("truthful=0.8+hedge:rate=.1=0.2,truthful", ["truthful=0.8+hedge:rate=.1=0.2", "truthful"]),
        ("own/a.py:A:rate=3,depth=2,own/b.py:B", ["own/a.py:A:rate=3,depth=2", "own/b.py:B"]),
        ("truthful,shading=0.2", ["truthful", "shading=0.2"]),
    ],
)
def test_where_a_comma_begins_a_new_value(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_an_axis_that_is_given_again_gets_more_values() -> None:
    given = ["strategy=truthful=0.8,shading=0.2", "mechanism=VCG", "strategy=truthful=0.5,shading=0.5"]
    assert read_vary(given) == {
        "strategy": ["truthful=0.8,shading=0.2", "truthful=0.5,shading=0.5"], "mechanism": ["VCG"]
    }  # fmt: skip


@pytest.mark.parametrize("text", ["mechanism", "mechanism=", "=VCG", "mechanism=VCG,,ShadowPrice"])
def test_what_varies_nothing(text: str) -> None:
    with pytest.raises(InputError, match="NAME=VALUE,VALUE"):
        read_vary([text])


def test_names_in_any_spelling() -> None:
    assert checked_axes({"Label-Free": [True], "market.rounds": [1, 2]}, {}, ["label_free", "rounds"]) == {
        "label_free": [True], "rounds": [1, 2]
    }  # fmt: skip


def test_axes_that_are_none() -> None:
    known = ["mechanism", "budget", "label_free"]
    with pytest.raises(UnknownNameError, match=r"unknown axis 'mechansim'\. Did you mean 'mechanism'\?"):
        checked_axes({"mechansim": ["VCG"]}, {}, known)
    for axes, base, message in (
        ({}, {}, "nothing varies"),
        ({"budget": []}, {}, "axis budget has no value"),
        ({"mechanism": "VCG"}, {}, "axis mechanism is 'VCG'; it must be a list of values"),
        ({"mechanism": ["VCG"]}, {"mechanism": "ShadowPrice"}, "mechanism is 'ShadowPrice' for all cells, and it is"),
        ({"label_free": [True], "label-free": [False]}, {}, "axis label_free is given twice"),
    ):
        with pytest.raises(InputError, match=message):
            checked_axes(axes, base, known)


AXES = [
    Axis("mechanism", ("a", "b"), ("ShadowPrice", "PostedPrice:price=0.1")),
    Axis("strategy", ("t", "h"), ("truthful=0.8,shading=0.2", "hedge")),
    Axis("budget", (0.5, 0.4), (0.5, 0.4)),
]


@pytest.mark.parametrize(
    ("given", "axis", "label"),
    [
        (None, "mechanism", "ShadowPrice"),
        ("mechanism=PostedPrice:price=0.1", "mechanism", "PostedPrice:price=0.1"),
        ("mechanism=shadow-price", "mechanism", "ShadowPrice"),
        ("Hedge", "strategy", "hedge"),
        ("truthful=0.8,shading=0.2", "strategy", "truthful=0.8,shading=0.2"),
        ("budget=0.50", "budget", 0.5),
        ("0.4", "budget", 0.4),
    ],
)
def test_references(given: str | None, axis: str, label: object) -> None:
    assert find_reference(given, AXES) == Reference(axis, label)


def test_the_reference_where_none_is_named() -> None:
    single = Axis("mechanism", ("a",), ("ShadowPrice",))
    assert find_reference(None, [single, AXES[1]]) == Reference("strategy", "truthful=0.8,shading=0.2")
    recipes = Axis("recipe", ("k-prune", "walras", "kwon"), ("k-prune", "walras", "kwon"))
    assert find_reference(None, [recipes, AXES[2]]) == Reference("recipe", "walras")
    others = Axis("recipe", ("k-prune", "kwon"), ("k-prune", "kwon"))
    assert find_reference(None, [others, AXES[2]]) == Reference("recipe", "kwon")


def test_references_that_are_none() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown strategy to compare against 'hegde'\. Did you mean 'hedge'"):
        find_reference("strategy=hegde", AXES)
    with pytest.raises(UnknownNameError, match="unknown mechanism to compare against 'VCG'"):
        find_reference("VCG", AXES)
    twice = [Axis("rounds", (1, 2), (1, 2)), Axis("probes", (0, 1), (0, 1))]
    with pytest.raises(InputError, match="1 is a value of several axes; name one of them: rounds=1, probes=1"):
        find_reference("1", twice)
