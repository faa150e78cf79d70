"""`walras train` as a whole, on tiny models: what it leaves, and that it goes on bit by bit."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import walras
from walras.errors import InputError, TrainingError
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.checkpoints import newest_checkpoint
from walras.experiments.training.loop.task_trainer import TaskTrainer
from walras.experiments.training.train import train

Make = Callable[..., TrainConfig]
Killed = Callable[[int], AbstractContextManager[None]]
PRICINGS = ["shadow-price", "dual-ascent", "cleared"]
REPAIRED = {"repair": "least_squares", "valuation": "partial-fisher"}


def weights(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.named_parameters())


def same(first: nn.Module, second: nn.Module) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
def furthest(first: nn.Module, second: nn.Module) -> float:
    """The largest difference of any two weights."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.nightly
def test_the_folder_of_a_run(settings: Make, tmp_path: Path) -> None:
    found = train(settings(epochs=4, patience=12), tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {"budget", "used", "metric", "expected", "price", "latency_ms", "parameters"} <= result.keys()
    assert 0.3 < result["used"] <= 0.5
    assert result["expected"] == pytest.approx(0.5, rel=1e-3)
    assert sum(result["kept"].values()) == int(found.keep.sum()) < result["units"]
    assert result["parameters"] < result["dense_parameters"]
    assert not (tmp_path / "run" / "checkpoint").exists()
    steps = pd.read_parquet(tmp_path / "run" / "steps.parquet")
    assert len(steps) == result["steps"] == 12
    assert steps["cost"].iloc[0] > steps["cost"].dropna().iloc[-1]
    exported = walras.load_model(str(tmp_path / "run" / "model"))
    assert same(exported, found.model)


@pytest.mark.parametrize("pricing", PRICINGS)
def test_every_pricing_ends_within_the_budget(settings: Make, pricing: str) -> None:
    found = train(settings(pricing=pricing, epochs=4, rounds=2, **REPAIRED))
    assert 0.25 < found.summary.used <= 0.5
    assert found.summary.macs == pytest.approx(found.summary.used * found.summary.dense_macs)


@pytest.mark.parametrize(
    "changes", [{"pricing": p} for p in PRICINGS] + [{"pricing": "tax", "price": 0.1, "budget": 1.0, "cost": "literal"}]
)
def test_the_optimizer_goes_on_where_units_leave(
    settings: Make, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Moments of every weight have as many steps behind them as there were."""
    seen: list[tuple[int, set[float]]] = []
    plain = TaskTrainer.evaluate

    def evaluate(self: TaskTrainer, *given: Any, **more: Any) -> dict[str, float]:
        assert self.optimizer is not None
        seen.append((self.state.global_step, {float(own["step"]) for own in self.optimizer.state.values()}))
        return plain(self, *given, **more)

    monkeypatch.setattr(TaskTrainer, "evaluate", evaluate)
    train(settings(**changes))
    step, steps = seen[-1]
    assert step == 6
    assert {6.0} <= steps <= {3.0, 6.0}  # what a sub-layer without units has left is reached by no gradient any more


def test_no_price_keeps_every_unit_and_learns(settings: Make) -> None:
    found = train(settings(pricing="none", budget=1.0, epochs=12))
    assert bool(found.keep.all())
    losses = found.steps["loss"]
    assert losses.tail(3).mean() < losses.head(3).mean()
    assert found.summary.price is None


def test_a_recipe_removes_units_before_training(settings: Make) -> None:
    found = train(settings(recipe="magnitude"))
    assert (found.summary.untrained_scores or {}).keys() == {"accuracy"}
    assert found.summary.used <= 0.5
    assert "cost" not in found.steps


@pytest.mark.nightly
def test_the_result_names_what_cleared(settings: Make) -> None:
    """A recipe has its own mechanism, valuation and rounds; a market has played its rounds, whatever its spelling."""
    names = ("mechanism", "valuation", "rounds")
    recipe = train(settings(recipe="michel", budget=0.8)).summary
    assert [getattr(recipe, name) for name in names] == ["ShadowPrice", "michel", 2]
    kwon = train(settings(recipe="kwon")).summary
    assert [getattr(kwon, name) for name in names] == ["KwonSearch", "fisher", 1]
    market = train(settings(pricing="Cleared", rounds=3)).summary
    assert [getattr(market, name) for name in names] == ["ShadowPrice", "fisher", 3]
    assert train(settings(rounds=3)).summary.rounds == 1


@pytest.mark.nightly
def test_taxes_from_nothing_to_much_make_a_falling_cost(settings: Make) -> None:
    used = [
        train(settings(pricing="tax", price=price, epochs=8, gate_logit_range=60.0)).steps["cost"].dropna().iloc[-1]
        for price in (0.0, 1.0, 100.0)
    ]
    assert used[0] > used[1] >= used[2]
    assert used[2] < 0.5


@pytest.mark.parametrize("taxed", ["heads", "ffn"])
def test_what_is_not_taxed_stays(settings: Make, taxed: str) -> None:
    found = train(settings(taxed=taxed, budget=0.85))
    kind = found.units.kind
    assert bool(found.keep[torch.from_numpy(kind == {"heads": "ffn", "ffn": "head"}[taxed])].all())
    assert not bool(found.keep.all())


LONG = pytest.mark.nightly


@pytest.mark.parametrize(
    ("pricing", "stop"),  # before units settle, in a step in which a market cleared, after
    [
        ("cleared", 2),
        *(pytest.param("shadow-price", stop, marks=LONG) for stop in (1, 2, 4)),
        *(pytest.param(p, s, marks=LONG) for p, s in (("cleared", 1), ("dual-ascent", 4))),
        *(pytest.param(p, s, marks=LONG) for p, s in (("cleared", 4), ("dual-ascent", 1), ("dual-ascent", 2))),
    ],
)  # fmt: skip
def test_killed_and_resumed_is_bit_identical(
    settings: Make, tmp_path: Path, killed_in: Killed, pricing: str, stop: int
) -> None:
    config = settings(pricing=pricing, save_every=1, rounds=2, **REPAIRED)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt), killed_in(stop):
        train(config, tmp_path / "cut")
    assert newest_checkpoint(tmp_path / "cut" / "checkpoint") == tmp_path / "cut" / "checkpoint" / f"checkpoint-{stop}"
    resumed = train(config, tmp_path / "cut", resume=True)
    assert same(whole.model, resumed.model)
    assert torch.equal(whole.keep, resumed.keep)
    pd.testing.assert_frame_equal(whole.steps.drop(columns="seconds"), resumed.steps.drop(columns="seconds"))


@pytest.mark.parametrize("stop", [2, pytest.param(4, marks=LONG)])
def test_a_tax_on_activations_goes_on(settings: Make, tmp_path: Path, killed_in: Killed, stop: int) -> None:
    """It rises by what activations have cost so far."""
    tax = {"pricing": "tax", "price": 1.0, "cost": "invariant", "rise": "by-target:budget=0.1,first=0.1"}
    config = settings(**tax, save_every=1)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt), killed_in(stop):
        train(config, tmp_path / "cut")
    resumed = train(config, tmp_path / "cut", resume=True)
    assert same(whole.model, resumed.model)
    pd.testing.assert_frame_equal(whole.steps.drop(columns="seconds"), resumed.steps.drop(columns="seconds"))
    paid = whole.steps["price"].dropna()
    assert paid.iloc[0] == 0.1 < paid.iloc[2]
    assert whole.summary.price == paid.iloc[-1]


@pytest.mark.nightly
def test_the_same_seed_gives_the_same_weights_and_another_does_not(settings: Make) -> None:
    first, second, other = (train(settings(seed=seed)) for seed in (0, 0, 1))
    assert same(first.model, second.model)
    assert not same(first.model, other.model)


@pytest.mark.nightly
def test_the_literal_tax_on_attention_changes_nothing(settings: Make) -> None:
    """D2 by experiment: the weights of a price of 0 but for rounding, which Adam enlarges where slopes are almost 0.

    Six steps at a rate of 1e-4 move a weight by 3e-4 or so; the FFN term moves some of them elsewhere by as much.
    """

    def trained(price: float, taxed: str) -> nn.Module:
        return train(settings(pricing="tax", price=price, cost="literal", taxed=taxed, rate=1e-4)).model

    free, taxed, ffn = trained(0.0, "heads"), trained(1.0, "heads"), trained(1.0, "ffn")
    assert furthest(free, taxed) < 5e-5
    assert furthest(free, ffn) > 2e-4


@pytest.mark.nightly
def test_distillation_moves_towards_the_dense_model(settings: Make) -> None:
    plain, distilled, layers = (train(settings(**own)) for own in ({}, {"distil": 10.0}, {"distil_states": 10.0}))
    assert not same(plain.model, distilled.model)
    assert not same(plain.model, layers.model)


@pytest.mark.nightly
def test_what_a_recipe_left_is_distilled_as_well(settings: Make) -> None:
    """Nobody pays; and nothing of it is left on the network."""
    plain, distilled = (train(settings(recipe="magnitude", distil_states=weight)) for weight in (0.0, 10.0))
    assert plain.steps["loss"].iloc[0] == distilled.steps["loss"].iloc[0]  # the task's alone is told
    assert plain.steps["loss"].iloc[-1] != distilled.steps["loss"].iloc[-1]
    assert "forward" not in vars(distilled.model)
    assert not any(module._forward_hooks for module in distilled.model.modules())


def test_a_loss_that_is_no_number_stops_at_the_last_good_checkpoint(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = TaskTrainer.compute_loss

    def poisoned(self: TaskTrainer, *given: Any, **more: Any) -> Tensor:
        found: Tensor = loss(self, *given, **more)
        return found * (float("nan") if self.state.global_step == 3 else 1.0)

    monkeypatch.setattr(TaskTrainer, "compute_loss", poisoned)
    with pytest.raises(
        TrainingError, match=r"the loss is nan at step 3 of 6; the last good checkpoint is .*checkpoint-2"
    ):
        train(settings(save_every=1, pricing="none", budget=1.0), tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.nightly
def test_weights_ruined_by_a_step_never_become_the_last_good_checkpoint(settings: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"at step 1 of 6; no checkpoint had been written"):
        train(settings(save_every=1, rate=1e30, warmup=0.0), tmp_path / "run")


def test_ruined_weights_are_not_judged(settings: Make) -> None:
    """Whatever is predicted from no numbers has some accuracy."""
    with pytest.raises(TrainingError, match="a weight is no number"):
        train(settings(pricing="none", budget=1.0, epochs=1, rate=float("1e38"), decay=1e38, warmup=0.0))


def test_a_budget_below_what_is_not_taxed_names_the_floor(settings: Make) -> None:
    with pytest.raises(
        InputError, match=r"budget 0\.2 cannot be reached: heads alone are taxed, .* valid: from 0\.\d+ on"
    ):
        train(settings(taxed="heads", budget=0.2))


def test_resuming_with_other_settings_is_refused(settings: Make, tmp_path: Path) -> None:
    config = settings()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(config.as_yaml())
    with pytest.raises(InputError, match=r"was begun with rate = 0\.001, now it is 0\.5"):
        train(config.with_values(rate=0.5), tmp_path / "run", resume=True)
    with pytest.raises(InputError, match="holds an unfinished training run of other settings; use --overwrite"):
        train(config.with_values(rate=0.5), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pricing": "tax", "price": -1.0}, r"price is -1\.0"),
        ({"pricing": "tax", "price": float("nan")}, "price is nan"),
        ({"pricing": "tax"}, "there is no price"),
        ({"price": 1.0}, "which finds its own"),
        ({"budget": 0.0}, r"budget is 0\.0"),
        ({"pricing": "shadow"}, "unknown pricing 'shadow'"),
        ({"recipe": "k-prunes"}, "unknown recipe 'k-prunes'"),
        ({"recipe": "k-prune", "pricing": "dual-ascent"}, "removes units before training"),
        ({"cost": "literal"}, "whose price is a tax"),
        ({"cost": "invariant", "pricing": "tax", "price": 1.0, "taxed": "heads"}, "no term for heads"),
        ({"rate": 0.0}, r"rate is 0\.0"),
        ({"held_out": 0.9}, "held_out is 0.9"),
        ({"epochs": 0}, "epochs is 0"),
        ({"limit": 1}, "limit is 1"),
        ({"epoch": 3}, "unknown setting 'epoch'.*'epochs'"),
        ({"precision": "bf8"}, "unknown precision 'bf8'"),
        ({"task": "text", "data": None}, "task text needs --data"),
    ],
)
def test_bad_settings(settings: Make, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(settings(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
