"""Controls make settings that a market takes, and say so where they have changed any."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.dashboard.choice import NOBODY, Choice, clipped_budget, menu
from walras.experiments.dashboard.launch import Launch, beginning
from walras.experiments.dashboard.lively import LIVELY
from walras.experiments.spec import RunSpec
from walras.mechanisms import MECHANISMS

BASE = Launch().settings


def test_the_controls_begin_with_what_was_given() -> None:
    spec = RunSpec.parse({"recipe": "none", "budget": 0.3, "mechanism": "posted-price:price=0.5", "seed": 7})
    choice = Choice.from_settings(beginning(spec))
    assert (choice.budget, choice.mechanism, choice.parameters, choice.seed) == (0.3, "PostedPrice", "price=0.5", 7)
    settings, notes = choice.settings(beginning(spec))
    assert RunSpec.parse(settings) == RunSpec.parse(beginning(spec)).with_values(mechanism="PostedPrice:price=0.5")
    assert notes == []


def test_untouched_controls_leave_the_settings_as_they_are() -> None:
    settings, notes = Choice.from_settings(BASE).settings(BASE)
    assert settings == dict(BASE)
    assert notes == []
    assert settings["rounds"] == LIVELY["rounds"]


@pytest.mark.parametrize(
    ("second", "share", "strategy"),
    [(NOBODY, 0.5, "truthful"), ("shading", 0.0, "truthful"), ("shading", 1.0, "shading"),
     ("truthful", 0.4, "truthful"), ("shading", 0.25, "truthful=0.75+shading=0.25")],
)  # fmt: skip
def test_a_mix_of_strategies_is_written_as_on_the_command_line(second: str, share: float, strategy: str) -> None:
    settings, _ = Choice(second=second, share=share).settings(BASE)
    assert settings["strategy"] == strategy
    RunSpec.parse(settings)


@pytest.mark.parametrize(
    ("first", "strategy"),
    [("shading:factor=0.5", "shading:factor=0.5=0.75+hedge=0.25"),
     ("truthful=0.6,shading=0.4", "truthful=0.45+shading=0.3+hedge=0.25"),
     ("truthful=0.6+shading:factor=0.5=0.4", "truthful=0.45+shading:factor=0.5=0.3+hedge=0.25")],
)  # fmt: skip
def test_whatever_was_given_can_be_mixed_with_another_strategy(first: str, strategy: str) -> None:
    base = {**BASE, "strategy": first}
    settings, _ = replace(Choice.from_settings(base), second="hedge", share=0.25).settings(base)
    assert settings["strategy"] == strategy
    RunSpec.parse(settings)


@pytest.mark.parametrize(
    "asked",
    [{"mechanism": "FILE.py:Rule"}, {"mechanism": "FILE.py:Rule", "parameters": "price=1"}, {"strategy": "FILE.py:S"},
     {"second": "FILE.py:S"}, {"second": "FILE.py:S", "share": 1.0}, {"schedule": "FILE.txt"},
     {"shock": "task:FILE.py:Mine@2"}, {"shock": "disable:L0.H0@1 task:csv:data=FILE@2"}],
)  # fmt: skip
def test_nothing_that_a_page_sends_names_a_file(asked: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="in the page it must be one of"):
        replace(Choice(), **asked).settings(BASE)


def test_files_that_were_named_at_the_start_can_be_kept(tmp_path: Path) -> None:
    rule = f"{tmp_path / 'own.py'}:Rule"
    base = {**BASE, "mechanism": rule, "shock": "task:own.py:Mine@2"}
    choice = Choice.from_settings(base)
    assert choice.settings(base)[0] == base
    assert replace(choice, parameters="price=1").settings(base)[0]["mechanism"] == f"{rule}:price=1"
    assert replace(choice, mechanism="VCG", shock="task:sst2@2").settings(base)[0]["mechanism"] == "VCG"


@pytest.mark.parametrize(
    ("asked", "cheapest", "got", "words"),
    [(0.5, 0.1, 0.5, ""), (0.0, 0.0, 0.001, "sells something"), (0.01, 0.04, 0.04, "cheapest unit needs 4.00%"),
     (1.5, 0.0, 1.0, "more than the whole"), (-3.0, 2.0, 1.0, "buys nothing")],
)  # fmt: skip
def test_a_budget_that_buys_nothing_is_clipped_with_words(
    asked: float, cheapest: float, got: float, words: str
) -> None:
    budget, notes = clipped_budget(asked, cheapest)
    assert budget == got
    assert words in " ".join(notes)
    assert bool(notes) == bool(words)


def test_numbers_that_are_typed_are_clipped_with_words() -> None:
    settings, notes = Choice(rounds=10**9, sentences=-4, seed=-1).settings(BASE)
    assert (settings["rounds"], settings["sentences"], settings["seed"]) == (2000, 2, 0)
    assert len(notes) == 3


@pytest.mark.parametrize("typed", ["FILE.py:Rule", "a/b", "price=0.1:x", "`id`"])
def test_parameters_can_name_no_file(typed: str) -> None:
    with pytest.raises(InputError, match="must read like price"):
        Choice(parameters=typed).settings(BASE)


def test_the_menu_holds_what_was_given_once() -> None:
    assert menu(MECHANISMS, "VCG") == list(MECHANISMS)
    assert menu(MECHANISMS, "FILE.py:Mine")[-1] == "FILE.py:Mine"
