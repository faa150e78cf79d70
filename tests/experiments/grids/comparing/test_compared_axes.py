"""`walras compare --vary`: rules and strategies side by side, and axes that are none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kept_files import written

Walras = Callable[..., Any]

RULE = """
from dataclasses import dataclass
from walras import Mechanism, ShadowPrice

@dataclass(frozen=True)
class Mine(Mechanism):
    "ShadowPrice under another name."
    requires, guarantees, clears = ShadowPrice.requires, ShadowPrice.guarantees, ShadowPrice.clears

    def clear(self, bids, supply, cost):
        return ShadowPrice().clear(bids, supply, cost)
"""


@pytest.mark.nightly
def test_rules_and_strategies_vary(walras: Walras, options: tuple[object, ...], no_pictures: None) -> None:
    """A rule of the user's beside ours over strategies; an edited file is run anew, and nothing else is."""
    Path("my_rule.py").write_text(RULE, encoding="utf-8")
    vary = ("--vary", "mechanism=shadow-price,my_rule.py:Mine", "--vary", "strategy=truthful,zero-intelligence")
    line = ("compare", *vary, *options, "--recipe", "none", "--vary", "rounds=1", "--workers", 0)
    answer = walras(*line, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["axes"] == {
        "recipe": ["none"], "mechanism": ["ShadowPrice", "my_rule.py:Mine"],
        "strategy": ["truthful", "zero-intelligence"], "rounds": [1], "budget": [0.5],
    }  # fmt: skip
    assert (told["against_axis"], told["against"], told["comparisons"]) == ("mechanism", "ShadowPrice", 2)
    assert [row["difference"] for row in told["statistics"] if row["mechanism"] != "ShadowPrice"] == [0, 0]
    before = written(Path("o/cells"))
    Path("my_rule.py").write_text(RULE + "# edited\n", encoding="utf-8")
    again = walras(*line, "--against", "strategy=truthful")
    assert again.code == 0, again.err
    assert before.items() <= written(Path("o/cells")).items()
    assert len(list(Path("o/cells").iterdir())) == 8 + 4
    assert "rounds has one value, 1: nothing is compared along it" in again.err
    assert "minus truthful" in again.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--vary", "mechansim=VCG"), "unknown axis 'mechansim'. Did you mean 'mechanism'?"),
        (("--vary", "mechanism"), "--vary 'mechanism' varies nothing; write --vary NAME=VALUE,VALUE"),
        (("--vary", "mechanism=ShadowPrice,shadow-price"), "mechanism ShadowPrice and shadow-price are the same"),
        (("--vary", "rounds=1,2,x"), "rounds is 'x'; it must be of type int"),
        (("--vary", "mechanism=ShadowPrice,none.py:X"), "mechanism file 'none.py' does not exist"),
        (("--vary", "block=16,32", "--block", 8), "block is 8 for all cells, and it is an axis; give it once"),
        (("--vary", "seed=1,2"), "seed is no axis"),
        (
            ("--vary", "strategy=truthful,shading", "--against", "strategy=greedy"),
            "unknown strategy to compare against",
        ),
    ],
)
def test_axes_that_are_none(compare: Walras, more: tuple[object, ...], message: str) -> None:
    assert message in compare(*more).error
    assert list(Path().iterdir()) == []


def test_nothing_varies(walras: Walras, options: tuple[object, ...]) -> None:
    assert "nothing varies; name recipes or a setting" in walras("compare", *options).error
