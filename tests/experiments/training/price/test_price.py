"""A price in a loop of plain PyTorch: what settles, what is cut, and what goes on."""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

import walras
from tests.experiments.training.price.conftest import SETTINGS, batches
from walras.errors import InputError
from walras.experiments.training.price.price import Price
from walras.models import compact, gated, inventory, macs
from walras.models.export.reloading import load_model
from walras.models.objective import GivenLoss

STEPS = 16
PRICINGS: list[dict[str, Any]] = [
    {}, {"pricing": "shadow-price"}, {"pricing": "dual-ascent"}, {"pricing": "tax", "price": 0.3, "rise": "even-cost"},
    {"distil": 1.0, "distil_states": 1.0}, {"cut": False, "repair": "none"},
]  # fmt: skip
Make = Callable[..., nn.Module]


def _optimizer(model: nn.Module) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def _trained(model: nn.Module, price: Price, optimizer: Any, first: int = 0, last: int = STEPS, parts: int = 1) -> None:
    """Steps `first` to `last`, each batch in so many parts."""
    model.train()
    for batch in batches(STEPS)[first:last]:
        for rows in zip(*(tensor.chunk(parts) for tensor in batch.values()), strict=True):
            part = dict(zip(batch, rows, strict=True))
            loss = model(**part).loss + price.penalty()
            (loss / parts).backward()
        optimizer.step()
        optimizer.zero_grad()
        price.step()


def _priced(model: nn.Module, **settings: Any) -> tuple[Any, torch.optim.AdamW]:
    optimizer = _optimizer(model)
    return Price(model, optimizer, steps=STEPS, batches=batches(4), **{**SETTINGS, **settings}), optimizer


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_a_network_ends_within_its_budget_and_reloads(family: str, network: Make, tmp_path: Any) -> None:
    model: Any = network(family)
    dense = macs(model, walras.Price(model, steps=8, batches=batches(4), **SETTINGS).priced.units, 9).dense
    model = network(family)
    price, optimizer = _priced(model)
    _trained(model, price, optimizer)
    assert price.settled
    units = price.priced.units
    left = macs(model, inventory(model), 9).dense
    assert left <= 0.5 * dense
    assert price.figures()["share_of_macs"] == pytest.approx(left / dense)
    assert price.figures()["units_left"] == int(price.keep.sum()) < len(units)
    model.save_pretrained(tmp_path / "saved")
    price.close()
    model.eval()
    batch = batches(1)[0]
    assert torch.equal(load_model(tmp_path / "saved").double()(**batch).logits, model(**batch).logits)


def test_settling_leaves_what_the_gates_said(network: Make) -> None:
    """Without repair the cut network is the gated one, and weights and moments are those that `compact` leaves."""
    model: Any = network()
    price, optimizer = _priced(model, pricing="shadow-price", repair="none")
    _trained(model, price, optimizer, last=3)
    price._leave()  # gates would be copied as well
    before, economy = copy.deepcopy(model), price._economy
    keep, gates = economy.settle(0.5)
    price.settle()
    assert torch.equal(price.keep, keep)
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in model.parameters()}
    batch = batches(1)[0]
    before.eval()
    model.eval()
    price_free = copy.deepcopy(before)
    with gated(before, price.priced.units, torch.where(keep, gates, 0.0)):
        expected = before(**batch).logits
    assert torch.allclose(model(**batch).logits, expected, atol=1e-12)
    names = {name: p.shape for name, p in compact(price_free, price.priced.units, keep).named_parameters()}
    assert {name: p.shape for name, p in model.named_parameters()} == names
    for p in model.parameters():
        assert optimizer.state[p]["exp_avg"].shape == p.shape


@pytest.mark.spread
@pytest.mark.parametrize("settings", PRICINGS, ids=str)
def test_batches_in_parts_are_the_same_step(settings: dict[str, Any], network: Make) -> None:
    ends = []
    for parts in (1, 2):
        model = network()
        price, optimizer = _priced(model, **settings)
        _trained(model, price, optimizer, parts=parts)
        ends.append((parameters_to_vector(model.parameters()), price))
    (whole, one), (halves, two) = ends
    assert torch.allclose(whole, halves, atol=1e-6)
    assert torch.equal(one.keep, two.keep)
    assert one.figures() == pytest.approx(two.figures(), rel=1e-5)


