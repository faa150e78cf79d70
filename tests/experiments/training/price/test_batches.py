"""What units are valued on: batches of other tasks than classification, and batches that are none."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForQuestionAnswering

from tests.experiments.training.price.conftest import SETTINGS, SIZES, batches, price_of, rows
from walras.errors import InputError
from walras.experiments.training.price.price import Price

Make = Callable[..., nn.Module]


def _of(kind: Any) -> Any:
    torch.manual_seed(0)
    return kind.from_config(AutoConfig.for_model("bert", **SIZES))


def _answers() -> list[dict[str, torch.Tensor]]:
    place = torch.arange(4)
    return [
        {"input_ids": batch["input_ids"], "start_positions": place, "end_positions": place + 2} for batch in batches(2)
    ]


def test_labels_by_other_names() -> None:
    """Question answering has neither logits nor states, and labels of its own."""
    model = _of(AutoModelForQuestionAnswering)
    with pytest.raises(InputError, match="value its units with labels: label_free=False"):
        Price(model, steps=4, batches=_answers(), **SETTINGS).settle()
    with pytest.raises(InputError, match="nothing to distil"):
        Price(model, steps=4, batches=_answers(), distil=1.0, **SETTINGS)
    price = Price(_of(AutoModelForQuestionAnswering), steps=4, batches=_answers(), label_free=False, **SETTINGS)
    price.settle()
    assert price.figures()["share_of_macs"] <= 0.5


def test_tokens_without_a_mask() -> None:
    given = [{"input_ids": batch["input_ids"]} for batch in batches(2)]
    price = Price(_of(AutoModelForMaskedLM), steps=4, batches=given, **SETTINGS)
    price.settle()
    assert price.figures()["share_of_macs"] <= 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([5], r"batches\[0\] is int"),
        (batches(1)[0], "batches is of type dict"),
        (
            [{"input_ids": torch.full((2, 3, 5), 7)}],
            r"of shape \[2, 3, 5\]; it must be \[rows, tokens\], with no choices",
        ),
    ],
)
def test_what_is_no_batch(given: Any, message: str, network: Make) -> None:
    with pytest.raises(InputError, match=message):
        Price(network(), steps=4, batches=given, **SETTINGS)


def test_weights_that_are_not_finite(network: Make) -> None:
    model = network()
    price = Price(model, steps=8, batches=batches(2), **SETTINGS)
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match="predicts what is not finite"):
        price.settle()


def test_rows_that_can_be_counted_but_not_taken_out(trainer: Callable[..., Any]) -> None:
    class Streamed(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(rows(16))

        def __len__(self) -> int:
            return 16

    found = trainer(max_steps=4, logging_strategy="no")
    found.train_dataset = Streamed()
    found.train()
    assert price_of(found).settled
