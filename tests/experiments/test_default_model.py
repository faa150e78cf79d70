"""The default model and the built-in task: hard enough to tell good values from none."""

import pytest

from walras.experiments.config import RunConfig
from walras.experiments.run import Plan, Silent, Stage, run_plan
from walras.models.loading import DEFAULT_MODEL


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage.of(Plan.of(RunConfig(device="cpu")), Silent())


def after(stage: Stage, **settings: object) -> float:
    config = RunConfig(device="cpu", rounds=1, **settings)  # type: ignore[arg-type]
    return float(run_plan(Plan.of(config), stage, None, Silent()).metric["value"])


def test_the_built_in_task_tells_values_from_none(stage: Stage) -> None:
    assert RunConfig().model == DEFAULT_MODEL
    assert len(stage.floor.units) == 6 * (12 + 1536 // 32)
    assert 0.75 < stage.dense < 0.95
    blind = after(stage, valuation="random", budget=0.25)
    assert blind < stage.dense - 0.1
    assert after(stage, valuation="fisher", label_free=True, budget=0.25, sentences=128) > blind + 0.05
