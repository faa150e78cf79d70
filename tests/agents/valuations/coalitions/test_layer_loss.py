"""SLEB's score, against running the network without each layer."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from walras.agents import Calibration, LayerLoss
from walras.agents.valuations.coalitions.layer_loss import layer_losses
from walras.errors import InputError
from walras.models import gated, inventory
from walras.models.distillation import Distillation
from walras.models.objective import Batch, Objective, squared_distance


class Labelled(Objective):
    """A loss that calls the network once, with whole batches."""

    unit = "loss"
    replays = True

    def __call__(self, model: Any, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        logits = model(**batch).logits
        return (logits.sin() + 1).square().mean() if self.trains else squared_distance(logits, generator)


class Unsaid(Labelled):
    """One that does not say so."""

    replays = False


class LabelFree(Labelled):
    """One whose value says nothing."""

    trains = False


def blocks_of(network: Any) -> Any:
    return replace(network, units=inventory(network.model, ["block"]))


def without(network: Any, gates: torch.Tensor, objective: Any) -> float:
    """The loss under the gates, over all samples."""
    total, count = 0.0, 0
    with torch.no_grad(), gated(network.model, network.units, gates):
        for place, batch in enumerate(network.batches):
            rows = len(next(iter(batch.values())))
            total += rows * float(objective(place)(network.model, batch, torch.Generator().manual_seed(0)))
            count += rows
    return total / count


@pytest.mark.parametrize("loss", [Labelled(), Unsaid()])
def test_losses_are_those_of_the_network_without_each_layer(loss: Objective, network: Any) -> None:
    blocks = blocks_of(network)
    gates = torch.ones(len(blocks.units), dtype=torch.float64)
    found = layer_losses(blocks.calibration(loss), gates)
    layer = torch.from_numpy(blocks.units.layer.copy())
    wanted = [without(blocks, torch.where(layer == one, 0.0, gates), lambda _: loss) for one in range(len(found))]
    assert found.tolist() == pytest.approx(wanted)


def test_a_loss_that_says_nothing_is_replaced_by_the_divergence(bert: Any) -> None:
    blocks = blocks_of(bert)
    gates = torch.ones(len(blocks.units), dtype=torch.float64)
    found = layer_losses(blocks.calibration(LabelFree()), gates)
    dense = [Distillation.from_dense(bert.model, batch) for batch in bert.batches]
    layer = torch.from_numpy(blocks.units.layer.copy())
    wanted = [without(blocks, torch.where(layer == one, 0.0, gates), dense.__getitem__) for one in range(len(found))]
    assert found.tolist() == pytest.approx(wanted)


def test_layers_that_are_spared_or_have_left_are_above_all_others(llama: Any) -> None:
    blocks = blocks_of(llama)
    calibration, gates = blocks.calibration(Labelled()), torch.ones(len(blocks.units), dtype=torch.float64)
    first, last = layer_losses(calibration, gates).tolist()
    assert layer_losses(calibration, gates, 1, 0).tolist() == [pytest.approx(last + 1), pytest.approx(last)]
    assert layer_losses(calibration, gates, 0, 1).tolist() == [pytest.approx(first), pytest.approx(first + 1)]
    assert layer_losses(calibration, gates, 1, 1).tolist() == [1, 1]
    gates[:2] = 0
    assert int(layer_losses(calibration, gates).argmax()) == 0


def test_a_layer_that_is_missed_least_leaves_whole_and_first(network: Any, generator: torch.Generator) -> None:
    blocks = blocks_of(network)
    calibration: Calibration = blocks.calibration(Labelled())
    gates = torch.ones(len(blocks.units), dtype=torch.float64)
    value = LayerLoss(0, 0)(calibration, gates, generator) / torch.from_numpy(calibration.cost)
    order = [int(blocks.units.layer[i]) for i in value.argsort()]
    losses = layer_losses(calibration, gates)
    assert order == [layer for layer in losses.argsort().tolist() for _ in range(order.count(layer))]


def test_bad_input() -> None:
    with pytest.raises(InputError, match="spared_last is -1; it must be a number of at least 0"):
        LayerLoss(spared_last=-1)
