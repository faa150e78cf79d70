"""One rule for every name: spelling, parameters, a user's own files, duplicates."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest

from walras.errors import InputError, UnknownNameError, UserCodeError
from walras.parameters import first_sentence
from walras.registry import Registry
from walras.user_code import fingerprint, user_code


class Rule:
    """The base of the rules of this test."""


@dataclass(frozen=True)
class FirstCome(Rule):
    """Serves in order. It knows nothing else."""

    rate: float = 0.5
    turns: int = 3
    title: str = "plain"
    strict: bool = False
    source: ClassVar[str] = "Nobody 1999"


@dataclass(frozen=True)
class NeedsPrice(Rule):
    """Needs a price."""

    price: float


@pytest.fixture
def rules() -> Registry[Rule]:
    registry: Registry[Rule] = Registry("rule", Rule)
    registry.add(FirstCome)
    registry.add(NeedsPrice, "needs-price")
    return registry


def test_a_package_that_does_not_load_costs_its_own_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("lost", "walras_no_such_module:Rule", "walras.rules")]
    monkeypatch.setattr("walras.registry.entry_points", lambda group: points)
    registry: Registry[Rule] = Registry("rule", Rule)
    registry.add(FirstCome)
    assert registry.make("first-come") == FirstCome()
    assert list(registry) == ["FirstCome"]
    with pytest.raises(InputError, match=r"rule 'lost' of package walras_no_such_module:Rule does not load: Module"):
        registry.make("Lost")
    with pytest.raises(UnknownNameError, match="unknown rule 'last'"):
        registry.make("last")


@pytest.mark.parametrize("name", ["FirstCome", "first-come", "first_come", "FIRSTCOME"])
def test_names_match_in_any_spelling(rules: Registry[Rule], name: str) -> None:
    assert rules[name] is FirstCome
    assert rules.canonical(name) == "FirstCome"
    assert name in rules


def test_parameters_stand_behind_a_name(rules: Registry[Rule]) -> None:
    assert rules.make("first-come:rate=.1,turns=7,strict=true") == FirstCome(0.1, 7, "plain", True)
    assert rules.make("first-come:rate=1e-8") == FirstCome(1e-8)
    assert rules.make("first-come:title=3") == FirstCome(title="3")
    assert rules.make({"name": "FirstCome", "rate": 2}) == FirstCome(2.0)
    assert rules.make(FirstCome(9.0)) == FirstCome(9.0)


def test_offered_values_come_below_those_given(rules: Registry[Rule]) -> None:
    assert rules.make("needs-price", price=0.2) == NeedsPrice(0.2)
    assert rules.make("needs-price:price=3", price=0.2) == NeedsPrice(3.0)
    assert rules.make("FirstCome", price=0.2) == FirstCome()


@pytest.mark.parametrize(
    ("spec", "error", "told"),
    [
        ("FirstComer", UnknownNameError, "Did you mean 'FirstCome'"),
        ("FirstCome:pace=1", UnknownNameError, "rate, strict, title, turns"),
        ("FirstCome:turns=x", InputError, "turns of rule FirstCome is 'x'; it must be of type int"),
        ("FirstCome:turns=true", InputError, "must be of type int"),
        ("FirstCome:rate", InputError, "write FirstCome:key=value"),
        ("FirstCome:rate=1,rate=2", InputError, "given twice"),
        ("needs-price", InputError, "needs a value for price"),
        (3, InputError, "it must be a Rule, or the name of one"),
        ("nowhere.py:Mine", InputError, "does not exist"),
    ],
)
def test_what_is_wrong_is_named(rules: Registry[Rule], spec: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told.replace("(", "\\(")):
        rules.make(spec)


def test_two_of_one_name_are_refused(rules: Registry[Rule]) -> None:
    with pytest.raises(InputError, match="two rules of the name 'FirstCome'"):
        rules.add(NeedsPrice, "first_come")
    assert rules["FirstCome"] is FirstCome


@pytest.mark.parametrize("name", ["", "a:b", "a=b", "a,b", "x.py"])
def test_a_name_that_could_not_be_typed_is_refused(rules: Registry[Rule], name: str) -> None:
    with pytest.raises(InputError, match="can be no name"):
        rules.add(type(name, (Rule,), {"name": name}))


def test_entries_are_described(rules: Registry[Rule]) -> None:
    first = rules.describe()[0]
    assert (first.name, first.about, first.source) == ("FirstCome", "Serves in order.", "Nobody 1999")
    assert first.parameters[0] == ("rate", "float", "0.5")
    assert rules.describe()[1].parameters == (("price", "float", ""),)


def test_what_a_settings_file_keeps_makes_the_same_object_again(rules: Registry[Rule]) -> None:
    for given in ("first_come:rate=0.1", FirstCome(0.1, 4), {"name": "FirstCome", "strict": True}):
        assert rules.make(rules.spelled(given)) == rules.make(given)
    assert rules.spelled("first_come") == "FirstCome"


def test_a_file_of_the_users_is_run_for_its_class(rules: Registry[Rule], tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\nimport test_registry_base\n"
        "@dataclass(frozen=True)\nclass Mine(test_registry_base.Rule):\n    rate: float = 1.0\n",
        encoding="utf-8",
    )
    import sys
    from types import ModuleType

    module = ModuleType("test_registry_base")
    module.Rule = Rule  # type: ignore[attr-defined]
    sys.modules["test_registry_base"] = module
    made = rules.make(f"{file}:Mine:rate=4")
    assert (type(made).__name__, made.rate) == ("Mine", 4.0)  # type: ignore[attr-defined]
    before = fingerprint(file)
    file.write_text(file.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    assert fingerprint(file) != before


def test_an_error_of_a_users_class_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("def work():\n    return 1 / 0\n", encoding="utf-8")
    scope: dict[str, object] = {"__name__": "walras_user_bad"}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), scope)
    with (
        pytest.raises(UserCodeError, match=r"rule Bad failed \(.*bad\.py, line 2\): ZeroDivisionError"),
        user_code("rule Bad"),
    ):
        scope["work"]()  # type: ignore[operator]


def test_sys_exit_in_a_users_class_is_an_error() -> None:
    with pytest.raises(UserCodeError, match="SystemExit"), user_code("rule Bad"):
        raise SystemExit(0)


def test_our_own_errors_pass_as_they_are() -> None:
    with pytest.raises(InputError, match="mine"), user_code("rule Bad"):
        raise InputError("mine")


def test_the_first_sentence_ends_with_a_full_stop() -> None:
    assert first_sentence(FirstCome) == "Serves in order."
    assert first_sentence(Rule) == "The base of the rules of this test."


@pytest.mark.parametrize("name", ["--", "_", "None", "none", "n-o-n-e"])
def test_a_name_that_says_nothing_or_none_is_refused(rules: Registry[Rule], name: str) -> None:
    with pytest.raises(InputError, match=f"rule '{name}' can be no name"):
        rules.add(NeedsPrice, name)
