"""The default model and the built-in task: hard enough to tell good values from none."""

import pytest

from walras.experiments.pipeline import run_plan
from walras.experiments.plan import Plan
from walras.experiments.spec import RunSpec
from walras.experiments.subjects.subject import Subject
from walras.models import inventory
from walras.models.loading import DEFAULT_MODEL


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject.load(RunSpec.parse({"device": "cpu"}).subject)


def after(subject: Subject, **settings: object) -> float:
    spec = RunSpec.parse({"recipe": "none", "device": "cpu", "rounds": 1, **settings})
    return run_plan(Plan.from_spec(spec), subject).metric.value


@pytest.mark.nightly
def test_the_built_in_task_tells_values_from_none(subject: Subject) -> None:
    assert RunSpec().subject.model == DEFAULT_MODEL
    assert len(inventory(subject.model)) == 6 * (12 + 1536 // 32)
    assert 0.75 < subject.dense < 0.95
    blind = after(subject, valuation="random", budget=0.25)
    assert blind < subject.dense - 0.1
    assert after(subject, valuation="fisher", label_free=True, budget=0.25, sentences=128) > blind + 0.05
