"""Choices are told apart, and compared with the default seed by seed, on rows that no table reports."""

from typing import Any

import pytest

from walras.experiments.benchmarks.training_choices import CHOICES, DEFAULT, compared, designed, figures


def _row(choice: str, seed: int, held_out: float, **more: Any) -> dict[str, Any]:
    told = {"choice": choice, "task": "cola", "budget": 0.4, "seed": seed, "epochs": 3, "limit": None, "begun": None}
    return {**told, "held_out": held_out, "used": 0.4, **more}


def test_every_choice_is_a_training_of_its_own() -> None:
    common = {"task": "stsb", "data": "GLUE", "model": "START", "budget": 0.4, "seed": 1}
    found = {name: designed(name, 1, common, None) for name in CHOICES}
    assert len({str(config) for _, config in found.values()}) == len(CHOICES)
    assert [told["choice"] for told, _ in found.values()] == list(CHOICES)
    assert found["rates anew once settled"][1].optimiser.rewind
    assert not found[DEFAULT][1].optimiser.rewind


def test_differences_are_those_of_equal_seeds() -> None:
    """Half a point more with both seeds, by hand; a seed that the default has not run does not count."""
    rows = [
        _row(DEFAULT, 0, 0.50), _row(DEFAULT, 1, 0.60), _row("one clearing", 0, 0.505), _row("one clearing", 1, 0.605),
        _row("one clearing", 2, 0.9), _row("kwon", 0, 0.7, epochs=1),
    ]  # fmt: skip
    default, clearing, other = compared(rows).to_dict("records")
    assert (default["difference"], default["low"], default["pairs"]) == (0, 0, 2)
    assert clearing["difference"] == pytest.approx(0.005)
    assert clearing["low"] == pytest.approx(0.005)
    assert (clearing["seeds"], clearing["pairs"]) == (3, 2)
    assert (other["choice"], other["pairs"]) == ("kwon", 0)


def test_what_tables_report_is_not_looked_at() -> None:
    class Summary:
        """A summary without the metric."""

        held_out, used, steps, seconds = 0.5, 0.4, 10, 1.0

    class Result:
        """What a training ends with."""

        summary = Summary()

    found: Any = Result()
    assert figures(found) == {"held_out": 0.5, "used": 0.4, "steps": 10, "seconds": 1.0}
