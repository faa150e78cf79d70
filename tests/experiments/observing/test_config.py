"""Settings of an observation: lists in every form, and whatever is wrong, told before anything is loaded."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from walras.errors import InputError
from walras.experiments.observing.budgeted_rule import BUDGETED_RULES
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.observing.layers import PATTERNS, constrained_layers

Walras = Callable[..., Any]


@pytest.mark.parametrize("value", ["32,16, 8", ["32", "16,8"], [32, 16, 8], ["32", 16.0, 8]])
def test_budgets_as_lists_or_text(value: object) -> None:
    assert ObserveConfig.parse({"budgets": value}).scarcity.budgets == (32.0, 16.0, 8.0)


def test_lists_survive_a_file() -> None:
    config = ObserveConfig.parse({"budgets": 4, "constrain": ["all", "0,2"], "controls": "random-k,unconstrained"})
    own = config.scarcity
    assert (own.budgets, own.constrain, own.controls) == ((4.0,), ("all", "0,2"), ("random-k",))
    assert ObserveConfig.parse(yaml.safe_load(config.as_yaml())) == config
    assert ObserveConfig.parse({"constrain": 3, "controls": "none"}).scarcity.constrain == ("3",)
    assert ObserveConfig.parse({"controls": "none"}).scarcity.controls == ()


@pytest.mark.parametrize("rule", BUDGETED_RULES)
def test_every_rule_has_budgets_that_it_takes(rule: str) -> None:
    assert ObserveConfig.parse({"rule": rule}).scarcity.budgets == BUDGETED_RULES[rule].budgets


@pytest.mark.parametrize(
    ("pattern", "layers", "expected"),
    [
        ("all", 3, (0, 1, 2)),
        ("first-half", 5, (0, 1, 2)),
        ("second-half", 5, (3, 4)),
        ("every-second", 5, (0, 2, 4)),
        ("4, 1", 5, (1, 4)),
    ],
)
def test_patterns(pattern: str, layers: int, expected: tuple[int, ...]) -> None:
    assert constrained_layers(pattern, layers) == expected


def test_patterns_of_one_layer() -> None:
    for pattern in PATTERNS:
        if pattern != "second-half":
            assert constrained_layers(pattern, 1) == (0,)
    with pytest.raises(InputError, match=r"'second-half'; of 1 layer\(s\) that is none"):
        constrained_layers("second-half", 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--budgets", "0"), r"budget is 0; for top-k it must be a whole number of at least 1 \(keys per query\)"),
        (("--budgets", "-3"), r"budget is -3; for top-k it must be a whole number"),
        (("--budgets", "2.5"), r"budget is 2\.5; for top-k it must be a whole number"),
        (("--budgets", "nan"), r"budget is nan; for top-k it must be a whole number"),
        (("--budgets", "inf"), r"budget is inf; for top-k it must be a whole number"),
        (("--budgets", "8,x"), r"budgets has 'x'; it must be a number"),
        (("--budgets", "8", "--budgets", "8"), r"budgets is 8\.0, 8\.0, which names something twice"),
        (
            ("--rule", "sparsemax", "--budgets", "0.5"),
            r"for sparsemax it must be a number of at least 1 \(keys per query, on",
        ),
        (("--rule", "sparsemax", "--budgets", "nan"), r"budget is nan; for sparsemax"),
        (("--rule", "null-key", "--budgets", "0"), r"for null-key it must be a number above 0 and at most 1 \(share"),
        (("--rule", "null-key", "--budgets", "1.1"), r"budget is 1\.1; for null-key"),
        (
            ("--rule", "literal", "--budgets=-0.1"),
            r"budget is -0\.1; for literal it must be a number of at least 0 \(price",
        ),
        (("--rule", "literal", "--budgets", "nan"), r"budget is nan; for literal"),
        (("--rule", "top"), r"unknown attention rule 'top'\. Did you mean 'top-k'\? Known: entmax, literal"),
        (("--constrain", "al"), r"unknown layers to constrain 'al'\. Did you mean 'all'\?.*Or a list of layers: 0,2,4"),
        (("--constrain=-1",), r"unknown layers to constrain '-1'"),
        (("--constrain", "1,1"), r"constrain is '1,1', which names a layer twice"),
        (("--constrain", "all", "--constrain", "all"), r"constrain is all, all, which names something twice"),
        (("--controls", "random"), r"unknown control 'random'\. Did you mean 'random-k'\? Known: none, random-k"),
        (("--limit", "1"), r"limit is 1; it must be a whole number of at least 2"),
        (("--length", "3"), r"length is 3; it must be a whole number of at least 4"),
        (("--batch-size", "0"), r"batch_size is 0"),
        (("--sentences", "1"), r"sentences is 1"),
        (("--seed", "-1"), r"seed is -1"),
        (("--task", "stbs"), r"unknown task 'stbs'\. Did you mean 'stsb'\?"),
        (("--model", "tiny/none", "--task", "pairs"), r"cannot load model 'tiny/none'"),
    ],
)
def test_bad_values(walras: Walras, options: tuple[str, ...], message: str) -> None:
    """The model of all but the last does not exist: what is told comes before it is looked for."""
    found = walras("observe", *(() if "--model" in options else ("--model", "no/model")), *options).error
    assert re.search(message, found), found
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("bugdets: 8", r"unknown setting 'bugdets'\. Did you mean 'budgets'\?"),
        ("budgets: {a: 1}", r"budgets is \{'a': 1\}; it must be a list"),
        ("budgets: [true]", r"budgets is \[True\]; it must be a list"),
        ("constrain: [0.5]", r"constrain is \[0\.5\]; it must be a list of patterns"),
        ("constrain: []", r"constrain is empty; name at least one set of layers"),
        ("controls: 7", r"unknown control '7'"),
        ("seed: x", r"seed is 'x'; it must be of type int"),
        ("eliminate: 1", r"eliminate is 1; it must be of type bool"),
    ],
)
def test_bad_files(walras: Walras, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(content, encoding="utf-8")
    found = walras("observe", "--config", file).error
    assert re.search(message, found), found
