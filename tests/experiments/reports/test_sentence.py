"""A run in one sentence."""

from typing import Any

import pytest

from walras.experiments.reports.sentence import in_one_sentence, kept_units


def summary(used: float, value: float, budget: float = 0.5, **metric: Any) -> dict[str, Any]:
    figures = {"name": "spearman", "dense": 0.8, "value": value, "higher_is_better": True, **metric}
    return {"resource": "macs", "used": used, "budget": budget, "metric": figures}


PERPLEXITY: dict[str, Any] = {"name": "perplexity", "dense": 20.0, "higher_is_better": False}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (summary(0.4999, 0.7952), "Half of the MACs for a loss of 0.6 % of Spearman."),
        (summary(0.4231, 0.84), "42.3 % of the MACs and 5.0 % more Spearman."),
        (summary(0.5, 0.8), "Half of the MACs at the same Spearman."),
        (summary(0.5, 25, **PERPLEXITY), "Half of the MACs for 25.0 % more perplexity."),
        (summary(0.5, 19, **PERPLEXITY), "Half of the MACs and 5.0 % less perplexity."),
        (summary(0.514, 0.4), "51.4 % of the MACs, more than the budget of half, for a loss of 50.0 % of Spearman."),
        (summary(0.5 + 1e-12, 0.8), "Half of the MACs at the same Spearman."),
        (
            {**summary(0.5, 0.84), "protocol": {"rows": 8}},
            "Half of the MACs and 5.0 % more Spearman. Measured on 8 rows: a difference may well be chance.",
        ),
        (summary(0.75, 3, 0.75, higher_is_better=None), "Three quarters of the MACs with Spearman at 3, 0.8 before."),
        (summary(0.5, 0.8, name="nearest neighbours"), "Half of the MACs at the same nearest neighbours."),
        (summary(0.5, 0.84, name="accuracy"), "Half of the MACs and 5.0 % more accuracy."),
        (summary(0.5, 0.4, name="matthews"), "Half of the MACs for a loss of 50.0 % of Matthews."),
        (summary(0.5, 20, **PERPLEXITY), "Half of the MACs at the same perplexity."),
    ],
)
def test_sentences(told: dict[str, Any], expected: str) -> None:
    assert in_one_sentence(told) == expected


def test_other_resources() -> None:
    assert in_one_sentence({**summary(0.6, 0.8, 0.6), "resource": "latency"}).startswith(
        "60.0 % of the milliseconds at"
    )
    assert in_one_sentence({**summary(0.6, 0.8, 0.6), "resource": "bytes"}).startswith("60.0 % of the bytes at")


def test_query_heads_and_their_groups() -> None:
    told = {"kept": {"head": 2, "ffn": 20}, "units": 264}
    assert kept_units(told) == "2 heads, 20 FFN units of 264 units"
    assert kept_units({**told, "members": {"head": 8}}) == "8 query heads in 2 groups, 20 FFN units of 264 units"