@pytest.mark.spread
@pytest.mark.parametrize("settings", PRICINGS, ids=str)
@pytest.mark.parametrize("stop", [2, 9])
def test_a_training_that_was_interrupted_ends_the_same(settings: dict[str, Any], stop: int, network: Make) -> None:
    model = network()
    price, optimizer = _priced(model, **settings)
    _trained(model, price, optimizer, last=stop)
    kept: dict[str, Any] = {
        "price": json.dumps(price.saved()), "model": copy.deepcopy(model.state_dict()),
        "optimizer": copy.deepcopy(optimizer.state_dict()),
    }  # fmt: skip
    _trained(model, price, optimizer, first=stop)

    again = network()
    optimizer = _optimizer(again)
    saved = json.loads(str(kept["price"]))
    resumed = Price(again, optimizer, steps=STEPS, batches=batches(4), saved=saved, **{**SETTINGS, **settings})
    again.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    _trained(again, resumed, optimizer, first=stop)
    assert resumed.figures() == price.figures()
    for name, own in model.state_dict().items():
        assert torch.equal(own, again.state_dict()[name]), name


def test_evaluation_sees_gates_at_rest(network: Make) -> None:
    model = network()
    price, _ = _priced(model, pricing="shadow-price")
    batch = batches(1)[0]
    model.eval()
    assert torch.equal(model(**batch).logits, model(**batch).logits)
    values = price._step.gates.values.detach()
    at_rest = price._economy.gates.at_rest(price._step._now.logits.detach())
    assert torch.equal(values, at_rest.to(values))
    model.train()
    model(**batch)
    assert not torch.equal(price._step.gates.values.detach(), at_rest.to(values))


def test_distillation_pulls_towards_the_dense_network(network: Make) -> None:
    model = network()
    price, _ = _priced(model, distil=2.0, init_gates_by_value=False)
    model.train()
    batch = batches(1)[0]
    out: Any = model(**batch)
    found = float(price.penalty().detach())
    with torch.no_grad():
        dense: Any = price.priced.dense(**batch)
    then, now = (dense.logits / 2).log_softmax(-1), (out.logits / 2).log_softmax(-1)
    divergence = 4 * (then.exp() * (then - now)).sum(-1).mean()
    economy = price._economy.pricing.penalty(torch.tensor(price.figures()["share_of_macs"]), 0.0)
    assert found == pytest.approx(2.0 * float(divergence.detach()) + float(economy), rel=1e-6)
    assert float(price.penalty().detach()) == pytest.approx(float(economy), abs=1e-9)  # nothing has been run since
    model(**batch)
    price.close()


def test_units_can_be_cut_later(network: Make) -> None:
    model: Any = network()
    price, optimizer = _priced(model, cut=False, repair="none")
    _trained(model, price, optimizer)
    model.eval()
    batch, numbers = batches(1)[0], sum(p.numel() for p in model.parameters())
    expected = model(**batch).logits.detach()
    price.cut_from(model)
    assert sum(p.numel() for p in model.parameters()) < numbers
    assert torch.allclose(model(**batch).logits, expected, atol=1e-12)
    with pytest.raises(InputError, match=r"weights|features|inventory"):
        price.cut_from(model)


def test_a_price_is_paid_for_as_many_steps_as_said(network: Make) -> None:
    model = network()
    price, optimizer = _priced(model, priced=0.5)
    settled = []
    for step in range(8):
        _trained(model, price, optimizer, first=step, last=step + 1)
        settled.append(price.settled)
    assert settled == [False] * 7 + [True]
    kept = price.keep
    _trained(model, price, optimizer, first=8)
    assert price.keep is kept
    assert float(price.penalty()) == 0.0  # a constant


