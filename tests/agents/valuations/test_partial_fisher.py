"""What removing a unit does to the loss where the others are re-fitted, against doing just that; one unit at a time."""

from dataclasses import dataclass
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn

from walras.agents import Calibration, Fisher, PartialFisher
from walras.agents.calibration import at_rest
from walras.agents.valuations.partial_fisher import _factors
from walras.agents.valuations.residuals import scaled_by_unit
from walras.errors import InputError
from walras.models import Inventory, Site, gated, inventory, macs
from walras.models.objective import Batch, GivenLoss, Objective
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
    for unit in (0, len(gates) - 1):  # a head, and the narrower last block
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


def unit_by_unit(calibration: Calibration, gates: Tensor, ridge: float) -> Tensor:
    """The same values [n] by a loop over units, as the steps of the docstring read."""
    model, units, generator = calibration.model, calibration.inventory, torch.Generator()
    moments = [torch.zeros(site.width, site.width, dtype=torch.float64) for site in units.sites]
    with torch.no_grad(), gated(model, units, gates):
        for batch in calibration.batches:
            with features(model, units) as seen:
                model(**inputs(model, batch))
            for moment, x in zip(moments, seen, strict=True):
                rows = real_tokens(x, batch)
                moment += (rows.T @ rows).double()
    value, samples = torch.zeros(len(units), dtype=torch.float64), 0
    with at_rest(model):
        for batch in calibration.batches:
            seen, slopes, count = calibration.feature_gradients(batch, gates, generator)
            samples += count
            for site, moment, x, slope in zip(units.sites, moments, seen, slopes, strict=True):
                there = (gates[site.units] != 0)[site.owner]
                kept = moment[there][:, there]
                strength = (ridge * kept.diagonal().mean()).clamp(min=torch.finfo(kept.dtype).tiny)
                precision = torch.linalg.inv(kept + strength * torch.eye(len(kept), dtype=kept.dtype))
                z = x.reshape(count, -1, site.width)[..., there] @ precision
                slope = slope.reshape(count, -1, site.width)[..., there]
                for unit in sorted(set(site.owner[there].tolist())):
                    own = site.owner[there] == unit
                    residual = z[..., own] @ torch.linalg.inv(precision[own][:, own])
                    effect = (residual * slope[..., own]).sum(2)
                    if not calibration.objective.by_position:
                        effect = effect.sum(1)
                    value[site.units.start + unit] += effect.square().sum()
    return value / samples


@final
@dataclass(frozen=True)
class ByPosition(Objective):
    """The same loss, of which it is said that every position has one of its own."""

    rows: int = 1
    by_position: bool = True

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return LOSS(model, batch, generator)


def calibrated(network: Any, units: Inventory, loss: Objective = LOSS) -> Calibration:
    return Calibration(network.model, units, loss, network.batches, macs(network.model, units, 7).share)


@pytest.mark.spread
@pytest.mark.parametrize("block", [1, 6])  # neurons one by one; 20 neurons as 6, 6, 6 and 2
def test_all_units_at_once_are_worth_what_they_are_one_by_one(
    network: Any, generator: torch.Generator, block: int
) -> None:
    units = inventory(network.model, block=block)
    gates = 0.5 + torch.rand(len(units), dtype=torch.float64, generator=generator)
    gates[[0, 3, -1]] = 0
    calibration = calibrated(network, units)
    value = PartialFisher()(calibration, gates, generator)
    torch.testing.assert_close(value, unit_by_unit(calibration, gates, PartialFisher.ridge), rtol=1e-9, atol=0)


def test_where_positions_have_losses_of_their_own_their_effects_are_squared_one_by_one(
    network: Any, generator: torch.Generator
) -> None:
    units = inventory(network.model, block=6)
    gates = 0.5 + torch.rand(len(units), dtype=torch.float64, generator=generator)
    calibration = calibrated(network, units, ByPosition())
    value = PartialFisher()(calibration, gates, generator)
    torch.testing.assert_close(value, unit_by_unit(calibration, gates, PartialFisher.ridge), rtol=1e-9, atol=0)
    assert not torch.allclose(value, PartialFisher()(calibrated(network, units), gates, generator), rtol=1e-3)


