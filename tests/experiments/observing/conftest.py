"""One observation of the tiny encoder, for all tests that only look at it."""

from pathlib import Path
from typing import Any

import pytest

from walras.experiments.observing.config import ObserveConfig
from walras.experiments.observing.observe import ObserveResult, observe


@pytest.fixture(scope="session")
def settings(models: Path, glue: Path) -> dict[str, Any]:
    return {
        "model": str(models / "bert"), "task": "stsb", "data": str(glue), "budgets": [64, 4, 2],
        "constrain": ["first-half", "all"], "device": "cpu", "sentences": 4, "batch_size": 5,
    }  # fmt: skip


@pytest.fixture(scope="session")
def found(settings: dict[str, Any]) -> ObserveResult:
    return observe(ObserveConfig.parse(settings))
