"""Agent classes by kind of unit."""

import pytest

from walras.agents import AGENTS, ExpertAgent, FFNBlockAgent, HeadAgent, SublayerAgent, UnitAgent, agent_class
from walras.models import UNIT_KINDS


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        ("head", HeadAgent),
        ("ffn", FFNBlockAgent),
        ("expert", ExpertAgent),
        ("block", SublayerAgent),
        ("own", UnitAgent),
    ],
)  # fmt: skip
def test_every_kind_has_a_class(kind: str, standard: type[UnitAgent]) -> None:
    assert agent_class(kind) is standard
    assert issubclass(standard, UnitAgent)


def test_classes_are_of_kinds_that_there_are() -> None:
    assert set(AGENTS) <= set(UNIT_KINDS)
