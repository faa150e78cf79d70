"""Rules of the user's own in a market that clears during training: what they learn outlives an interruption."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from walras.errors import InputError
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.train import train
from walras.market.pricing import Cleared

Make = Callable[..., TrainConfig]
SOURCE = """
from dataclasses import dataclass, replace
import torch
from walras import Mechanism, ShadowPrice

class Clears(Mechanism):
    def clear(self, bids, supply, cost):
        return ShadowPrice().clear(bids, supply, cost)

class NoDataclass(Clears):
    pass

@dataclass(frozen=True)
class Remembers(Clears):
    seen: tuple[tuple[float, ...], ...] = ()
    listed: list[int] | None = None
    def after(self, bids, supply, cost, clearing):
        assert isinstance(self.seen, tuple) and all(isinstance(row, tuple) for row in self.seen)
        return replace(self, seen=(*self.seen, (clearing.price.item(), supply.item())))

@dataclass(frozen=True)
class Learns(Clears):
    last: object = None
    def after(self, bids, supply, cost, clearing):
        return replace(self, last=clearing.price)

@dataclass(frozen=True)
class Holds(Clears):
    weights: tuple[torch.Tensor, ...] = (torch.zeros(1),)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Holds", "weights of mechanism Holds holds a Tensor; checkpoints keep what a rule learns in training"),
        ("NoDataclass", "mechanism NoDataclass is no dataclass"),
    ],
)
def test_what_no_checkpoint_can_keep_is_refused_before_a_network_is_loaded(
    settings: Make, file: Path, name: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(settings(pricing="cleared", mechanism=f"{file}:{name}", model="nowhere"))


def test_what_is_learnt_is_checked_as_well(settings: Make, file: Path) -> None:
    with pytest.raises(InputError, match="last of mechanism Learns holds a Tensor; checkpoints keep"):
        train(settings(pricing="cleared", mechanism=f"{file}:Learns"))


@pytest.mark.nightly
def test_what_a_rule_has_learnt_goes_on(
    settings: Make, file: Path, tmp_path: Path, killed_in: Callable[[int], AbstractContextManager[None]]
) -> None:
    """Tuples are tuples again, else the rule itself would stop."""
    config = settings(pricing="cleared", mechanism=f"{file}:Remembers", rounds=2, save_every=1)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt), killed_in(2):  # the second round is still to come
        train(config, tmp_path / "cut")
    resumed = train(config, tmp_path / "cut", resume=True)
    assert torch.equal(whole.keep, resumed.keep)
    assert resumed.summary.rounds == 2


def test_states_come_back_from_json(file: Path) -> None:
    from walras.mechanisms import MECHANISMS

    rule = MECHANISMS.find(f"{file}:Remembers")
    market = Cleared.from_schedule(rule(seen=((0.5, 1.0), (0.2, 0.5)), listed=[3]), 0.5, 3)
    assert market.restored(json.loads(json.dumps(market.state()))) == market
