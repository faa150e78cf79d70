"""What the paper claims, as its Table 3 has it."""

import pytest

from walras.experiments.tasks import TASKS
from walras.experiments.training.families.claims import claims_of


def test_its_table_3() -> None:
    """FLOPs of 10.8, 8.5, 6.1, 4.3 and 3.1 thousand millions; percents of MNLI and CoLA, Pearson's r of STS-B."""
    by_hand = {
        "mnli": ("accuracy", [84.5, 84.2, 83.9, 82.1, 79.5], 100),
        "cola": ("matthews", [59.1, 58.5, 56.2, 51.7, 45.3], 100),
        "stsb": ("pearson", [0.901, 0.899, 0.891, 0.875, 0.840], 1),
    }
    for task, (metric, values, unit) in by_hand.items():
        claims = claims_of(task)
        assert claims is not None
        assert claims.metric == metric
        assert claims.values == pytest.approx([value / unit for value in values])
        assert claims.shares == pytest.approx([1, 0.787037, 0.564815, 0.398148, 0.287037], abs=1e-6)
        assert (claims.frame["claimed in"] == "arXiv 2508.10426, Table 3").all()
        assert not {"value", "mean", "used"} & set(claims.frame)  # nothing that is measured has these names
        assert task in TASKS


def test_nothing_is_claimed_elsewhere() -> None:
    assert claims_of("sst2") is None
