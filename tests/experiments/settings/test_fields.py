"""Nested settings: sections, dotted names, types, and what is wrong, named."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from walras.errors import InputError, UnknownNameError
from walras.experiments.settings.fields import (
    as_tree,
    flat,
    leaves,
    nested,
    number,
    read_settings,
    section,
    setting,
    texts,
)


@dataclass(frozen=True)
class Inner:
    """A section."""

    rate: float = setting(0.5, "A rate.")
    turns: int = setting(3, "Turns.")
    names: tuple[str, ...] = setting((), "Names.", read=texts)
    file: str | None = setting(None, "A file.")


@dataclass(frozen=True)
class Outer:
    """Settings with a section."""

    seed: int = setting(0, "A seed.")
    strict: bool = setting(False, "Strict.")
    inner: Inner = section(Inner, "Inner")


def made(**given: object) -> Outer:
    return nested(flat(given, Outer), Outer)


def test_leaves_are_listed_in_order_with_their_sections() -> None:
    found = leaves(Outer)
    assert list(found) == ["seed", "strict", "rate", "turns", "names", "file"]
    assert (found["rate"].path, found["rate"].title, found["rate"].default) == (("inner", "rate"), "Inner", 0.5)


@pytest.mark.parametrize("given", [{"rate": 2}, {"inner": {"rate": 2.0}}, {"inner.rate": "2"}, {"rate": np.float64(2)}])
def test_a_field_may_be_given_by_itself_in_its_section_or_dotted(given: dict[str, object]) -> None:
    assert nested(flat(given, Outer), Outer) == Outer(inner=Inner(rate=2.0))


def test_a_section_may_be_an_object() -> None:
    assert made(inner=Inner(turns=9), seed=4) == Outer(4, False, Inner(turns=9))


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"rates": 1}, UnknownNameError, "setting 'rates'. Did you mean 'rate'"),
        ({"inner": {"turn": 1}}, UnknownNameError, "setting 'inner.turn'"),
        ({"inner": 3}, InputError, "inner is 3; it must map names to values"),
        ({"rate": 1, "inner": {"rate": 2}}, InputError, "rate is given twice"),
        ({"turns": 1.5}, InputError, "turns is 1.5; it must be of type int"),
        ({"turns": True}, InputError, "turns is True"),
        ({"strict": "yes"}, InputError, "it must be of type bool"),
        ({"rate": "fast"}, InputError, "rate is 'fast'; it must be of type float"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, object], error: type[Exception], told: str) -> None:
    with pytest.raises(error) as raised:
        nested(flat(given, Outer), Outer)
    assert told in str(raised.value)


def test_plain_data_make_the_same_settings_again() -> None:
    settings = made(rate=0.1, names=["a", "b"], seed=7)
    tree = as_tree(settings, lambda one, value: list(value) if isinstance(value, tuple) else value)
    assert tree == {
        "seed": 7,
        "strict": False,
        "inner": {"rate": 0.1, "turns": 3, "names": ["a", "b"], "file": None},
    }
    assert nested(flat(tree, Outer), Outer) == settings


@pytest.mark.parametrize(
    ("text", "value"), [("1e-8", 1e-8), ("50%", 0.5), (" 40 % ", 0.4), ("half", "half"), (".5", 0.5)]
)
def test_numbers_of_texts(text: str, value: object) -> None:
    assert number(text) == value


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "a: [", "just text"])
def test_a_file_without_settings_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"c\.yaml"):
        read_settings(file)


def test_a_field_of_no_section_is_a_plain_dataclass_field() -> None:
    @dataclass(frozen=True)
    class Bare:
        x: int = field(default=3, metadata={"help": "x", "read": None, "registry": "", "option": ""})

    assert nested({"x": 4}, Bare) == Bare(4)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("budget: .5\nmarket:\n  rounds: 2\n  rounds: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"c\.yaml' gives rounds twice, in lines 3 and 4; give it once"):
        read_settings(file)
    file.write_text("a: &a {rounds: 2}\nb: {<<: *a, rounds: 3}\n", encoding="utf-8")
    assert read_settings(file) == {"a": {"rounds": 2}, "b": {"rounds": 3}}