def test_the_budget_is_kept_in_expectation_at_every_step(network: Make) -> None:
    model = network()
    price, optimizer = _priced(model, pricing="shadow-price", priced=1.0)
    used = []
    for step in range(STEPS):
        used.append(price.figures()["share_of_macs"])
        _trained(model, price, optimizer, first=step, last=step + 1)
    supplies = [1 - 0.5 * min(step / STEPS / 0.7, 1.0) for step in range(STEPS)]
    assert np.all(np.array(used) <= np.array(supplies) + 1e-5)
    assert np.allclose(used[2:], supplies[2:], atol=1e-5)  # at first not all that may be used is


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 1.5}, "budget is 1.5"),
        ({"pricing": "cleard"}, "Did you mean 'cleared'"),
        ({"mechanism": "Nobody"}, "Nobody"),
        ({"pricing": "none"}, "a price needs one"),
        ({"pricing": "tax"}, "give one"),
        ({"distil": -1.0}, "distil is -1.0"),
        ({"distil_states": -1.0}, "distil_states is -1.0"),
        ({"cut": "yes"}, "cut is 'yes'"),
        ({"priced": 0.01}, "cannot be reached: of 16 steps"),
        ({"taxed": "heads", "budget": 0.05}, "cannot be reached: heads alone are taxed"),
        ({"bugdet": 0.5}, "bugdet"),
        ({"cost": "literal", "pricing": "tax", "price": 1.0}, "only walras train prices activations"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str, network: Make) -> None:
    with pytest.raises(InputError, match=message):
        _priced(network(), **settings)


def test_bad_networks_and_batches(network: Make) -> None:
    with pytest.raises(InputError, match="holds no transformers network"):
        Price(nn.Identity(), steps=4, batches=batches(1))
    with pytest.raises(InputError, match="2 networks side by side"):
        Price(nn.ModuleList([network(), network()]), steps=4, batches=batches(1))
    with pytest.raises(InputError, match="batches is empty"):
        Price(network(), steps=4, batches=[])
    with pytest.raises(InputError, match="steps is 0"):
        Price(network(), steps=0, batches=batches(1))


def test_a_step_without_a_loss_is_refused(network: Make) -> None:
    price, _ = _priced(network())
    with pytest.raises(InputError, match=r"follows loss\.backward\(\)"):
        price.step()


def test_gradients_that_overflow_move_no_gates(network: Make) -> None:
    model = network()
    price, optimizer = _priced(model, pricing="shadow-price", priced=0.5)
    before = price._economy.gates.logits.detach().clone()
    (model(**batches(1)[0]).loss * float("inf")).backward()
    price.step(scale=2.0)
    assert torch.equal(price._economy.gates.logits.detach(), before)
    optimizer.zero_grad()
    (model(**batches(1)[0]).loss * 1024.0).backward()
    price.step(scale=1024.0)
    assert not torch.equal(price._economy.gates.logits.detach(), before)
    assert bool(price._economy.gates.logits.isfinite().all())


def test_a_saved_price_of_another_network(network: Make) -> None:
    price, _ = _priced(network())
    saved = price.saved()
    other = network()
    with torch.no_grad():
        next(other.parameters()).add_(1.0)
    with pytest.raises(InputError, match="not the one of the saved price"):
        Price(other, steps=STEPS, batches=batches(2), saved=saved, **SETTINGS)
    for wrong in ({}, {**saved, "tensors": {}}, {**saved, "number": "x"}, {**saved, "keep": ["<f8", [1], ""]}):
        with pytest.raises(InputError, match="the saved price"):
            Price(network(), steps=STEPS, batches=batches(2), saved=wrong, **SETTINGS)


def test_macs_are_counted_for_the_length_that_is_given(network: Make) -> None:
    """The longer a sequence, the more of it is attention."""
    price, _ = _priced(network(), length=4096)
    of_heads = price.priced.share[price.priced.units.kind == "head"].sum()
    expected = macs(network(), price.priced.units, 4096).share
    assert price.priced.share == pytest.approx(expected)
    shorter, _ = _priced(network())
    assert of_heads > 1.5 * shorter.priced.share[shorter.priced.units.kind == "head"].sum()


def test_units_are_valued_by_the_objective_that_is_given(network: Make) -> None:
    model, seen = network(), []

    def loss(network: nn.Module, batch: Any) -> torch.Tensor:
        seen.append(len(batch["labels"]))
        found: torch.Tensor = network(**batch).loss
        return found

    price = Price(
        model, _optimizer(model), steps=STEPS, batches=batches(4), objective=GivenLoss(loss), loss=2.0, **SETTINGS
    )
    assert sum(seen) >= 16  # gates begin in the order of values
    assert price.priced.first_loss() == 2.0
