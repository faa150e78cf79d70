"""What a unit's leaving does to the loss where the others are re-fitted, against doing just that."""

from typing import Any

import pytest
import torch
from torch import Tensor

from walras.agents import Fisher, PartialFisher
from walras.errors import InputError
from walras.models import gated
from walras.models.objective import GivenLoss
from walras.models.repair.streams import features, inputs, real_tokens
from walras.models.units.projections import outputs_first

LOSS = GivenLoss(lambda model, batch: model(**inputs(model, batch)).logits.square().sum(-1).mean())


def ones(network: Any) -> Tensor:
    return torch.ones(len(network.units), dtype=torch.float64)


def test_a_strong_ridge_leaves_nothing_to_the_others(network: Any, generator: torch.Generator) -> None:
    calibration = network.calibration(LOSS)
    value = PartialFisher(1e12)(calibration, ones(network), generator)
    torch.testing.assert_close(value, Fisher()(calibration, ones(network), generator), rtol=1e-6, atol=1e-12)


def moved(network: Any, unit: int, gates: Tensor, ridge: float) -> tuple[Any, Tensor]:
    """The unit's output projection, and how its weights change when the unit leaves and the others are re-fitted."""
    (site,) = (s for s in network.units.sites if s.units.start <= unit < s.units.stop)
    seen: list[Tensor] = []
    with torch.no_grad(), gated(network.model, network.units, gates), features(network.model, network.units) as inside:
        for batch in network.batches:
            network.model(**inputs(network.model, batch))
            seen.append(real_tokens(inside[network.units.sites.index(site)].clone(), batch))
    x = torch.cat(seen)
    there = gates[site.units][site.owner] != 0
    own = (site.owner == unit - site.units.start) & there
    rest = there & ~own
    moment = x.T @ x
    strength = ridge * moment.diagonal()[there].mean()
    inside_rest = moment[rest][:, rest] + strength * torch.eye(int(rest.sum()), dtype=x.dtype)
    taken_over = torch.linalg.solve(inside_rest, moment[rest][:, own])
    weight = outputs_first(network.model.get_submodule(site.path))
    change = torch.zeros_like(weight)
    change[:, own] = -weight[:, own]
    change[:, rest] = weight[:, own] @ taken_over.T
    return network.model.get_submodule(site.path), change


def test_values_are_those_of_changing_the_weights(network: Any, generator: torch.Generator) -> None:
    """J by differences of each sample's loss along the change of weights."""
    ridge, step = 0.05, 1e-3  # some families compute a part in float32, so that a smaller step drowns
    gates = ones(network)
    gates[[1, len(gates) - 2]] = 0
    value = PartialFisher(ridge)(network.calibration(LOSS), gates, generator)
    for unit in (0, 2, 3, len(gates) - 1):
        projection, change = moved(network, unit, gates, ridge)
        weight = outputs_first(projection)
        total, samples = 0.0, 0
        for batch in network.batches:
            for i in range(len(next(iter(batch.values())))):
                one = {name: tensor[i : i + 1] for name, tensor in batch.items()}
                losses = []
                for sign in (1, -1):
                    with torch.no_grad(), gated(network.model, network.units, gates):
                        weight += sign * step * change
                        losses.append(float(LOSS(network.model, one, generator)))
                        weight -= sign * step * change
                total += ((losses[0] - losses[1]) / (2 * step)) ** 2
                samples += 1
        assert float(value[unit]) == pytest.approx(total / samples, rel=5e-3, abs=1e-3 * float(value.max()))


def test_who_only_repeats_another_is_worth_nothing(bert: Any, generator: torch.Generator) -> None:
    with torch.no_grad():
        dense = bert.model.bert.encoder.layer[0].intermediate.dense
        dense.weight[6:12], dense.bias[6:12] = dense.weight[:6], dense.bias[:6]
    first, second = 2, 3  # after two heads
    calibration = bert.calibration(LOSS)
    plain = Fisher()(calibration, ones(bert), generator)
    value = PartialFisher(1e-9)(calibration, ones(bert), generator)
    assert float(plain[[first, second]].min()) > 1e-6
    assert float(value[[first, second]].max()) < 1e-9 * float(plain.max())
    alone = ones(bert)
    alone[second] = 0
    assert float(PartialFisher(1e-9)(calibration, alone, generator)[first]) > 1e-6


def test_who_has_left_is_worth_nothing(network: Any, generator: torch.Generator) -> None:
    gates = ones(network)
    gates[network.units.sites[0].units] = 0
    gates[-1] = 0
    value = PartialFisher()(network.calibration(LOSS), gates, generator)
    assert value[gates == 0].tolist() == [0.0] * int((gates == 0).sum())
    assert bool((value[gates == 1] > 0).all())


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan"), float("inf")])
def test_the_ridge_must_be_a_positive_number(ridge: float) -> None:
    with pytest.raises(InputError, match="ridge is"):
        PartialFisher(ridge)


def test_above_a_layer_nothing_changes_and_below_it_nothing_is_recorded(
    network: Any, generator: torch.Generator
) -> None:
    calibration = network.calibration(LOSS)
    above = torch.tensor(network.units.layer) >= 1
    for valuation in (Fisher(), PartialFisher()):
        whole = valuation(calibration, ones(network), generator)
        part = valuation(calibration.above(1), ones(network), generator)
        torch.testing.assert_close(part[above], whole[above], rtol=1e-12, atol=0)
        assert part[~above].tolist() == [0.0] * int((~above).sum())
    assert torch.is_grad_enabled()