@pytest.mark.spread
@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_single_features_of_losses_by_position_are_shrunk_to_a_product(
    network: Any, generator: torch.Generator, shrinkage: float
) -> None:
    units = inventory(network.model, block=1)
    gates = 0.5 + torch.rand(len(units), dtype=torch.float64, generator=generator)
    gates[[0, 3, -1]] = 0
    calibration = calibrated(network, units, ByPosition())
    value = PartialFisher(shrinkage=shrinkage)(calibration, gates, generator)
    plain = unit_by_unit(calibration, gates, PartialFisher.ridge)
    neurons = torch.tensor(units.kind == "ffn")
    torch.testing.assert_close(value[~neurons], plain[~neurons], rtol=1e-9, atol=0)  # heads have many features
    for site in (site for site in units.sites if neurons[site.units].all()):
        product = torch.mul(*factors(calibration, gates, site))
        product *= plain[site.units].sum() / product.sum()
        expected = (1 - shrinkage) * plain[site.units] + shrinkage * product
        torch.testing.assert_close(value[site.units], expected, rtol=1e-9, atol=0)
        assert float(value[site.units].sum()) == pytest.approx(float(plain[site.units].sum()))


def factors(calibration: Calibration, gates: Tensor, site: Site) -> tuple[Tensor, Tensor]:
    """Of each neuron, the sums over tokens of u r^2 and of s g^2 [units], token by token; 0 for leavers."""
    place, there = calibration.inventory.sites.index(site), gates[site.units] != 0
    rows: list[tuple[Tensor, Tensor]] = []
    with at_rest(calibration.model):
        for batch in calibration.batches:
            seen, slopes, _ = calibration.feature_gradients(batch, gates, torch.Generator())
            rows.append((real_tokens(seen[place], batch), real_tokens(slopes[place], batch)))
    x, slope = (torch.cat(column) for column in zip(*rows, strict=True))
    kept = x[:, there]
    moment = kept.T @ kept
    precision = torch.linalg.inv(moment + moment.diagonal().mean() * torch.eye(len(moment), dtype=x.dtype))
    residual = kept @ precision / precision.diagonal()
    first, second = torch.zeros(2, len(site), dtype=torch.float64)
    for r, g in zip(residual, slope[:, there], strict=True):
        first[there] += g.square().mean() * r.square()
        second[there] += r.square().mean() * g.square()
    return first, second


@pytest.mark.parametrize("huge", [False, True])
def test_few_tokens_tell_more_when_shrunk(huge: bool) -> None:
    """What it is for: 200 neurons of which r and g have heavy tails, seen on 300 tokens, against the truth."""
    seeded = torch.Generator().manual_seed(0)
    spread = torch.rand(2, 1, 200, dtype=torch.float64, generator=seeded) + 0.5
    truth = spread.prod(0).square()[0]
    r, g = torch.randn(2, 300, 200, dtype=torch.float64, generator=seeded) ** 3 * spread
    if huge:  # as at the first token of a text: of features of huge size, which no loss depends on
        r[0] *= 1000 * torch.rand(200, dtype=torch.float64, generator=seeded)
        g[0] /= 10_000
    plain = (r * g).square().mean(0)
    shrunk = PartialFisher()._shrunk(plain, torch.mul(*_factors(r, g)))
    unweighted = PartialFisher()._shrunk(plain, r.square().sum(0) * g.square().sum(0))

    def agreement(value: Tensor) -> float:
        return float(torch.corrcoef(torch.stack([value.log(), truth.log()]))[0, 1])

    assert agreement(shrunk) > agreement(plain) + 0.1
    assert not huge or agreement(shrunk) > agreement(unweighted) + 0.1


def test_in_half_precision_features_of_huge_size_and_tiny_slopes_count() -> None:
    seeded = torch.Generator().manual_seed(0)
    r, g = 1 + torch.rand(2, 30, 20, generator=seeded)
    exact = [x.double() for x in _factors(1000 * r, g / 1000)]
    for one, other in zip(_factors((1000 * r).half(), (g / 1000).half()), exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=0)


