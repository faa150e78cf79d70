"""`walras list`, `walras check` of all our rules, and the version."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from walras.experiments.registries import KINDS, registry
from walras.mechanisms import MECHANISMS

Walras = Callable[..., Any]


@pytest.mark.nightly  # as the conformance tests do, by the command
@pytest.mark.parametrize("name", MECHANISMS)
def test_check_passes_the_rules_of_the_house(walras: Walras, name: str) -> None:
    answer = walras("check", name, "--instances", 2, "--json")
    assert answer.code == 0, answer.out
    checks = json.loads(answer.out)
    assert all(check["passed"] for check in checks)
    assert len(checks) == 3 + len(MECHANISMS[name].guarantees)


@pytest.mark.parametrize("kind", KINDS)
def test_list_has_every_kind_with_whole_sentences(walras: Walras, kind: str) -> None:
    answer = walras("list", kind)
    assert answer.code == 0, answer.err
    (found,) = json.loads(walras("list", kind, "--json").out).values()
    assert found.keys() == set(registry(kind))
    assert found
    assert all(entry["about"].endswith(".") and " " in entry["about"] for entry in found.values()), found
    shown = answer.out.replace("\n", "")
    assert all(name.split("-")[0] in shown for name in found)


def test_list_shows_parameters_with_their_defaults(walras: Walras) -> None:
    answer = walras("list", "strategies")
    assert "rate=0.3" in answer.out
    assert "unknown list 'mechanismus'" in walras("list", "mechanismus").error
    assert all(name in walras("list").out for name in MECHANISMS)


def test_the_version(walras: Walras) -> None:
    import walras as package

    assert walras("--version").out == f"walras {package.__version__}\n"
