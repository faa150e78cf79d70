"""Price policies of the user's own: they count, and what is wrong with them is told by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Walras = Callable[..., Any]
RELATIVE = """
from walras.models.tokens.relative_prices import RelativePrices

class Mine(RelativePrices):
    \"\"\"The same price for all.\"\"\"

    def __call__(self, maps, offers, share):
        return WHAT
"""
FITTED = """
from walras.models.tokens.relative_prices import PricePolicy

class Mine(PricePolicy):
    \"\"\"Looks at the network.\"\"\"

    def fit(self, network, share):
        return WHAT
"""


@pytest.fixture
def line(llama: Path, document: Path) -> tuple[object, ...]:
    return ("sparsify", "--model", llama, "--data", document, "--length", 16, "--device", "cpu", "--out", "x")


def own(folder: Path, text: str, what: str) -> str:
    file = folder / "own.py"
    file.write_text(text.replace("WHAT", what))
    return f"{file}:Mine"


def test_a_policy_of_ones_own(walras: Walras, line: tuple[object, ...], tmp_path: Path) -> None:
    name = own(tmp_path, RELATIVE, "{m.path: offers[m.path].price_for(share) for m in maps}")
    assert walras(*line, "--price-policy", name).code == 0
    mine = json.loads(Path("x/sparsify.json").read_text())
    assert "own.py:Mine" in mine["price_policy"]
    assert walras(*line, "--price-policy", "equal-shares", "--overwrite").code == 0
    assert json.loads(Path("x/sparsify.json").read_text())["maps"] == mine["maps"]


@pytest.mark.spread
@pytest.mark.parametrize(
    ("text", "what", "said"),
    [
        (
            RELATIVE,
            "{}",
            "price policy Mine: the price of model.layers.0.self_attn.q_proj is None; it must be a number",
        ),
        (RELATIVE, "{m.path: float('nan') for m in maps}", "is nan; it must be a number from 0 to 3.4e38"),
        (RELATIVE, "{m.path: float('inf') for m in maps}", "is inf; it must be a number"),
        (RELATIVE, "{m.path: 1e39 for m in maps}", "is 1e+39; it must be a number"),
        (RELATIVE, "{m.path: -1.0 for m in maps}", "is -1.0; it must be a number"),
        (RELATIVE, "{m.path: '1' for m in maps}", "is '1'; it must be a number"),
        (RELATIVE, "[0.1]", "is None; it must be a number"),
        (RELATIVE, "maps[0].nothing", "price policy Mine failed"),
        (FITTED, "3", "price policy Mine: fit returned int; it must be a RelativePrices"),
        (FITTED, "network.nothing", "price policy Mine failed"),
    ],
)
def test_a_policy_that_is_wrong(
    text: str, what: str, said: str, walras: Walras, line: tuple[object, ...], tmp_path: Path
) -> None:
    assert said in walras(*line, "--price-policy", own(tmp_path, text, what)).error
    assert not Path("x").exists()
