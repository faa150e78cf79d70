"""A calibration never keeps a network alive."""

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import nn

from walras.agents import Fisher, Magnitude
from walras.errors import InputError
from walras.models.objective import GivenLoss


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
