"""Token valuations of the user's own: they count, and what is wrong with them is told by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from walras.experiments.sparsifying.from_python import sparsify

Walras = Callable[..., Any]
OWN = """
import torch
from walras.models.tokens.worths import TokenValuation

class First(TokenValuation):
    \"\"\"The first bidders of every map are worth most.\"\"\"

    def __call__(self, model, maps, batches, objective, seed):
        return {m.path: WHAT for m in maps}
"""


@pytest.fixture
def line(llama: Path, document: Path) -> tuple[object, ...]:
    return ("sparsify", "--model", llama, "--data", document, "--length", 16, "--device", "cpu")


def own(folder: Path, what: str) -> str:
    file = folder / "own.py"
    file.write_text(OWN.replace("WHAT", what))
    return f"{file}:First"


def test_a_valuation_of_ones_own(walras: Walras, line: tuple[object, ...], tmp_path: Path) -> None:
    name = own(tmp_path, "torch.linspace(1, 0.01, m.bidders)")
    assert walras(*line, "--token-valuation", name, "--out", "x").code == 0
    assert "own.py:First" in json.loads(Path("x/sparsify.json").read_text())["token_valuation"]


def test_a_budget_that_no_price_spends(llama: Path, document: Path, tmp_path: Path) -> None:
    """Worths of 0: at every price above 0 nobody buys. Such a network is broken, with a word."""
    name = own(tmp_path, "torch.zeros(m.bidders)")
    with pytest.warns(UserWarning, match=r"spends 0\.\d+ where the budget is 0\.6: no prices .* many bids are 0"):
        found = sparsify(str(llama), None, str(document), budget=0.6, token_valuation=name, length=16, device="cpu")
    assert found.summary.spent == found.summary.floor


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "torch.ones(3)",
            "token valuation First: model.layers.0.self_attn.q_proj is of shape [3]; it must be a tensor",
        ),
        ("[1.0]", "is list; it must be a tensor [64]"),
        ("-torch.ones(m.bidders)", "has worths below 0, or that are no finite numbers"),
        ("torch.full((m.bidders,), torch.inf)", "has worths below 0, or that are no finite numbers"),
        ("torch.full((m.bidders,), 3e38)", "bids, squared activations times worths, of model.layers.0."),
        ("m.nothing", "own.py"),
    ],
)
def test_a_valuation_that_is_wrong(
    what: str, said: str, walras: Walras, line: tuple[object, ...], tmp_path: Path
) -> None:
    assert said in walras(*line, "--token-valuation", own(tmp_path, what), "--out", "x").error
    assert not Path("x").exists()
