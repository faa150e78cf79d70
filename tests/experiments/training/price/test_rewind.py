"""The learning rate's schedule begins anew once units have settled."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR
from transformers import TrainerCallback

from walras.errors import InputError
from walras.experiments.training.price.rewind import rewound


class _Rates(TrainerCallback):
    """The rate of every step."""

    def __init__(self) -> None:
        self.seen = list[float]()

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.seen.append(float(given["optimizer"].param_groups[0]["lr"]))


def _rates(trainer: Callable[..., Any], *, rewind: bool) -> list[float]:
    rates = _Rates()
    trainer({"rewind": rewind}, callbacks=[rates], learning_rate=1.0, warmup_steps=2).train()
    return rates.seen


def test_a_schedule_runs_twice() -> None:
    """Of eight steps, two lie before: the whole of it goes into the other six."""
    found = [rewound(lambda done: float(done * done), 2, 8)(done) for done in range(9)]
    assert found == pytest.approx([0, 1, 0, 2, 64 / 9 + 2 / 9, 16, 256 / 9 + 2 / 9, 400 / 9 + 2 / 9 + 0, 64])


def test_rates_rise_and_fall_again_after_units_have_settled(trainer: Callable[..., Any]) -> None:
    """Sixteen steps, two of warm-up, units settle in the fourth; by hand."""
    falls = [(16 - step) / 14 for step in range(2, 16)]
    assert _rates(trainer, rewind=False) == pytest.approx([0, 0.5, *falls])
    again = [place / 2 if (place := i * 16 / 12) <= 2 else (16 - place) / 14 for i in range(12)]
    again[1] = 0.5 + (4 / 3 - 1) * 0.5  # on the line between steps 1 and 2
    assert _rates(trainer, rewind=True) == pytest.approx([0, 0.5, *falls[:2], *again])


def test_a_schedule_that_looks_at_more_than_the_step_is_refused(trainer: Callable[..., Any]) -> None:
    given = trainer({"rewind": True})
    given.optimizer = torch.optim.AdamW(given.model.parameters())
    given.lr_scheduler = CosineAnnealingLR(given.optimizer, 16)
    with pytest.raises(InputError, match="CosineAnnealingLR"):
        given.train()
