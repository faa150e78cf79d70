"""Rules at a budget: settings that must be sought meet it on the sentences where they were sought."""

from pathlib import Path
from typing import Any

import pytest
import torch

from walras.errors import UserCodeError
from walras.experiments.observing.budgeted_rule import BUDGETED_RULES
from walras.experiments.observing.rules import BudgetRules, random_key_rules, rules_at_budget
from walras.experiments.observing.tally import Tally
from walras.experiments.tasks.text import from_texts
from walras.models.attention import Entmax, Literal, NullKey, RandomKeys, Sparsemax, TopKeys, attention_market
from walras.models.loading import load

OWN = """
from dataclasses import dataclass
from walras.experiments.observing.budgeted_rule import BudgetedRule, Fit
from walras.models.attention import TopKeys

@dataclass(frozen=True)
class Half(BudgetedRule):
    name = "half"
    unit = "twice the keys"
    budgets = (8.0,)
    sought = False
    factor: float = 0.5

    def fit(self, budget, scores):
        del scores
        1 / budget
        return Fit(TopKeys(int(self.factor * budget)))
"""


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def at_hand(request: pytest.FixtureRequest, models: Path, lines: Path) -> Any:
    model, tokenizer = load(str(models / request.param), "auto", device="cpu")
    task = from_texts(lines.read_text(encoding="utf-8").splitlines())
    return model, task.calibration(tokenizer, sentences=6, seed=0, batch_size=4, length=32)


def ruled(name: str, *given: Any) -> BudgetRules:
    return rules_at_budget(BUDGETED_RULES.make(name), *given)


@pytest.mark.spread
@pytest.mark.parametrize(
    ("name", "budget", "statistic"),
    [("sparsemax", 2.5, "kept"), ("entmax", 3.0, "kept"), ("threshold", 2.0, "kept"), ("null-key", 0.4, "total")],
)
@pytest.mark.parametrize("constrained", [(0, 1), (1,)])
def test_the_budget_is_met(
    name: str, budget: float, statistic: str, constrained: tuple[int, ...], at_hand: Any
) -> None:
    """As a mean over queries, heads and constrained layers, under the rule itself."""
    model, batches = at_hand
    found = ruled(name, budget, model, batches, constrained, 2)
    rules = found.rules
    assert not found.slack
    assert [rule is not None for rule in rules] == [0 in constrained, 1 in constrained]
    tally = Tally(2, constrained)
    with torch.no_grad(), attention_market(model, rules, tally):
        for batch in batches:
            model(**batch)
    assert tally.mean(constrained)[statistic] == pytest.approx(budget, rel=0.01)


def test_rules_that_take_the_budget_itself(at_hand: Any) -> None:
    model, batches = at_hand
    assert ruled("top-k", 3.0, model, batches, (1,), 2).rules == [None, TopKeys(3)]
    assert ruled("literal", 0.5, model, batches, (0, 1), 2).rules == [Literal(0.5)] * 2
    assert isinstance(ruled("sparsemax", 2.0, model, batches, (0,), 2).rules[0], Sparsemax)
    assert isinstance(ruled("null-key", 0.5, model, batches, (0,), 2).rules[0], NullKey)


@pytest.mark.spread
@pytest.mark.parametrize(
    ("name", "budget"), [("sparsemax", 1000.0), ("entmax", 1000.0), ("threshold", 1000.0), ("null-key", 1.0)]
)
def test_a_budget_of_all_there_is_has_slack(name: str, budget: float, at_hand: Any) -> None:
    model, batches = at_hand
    assert ruled(name, budget, model, batches, (0, 1), 2).slack


def test_settings_are_the_same_every_time(at_hand: Any) -> None:
    model, batches = at_hand
    assert ruled("entmax", 2.0, model, batches, (0, 1), 2) == ruled("entmax", 2.0, model, batches, (0, 1), 2)


def test_a_draw_of_its_own_in_every_layer() -> None:
    found = random_key_rules(2, 5, (0, 1, 3), 4)
    assert found[2] is None
    seeds = [rule.seed for rule in (*found, *random_key_rules(2, 6, (0, 1, 3), 4)) if isinstance(rule, RandomKeys)]
    assert len(set(seeds)) == 6


def test_scores_are_thinned_evenly(at_hand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rows give nearly the same setting."""
    model, batches = at_hand
    whole = ruled("null-key", 0.4, model, batches, (0, 1), 2).rules[0]
    monkeypatch.setattr("walras.experiments.observing.rules.ROWS", 32)
    thin = ruled("null-key", 0.4, model, batches, (0, 1), 2).rules[0]
    assert isinstance(whole, NullKey)
    assert isinstance(thin, NullKey)
    assert whole != thin
    assert float(thin.price) == pytest.approx(float(whole.price), abs=0.5)


def test_parameters_and_rules_of_the_users_own(at_hand: Any, tmp_path: Path) -> None:
    model, batches = at_hand
    assert ruled("Entmax:alpha=2", 3.0, model, batches, (1,), 2) == BudgetRules(
        [None, Entmax(2.0, ruled("sparsemax", 3.0, model, batches, (1,), 2).rules[1].temperature)]  # type: ignore[union-attr]  # of sparsemax
    )
    file = tmp_path / "own.py"
    file.write_text(OWN, encoding="utf-8")
    half = BUDGETED_RULES.make(f"{file}:Half:factor=0.25")
    assert rules_at_budget(half, 8.0, model, batches, (0, 1), 2).rules == [TopKeys(2)] * 2
    with pytest.raises(UserCodeError, match=r"attention rule Half failed \(.*own\.py, line 16\): ZeroDivisionError"):
        rules_at_budget(half, 0.0, model, batches, (0, 1), 2)
