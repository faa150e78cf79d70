"""A floor whose network is a copy of the dense one, and levels of its sub-layers."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from walras.agents import Calibration
from walras.models import Macs, Workload
from walras.models.levels import NetworkLevels

KEPT = {"heads": (0, 1, 2), "ffn": (0, 1, 2, 3, 4, 5)}


@pytest.fixture
def copied(floor: Any) -> Iterator[Any]:
    """A floor whose network is a copy of the dense one."""
    given, model = floor.calibration, copy.deepcopy(floor.model)
    calibration = Calibration(model, given.inventory, given.objective, given.batches, given.cost, floor.model)
    yield replace(floor, calibration=calibration, model=model)
    assert model is not None


def usage(floor: Any) -> Any:
    return Macs().measure(floor.model, floor.units, Workload(length=8))


def levels_of(floor: Any) -> NetworkLevels:
    return NetworkLevels.from_model(
        floor.model, usage(floor), floor.calibration.batches, lambda site: KEPT[site.sublayer]
    )
