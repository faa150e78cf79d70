"""A calibration never keeps a network alive, and does not run anew what has settled."""

import copy
import gc
import weakref
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from walras.agents import Calibration, Fisher, KnowledgeScore, Magnitude
from walras.errors import InputError
from walras.models.architectures import layer_paths
from walras.models.distillation import Distillation
from walras.models.objective import GivenLoss

NO_LOSS = GivenLoss(lambda *_: torch.zeros(()))


def test_the_network_is_held_weakly(bert: Any, generator: torch.Generator) -> None:
    objective = GivenLoss(lambda model, batch: model(**batch).logits.square().mean())
    calibration, gates = bert.calibration(objective), bert.gates
    Fisher()(calibration, gates, generator)
    assert calibration.model is bert.model
    watched: weakref.ref[nn.Module] = weakref.ref(bert.model)
    object.__setattr__(bert, "model", None)
    gc.collect()
    assert watched() is None
    for valuation in (Fisher(), Magnitude()):
        with pytest.raises(InputError, match="has been deleted; keep a reference to it"):
            valuation(calibration, gates, generator)


def _runs(model: nn.Module, layer: int) -> list[int]:
    """Grows by one whenever a layer is run; one that is passed over does not call what it is made of."""
    seen: list[int] = []
    part = next(model.get_submodule(layer_paths(model)[layer]).children())
    part.register_forward_hook(lambda *_: seen.append(1))
    return seen


def test_gradients_above_a_layer_are_those_of_the_whole(network: Any, generator: torch.Generator) -> None:
    """Under gates of all kinds, below and above, for an objective that runs the network on the batch."""
    calibration, gates = network.calibration(NO_LOSS), network.gates
    gates[[0, -1]] = 0
    objective = Distillation.from_dense(network.model, network.batches[1])
    whole = calibration.gradients(network.model, objective, 1, gates, generator)
    above = network.units.layer >= 1
    runs = _runs(network.model, 0)
    for _ in range(3):
        part = calibration.above(1).gradients(network.model, objective, 1, gates, generator)
        assert torch.equal(part[:, above], whole[:, above])
        assert not part[:, ~above].any()
    assert whole[:, ~above].any()
    assert len(runs) == len(network.batches)


def test_a_loss_of_ones_own_is_run_whole(bert: Any, generator: torch.Generator) -> None:
    """It may call the network on whatever it likes."""
    objective = GivenLoss(lambda model, batch: model(batch["input_ids"].flip(-1)).logits.square().mean())
    calibration, gates = bert.calibration(objective), bert.gates
    whole = calibration.gradients(bert.model, objective, 0, gates, generator)
    part = calibration.above(1).gradients(bert.model, objective, 0, gates, generator)
    above = bert.units.layer >= 1
    assert torch.equal(part[:, above], whole[:, above])


def test_what_changes_below_is_seen(bert: Any, generator: torch.Generator) -> None:
    """Gates always; weights from the next time that the bottom is valued."""
    given, gates, dense = bert.calibration(NO_LOSS), bert.gates.round(), copy.deepcopy(bert.model)
    begun = partial(Calibration, given.model, given.inventory, NO_LOSS, given.batches, given.cost, dense)
    calibration = begun()
    above = bert.units.layer >= 1
    found = []
    for change in ("nothing", "gate", "weight"):
        if change == "gate":
            gates[0] = 1 - gates[0]
        if change == "weight":
            with torch.no_grad():
                bert.model.bert.encoder.layer[0].output.dense.weight.mul_(1.5)
            KnowledgeScore()(calibration.above(0), gates, generator)
        value = KnowledgeScore()(calibration.above(1), gates, generator)[above]
        assert torch.equal(value, KnowledgeScore()(begun().above(1), gates, generator)[above])
        found.append(value)
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])