def test_a_sublayer_without_any_slope_is_worth_nothing(bert: Any, generator: torch.Generator) -> None:
    units = inventory(bert.model, block=1)
    calibration = calibrated(bert, units, ByPosition())
    with torch.no_grad():
        bert.model.bert.encoder.layer[1].output.dense.weight.zero_()
    value = PartialFisher()(calibration, torch.ones(len(units), dtype=torch.float64), generator)
    dead = torch.tensor((units.layer == 1) & (units.kind == "ffn"))
    assert value[dead].tolist() == [0.0] * int(dead.sum())


@pytest.mark.parametrize("shrinkage", [-0.1, 1.1, float("nan")])
def test_the_shrinkage_must_be_a_share(shrinkage: float) -> None:
    with pytest.raises(InputError, match="shrinkage is"):
        PartialFisher(shrinkage=shrinkage)


@pytest.mark.parametrize("block", [1, 6, 32])  # at 32 a whole sub-layer is one unit
def test_all_units_at_once_with_none_gone(bert: Any, generator: torch.Generator, block: int) -> None:
    units = inventory(bert.model, block=block)
    calibration, gates = calibrated(bert, units), torch.ones(len(units), dtype=torch.float64)
    value = PartialFisher()(calibration, gates, generator)
    torch.testing.assert_close(value, unit_by_unit(calibration, gates, PartialFisher.ridge), rtol=1e-9, atol=0)


@pytest.mark.parametrize("block", [1, 6])
def test_singular_moments_and_features_that_are_always_zero(bert: Any, generator: torch.Generator, block: int) -> None:
    with torch.no_grad():  # layer 0: neurons that repeat others; layer 1: nothing at all enters the projection
        first, second = (layer.intermediate.dense for layer in bert.model.bert.encoder.layer)
        first.weight[6:12], first.bias[6:12] = first.weight[:6], first.bias[:6]
        second.weight.zero_()
        second.bias.zero_()
    units = inventory(bert.model, block=block)
    calibration, gates = calibrated(bert, units), torch.ones(len(units), dtype=torch.float64)
    value = PartialFisher()(calibration, gates, generator)
    torch.testing.assert_close(value, unit_by_unit(calibration, gates, PartialFisher.ridge), rtol=1e-9, atol=0)
    dead = torch.tensor((units.layer == 1) & (units.kind == "ffn"))
    assert value[dead].tolist() == [0.0] * int(dead.sum())


def test_units_of_a_sublayer_may_own_features_that_do_not_lie_together() -> None:
    seeded = torch.Generator().manual_seed(0)
    owner = torch.tensor([1, 0, 1, 2, 0, 3, 3, 2, 3])  # widths 2, 2, 2 and 3
    x = torch.randn(20, 9, dtype=torch.float64, generator=seeded)
    precision = x.T @ x  # symmetric, as inverses of second moments are
    scaled = scaled_by_unit(precision, owner)
    for unit in range(4):
        own = owner == unit
        expected = precision[:, own] @ torch.linalg.inv(precision[own][:, own])
        torch.testing.assert_close(scaled[:, own], expected, rtol=1e-12, atol=1e-12)


def test_a_unit_that_only_repeats_another_is_worth_nothing(bert: Any, generator: torch.Generator) -> None:
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


def test_a_unit_that_has_left_is_worth_nothing(network: Any, generator: torch.Generator) -> None:
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


def test_wide_units_with_several_threads() -> None:
    """Of three units of 192 features, as in SmolLM2, MKL's batched inverse fails with two threads."""
    x = torch.randn(700, 576, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    precision, owner = torch.linalg.inv(x.T @ x), torch.arange(576) // 192
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = scaled_by_unit(precision, owner)
    finally:
        torch.set_num_threads(threads)
    for unit in range(3):
        own = owner == unit
        expected = precision[:, own] @ torch.linalg.inv(precision[own][:, own])
        torch.testing.assert_close(found[:, own], expected, rtol=1e-8, atol=1e-10)
