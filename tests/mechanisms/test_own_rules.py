"""Rules from the user's file: whatever they raise names the file and the line, in one line; even sys.exit."""

from pathlib import Path
from typing import Any

import pytest
import torch

from walras.errors import ConformanceError, UserCodeError
from walras.mechanisms import MECHANISMS, Clearing, IndivisibleBids, Mechanism
from walras.mechanisms.testing.conformance import check_mechanism

BIDS = IndivisibleBids(torch.tensor([1.0, 2.0, 3.0]))
CLEARING = Clearing(torch.zeros(3), torch.zeros(1))


def rule(folder: Path, body: str) -> Mechanism:
    """A rule of the user's own; `body` is its methods, from line 5 on."""
    file = folder / "own.py"
    head = "import sys\n\nfrom walras import Clearing, Mechanism\nclass Mine(Mechanism):\n"
    file.write_text(head + body)
    return MECHANISMS.make(f"{file}:Mine")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("bids.demand(supply).nothing", "AttributeError: 'Tensor' object has no attribute 'nothing'"),
        ("sys.exit(0)", "SystemExit: 0"),
        ("cost @ cost", "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("raise ValueError('two\\nlines')", "ValueError: two"),
    ],
)
def test_what_clear_raises_names_file_and_line(tmp_path: Path, line: str, error: str) -> None:
    own = rule(tmp_path, f" def clear(self, bids, supply, cost):\n  {line}")
    with pytest.raises(UserCodeError) as raised:
        own(BIDS, 2.0)
    assert str(raised.value).startswith(f"mechanism Mine failed ({tmp_path / 'own.py'}, line 6): {error}")


def test_what_after_and_penalty_raise_names_file_and_line(tmp_path: Path) -> None:
    own = rule(
        tmp_path,
        " def clear(self, bids, supply, cost):\n  return Clearing(supply, supply)\n"
        " def after(self, bids, supply, cost, clearing):\n  return self.nothing\n"
        " def penalty(self, clearing, gates, supply, cost):\n  return [][0]\n",
    )
    with pytest.raises(UserCodeError, match=r"mechanism Mine failed \(.*own\.py, line 8\): AttributeError"):
        own.after(BIDS, torch.ones(1), torch.ones(3, 1), CLEARING)
    with pytest.raises(UserCodeError, match=r"mechanism Mine failed \(.*own\.py, line 10\): IndexError"):
        own.penalty(CLEARING, torch.ones(3), 1.0, torch.ones(3))


@pytest.mark.parametrize("line", ["sys.exit(0)", "1 / 0"])
def test_the_suite_fails_a_rule_that_raises_or_exits(tmp_path: Path, line: str) -> None:
    (check,) = check_mechanism(rule(tmp_path, f" def clear(self, bids, supply, cost):\n  {line}"), instances=2)
    assert not check.passed
    assert "own.py, line 6" in check.detail


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("None", "Mine.clear returned NoneType, not a Clearing"),
        ("Clearing([1.0], supply)", "Mine: quantity is a list; it must be a Tensor"),
        ("Clearing(cost[:, 0] * 0, supply, payment=0.0)", "Mine: payment is a float; it must be a Tensor"),
    ],
)
def test_what_is_no_clearing_is_refused(tmp_path: Path, answer: str, message: str) -> None:
    with pytest.raises(ConformanceError, match=message.replace("(", r"\(")):
        rule(tmp_path, f" def clear(self, bids, supply, cost):\n  return {answer}")(BIDS, 2.0)


@pytest.mark.parametrize(
    "spec", ["AscendingClock:step=.01", "ascending-clock:step=0.01", {"name": "ASCENDING_CLOCK", "step": 0.01}]
)
def test_names_take_parameters_in_any_spelling(spec: Any) -> None:
    assert MECHANISMS.make(spec) == MECHANISMS["AscendingClock"](step=0.01)
    assert MECHANISMS.make("PostedPrice:price=0.002") == MECHANISMS["PostedPrice"](price=0.002)


def test_every_rule_is_described_in_whole_sentences_with_its_source() -> None:
    for entry in MECHANISMS.describe():
        assert entry.about.endswith("."), entry
        assert len(entry.about.split()) >= 8, entry
        assert entry.source, entry
