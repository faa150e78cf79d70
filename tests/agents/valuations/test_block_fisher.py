"""Marginal contributions to the quadratic form, against its differences."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walras.agents import BlockFisher, Calibration, Fisher
from walras.errors import InputError
from walras.models.objective import GivenLoss

LOSS = GivenLoss(lambda model, batch: model(**batch).logits.square().sum(-1).mean())


def blocks(network: Any) -> list[Tensor]:
    """I of every sub-layer at the dense network."""
    ones = torch.ones(len(network.units), dtype=torch.float64)
    drawn = list(network.calibration(LOSS).sample_gradients(ones, torch.Generator()))
    gradients = torch.cat(drawn)
    return [gradients[:, site.units].T @ gradients[:, site.units] / len(gradients) for site in network.units.sites]


def test_by_hand(bert: Any, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two samples' gradients of the first layer's blocks; the others' are 0. Blocks 1 and 3 have left."""
    given = torch.zeros(2, 12, dtype=torch.float64)
    given[:, 2:6] = torch.tensor([[1.0, 2, 3, -2], [0, 1, -1, 1]])
    monkeypatch.setattr(Calibration, "gradients", lambda *_: given)
    calibration = bert.calibration(LOSS, bert.batches[:1])
    gates = torch.ones(12, dtype=torch.float64)
    gates[[3, 5]] = 0
    # I = [[1, 2, 3, -2], [2, 5, 5, -3], [3, 5, 10, -7], [-2, -3, -7, 5]] / 2, with d = (0, 1, 0, 1):
    expected = [(1 + 2 * (2 - 2)) / 2, max(0, (5 - 2 * 3) / 2), (10 + 2 * (5 - 7)) / 2, max(0, (5 - 2 * 3) / 2)]
    value = BlockFisher()(calibration, gates, generator)
    assert value[2:6].tolist() == pytest.approx(expected)
    assert expected == [0.5, 0, 3, 0]
    assert value[:2].tolist() == [0, 0]


def test_while_all_are_there_it_is_the_fisher_information(network: Any, generator: torch.Generator) -> None:
    ones = torch.ones(len(network.units), dtype=torch.float64)
    calibration = network.calibration(LOSS)
    value = BlockFisher()(calibration, ones, generator)
    torch.testing.assert_close(value, Fisher()(calibration, ones, generator), rtol=1e-9, atol=0)


def test_values_are_differences_of_the_quadratic_form(network: Any, generator: torch.Generator) -> None:
    """With and without the unit, for units that are there and for units that have left."""
    gates = torch.ones(len(network.units), dtype=torch.float64)
    gates[1::2] = 0
    value = BlockFisher()(network.calibration(LOSS), gates, generator)
    clipped = 0
    for block, site in zip(blocks(network), network.units.sites, strict=True):
        for i in range(site.units.start, site.units.stop):
            with_it, without = (1 - gates[site.units] for _ in range(2))
            with_it[i - site.units.start], without[i - site.units.start] = 0, 1
            adds = float(without @ block @ without - with_it @ block @ with_it)
            clipped += adds < 0
            assert float(value[i]) == pytest.approx(max(adds, 0), rel=1e-6, abs=1e-12)
    assert clipped < len(value) / 2


def test_a_double_is_worth_more_once_its_twin_has_left(bert: Any, generator: torch.Generator) -> None:
    """Two blocks that write the same: the loss of both is four times the loss of one, not twice."""
    layer = bert.model.bert.encoder.layer[0]
    with torch.no_grad():
        for weight in (layer.intermediate.dense.weight, layer.intermediate.dense.bias):
            weight[6:12] = weight[:6]
        layer.output.dense.weight[:, 6:12] = layer.output.dense.weight[:, :6]
    calibration = bert.calibration(LOSS)
    gates = torch.ones(12, dtype=torch.float64)
    before = BlockFisher()(calibration, gates, generator)
    assert float(before[2]) == pytest.approx(float(before[3]), rel=1e-6)
    gates[3] = 0
    after = BlockFisher()(calibration, gates, generator)
    assert float(after[2]) == pytest.approx(3 * float(before[2]), rel=1e-6)
    assert float(after[3]) == pytest.approx(float(before[3]), rel=1e-6)
    torch.testing.assert_close(after[6:], before[6:])  # other sub-layers are not concerned


def test_gradients_are_the_dense_networks(bert: Any, gpt2: Any, generator: torch.Generator) -> None:
    ones = torch.ones(12, dtype=torch.float64)
    expected = BlockFisher()(bert.calibration(LOSS), ones, generator)
    repaired: nn.Module = type(bert.model)(bert.model.config).double().eval()
    share = bert.calibration(LOSS).cost
    calibration = Calibration(repaired, bert.units, LOSS, bert.batches, share, dense=bert.model)
    torch.testing.assert_close(BlockFisher()(calibration, ones, generator), expected, rtol=1e-9, atol=0)
    assert calibration.model is repaired
    assert calibration.dense is bert.model
    alone = Calibration(repaired, bert.units, LOSS, bert.batches, share)
    assert alone.dense is repaired
    lost = Calibration(repaired, bert.units, LOSS, bert.batches, share, dense=type(bert.model)(bert.model.config))
    with pytest.raises(InputError, match="has been deleted"):
        BlockFisher()(lost, ones, generator)
