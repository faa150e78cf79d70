"""A loop of plain PyTorch that does not do what a price asks of it, and a price that goes on as another one."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tests.experiments.training.price.conftest import SETTINGS, batches
from walras.errors import InputError
from walras.experiments.training.price.callback import PriceCallback
from walras.experiments.training.price.price import Price

Make = Callable[..., nn.Module]
BATCH = batches(1)[0]


def _priced(model: nn.Module, **settings: Any) -> Price:
    given = {"steps": 8, "batches": batches(2), **SETTINGS, **settings}
    return Price(model.train(), **given)


def _loss(model: nn.Module) -> torch.Tensor:
    found: torch.Tensor = model(**BATCH).loss
    return found


@pytest.mark.parametrize("settings", [{}, {"pricing": "tax", "price": 1.0}, {"pricing": "dual-ascent"}], ids=str)
def test_a_penalty_that_was_forgotten(settings: dict[str, Any], network: Make) -> None:
    model = network()
    price = _priced(model, **settings)
    torch.autograd.backward(_loss(model))
    with pytest.raises(InputError, match=r"penalty\(\) has not been in this loss"):
        price.step()


def test_gates_are_drawn_with_gradients_wherever_a_step_is_called(network: Make) -> None:
    ends = []
    for quiet in (False, True):
        model = network()
        price = _priced(model, pricing="shadow-price", priced=1.0)
        for _ in range(3):
            torch.autograd.backward(_loss(model) + price.penalty())
            with torch.set_grad_enabled(not quiet):
                price.step()
        ends.append(price._economy.gates.logits.detach())
    assert torch.equal(*ends)
    assert float(ends[0].std()) > 0


def test_two_prices_in_one_network(network: Make) -> None:
    model = network()
    price = _priced(model)
    with pytest.raises(InputError, match="a price is paid in this network already"):
        _priced(model)
    price.close()
    _priced(model)


def test_an_optimizer_of_another_network(network: Make) -> None:
    with pytest.raises(InputError, match="the SGD trains no weight of BertForSequenceClassification"):
        _priced(network(), optimizer=torch.optim.SGD(network().parameters()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0.8}, r"budget is 0\.8, and was 0\.5 in the saved price"),
        ({"rounds": 2}, "rounds is 2, and was 4"),
        ({"steps": 24}, "in 6 steps, and is in 2 by the saved price"),
        ({"priced": 0.5}, "in 4 steps, and is in 2 by the saved price"),
    ],
)
def test_going_on_as_another_price(changes: dict[str, Any], message: str, network: Make) -> None:
    price = _priced(network())
    with pytest.raises(InputError, match=message):
        _priced(network(), saved=price.saved(), **changes)
    _priced(network(), saved=price.saved(), steps=16, priced=0.125)  # as many that are priced


def test_steps_do_not_count_once_units_have_settled(network: Make) -> None:
    price = _priced(network())
    price.settle()
    again = _priced(network(), saved=price.saved(), steps=40)
    assert again.figures() == price.figures()
    with pytest.raises(InputError, match=r"budget is 0\.8"):
        _priced(network(), saved=price.saved(), budget=0.8)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_what_is_left_can_be_copied(copied: Any, network: Make, tmp_path: Any) -> None:
    model = network()
    _priced(model).settle()
    other = copied(model)
    with torch.no_grad():
        next(other.parameters()).zero_()
    other.save_pretrained(tmp_path)
    from walras.models.export.reloading import load_model

    assert not next(load_model(tmp_path).parameters()).any()  # its own weights, not those of the other


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batches": 5}, "batches is of type int; it must be a list of batches"),
        ({"batches": BATCH}, "batches is of type dict; it must be a list of batches"),
        ({"batches": []}, "batches is empty"),
        ({"batches": [5]}, r"batches\[0\] is int; a batch must be a dict of tensors"),
        ({"loss": "cross entropy"}, "loss is 'cross entropy'; it must be a function of a model and a batch, or a num"),
        ({"loss": float("nan")}, "loss is nan"),
        ({"loss": True}, "loss is True"),
        ({"objective": 5}, "objective is 5; it must be a function of a model and a batch"),
    ],
    ids=str,
)
def test_what_is_given_besides_settings(given: dict[str, Any], message: str, network: Make) -> None:
    with pytest.raises(InputError, match=message):
        _priced(network(), **given)
    with pytest.raises(InputError, match=message):
        PriceCallback(**SETTINGS, **given)


def test_a_trainer_that_is_none() -> None:
    with pytest.raises(InputError, match="trainer is 5; it must be the Trainer that gets this callback"):
        PriceCallback(trainer=5)


def test_a_function_may_value_units(network: Make) -> None:
    price = _priced(network(), objective=lambda model, batch: model(**batch).loss)
    assert price.keep is None
