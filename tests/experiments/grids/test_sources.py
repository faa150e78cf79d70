"""What stands for a cell's settings: names, numbers, the content of user's files, and objects."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from walras.experiments.grids.cell import Cell
from walras.experiments.grids.sources import canonical, described, without_places
from walras.experiments.spec import RunSpec
from walras.mechanisms import PostedPrice, ShadowPrice
from walras.user_code import fingerprint

RULE = "from walras import ShadowPrice\n"


@dataclass(frozen=True)
class Own:
    """A rule of the user's, as far as keys are concerned."""

    rate: float = 1.0


def key(rule: Any, **more: Any) -> str:
    return Cell({}, 0, RunSpec(**more).with_values(mechanism=rule)).key


@pytest.fixture
def rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rule.py").write_text(RULE, encoding="utf-8")
    return tmp_path / "rule.py"


def test_a_file_counts_by_its_content_and_not_by_its_place(rule: Path, tmp_path: Path) -> None:
    first = key("rule.py:Mine")
    (tmp_path / "other").mkdir()
    shutil.copy(rule, tmp_path / "other" / "copy.py")
    assert {key(f"{rule}:Mine"), key("./rule.py:Mine"), key("other/copy.py:Mine")} == {first}
    assert key("rule.py:Other") != first
    assert key("rule.py:Mine:rate=2") != first
    os.utime(rule, (1, 1))
    assert key("rule.py:Mine") == first
    rule.write_text(RULE + "# edited\n", encoding="utf-8")
    assert key("rule.py:Mine") != first


@pytest.mark.parametrize(
    "text",
    ["truthful=0.5,rule.py:Mine=0.5", "truthful=0.5+rule.py:Mine:rate=.1=0.5", "rule.py", "rule.py:Mine:rate=3,a=1"],
)
def test_files_within_texts(rule: Path, text: str) -> None:
    before = canonical(RunSpec().with_values(strategy=text))
    assert before["market"]["strategy"] == text.replace("rule.py", f"{fingerprint(rule)}.py")
    rule.write_text(RULE + "# edited\n", encoding="utf-8")
    assert canonical(RunSpec().with_values(strategy=text)) != before


def test_a_file_that_is_none_stays_a_text(rule: Path) -> None:
    assert canonical(RunSpec().with_values(strategy="none.py:X"))["market"]["strategy"] == "none.py:X"


def test_objects_of_ours_are_what_their_texts_are() -> None:
    assert key(ShadowPrice()) == key("ShadowPrice")
    assert key(PostedPrice(price=0.25)) == key("PostedPrice:price=0.25") != key("PostedPrice:price=0.5")


def test_objects_of_the_users_count_by_class_attributes_and_source() -> None:
    assert key(Own(1.0)) == key(Own(1.0)) != key(Own(2.0))
    found = canonical(RunSpec().with_values(mechanism=Own(2.0)))["market"]["mechanism"]
    assert found["source"] == fingerprint(__file__)
    assert found["attributes"] == {"rate": 2.0}
    assert described(Own(2.0), "mechanism") == "Own:rate=2.0"
    assert described(ShadowPrice(), "mechanism") == "ShadowPrice"


def test_files_of_settings_without_the_places_of_code() -> None:
    text = "mechanism: /home/a b/x.py:Mine\nstrategy: truthful=0.5,own/y.py:Z=0.5\ndata: own/t.txt\n"
    assert without_places(text) == "mechanism: /home/a x.py:Mine\nstrategy: truthful=0.5,y.py:Z=0.5\ndata: own/t.txt\n"
